//! Measures a run while it goes on.

mod saved;

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::metrics::{self, Metrics};
use super::quantiles::{Curve, Quantiles, curve};
use super::report::{
    ChannelReport, DialReport, FaultReport, Loads, OverlayPoint, PhaseReport, Point, RegionLatency,
    Report, RoutingReport, ViolationReport, least_reliability, mean, published, seconds,
};
use super::routing::Routing;
use super::verdicts::{self, Judge, Measured, verdicts};
use super::{Observer, classes};
use crate::engine::stats::{BroadcastStats, Stats};
use crate::engine::watch::Load;
use crate::engine::{SimStack, Simulation};
use crate::experiment::faults::Ongoing;
use crate::experiment::scenario::{Scenario, Span};
use crate::observe::graph::Graph;
use crate::observe::overlay::{self, Overlay};

pub(super) use saved::Past;

/// Everything measured so far.
#[derive(Debug)]
pub(super) struct Recorder {
    every: Span,
    /// When the next point of the series is due.
    due: Time,
    /// When the point of the series that goes on began, and what was counted in it.
    sampled: Time,
    point: (Counts, Histogram<u64>),
    /// Until when all is counted, and what was.
    until: Time,
    counted: Counts,
    points: Vec<(Time, Point)>,
    looks: BTreeSet<Time>,
    /// With the moments that they were taken for: the simulation stops a little later.
    overlays: Vec<(Time, OverlayPoint)>,
    metrics: Metrics,
    phase: Open,
    phases: Vec<Closed>,
    names: Vec<String>,
    /// Latencies by class in all phases that are over.
    classes: Vec<Histogram<u64>>,
    judge: Judge,
}

/// The phase that goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    name: String,
    from: Time,
    #[serde(with = "saved")]
    latencies: Histogram<u64>,
}

/// A phase that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Closed {
    name: String,
    from: Time,
    until: Time,
    latencies: Option<Quantiles>,
    curve: Curve,
    regions: Vec<RegionLatency>,
    overlay: Overlay,
    #[serde(deserialize_with = "metrics::deserialize")]
    metrics: BTreeMap<&'static str, Option<f64>>,
}

impl Recorder {
    /// Measures the overlay also at this interval, if one is given.
    pub(super) fn new(scenario: &Scenario, also: Option<Span>) -> Self {
        let every = scenario.measure.every;
        let names: Vec<String> = scenario.measure.phases.iter().map(|p| p.name.clone()).collect();
        let starts = scenario.measure.phases.first().is_some_and(|p| p.from == Span::default());
        let first = if names.is_empty() { "all" } else { "before" };
        Self {
            every,
            due: Time::ZERO.after(every.0),
            sampled: Time::ZERO,
            point: (Counts::default(), latencies()),
            until: Time::ZERO,
            counted: Counts::default(),
            points: Vec::new(),
            looks: looks(scenario, also),
            overlays: Vec::new(),
            metrics: Metrics::installed(),
            phase: Open {
                name: if starts { String::new() } else { first.to_owned() },
                from: Time::ZERO,
                latencies: latencies(),
            },
            phases: Vec::new(),
            names,
            classes: Vec::new(),
            judge: Judge::new(scenario),
        }
    }

    /// When windows of assertions begin and end.
    pub(super) fn borders(&self) -> BTreeSet<Time> {
        self.judge.borders().collect()
    }

    /// When the overlay is to be looked at.
    pub(super) fn looks(&self) -> impl Iterator<Item = Time> {
        self.looks.iter().copied()
    }

    /// When the next point of the series is due, which is the one after that then.
    pub(super) fn next_sample(&mut self) -> Time {
        self.due = self.due.after(self.every.0);
        self.due
    }

    /// Counts what happened until `at`.
    pub(super) fn border<P: SimStack>(&mut self, at: Time, sim: &mut Simulation<P>) {
        let stats = sim.stats();
        let all = Counts::of(stats);
        let counted = all.since(&self.counted);
        self.judge.note(self.until, &counted, stats.latencies());
        self.point.0.add(&counted);
        self.point.1 += stats.latencies();
        (self.until, self.counted) = (at, all);
        sim.clear_latencies();
    }

