//! A swarm's configuration and fate, drawn from a seed.

use std::fmt;
use std::time::Duration;

use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::hyparview;
use murmurate_simulator::matrix::Matrix;
use murmurate_simulator::network::Latency;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

/// Longest way between two nodes that a plan draws; log-normal latencies rarely exceed it.
const LONGEST_WAY_MS: u64 = 150;
/// There and back.
const ROUND_TRIP_MS: u64 = 2 * LONGEST_WAY_MS;

/// Everything about one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Nodes that start at the beginning.
    pub(crate) nodes: usize,
    /// Milliseconds between two starts; zero starts all at once.
    pub(crate) start_pause: u64,
    /// Contacts each node is told of.
    pub(crate) contacts: usize,
    pub(crate) membership: hyparview::Parameters,
    pub(crate) broadcast: Broadcast,
    pub(crate) latency: Latency,
    pub(crate) loss: f64,
    /// What happens, at which millisecond after the starts, in order.
    pub(crate) faults: Vec<(u64, Fault)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Broadcast {
    Plumtree(plumtree::Parameters),
    Flood(flood::Config),
}

/// Nodes are named by a random number modulo those that qualify.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Start {
        count: usize,
    },
    Crash(usize),
    Kill(usize),
    Restart(usize),
    Leave(usize),
    LeaveAndStay(usize),
    /// A share of the running nodes, in percent.
    MassFailure {
        percent: usize,
        kill: bool,
    },
    /// Splits off the nodes for which a hash with this salt is below the share.
    Cut {
        percent: u64,
        salt: u64,
        one_way: bool,
    },
    Heal,
    Loss(f64),
    Publish {
        node: usize,
        count: usize,
    },
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let rng = &mut SplitMix64::seed_from_u64(seed ^ 0x5357_4152_4d00);
        let nodes = if chance(rng, 20) { between(rng, 1, 6) } else { between(rng, 7, 80) };
        // Nothing else would find the other side again.
        let split = chance(rng, 40);
        let promotion = split || chance(rng, 50);
        let gentle = !promotion && chance(rng, 60);
        let mut faults = draw_faults(rng, split);
        faults.retain(|(_, fault)| !gentle || !fault.is_harsh());
        let published: usize = faults.iter().map(|(_, fault)| fault.published()).sum();
        Self {
            seed,
            nodes,
            start_pause: match gentle {
                true => rng.random_range(ROUND_TRIP_MS..2 * ROUND_TRIP_MS),
                false if chance(rng, 25) => 0,
                false => rng.random_range(1..400),
            },
            contacts: between(rng, 1, 4),
            membership: draw_membership(rng, nodes, promotion),
            broadcast: draw_broadcast(rng, published + 16),
            latency: draw_latency(rng),
            loss: if gentle || chance(rng, 50) { 0.0 } else { rng.random_range(0.0..0.2) },
            faults,
        }
    }

    /// How long after the last fault the overlay must be whole again: the dead are noticed, lists
    /// of dead candidates are worked off, the isolated try their contacts, and (each one, a few
    /// times) sides that forgot each other meet by promotion.
    pub(crate) fn patience(&self) -> Duration {
        let m = &self.membership;
        let notice = m.keepalive_interval * (u32::from(m.keepalive_misses) + 2);
        let candidates = m.request_timeout * (m.passive_capacity as u32 + 10);
        let promotions = m.promotion_interval.unwrap_or_default() * 12;
        notice + candidates + m.rejoin_pause * 3 + m.shuffle_interval * 10 + promotions
    }
}

/// In a few words; `Debug` has them all.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.membership;
        let (active, passive) = (m.active_capacity, m.passive_capacity);
        write!(f, "{} nodes, active {active}, passive {passive}, ", self.nodes)?;
        write!(f, "promotion {:?}", m.promotion_interval)
    }
}

impl Plan {
    /// Whether the overlay must be whole in the end.
    ///
    /// Sides that have full views and know nobody outside meet again by promotion and by nothing
    /// else; joins at once, loss and mass failures leave such sides now and then. And with two
    /// neighbours each an overlay is a set of rings, which every other exchange splits or joins.
    pub(crate) fn must_be_whole(&self) -> bool {
        let m = &self.membership;
        let gentle = self.loss == 0.0
            && self.start_pause >= ROUND_TRIP_MS
            && !self.faults.iter().any(|(_, fault)| fault.is_harsh());
        match m.promotion_interval {
            Some(_) => m.active_capacity >= 3,
            None => m.active_capacity >= 4 && gentle,
        }
    }

    /// Whether it must be whole at every moment then, so that no broadcast fails. With three
    /// neighbours an exchange can split it until the next one.
    pub(crate) fn must_stay_whole(&self) -> bool {
        self.must_be_whole() && self.membership.active_capacity >= 4
    }
}

impl Fault {
    fn is_harsh(&self) -> bool {
        matches!(self, Self::MassFailure { .. } | Self::Loss(_))
    }

    fn published(&self) -> usize {
        if let Self::Publish { count, .. } = self { *count } else { 0 }
    }
}

