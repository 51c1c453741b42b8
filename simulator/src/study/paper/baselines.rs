//! The protocols that HyParView's paper compares it with (DSN 2007; figures from the technical report
//! TR-07-13). All broadcast by random gossip with a fanout of 4.

use std::time::Duration;

use murmurate::broadcast::gossip;
use murmurate::membership::{MembershipStrategy, cyclon, scamp};

use super::hyparview::{CYCLE, FAILURES, broadcast, reliability};
use super::{
    ExperimentError, NODES, PaperFigure, Progress, for_seeds, mean, publishers, stable_overlay,
};
use crate::engine::stats::BroadcastStats;
use crate::engine::strategy::{self, Both, SimMembership};
use crate::engine::{Make, Simulation};
use crate::model::network::{Latency, Network};
use crate::model::node::SimPeer;
use crate::observe::overlay::{self, Overlay};

/// What the paper says of a protocol.
struct Expected {
    name: &'static str,
    overlay: Option<OfOverlay>,
    /// For each of [`FAILURES`]: the mean reliability in percent, and by how much ours may differ.
    reliability: [(f64, f64); FAILURES.len()],
}

/// A figure of the paper, and by how much ours may differ, unless it is only shown.
type Figure = (f64, Option<f64>);

/// Its overlay once it is stable.
struct OfOverlay {
    clustering: Figure,
    average_shortest_path: Figure,
    hops: Figure,
}

const CYCLON: Expected = Expected {
    name: "Cyclon",
    overlay: Some(OfOverlay {
        clustering: (0.006836, Some(0.0005)),
        average_shortest_path: (2.60426, Some(0.01)),
        hops: (10.6, Some(0.5)),
    }),
    reliability: [
        (97.4, 1.0),
        (96.6, 1.5),
        (92.6, 1.5),
        (85.9, 1.5),
        (73.4, 2.0),
        (50.2, 3.0),
        (11.8, 4.0),
        (0.2, 0.2),
        (0.2, 0.2),
        (0.3, 0.2),
    ],
};

const CYCLON_ACKED: Expected = Expected {
    name: "CyclonAcked",
    overlay: None,
    reliability: [
        (98.4, 0.5),
        (98.3, 0.5),
        (98.4, 0.5),
        (98.3, 0.5),
        (98.1, 0.5),
        (98.1, 0.5),
        (96.9, 1.0),
        (46.4, 15.0),
        (0.2, 0.2),
        (0.3, 0.2),
    ],
};

const SCAMP: Expected = Expected {
    name: "SCAMP",
    overlay: Some(OfOverlay {
        clustering: (0.022476, None),
        average_shortest_path: (3.35398, None),
        hops: (14.1, Some(1.5)),
    }),
    reliability: [
        (94.7, 1.5),
        (92.3, 1.5),
        (88.1, 2.0),
        (80.2, 2.5),
        (65.5, 3.0),
        (39.8, 4.0),
        (4.2, 4.0),
        (0.2, 0.2),
        (0.2, 0.2),
        (0.3, 0.2),
    ],
};

/// Experiments that [`Progress`] counts for each seed.
pub(super) const STEPS: usize = 3 * (2 + FAILURES.len());

/// Reproduces what the paper says of the other protocols.
///
/// # Errors
/// None for the parameters used here; they are checked like all others.
pub(super) fn baselines(
    nodes: usize,
    seeds: u64,
    progress: &Progress,
) -> Result<Vec<PaperFigure>, ExperimentError> {
    let acked = cyclon::Parameters { acknowledged: true, ..of_cyclon() };
    let mut figures = of(&CYCLON, of_cyclon(), (nodes, seeds), progress)?;
    figures.extend(of(&CYCLON_ACKED, acked, (nodes, seeds), progress)?);
    figures.extend(of(&SCAMP, of_scamp(), (nodes, seeds), progress)?);
    Ok(figures)
}

/// Our defaults, which hold the paper's values, with the shuffle interval as the cycle.
fn of_cyclon() -> cyclon::Parameters {
    cyclon::Parameters { shuffle_interval: CYCLE, ..Default::default() }
}

