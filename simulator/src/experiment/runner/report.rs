//! What a run comes to, as plain data. Times are in seconds of virtual time.

use std::ops::Range;

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::{Deserialize, Serialize};

use super::post::Routed;
use crate::engine::lanes::Tally;
use crate::engine::marks::Marks;
use crate::engine::stats::{self, Broadcast, Kind};
use crate::engine::watch::Load;
use crate::model::regional::Regional;
use crate::observe::graph::Graph;
use crate::observe::overlay::Overlay;

/// What was measured. A function of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the scenario is called.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// What every random choice followed from.
    pub seed: u64,
    /// Nodes that ever started.
    pub started_nodes: usize,
    /// Virtual seconds.
    pub simulated_seconds: f64,
    /// Proves that two runs were equal, as hexadecimal digits.
    pub digest: String,
    /// Events handled.
    pub events: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Messages that did not fit a queue.
    pub shed: u64,
    /// Messages that the network brought twice.
    pub duplicated: u64,
    /// The most events that were under way at a time.
    pub peak_pending: usize,
    /// Messages sent, by kind.
    pub messages: Vec<Sent>,
    /// The channels, in the order of the scenario.
    pub channels: Vec<ChannelReport>,
    /// What was looked for and sent hop by hop, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingReport>,
    /// The parts of the run, one after the other.
    pub phases: Vec<PhaseReport>,
    /// The timeline, as it happened.
    pub timeline: Vec<Happened>,
    /// What nodes carried in the whole run, if the scenario measures it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Loads>,
    /// The run over time.
    pub series: Vec<Point>,
    /// The overlay over time, where it was looked at.
    pub overlay_series: Vec<OverlayPoint>,
    /// The assertions, in their order.
    pub verdicts: Vec<Verdict>,
    /// What must hold in every run and did not; the run was stopped there.
    pub violation: Option<Broken>,
    /// Which rarely taken branches of the protocols were taken.
    #[serde(skip)]
    pub marks: Marks,
}

impl Report {
    /// Whether every assertion holds, and everything that always must.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violation.is_none() && self.verdicts.iter().all(|verdict| verdict.holds)
    }
}

/// An invariant of the protocols that did not hold: a bug.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Broken {
    /// The invariant.
    pub rule: &'static str,
    /// What was found instead, and where.
    pub detail: String,
    /// When it was found.
    pub at: f64,
}

/// A part of a run: its broadcasts, and the overlay at its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PhaseReport {
    /// What the scenario calls it.
    pub phase: String,
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub until: f64,
    /// Broadcasts published.
    pub broadcasts: usize,
    /// Mean share of the running nodes that a broadcast reached; absent without broadcasts.
    pub reliability: Option<f64>,
    /// Share that the broadcast reached which reached fewest.
    pub least_reliability: Option<f64>,
    /// Mean relative message redundancy.
    pub rmr: Option<f64>,
    /// Mean last delivery hop.
    pub ldh: Option<f64>,
    /// From publish to delivery, of what was delivered in this phase; absent if nothing was.
    pub latency_seconds: Option<Quantiles>,
    /// The same as shares of the deliveries that took at most so many seconds.
    pub latency_curve: Curve,
    /// The same by region, beside the best possible.
    pub regions: Vec<RegionLatency>,
    /// The overlay at the end of the phase.
    #[serde(flatten)]
    pub overlay: Overlay,
}

/// Delivery latencies in a region, or everywhere where regions have no names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionLatency {
    /// Where the receivers stand.
    pub region: String,
    /// Deliveries there.
    pub deliveries: u64,
    /// From publish to delivery.
    pub latency_seconds: Quantiles,
    /// The shortest path from the publishers' regions, for the same deliveries. Absent where each
    /// message's way is drawn anew.
    pub best_seconds: Option<Quantiles>,
    /// Mean latency in terms of the mean of the best.
    pub stretch: Option<f64>,
}

/// Quantiles in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// All but a hundredth lie below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// A distribution: pairs of a value and the share of all that lies at it or below, both growing;
/// the last share is 1. Empty if there is nothing. No step but a value's own is higher than a
/// hundredth, and there are at most some two hundred pairs.
pub type Curve = Vec<(f64, f64)>;

/// What nodes carried: of all that ever ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loads {
    /// Messages sent by a node.
    pub sent: Spread,
    /// Bytes sent by a node, without transport overhead.
    pub bytes_sent: Spread,
    /// Messages handled by a node.
    pub received: Spread,
}

/// How something is spread over the nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// All but a hundredth lie below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Shares of the nodes that have at most so much.
    pub curve: Curve,
}

impl Spread {
    /// To three digits.
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut histogram = stats::histogram(1 << 50);
        values.for_each(|value| histogram.saturating_record(value));
        let quantile = |quantile| histogram.value_at_quantile(quantile) as f64;
        Self {
            mean: if histogram.is_empty() { 0.0 } else { histogram.mean() },
            min: histogram.min() as f64,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: histogram.max() as f64,
            curve: curve(&histogram, 1.0),
        }
    }
}

