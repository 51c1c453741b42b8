//! Clusters under random faults: cuts, losses, restarts, leaves and wrong clocks. After the last fault and a minute,
//! all that run keep the same, nothing that was removed is back, and nothing that was added is gone.
//!
//! `SEEDS=10000 cargo test -p murmurate-services --test swarm` takes more seeds; `FIRST` is the first of them.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod bed;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bed::{Bed, ms, secs};
use bytes::Bytes;
use murmurate::membership::Peer as _;
use murmurate_services::{Action, Config, Done, Dot, Liveness, Space};
use murmurate_simulator::SimPeer;
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What was done, as far as it must be there in the end.
#[derive(Default)]
struct Truth {
    /// Elements by who inserted them.
    inserted: BTreeMap<u32, SimPeer>,
    /// Elements by who removed them.
    removed: BTreeMap<u32, SimPeer>,
    /// What each added to a counter of its own.
    counted: BTreeMap<SimPeer, i64>,
    /// Incarnations that ended without a goodbye: the last that they did may be lost with them.
    crashed: BTreeSet<SimPeer>,
    held: BTreeMap<SimPeer, Vec<Dot<SimPeer>>>,
    next: u32,
}

fn element(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// One node does something at random.
fn act(bed: &mut Bed, truth: &mut Truth, rng: &mut Xoshiro256PlusPlus) {
    let live: Vec<usize> = bed.sim.live_nodes().collect();
    let index = live[rng.random_range(0..live.len())];
    let me = bed.peer(index);
    let number = rng.random_range(0..8u32);
    match rng.random_range(0..9) {
        0 | 1 => {
            let number = truth.next;
            truth.next += 1;
            let action = Action::Insert { set: "all".into(), element: element(number) };
            bed.ask(index, action).expect("there is room");
            truth.inserted.insert(number, me);
        }
        2 => {
            let all = bed.cluster(index).elements("all");
            if all.is_empty() {
                return;
            }
            let chosen = all[rng.random_range(0..all.len())].clone();
            let number = u32::from_be_bytes((&*chosen).try_into().expect("four bytes"));
            let action = Action::Remove { set: "all".into(), element: chosen };
            bed.ask(index, action).expect("nothing speaks against it");
            truth.removed.insert(number, me);
        }
        3 => {
            let by = rng.random_range(-5..=5);
            bed.ask(index, Action::Count { name: format!("{me:?}"), by }).expect("there is room");
            *truth.counted.entry(me).or_default() += by;
        }
        4 => {
            let (key, value) = (format!("key {number}"), element(rng.random()));
            let concurrent = rng.random_bool(0.5);
            bed.tell(index, Action::Put { key, value, concurrent, expected: None });
        }
        5 => {
            let (key, concurrent) = (format!("key {number}"), rng.random_bool(0.5));
            bed.tell(index, Action::Delete { key, concurrent, expected: None });
        }
        6 => {
            let group = format!("group {}", number % 3);
            let action = Action::Join { scope: "s".into(), group, about: Bytes::new() };
            if let Ok(Done::Written(dot)) = bed.ask(index, action) {
                truth.held.entry(me).or_default().push(dot);
            }
        }
        7 => {
            if let Some(entry) = truth.held.get_mut(&me).and_then(Vec::pop) {
                bed.ask(index, Action::End { entry }).expect("it is there as long as its node");
            }
        }
        _ => {
            // Whoever comes first has it.
            let name = format!("name {number}");
            bed.tell(index, Action::Register { name, about: Bytes::new() });
        }
    }
}

/// Something goes wrong at random.
fn strike(bed: &mut Bed, truth: &mut Truth, rng: &mut Xoshiro256PlusPlus) {
    let live: Vec<usize> = bed.sim.live_nodes().collect();
    let index = live[rng.random_range(0..live.len())];
    match rng.random_range(0..8) {
        0 if live.len() > 4 => {
            truth.crashed.insert(bed.peer(index));
            if rng.random_bool(0.5) {
                bed.sim.crash(index);
            } else {
                bed.sim.kill(index);
            }
        }
        1 if live.len() > 4 => {
            // What it did last is with its neighbours, if it has any that it can reach.
            truth.crashed.insert(bed.peer(index));
            bed.sim.leave(index);
        }
        2 | 3 => {
            let down = (0..bed.sim.len()).filter(|index| !bed.sim.is_live(*index));
            let down: Vec<usize> = down.collect();
            if !down.is_empty() {
                bed.restart(down[rng.random_range(0..down.len())]);
            }
        }
        4 => {
            let side = rng.random_range(1..bed.sim.len());
            let one_way = rng.random_bool(0.3);
            let nodes = bed.sim.len();
            bed.sim.network_mut().cut(nodes, |index| index < side, one_way);
        }
        5 => bed.heal(),
        6 => {
            let loss = rng.random_range(0.0..0.2);
            bed.sim.network_mut().set_loss(loss).expect("a share");
        }
        _ => bed.sim.jump_clocks(&[index], ms(rng.random_range(1..20_000))),
    }
}

/// A cluster of some nodes, faults for two minutes, and peace.
fn run(seed: u64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let nodes = rng.random_range(3..20);
    let config = Config { batch: ms(rng.random_range(0..20)), ..Config::default() };
    let mut bed = Bed::with(seed, nodes, config);
    if nodes < 8 {
        bed.sim.check_every_event();
    }
    let mut truth = Truth::default();
    bed.run(secs(rng.random_range(0..10)));
    for _ in 0..rng.random_range(20..200) {
        for _ in 0..rng.random_range(0..4) {
            act(&mut bed, &mut truth, &mut rng);
        }
        if rng.random_bool(0.1) {
            strike(&mut bed, &mut truth, &mut rng);
        }
        bed.run(ms(rng.random_range(1..1_200)));
    }
    bed.heal();
    bed.sim.network_mut().set_loss(0.0).expect("a share");
    // Whoever lost all contacts while it was cut off is told of one again, as discovery does.
    for _ in 0..6 {
        let live: Vec<usize> = bed.sim.live_nodes().collect();
        for index in &live[1..] {
            bed.sim.join(*index, &[live[0]]);
        }
        bed.run(secs(10));
    }
    bed.run(secs(60));
    bed.assert_equal();
    judge(&bed, &truth);
}

fn judge(bed: &Bed, truth: &Truth) {
    let live: Vec<usize> = bed.sim.live_nodes().collect();
    for index in &live {
        let cluster = bed.cluster(*index);
        assert_eq!(cluster.counts().nonsense, 0, "node {index} heard nonsense");
        assert_eq!(cluster.counts().refused, 0, "node {index} had no room");
        let members = cluster.roster().live().map(|member| member.peer);
        let members: Vec<SimPeer> = members.collect();
        let running: Vec<SimPeer> = live.iter().map(|index| bed.peer(*index)).collect();
        assert_eq!(members, running, "node {index} knows who runs");
        let alive = cluster.roster().live().all(|member| member.liveness == Liveness::Alive);
        assert!(alive, "node {index} suspects somebody");
    }
    let cluster = bed.cluster(live[0]);
    // What those that failed wrote is kept, should they come back, but not what former incarnations did.
    let is_former = |writer: SimPeer| {
        cluster.roster().get(writer.node()).is_some_and(|member| member.peer > writer)
    };
    for writer in cluster.store().writers().filter(|writer| is_former(*writer)) {
        let left = cluster.store().written_by(writer).map(|(_, key)| key.space);
        let goes = [Space::MEMBER, Space::LINKS, Space::GROUP, Space::PRESENCE, Space::NAME];
        let left: Vec<Space> = left.filter(|space| goes.contains(space)).collect();
        assert!(left.is_empty(), "{writer:?} is no more, but {left:?} of it are there");
    }
    for (number, by) in &truth.inserted {
        let there = cluster.contains("all", &number.to_be_bytes());
        match truth.removed.get(number) {
            None if !truth.crashed.contains(by) => assert!(there, "{number} is gone"),
            Some(by) if !truth.crashed.contains(by) => assert!(!there, "{number} is back"),
            _ => {}
        }
    }
    for (peer, count) in truth.counted.iter().filter(|(peer, _)| !truth.crashed.contains(peer)) {
        assert_eq!(cluster.count(&format!("{peer:?}")), i128::from(*count), "of {peer:?}");
    }
    for name in cluster.names() {
        let holder = cluster.lookup(&name).expect("somebody has it").entry.writer;
        assert_eq!(bed.peer(holder.node() as usize), holder, "{name} is somebody's who runs");
    }
    for (peer, held) in &truth.held {
        let runs = bed.sim.is_live(peer.index()) && bed.peer(peer.index()) == *peer;
        let there = ["group 0", "group 1", "group 2"].into_iter();
        let there = there.flat_map(|group| cluster.members("s", group));
        let there = there.filter(|member| member.entry.writer == *peer).count();
        assert_eq!(there, if runs { held.len() } else { 0 }, "memberships of {peer:?}");
    }
}

#[test]
fn after_faults_all_keep_the_same() {
    let of =
        |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (first, seeds) = (of("FIRST", 0), of("SEEDS", 60));
    let failed: Vec<u64> = (first..first + seeds)
        .filter(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err())
        .collect();
    assert!(failed.is_empty(), "{} of {seeds} seeds fail: {failed:?}", failed.len());
}
