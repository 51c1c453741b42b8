//! The table and the JSON object of a run.

use std::error::Error;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::flock::Shape;
use super::latency::Latency;
use super::work::Outcome;
use super::{Options, Transport};

/// What a run came to.
pub(super) struct Report {
    nodes: usize,
    transport: Transport,
    joined: Duration,
    formed: Shape,
    pub(super) whole: Option<Outcome>,
    repaired: Option<(usize, Duration, Shape)>,
    pub(super) after: Option<Outcome>,
}

#[derive(serde::Serialize)]
struct Json<'a> {
    nodes: usize,
    transport: &'static str,
    joined_seconds: f64,
    #[serde(flatten)]
    whole: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_kill: Option<AfterKill<'a>>,
}

#[derive(serde::Serialize)]
struct AfterKill<'a> {
    nodes: usize,
    repaired_seconds: f64,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
}

impl Report {
    pub(super) fn new(options: &Options, joined: Duration, formed: Shape) -> Self {
        Self {
            nodes: options.nodes as usize,
            transport: options.transport,
            joined,
            formed,
            whole: None,
            repaired: None,
            after: None,
        }
    }

    pub(super) fn repaired(&mut self, nodes: usize, took: Duration, shape: Shape) {
        self.repaired = Some((nodes, took, shape));
    }

    /// Whether the overlay formed, healed, every broadcast reached all, and every message on a channel
    /// arrived, if any was sent.
    pub(super) fn is_good(&self) -> bool {
        let complete =
            |outcome: &Option<Outcome>| outcome.as_ref().is_none_or(Outcome::is_complete);
        self.formed.is_one()
            && self.repaired.is_none_or(|(.., shape)| shape.is_one())
            && complete(&self.whole)
            && complete(&self.after)
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Box<dyn Error>> {
        for (when, outcome) in [("whole", &self.whole), ("after the kill", &self.after)] {
            if let Some(channels) = outcome.as_ref().and_then(|outcome| outcome.channels.as_ref()) {
                channels.explain(when);
            }
        }
        if json {
            println!("{}", serde_json::to_string(&self.json())?);
        } else {
            println!("{}", self.table());
        }
        Ok(())
    }

    fn json(&self) -> Json<'_> {
        Json {
            nodes: self.nodes,
            transport: self.transport.name(),
            joined_seconds: self.joined.as_secs_f64(),
            whole: self.whole.as_ref(),
            after_kill: self.repaired.map(|(nodes, took, _)| AfterKill {
                nodes,
                repaired_seconds: took.as_secs_f64(),
                outcome: self.after.as_ref(),
            }),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let title = format!("{} nodes on {}", self.nodes, self.transport.name());
        let mut header = vec![title, "whole".into()];
        let mut columns = vec![column(self.nodes, self.joined, self.formed, self.whole.as_ref())];
        if let Some((nodes, took, shape)) = self.repaired {
            header.push(format!("after {} were killed", self.nodes - nodes));
            columns.push(column(nodes, took, shape, self.after.as_ref()));
        }
        table.set_header(header);
        for (row, name) in ROWS.iter().enumerate() {
            let values = columns.iter().map(|column| column[row].clone());
            table.add_row(std::iter::once((*name).to_owned()).chain(values));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

const ROWS: [&str; 17] = [
    "nodes",
    "one overlay after",
    "components",
    "one-sided links",
    "mean degree",
    "broadcasts",
    "delivered",
    "told as lost: lagged / missed",
    "duplicates a delivery",
    "latency p50 / p99 / max",
    "deliveries a second",
    "CPU a delivery",
    "peak memory",
    "sent on channels",
    "to the receiver p50 / p99 / max",
    "to the answer p50 / p99 / max",
    "connections of a node, at most",
];

fn column(nodes: usize, took: Duration, shape: Shape, outcome: Option<&Outcome>) -> Vec<String> {
    let mut cells = vec![
        nodes.to_string(),
        format!("{:.2} s", took.as_secs_f64()),
        shape.components.to_string(),
        shape.asymmetric_links.to_string(),
        format!("{:.2}", shape.mean_degree),
    ];
    if let Some(outcome) = outcome {
        let share = 100.0 * outcome.delivered as f64 / outcome.expected.max(1) as f64;
        cells.extend([
            outcome.sent.to_string(),
            format!("{} of {} ({share:.2} %)", outcome.delivered, outcome.expected),
            format!("{} / {}", outcome.lagged, outcome.missed),
            format!("{:.4}", outcome.duplicates_per_delivery),
            millis(&outcome.latency_seconds),
            format!("{:.0}", outcome.deliveries_per_second),
            format!("{:.1} µs", outcome.cpu_microseconds_per_delivery),
            format!("{:.0} MiB", outcome.peak_rss_bytes as f64 / 1_048_576.0),
        ]);
    }
    if let Some(channels) = outcome.and_then(|outcome| outcome.channels.as_ref()) {
        let share = 100.0 * channels.delivered as f64 / channels.sent.max(1) as f64;
        cells.extend([
            format!("{} of {} ({share:.2} %)", channels.delivered, channels.sent),
            millis(&channels.latency_seconds),
            millis(&channels.request_seconds),
            channels.connections_peak.to_string(),
        ]);
    }
    cells.resize(ROWS.len(), String::new());
    cells
}

fn millis(latency: &Latency) -> String {
    let millis = |seconds: f64| format!("{:.1}", seconds * 1e3);
    let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(millis);
    format!("{p50} / {p99} / {max} ms")
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }
}
