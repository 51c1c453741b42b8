//! Figures and verdicts of real nodes, from what was observed of them.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::Serialize;

use super::counts::Counts;
use super::metrics::Metrics;
use super::quantiles::{Quantiles, curve};
use super::recorder::looks;
use super::report::{
    ChannelReport, OverlayPoint, PhaseReport, Verdict, least_reliability, mean, published, seconds,
};
use super::routing::RoutingCounts;
use super::verdicts::{Judge, Measured, verdicts, watches};
use crate::engine::bucket;
use crate::engine::lanes::{Tally, TallyWindow};
use crate::engine::stats::{self, BroadcastStats};
use crate::experiment::scenario::{Channel, Figure, Of, Scenario};
use crate::observe::graph::Graph;
use crate::observe::overlay::Overlay;

/// Observations of nodes that ran a scenario.
pub struct Observed<'a> {
    /// Broadcasts, in the order they were published.
    pub broadcasts: Vec<BroadcastStats>,
    /// Deliveries: when, and how long after the broadcast was published.
    pub deliveries: Vec<(Time, Duration)>,
    /// Messages that all nodes had sent by some moments, in order.
    pub messages: Vec<(Time, u64)>,
    /// The running nodes at a moment, and how many entries of views were nodes that did not run. Nodes
    /// start and end at the moments when they did in the simulation.
    pub overlay: &'a dyn Fn(Time) -> (Graph, usize),
    /// What became of the messages on channels that such a window sees.
    pub channels: &'a dyn Fn(&TallyWindow) -> Tally,
}

/// The figures that simulated and real nodes have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ObservedReport {
    /// The parts of the run, one after the other.
    pub phases: Vec<PhaseReport>,
    /// What became of the messages on channels, in the scenario's order.
    pub channels: Vec<ChannelReport>,
    /// The overlay over time, where it was looked at.
    pub overlay_series: Vec<OverlayPoint>,
    /// The assertions, in their order.
    pub verdicts: Vec<Verdict>,
}

impl Observed<'_> {
    /// The figures of a report of the scenario, measured in the same windows.
    #[must_use]
    pub fn report(&self, scenario: &Scenario) -> ObservedReport {
        let end = Time::ZERO.after(scenario.duration.0);
        // What happens at a moment happens at the next border of the simulation's queue, and so does a look.
        let width = scenario.network().map_or(1, |network| bucket(&network));
        let border = |at: Time| Time::from_nanos(at.as_nanos().next_multiple_of(width));
        let point = |at: Time| {
            let (graph, dead_links) = (self.overlay)(border(at));
            (at, OverlayPoint::of(at, &graph, dead_links))
        };
        let moments = looks(scenario, None).into_iter().chain([end]);
        let overlays: Vec<(Time, OverlayPoint)> = moments.map(point).collect();
        let watched: Vec<Tally> = watches(scenario).iter().map(self.channels).collect();
        let measured = Measured {
            broadcasts: &self.broadcasts,
            reach: &[],
            overlays: &overlays,
            metrics: &Metrics::installed(),
            peak_pending: 0,
            watched: &watched,
            routed: &|_, _| RoutingCounts::none(),
        };
        let judge = Judge::of(scenario, |from, until| {
            let messages = self.sent(until) - self.sent(from);
            (Counts { messages, ..Counts::default() }, self.latencies(from, until))
        });
        ObservedReport {
            phases: self.phases(scenario, end),
            channels: self.channels(scenario, end),
            verdicts: verdicts(scenario, &measured, &judge),
            overlay_series: overlays.into_iter().map(|(_, point)| point).collect(),
        }
    }

    /// The name of a figure that the scenario asserts and observations do not have, if there is one.
    #[must_use]
    pub fn untold(scenario: &Scenario) -> Option<&'static str> {
        let is_told = |figure: Figure| match figure.of() {
            // Of channels nobody counts frames.
            _ if figure == Figure::Messages => scenario.channels.is_empty(),
            Of::Broadcasts => figure != Figure::Reach,
            Of::Deliveries => !matches!(figure, Figure::Pending | Figure::Lost | Figure::Shed),
            Of::Overlay => {
                figure != Figure::MissingLinks && !Figure::OF_ATTACKERS.contains(&figure)
            }
            Of::Channels => true,
            Of::Routing | Of::Moment => false,
        };
        let mut figures = scenario.assertions.iter().map(|assertion| assertion.figure);
        figures.find(|figure| !is_told(*figure)).map(Figure::name)
    }

    fn channels(&self, scenario: &Scenario, end: Time) -> Vec<ChannelReport> {
        let channels = scenario.channels.iter().zip(0..);
        let report = |(channel, place): (&Channel, u16)| {
            let all = TallyWindow { channel: Some(place), from: Time::ZERO, until: end };
            ChannelReport::of(&channel.name, &(self.channels)(&all))
        };
        channels.map(report).collect()
    }

    fn phases(&self, scenario: &Scenario, end: Time) -> Vec<PhaseReport> {
        let given = scenario.measure.phases.iter();
        let given = given.map(|phase| (phase.name.as_str(), Time::ZERO.after(phase.from.0)));
        let mut begins: Vec<(&str, Time)> = given.collect();
        if begins.first().is_none_or(|(_, from)| *from > Time::ZERO) {
            let first = if begins.is_empty() { "all" } else { "before" };
            begins.insert(0, (first, Time::ZERO));
        }
        let ends = begins.iter().skip(1).map(|(_, from)| *from).chain([end]);
        let phases = begins.iter().zip(ends);
        phases.map(|((name, from), until)| self.phase(name, *from, until)).collect()
    }

    fn phase(&self, name: &str, from: Time, until: Time) -> PhaseReport {
        // Before anything happens at that moment.
        let last = Time::from_nanos(until.as_nanos().saturating_sub(1_000));
        let broadcasts = &self.broadcasts[published(&self.broadcasts, from, until)];
        let latencies = self.latencies(from, until);
        PhaseReport {
            phase: name.to_owned(),
            from: seconds(from),
            until: seconds(until),
            broadcasts: broadcasts.len(),
            reliability: mean(broadcasts, BroadcastStats::reliability),
            least_reliability: least_reliability(broadcasts),
            rmr: mean(broadcasts, BroadcastStats::rmr),
            ldh: mean(broadcasts, |broadcast| f64::from(broadcast.last_hop)),
            latency_seconds: (!latencies.is_empty()).then(|| Quantiles::of(&latencies)),
            latency_curve: curve(&latencies, 1e6),
            regions: Vec::new(),
            overlay: Overlay::of(&(self.overlay)(last).0),
            metrics: BTreeMap::new(),
        }
    }

    fn latencies(&self, from: Time, until: Time) -> Histogram<u64> {
        let mut latencies = stats::latency_histogram();
        for (at, took) in &self.deliveries {
            if from <= *at && *at < until {
                latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
        }
        latencies
    }

    /// Messages sent by then.
    fn sent(&self, by: Time) -> u64 {
        let counted = self.messages.partition_point(|(at, _)| *at <= by);
        counted.checked_sub(1).map_or(0, |last| self.messages[last].1)
    }
}
