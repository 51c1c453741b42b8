//! Plumtree's experiments (SRDS 2007; figures from the technical report TR-07-14).

use std::time::Duration;

use murmurate::broadcast::flood;
use murmurate::broadcast::plumtree::Parameters;
use murmurate::membership::hyparview;

use super::{
    ExperimentError, NODES, PaperFigure, Progress, for_seeds, mass_failure, mean, publishers,
    stable_overlay,
};
use crate::engine::stats::{BroadcastStats, Stats};
use crate::engine::strategy::{self, Both};
use crate::engine::{SimStack, Simulation};
use crate::model::network::{Latency, Network};

/// A sender (or all of them), a threshold, and what the paper measured at cycle 100 and 50 to 100.
struct Variant {
    name: &'static str,
    threshold: Option<u16>,
    single: bool,
    control: f64,
    ldh: f64,
    ldh_checked: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant {
        name: "single sender",
        threshold: None,
        single: true,
        control: 29_987.0,
        ldh: 10.0,
        ldh_checked: true,
    },
    Variant {
        name: "many senders",
        threshold: None,
        single: false,
        control: 29_990.0,
        ldh: 59.4,
        ldh_checked: false,
    },
    Variant {
        name: "optimised, single sender",
        threshold: Some(3),
        single: true,
        control: 29_989.0,
        ldh: 8.3,
        ldh_checked: true,
    },
    Variant {
        name: "optimised, many senders",
        threshold: Some(7),
        single: false,
        control: 38_976.0,
        ldh: 17.2,
        ldh_checked: false,
    },
];
/// RMR of the single sender's broadcasts from the bootstrap on.
const BOOTSTRAP: [f64; 5] = [2.03, 0.89, 0.04, 0.017, 0.009];
/// Percent that fail, the RMR of the broadcasts of cycles 0 to 3, and the reliability of the first
/// message over the same overlay (from the HyParView paper).
const FAILURES: [(usize, [f64; 4], f64); 3] = [
    (40, [0.20, 1.89, 0.05, 0.01], 0.987),
    (60, [0.05, 2.26, 0.12, 0.02], 0.551),
    (80, [0.0, 2.0, 0.36, 0.04], 0.016),
];
/// Failures drawn for each percentage and seed.
const DRAWS: u64 = 20;
/// The sender was cut off if its broadcast at the failure reached no more than this share.
const CUT_OFF: f64 = 0.05;
const CYCLE: Duration = Duration::from_secs(1_000);
const BROADCASTS: u32 = 101;

/// Experiments that [`Progress`] counts for each seed.
pub(super) const STEPS: usize = VARIANTS.len() + 1 + FAILURES.len();

/// Reproduces the paper's trees, their redundancy and their repair.
///
/// # Errors
/// None for the parameters used here; they are checked like all others.
pub(super) fn plumtree(
    nodes: usize,
    seeds: u64,
    progress: &Progress,
) -> Result<Vec<PaperFigure>, ExperimentError> {
    membership().check()?;
    broadcast(None).check()?;
    network(0)?;
    let runs = for_seeds(seeds, |seed| run(nodes, seed, progress));
    let runs = runs.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(figures(nodes, &runs))
}

/// The paper has no exchange, which would move links while the tree stands, and no extra shuffle, which
/// would fill more slots with eager links at once.
fn membership() -> hyparview::Parameters {
    hyparview::Parameters {
        shuffle_interval: CYCLE,
        keepalive_interval: CYCLE,
        promotion_interval: None,
        reunion_interval: None,
        reactive_shuffles: 0,
        ..hyparview::Parameters::default()
    }
}

/// Announcements go out at once, and the tree is mended by them alone; the timers are long against the latency.
fn broadcast(threshold: Option<u16>) -> Parameters {
    Parameters {
        graft_timeout: Duration::from_millis(100),
        least_graft_timeout: Duration::from_millis(100),
        graft_retry: Duration::from_millis(20),
        graft_attempts: 8,
        mend_at_once: false,
        ihave_interval: Duration::ZERO,
        optimization_threshold: threshold,
        seen_capacity: 64,
        payload_capacity: 64,
        ..Parameters::default()
    }
}

