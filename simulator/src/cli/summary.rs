//! The printed summary of a run.

use std::time::Duration;

use crate::experiment::runner::{ChannelReport, GraphReport, PhaseReport, Quantiles, Report};
use crate::experiment::scenario::Scenario;
use crate::strategies::Registry;
use indicatif::HumanBytes;
use murmurate::membership::parameters::Value;

pub(crate) fn print(scenario: &Scenario, report: &Report, wall: Duration, memory: Option<u64>) {
    if !report.description.is_empty() {
        say!("{}: {}", report.scenario, report.description);
    }
    say!(
        "{} nodes, {}, seed {}: {:.0} s of virtual time\n",
        report.started_nodes,
        strategies(scenario),
        report.seed,
        report.simulated_seconds
    );
    if let Some(graph) = &report.graph {
        say!("{}\n", of_graph(scenario, graph));
    }
    phases(&report.phases);
    regions(&report.phases);
    classes(report);
    timeline(report);
    messages(report);
    channels(report);
    routing(report);
    verdicts(report);
    if let Some(broken) = &report.violation {
        say!("\nVIOLATION at {:.1} s: {}: {}", broken.at, broken.rule, broken.detail);
    }
    let memory = memory.map_or_else(|| "?".to_owned(), |bytes| HumanBytes(bytes).to_string());
    say!(
        "\n{} events in {:.2} s: {:.1} million a second, {memory} of memory",
        report.events,
        wall.as_secs_f64(),
        report.events as f64 / wall.as_secs_f64() / 1e6
    );
    say!("digest {}", report.digest);
}

/// The strategies' names.
pub(crate) fn strategies(scenario: &Scenario) -> String {
    format!("{} + {}", scenario.membership.name(), scenario.broadcast.name())
}

/// What the graph of contacts is, and whom no broadcast reaches because of it.
pub(crate) fn of_graph(scenario: &Scenario, graph: &GraphReport) -> String {
    let mut text = format!(
        "graph of {} nodes and {} links, {} to {} a node",
        scenario.nodes.count, graph.links, graph.least_degree, graph.most_degree
    );
    let keeps = scenario.membership.keeps_to_contacts();
    if graph.components > 1 {
        text += &format!(
            ", in {} pieces, the largest of {} nodes",
            graph.components, graph.largest_component
        );
        text += if keeps { ": no broadcast leaves its piece" } else { "" };
    }
    let most = match scenario.broadcast.parameters().get("hop_limit") {
        Some(Value::Number(most)) if keeps => most,
        _ => return text,
    };
    let longest = graph.longest_path;
    if longest as usize > most {
        text += &format!(
            "; nodes are up to {longest} links apart, and with broadcast.hop_limit = {most} no broadcast goes \
             further than {most}"
        );
    }
    text
}