    /// Completes a point of the series, with what happened until `at`.
    pub(super) fn sample<P: SimStack>(
        &mut self,
        at: Time,
        sim: &mut Simulation<P>,
        observer: &mut dyn Observer,
    ) {
        let now = sim.now();
        if now == self.sampled {
            return;
        }
        self.border(at, sim);
        let (counted, latencies) =
            std::mem::replace(&mut self.point, (Counts::default(), latencies()));
        let point = Point {
            at: seconds(now),
            running_nodes: sim.live(),
            events: counted.events,
            messages: counted.messages,
            bytes: counted.bytes,
            lost: counted.lost,
            shed: counted.shed,
            neighbor_ups: counted.ups,
            neighbor_downs: counted.downs,
            deliveries: latencies.len(),
            latency_seconds: (!latencies.is_empty()).then(|| Quantiles::of(&latencies)),
            broadcasts: published(&sim.stats().broadcasts, self.sampled, now).len(),
            reliability: None,
            rmr: None,
            ldh: None,
        };
        self.phase.latencies += latencies;
        observer.point(&point);
        self.points.push((self.sampled, point));
        self.sampled = now;
    }

    /// Looks at the overlay, as it is at `at`.
    pub(super) fn look<P: SimStack>(
        &mut self,
        at: Time,
        sim: &Simulation<P>,
        given: Option<&Graph>,
    ) {
        let dead_links = overlay::dead_links(sim).count();
        let graph = overlay::graph(sim);
        let missing = given.map(|given| overlay::missing_links(sim, &graph, given));
        let point = OverlayPoint {
            missing_links: missing,
            exposure: overlay::exposure(sim),
            ..OverlayPoint::of(sim.now(), &graph, dead_links)
        };
        self.overlays.push((at, point));
        self.metrics.look(at, sim);
    }

    /// A phase begins, and so the one before ends.
    pub(super) fn begin_phase<P: SimStack>(&mut self, at: usize, sim: &mut Simulation<P>) {
        let name = self.names.get(at).cloned().unwrap_or_default();
        self.close_phase(sim, name);
    }

    fn close_phase<P: SimStack>(&mut self, sim: &mut Simulation<P>, next: String) {
        let now = sim.now();
        let next = Open { name: next, from: now, latencies: latencies() };
        let phase = std::mem::replace(&mut self.phase, next);
        if now > phase.from {
            let regions = self.take_regions(sim);
            self.phases.push(Closed {
                name: phase.name,
                from: phase.from,
                until: now,
                latencies: (!phase.latencies.is_empty()).then(|| Quantiles::of(&phase.latencies)),
                curve: curve(&phase.latencies, 1e6),
                regions,
                overlay: overlay::measure(sim),
                metrics: self.metrics.now(sim),
            });
        }
    }

    /// What was delivered where in the phase; what was delivered to which class is kept.
    fn take_regions<P: SimStack>(&mut self, sim: &mut Simulation<P>) -> Vec<RegionLatency> {
        let Some(regional) = sim.take_regions() else { return Vec::new() };
        if self.classes.is_empty() {
            self.classes = regional.classes().to_vec();
        } else {
            self.classes.iter_mut().zip(regional.classes()).for_each(|(all, more)| *all += more);
        }
        RegionLatency::all(&regional)
    }

    /// The run is over, but for the last look.
    pub(super) fn end<P: SimStack>(
        &mut self,
        at: Time,
        sim: &mut Simulation<P>,
        observer: &mut dyn Observer,
    ) {
        self.sample(at, sim, observer);
        self.close_phase(sim, String::new());
    }

