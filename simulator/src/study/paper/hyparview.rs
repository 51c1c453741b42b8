//! HyParView's experiments (DSN 2007; figures from the technical report TR-07-13).

use std::time::Duration;

use murmurate::broadcast::flood;
use murmurate::membership::hyparview::Parameters;

use super::{
    ExperimentError, NODES, PaperFigure, Progress, for_seeds, mass_failure, mean, publishers,
    share_at_degree, stable_overlay,
};
use crate::engine::stats::BroadcastStats;
use crate::engine::strategy::{self, Both};
use crate::engine::{Make, SimStack, Simulation};
use crate::model::network::{Latency, Network};
use crate::observe::overlay::{self, Overlay};

/// Percent of the nodes that fail, the paper's mean reliability in percent over 1,000 messages,
/// and by how much ours may differ.
pub(super) const FAILURES: [(usize, f64, f64); 10] = [
    (10, 100.0, 0.5),
    (20, 100.0, 0.5),
    (30, 100.0, 0.5),
    (40, 100.0, 0.5),
    (50, 100.0, 0.5),
    (60, 99.9, 0.5),
    (70, 99.9, 0.5),
    (80, 99.9, 0.5),
    (90, 99.7, 2.0),
    (95, 90.9, 2.9),
];
/// Percent that fail, and the cycles until reliability is back.
const HEALING: [(usize, f64); 9] = [
    (10, 1.0),
    (20, 1.0),
    (30, 1.0),
    (40, 1.0),
    (50, 1.0),
    (60, 2.0),
    (70, 1.0),
    (80, 2.0),
    (90, 3.0),
];
/// Reliability is back when a broadcast reaches this share of the living. The paper says no number;
/// its own mean after 90 % failed is 0.997.
const BACK: f64 = 0.99;
const MESSAGES: usize = 1_000;
/// Long enough for a broadcast and the repairs it sets off; a thousand of them fall into 0.02 % of
/// a cycle.
const APART: Duration = Duration::from_millis(200);
pub(super) const CYCLE: Duration = Duration::from_secs(1_000_000);

/// Experiments that [`Progress`] counts for each seed.
pub(super) const STEPS: usize = 2 + FAILURES.len() + HEALING.len();

/// Reproduces the paper's overlay and its reliability after mass failures.
///
/// # Errors
/// None for the parameters used here; they are checked like all others.
pub(super) fn hyparview(
    nodes: usize,
    seeds: u64,
    progress: &Progress,
) -> Result<Vec<PaperFigure>, ExperimentError> {
    let flood = flood::Parameters { seen_capacity: 64, ..Default::default() };
    let make = strategy::nodes(parameters(), flood)?;
    let network = |seed| Network::new(seed, Latency::Constant(Duration::from_millis(1)), 0.0);
    network(0)?;
    let runs = for_seeds(seeds, |seed| {
        network(seed).ok().map(|network| run(nodes, seed, make.clone(), network, progress))
    });
    Ok(figures(nodes, &runs.into_iter().flatten().collect::<Vec<_>>()))
}

/// Our defaults, which hold the paper's values, with the shuffle interval as the cycle. The paper never
/// tries failed peers again.
fn parameters() -> Parameters {
    let defaults = Parameters::default();
    let cycles = |time: Duration| time.div_duration_f64(defaults.shuffle_interval);
    Parameters {
        shuffle_interval: CYCLE,
        keepalive_interval: CYCLE,
        reunion_interval: None,
        promotion_interval: defaults.promotion_interval.map(|time| CYCLE.mul_f64(cycles(time))),
        ..defaults
    }
}

/// What one seed gave.
struct Run {
    overlay: Overlay,
    at_degree_5: f64,
    hops: f64,
    /// For each of [`FAILURES`]: the mean reliability in percent, and that of the first messages.
    reliability: Vec<(f64, Vec<f64>)>,
    /// For each of [`HEALING`]: the cycles.
    healing: Vec<f64>,
}

type Nodes = Both<Parameters, flood::Parameters>;

fn run(nodes: usize, seed: u64, make: Make<Nodes>, network: Network, progress: &Progress) -> Run {
    let sim = Simulation::new(seed, network, make);
    let sim = stable_overlay(sim, nodes, Duration::from_millis(30), CYCLE);
    progress.step();
    let overlay = overlay::measure(&sim);
    let at_degree_5 = share_at_degree(&sim, 5);
    let all: Vec<usize> = sim.live_nodes().collect();
    let mut stable = sim.clone();
    broadcast(&mut stable, publishers(&all, 100, seed));
    let hops = stable.stats().mean(0, |b| f64::from(b.last_hop)).unwrap_or(0.0);
    progress.step();
    let reliability = FAILURES.iter().map(|(percent, ..)| {
        let sim = reliability(&sim, *percent, seed);
        progress.step();
        let first = sim.stats().broadcasts.iter().take(5).map(|b| 100.0 * b.reliability());
        (100.0 * sim.stats().mean(0, BroadcastStats::reliability).unwrap_or(0.0), first.collect())
    });
    let reliability = reliability.collect();
    let healing = HEALING.iter().map(|(percent, _)| {
        let cycles = healing(sim.clone(), *percent, seed);
        progress.step();
        cycles
    });
    Run { overlay, at_degree_5, hops, reliability, healing: healing.collect() }
}

