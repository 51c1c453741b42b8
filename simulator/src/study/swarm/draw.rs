//! Plans drawn from seeds.

use std::time::Duration;

use murmurate::broadcast::{anti_entropy, flood, plumtree};
use murmurate::membership::{full_mesh, hyparview};

use super::dice::Dice;
use super::plan::{FINALE, Plan, Promise};
use super::story::{self, Story};
use super::talk::Talk;
use super::trouble::{end, favourite, keeps_all, trouble};
use super::with::With;
use crate::experiment::scenario::{
    Bandwidth, BitRate, Broadcast, Bursts, Bytes, Fault, LatencyModel, Links, Membership, Nodes,
    Order, Pace, Region, Reorder, RoundTrip, Sender, Share, Span, What, Workload,
};

/// Longest way between two nodes that a plan draws, without jitter; log-normal latencies rarely
/// exceed it.
const LONGEST_WAY_MS: u64 = 150;

impl Plan {
    /// The plan of a seed, drawn with all of these.
    #[must_use]
    pub fn draw(seed: u64, with: &[With]) -> Self {
        let dice = &mut Dice::new(seed ^ 0x5357_4152_4d01);
        let mesh = dice.chance(20) || with.contains(&With::FullMesh);
        let mesh = mesh && !with.contains(&With::HyParView);
        let story = if mesh { Story::Any } else { Story::draw(dice, with) };
        let count = story.count(dice, mesh);
        // Nothing else would find the other side again.
        let split = dice.chance(40);
        let promotion = story != Story::Lone && (split || dice.chance(50));
        let gentle = match story {
            Story::Any => !promotion && dice.chance(60),
            story => story == Story::Late,
        };
        let regions = regions(dice);
        let joining = Duration::from_millis(story.pause_ms(dice, gentle) * u64::from(count));
        let mut trouble = match story {
            Story::Any => trouble(dice, gentle, split, &regions),
            Story::Pair => story::partings(dice),
            Story::Lone => story::bereaved(dice, joining),
            Story::Cut => story::cut(dice, count, joining),
            Story::Late => story::latecomers(dice),
        };
        if story == Story::Any && !gentle {
            trouble.extend(favourite(dice, with));
        }
        trouble.sort_by_key(|fault| fault.at);
        let contacts = story.contacts(dice, gentle);
        let mut plan = Self {
            seed,
            noise: seed,
            nodes: Nodes { count, joining: Span(joining), contacts },
            membership: match mesh {
                true => full_mesh(dice, count),
                false => hyparview(dice, count + joins(&trouble), promotion, story),
            },
            broadcast: Broadcast::default(),
            anti_entropy: anti_entropy(seed, with),
            links: links(dice, gentle || matches!(story, Story::Pair | Story::Cut), &regions),
            regions,
            trouble,
            load: Vec::new(),
            talk: Talk::default(),
            peace: Duration::ZERO,
            newcomers: if story == Story::Any { 2 } else { 0 },
            discovery: true,
            patience: Duration::ZERO,
            finale: finale(dice),
            storm: dice.chance(90).then(|| dice.percent(5, 12)),
            promise: Promise::default(),
            with: with.to_vec(),
            end: None,
            only: None,
        };
        if gentle {
            let joined = plan.joined();
            plan.trouble.iter_mut().for_each(|fault| fault.at = Span(fault.at.0 + joined));
        }
        plan.finish(dice, story, mesh, promotion);
        plan
    }

    /// Draws what depends on the trouble: when it is over, what goes on meanwhile, and what follows.
    fn finish(&mut self, dice: &mut Dice, story: Story, mesh: bool, promotion: bool) {
        let over = self.trouble.iter().map(end).max().unwrap_or_default() + Duration::from_secs(5);
        self.peace = Duration::from_secs(over.max(self.nodes.joining.0).as_secs() + 1);
        self.load = load(dice, self.peace);
        // It would keep all else from lines that carry little.
        if self.links.bandwidth.is_none() {
            self.talk = Talk::draw(self.seed, self.peace);
        }
        if story == Story::Late {
            let joined = self.joined();
            self.load.iter_mut().for_each(|load| load.from = Span(load.from.0 + joined));
        }
        let flood = dice.chance(if story == Story::Late { 75 } else { 25 })
            && !self.with.contains(&With::Plumtree);
        // Where nobody died, everybody's contacts still run.
        let known = promotion && self.trouble.iter().all(|fault| keeps_all(&fault.what));
        self.discovery = match story {
            Story::Any => mesh || !known || dice.chance(30),
            Story::Pair => true,
            Story::Lone | Story::Cut | Story::Late => false,
        };
        self.broadcast = broadcast(dice, self.broadcasts() as usize, flood);
        self.patience = self.patience();
        self.promise = Promise::of(self);
        self.promise.reunites &= story == Story::Cut;
        if !self.promise.survives {
            self.storm = None;
        }
    }
}

