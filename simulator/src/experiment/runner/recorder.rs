//! Measures a run while it goes on.

mod saved;

use std::collections::BTreeSet;

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::{Deserialize, Serialize};

use super::Observer;
use super::counted::Counted;
use super::post::Post;
use super::report::{
    Broken, ChannelReport, Curve, Happened, Loads, OverlayPoint, PhaseReport, Point, Quantiles,
    RegionLatency, Report, RoutingReport, curve, least_reliability, mean, published, seconds,
};
use super::verdicts::{self, Judge, Measured, verdicts};
use crate::engine::stats::{Broadcast, Stats};
use crate::engine::watch::Load;
use crate::engine::{SimStack, Simulation};
use crate::experiment::faults::Ongoing;
use crate::experiment::scenario::{Scenario, Span};
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
    point: (Counted, Histogram<u64>),
    /// Until when all is counted, and what was.
    until: Time,
    counted: Counted,
    points: Vec<(Time, Point)>,
    looks: BTreeSet<Time>,
    /// With the moments that they were taken for: the simulation stops a little later.
    overlays: Vec<(Time, OverlayPoint)>,
    phase: Open,
    phases: Vec<Closed>,
    names: Vec<String>,
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
}

impl Recorder {
    /// Looks at the overlay `also` so often.
    pub(super) fn new(scenario: &Scenario, also: Option<Span>) -> Self {
        let every = scenario.measure.every;
        let names: Vec<String> = scenario.measure.phases.iter().map(|p| p.name.clone()).collect();
        let starts = scenario.measure.phases.first().is_some_and(|p| p.from == Span::default());
        let first = if names.is_empty() { "all" } else { "before" };
        Self {
            every,
            due: Time::ZERO.after(every.0),
            sampled: Time::ZERO,
            point: (Counted::default(), latencies()),
            until: Time::ZERO,
            counted: Counted::default(),
            points: Vec::new(),
            looks: looks(scenario, also),
            overlays: Vec::new(),
            phase: Open {
                name: if starts { String::new() } else { first.to_owned() },
                from: Time::ZERO,
                latencies: latencies(),
            },
            phases: Vec::new(),
            names,
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
        let all = Counted::of(stats);
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
            std::mem::replace(&mut self.point, (Counted::default(), latencies()));
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
    pub(super) fn look<P: SimStack>(&mut self, at: Time, sim: &Simulation<P>) {
        let dead_links = overlay::dead_links(sim).count();
        let point = OverlayPoint::of(sim.now(), &overlay::graph(sim), dead_links);
        self.overlays.push((at, point));
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
            self.phases.push(Closed {
                name: phase.name,
                from: phase.from,
                until: now,
                latencies: (!phase.latencies.is_empty()).then(|| Quantiles::of(&phase.latencies)),
                curve: curve(&phase.latencies, 1e6),
                regions: sim.take_regions().map_or_else(Vec::new, |r| RegionLatency::all(&r)),
                overlay: overlay::measure(sim),
            });
        }
    }

    /// The run is over.
    pub(super) fn end<P: SimStack>(
        &mut self,
        at: Time,
        sim: &mut Simulation<P>,
        observer: &mut dyn Observer,
    ) {
        self.sample(at, sim, observer);
        self.close_phase(sim, String::new());
        self.look(at, sim);
    }

    /// What it all comes to.
    pub(super) fn report<P: SimStack>(
        self,
        scenario: &Scenario,
        sim: &Simulation<P>,
        faults: &[Ongoing],
        reach: &[f64],
        post: &Post<P>,
        violation: Option<Broken>,
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
            peak_pending: sim.peak_pending(),
            watched: &watched,
            routed: &|from, until| post.routed(sim, from, until),
        };
        let verdicts = verdicts(scenario, &measured, &self.judge);
        let named = stats.messages.iter().filter(|kind| !kind.name.is_empty());
        Report {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            seed: scenario.seed,
            started_nodes: sim.len(),
            simulated_seconds: seconds(sim.now()),
            digest: format!("{:016x}", stats.digest),
            events: stats.events,
            lost: stats.lost,
            shed: stats.shed,
            duplicated: stats.duplicated,
            peak_pending: sim.peak_pending(),
            messages: named.map(Into::into).collect(),
            routing: RoutingReport::of(&post.routed(sim, Time::ZERO, sim.now())),
            channels: channels.map(|(c, tally)| ChannelReport::of(&c.name, tally)).collect(),
            phases,
            timeline: faults.iter().map(happened).collect(),
            load: loads(sim),
            series,
            overlay_series: self.overlays.into_iter().map(|(_, point)| point).collect(),
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
            reliability: mean(broadcasts, Broadcast::reliability),
            least_reliability: least_reliability(broadcasts),
            rmr: mean(broadcasts, Broadcast::rmr),
            ldh: mean(broadcasts, |broadcast| f64::from(broadcast.last_hop)),
            latency_seconds: self.latencies,
            latency_curve: self.curve,
            regions: self.regions,
            overlay: self.overlay,
        }
    }
}

/// A point, with what its broadcasts came to in the end.
fn finished(from: Time, mut point: Point, stats: &Stats) -> Point {
    let all = &stats.broadcasts;
    let first = all.partition_point(|broadcast| broadcast.sent < from);
    let broadcasts = &all[first..][..point.broadcasts];
    point.reliability = mean(broadcasts, Broadcast::reliability);
    point.rmr = mean(broadcasts, Broadcast::rmr);
    point.ldh = mean(broadcasts, |broadcast| f64::from(broadcast.last_hop));
    point
}

/// What each node that ever ran carried.
fn loads<P: SimStack>(sim: &Simulation<P>) -> Option<Loads> {
    let loads: Option<Vec<Load>> = (0..sim.len()).map(|index| sim.load(index)).collect();
    loads.filter(|loads| !loads.is_empty()).map(|loads| Loads::of(&loads))
}

fn happened(ongoing: &Ongoing) -> Happened {
    let fault = ongoing.fault();
    Happened {
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
