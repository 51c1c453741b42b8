//! `murmurate-sim run`: one experiment, measured.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::HumanBytes;
use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::{full_mesh, hyparview, nanos};
use murmurate_simulator::experiment::{Experiment, Outcome, Phase};
use murmurate_simulator::memory::peak_rss_bytes;
use murmurate_simulator::strategy;
use serde::Serialize;

use crate::args::{BroadcastKind, MembershipKind, Run};
use crate::progress;

#[derive(Serialize)]
struct Json<'a> {
    nodes: u64,
    seed: u64,
    membership: String,
    broadcast: String,
    loss: f64,
    fail_percent: f64,
    wall_seconds: f64,
    events_per_second: f64,
    peak_rss_bytes: Option<u64>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

pub(crate) fn run(options: &Run) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let experiment = Experiment {
        nodes: usize::try_from(options.nodes)?,
        seed: options.seed,
        messages: usize::try_from(options.messages)?,
        fail: options.fail,
        latency: options.latency.0.clone(),
        loss: options.loss,
        threads: options.threads,
    };
    let (outcome, wall) = timed(|| simulate(options, &experiment));
    let outcome = outcome?;
    let json = Json {
        nodes: options.nodes,
        seed: options.seed,
        membership: name(&options.membership),
        broadcast: name(&options.broadcast),
        loss: options.loss,
        fail_percent: options.fail,
        wall_seconds: wall.as_secs_f64(),
        events_per_second: outcome.events as f64 / wall.as_secs_f64(),
        peak_rss_bytes: peak_rss_bytes(),
        outcome: &outcome,
    };
    if options.json {
        println!("{}", serde_json::to_string(&json)?);
    } else {
        print_summary(&json);
    }
    Ok(ExitCode::SUCCESS)
}

/// The one place where words become types.
fn simulate(
    options: &Run,
    experiment: &Experiment,
) -> Result<Outcome, murmurate_simulator::network::NetworkError> {
    let bar = progress::bar(
        nanos(experiment.duration()),
        &format!("{} nodes, virtual time", experiment.nodes),
    );
    let show = |now: murmurate::membership::Time| bar.set_position(now.as_nanos());
    let hyparview = hyparview::Config::default;
    let plumtree = plumtree::Config::default;
    let mesh = full_mesh::Config::default;
    let flood = flood::Config::default;
    let outcome = match (options.membership, options.broadcast) {
        (MembershipKind::Hyparview, BroadcastKind::Plumtree) => {
            experiment.run(strategy::hyparview_plumtree(hyparview(), plumtree()), show)
        }
        (MembershipKind::Hyparview, BroadcastKind::Flood) => {
            experiment.run(strategy::hyparview_flood(hyparview(), flood()), show)
        }
        (MembershipKind::FullMesh, BroadcastKind::Plumtree) => {
            experiment.run(strategy::full_mesh_plumtree(mesh(), plumtree()), show)
        }
        (MembershipKind::FullMesh, BroadcastKind::Flood) => {
            experiment.run(strategy::full_mesh_flood(mesh(), flood()), show)
        }
    };
    bar.finish_and_clear();
    outcome
}

#[expect(clippy::disallowed_methods, reason = "the time a run takes is no part of the run")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn name(kind: &impl clap::ValueEnum) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn print_summary(json: &Json<'_>) {
    let Json { outcome, .. } = json;
    println!(
        "{} nodes, {} + {}, seed {}: {:.0} s of virtual time\n",
        json.nodes, json.membership, json.broadcast, json.seed, outcome.simulated_seconds
    );
    match &outcome.after_failure {
        None => print_phases(&[("", &outcome.before)]),
        Some(after) => {
            let failed = format!("after {} % failed", json.fail_percent);
            print_phases(&[("before", &outcome.before), (&failed, after)]);
        }
    }
    println!("\n{:<24}{:>12}  {:>10}", "messages sent", "count", "bytes");
    for sent in outcome.messages.iter().filter(|sent| sent.count > 0) {
        let bytes = HumanBytes(sent.bytes).to_string();
        println!("  {:<22}{:>12}  {bytes:>10}", sent.kind, sent.count);
    }
    if outcome.lost > 0 {
        println!("  {:<22}{:>12}", "lost by the network", outcome.lost);
    }
    let memory = json.peak_rss_bytes.map_or_else(|| "?".to_owned(), |b| HumanBytes(b).to_string());
    println!(
        "\n{} events in {:.2} s: {:.1} million a second, {memory} of memory",
        outcome.events,
        json.wall_seconds,
        json.events_per_second / 1e6
    );
    println!("digest {}", outcome.digest);
}

/// A column a phase.
fn print_phases(phases: &[(&str, &Phase)]) {
    let row = |name: &str, of: &dyn Fn(&Phase) -> String| {
        let cells = phases.iter().map(|(_, phase)| format!("{:>22}", of(phase)));
        println!("{name:<24}{}", cells.collect::<String>());
    };
    if phases.len() > 1 {
        let heads = phases.iter().map(|(head, _)| format!("{head:>22}"));
        println!("{:<24}{}", "", heads.collect::<String>());
    }
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "no broadcasts".to_owned());
    row("reliability", &|p| or_none(p.reliability.map(|r| format!("{:.4} %", 100.0 * r))));
    row("redundancy (RMR)", &|p| or_none(p.rmr.map(|r| format!("{r:.4}"))));
    row("last delivery hop", &|p| or_none(p.ldh.map(|l| format!("{l:.2}"))));
    row("latency p50 / p99 / max", &|p| {
        let l = p.latency_seconds;
        format!("{:.0} / {:.0} / {:.0} ms", 1e3 * l.p50, 1e3 * l.p99, 1e3 * l.max)
    });
    row("running nodes", &|p| p.overlay.running_nodes.to_string());
    row("mean degree", &|p| format!("{:.3}", p.overlay.mean_degree));
    row("clustering", &|p| format!("{:.5}", p.overlay.clustering));
    row("average shortest path", &|p| {
        let sampled = if p.overlay.paths_exact { "" } else { " (sampled)" };
        format!("{:.3}{sampled}", p.overlay.average_shortest_path)
    });
    row("components", &|p| p.overlay.components.to_string());
    row("asymmetric links", &|p| p.overlay.asymmetric_links.to_string());
}
