//! The report of a run, as plain data. Times are in seconds of virtual time.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::{Deserialize, Serialize};

use super::quantiles::{Curve, Quantiles, curve};
use super::routing::RoutingCounts;
use crate::engine::lanes::Tally;
use crate::engine::marks::Marks;
use crate::engine::stats::{self, BroadcastStats, KindStats, Stats};
use crate::engine::watch::Load;
use crate::model::regional::Regional;
use crate::observe::graph::Graph;
use crate::observe::overlay::{Exposure, Overlay};

/// All measurements of a run. It is a function of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the scenario is called.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// The graph of contacts, if the scenario has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphReport>,
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
    /// Messages that the network delivered twice.
    pub duplicated: u64,
    /// The most events that were under way at a time.
    pub peak_pending: usize,
    /// Messages sent, by kind.
    pub messages: Vec<Sent>,
    /// The channels, in the order of the scenario.
    pub channels: Vec<ChannelReport>,
    /// Lookups and datagrams, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingReport>,
    /// What became of dials, where connections take time to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dials: Option<DialReport>,
    /// The classes of nodes over the whole run, with those of none behind, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassReport>,
    /// The parts of the run, one after the other.
    pub phases: Vec<PhaseReport>,
    /// The timeline, as it happened.
    pub timeline: Vec<FaultReport>,
    /// What nodes carried in the whole run, if the scenario measures it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Loads>,
    /// The run over time.
    pub series: Vec<Point>,
    /// The overlay over time, where it was looked at.
    pub overlay_series: Vec<OverlayPoint>,
    /// The metrics that were registered, over time, where the overlay was looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricReport>,
    /// The assertions, in their order.
    pub verdicts: Vec<Verdict>,
    /// The invariant that was violated, if one was. The run was stopped there.
    pub violation: Option<ViolationReport>,
    /// Which rarely taken branches of the protocols were taken.
    #[serde(skip)]
    pub marks: Marks,
}

impl Report {
    /// Whether all assertions and invariants hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violation.is_none() && self.verdicts.iter().all(|verdict| verdict.holds)
    }
}

/// A graph of contacts, before anything goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GraphReport {
    /// Links.
    pub links: usize,
    /// The fewest links of a node.
    pub least_degree: usize,
    /// The most.
    pub most_degree: usize,
    /// Connected components.
    pub components: usize,
    /// Nodes in the largest.
    pub largest_component: usize,
    /// The longest shortest path from any of 64 nodes, in links: the diameter, or somewhat less.
    pub longest_path: u32,
}

impl From<&Graph> for GraphReport {
    fn from(graph: &Graph) -> Self {
        let (components, degrees) = (graph.components(), graph.degrees());
        Self {
            links: graph.edges(),
            least_degree: degrees.iter().position(|nodes| *nodes > 0).unwrap_or_default(),
            most_degree: degrees.len().saturating_sub(1),
            components: components.count,
            largest_component: components.largest,
            longest_path: graph.paths(64).longest,
        }
    }
}

/// An invariant of the protocols that did not hold: a bug.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViolationReport {
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
    /// The same of the broadcast that reached fewest.
    pub least_reliability: Option<f64>,
    /// Mean relative message redundancy.
    pub rmr: Option<f64>,
    /// Mean last delivery hop.
    pub ldh: Option<f64>,
    /// From publish to delivery, of what was delivered in this phase; absent if nothing was.
    pub latency_seconds: Option<Quantiles>,
    /// The same as a curve: shares of the deliveries that took at most a number of seconds.
    pub latency_curve: Curve,
    /// The same by region, beside the best possible.
    pub regions: Vec<RegionLatency>,
    /// The overlay at the end of the phase.
    #[serde(flatten)]
    pub overlay: Overlay,
    /// The metrics that were registered, at the end of the phase.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<&'static str, Option<f64>>,
}

/// A metric that was registered, over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricReport {
    /// Its name.
    pub metric: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Pairs of a time and its value then, if there was anything to measure.
    pub series: Vec<(f64, Option<f64>)>,
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
    /// The 99th percentile.
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

/// What became of dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DialReport {
    /// Those that nodes began.
    pub begun: u64,
    /// Those that were refused or not answered in time, or that nobody waited for any more.
    pub failed: u64,
}

