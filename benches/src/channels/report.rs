//! Medians and ratios, for people and for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::Results;
use crate::cases::{Case, name};
use crate::transport::Transport;

/// What a line is held to.
#[derive(Debug, Clone, Copy)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is only told.
    None,
}

/// A figure, and the one that it is compared with.
struct Row {
    title: &'static str,
    ours: Figure,
    theirs: Option<Figure>,
    unit: Unit,
    target: Target,
}

type Figure = (Case, &'static str);

/// A unit, and what a figure is divided by to be in it.
type Unit = (&'static str, f64);

const MESSAGES: Unit = ("k/s", 1e3);
const BYTES: Unit = ("MB/s", 1e6);
const NANOS: Unit = ("ns", 1.0);
const MICROS: Unit = ("µs", 1.0);
const MEBIBYTES: Unit = ("MiB", 1.0);
const COUNT: Unit = ("", 1.0);

const fn row(title: &'static str, unit: Unit, ours: Figure, theirs: Figure, target: Target) -> Row {
    Row { title, ours, theirs: Some(theirs), unit, target }
}

const fn alone(title: &'static str, unit: Unit, ours: Figure, target: Target) -> Row {
    Row { title, ours, theirs: None, unit, target }
}

use Case::*;
use Target::{AtLeast, AtMost};

/// What is compared with what.
const ROWS: &[Row] = &[
    row(
        "best effort / raw, 1 KiB",
        MESSAGES,
        (BestEffort, "rate"),
        (RawMessages, "rate"),
        AtLeast(0.9),
    ),
    row(
        "processor time of a message",
        NANOS,
        (BestEffort, "cpu"),
        (RawMessages, "cpu"),
        Target::None,
    ),
    row("request p50 / raw, 64 B", MICROS, (Request, "p50"), (RawPingPong, "p50"), AtMost(1.25)),
    row("byte stream / raw", BYTES, (Bytes, "rate"), (RawBytes, "rate"), AtLeast(0.9)),
    row(
        "acknowledged / best effort",
        MESSAGES,
        (Acknowledged, "rate"),
        (BestEffort, "rate"),
        AtLeast(0.6),
    ),
    row(
        "parallelism 8 / 1, four tasks",
        MESSAGES,
        (Parallel, "rate"),
        (Single, "rate"),
        AtLeast(1.2),
    ),
    row(
        "cores used by parallelism 8 / 1",
        COUNT,
        (Parallel, "cores"),
        (Single, "cores"),
        Target::None,
    ),
    alone("burst of 100,000", MESSAGES, (Burst, "rate"), Target::None),
    alone("its memory", MEBIBYTES, (Burst, "memory"), AtMost(32.0)),
    alone("the same, try_send", MESSAGES, (TryBurst, "rate"), Target::None),
    alone("its memory", MEBIBYTES, (TryBurst, "memory"), AtMost(32.0)),
    row(
        "raw p50 beside bulk / alone",
        MICROS,
        (RawIsolation, "beside p50"),
        (RawIsolation, "idle p50"),
        Target::None,
    ),
    row(
        "raw p99 beside bulk / alone",
        MICROS,
        (RawIsolation, "beside p99"),
        (RawIsolation, "idle p99"),
        Target::None,
    ),
    row(
        "request p50 beside bulk / alone",
        MICROS,
        (Isolation, "beside p50"),
        (Isolation, "idle p50"),
        Target::None,
    ),
    row(
        "request p99 beside bulk / alone",
        MICROS,
        (Isolation, "beside p99"),
        (Isolation, "idle p99"),
        AtMost(2.0),
    ),
    row(
        "broadcast p99 beside bulk / alone",
        MICROS,
        (Isolation, "beside broadcast p99"),
        (Isolation, "idle broadcast p99"),
        Target::None,
    ),
    row(
        "bulk beside requests / raw",
        BYTES,
        (Isolation, "bulk rate"),
        (RawIsolation, "bulk rate"),
        Target::None,
    ),
    alone("neighbours lost beside bulk", COUNT, (Isolation, "neighbours lost"), AtMost(0.0)),
    row(
        "request p99 beside a stalled channel / alone",
        MICROS,
        (Stalled, "beside p99"),
        (Stalled, "idle p99"),
        AtMost(2.0),
    ),
    alone("memory of a stalled channel, both ends", MEBIBYTES, (Stalled, "memory"), AtMost(16.0)),
];

impl Row {
    /// The figures of each round, ours and what they are compared with.
    fn rounds(&self, results: &Results, transport: Transport) -> Option<(Vec<f64>, Vec<f64>)> {
        let all = |(case, figure): Figure| {
            let rounds = results.get(&(case, transport))?;
            Some(rounds.iter().filter_map(|round| round.get(figure).copied()).collect())
        };
        Some((all(self.ours)?, self.theirs.map_or(Some(Vec::new()), all)?))
    }

    /// What is held to the target: the ratio, round by round, because what disturbed a round
    /// disturbed both; or the figure.
    fn judged(&self, ours: &[f64], theirs: &[f64]) -> (f64, Option<bool>) {
        let ratios: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let judged = median(if self.theirs.is_some() { &ratios } else { ours });
        let met = match self.target {
            AtLeast(least) => Some(judged >= least),
            AtMost(most) => Some(judged <= most),
            Target::None => None,
        };
        (judged, met)
    }
}

/// Medians with the lowest and highest round, and the median ratio of the rounds.
pub(crate) fn table(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "", "measured", "beside", "ratio", "target", ""]);
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    each(results, |line, transport, ours, theirs| {
        let (judged, met) = line.judged(ours, theirs);
        let target = match line.target {
            AtLeast(least) => format!(">= {least}"),
            AtMost(most) => format!("<= {most}"),
            Target::None => String::new(),
        };
        let met = met.map_or("", |met| if met { "met" } else { "short" });
        let ratio = line.theirs.map_or(String::new(), |_| format!("{judged:.2}"));
        let shown = |values: &[f64]| show(values, line.unit);
        let (ours, theirs) = (shown(ours), shown(theirs));
        table.add_row([line.title, &name(&transport), &ours, &theirs, &ratio, &target, met]);
    });
    table.to_string()
}

