//! Medians and ratios, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::Load;
use crate::tournament::Results;
use crate::workload::{Sample, Workload};

/// The one the others are compared with.
const HOME: &str = "murmurate";

/// One figure of a workload.
struct Metric {
    /// In tables.
    title: &'static str,
    /// In JSON.
    key: &'static str,
    decimals: usize,
    value: fn(&Sample) -> Option<f64>,
}

const RATE: Metric = Metric {
    title: "deliveries/s",
    key: "deliveries_per_second",
    decimals: 0,
    value: |sample| Some(sample.delivered as f64 / sample.seconds),
};
const SHARE: Metric = Metric {
    title: "delivered, %",
    key: "delivered_share",
    decimals: 3,
    value: |sample| Some(100.0 * sample.delivered as f64 / sample.expected as f64),
};
const CPU: Metric = Metric {
    title: "CPU µs/delivery",
    key: "cpu_us_per_delivery",
    decimals: 1,
    value: |sample| Some(1e6 * sample.cpu_seconds / sample.delivered as f64),
};
const DUPLICATES: Metric = Metric {
    title: "duplicates/delivery",
    key: "duplicates_per_delivery",
    decimals: 3,
    value: |sample| Some(sample.arrived? as f64 / sample.delivered as f64 - 1.0),
};
const P50: Metric =
    Metric { title: "p50, ms", key: "p50_ms", decimals: 2, value: |sample| Some(sample.p50_ms) };
const P99: Metric =
    Metric { title: "p99, ms", key: "p99_ms", decimals: 2, value: |sample| Some(sample.p99_ms) };
const MAX: Metric =
    Metric { title: "max, ms", key: "max_ms", decimals: 1, value: |sample| Some(sample.max_ms) };

/// What is worth knowing of a workload. A burst's latencies are its queue, which its rate tells.
fn metrics(workload: Workload) -> &'static [Metric] {
    match workload {
        Workload::Paced { .. } => const { &[P50, P99, MAX, SHARE, CPU, DUPLICATES] },
        Workload::Burst { .. } => const { &[RATE, SHARE, CPU, DUPLICATES] },
    }
}

/// The middle of the rounds, and their ends.
#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// `None` of nothing, or of figures that are none (per delivery, without a delivery).
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    fn show(spread: Option<Self>, decimals: usize) -> String {
        let Some(Self { median, min, max }) = spread else { return "-".to_owned() };
        let [median, min, max] = [median, min, max].map(|value| format!("{value:.decimals$}"));
        if min == max { median } else { format!("{median} ({min} to {max})") }
    }
}

impl Results {
    /// One figure by round; a gap where the run failed or does not tell.
    fn by_round(&self, workload: Workload, metric: &Metric) -> Vec<Option<f64>> {
        let sample = |samples: &Vec<Sample>| {
            samples.iter().find(|sample| sample.workload == workload).and_then(metric.value)
        };
        self.rounds.iter().map(|samples| samples.as_ref().and_then(sample)).collect()
    }

    fn spread(&self, workload: Workload, metric: &Metric) -> Option<Spread> {
        Spread::of(self.by_round(workload, metric).into_iter().flatten())
    }

    /// Ours by theirs, round by round: what disturbed a round disturbed both.
    fn ratio(&self, rival: &Self, workload: Workload, metric: &Metric) -> Option<Spread> {
        let ours = self.by_round(workload, metric);
        let theirs = rival.by_round(workload, metric);
        Spread::of(ours.into_iter().zip(theirs).filter_map(|(ours, theirs)| Some(ours? / theirs?)))
    }
}

/// Ours, and each rival's, if we took part.
fn pairs(results: &[Results]) -> impl Iterator<Item = (&Results, &Results)> {
    let is_home = |result: &&Results| result.name.as_str() == HOME;
    let home = results.iter().find(is_home);
    let rivals = results.iter().filter(move |result| !is_home(result));
    rivals.filter_map(move |rival| Some((home?, rival)))
}

fn workloads(results: &[Results]) -> BTreeSet<Workload> {
    let samples = results.iter().flat_map(|result| &result.rounds).flatten().flatten();
    samples.map(|sample| sample.workload).collect()
}

fn title(workload: Workload) -> String {
    match workload {
        Workload::Paced { rate, messages } => format!("{messages} messages at {rate} a second"),
        Workload::Burst { messages } => format!("A burst of {messages} messages"),
    }
}

/// For people: one table a workload, medians with the lowest and highest round.
pub(crate) fn tables(load: &Load, results: &[Results]) -> String {
    let mut text = format!(
        "{} nodes in one process on loopback, one publisher, payloads of {} bytes, {} threads.\n\
         Medians of {} rounds (lowest to highest).\n",
        load.nodes,
        load.payload,
        load.threads,
        results.iter().map(|result| result.rounds.len()).max().unwrap_or(0),
    );
    for workload in workloads(results) {
        let metrics = metrics(workload);
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([""].into_iter().chain(metrics.iter().map(|metric| metric.title)));
        for result in results {
            let cells = metrics
                .iter()
                .map(|metric| Spread::show(result.spread(workload, metric), metric.decimals));
            table.add_row([result.name.as_str().to_owned()].into_iter().chain(cells));
        }
        for (home, rival) in pairs(results) {
            let cells =
                metrics.iter().map(|metric| Spread::show(home.ratio(rival, workload, metric), 2));
            table.add_row([format!("{HOME} / {}", rival.name.as_str())].into_iter().chain(cells));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}\n\n{table}", title(workload));
    }
    text
}

/// For programs: everything, the samples of each round included.
pub(crate) fn json(load: &Load, results: &[Results]) -> Result<String> {
    let figures = |workload: Workload, spread: &dyn Fn(&Metric) -> Option<Spread>| {
        metrics(workload)
            .iter()
            .map(|metric| (metric.key, spread(metric)))
            .collect::<BTreeMap<_, _>>()
    };
    let workloads: Vec<_> = workloads(results)
        .into_iter()
        .map(|workload| {
            let contestants: BTreeMap<_, _> = results
                .iter()
                .map(|result| {
                    let spread = |metric: &Metric| result.spread(workload, metric);
                    (result.name.as_str(), figures(workload, &spread))
                })
                .collect();
            let ratios: BTreeMap<_, _> = pairs(results)
                .map(|(home, rival)| {
                    let ratio = |metric: &Metric| home.ratio(rival, workload, metric);
                    (rival.name.as_str(), figures(workload, &ratio))
                })
                .collect();
            serde_json::json!({
                "workload": workload, "contestants": contestants, "ratios_to": ratios,
            })
        })
        .collect();
    let rounds: BTreeMap<_, _> =
        results.iter().map(|result| (result.name.as_str(), &result.rounds)).collect();
    Ok(serde_json::to_string_pretty(&serde_json::json!({
        "load": load, "workloads": workloads, "rounds": rounds,
    }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ends() {
        let show = |values: &[f64]| Spread::show(Spread::of(values.iter().copied()), 1);
        assert_eq!(show(&[3.0, 1.0, 2.0]), "2.0 (1.0 to 3.0)");
        assert_eq!(show(&[4.0, 1.0, 2.0, 3.0]), "2.5 (1.0 to 4.0)");
        assert_eq!(show(&[7.0, f64::NAN]), "7.0");
        assert_eq!(show(&[]), "-");
    }
}