fn chance(rng: &mut impl Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

fn between(rng: &mut impl Rng, least: usize, most: usize) -> usize {
    rng.random_range(least..=most)
}

fn millis(rng: &mut impl Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}

fn draw_membership(rng: &mut impl Rng, nodes: usize, promotion: bool) -> hyparview::Parameters {
    let active = between(rng, 2, 8);
    let walk = between(rng, 1, 8) as u8;
    // Rare enough that moments without any exchange under way are not.
    let rare = 200 * nodes as u64;
    let promotion = promotion.then(|| millis(rng, 4_000 + rare, 20_000 + rare));
    let drawn = hyparview::Parameters {
        active_capacity: active,
        passive_capacity: active + between(rng, 0, 24),
        active_walk_length: walk,
        passive_walk_length: between(rng, 0, walk.into()) as u8,
        shuffle_active: between(rng, 0, 4),
        shuffle_passive: between(rng, 1, 6),
        shuffle_walk_length: between(rng, 1, 8) as u8,
        shuffle_interval: millis(rng, 1_000, 10_000),
        reactive_shuffles: between(rng, 0, 8) as u8,
        keepalive_interval: millis(rng, 300, 3_000),
        keepalive_misses: between(rng, 2, 4) as u8,
        promotion_interval: promotion,
        // Above the longest round trip.
        request_timeout: millis(rng, 3 * LONGEST_WAY_MS, 1_500),
        rejoin_pause: millis(rng, 1_000, 10_000),
        contacts_capacity: between(rng, 1, 8),
    };
    assert!(drawn.clone().check().is_ok(), "{drawn:?}");
    drawn
}

/// Windows remember at least `in_flight` broadcasts: all of them, because a cut can hold any back.
fn draw_broadcast(rng: &mut impl Rng, in_flight: usize) -> Broadcast {
    let seen_capacity = in_flight + between(rng, 0, 200);
    if chance(rng, 25) {
        return Broadcast::Flood(flood::Config { seen_capacity });
    }
    let threshold = chance(rng, 60).then(|| between(rng, 1, 9) as u16);
    let graft_timeout = millis(rng, 50, 800);
    let drawn = plumtree::Parameters {
        graft_timeout,
        least_graft_timeout: millis(rng, 5, 800).min(graft_timeout),
        graft_retry: millis(rng, ROUND_TRIP_MS, 600),
        graft_attempts: between(rng, 3, 8) as u8,
        mend_at_once: rng.random(),
        ihave_interval: if chance(rng, 40) { Duration::ZERO } else { millis(rng, 5, 100) },
        optimization_threshold: threshold,
        seen_capacity,
        payload_capacity: between(rng, 8, seen_capacity),
        payload_bytes: 1 << 20,
        missing_capacity: between(rng, 8, 200),
    };
    assert!(drawn.clone().check().is_ok(), "{drawn:?}");
    Broadcast::Plumtree(drawn)
}

fn draw_latency(rng: &mut impl Rng) -> Latency {
    match rng.random_range(0..4) {
        0 => Latency::Constant(millis(rng, 1, LONGEST_WAY_MS)),
        1 => Latency::Uniform(millis(rng, 1, 20), millis(rng, 20, LONGEST_WAY_MS)),
        2 => Latency::LogNormal { median: millis(rng, 2, 20), sigma: rng.random_range(0.1..0.7) },
        _ => Latency::Matrix(draw_matrix(rng)),
    }
}

fn draw_matrix(rng: &mut impl Rng) -> Matrix {
    let sites = between(rng, 1, 6);
    let mut row = || {
        let cells = (0..sites).map(|_| rng.random_range(1..ROUND_TRIP_MS).to_string());
        cells.collect::<Vec<_>>().join(",") + "\n"
    };
    let csv: String = (0..sites).map(|_| row()).collect();
    Matrix::from_csv(csv.as_bytes()).expect("a square of numbers")
}

fn draw_faults(rng: &mut impl Rng, split: bool) -> Vec<(u64, Fault)> {
    let span = rng.random_range(60_000..120_000);
    let count = between(rng, 0, 30);
    let mut faults: Vec<_> =
        (0..count).map(|_| (rng.random_range(0..span), draw_fault(rng))).collect();
    if split {
        for _ in 0..between(rng, 1, 3) {
            let cut = Fault::Cut {
                percent: rng.random_range(10..60),
                salt: rng.random(),
                one_way: chance(rng, 40),
            };
            let start = rng.random_range(0..span);
            faults.push((start, cut));
            if chance(rng, 70) {
                faults.push((start + rng.random_range(500..40_000), Fault::Heal));
            }
        }
    }
    faults.sort_by_key(|(time, _)| *time);
    faults
}

fn draw_fault(rng: &mut impl Rng) -> Fault {
    let node = rng.random_range(0..1_000);
    match rng.random_range(0..100) {
        0..=11 => Fault::Crash(node),
        12..=21 => Fault::Kill(node),
        22..=37 => Fault::Restart(node),
        38..=45 => Fault::Leave(node),
        46..=51 => Fault::LeaveAndStay(node),
        52..=56 => Fault::MassFailure { percent: between(rng, 10, 60), kill: chance(rng, 50) },
        57..=62 => Fault::Loss(if chance(rng, 50) { 0.0 } else { rng.random_range(0.0..0.2) }),
        63..=74 => Fault::Start { count: between(rng, 1, 8) },
        _ => Fault::Publish { node, count: between(rng, 1, 6) },
    }
}