    /// Makes the report.
    pub(super) fn report<P: SimStack>(
        self,
        scenario: &Scenario,
        sim: &Simulation<P>,
        faults: &[Ongoing],
        reach: &[f64],
        routing: &Routing<P>,
        violation: Option<ViolationReport>,
    ) -> Report {
        let stats = sim.stats();
        let series: Vec<Point> =
            self.points.into_iter().map(|(from, point)| finished(from, point, stats)).collect();
        let phases = self.phases.into_iter().map(|phase| phase.report(stats)).collect();
        let (channels, watched) = sim.channel_tallies();
        let channels = scenario.channels.iter().zip(&channels);
        let measured = Measured {
            broadcasts: &stats.broadcasts,
            reach,
            overlays: &self.overlays,
            metrics: &self.metrics,
            peak_pending: sim.peak_pending(),
            watched: &watched,
            routed: &|from, until| routing.routed(sim, from, until),
        };
        let verdicts = verdicts(scenario, &measured, &self.judge);
        let named = stats.messages.iter().filter(|kind| !kind.name.is_empty());
        Report {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            seed: scenario.seed,
            graph: None,
            started_nodes: sim.len(),
            simulated_seconds: seconds(sim.now()),
            digest: format!("{:016x}", stats.digest),
            events: stats.events,
            lost: stats.lost,
            shed: stats.shed,
            duplicated: stats.duplicated,
            peak_pending: sim.peak_pending(),
            messages: named.map(Into::into).collect(),
            routing: RoutingReport::of(&routing.routed(sim, Time::ZERO, sim.now())),
            dials: scenario.dialling().map(|_| DialReport::of(stats)),
            classes: classes::report(sim, &self.classes),
            channels: channels.map(|(c, tally)| ChannelReport::of(&c.name, tally)).collect(),
            phases,
            timeline: faults.iter().map(fault_report).collect(),
            load: loads(sim),
            series,
            overlay_series: self.overlays.into_iter().map(|(_, point)| point).collect(),
            metrics: self.metrics.report(),
            verdicts,
            violation,
            marks: stats.marks.clone(),
        }
    }
}

impl Closed {
    fn report(self, stats: &Stats) -> PhaseReport {
        let broadcasts = &stats.broadcasts[published(&stats.broadcasts, self.from, self.until)];
        PhaseReport {
            phase: self.name,
            from: seconds(self.from),
            until: seconds(self.until),
            broadcasts: broadcasts.len(),
            reliability: mean(broadcasts, BroadcastStats::reliability),
            least_reliability: least_reliability(broadcasts),
            rmr: mean(broadcasts, BroadcastStats::rmr),
            ldh: mean(broadcasts, |broadcast| f64::from(broadcast.last_hop)),
            latency_seconds: self.latencies,
            latency_curve: self.curve,
            regions: self.regions,
            overlay: self.overlay,
            metrics: self.metrics,
        }
    }
}

/// A point, with what its broadcasts came to in the end.
fn finished(from: Time, mut point: Point, stats: &Stats) -> Point {
    let all = &stats.broadcasts;
    let first = all.partition_point(|broadcast| broadcast.sent < from);
    let broadcasts = &all[first..][..point.broadcasts];
    point.reliability = mean(broadcasts, BroadcastStats::reliability);
    point.rmr = mean(broadcasts, BroadcastStats::rmr);
    point.ldh = mean(broadcasts, |broadcast| f64::from(broadcast.last_hop));
    point
}

/// What each node that ever ran carried.
fn loads<P: SimStack>(sim: &Simulation<P>) -> Option<Loads> {
    let loads: Option<Vec<Load>> = (0..sim.len()).map(|index| sim.load(index)).collect();
    loads.filter(|loads| !loads.is_empty()).map(|loads| Loads::of(&loads))
}

fn fault_report(ongoing: &Ongoing) -> FaultReport {
    let fault = ongoing.fault();
    FaultReport {
        fault: fault.label().to_owned(),
        kind: fault.what.kind(),
        at: fault.at.0.as_secs_f64(),
        until: fault.what.lasting().map(|lasting| (fault.at.0 + lasting.0).as_secs_f64()),
        struck: ongoing.struck,
    }
}

/// When the overlay is looked at: as often as asked for, and when assertions are about it.
pub(super) fn looks(scenario: &Scenario, also: Option<Span>) -> BTreeSet<Time> {
    let end = scenario.duration.0;
    let every = |span: Span| {
        let times = (1..).map(move |count| span.0.saturating_mul(count));
        times.take_while(move |time| *time < end).map(|time| Time::ZERO.after(time))
    };
    let mut looks: BTreeSet<Time> =
        scenario.measure.overlay_every.into_iter().chain(also).flat_map(every).collect();
    for assertion in &scenario.assertions {
        looks.extend(verdicts::looks(scenario, assertion));
    }
    // The last look is taken in any case.
    looks.retain(|time| *time < Time::ZERO.after(end));
    looks
}

/// As the simulation's own.
fn latencies() -> Histogram<u64> {
    crate::engine::stats::latency_histogram()
}