/// Fails a share of the nodes, and has random survivors publish.
pub(super) fn reliability<P: SimStack>(
    sim: &Simulation<P>,
    percent: usize,
    seed: u64,
) -> Simulation<P> {
    let mut sim = sim.clone();
    let alive = mass_failure(&mut sim, percent, seed, |_| true);
    broadcast(&mut sim, publishers(&alive, MESSAGES, seed));
    sim
}

pub(super) fn broadcast<P: SimStack>(
    sim: &mut Simulation<P>,
    publishers: impl Iterator<Item = usize>,
) {
    for publisher in publishers {
        sim.publish(publisher);
        sim.run_until(sim.now().after(APART));
    }
}

/// Cycles after a failure until a broadcast reaches [`BACK`] of the living; at most ten.
fn healing(mut sim: Simulation<Nodes>, percent: usize, seed: u64) -> f64 {
    let failed = sim.now();
    let alive = mass_failure(&mut sim, percent, seed, |_| true);
    let mut publishers = publishers(&alive, 11, seed);
    for cycle in 0..10 {
        let publisher = publishers.next();
        let id = publisher.and_then(|index| sim.publish(index));
        sim.run_until(sim.now().after(APART));
        let reached = id.and_then(|id| sim.stats().broadcasts.get(id as usize).copied());
        if reached.is_some_and(|broadcast| broadcast.reliability() >= BACK) {
            return f64::from(cycle);
        }
        sim.run_until(failed.after(CYCLE * (cycle + 1)));
    }
    10.0
}

fn figures(nodes: usize, runs: &[Run]) -> Vec<PaperFigure> {
    let paper_size = nodes == NODES;
    let overlay = |of: fn(&Overlay) -> f64| mean(runs.iter().map(|run| of(&run.overlay)));
    let mut figures = vec![
        PaperFigure::at_most(
            "clustering coefficient",
            Some(0.00092),
            0.0017,
            overlay(|o| o.clustering),
        )
        .checked_if(paper_size),
        PaperFigure {
            low: Some(6.30),
            high: Some(6.45),
            ..PaperFigure::shown(
                "average shortest path",
                Some(6.38542),
                overlay(|o| o.average_shortest_path),
            )
        }
        .checked_if(paper_size),
        PaperFigure::at_least(
            "nodes at degree 5, %",
            Some(99.78),
            99.7,
            100.0 * mean(runs.iter().map(|run| run.at_degree_5)),
        ),
        PaperFigure::at_most("asymmetric links", None, 0.0, overlay(|o| o.asymmetric_links as f64)),
        PaperFigure::within("components", 1.0, 0.0, overlay(|o| o.components as f64)),
        PaperFigure::shown(
            "hops to the last delivery",
            Some(9.0),
            mean(runs.iter().map(|r| r.hops)),
        ),
    ];
    for (at, (percent, paper, tolerance)) in FAILURES.into_iter().enumerate() {
        let ours = mean(runs.iter().map(|run| run.reliability[at].0));
        let name = format!("reliability after {percent} % failed, %");
        figures.push(match percent {
            95 => PaperFigure::at_least(name, Some(paper), 88.0, ours),
            _ => PaperFigure::within(name, paper, tolerance, ours),
        });
    }
    for (percent, paper) in
        [(40, [98.7, 100.0]), (60, [55.1, 99.4]), (70, [13.0, 96.5]), (80, [1.6, 81.5])]
    {
        let at = FAILURES.iter().position(|failure| failure.0 == percent).unwrap_or(0);
        for (message, paper) in paper.into_iter().enumerate() {
            let first = runs.iter().filter_map(|run| run.reliability[at].1.get(message));
            let name = format!("  message {} after {percent} % failed, %", message + 1);
            figures.push(PaperFigure::shown(name, Some(paper), mean(first.copied())));
        }
    }
    for (at, (percent, paper)) in HEALING.into_iter().enumerate() {
        let ours = mean(runs.iter().map(|run| run.healing[at]));
        let name = format!("cycles to heal after {percent} % failed");
        figures.push(PaperFigure::at_most(name, Some(paper), paper, ours));
    }
    figures.into_iter().map(|figure| figure.of("HyParView")).collect()
}
