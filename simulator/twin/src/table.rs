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
    /// Over all seeds that have it.
    simulated: Option<Spread>,
    real: Option<Spread>,
    /// The real median by the simulated one.
    ratio: Option<f64>,
}

/// A figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

/// The result of an assertion in both worlds.
#[derive(Debug, Serialize)]
struct AssertionResult {
    assertion: String,
    /// The number of seeds with which it holds.
    simulated: usize,
    real: usize,
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    scenario: String,
    /// The first one.
    seed: u64,
    /// How many were simulated.
    seeds: usize,
    /// With how many of them real nodes ran.
    runs: usize,
    nodes: u32,
    figures: Vec<Row>,
    assertions: Vec<AssertionResult>,
    /// What went wrong for real nodes.
    failures: Vec<String>,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, least, greatest })
    }

    fn range(self) -> Option<String> {
        let Self { least, greatest, .. } = self;
        (least < greatest).then(|| format!("{} to {}", number(least), number(greatest)))
    }
}

impl Row {
    fn new(
        phase: Option<&str>,
        figure: &str,
        simulated: impl IntoIterator<Item = Option<f64>>,
        real: impl IntoIterator<Item = Option<f64>>,
    ) -> Self {
        let (simulated, real) = (Spread::of(simulated), Spread::of(real));
        let ratio = simulated.zip(real).filter(|(simulated, _)| simulated.median != 0.0);
        Self {
            phase: phase.map(ToOwned::to_owned),
            figure: figure.to_owned(),
            simulated,
            real,
            ratio: ratio.map(|(simulated, real)| real.median / simulated.median),
        }
    }

    /// Whether there is anything to say in either world.
    fn is_said(&self) -> bool {
        [self.simulated, self.real].into_iter().flatten().any(|spread| spread.greatest > 0.0)
    }
}

impl Comparison {
    /// Compares the simulated runs of all seeds with what was observed of real nodes, which ran with the
    /// first ones.
    pub(crate) fn new(
        scenario: &Scenario,
        simulated: &[Report],
        observations: &[Observations],
    ) -> Self {
        let real: Vec<_> = observations.iter().map(|run| run.report(scenario)).collect();
        let mut figures = Vec::new();
        for (place, known) in real[0].phases.iter().enumerate() {
            let is_same = |phase: &&PhaseReport| phase.phase == known.phase;
            let phases: Vec<_> =
                simulated.iter().filter_map(|report| report.phases.iter().find(is_same)).collect();
            let real: Vec<_> = real.iter().map(|report| &report.phases[place]).collect();
            figures.extend(phase(&phases, &real));
        }
        for place in 0..real[0].channels.len() {
            let channels: Vec<_> =
                simulated.iter().filter_map(|report| report.channels.get(place)).collect();
            let real: Vec<_> = real.iter().map(|report| &report.channels[place]).collect();
            figures.extend(channel(&channels, &real));
        }
        let sent: Vec<_> = observations.iter().map(|run| run.messages(scenario)).collect();
        figures.extend(messages(simulated, &sent));
        figures.extend(times(scenario, simulated, &real));
        let asserted = |(place, verdict): (usize, &Verdict)| AssertionResult {
            assertion: verdict.assertion.clone(),
            simulated: simulated.iter().filter(|report| report.verdicts[place].holds).count(),
            real: real.iter().filter(|report| report.verdicts[place].holds).count(),
        };
        Self {
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            seeds: simulated.len(),
            runs: observations.len(),
            nodes: scenario.nodes.count,
            figures,
            assertions: real[0].verdicts.iter().enumerate().map(asserted).collect(),
            failures: observations.iter().flat_map(|run| run.failures.iter().cloned()).collect(),
        }
    }

    /// Whether all assertions hold in both worlds, with every seed.
    pub(crate) fn hold(&self) -> bool {
        let holds = |asserted: &AssertionResult| {
            (asserted.simulated, asserted.real) == (self.seeds, self.runs)
        };
        self.assertions.iter().all(holds)
    }
}