/// Drawn apart from all else, so that with it and without it the same goes wrong.
fn anti_entropy(seed: u64, with: &[With]) -> Option<anti_entropy::Parameters> {
    let dice = &mut Dice::new(seed ^ 0x616e_7469);
    if !dice.chance(50) && !with.contains(&With::AntiEntropy) {
        return None;
    }
    let exchange_interval = dice.millis(200, 1_000);
    let (retention, retained, give_up_after) = if dice.chance(70) {
        (Duration::from_secs(100_000), 100_000, Duration::from_secs(10_000))
    } else {
        (dice.millis(500, 20_000), dice.between(5, 200), dice.millis(2_000, 8_000))
    };
    Some(anti_entropy::Parameters {
        exchange_interval,
        patience: dice.millis(50, 1_000),
        give_up_after,
        retention,
        retained,
        batch: dice.between(2, 500),
        ..anti_entropy::Parameters::default()
    })
}

/// How many nodes join in all.
fn joins(trouble: &[Fault]) -> u32 {
    let joins = trouble.iter().map(|fault| match fault.what {
        What::Join { count, .. } => count,
        _ => 0,
    });
    joins.sum()
}

fn hyparview(dice: &mut Dice, nodes: u32, promotion: bool, story: Story) -> Membership {
    let active = match story {
        Story::Cut => dice.between(4, 8),
        _ if dice.chance(3) => 1,
        _ => dice.between(2, 8),
    };
    let walk = dice.between(1u8, 8);
    // Rare enough that moments without any exchange under way are not.
    let rare = 200 * u64::from(nodes);
    let promotion = promotion.then(|| dice.millis(4_000 + rare, 20_000 + rare));
    let keepalive_interval = dice.millis(300, 3_000);
    Membership::Hyparview(hyparview::Parameters {
        active_capacity: active,
        passive_capacity: active + dice.between(0, 24),
        active_walk_length: walk,
        passive_walk_length: dice.between(0, walk),
        shuffle_active: dice.between(0, 4),
        shuffle_passive: dice.between(1, 6),
        shuffle_walk_length: dice.between(1, 8),
        shuffle_interval: dice.millis(1_000, 10_000),
        reactive_shuffles: dice.between(0, 8),
        keepalive_interval,
        keepalive_misses: dice.between(2, 4),
        promotion_interval: promotion,
        reunion_interval: match story {
            Story::Cut => Some(keepalive_interval * dice.between(10, 15)),
            Story::Lone => None,
            _ => dice.chance(50).then(|| dice.millis(5_000, 40_000)),
        },
        // Above the longest round trip, with its jitter.
        request_timeout: dice.millis(4 * LONGEST_WAY_MS, 1_500),
        rejoin_pause: match story {
            // So that neither asks just before both are told.
            Story::Pair => dice.millis(5_000, 20_000),
            _ => dice.millis(1_000, 10_000),
        },
        contacts_capacity: if matches!(story, Story::Lone | Story::Cut) {
            8
        } else {
            dice.between(1, 8)
        },
    })
}

fn full_mesh(dice: &mut Dice, nodes: u32) -> Membership {
    // Now and then there is no room for all.
    let room = if dice.chance(15) { dice.between(2, nodes as usize + 2) } else { 400 };
    let contacts = dice.between(1, 8);
    Membership::FullMesh(full_mesh::Parameters {
        members_capacity: room.max(contacts),
        gossip_interval: dice.millis(500, 4_000),
        gossip_length: dice.between(8, 64),
        keepalive_interval: dice.millis(500, 3_000),
        keepalive_misses: dice.between(2, 4),
        request_timeout: dice.millis(4 * LONGEST_WAY_MS, 1_500),
        requests_capacity: dice.between(2, 64),
        redial_pause: dice.millis(2_000, 15_000),
        forget_after: if dice.chance(20) {
            dice.millis(20_000, 60_000)
        } else {
            dice.millis(600_000, 3_600_000)
        },
        contacts_capacity: contacts,
    })
}