/// Hops differ a little, or a first broadcast would leave the tree of shortest paths, which no
/// real network does. A failure is noticed after the broadcast in which it happens.
fn network(seed: u64) -> Result<Network, ExperimentError> {
    let latency = Latency::Uniform(Duration::from_micros(1_000), Duration::from_micros(1_700));
    let mut network = Network::new(seed, latency, 0.0)?;
    network.set_reset_delay(Duration::from_secs(10));
    Ok(network)
}

/// What one seed gave.
struct Run {
    variants: Vec<Stable>,
    flood_payloads: f64,
    /// For each of [`FAILURES`]: what each draw gave.
    failures: Vec<Vec<Repair>>,
}

/// What one failure did.
struct Repair {
    /// RMR of the broadcasts of cycles 0 to 3.
    rmr: [f64; 4],
    /// Share of the living that the broadcast at the failure reached.
    reached: f64,
}

/// What one variant gave in an overlay without faults.
struct Stable {
    payloads: f64,
    control: f64,
    rmr: Vec<f64>,
    ldh: f64,
}

fn run(nodes: usize, seed: u64, progress: &Progress) -> Result<Run, ExperimentError> {
    let mut variants = Vec::new();
    let mut failures = Vec::new();
    for variant in VARIANTS {
        let make = strategy::nodes(membership(), broadcast(variant.threshold))?;
        let sim = Simulation::new(seed, network(seed)?, make);
        let mut sim = stable_overlay(sim, nodes, Duration::from_millis(5), CYCLE);
        variants.push(stable(&mut sim, variant.single, seed));
        progress.step();
        if variant.single && variant.threshold.is_none() {
            for (percent, ..) in FAILURES {
                failures.push(after_failure(&sim, percent, seed));
                progress.step();
            }
        }
    }
    let flood = flood::Parameters { seen_capacity: 64, ..Default::default() };
    let make = strategy::nodes(membership(), flood)?;
    let sim = Simulation::new(seed, network(seed)?, make);
    let mut sim = stable_overlay(sim, nodes, Duration::from_millis(5), CYCLE);
    sim.publish(0);
    sim.run_until(sim.now().after(CYCLE));
    progress.step();
    let flood_payloads = sim.stats().broadcasts.last().map_or(0.0, |b| f64::from(b.payloads));
    Ok(Run { variants, flood_payloads, failures })
}

/// A broadcast a cycle, from node 0 or from anyone.
fn stable<P: SimStack>(sim: &mut Simulation<P>, single: bool, seed: u64) -> Stable {
    let all: Vec<usize> = sim.live_nodes().collect();
    let start = sim.now();
    let mut control_before = 0;
    for (cycle, anyone) in (0..BROADCASTS).zip(publishers(&all, BROADCASTS as usize, seed)) {
        control_before = control(sim.stats());
        sim.publish(if single { 0 } else { anyone });
        sim.run_until(start.after(CYCLE * (cycle + 1)));
    }
    let stats = sim.stats();
    Stable {
        payloads: stats.broadcasts.last().map_or(0.0, |b| f64::from(b.payloads)),
        control: (control(stats) - control_before) as f64,
        rmr: stats.broadcasts.iter().map(BroadcastStats::rmr).collect(),
        ldh: stats.mean(50, |b| f64::from(b.last_hop)).unwrap_or(0.0),
    }
}

fn control(stats: &Stats) -> u64 {
    ["ihave", "graft", "prune"].into_iter().map(|kind| stats.sent(kind)).sum()
}

/// The broadcasts of cycles 0 to 3: at the failure, after the reactive repair, and after one and
/// two cycles more.
fn after_failure(
    stable: &Simulation<Both<hyparview::Parameters, Parameters>>,
    percent: usize,
    seed: u64,
) -> Vec<Repair> {
    let draws = (0..DRAWS).map(|draw| {
        let mut sim = stable.clone();
        let (failed, first) = (sim.now(), sim.stats().broadcasts.len());
        mass_failure(&mut sim, percent, seed * DRAWS + draw, |index| index != 0);
        for until in [CYCLE / 50, CYCLE, CYCLE * 2, CYCLE * 3] {
            sim.publish(0);
            sim.run_until(failed.after(until));
        }
        let broadcasts = &sim.stats().broadcasts[first..];
        Repair {
            rmr: std::array::from_fn(|cycle| broadcasts[cycle].rmr()),
            reached: broadcasts[0].reliability(),
        }
    });
    draws.collect()
}

