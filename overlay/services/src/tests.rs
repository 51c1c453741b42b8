//! Replicas of the kernel, told of each other's writes in all ways: lost, twice, late, in parts.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use crdts::{CmRDT as _, CvRDT as _, MVReg, Orswot, PNCounter};
use murmurate::membership::{Peer, Time};
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Stamp};
use crate::compare::Compare;
use crate::delta::Delta;
use crate::dot::Dot;
use crate::key::{Key, Space};
use crate::roster::{Links, Liveness, Record, Roster};
use crate::store::{DeltaState as _, Full, Limits, Store};
use crate::values::Tally;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Bird(u8);

impl Peer for Bird {
    type Node = u8;

    fn node(self) -> u8 {
        self.0
    }
}

/// A replica, and what it writes with.
struct Replica {
    me: Bird,
    store: Store<Bird>,
    clock: Clock,
}

impl Replica {
    fn all(count: u8, limits: &Limits) -> Vec<Self> {
        let new = |me| Self {
            me: Bird(me),
            store: Store::new(limits.clone()),
            clock: Clock::new(Duration::MAX),
        };
        (0..count).map(new).collect()
    }

    fn put(&mut self, key: &Key, value: &[u8], wall: u64) -> Delta<Bird> {
        let own = key.space == Space::COUNTER;
        let present = self.store.get(key).iter().map(|version| version.dot);
        let replaces: Vec<_> = present.filter(|dot| !own || dot.writer == self.me).collect();
        let stamp = self.clock.tick(Time::from_nanos(wall));
        let value = Bytes::copy_from_slice(value);
        let put = self.store.put(self.me, key.clone(), (stamp, value), &replaces);
        put.expect("there is room").delta
    }

    fn remove(&mut self, key: &Key) -> Delta<Bird> {
        let present: Vec<_> = self.store.get(key).iter().map(|version| version.dot).collect();
        self.store.remove(&present).0
    }

    fn join(&mut self, delta: &Delta<Bird>) {
        for (_, stamp) in delta.stamps() {
            let _ = self.clock.hear(stamp, Time::ZERO);
        }
        self.store.join(delta).expect("replicas talk sense");
    }

    /// All live values, by key.
    fn read(&self) -> BTreeMap<Key, Vec<Bytes>> {
        let spaces = [Space::LATEST, Space::CONCURRENT, Space::SET, Space::COUNTER];
        let all = spaces.into_iter().flat_map(|space| self.store.range(space, b""));
        let all = all.map(|(key, all)| (key.clone(), all.iter().map(|one| one.value.clone())));
        all.map(|(key, values)| (key, values.collect())).collect()
    }
}

/// Two replicas compare, until they have nothing more to say. Returns the bytes of it.
fn compare(one: &mut Replica, other: &mut Replica) -> usize {
    let mut to_other = vec![one.store.digest()];
    let mut bytes = 0;
    for _ in 0..10_000 {
        let mut to_one = Vec::new();
        for message in core::mem::take(&mut to_other) {
            bytes += postcard::to_allocvec(&message).expect("encoded").len();
            to_one.extend(other.store.compare(message).expect("sense").answers);
        }
        for message in to_one {
            bytes += postcard::to_allocvec(&message).expect("encoded").len();
            to_other.extend(one.store.compare(message).expect("sense").answers);
        }
        if to_other.is_empty() {
            break;
        }
    }
    bytes
}

fn set(element: u8) -> Key {
    Key::pair(Space::SET, "set", &[element])
}

/// Sets, registers and counters of another library, told of the same.
#[derive(Clone, Default)]
struct Oracle {
    set: Orswot<u8, u8>,
    register: MVReg<u8, u8>,
    counter: PNCounter<u8>,
}

impl Oracle {
    fn assert_agrees(&self, replica: &Replica, seed: u64) {
        let elements: BTreeSet<u8> = self.set.read().val.into_iter().collect();
        let ours = (0..=u8::MAX).filter(|element| !replica.store.get(&set(*element)).is_empty());
        assert_eq!(ours.collect::<BTreeSet<_>>(), elements, "seed {seed}");
        let mut values = self.register.read().val;
        values.sort_unstable();
        let register = Key::new(Space::CONCURRENT, &b"r"[..]);
        let ours = replica.store.get(&register).iter().map(|version| version.value[0]);
        let mut ours: Vec<u8> = ours.collect();
        ours.sort_unstable();
        assert_eq!(ours, values, "seed {seed}");
        let counter = Key::new(Space::COUNTER, &b"c"[..]);
        let ours: i128 = replica.store.get(&counter).iter().map(|one| Tally::of(one).sum()).sum();
        assert_eq!(num::BigInt::from(ours), self.counter.read(), "seed {seed}");
    }
}