/// Windows remember all broadcasts: a cut or a stopped process can hold any back.
fn broadcast(dice: &mut Dice, broadcasts: usize, flood: bool) -> Broadcast {
    let seen_capacity = broadcasts + 16 + dice.between(0, 200);
    if flood {
        return Broadcast::Flood(flood::Config { seen_capacity, ..flood::Config::default() });
    }
    let threshold = dice.chance(50).then(|| dice.between(1, 9));
    let graft_timeout = dice.millis(50, 800);
    Broadcast::Plumtree(plumtree::Parameters {
        graft_timeout,
        least_graft_timeout: dice.millis(5, 800).min(graft_timeout),
        // Above the longest round trip.
        graft_retry: dice.millis(3 * LONGEST_WAY_MS, 900),
        graft_attempts: dice.between(3, 8),
        mend_at_once: dice.chance(50),
        ihave_interval: if dice.chance(40) { Duration::ZERO } else { dice.millis(5, 100) },
        optimization_threshold: threshold,
        seen_capacity,
        payload_capacity: dice.between(16, seen_capacity),
        payload_bytes: 1 << 20,
        missing_capacity: dice.between(16, 200),
        ..plumtree::Parameters::default()
    })
}

fn regions(dice: &mut Dice) -> Vec<Region> {
    if !dice.chance(25) {
        return Vec::new();
    }
    let names = ["north", "east", "south", "west", "centre"];
    let count = dice.between(1, names.len());
    let region =
        |name: &&str| Region { name: (*name).to_owned(), weight: f64::from(dice.between(1, 4)) };
    names[..count].iter().map(region).collect()
}

fn links(dice: &mut Dice, gentle: bool, regions: &[Region]) -> Links {
    let ms = |time: Duration| Span(time);
    let latency = match dice.between(0, 2) {
        _ if !regions.is_empty() => {
            let mut row = || {
                let cells = regions
                    .iter()
                    .map(|_| RoundTrip(f64::from(dice.between(1, 2 * LONGEST_WAY_MS as u32))));
                cells.collect::<Vec<_>>()
            };
            LatencyModel::Regions { round_trips_ms: regions.iter().map(|_| row()).collect() }
        }
        0 => LatencyModel::Constant { time: ms(dice.millis(2, LONGEST_WAY_MS)) },
        1 => LatencyModel::Uniform {
            from: ms(dice.millis(2, 20)),
            to: ms(dice.millis(20, LONGEST_WAY_MS)),
        },
        _ => LatencyModel::LogNormal {
            median: ms(dice.millis(2, 20)),
            sigma: f64::from(dice.between(1, 6)) / 10.0,
        },
    };
    let harsh = |dice: &mut Dice, percent| !gentle && dice.chance(percent);
    Links {
        latency,
        jitter: dice.chance(25).then(|| Span(dice.millis(1, 50))),
        order: if dice.chance(60) { Order::Fifo } else { Order::Any },
        loss: if harsh(dice, 40) { dice.percent(1, 20) } else { Share::NONE },
        bursts: harsh(dice, 15).then(|| Bursts {
            share: dice.percent(1, 10),
            length: Span(dice.millis(50, 3_000)),
            loss: dice.percent(30, 100),
        }),
        duplicate: if harsh(dice, 15) { dice.percent(1, 10) } else { Share::NONE },
        reorder: harsh(dice, 15)
            .then(|| Reorder { share: dice.percent(1, 20), by: Span(dice.millis(1, 1_000)) }),
        bandwidth: dice.chance(15).then(|| Bandwidth {
            up: BitRate(1_000_000 * dice.between(20, 200)),
            down: BitRate(1_000_000 * dice.between(20, 200)),
            queue: Bytes(1 << 20),
        }),
    }
}

fn payload(dice: &mut Dice) -> Bytes {
    Bytes(if dice.chance(80) { 1_024 } else { dice.between(0, 16 << 10) })
}

/// What is broadcast while things go wrong.
fn load(dice: &mut Dice, until: Duration) -> Vec<Workload> {
    let most = until.as_millis() as u64;
    // Now and then more than fits any list.
    let flood = Workload {
        from: Span(dice.millis(0, most)),
        count: Some(300),
        pace: Pace::Rate(if dice.chance(50) { 100.0 } else { 10_000.0 }),
        sender: Sender::One,
        ..Workload::default()
    };
    let flood = dice.chance(4).then_some(flood);
    let count = dice.one_of(&[0, 1, 1, 2, 3]);
    let one = |_| Workload {
        send: None,
        from: Span(dice.millis(0, most)),
        until: None,
        count: Some(dice.between(1, 30)),
        pace: match dice.between(0, 2) {
            0 => Pace::Rate(f64::from(dice.between(1, 50))),
            1 => Pace::Poisson(f64::from(dice.between(1, 5))),
            _ => Pace::Pause(Span(dice.millis(100, 3_000))),
        },
        sender: if dice.chance(30) { Sender::One } else { Sender::Random },
        payload: payload(dice),
    };
    (0..count).map(one).chain(flood).collect()
}