impl Loads {
    pub(super) fn of(loads: &[Load]) -> Self {
        Self {
            sent: Spread::of(loads.iter().map(|load| load.sent)),
            bytes_sent: Spread::of(loads.iter().map(|load| load.bytes_sent)),
            received: Spread::of(loads.iter().map(|load| load.received)),
        }
    }
}

/// A histogram as a curve, its values in terms of `unit`.
pub(super) fn curve(histogram: &Histogram<u64>, unit: f64) -> Curve {
    const STEP: f64 = 0.005;
    let all = histogram.len() as f64;
    let mut curve = Curve::new();
    let (mut count, mut given) = (0, 0.0);
    for value in histogram.iter_recorded() {
        count += value.count_since_last_iteration();
        let share = count as f64 / all;
        if curve.is_empty() || share >= given + STEP || count == histogram.len() {
            // The last bucket of the histogram may reach behind the greatest value.
            curve.push((value.value_iterated_to().min(histogram.max()) as f64 / unit, share));
            given = share;
        }
    }
    curve
}

/// Messages of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// As metrics label it.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Their bytes, without transport overhead.
    pub bytes: u64,
}

/// What became of lookups, and of datagrams.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RoutingReport {
    /// Lookups, but for those whose asker died before there was an outcome, and for the last ones, whose
    /// outcome may still come.
    pub lookups: u64,
    /// Those that found somebody.
    pub found: u64,
    /// Those that found nobody.
    pub not_found: u64,
    /// From the question to the answer.
    pub latency_seconds: Option<Quantiles>,
    /// Datagrams sent hop by hop to whom a lookup found.
    pub datagrams: u64,
    /// Those that arrived.
    pub delivered: u64,
    /// Those of which the sender heard that they did not.
    pub lost: u64,
}

impl RoutingReport {
    pub(super) fn of(routed: &Routed) -> Option<Self> {
        let Routed { lookups, found, not_found, datagrams, delivered, lost, .. } = *routed;
        let latencies = &routed.latencies;
        let latency_seconds = (!latencies.is_empty()).then(|| Quantiles::of(latencies));
        (lookups + datagrams > 0).then_some(Self {
            lookups,
            found,
            not_found,
            latency_seconds,
            datagrams,
            delivered,
            lost,
        })
    }
}

/// What became of the messages on a channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelReport {
    /// Its name.
    pub channel: String,
    /// Messages that applications wanted to send.
    pub messages: u64,
    /// Those for which there was no room.
    pub refused: u64,
    /// Those that were put on the way, of a kind whose senders know no more.
    pub sent: u64,
    /// Those that the sender was told are delivered.
    pub acknowledged: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose path broke, or whose receiver started anew.
    pub gone: u64,
    /// Those of which nobody said in time what became of them.
    pub timed_out: u64,
    /// Those that were never sent, because a newer one took their place.
    pub shed: u64,
    /// Those that were never sent, because nobody was there who had ever answered.
    pub unreachable: u64,
    /// Those without outcome, because their sender stopped or the run ended.
    pub open: u64,
    /// Those that an application took.
    pub delivered: u64,
    /// Deliveries of what an earlier start of the receiver had taken.
    pub delivered_again: u64,
    /// Deliveries of what the same start had taken; not 0 only if a promise was broken.
    pub duplicates: u64,
    /// Frames that halves sent again.
    pub retransmitted: u64,
    /// From send to the first delivery; absent without any.
    pub latency_seconds: Option<Quantiles>,
    /// From send to the word of delivery, or to the answer; absent without any.
    pub round_trip_seconds: Option<Quantiles>,
}

impl ChannelReport {
    pub(super) fn of(name: &str, tally: &Tally) -> Self {
        let quantiles =
            |histogram: &Histogram<u64>| (!histogram.is_empty()).then(|| Quantiles::of(histogram));
        Self {
            channel: name.to_owned(),
            messages: tally.messages,
            refused: tally.refused,
            sent: tally.sent,
            acknowledged: tally.acknowledged,
            answered: tally.answered,
            gone: tally.gone,
            timed_out: tally.timed_out,
            shed: tally.shed,
            unreachable: tally.unreachable,
            open: tally.open(),
            delivered: tally.delivered,
            delivered_again: tally.delivered_again,
            duplicates: tally.duplicates,
            retransmitted: tally.retransmitted,
            latency_seconds: quantiles(&tally.latencies),
            round_trip_seconds: quantiles(&tally.round_trips),
        }
    }
}