#[test]
fn a_thousand_histories_come_out_as_in_another_library() {
    for seed in 0..1_000 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut replicas = Replica::all(4, &Limits::default());
        let mut oracles = vec![Oracle::default(); 4];
        for step in 0..60 {
            let at = rng.random_range(0..4);
            let (replica, oracle) = (&mut replicas[at], &mut oracles[at]);
            let actor = replica.me.0;
            let element = rng.random_range(0..6);
            match rng.random_range(0..6) {
                0 => {
                    let context = oracle.set.read_ctx().derive_add_ctx(actor);
                    oracle.set.apply(oracle.set.add(element, context));
                    replica.put(&set(element), b"", step);
                }
                1 => {
                    let context = oracle.set.contains(&element).derive_rm_ctx();
                    oracle.set.apply(oracle.set.rm(element, context));
                    replica.remove(&set(element));
                }
                2 => {
                    let context = oracle.register.read_ctx().derive_add_ctx(actor);
                    oracle.register.apply(oracle.register.write(element, context));
                    replica.put(&Key::new(Space::CONCURRENT, &b"r"[..]), &[element], step);
                }
                3 => {
                    let by = i64::from(element) - 3;
                    let steps = by.unsigned_abs();
                    let op = if by < 0 {
                        oracle.counter.dec_many(actor, steps)
                    } else {
                        oracle.counter.inc_many(actor, steps)
                    };
                    oracle.counter.apply(op);
                    let key = Key::new(Space::COUNTER, &b"c"[..]);
                    let own = replica.store.get(&key).iter();
                    let own = own.filter(|one| one.dot.writer.0 == actor).map(Tally::of).next();
                    let tally = own.unwrap_or_default().and(by);
                    replica.put(&key, &postcard::to_allocvec(&tally).expect("encoded"), step);
                }
                _ => {
                    let from = rng.random_range(0..4);
                    let delta = replicas[from].store.delta_since(&replicas[at].store.context());
                    let other = oracles[from].clone();
                    replicas[at].join(&delta);
                    let oracle = &mut oracles[at];
                    oracle.set.merge(other.set);
                    oracle.register.merge(other.register);
                    oracle.counter.merge(other.counter);
                }
            }
            oracles[at].assert_agrees(&replicas[at], seed);
            replicas[at].store.check().expect("sound");
        }
    }
}

/// Writes at random, told to others in a random order, sometimes twice and sometimes never.
fn history(seed: u64, steps: u64) -> Vec<Replica> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut replicas = Replica::all(5, &Limits::default());
    let mut under_way: Vec<(usize, Delta<Bird>)> = Vec::new();
    for step in 0..steps {
        let at = rng.random_range(0..5);
        let number = rng.random_range(0..20u8);
        let key = match rng.random_range(0..3) {
            0 => Key::new(Space::LATEST, vec![number]),
            1 => Key::new(Space::CONCURRENT, vec![number]),
            _ => set(number),
        };
        let delta = if rng.random_bool(0.7) {
            replicas[at].put(&key, &step.to_le_bytes(), rng.random_range(0..steps))
        } else {
            replicas[at].remove(&key)
        };
        for to in (0..5).filter(|to| *to != at) {
            for _ in 0..rng.random_range(0..3) {
                under_way.push((to, delta.clone()));
            }
        }
        while under_way.len() > 10 {
            let (to, delta) = under_way.swap_remove(rng.random_range(0..under_way.len()));
            replicas[to].join(&delta);
        }
    }
    replicas
}

#[test]
fn replicas_that_compare_keep_the_same() {
    for seed in 0..300 {
        let mut replicas = history(seed, 200);
        // Along a chain and back, twice: who learns only on the way back that something is gone tells those that
        // it compared with before.
        for at in (1..5).chain((1..5).rev()).chain(1..5).chain((1..5).rev()) {
            let (before, after) = replicas.split_at_mut(at);
            compare(&mut before[at - 1], &mut after[0]);
            assert_eq!(before[at - 1].store.sum(), after[0].store.sum(), "seed {seed}");
        }
        let read = replicas[0].read();
        for replica in &replicas {
            assert_eq!(replica.read(), read, "seed {seed}");
            replica.store.check().expect("sound");
        }
    }
}