/// Our defaults, with the paper's c. It does not say how long a lease is; here none ends before the
/// experiment.
fn of_scamp() -> scamp::Parameters {
    scamp::Parameters { heartbeat_interval: CYCLE, lease: CYCLE * 1_000, ..Default::default() }
}

/// What one seed gave.
struct Run {
    overlay: Option<Overlay>,
    hops: f64,
    reliability: Vec<f64>,
}

type Nodes<M> = Both<M, gossip::Parameters>;

fn of<M>(
    expected: &Expected,
    membership: M,
    (nodes, seeds): (usize, u64),
    progress: &Progress,
) -> Result<Vec<PaperFigure>, ExperimentError>
where
    M: MembershipStrategy<Membership<SimPeer>: SimMembership>,
{
    let gossip = gossip::Parameters { seen_capacity: 64, ..Default::default() };
    let make = strategy::nodes(membership, gossip)?;
    let network = |seed| Network::new(seed, Latency::Constant(Duration::from_millis(1)), 0.0);
    network(0)?;
    let with_overlay = expected.overlay.is_some();
    let runs = for_seeds(seeds, |seed| {
        let network = network(seed).ok()?;
        Some(run::<M>(nodes, seed, (make.clone(), network, with_overlay), progress))
    });
    Ok(figures(nodes, expected, &runs.into_iter().flatten().collect::<Vec<_>>()))
}

fn run<M>(
    nodes: usize,
    seed: u64,
    (make, network, with_overlay): (Make<Nodes<M>>, Network, bool),
    progress: &Progress,
) -> Run
where
    M: MembershipStrategy<Membership<SimPeer>: SimMembership>,
{
    let sim = Simulation::new(seed, network, make);
    let sim = stable_overlay(sim, nodes, Duration::from_millis(30), CYCLE);
    progress.step();
    let overlay = with_overlay.then(|| overlay::measure(&sim));
    let all: Vec<usize> = sim.live_nodes().collect();
    let mut stable = sim.clone();
    broadcast(&mut stable, publishers(&all, 100, seed));
    let hops = stable.stats().mean(0, |b: &BroadcastStats| f64::from(b.last_hop)).unwrap_or(0.0);
    progress.step();
    let reliability = FAILURES.iter().map(|(percent, ..)| {
        let sim = reliability(&sim, *percent, seed);
        progress.step();
        100.0 * sim.stats().mean(0, BroadcastStats::reliability).unwrap_or(0.0)
    });
    let reliability = reliability.collect();
    Run { overlay, hops, reliability }
}

fn figures(nodes: usize, expected: &Expected, runs: &[Run]) -> Vec<PaperFigure> {
    let paper_size = nodes == NODES;
    let of = |what: &str, (paper, tolerance): Figure, ours: f64| {
        let figure = match tolerance {
            Some(tolerance) => PaperFigure::within(what, paper, tolerance, ours),
            None => PaperFigure::shown(what, Some(paper), ours),
        };
        figure.of(expected.name)
    };
    let mut figures = Vec::new();
    if let Some(papers) = &expected.overlay {
        let mean_of = |of: fn(&Overlay) -> f64| {
            mean(runs.iter().filter_map(|run| run.overlay.as_ref()).map(of))
        };
        let (clustering, path) = (mean_of(|o| o.clustering), mean_of(|o| o.average_shortest_path));
        let hops = mean(runs.iter().map(|run| run.hops));
        figures.extend([
            of("clustering coefficient", papers.clustering, clustering).checked_if(paper_size),
            of("average shortest path", papers.average_shortest_path, path).checked_if(paper_size),
            of("hops to the last delivery", papers.hops, hops).checked_if(paper_size),
        ]);
    }
    for (at, (percent, ..)) in FAILURES.into_iter().enumerate() {
        let ours = mean(runs.iter().map(|run| run.reliability[at]));
        let what = format!("reliability after {percent} % failed, %");
        let (paper, tolerance) = expected.reliability[at];
        figures.push(of(&what, (paper, Some(tolerance)), ours).checked_if(paper_size));
    }
    figures
}
