//! Churn: which nodes leave and come, and when.

use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::Time;
use rand::{Rng, RngExt as _, SeedableRng};
use rand_distr::{Distribution, Exp1, Gamma, Weibull};
use rand_xoshiro::SplitMix64;

use super::{Later, Plans, random_running};
use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Change, Churn, Lengths, SessionStart, read_trace};
use crate::model::network::mix;

/// The longest that a session or pause is drawn.
const LONGEST: f64 = 1e9;

/// Churn as it goes on.
#[derive(Debug)]
pub(super) struct Churning {
    how: Churn,
    until: Time,
    seed: u64,
    trace: Arc<[Change]>,
}

/// A step of churn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// A node goes and a new one comes.
    Replace,
    /// A node goes; counted.
    Go(usize, u32),
    /// A node comes back; counted.
    Come(usize, u32),
    /// The next line of a trace.
    Line(usize),
}

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happens {
    Nothing,
    Comes(usize),
    Goes(usize),
    /// It goes, and a new node joins.
    IsReplaced(usize),
}

impl Churning {
    pub(super) fn new(how: Churn, until: Time, seed: u64) -> Self {
        let trace = match &how {
            // That it can be read was checked with the scenario.
            Churn::Trace { file } => read_trace(file).unwrap_or_default(),
            _ => Vec::new(),
        };
        Self { how, until, seed, trace: trace.into() }
    }

    /// The first steps.
    pub(super) fn begin<P: SimStack>(&self, now: Time, sim: &Simulation<P>) -> Plans {
        match &self.how {
            Churn::Poisson { share_per_minute } => {
                let rng = &mut SplitMix64::seed_from_u64(self.seed);
                self.plan(now, pause(*share_per_minute, sim.live(), rng), Turn::Replace)
            }
            Churn::Sessions { up, .. } => {
                let first = |node| {
                    let lasts = match self.state_at_start(node) {
                        None => self.length(*up, node, 0),
                        Some(is_up) if is_up => self.rest(*up, node),
                        Some(_) => Duration::ZERO,
                    };
                    self.plan(now, lasts, Turn::Go(node, 0))
                };
                sim.live_nodes().flat_map(first).collect()
            }
            Churn::Trace { .. } => {
                let lines = self.trace.iter().enumerate();
                lines.flat_map(|(at, line)| self.plan(now, line.at, Turn::Line(at))).collect()
            }
        }
    }

    /// What happens at a step, and the next one.
    pub(super) fn turn<P: SimStack>(
        &self,
        now: Time,
        sim: &Simulation<P>,
        turn: Turn,
        rng: &mut impl Rng,
    ) -> (Plans, Happens) {
        match (&self.how, turn) {
            (Churn::Poisson { share_per_minute }, Turn::Replace) => {
                let goes = random_running(sim, rng);
                let next = pause(*share_per_minute, sim.live(), rng);
                let happens = goes.map_or(Happens::Nothing, Happens::IsReplaced);
                (self.plan(now, next, Turn::Replace), happens)
            }
            (Churn::Sessions { down, .. }, Turn::Go(node, times)) => {
                let back = match self.state_at_start(node) {
                    Some(false) if times == 0 => self.rest(*down, node),
                    _ => self.length(*down, node, 2 * times + 1),
                };
                (self.plan(now, back, Turn::Come(node, times)), Happens::Goes(node))
            }
            (Churn::Sessions { up, .. }, Turn::Come(node, times)) => {
                let next = self.length(*up, node, 2 * times + 2);
                (self.plan(now, next, Turn::Go(node, times + 1)), Happens::Comes(node))
            }
            (Churn::Trace { .. }, Turn::Line(line)) => {
                let happens = match self.trace.get(line) {
                    Some(change) if change.up => Happens::Comes(change.node),
                    Some(change) => Happens::Goes(change.node),
                    None => Happens::Nothing,
                };
                (Plans::new(), happens)
            }
            _ => (Plans::new(), Happens::Nothing),
        }
    }

    /// Nothing, if it lies behind the end.
    fn plan(&self, now: Time, after: Duration, turn: Turn) -> Plans {
        let at = now.after(after);
        if at < self.until { vec![(at, Later::Turn(turn))] } else { Plans::new() }
    }

    /// How long a node's session or pause of this number lasts.
    fn length(&self, lengths: Lengths, node: usize, times: u32) -> Duration {
        let seed = mix(self.seed ^ mix(node as u64) ^ u64::from(times) << 40);
        draw(lengths, &mut SplitMix64::seed_from_u64(seed))
    }