/// The draws in which the failure cut the sender off, and the others.
fn by_fate<'a>(draws: &[&'a Repair]) -> (Vec<&'a Repair>, Vec<&'a Repair>) {
    draws.iter().partition(|draw| draw.reached <= CUT_OFF)
}

/// The mean over the draws, weighted so that the broadcast at the failure has the reliability that
/// the paper saw.
///
/// Whether a failure cuts the sender off is chance, and decides how many links are grafted before
/// the views are repaired, so how many are eager afterwards: the RMR of the next broadcast has two
/// modes, and a mean over few runs, as the paper's, lies anywhere between them.
fn weighted(draws: &[&Repair], cycle: usize, paper_reliability: f64) -> f64 {
    let (cut, linked) = by_fate(draws);
    let rmr = |draws: &[&Repair]| mean(draws.iter().map(|draw| draw.rmr[cycle]));
    let reached = mean(linked.iter().map(|draw| draw.reached));
    let share = match (cut.is_empty(), linked.is_empty()) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => (paper_reliability / reached).min(1.0),
    };
    share * rmr(&linked) + (1.0 - share) * rmr(&cut)
}

fn figures(nodes: usize, runs: &[Run]) -> Vec<PaperFigure> {
    let paper_size = nodes == NODES;
    let of = |at: usize, value: fn(&Stable) -> f64| {
        mean(runs.iter().map(move |run| value(&run.variants[at])))
    };
    let flood = mean(runs.iter().map(|run| run.flood_payloads));
    let mut figures = vec![PaperFigure::shown(
        "payload messages at cycle 100, eager flood",
        Some(39_984.0),
        flood,
    )];
    for (at, variant) in VARIANTS.iter().enumerate() {
        let perfect = nodes.saturating_sub(1) as f64;
        let name = variant.name;
        figures.push(PaperFigure::within(
            format!("payload messages at cycle 100, {name}"),
            perfect,
            0.0,
            of(at, |stable| stable.payloads),
        ));
        let control = of(at, |stable| stable.control);
        let label = format!("control messages at cycle 100, {name}");
        figures.push(PaperFigure::shown(label, Some(variant.control), control));
        let ldh = of(at, |stable| stable.ldh);
        figures.push(
            PaperFigure::within(format!("LDH, stable, {name}"), variant.ldh, 1.0, ldh)
                .checked_if(paper_size && variant.ldh_checked),
        );
    }
    for cycle in 0..BROADCASTS as usize {
        let rmr = mean(runs.iter().map(|run| run.variants[0].rmr[cycle]));
        let name = format!("RMR at cycle {cycle} of the bootstrap");
        let paper = BOOTSTRAP.get(cycle).copied();
        match cycle {
            4 => figures.push(PaperFigure::at_most(name, paper, 0.02, rmr)),
            0..4 => figures.push(PaperFigure::shown(name, paper, rmr)),
            _ => {}
        }
    }
    let late = runs.iter().flat_map(|run| run.variants[0].rmr.iter().skip(10));
    let worst = late.fold(0.0f64, |worst, rmr| worst.max(*rmr));
    figures.push(PaperFigure::at_most(
        "RMR from cycle 10 on, the highest",
        Some(0.0),
        0.002,
        worst,
    ));
    for (at, (percent, paper, reliability)) in FAILURES.into_iter().enumerate() {
        let draws: Vec<&Repair> = runs.iter().flat_map(|run| &run.failures[at]).collect();
        for (cycle, paper) in paper.into_iter().enumerate() {
            let name = format!("RMR at cycle {cycle} after {percent} % failed");
            let rmr = weighted(&draws, cycle, reliability);
            figures.push(PaperFigure::within(name, paper, 0.1, rmr).checked_if(paper_size));
        }
        let (cut, linked) = by_fate(&draws);
        for (fate, draws) in [("linked", linked), ("cut off", cut)] {
            if !draws.is_empty() {
                let name = format!("  cycle 1 of the {} with the sender {fate}", draws.len());
                figures.push(PaperFigure::shown(name, None, mean(draws.iter().map(|d| d.rmr[1]))));
            }
        }
    }
    figures
}
