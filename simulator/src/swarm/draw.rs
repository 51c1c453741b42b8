//! Plans drawn from seeds.

use std::time::Duration;

use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::{full_mesh, hyparview};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use super::plan::{FINALE, Plan};
use super::promise::{Promise, ROUND_TRIP};
use crate::mutants::Mutant;
use crate::scenario::{
    Bandwidth, BitRate, Broadcast, Bursts, Bytes, Churn, Death, Fault, LatencyModel, Lengths,
    Links, Membership, Nodes, Order, Pace, Region, Reorder, RoundTrip, Sender, Share, Span, What,
    Who, Workload,
};

/// Longest way between two nodes that a plan draws, without jitter; log-normal latencies rarely
/// exceed it.
const LONGEST_WAY_MS: u64 = 150;

/// A source of choices.
struct Dice(SplitMix64);

impl Dice {
    fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn between<T>(&mut self, least: T, most: T) -> T
    where
        T: rand::distr::uniform::SampleUniform + PartialOrd,
    {
        self.0.random_range(least..=most)
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    /// Whole percents, so that what is written is what was drawn.
    fn percent(&mut self, least: u32, most: u32) -> Share {
        Share::new(f64::from(self.between(least, most)) / 100.0).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }
}

impl Plan {
    /// The plan of a seed. For a mutant the same draws, of the strategy that it is a bug of.
    #[must_use]
    pub fn draw(seed: u64, mutant: Option<Mutant>) -> Self {
        let dice = &mut Dice(SplitMix64::seed_from_u64(seed ^ 0x5357_4152_4d01));
        let mesh = dice.chance(20);
        let mesh = match mutant {
            Some(Mutant::HyParView(_)) => false,
            Some(Mutant::FullMesh(_)) => true,
            _ => mesh,
        };
        let count = match dice.chance(20) {
            true => dice.between(1, 6),
            false if mesh => dice.between(7, 30),
            false => dice.between(7, 80),
        };
        // Nothing else would find the other side again.
        let split = dice.chance(40);
        let promotion = split || dice.chance(50);
        let gentle = !promotion && dice.chance(60);
        let regions = regions(dice);
        let mut trouble = trouble(dice, gentle, split, &regions);
        trouble.sort_by_key(|fault| fault.at);
        let pause = match gentle {
            true => dice.between(ROUND_TRIP.as_millis() as u64, 600),
            false if dice.chance(25) => 0,
            false => dice.between(1, 400),
        };
        let joining = Duration::from_millis(pause * u64::from(count));
        let mut plan = Self {
            seed,
            nodes: Nodes {
                count,
                joining: Span(joining),
                contacts: dice.between(if gentle { 2 } else { 1 }, 4),
            },
            membership: match mesh {
                true => full_mesh(dice, count),
                false => hyparview(dice, count, promotion),
            },
            broadcast: Broadcast::default(),
            links: links(dice, gentle, &regions),
            regions,
            trouble,
            load: Vec::new(),
            peace: Duration::ZERO,
            newcomers: 2,
            discovery: true,
            patience: Duration::ZERO,
            finale: finale(dice),
            storm: dice.chance(30).then(|| dice.percent(5, 12)),
            promise: Promise::default(),
            mutant,
            end: None,
            only: None,
        };
        if gentle {
            let joined = plan.joined();
            plan.trouble.iter_mut().for_each(|fault| fault.at = Span(fault.at.0 + joined));
        }
        let over = plan.trouble.iter().map(end).max().unwrap_or_default() + Duration::from_secs(5);
        plan.peace = over.max(joining);
        plan.load = load(dice, plan.peace);
        let flood = dice.chance(25) && !matches!(mutant, Some(Mutant::Plumtree(_)));
        plan.broadcast = broadcast(dice, plan.broadcasts() as usize, flood);
        plan.patience = plan.patience();
        plan.promise = Promise::of(&plan);
        if !plan.promise.survives {
            plan.storm = None;
        }
        plan
    }
}

/// When a fault is over.
pub(super) fn end(fault: &Fault) -> Duration {
    let lasting = match &fault.what {
        What::Restart { over, .. } | What::Join { over, .. } => over.0,
        What::Leave { linger, .. } => linger.0,
        what => what.lasting().unwrap_or_default().0,
    };
    fault.at.0 + lasting
}

fn hyparview(dice: &mut Dice, nodes: u32, promotion: bool) -> Membership {
    let active = if dice.chance(3) { 1 } else { dice.between(2, 8) };
    let walk = dice.between(1u8, 8);
    // Rare enough that moments without any exchange under way are not.
    let rare = 200 * u64::from(nodes);
    let promotion = promotion.then(|| dice.millis(4_000 + rare, 20_000 + rare));
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
        keepalive_interval: dice.millis(300, 3_000),
        keepalive_misses: dice.between(2, 4),
        promotion_interval: promotion,
        // Above the longest round trip, with its jitter.
        request_timeout: dice.millis(4 * LONGEST_WAY_MS, 1_500),
        rejoin_pause: dice.millis(1_000, 10_000),
        contacts_capacity: dice.between(1, 8),
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
        return Broadcast::Flood(flood::Config { seen_capacity });
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

fn trouble(dice: &mut Dice, gentle: bool, split: bool, regions: &[Region]) -> Vec<Fault> {
    let span = dice.between(30_000, 90_000);
    let count = dice.between(0, 14);
    let fault = |at, what| Fault { at: Span(at), name: None, what };
    let mut trouble: Vec<_> = (0..count)
        .map(|_| {
            let at = dice.millis(0, span);
            fault(at, if gentle { gentle_fault(dice) } else { any_fault(dice) })
        })
        .collect();
    if split {
        for _ in 0..dice.between(1, 3) {
            let who = match dice.between(0, 2) {
                0 if !regions.is_empty() => {
                    Who::Region(regions[dice.between(0, regions.len() - 1)].name.clone())
                }
                1 => Who::Count(dice.between(1, 5)),
                _ => Who::Share(dice.percent(10, 60)),
            };
            let lasting = dice.chance(70).then(|| Span(dice.millis(500, 40_000)));
            let at = dice.millis(0, span);
            trouble.push(fault(at, What::Partition { who, one_way: dice.chance(40), lasting }));
        }
    }
    trouble
}

fn few(dice: &mut Dice, most: u32) -> Who {
    Who::Count(dice.between(1, most))
}

fn death(dice: &mut Dice) -> Death {
    dice.one_of(&[Death::Closed, Death::Reset, Death::Silent])
}

fn gentle_fault(dice: &mut Dice) -> What {
    let over = Span(ROUND_TRIP * 6);
    match dice.between(0, 3) {
        0 => What::Crash { who: few(dice, 1), notice: death(dice) },
        1 => What::Leave { who: few(dice, 1), linger: Span::default() },
        2 => What::Restart { who: few(dice, 2), disk: false, over },
        _ => What::Join { count: dice.between(1, 3), over },
    }
}

fn any_fault(dice: &mut Dice) -> What {
    let while_ = |dice: &mut Dice| Span(dice.millis(2_000, 25_000));
    match dice.between(0, 99) {
        0..=13 => What::Crash { who: few(dice, 4), notice: death(dice) },
        14..=19 => What::Crash { who: Who::Share(dice.percent(10, 60)), notice: death(dice) },
        20..=31 => {
            let linger = if dice.chance(50) { Span::default() } else { while_(dice) };
            What::Leave { who: few(dice, 3), linger }
        }
        32..=46 => What::Restart {
            who: few(dice, 6),
            disk: dice.chance(40),
            over: Span(dice.millis(0, 5_000)),
        },
        47..=52 => What::Recycle { who: few(dice, 3) },
        53..=64 => What::Join { count: dice.between(1, 8), over: Span(dice.millis(0, 5_000)) },
        65..=72 => {
            let how = churn(dice);
            let (lasting, notice) = (while_(dice), death(dice));
            What::Churn { lasting, how, notice, goodbye: dice.percent(0, 100) }
        }
        73..=78 => What::Flap {
            who: few(dice, 6),
            up: Span(dice.millis(500, 8_000)),
            down: Span(dice.millis(300, 6_000)),
            lasting: while_(dice),
        },
        79..=83 => What::Loss { share: dice.percent(0, 25) },
        84..=88 => What::Slow {
            who: few(dice, 4),
            times: f64::from(dice.between(10, 1_000)),
            work: Span(Duration::from_micros(20)),
            lasting: while_(dice),
        },
        89..=93 => What::Stall { who: few(dice, 5), lasting: while_(dice) },
        94..=96 => What::ClockDrift {
            who: few(dice, 5),
            rate: f64::from(dice.between(2, 50)) / 10.0,
            lasting: Some(while_(dice)),
        },
        _ => What::ClockJump { who: few(dice, 5), by: Span(dice.millis(500, 300_000)) },
    }
}

fn churn(dice: &mut Dice) -> Churn {
    if dice.chance(50) {
        return Churn::Poisson { share_per_minute: f64::from(dice.between(1, 20)) / 10.0 };
    }
    let lengths = |dice: &mut Dice, least, most| {
        let mean = Span(dice.millis(least, most));
        match dice.chance(50) {
            true => Lengths::Exponential { mean },
            false => Lengths::Weibull { mean, shape: f64::from(dice.between(4, 20)) / 10.0 },
        }
    };
    Churn::Sessions { up: lengths(dice, 5_000, 40_000), down: lengths(dice, 1_000, 15_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_a_scenario_and_can_be_written() {
        for seed in 0..300 {
            let scenario = Plan::draw(seed, None).scenario();
            assert_eq!(scenario.check(), [], "seed {seed}");
            let text = scenario.to_toml().expect("TOML");
            let document = crate::scenario::Document::parse("drawn", &text).expect("TOML");
            let read =
                document.scenario().unwrap_or_else(|error| panic!("{seed}: {error}\n{text}"));
            assert_eq!(read, scenario, "seed {seed}\n{text}");
        }
    }

    #[test]
    fn much_is_tried_and_much_is_promised() {
        let plans: Vec<_> = (0..1_000).map(|seed| Plan::draw(seed, None)).collect();
        let share = |of: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        assert!(share(&|plan| plan.promise.whole) > 600, "one overlay");
        assert!(share(&|plan| plan.promise.stays_whole) > 500, "at every moment");
        assert!(share(&|plan| plan.promise.complete) > 100, "a full mesh");
        let storms = share(&|plan| plan.storm.is_some());
        assert!(storms > 10, "{storms} storms");
        let mut kinds: Vec<_> =
            plans.iter().flat_map(|plan| plan.trouble.iter().map(|f| f.what.kind())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 13, "every kind but those that heal: {kinds:?}");
    }
}