fn finale(dice: &mut Dice) -> Workload {
    let (count, pace) = match dice.between(0, 2) {
        // Many at once.
        0 => (10, Pace::Rate(50.0)),
        1 => (12, Pace::Pause(Span::secs(2))),
        _ => (6, Pace::Pause(Span(FINALE / 6))),
    };
    Workload {
        count: Some(count),
        pace,
        sender: if dice.chance(50) { Sender::One } else { Sender::Random },
        payload: payload(dice),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_a_scenario_and_can_be_written() {
        for seed in 0..300 {
            let scenario = Plan::draw(seed, &[]).scenario();
            assert_eq!(scenario.check(), [], "seed {seed}");
            let text = scenario.to_toml().expect("TOML");
            let document =
                crate::experiment::scenario::Document::parse("drawn", &text).expect("TOML");
            let read =
                document.scenario().unwrap_or_else(|error| panic!("{seed}: {error}\n{text}"));
            assert_eq!(read, scenario, "seed {seed}\n{text}");
        }
    }

    #[test]
    fn much_is_tried_and_much_is_promised() {
        let plans: Vec<_> = (0..1_000).map(|seed| Plan::draw(seed, &[])).collect();
        let share = |of: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        assert!(share(&|plan| plan.promise.whole) > 600, "one overlay");
        assert!(share(&|plan| plan.promise.stays_whole) > 500, "at every moment");
        assert!(share(&|plan| plan.promise.complete) > 100, "a full mesh");
        assert!(share(&|plan| plan.storm.is_some()) > 30, "storms");
        assert!(share(&|plan| plan.promise.meets) > 20, "two that meet");
        assert!(share(&is_lone) > 20, "one cut off while many die");
        assert!(share(&|plan| plan.promise.reunites) > 50, "halves that meet again");
        assert!(share(&Plan::is_calm) > 5, "latecomers");
        assert!(share(&|plan| plan.promise.first.is_some()) > 20, "a first broadcast");
        assert!(share(&|plan| plan.promise.settled.is_some()) > 200, "a settled tree");
        assert!(share(&|plan| plan.promise.thrifty) > 5, "a still one");
        let mut kinds: Vec<_> =
            plans.iter().flat_map(|plan| plan.trouble.iter().map(|f| f.what.kind())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 14, "every kind but those that heal: {kinds:?}");
    }

    /// Whether everybody is told of others while one is cut off.
    fn is_lone(plan: &Plan) -> bool {
        let tells = |fault: &Fault| matches!(fault.what, What::Discover { .. });
        plan.trouble.iter().any(tells) && !plan.discovery
    }

    #[test]
    fn what_plans_are_drawn_with_is_there_more_often() {
        let drawn = |of: &dyn Fn(&Plan) -> bool, with: &[With]| {
            (0..500).filter(|seed| of(&Plan::draw(*seed, with))).count()
        };
        let has = |plan: &Plan, is: fn(&What) -> bool| plan.trouble.iter().any(|f| is(&f.what));
        let crowded = |plan: &Plan| has(plan, |w| matches!(w, What::Join { count: 20.., .. }));
        let recycled = |plan: &Plan| has(plan, |what| matches!(what, What::Recycle { .. }));
        for (of, with) in [
            (&(|plan: &Plan| plan.promise.meets) as &dyn Fn(&Plan) -> bool, With::Pairs),
            (&is_lone, With::Lone),
            (&|plan: &Plan| plan.promise.reunites, With::Cut),
            (&crowded, With::Crowds),
            (&recycled, With::Recycled),
            (&Plan::is_calm, With::Late),
        ] {
            let (others, own) =
                (drawn(of, &[With::HyParView]), drawn(of, &[With::HyParView, with]));
            assert!(others > 0, "without {with:?}, too");
            assert!(own as f64 > 1.3 * others as f64, "{with:?}: {own} of 500, {others} else");
        }
    }

    #[test]
    fn what_plans_are_always_drawn_with_is_always_there() {
        for seed in 0..200 {
            let with = |one| Plan::draw(seed, &[one]);
            let hyparview = with(With::HyParView).membership;
            assert!(matches!(hyparview, Membership::Hyparview(_)), "seed {seed}");
            let mesh = with(With::FullMesh).membership;
            assert!(matches!(mesh, Membership::FullMesh(_)), "seed {seed}");
            let plumtree = with(With::Plumtree).broadcast;
            assert!(matches!(plumtree, Broadcast::Plumtree(_)), "seed {seed}");
            assert!(with(With::AntiEntropy).anti_entropy.is_some(), "seed {seed}");
        }
    }
}