#[test]
fn the_order_of_deltas_does_not_matter() {
    for seed in 0..100 {
        let mut replicas = history(seed, 60);
        let empty = Store::new(Limits::default()).context();
        let mut deltas: Vec<_> =
            replicas.iter().map(|replica| replica.store.delta_since(&empty)).collect();
        let mut joined = Replica::all(2, &Limits::default());
        for delta in &deltas {
            joined[0].join(delta);
        }
        deltas.reverse();
        for delta in deltas.iter().chain(&deltas) {
            joined[1].join(delta);
        }
        assert_eq!(joined[0].read(), joined[1].read(), "seed {seed}");
        // As one delta, too.
        let all = Delta::joined(deltas.iter());
        let mut once = Replica::all(1, &Limits::default());
        once[0].join(&all);
        let kept = |replica: &Replica, space| replica.store.range(space, b"").count();
        for replica in &mut replicas {
            compare(replica, &mut once[0]);
        }
        compare(&mut joined[0], &mut once[0]);
        assert_eq!(kept(&joined[0], Space::SET), kept(&once[0], Space::SET), "seed {seed}");
    }
}

#[test]
fn comparing_costs_what_the_difference_costs() {
    let mut replicas = Replica::all(2, &Limits::default());
    for number in 0..20_000u32 {
        let delta =
            replicas[0].put(&Key::new(Space::LATEST, number.to_be_bytes().to_vec()), b"x", 1);
        replicas[1].join(&delta);
    }
    let [one, other] = &mut replicas[..] else { unreachable!("there are two") };
    let same = compare(one, other);
    assert!(same <= 64, "{same} bytes where nothing differs");
    let _lost = one.put(&Key::new(Space::LATEST, &b"\0\0\x12\x34"[..]), b"y", 2);
    let differs = compare(one, other);
    assert!(differs < 4_096, "{differs} bytes for one of 20,000");
    assert_eq!(one.store.sum(), other.store.sum());
}

#[test]
fn what_finds_no_room_is_refused_and_not_lost() {
    let limits = Limits { replica_bytes: 2_000, value_bytes: 64, keys: 8, ..Limits::default() };
    let mut replicas = Replica::all(2, &Limits::default());
    replicas.push(Replica::all(3, &limits).remove(2));
    let key = |number: u8| Key::new(Space::LATEST, vec![number]);
    for number in 0..20 {
        let delta = replicas[0].put(&key(number), b"value", 1);
        let joined = replicas[2].store.join(&delta).expect("sense");
        assert_eq!(joined.refused, usize::from(number >= 8), "value {number}");
    }
    replicas[2].store.check().expect("within its bounds");
    let stamp = Stamp::at(Time::from_nanos(1 << 20));
    let long = Bytes::from(vec![0; 65]);
    let put = |store: &mut Store<Bird>, number, value| {
        store.put(Bird(2), key(number), (stamp, value), &[]).map(|_| ())
    };
    assert_eq!(put(&mut replicas[2].store, 0, long), Err(Full::Value));
    assert_eq!(put(&mut replicas[2].store, 99, Bytes::new()), Err(Full::Keys));
    // Once there is room, a comparison brings the rest.
    for number in 0..14 {
        let delta = replicas[0].remove(&key(number));
        replicas[2].join(&delta);
    }
    let (before, after) = replicas.split_at_mut(2);
    compare(&mut before[0], &mut after[0]);
    assert_eq!(after[0].read(), before[0].read());
}

#[test]
fn what_no_replica_says_is_refused() {
    let mut replicas = Replica::all(2, &Limits::default());
    let delta = replicas[0].put(&set(1), b"", 1);
    let bytes = postcard::to_allocvec(&delta).expect("encoded");
    let mut refused = 0;
    for at in 0..bytes.len() {
        for flip in 1..=u8::MAX {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= flip;
            if let Ok(spoilt) = postcard::from_bytes::<Delta<Bird>>(&spoilt) {
                refused += u32::from(replicas[1].store.join(&spoilt).is_err());
                replicas[1].store.check().expect("sound whatever was said");
            }
        }
    }
    assert!(refused > 0);
    let nonsense =
        [Compare::Parts(Vec::new()), Compare::Parts(vec![(crate::dot::Range::ALL, [0; 16]); 2])];
    assert!(replicas[0].store.compare(nonsense[1].clone()).is_err());
    assert!(replicas[0].store.compare(nonsense[0].clone()).is_ok_and(|it| it.answers.is_empty()));
}