fn phase(simulated: &[&PhaseReport], real: &[&PhaseReport]) -> Vec<Row> {
    let Some(known) = real.first() else { return Vec::new() };
    let of = |figure: &str, of: &dyn Fn(&PhaseReport) -> Option<f64>| {
        let [simulated, real] = [simulated, real].map(|runs| runs.iter().map(|phase| of(phase)));
        Row::new(Some(&known.phase), figure, simulated, real)
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
fn channel(simulated: &[&ChannelReport], real: &[&ChannelReport]) -> Vec<Row> {
    let Some(known) = real.first() else { return Vec::new() };
    let of = |figure: &str, of: &dyn Fn(&ChannelReport) -> Option<f64>| {
        let [simulated, real] =
            [simulated, real].map(|runs| runs.iter().map(|channel| of(channel)));
        Row::new(None, &format!("{}: {figure}", known.channel), simulated, real)
    };
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
    rows.into_iter().filter(Row::is_said).collect()
}

/// Messages of kinds that either world has sent.
fn messages(simulated: &[Report], real: &[BTreeMap<String, u64>]) -> Vec<Row> {
    let kinds = simulated.iter().flat_map(|report| report.messages.iter().map(|sent| sent.kind));
    let kinds = kinds.chain(real.iter().flat_map(|sent| sent.keys().map(String::as_str)));
    // Real nodes do not count these.
    let kinds: BTreeSet<&str> = kinds.filter(|kind| !lanes::KINDS.contains(kind)).collect();
    let row = |kind: &str| {
        let of = |report: &Report| {
            let sent = report.messages.iter().filter(|sent| sent.kind == kind);
            // An empty sum of floats is -0.
            Some(sent.fold(0.0, |sum, sent| sum + sent.count as f64))
        };
        let real = real.iter().map(|sent| Some(sent.get(kind).map_or(0.0, |count| *count as f64)));
        Row::new(None, &format!("messages: {kind}"), simulated.iter().map(of), real)
    };
    kinds.into_iter().map(row).filter(Row::is_said).collect()
}

/// How long it took until an assertion with `within` held.
fn times(scenario: &Scenario, simulated: &[Report], real: &[ObservedReport]) -> Vec<Row> {
    let row = |(place, assertion): (usize, &Assertion)| {
        let Window::Within(_, event) = &assertion.window else { return None };
        let begun = scenario.event_time(event).0.as_secs_f64();
        let took = |verdict: &Verdict| Some(verdict.at.filter(|_| verdict.holds)? - begun);
        let asserted = &simulated.first()?.verdicts[place].assertion;
        let what = asserted.split(" within ").next().unwrap_or_default();
        let figure = format!("s from {event} until {what}");
        let simulated = simulated.iter().map(|report| took(&report.verdicts[place]));
        let real = real.iter().map(|report| took(&report.verdicts[place]));
        Some(Row::new(None, &figure, simulated, real))
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
        let both = [row.real, row.simulated].map(|spread| {
            let range = spread.and_then(Spread::range).map(|range| format!(" ({range})"));
            format!("{}{}", median(spread), range.unwrap_or_default())
        });
        both.join(" / ")
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
        write!(f, "real / simulated, each a median (range)\n\n{table}")
    }
}

fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".into(), |spread| number(spread.median))
}

fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        format!("{value}")
    } else if value.abs() < 0.1 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, nodes, seed, seeds, runs, .. } = self;
        let number = |count: &usize| match count {
            1 => "1 seed".to_owned(),
            count => format!("{count} seeds"),
        };
        let (simulated, real) = (number(seeds), number(runs));
        writeln!(
            f,
            "{scenario}: {nodes} nodes; from seed {seed} on {simulated} simulated, {real} real\n"
        )?;
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        let heads = ["phase", "figure", "simulated", "range", "real", "range", "real / simulated"];
        table.set_header(heads);
        for row in &self.figures {
            let range = |spread: Option<Spread>| spread.and_then(Spread::range).unwrap_or_default();
            table.add_row([
                row.phase.clone().unwrap_or_default(),
                row.figure.clone(),
                median(row.simulated),
                range(row.simulated),
                median(row.real),
                range(row.real),
                row.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}")),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        for AssertionResult { assertion, simulated, real } in &self.assertions {
            let fails = if (simulated, real) == (seeds, runs) { "" } else { " FAILS" };
            writeln!(
                f,
                "{assertion}: simulated {simulated} of {seeds}, real {real} of {runs}{fails}"
            )?;
        }
        for failure in self.failures.iter().take(10) {
            writeln!(f, "! {failure}")?;
        }
        let more = self.failures.len().saturating_sub(10);
        if more > 0 { writeln!(f, "! and {more} more") } else { Ok(()) }
    }
}
