//! A world's configuration and fate, drawn from a seed.

use std::time::Duration;

use murmurate::channel::LaneLimits;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use super::world::{Conditions, Habits, KINDS};

/// Everything about one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// Pairs of nodes, by a random number modulo what there is.
    pub(crate) lanes: Vec<(usize, usize)>,
    pub(crate) limits: LaneLimits,
    pub(crate) conditions: Conditions,
    pub(crate) habits: Habits,
    /// What happens, at which millisecond, in order.
    pub(crate) steps: Vec<(u64, Step)>,
}

/// Nodes and lanes are named by a random number modulo those that there are.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Push { kind: usize, lane: usize, count: usize, bytes: usize },
    Restart(usize),
    Break(usize),
    Switch(usize),
    Forget(usize),
    Cut { to: usize, one_way: bool },
    Heal,
    Stop(usize),
    GoOn(usize),
    Loss(f64),
}

fn millis(rng: &mut SplitMix64, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let rng = &mut SplitMix64::seed_from_u64(seed ^ 0x6c61_6e65);
        let nodes = rng.random_range(2..=4);
        let relays = [0.0, 0.0, 1.0, rng.random_range(0.0..1.0)][rng.random_range(0..4)];
        let least = millis(rng, 1, 20);
        let conditions = Conditions {
            latency: (least, least + millis(rng, 0, 100)),
            loss: if rng.random_bool(0.3) { 0.0 } else { rng.random_range(0.0..0.4) },
            copies: rng.random_range(0.0..0.3),
            relays,
        };
        let most_work = if rng.random_bool(0.2) { 2_000 } else { 50 };
        let most_messages = if rng.random_bool(0.3) { 100 } else { 12 };
        let habits = Habits {
            unread: rng.random_range(1..=30),
            at_once: rng.random_range(1..=4),
            work: millis(rng, 0, most_work),
            sheds: rng.random(),
        };
        let limits = LaneLimits {
            messages: rng.random_range(1..=most_messages),
            bytes: rng.random_range(1..=2_000),
            timeout: millis(rng, 1_000, 20_000),
        };
        let lanes = (0..rng.random_range(1..=3)).map(|_| (rng.random(), rng.random()));
        let lanes = lanes.map(|(a, b): (u32, u32)| (a as usize, b as usize)).collect();
        let steps = Self::draw_steps(rng);
        Self { seed, nodes, lanes, limits, conditions, habits, steps }
    }

    fn draw_steps(rng: &mut SplitMix64) -> Vec<(u64, Step)> {
        let span = rng.random_range(5_000..30_000);
        let pushes = rng.random_range(20..100);
        let faults = rng.random_range(0..15);
        let mut steps: Vec<_> = (0..pushes + faults)
            .map(|at| {
                let what = if at < pushes { Self::push(rng) } else { Self::fault(rng) };
                (rng.random_range(0..span), what)
            })
            .collect();
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    fn push(rng: &mut SplitMix64) -> Step {
        let most = if rng.random_bool(0.2) { 40 } else { 4 };
        let count = rng.random_range(1..=most);
        let (kind, lane) = (rng.random_range(0..KINDS.len()), rng.random_range(0..60));
        Step::Push { kind, lane, count, bytes: rng.random_range(0..200) }
    }

    fn fault(rng: &mut SplitMix64) -> Step {
        let pick = rng.random_range(0..120);
        match rng.random_range(0..100) {
            0..=14 => Step::Restart(pick),
            15..=34 => Step::Break(pick),
            35..=44 => Step::Switch(pick),
            45..=54 => Step::Forget(pick),
            55..=69 => Step::Cut { to: pick, one_way: rng.random() },
            70..=79 => Step::Heal,
            80..=87 => Step::Stop(pick),
            88..=94 => Step::GoOn(pick),
            _ => Step::Loss(rng.random_range(0.0..0.7)),
        }
    }
}
