//! The experiment behind `murmurate-sim run`: join, settle, broadcast, fail, broadcast again.

use std::num::NonZeroUsize;
use std::time::Duration;

use murmurate::membership::Time;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use serde::Serialize;

use crate::check;
use crate::engine::{Make, SimBroadcast, SimMembership, Simulation};
use crate::network::{Latency, Network, NetworkError};
use crate::overlay::{self, Overlay};
use crate::stats::Broadcast;

/// Nodes join evenly over this time.
const JOINING: Duration = Duration::from_secs(10);
/// Then the overlay settles.
const SETTLING: Duration = Duration::from_secs(30);
/// Time between two broadcasts.
const APART: Duration = Duration::from_millis(100);
/// Time for the last broadcasts to arrive.
const ARRIVING: Duration = Duration::from_secs(10);
/// Earlier nodes that a node joins through.
const CONTACTS: usize = 3;

/// What to do.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// How many nodes; at least one.
    pub nodes: usize,
    /// What every random choice follows from.
    pub seed: u64,
    /// Broadcasts, each from a random node.
    pub messages: usize,
    /// Percent of the nodes that fail at once after the broadcasts; then there are as many again.
    pub fail: f64,
    /// How long messages travel.
    pub latency: Latency,
    /// Share of messages that the network loses, 0 to 1.
    pub loss: f64,
    /// Threads it runs on. What is measured does not depend on them.
    pub threads: NonZeroUsize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Before the failure, or in all.
    #[serde(flatten)]
    pub before: Phase,
    /// After the failure, if there was one.
    pub after_failure: Option<Phase>,
    /// Events handled.
    pub events: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Messages sent, by kind.
    pub messages: Vec<Sent>,
    /// The most events that were under way at a time.
    pub peak_pending: usize,
    /// Virtual seconds.
    pub simulated_seconds: f64,
    /// Proves that two runs were equal, as hexadecimal digits.
    pub digest: String,
}

/// The broadcasts of a phase, and the overlay at its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Mean share of the running nodes that a broadcast reached; absent without broadcasts.
    pub reliability: Option<f64>,
    /// Mean relative message redundancy.
    pub rmr: Option<f64>,
    /// Mean last delivery hop.
    pub ldh: Option<f64>,
    /// From publish to delivery.
    pub latency_seconds: Quantiles,
    /// The overlay at the end of the phase.
    #[serde(flatten)]
    pub overlay: Overlay,
}

/// Quantiles in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// All but a hundredth lie below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// Messages of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// As metrics label it.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Their bytes, without transport overhead.
    pub bytes: u64,
}

impl Experiment {
    /// How long it takes in virtual time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let phase = APART * u32::try_from(self.messages).unwrap_or(u32::MAX) + ARRIVING;
        JOINING + SETTLING + if self.fail > 0.0 { phase * 2 } else { phase }
    }

    /// Runs it on nodes that `make` makes, and tells `progress` the virtual time now and then.
    ///
    /// # Errors
    /// If latency or loss are out of their range; nothing was run.
    pub fn run<M: SimMembership, B: SimBroadcast>(
        &self,
        make: Make<M, B>,
        mut progress: impl FnMut(Time),
    ) -> Result<Outcome, NetworkError> {
        let network = Network::new(self.seed, self.latency.clone(), self.loss)?;
        let mut rng = SplitMix64::seed_from_u64(self.seed ^ 0x6578_7065);
        let mut sim = Simulation::on_threads(self.threads, self.seed, network, make);
        for index in 0..self.nodes {
            let share = index as f64 / self.nodes as f64;
            sim.run_until(Time::ZERO.after(JOINING.mul_f64(share)));
            progress(sim.now());
            let contacts: Vec<usize> =
                (0..CONTACTS.min(index)).map(|_| rng.random_range(0..index)).collect();
            sim.start(&contacts);
        }
        let settled = Time::ZERO.after(JOINING + SETTLING);
        while sim.now() < settled {
            sim.run_until(sim.now().after(Duration::from_secs(1)).min(settled));
            progress(sim.now());
        }
        let before = self.phase(&mut sim, &mut rng, &mut progress);
        let after_failure = (self.fail > 0.0).then(|| {
            let mut nodes: Vec<usize> = sim.live_nodes().collect();
            nodes.shuffle(&mut rng);
            let failing = (nodes.len() as f64 * self.fail / 100.0).round() as usize;
            for index in nodes.into_iter().take(failing) {
                sim.kill(index);
            }
            self.phase(&mut sim, &mut rng, &mut progress)
        });
        Ok(outcome(&sim, before, after_failure))
    }

    /// Broadcasts from random running nodes, and measures.
    fn phase<M: SimMembership, B: SimBroadcast>(
        &self,
        sim: &mut Simulation<M, B>,
        rng: &mut SplitMix64,
        progress: &mut impl FnMut(Time),
    ) -> Phase {
        sim.clear_latencies();
        let first = sim.stats().broadcasts.len();
        let live: Vec<usize> = sim.live_nodes().collect();
        for _ in 0..self.messages {
            if !live.is_empty() {
                sim.publish(live[rng.random_range(0..live.len())]);
            }
            sim.run_until(sim.now().after(APART));
            progress(sim.now());
        }
        sim.run_until(sim.now().after(ARRIVING));
        progress(sim.now());
        debug_assert_eq!(check::safety(sim), Ok(()));
        let stats = sim.stats();
        let quantile = |quantile| stats.latency_quantile(quantile).as_secs_f64();
        Phase {
            reliability: stats.mean(first, Broadcast::reliability),
            rmr: stats.mean(first, Broadcast::rmr),
            ldh: stats.mean(first, |broadcast| f64::from(broadcast.last_hop)),
            latency_seconds: Quantiles {
                p50: quantile(0.5),
                p99: quantile(0.99),
                max: stats.latency_max().as_secs_f64(),
            },
            overlay: overlay::measure(sim),
        }
    }
}

fn outcome<M: SimMembership, B: SimBroadcast>(
    sim: &Simulation<M, B>,
    before: Phase,
    after_failure: Option<Phase>,
) -> Outcome {
    let stats = sim.stats();
    let sent =
        |kind: &crate::stats::Kind| Sent { kind: kind.name, count: kind.count, bytes: kind.bytes };
    Outcome {
        before,
        after_failure,
        events: stats.events,
        lost: stats.lost,
        messages: stats.messages.iter().map(sent).collect(),
        peak_pending: sim.peak_pending(),
        simulated_seconds: sim.now().since(Time::ZERO).as_secs_f64(),
        digest: format!("{:016x}", stats.digest),
    }
}
