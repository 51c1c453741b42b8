//! The experiments of the papers, with their figures beside ours.
//!
//! Both papers measured on PeerSim with 10,000 nodes, no latency model and one step a hop; a cycle
//! is one shuffle of every node. Here a cycle is so long that the experiment between two cycles
//! falls into no cycle, and a hop takes a millisecond or two.

mod baselines;
mod hyparview;
mod plumtree;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use murmurate::membership::{Membership, Time};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use serde::Serialize;

use crate::engine::{SimStack, Simulation};

/// The papers' size; figures that depend on it are compared at this size only.
pub const NODES: usize = 10_000;

/// Cycles before an experiment starts.
const STABILISATION: u32 = 50;

/// A figure of a paper, ours, and what ours may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperFigure {
    /// The protocol it was measured of.
    pub protocol: &'static str,
    /// What was measured, in the paper's words.
    pub name: String,
    /// The paper's value, if it gives one.
    pub paper: Option<f64>,
    /// Ours, the mean over the seeds.
    pub ours: f64,
    /// The smallest value allowed; absent if it is only shown.
    pub low: Option<f64>,
    /// The largest value allowed; absent if it is only shown.
    pub high: Option<f64>,
}

impl PaperFigure {
    /// Whether our value is allowed.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.low.is_none_or(|low| self.ours >= low)
            && self.high.is_none_or(|high| self.ours <= high)
    }

    fn shown(name: impl Into<String>, paper: Option<f64>, ours: f64) -> Self {
        Self { protocol: "", name: name.into(), paper, ours, low: None, high: None }
    }

    fn within(name: impl Into<String>, paper: f64, tolerance: f64, ours: f64) -> Self {
        let (low, high) = (Some(paper - tolerance), Some(paper + tolerance));
        Self { low, high, ..Self::shown(name, Some(paper), ours) }
    }

    fn at_most(name: impl Into<String>, paper: Option<f64>, high: f64, ours: f64) -> Self {
        Self { high: Some(high), ..Self::shown(name, paper, ours) }
    }

    fn at_least(name: impl Into<String>, paper: Option<f64>, low: f64, ours: f64) -> Self {
        Self { low: Some(low), ..Self::shown(name, paper, ours) }
    }

    fn of(self, protocol: &'static str) -> Self {
        Self { protocol, ..self }
    }

    /// Only shown unless `holds`: for figures that depend on the number of nodes.
    fn checked_if(self, holds: bool) -> Self {
        if holds { self } else { Self { low: None, high: None, ..self } }
    }
}

/// One of the papers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// Leitão, Pereira, Rodrigues: HyParView, DSN 2007.
    HyParView,
    /// Leitão, Pereira, Rodrigues: Epidemic broadcast trees, SRDS 2007.
    Plumtree,
}

impl Paper {
    /// Runs its experiments with `nodes` nodes and the seeds 1 to `seeds`.
    ///
    /// # Errors
    /// None for the parameters used here; they are checked like all others.
    pub fn reproduce(
        self,
        nodes: usize,
        seeds: u64,
        progress: &Progress,
    ) -> Result<Vec<PaperFigure>, ExperimentError> {
        match self {
            Self::HyParView => {
                let mut figures = hyparview::hyparview(nodes, seeds, progress)?;
                figures.extend(baselines::baselines(nodes, seeds, progress)?);
                Ok(figures)
            }
            Self::Plumtree => {
                let figures = plumtree::plumtree(nodes, seeds, progress)?.into_iter();
                Ok(figures.map(|figure| figure.of("Plumtree")).collect())
            }
        }
    }

    /// Steps that [`Progress`] counts to.
    #[must_use]
    pub fn steps(self, seeds: u64) -> usize {
        let steps = match self {
            Self::HyParView => hyparview::STEPS + baselines::STEPS,
            Self::Plumtree => plumtree::STEPS,
        };
        steps.saturating_mul(usize::try_from(seeds).unwrap_or(usize::MAX))
    }
}

/// Why an experiment cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// Wrong parameters.
    #[error(transparent)]
    Parameters(#[from] murmurate::membership::ConfigError),
    /// A wrong network.
    #[error(transparent)]
    Network(#[from] crate::model::network::NetworkError),
}

/// Counts the work done, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress(AtomicUsize);

impl Progress {
    /// Experiments finished so far.
    pub fn done(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `experiment` for each seed from 1 on, two at a time, and hands back its results in order.
fn for_seeds<T: Send>(seeds: u64, experiment: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    let all: Vec<u64> = (1..=seeds).collect();
    let mut results = Vec::new();
    for chunk in all.chunks(threads) {
        std::thread::scope(|scope| {
            let running: Vec<_> = chunk
                .iter()
                .map(|&seed| {
                    let experiment = &experiment;
                    scope.spawn(move || experiment(seed))
                })
                .collect();
            for thread in running {
                match thread.join() {
                    Ok(result) => results.push(result),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    results
}

/// Joins `nodes` nodes one by one through the first, `apart`, and lets the overlay stabilise.
fn stable_overlay<P: SimStack>(
    mut sim: Simulation<P>,
    nodes: usize,
    apart: Duration,
    cycle: Duration,
) -> Simulation<P> {
    sim.start(&[]);
    for _ in 1..nodes {
        sim.run_until(sim.now().after(apart));
        sim.start(&[0]);
    }
    sim.run_until(Time::ZERO.after(cycle * STABILISATION));
    sim
}

/// Kills `percent` of the nodes for which `may_die` holds at once; returns the survivors.
fn mass_failure<P: SimStack>(
    sim: &mut Simulation<P>,
    percent: usize,
    seed: u64,
    may_die: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let mut nodes: Vec<usize> = sim.live_nodes().filter(|index| may_die(*index)).collect();
    nodes.shuffle(&mut SplitMix64::seed_from_u64(seed));
    for &index in &nodes[..sim.live() * percent / 100] {
        sim.kill(index);
    }
    sim.live_nodes().collect()
}

/// `count` publishers, each a random one of `nodes`.
fn publishers(nodes: &[usize], count: usize, seed: u64) -> impl Iterator<Item = usize> + '_ {
    let mut rng = SplitMix64::seed_from_u64(seed ^ 0x7075_626c);
    (0..count).map(move |_| nodes[rng.random_range(0..nodes.len())])
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(count.max(1))
}

/// Share of nodes with exactly `degree` neighbours.
fn share_at_degree<P: SimStack>(sim: &Simulation<P>, degree: usize) -> f64 {
    let at = sim
        .live_nodes()
        .filter_map(|index| sim.stack(index))
        .filter(|stack| stack.membership().active().len() == degree)
        .count();
    at as f64 / sim.live().max(1) as f64
}
