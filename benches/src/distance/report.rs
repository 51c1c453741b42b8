//! Medians and ratios, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::grid::{Cell, Through};
use crate::{Figures, Results};

/// A figure in a column.
struct Column {
    figure: &'static str,
    unit: &'static str,
    /// What one of the unit is.
    one: f64,
    /// Whether many connections are compared with few.
    compared: bool,
}

const fn column(figure: &'static str, unit: &'static str, one: f64) -> Column {
    Column { figure, unit, one, compared: false }
}

const BYTES: Column = Column { compared: true, ..column("rate", "MiB/s", (1 << 20) as f64) };
const PAYLOADS: Column = column("payloads", "payloads/s", 1.0);
const MEDIAN: Column = column("p50", "p50, ms", 1e-3);
const LAST: Column = column("p99", "p99, ms", 1e-3);
const CPU: Column = column("cpu", "CPU, ms/MiB", 1e-3 / (1 << 20) as f64);
const ROUND_TRIP: Column = column("round trip", "measured, ms", 1e-3);
const LOST: Column = column("lost", "packets lost", 1.0);

/// One cell of one round, for whoever waits.
pub(crate) fn line(cell: &Cell, figures: &Figures) -> String {
    let mut line = what(cell);
    for Column { figure, unit, one, .. } in [BYTES, MEDIAN, LAST, CPU, ROUND_TRIP, LOST] {
        if let Some(value) = figures.get(figure) {
            line.push_str(&format!("; {unit}: {}", number(value / one)));
        }
    }
    line
}

/// A cell in one line.
pub(crate) fn what(cell: &Cell) -> String {
    let Cell { through, payload, senders, parallelism, .. } = cell;
    let (through, payload, round_trip) = (through.name(), size(*payload), millis(cell));
    format!("{through}, {payload}, {round_trip}, {senders} senders, parallelism {parallelism}")
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn millis(cell: &Cell) -> String {
    format!("{} ms", cell.round_trip as f64 / 1e3)
}

/// The tables, each with its title.
pub(crate) fn tables(results: &Results) -> String {
    let of = |raw: bool| -> Vec<_> {
        results.iter().filter(|(cell, _)| (cell.through == Through::Raw) == raw).collect()
    };
    let (raw, channels) = (of(true), of(false));
    let tables = [
        ("Throughput", &channels, [BYTES, PAYLOADS].as_slice()),
        ("Until a payload is acknowledged", &channels, &[MEDIAN, LAST]),
        ("Processor time of both nodes and the relay", &channels, &[CPU, LOST]),
        ("Plain TCP through the relay", &raw, &[BYTES, CPU, LOST, ROUND_TRIP]),
    ];
    let shown = tables.iter().filter(|(_, results, _)| !results.is_empty());
    let texts =
        shown.map(|(title, results, columns)| format!("{title}\n\n{}", table(results, columns)));
    texts.collect::<Vec<_>>().join("\n\n")
}

/// A row for what differs only in the connections, medians with the lowest and highest round.
fn table(results: &[(&Cell, &Vec<Figures>)], columns: &[Column]) -> String {
    let connections: BTreeSet<_> = results.iter().map(|(cell, _)| cell.parallelism).collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let raw = results.iter().all(|(cell, _)| cell.through == Through::Raw);
    let named: &[&str] = if raw { &["round trip"] } else { &["payload", "round trip", "senders"] };
    let mut header: Vec<_> = named.iter().map(ToString::to_string).collect();
    for Column { unit, compared, .. } in columns {
        header.extend(connections.iter().map(|count| format!("{unit}, {count}")));
        if *compared {
            header.push("ratio".into());
        }
    }
    table.set_header(header);
    let mut rows: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (cell, rounds) in results {
        let alike = Cell { parallelism: 0, ..**cell };
        rows.entry(alike).or_default().insert(cell.parallelism, *rounds);
    }
    for (cell, rounds) in rows {
        let mut row = vec![millis(&cell)];
        if !raw {
            row = vec![size(cell.payload), millis(&cell), cell.senders.to_string()];
        }
        for column in columns {
            let of = |count| rounds.get(count).map(|rounds| column.of(rounds)).unwrap_or_default();
            row.extend(connections.iter().map(|count| show(&of(count))));
            if let (true, Some(few), Some(many)) =
                (column.compared, connections.first(), connections.last())
            {
                let ratios = of(many).into_iter().zip(of(few)).map(|(many, few)| many / few);
                row.push(format!("{:.2}", median(ratios.collect())));
            }
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

impl Column {
    /// The figure of each round.
    fn of(&self, rounds: &[Figures]) -> Vec<f64> {
        rounds.iter().filter_map(|round| Some(round.get(self.figure)? / self.one)).collect()
    }
}

/// Everything that was measured.
pub(crate) fn json(results: &Results) -> Value {
    let cells: Vec<_> = results
        .iter()
        .map(|(cell, rounds)| {
            json!({
                "through": cell.through.name(), "payload": cell.payload,
                "round_trip_ms": cell.round_trip as f64 / 1e3, "senders": cell.senders,
                "parallelism": cell.parallelism, "rounds": rounds,
            })
        })
        .collect();
    json!({ "cells": cells })
}

fn show(values: &[f64]) -> String {
    let min = values.iter().copied().reduce(f64::min);
    let max = values.iter().copied().reduce(f64::max);
    match (min, max) {
        (Some(min), Some(max)) if min < max => {
            format!("{} ({} to {})", number(median(values.to_vec())), number(min), number(max))
        }
        (Some(only), _) => number(only),
        _ => String::new(),
    }
}

fn number(value: f64) -> String {
    match value {
        whole if whole.fract() == 0.0 || whole >= 100.0 => format!("{whole:.0}"),
        large if large >= 10.0 => format!("{large:.1}"),
        small => format!("{small:.2}"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => f64::NAN,
        (1, Some(value)) => *value,
        (_, Some(value)) => f64::midpoint(values[middle - 1], *value),
    }
}