/// Everything that was measured, and what is said of it.
pub(crate) fn json(results: &Results) -> Value {
    let mut lines = Vec::new();
    each(results, |line, transport, ours, theirs| {
        let (judged, met) = line.judged(ours, theirs);
        lines.push(json!({
            "line": line.title, "transport": name(&transport), "judged": judged, "met": met,
        }));
    });
    let rounds: Vec<_> = results
        .iter()
        .map(|((case, transport), rounds)| {
            json!({ "case": name(case), "transport": name(transport), "rounds": rounds })
        })
        .collect();
    json!({ "lines": lines, "cases": rounds })
}

fn each(results: &Results, mut told: impl FnMut(&Row, Transport, &[f64], &[f64])) {
    for line in ROWS {
        for transport in [Transport::Tcp, Transport::Quic] {
            if let Some((ours, theirs)) = line.rounds(results, transport) {
                told(line, transport, &ours, &theirs);
            }
        }
    }
}

fn show(values: &[f64], (unit, divided): Unit) -> String {
    let number = |value: f64| {
        let value = value / divided;
        if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
    };
    let min = values.iter().copied().reduce(f64::min);
    let max = values.iter().copied().reduce(f64::max);
    match (min, max) {
        (Some(min), Some(max)) => {
            let median = number(median(values));
            format!("{median} {unit} ({} to {})", number(min), number(max))
        }
        _ => String::new(),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => f64::NAN,
        (1, Some(value)) => *value,
        (_, Some(value)) => f64::midpoint(values[middle - 1], *value),
    }
}