/// A table with a column for each phase.
fn phases(phases: &[PhaseReport]) {
    let row = |name: &str, of: &dyn Fn(&PhaseReport) -> String| {
        let cells = phases.iter().map(|phase| format!("{:>22}", of(phase)));
        say!("{name:<24}{}", cells.collect::<String>());
    };
    if phases.len() > 1 {
        row("", &|phase| phase.phase.clone());
    }
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "no broadcasts".to_owned());
    row("reliability", &|p| or_none(p.reliability.map(|r| format!("{:.4} %", 100.0 * r))));
    row("redundancy (RMR)", &|p| or_none(p.rmr.map(|r| format!("{r:.4}"))));
    row("last delivery hop", &|p| or_none(p.ldh.map(|l| format!("{l:.2}"))));
    row("latency p50 / p99 / max", &|p| {
        p.latency_seconds.as_ref().map_or_else(|| "no deliveries".to_owned(), quantiles)
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
    for metric in Registry::installed().metrics() {
        let value = |phase: &PhaseReport| phase.metrics.get(metric.name).copied().flatten();
        row(&metric.name.replace('_', " "), &|phase| match value(phase) {
            Some(value) => format!("{} {}", short(value), metric.unit),
            None => "nothing there".to_owned(),
        });
    }
}

fn quantiles(l: &Quantiles) -> String {
    format!("{:.0} / {:.0} / {:.0} ms", 1e3 * l.p50, 1e3 * l.p99, 1e3 * l.max)
}

/// Of the last phase in which anything was delivered, if regions have names.
fn regions(phases: &[PhaseReport]) {
    let delivered = |phase: &&PhaseReport| phase.regions.iter().any(|region| region.deliveries > 0);
    let Some(phase) = phases.iter().rev().find(delivered).filter(|p| p.regions.len() > 1) else {
        return;
    };
    let heads = ["deliveries", "latency p50 / p99 / max", "best possible", "stretch"];
    say!("\n{:<22}{:>12}{:>26}{:>24}{:>9}", "region", heads[0], heads[1], heads[2], heads[3]);
    for region in &phase.regions {
        let best = region.best_seconds.as_ref().map_or_else(|| "-".to_owned(), quantiles);
        let stretch = region.stretch.map_or_else(|| "-".to_owned(), |s| format!("{s:.2}"));
        let taken = quantiles(&region.latency_seconds);
        let (name, count) = (&region.region, region.deliveries);
        say!("  {name:<20}{count:>12}{taken:>26}{best:>24}{stretch:>9}");
    }
}

fn classes(report: &Report) {
    if report.classes.is_empty() {
        return;
    }
    let heads = ["nodes", "degree", "isolated", "reliability", "latency p50 / p99 / max"];
    let [nodes, degree, isolated, reliability, latency] = heads;
    say!("\n{:<22}{nodes:>9}{degree:>9}{isolated:>10}{reliability:>14}{latency:>26}", "class");
    for class in &report.classes {
        let share =
            class.reliability.map_or_else(|| "-".to_owned(), |r| format!("{:.4} %", 1e2 * r));
        let taken = class.latency_seconds.as_ref().map_or_else(|| "-".to_owned(), quantiles);
        let (name, count, isolated) = (&class.class, class.running_nodes, class.isolated);
        let degree = class.mean_degree;
        say!("  {name:<20}{count:>9}{degree:>9.3}{isolated:>10}{share:>14}{taken:>26}");
    }
}

fn timeline(report: &Report) {
    if report.timeline.is_empty() {
        return;
    }
    say!("\n{:<24}{:>12}{:>12}{:>10}", "what happened", "at", "until", "struck");
    for fault in &report.timeline {
        let until = fault.until.map_or_else(String::new, |until| format!("{until:.1} s"));
        let at = format!("{:.1} s", fault.at);
        say!("  {:<22}{at:>12}{until:>12}{:>10}", fault.fault, fault.struck);
    }
}

fn messages(report: &Report) {
    say!("\n{:<24}{:>12}  {:>10}", "messages sent", "count", "bytes");
    for sent in report.messages.iter().filter(|sent| sent.count > 0) {
        let bytes = HumanBytes(sent.bytes).to_string();
        say!("  {:<22}{:>12}  {bytes:>10}", sent.kind, sent.count);
    }
    let dials = report.dials.map_or((0, 0), |dials| (dials.begun, dials.failed));
    for (name, count) in [
        ("dials", dials.0),
        ("dials in vain", dials.1),
        ("lost by the network", report.lost),
        ("shed by full queues", report.shed),
        ("brought twice", report.duplicated),
    ] {
        if count > 0 {
            say!("  {name:<22}{count:>12}");
        }
    }
}

/// At most six digits after the point.
fn short(number: f64) -> String {
    let digits = format!("{number:.6}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A table with a column for each channel. Counts that are 0 in all channels are left out.
fn channels(report: &Report) {
    type Count = fn(&ChannelReport) -> u64;
    if report.channels.is_empty() {
        return;
    }
    let row = |name: &str, of: &dyn Fn(&ChannelReport) -> String| {
        let cells = report.channels.iter().map(|channel| format!("{:>24}", of(channel)));
        say!("{name:<24}{}", cells.collect::<String>());
    };
    say!("");
    row("messages on channels", &|c| c.channel.clone());
    let counts: [(&str, Count); 13] = [
        ("  to send", |c| c.messages),
        ("  delivered", |c| c.delivered),
        ("  delivered again", |c| c.delivered_again),
        ("  delivered twice", |c| c.duplicates),
        ("  acknowledged", |c| c.acknowledged),
        ("  answered", |c| c.answered),
        ("  refused, no room", |c| c.refused),
        ("  gone", |c| c.gone),
        ("  timed out", |c| c.timed_out),
        ("  shed", |c| c.shed),
        ("  nobody there", |c| c.unreachable),
        ("  no outcome", |c| c.open),
        ("  frames sent again", |c| c.retransmitted),
    ];
    for (name, of) in counts {
        if report.channels.iter().any(|channel| of(channel) > 0) {
            row(name, &|channel| of(channel).to_string());
        }
    }
    let or_none = |l: &Option<Quantiles>| l.as_ref().map_or_else(|| "-".to_owned(), quantiles);
    row("  latency p50 / p99 / max", &|c| or_none(&c.latency_seconds));
    row("  there and back", &|c| or_none(&c.round_trip_seconds));
}

fn routing(report: &Report) {
    let Some(routing) = &report.routing else { return };
    say!("\n{:<24}{:>22}", "lookups", routing.lookups);
    say!("{:<24}{:>22}", "  found", routing.found);
    say!("{:<24}{:>22}", "  not found", routing.not_found);
    if let Some(latency) = &routing.latency_seconds {
        say!("{:<24}{:>22}", "  time p50 / p99 / max", quantiles(latency));
    }
    if routing.datagrams > 0 {
        say!("{:<24}{:>22}", "datagrams", routing.datagrams);
        say!("{:<24}{:>22}", "  delivered", routing.delivered);
        say!("{:<24}{:>22}", "  told as lost", routing.lost);
    }
}

fn verdicts(report: &Report) {
    if report.verdicts.is_empty() {
        return;
    }
    say!("\nassertions");
    for verdict in &report.verdicts {
        let mark = if verdict.holds { "holds" } else { "FAILS" };
        let found = verdict.found.map_or_else(|| "nothing there".to_owned(), short);
        let at = verdict.at.map_or_else(String::new, |at| format!(" at {at:.1} s"));
        say!("  {mark}  {} ({found}{at})", verdict.assertion);
    }
}

/// Aligned columns: the first `left` of them to the left, the others to the right.
pub(crate) fn columns(rows: &[Vec<String>], left: usize) {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        say!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// A number with two more digits than `precision` justifies.
pub(crate) fn precise(value: f64, precision: f64) -> String {
    let digits = match precision.abs() {
        p if p > 0.0 => (1.0 - p.log10().floor()).clamp(0.0, 9.0) as usize,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    match precision == 0.0 && text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
