//! The figures of both worlds side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use murmurate_simulator::engine::lanes;
use murmurate_simulator::experiment::runner::{
    ChannelReport, ObservedReport, PhaseReport, Report, Verdict,
};
use murmurate_simulator::experiment::scenario::{Assertion, Scenario, Window};
use serde::Serialize;

use crate::observations::Observations;

/// A figure of both worlds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The phase, if it is of one.
    phase: Option<String>,
    figure: String,
    /// The median over all seeds that have it.
    simulated: Option<f64>,
    least: Option<f64>,
    greatest: Option<f64>,
    real: Option<f64>,
    /// Real by the simulated median.
    ratio: Option<f64>,
}

/// The result of an assertion in both worlds.
#[derive(Debug, Serialize)]
struct AssertionResult {
    assertion: String,
    /// The number of seeds with which it holds.
    simulated: usize,
    real: bool,
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    scenario: String,
    /// The first one, with which real nodes ran.
    seed: u64,
    /// How many were simulated.
    seeds: usize,
    nodes: u32,
    figures: Vec<Row>,
    assertions: Vec<AssertionResult>,
    /// What went wrong for real nodes.
    failures: Vec<String>,
}

impl Row {
    fn new(
        phase: Option<&str>,
        figure: &str,
        simulated: Vec<Option<f64>>,
        real: Option<f64>,
    ) -> Self {
        let mut values: Vec<f64> = simulated.into_iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let median = (n > 0).then(|| f64::midpoint(values[(n - 1) / 2], values[n / 2]));
        let ratio = median.zip(real).filter(|(simulated, _)| *simulated != 0.0);
        Self {
            phase: phase.map(ToOwned::to_owned),
            figure: figure.to_owned(),
            simulated: median,
            least: values.first().copied(),
            greatest: values.last().copied(),
            real,
            ratio: ratio.map(|(simulated, real)| real / simulated),
        }
    }

    fn range(&self) -> String {
        match (self.least, self.greatest) {
            (Some(least), Some(greatest)) if least < greatest => {
                format!("{} to {}", number(Some(least)), number(Some(greatest)))
            }
            _ => String::new(),
        }
    }
}

impl Comparison {
    /// Compares the simulated runs of all seeds with what was observed of real nodes, which ran with the
    /// first seed.
    pub(crate) fn new(
        scenario: &Scenario,
        simulated: &[Report],
        observations: &Observations,
    ) -> Self {
        let real = observations.report(scenario);
        let mut figures = Vec::new();
        for real in &real.phases {
            let is_same = |phase: &&PhaseReport| phase.phase == real.phase;
            let phases: Vec<_> =
                simulated.iter().filter_map(|report| report.phases.iter().find(is_same)).collect();
            figures.extend(phase(&phases, real));
        }
        for (place, real) in real.channels.iter().enumerate() {
            let channels: Vec<_> =
                simulated.iter().filter_map(|report| report.channels.get(place)).collect();
            figures.extend(channel(&channels, real));
        }
        figures.extend(messages(simulated, &observations.messages(scenario)));
        figures.extend(times(scenario, simulated, &real));
        let asserted = |(place, verdict): (usize, &Verdict)| AssertionResult {
            assertion: verdict.assertion.clone(),
            simulated: simulated.iter().filter(|report| report.verdicts[place].holds).count(),
            real: verdict.holds,
        };
        Self {
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            seeds: simulated.len(),
            nodes: scenario.nodes.count,
            figures,
            assertions: real.verdicts.iter().enumerate().map(asserted).collect(),
            failures: observations.failures.clone(),
        }
    }

    /// Whether all assertions hold in both worlds, with every seed.
    pub(crate) fn hold(&self) -> bool {
        self.assertions.iter().all(|asserted| asserted.simulated == self.seeds && asserted.real)
    }
}

fn phase(simulated: &[&PhaseReport], real: &PhaseReport) -> Vec<Row> {
    let of = |figure: &str, of: &dyn Fn(&PhaseReport) -> Option<f64>| {
        let simulated = simulated.iter().map(|phase| of(phase)).collect();
        Row::new(Some(&real.phase), figure, simulated, of(real))
    };
    let latency = |of: &PhaseReport| of.latency_seconds;
    vec![
        of("running nodes", &|p| Some(p.overlay.running_nodes as f64)),
        of("components", &|p| Some(p.overlay.components as f64)),
        of("mean degree", &|p| Some(p.overlay.mean_degree)),
        of("asymmetric links", &|p| Some(p.overlay.asymmetric_links as f64)),
        of("average shortest path", &|p| Some(p.overlay.average_shortest_path)),
        of("broadcasts", &|p| Some(p.broadcasts as f64)),
        of("reliability", &|p| p.reliability),
        of("RMR", &|p| p.rmr),
        of("last delivery hop", &|p| p.ldh),
        of("delivery p50, ms", &|p| latency(p).map(|l| l.p50 * 1e3)),
        of("delivery p99, ms", &|p| latency(p).map(|l| l.p99 * 1e3)),
    ]
}