    /// Whether a node is up when stationary sessions begin.
    fn state_at_start(&self, node: usize) -> Option<bool> {
        let Churn::Sessions { up, down, start: SessionStart::Stationary } = &self.how else {
            return None;
        };
        let (up, down) = (mean(*up), mean(*down));
        Some(self.at_start(node, 1).random_bool((up / (up + down)).clamp(0.0, 1.0)))
    }

    /// How much is left of the session or pause that a node is in when stationary sessions begin.
    fn rest(&self, lengths: Lengths, node: usize) -> Duration {
        rest(lengths, &mut self.at_start(node, 2))
    }

    fn at_start(&self, node: usize, what: u64) -> SplitMix64 {
        SplitMix64::seed_from_u64(mix(self.seed ^ mix(node as u64).wrapping_add(what)))
    }
}

fn mean(lengths: Lengths) -> f64 {
    let (Lengths::Exponential { mean } | Lengths::Weibull { mean, .. }) = lengths;
    mean.0.as_secs_f64()
}

/// What is left of a length at a moment drawn from all of time: a share of one that is drawn as often as it
/// is long. Of a Weibull distribution with shape k the k-th powers of such ones follow Gamma(1 + 1/k).
fn rest(lengths: Lengths, rng: &mut impl Rng) -> Duration {
    let Lengths::Weibull { mean, shape } = lengths else {
        // What lasts has no memory.
        return draw(lengths, rng);
    };
    let scale = mean.0.as_secs_f64() / libm::tgamma(1.0 + 1.0 / shape);
    let power = Gamma::new(1.0 + 1.0 / shape, 1.0).map_or(1.0, |gamma| gamma.sample(rng));
    let seconds = rng.random::<f64>() * scale * power.powf(1.0 / shape);
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))
}

/// The time to the next departure of a Poisson process.
fn pause(share_per_minute: f64, nodes: usize, rng: &mut impl Rng) -> Duration {
    let a_second = share_per_minute * nodes.max(1) as f64 / 60.0;
    let unit: f64 = Exp1.sample(rng);
    Duration::from_secs_f64((unit / a_second).min(LONGEST))
}

fn draw(lengths: Lengths, rng: &mut impl Rng) -> Duration {
    let seconds = match lengths {
        Lengths::Exponential { mean } => {
            let unit: f64 = Exp1.sample(rng);
            unit * mean.0.as_secs_f64()
        }
        Lengths::Weibull { mean, shape } => {
            let scale = mean.0.as_secs_f64() / libm::tgamma(1.0 + 1.0 / shape);
            // The schema allows no shape that the distribution refuses.
            Weibull::new(scale, shape).map_or(0.0, |weibull| weibull.sample(rng))
        }
    };
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::scenario::Span;

    #[test]
    fn lengths_have_their_mean_and_their_shape() {
        let mean = Span::secs(100);
        // The share of sessions below a tenth of the mean: 1 − e^(−(0.1 Γ(1 + 1/k))^k).
        for (lengths, short) in [
            (Lengths::Exponential { mean }, 0.0952),
            (Lengths::Weibull { mean, shape: 0.5 }, 0.3606),
            (Lengths::Weibull { mean, shape: 2.0 }, 0.0078),
        ] {
            let rng = &mut SplitMix64::seed_from_u64(1);
            let drawn: Vec<f64> = (0..100_000).map(|_| draw(lengths, rng).as_secs_f64()).collect();
            let found = drawn.iter().sum::<f64>() / drawn.len() as f64;
            assert!((found - 100.0).abs() < 3.0, "{lengths:?}: a mean of {found} s");
            let found = drawn.iter().filter(|s| **s < 10.0).count() as f64 / drawn.len() as f64;
            assert!((found - short).abs() < 0.005, "{lengths:?}: {found} below 10 s");
        }
    }

    /// The mean rest is half the second moment in terms of the mean: for Weibull's distribution
    /// Γ(1 + 2/k) / (2 Γ(1 + 1/k)²) times the mean.
    #[test]
    fn what_is_left_of_lengths_has_its_mean() {
        let mean = Span::secs(100);
        for (lengths, expected) in [
            (Lengths::Exponential { mean }, 100.0),
            (Lengths::Weibull { mean, shape: 1.0 }, 100.0),
            (Lengths::Weibull { mean, shape: 0.5 }, 300.0),
            (Lengths::Weibull { mean, shape: 2.0 }, 63.66),
        ] {
            let rng = &mut SplitMix64::seed_from_u64(1);
            let drawn: f64 = (0..100_000).map(|_| rest(lengths, rng).as_secs_f64()).sum();
            let found = drawn / 100_000.0;
            assert!((found / expected - 1.0).abs() < 0.03, "{lengths:?}: a mean of {found} s");
        }
    }
}