#[test]
fn of_concurrent_values_the_latest_counts() {
    let key = Key::new(Space::LATEST, &b"k"[..]);
    let mut replicas = Replica::all(2, &Limits::default());
    let [late, early] = [(0, 9 << 20), (1, 1 << 20)].map(|(at, wall): (usize, u64)| {
        let value = wall.to_le_bytes();
        replicas[at].put(&key, &value, wall)
    });
    replicas[0].join(&early);
    replicas[1].join(&late);
    for replica in &replicas {
        assert_eq!(replica.store.get(&key).len(), 1);
        assert_eq!(replica.store.get(&key)[0].value, (9u64 << 20).to_le_bytes()[..]);
    }
}

/// Members 0 to 4, and who says at what time that it has which neighbours, and to whom the connection failed.
fn roster(said: &[(u8, u64, &[u8], &[u8])]) -> Roster<Bird> {
    let mut roster = Roster::default();
    for member in 0..5 {
        let dot = Dot { writer: Bird(member), number: 1 };
        roster.recorded((dot, Stamp::ZERO), Record::default(), Time::ZERO);
    }
    for (who, at, neighbors, failed) in said {
        let birds = |all: &[u8]| all.iter().map(|bird| Bird(*bird)).collect();
        let links = Links { neighbors: birds(neighbors), failed: birds(failed) };
        roster.linked(Bird(*who), Stamp::at(Time::from_nanos(at << 20)), links);
    }
    roster
}

/// How it is with member 4 at this second for member 0, whose neighbours are 1 and 2.
fn judged(roster: &mut Roster<Bird>, second: u64) -> Liveness {
    let neighbors = BTreeSet::from([Bird(1), Bird(2)]);
    let spans = (Duration::from_secs(1), Duration::from_secs(5));
    let now = Time::from_nanos(second * 1_000_000_000);
    roster.judge(Bird(0), (&neighbors, &BTreeMap::new()), spans, now);
    roster.get(4).expect("a member").liveness
}

#[test]
fn one_observer_convicts_nobody() {
    let alive: [(u8, u64, &[u8], &[u8]); 4] =
        [(1, 1, &[0, 4], &[]), (2, 1, &[0, 4], &[]), (3, 1, &[], &[]), (4, 1, &[1, 2], &[])];
    assert_eq!(judged(&mut roster(&alive), 1), Liveness::Alive);
    let one: [(u8, u64, &[u8], &[u8]); 2] = [(1, 2, &[0], &[4]), (2, 2, &[0], &[])];
    let mut suspected = roster(&[&alive[..], &one].concat());
    assert_eq!(judged(&mut suspected, 1), Liveness::Suspected);
    assert_eq!(judged(&mut suspected, 5), Liveness::Suspected);
    assert_eq!(judged(&mut suspected, 6), Liveness::Failed, "nobody refuted it");
    let two: [(u8, u64, &[u8], &[u8]); 2] = [(1, 2, &[0], &[4]), (2, 2, &[0], &[4])];
    let mut failed = roster(&[&alive[..], &two].concat());
    assert_eq!(judged(&mut failed, 1), Liveness::Failed);
    // Its next word refutes it.
    failed.linked(
        Bird(4),
        Stamp::at(Time::from_nanos(3 << 20)),
        Links { neighbors: vec![Bird(2)], failed: Vec::new() },
    );
    assert_eq!(judged(&mut failed, 2), Liveness::Alive);
}

#[test]
fn of_two_ends_that_disagree_about_a_link_the_later_one_counts() {
    let gone = [(1, 1, &[0, 4][..], &[][..]), (4, 2, &[], &[])];
    assert_eq!(judged(&mut roster(&gone), 3), Liveness::Alive, "a moment is left");
    assert_eq!(judged(&mut roster(&[gone[0], gone[1]]), 3), Liveness::Alive);
    let roster_of = |said: &[_]| {
        let mut roster = roster(said);
        judged(&mut roster, 3);
        judged(&mut roster, 4)
    };
    assert_eq!(roster_of(&gone), Liveness::Suspected);
    let new = [(1, 2, &[0, 4][..], &[][..]), (4, 1, &[], &[])];
    assert_eq!(roster_of(&new), Liveness::Alive);
}