impl DialReport {
    pub(super) fn of(stats: &Stats) -> Self {
        Self { begun: stats.dials, failed: stats.failed_dials }
    }
}

/// The nodes of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassReport {
    /// Its name; `(none)` of those that are of none.
    pub class: String,
    /// Those that run at the end.
    pub running_nodes: u64,
    /// Their mean number of neighbours then.
    pub mean_degree: f64,
    /// Those without a neighbour then.
    pub isolated: u64,
    /// Broadcasts delivered to them.
    pub deliveries: u64,
    /// The same as a share of all that were to be: of each broadcast to all of them that ran when it was
    /// published.
    pub reliability: Option<f64>,
    /// From publish to delivery, to two digits.
    pub latency_seconds: Option<Quantiles>,
}

/// Outcomes of lookups and datagrams.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RoutingReport {
    /// Lookups, without those whose node died before there was an outcome, and without the last ones, which
    /// may still have one.
    pub lookups: u64,
    /// Those that found the node.
    pub found: u64,
    /// Those that did not find it.
    pub not_found: u64,
    /// From the question to the answer.
    pub latency_seconds: Option<Quantiles>,
    /// Datagrams sent hop by hop to nodes that lookups found.
    pub datagrams: u64,
    /// Those that arrived.
    pub delivered: u64,
    /// Those whose sender was told that they are lost.
    pub lost: u64,
}

impl RoutingReport {
    pub(super) fn of(routed: &RoutingCounts) -> Option<Self> {
        let RoutingCounts { lookups, found, not_found, datagrams, delivered, lost, .. } = *routed;
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

/// Outcomes of the messages on a channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelReport {
    /// Its name.
    pub channel: String,
    /// Messages that applications wanted to send.
    pub messages: u64,
    /// Those for which there was no room.
    pub refused: u64,
    /// Those that were sent, of a kind whose senders learn no more.
    pub sent: u64,
    /// Those that were reported to the sender as delivered.
    pub acknowledged: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose path broke, or whose receiver restarted.
    pub gone: u64,
    /// Those without an outcome in time.
    pub timed_out: u64,
    /// Those that were never sent, because a newer one replaced them.
    pub shed: u64,
    /// Those that were never sent, because no receiver ever answered.
    pub unreachable: u64,
    /// Those without outcome, because their sender stopped or the run ended.
    pub open: u64,
    /// Those that an application took.
    pub delivered: u64,
    /// Deliveries of messages that an earlier incarnation of the receiver had taken.
    pub delivered_again: u64,
    /// Deliveries of messages that the same incarnation had taken. Always 0, unless a promise was broken.
    pub duplicates: u64,
    /// Frames that halves sent again.
    pub retransmitted: u64,
    /// From send to the first delivery; absent without any.
    pub latency_seconds: Option<Quantiles>,
    /// From send to the acknowledgement or the answer; absent without any.
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

/// A point of the time series: what happened since the previous one.
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
    /// Links of the scenario's graph between running nodes that are not there, if there is a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_links: Option<usize>,
    /// How far attackers got, if there are any.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultReport {
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
            missing_links: None,
            exposure: None,
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

impl From<&KindStats> for Sent {
    fn from(kind: &KindStats) -> Self {
        Self { kind: kind.name, count: kind.count, bytes: kind.bytes }
    }
}

/// Mean of `of` over broadcasts; `None` if there are none.
pub(super) fn mean(
    broadcasts: &[BroadcastStats],
    of: impl Fn(&BroadcastStats) -> f64,
) -> Option<f64> {
    let sum: f64 = broadcasts.iter().map(of).sum();
    (!broadcasts.is_empty()).then(|| sum / broadcasts.len() as f64)
}

/// The one that reached fewest.
pub(super) fn least_reliability(broadcasts: &[BroadcastStats]) -> Option<f64> {
    broadcasts.iter().map(BroadcastStats::reliability).min_by(f64::total_cmp)
}

/// Which broadcasts were published from `from` on and before `until`.
pub(super) fn published(all: &[BroadcastStats], from: Time, until: Time) -> Range<usize> {
    let first = all.partition_point(|broadcast| broadcast.sent < from);
    let end = all.partition_point(|broadcast| broadcast.sent < until);
    first..end.max(first)
}

/// Seconds of virtual time since the beginning.
pub(super) fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}