/// What became of the messages on a channel.
fn channel(simulated: &[&ChannelReport], real: &ChannelReport) -> Vec<Row> {
    let of = |figure: &str, of: &dyn Fn(&ChannelReport) -> Option<f64>| {
        let simulated = simulated.iter().map(|channel| of(channel)).collect();
        Row::new(None, &format!("{}: {figure}", real.channel), simulated, of(real))
    };
    let is_said = |row: &Row| row.greatest > Some(0.0) || row.real > Some(0.0);
    let rows = [
        of("messages", &|c| Some(c.messages as f64)),
        of("delivered", &|c| Some(c.delivered as f64)),
        of("delivered again", &|c| Some(c.delivered_again as f64)),
        of("duplicates", &|c| Some(c.duplicates as f64)),
        of("refused", &|c| Some(c.refused as f64)),
        of("shed", &|c| Some(c.shed as f64)),
        of("gone", &|c| Some(c.gone as f64)),
        of("timed out", &|c| Some(c.timed_out as f64)),
        of("unreachable", &|c| Some(c.unreachable as f64)),
        of("delivery p50, ms", &|c| c.latency_seconds.map(|l| l.p50 * 1e3)),
        of("delivery p99, ms", &|c| c.latency_seconds.map(|l| l.p99 * 1e3)),
        of("round trip p50, ms", &|c| c.round_trip_seconds.map(|l| l.p50 * 1e3)),
        of("round trip p99, ms", &|c| c.round_trip_seconds.map(|l| l.p99 * 1e3)),
    ];
    rows.into_iter().filter(is_said).collect()
}

/// Messages of kinds that either world has sent.
fn messages(simulated: &[Report], real: &BTreeMap<String, u64>) -> Vec<Row> {
    let kinds = simulated.iter().flat_map(|report| report.messages.iter().map(|sent| sent.kind));
    let kinds = kinds.chain(real.keys().map(String::as_str));
    // Real nodes do not count these.
    let kinds: BTreeSet<&str> = kinds.filter(|kind| !lanes::KINDS.contains(kind)).collect();
    let row = |kind: &str| {
        let of = |report: &Report| {
            let sent = report.messages.iter().filter(|sent| sent.kind == kind);
            // An empty sum of floats is -0.
            Some(sent.fold(0.0, |sum, sent| sum + sent.count as f64))
        };
        let real = real.get(kind).map_or(0.0, |count| *count as f64);
        Row::new(None, &format!("messages: {kind}"), simulated.iter().map(of).collect(), Some(real))
    };
    let is_said = |row: &Row| row.greatest > Some(0.0) || row.real > Some(0.0);
    kinds.into_iter().map(row).filter(is_said).collect()
}

/// How long it took until an assertion with `within` held.
fn times(scenario: &Scenario, simulated: &[Report], real: &ObservedReport) -> Vec<Row> {
    let row = |(place, assertion): (usize, &Assertion)| {
        let Window::Within(_, event) = &assertion.window else { return None };
        let begun = scenario.event_time(event).0.as_secs_f64();
        let took = |verdict: &Verdict| Some(verdict.at.filter(|_| verdict.holds)? - begun);
        let verdict = &real.verdicts[place];
        let what = verdict.assertion.split(" within ").next().unwrap_or_default();
        let figure = format!("s from {event} until {what}");
        let simulated = simulated.iter().map(|report| took(&report.verdicts[place])).collect();
        Some(Row::new(None, &figure, simulated, took(verdict)))
    };
    scenario.assertions.iter().enumerate().filter_map(row).collect()
}

/// The most important figures of several scenarios.
pub(crate) struct Summary<'a>(pub(crate) &'a [Comparison]);

impl Comparison {
    /// A figure of a phase, real and simulated.
    fn cell(&self, phase: &str, figure: &str) -> String {
        let is_it = |row: &&Row| row.phase.as_deref() == Some(phase) && row.figure == figure;
        let Some(row) = self.figures.iter().find(is_it) else { return String::new() };
        let range = row.range();
        let range = if range.is_empty() { range } else { format!(" ({range})") };
        format!("{} / {}{range}", number(row.real), number(row.simulated))
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIGURES: [&str; 6] = [
            "mean degree",
            "reliability",
            "RMR",
            "last delivery hop",
            "delivery p50, ms",
            "delivery p99, ms",
        ];
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["scenario", "phase"].iter().chain(&FIGURES));
        for both in self.0 {
            let mut phases: Vec<&str> =
                both.figures.iter().filter_map(|row| row.phase.as_deref()).collect();
            phases.dedup();
            for phase in phases {
                let names = [both.scenario.clone(), phase.to_owned()];
                let cells = FIGURES.iter().map(|figure| both.cell(phase, figure));
                table.add_row(names.into_iter().chain(cells));
            }
        }
        write!(f, "real / simulated (range)\n\n{table}")
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value == value.trunc() && value.abs() < 1e15 => format!("{value}"),
        Some(value) if value.abs() < 0.1 => format!("{value:.4}"),
        Some(value) => format!("{value:.2}"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, nodes, seed, seeds, .. } = self;
        writeln!(
            f,
            "{scenario}: {nodes} nodes; real with seed {seed}, simulated with {seeds} from it on\n"
        )?;
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["phase", "figure", "simulated", "range", "real", "real / simulated"]);
        for row in &self.figures {
            let phase = row.phase.clone().unwrap_or_default();
            let ratio = row.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
            table.add_row([
                phase,
                row.figure.clone(),
                number(row.simulated),
                row.range(),
                number(row.real),
                ratio,
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        for AssertionResult { assertion, simulated, real } in &self.assertions {
            let real = if *real { "holds" } else { "FAILS" };
            writeln!(f, "{assertion}: simulated {simulated} of {seeds}, real {real}")?;
        }
        for failure in self.failures.iter().take(10) {
            writeln!(f, "! {failure}")?;
        }
        let more = self.failures.len().saturating_sub(10);
        if more > 0 { writeln!(f, "! and {more} more") } else { Ok(()) }
    }
}