/// A point of the time series: what happened since the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: f64,
    /// Nodes that run then.
    pub running_nodes: usize,
    /// Events handled.
    pub events: u64,
    /// Messages sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Messages that did not fit a queue.
    pub shed: u64,
    /// Neighbours that came up.
    pub neighbor_ups: u64,
    /// Neighbours that went down.
    pub neighbor_downs: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// From publish to delivery; absent without deliveries.
    pub latency_seconds: Option<Quantiles>,
    /// Broadcasts published.
    pub broadcasts: usize,
    /// Mean share of the running nodes that these reached in the end.
    pub reliability: Option<f64>,
    /// Their mean redundancy.
    pub rmr: Option<f64>,
    /// Their mean last delivery hop.
    pub ldh: Option<f64>,
}

/// The overlay at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverlayPoint {
    /// When.
    pub at: f64,
    /// Running nodes.
    pub running_nodes: usize,
    /// Connected components.
    pub components: usize,
    /// Nodes in the largest.
    pub largest_component: usize,
    /// Running nodes without a neighbour.
    pub isolated: usize,
    /// Mean number of neighbours.
    pub mean_degree: f64,
    /// Views that hold a running node that does not hold them.
    pub asymmetric_links: usize,
    /// Places in views that hold nodes which do not run.
    pub dead_links: usize,
    /// Pairs of running nodes without a link between them.
    pub unlinked_pairs: usize,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happened {
    /// Its name, or its kind.
    pub fault: String,
    /// What it was.
    pub kind: &'static str,
    /// When it struck or began.
    pub at: f64,
    /// When it ended, if it did so by itself.
    pub until: Option<f64>,
    /// How many nodes it struck, or how many times it struck one.
    pub struck: usize,
}

/// Whether an assertion holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The assertion.
    pub assertion: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found: where it does not hold, the first value that breaks it.
    pub found: Option<f64>,
    /// When, if it is about a moment.
    pub at: Option<f64>,
}

impl Quantiles {
    /// Of a histogram in microseconds; all zero if it is empty.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let quantile = |quantile| seconds(histogram.value_at_quantile(quantile));
        Self {
            mean: if histogram.is_empty() { 0.0 } else { histogram.mean() / 1e6 },
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: seconds(histogram.max()),
        }
    }
}

impl OverlayPoint {
    pub(super) fn of(at: Time, graph: &Graph, dead_links: usize) -> Self {
        let components = graph.components();
        Self {
            at: seconds(at),
            running_nodes: graph.nodes(),
            components: components.count,
            largest_component: components.largest,
            isolated: graph.degrees().first().copied().unwrap_or(0),
            mean_degree: graph.mean_degree(),
            asymmetric_links: graph.asymmetric,
            dead_links,
            unlinked_pairs: graph.nodes() * graph.nodes().saturating_sub(1) / 2 - graph.edges(),
        }
    }
}

impl RegionLatency {
    pub(super) fn all(regional: &Regional) -> Vec<Self> {
        let row = |(region, latencies): (&str, &crate::model::regional::Latencies)| {
            let latency_seconds = Quantiles::of(&latencies.taken);
            let best = (!latencies.best.is_empty()).then(|| Quantiles::of(&latencies.best));
            Self {
                region: region.to_owned(),
                deliveries: latencies.taken.len(),
                latency_seconds,
                best_seconds: best,
                stretch: best.map(|best| latency_seconds.mean / best.mean),
            }
        };
        regional.rows().map(row).collect()
    }
}

impl From<&Kind> for Sent {
    fn from(kind: &Kind) -> Self {
        Self { kind: kind.name, count: kind.count, bytes: kind.bytes }
    }
}

/// Mean of `of` over broadcasts; `None` if there are none.
pub(super) fn mean(broadcasts: &[Broadcast], of: impl Fn(&Broadcast) -> f64) -> Option<f64> {
    let sum: f64 = broadcasts.iter().map(of).sum();
    (!broadcasts.is_empty()).then(|| sum / broadcasts.len() as f64)
}

/// The one that reached fewest.
pub(super) fn least_reliability(broadcasts: &[Broadcast]) -> Option<f64> {
    broadcasts.iter().map(Broadcast::reliability).min_by(f64::total_cmp)
}

/// Which broadcasts were published from `from` on and before `until`.
pub(super) fn published(all: &[Broadcast], from: Time, until: Time) -> Range<usize> {
    let first = all.partition_point(|broadcast| broadcast.sent < from);
    let end = all.partition_point(|broadcast| broadcast.sent < until);
    first..end.max(first)
}

/// Seconds of virtual time since the beginning.
pub(super) fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = stats::latency_histogram();
        (1..=1_000).for_each(|millis| histogram.saturating_record(millis * 1_000));
        // And one far out, which moves the mean.
        histogram.saturating_record(3_000_000_000);
        let Quantiles { mean, p50, p99, max } = Quantiles::of(&histogram);
        let is_near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.001;
        assert!(is_near(mean, 500.5 * 1_000.0 / 1_001.0 / 1e3 + 3_000.0 / 1_001.0), "{mean}");
        assert!(
            is_near(p50, 0.501) && is_near(p99, 0.991) && is_near(max, 3_000.0),
            "{p50} {p99} {max}"
        );
    }
}
