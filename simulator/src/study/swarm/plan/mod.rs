//! A plan: a configuration and its faults, then peace, and what must hold from then on.
//!
//! ```text
//! 0        faults         peace      recovery      wholeness      finale   calm      storm    end
//! |-- joins, faults, load --|-- healing --|-- looks --|-- broadcasts --|-- loss, broadcasts --|
//! ```

mod promise;

use std::time::Duration;

use murmurate::broadcast::anti_entropy;

pub(super) use promise::PlanPromise;

use super::focus::Focus;
use super::traffic::Traffic;
use crate::experiment::scenario::{
    Assertion, Broadcast, Class, Fault, GraphModel, LatencyModel, Links, LookUp, Measure,
    Membership, Nodes, Pace, Region, Scenario, Sender, Share, Span, To, What, Who, Workload,
};
use crate::observe::check::Agreement;

/// Lookups once all is well again.
const LAST_LOOKUPS: u32 = 10;
/// Exchanges go on in peace, and a link is one-sided while its handshake is under way: a moment
/// without any must come up within this time.
const LOOKS: Duration = Duration::from_secs(40);
/// Time between two looks.
const LOOK_EVERY: Span = Span::secs(1);
/// Seconds that are measured together.
pub(super) const MEASURE_EVERY: Span = Span::secs(5);
/// The last broadcasts go out in this time...
pub(super) const FINALE: Duration = Duration::from_secs(30);
/// ...find a tree that has settled after this time...
pub(super) const SETTLING: Duration = Duration::from_secs(15);
/// ...and arrive in this.
const ARRIVAL: Duration = Duration::from_secs(20);
/// How long messages are lost in the end.
const STORM: Duration = Duration::from_secs(15);

/// Everything about one run. [`Plan::scenario`] turns it into a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// What the run draws its choices from: the same, until shrinking tries others.
    pub(super) noise: u64,
    pub(super) nodes: Nodes,
    pub(super) regions: Vec<Region>,
    pub(super) graph: Option<GraphModel>,
    pub(super) classes: Vec<Class>,
    pub(super) membership: Membership,
    pub(super) broadcast: Broadcast,
    pub(super) anti_entropy: Option<anti_entropy::Parameters>,
    pub(super) links: Links,
    /// What goes wrong.
    pub(super) faults: Vec<Fault>,
    /// What is broadcast meanwhile.
    pub(super) load: Vec<Workload>,
    /// What is sent on channels meanwhile.
    pub(super) traffic: Traffic,
    /// When all faults are over.
    pub(super) peace: Duration,
    /// How long nodes that start then have to wait: newcomers find an overlay that is being healed.
    pub(super) newcomers: u32,
    /// Whether nodes are told of others then, as a host's discovery does.
    pub(super) discovery: bool,
    /// How long after that all must be well.
    pub(super) recovery: Duration,
    /// What is broadcast then, from the beginning of the finale on.
    pub(super) finale: Workload,
    /// The share of messages lost in a last storm, if there is one: most of its broadcasts must come
    /// through.
    pub(super) storm: Option<Share>,
    pub(super) promise: PlanPromise,
    /// What it was drawn with.
    pub(super) focus: Vec<Focus>,
    /// The run ends here.
    pub(super) end: Option<Duration>,
    /// Only what is promised of this figure.
    pub(super) only: Option<String>,
}

impl Plan {
    /// Nodes that join in all.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.most_nodes() as u32
    }

    /// How many things go wrong. What heals is not counted.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.faults.len() + usize::from(self.storm.is_some())
    }

    /// When all must be well: where a time that is measured together begins.
    pub(super) fn well(&self) -> Duration {
        let every = MEASURE_EVERY.0.as_secs();
        let well = self.peace + self.recovery;
        Duration::from_secs((well.as_secs() + 1).next_multiple_of(every))
    }

    fn finale_at(&self) -> Duration {
        self.well() + LOOKS
    }

    fn storm_at(&self) -> Duration {
        self.finale_at() + FINALE + ARRIVAL
    }

    fn duration(&self) -> Duration {
        let storm = self.storm.map_or(Duration::ZERO, |_| STORM + ARRIVAL);
        self.end.unwrap_or(self.storm_at() + storm)
    }

    /// As a scenario, with what must hold.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let duration = Span(self.duration());
        let mut faults = self.faults.clone();
        faults.extend(self.healing());
        let mut workload = self.load.clone();
        workload.push(Workload { from: Span(self.finale_at()), ..self.finale.clone() });
        if let Some(share) = self.storm {
            let at = Span(self.storm_at());
            faults.push(Fault { at, name: Some("storm".into()), what: What::Loss { share } });
            let calm = Span(at.0 + STORM);
            faults.push(Fault { at: calm, name: Some("calm".into()), what: What::Calm });
            workload.push(Workload {
                from: at,
                count: Some(STORM.as_secs() as u32),
                pace: Pace::Rate(1.0),
                ..Workload::default()
            });
        }
        workload.extend(self.traffic.workload.iter().chain(&self.traffic.lookups).cloned());
        workload.extend(self.last_lookups());
        faults.retain(|fault| fault.at <= duration);
        workload.retain(|workload| workload.from <= duration);
        let names: Vec<_> = self.focus.iter().map(|focus| focus.name()).collect();
        let with =
            if names.is_empty() { String::new() } else { format!(" with {}", names.join(", ")) };
        Scenario {
            from: None,
            channels: self.traffic.channels.clone(),
            name: format!("swarm-{}", self.seed),
            description: format!("drawn by the swarm from seed {}{with}", self.seed),
            seed: self.noise,
            duration,
            nodes: self.nodes.clone(),
            regions: self.regions.clone(),
            graph: self.graph.clone(),
            classes: self.classes.clone(),
            membership: self.membership.clone(),
            broadcast: self.broadcast.clone(),
            anti_entropy: self.anti_entropy.clone(),
            links: self.links.clone(),
            workload,
            faults,
            measure: Measure {
                every: MEASURE_EVERY,
                overlay_every: Some(LOOK_EVERY),
                every_event: true,
                agreement: self.agreement(),
                ..Measure::default()
            },
            assertions: self.assertions(),
        }
    }

    /// Once all is well again, nodes look for others once more.
    fn last_lookups(&self) -> Option<Workload> {
        let lookups = self.traffic.lookups.clone()?;
        let look_up = lookups.look_up.map(|look_up| LookUp { to: To::Random, ..look_up });
        let (from, pace) = (Span(self.finale_at()), Pace::Rate(2.0));
        Some(Workload { from, count: Some(LAST_LOOKUPS), pace, look_up, ..lookups })
    }

    /// Lookups that all workloads come to.
    pub(super) fn lookups(&self) -> u64 {
        let drawn = self.traffic.lookups.as_ref();
        drawn.map_or(0, |lookups| u64::from(lookups.count.unwrap_or(0) + LAST_LOOKUPS))
    }

    /// What nodes of one overlay agree on in the end, if they exchange what they have.
    fn agreement(&self) -> Option<Agreement> {
        let around =
            self.anti_entropy.as_ref().filter(|_| self.promise.whole && self.only.is_none())?;
        let kept = around.retention > self.duration() && around.retained as u64 > self.broadcasts();
        Some(match (kept, self.clocks_run()) {
            (true, true) if self.is_calm() && !around.catch_up => Agreement::Fresh,
            (true, true) => Agreement::Complete,
            (true, false) => Agreement::Fetched,
            (false, _) => Agreement::Told,
        })
    }

    /// What ends the faults.
    fn healing(&self) -> Vec<Fault> {
        let heals = |fault: &Fault| {
            matches!(fault.what, What::Partition { lasting: None, .. } | What::Flap { .. })
        };
        let loses = |fault: &Fault| matches!(fault.what, What::Loss { .. });
        let mut healing = Vec::new();
        let mut add = |name: &str, what| {
            healing.push(Fault { at: Span(self.peace), name: Some(name.into()), what });
        };
        if self.faults.iter().any(heals) {
            add("healed", What::Heal);
        }
        let class_loses = self.classes.iter().any(|class| class.loss.is_some());
        if !self.links_are_harmless() || class_loses || self.faults.iter().any(loses) {
            add("peace", What::Calm);
        }
        if self.newcomers > 0 {
            add("newcomers", What::Join { count: self.newcomers, over: Span::secs(2) });
        }
        if self.discovery {
            add("discovery", What::Discover { who: Who::All });
        }
        healing
    }

    fn assertions(&self) -> Vec<Assertion> {
        let times = Times {
            peace: Span(self.peace),
            reunion: self.reunion(),
            well: Span(self.well()),
            looks: Span(LOOKS),
            finale: Span(self.finale_at()),
            finale_for: Span(FINALE),
            settled_at: Span(self.finale_at() + SETTLING),
            storm: Span(self.storm_at()),
        };
        let promise =
            PlanPromise { survives: self.promise.survives && self.storm.is_some(), ..self.promise };
        let then = if self.end.is_none() { promise.then(&times) } else { Vec::new() };
        let texts = self.promise.always(self).into_iter().chain(then);
        // What is promised is written as assertions are.
        let all = texts.filter_map(|text| text.parse::<Assertion>().ok());
        all.filter(|a| self.only.as_ref().is_none_or(|only| only == a.figure.name())).collect()
    }

    /// Broadcasts that all workloads come to at most.
    pub(super) fn broadcasts(&self) -> u64 {
        let one = |workload: &Workload| {
            let senders = if workload.sender == Sender::All { 200 } else { 1 };
            u64::from(workload.count.unwrap_or(0)) * senders
        };
        self.load.iter().chain([&self.finale]).map(one).sum::<u64>() + STORM.as_secs()
    }

    /// Broadcasts that follow each other so fast that all may be under way together. The first of a
    /// tree go over every link.
    pub(super) fn at_once(&self) -> u64 {
        let is_fast =
            |workload: &&Workload| matches!(workload.pace, Pace::Rate(rate) if rate >= 50.0);
        let fast = self.load.iter().chain([&self.finale]).filter(is_fast);
        fast.map(|workload| u64::from(workload.count.unwrap_or(0))).sum()
    }

    /// Nodes that there are at most at a time.
    pub(super) fn most_nodes(&self) -> u64 {
        let joins = self.faults.iter().map(|fault| match fault.what {
            What::Join { count, .. } => u64::from(count),
            _ => 0,
        });
        u64::from(self.nodes.count) + u64::from(self.newcomers) + joins.sum::<u64>()
    }

    /// The longest that a message is under way, but for loss; of the log-normal model a length that
    /// is hardly ever exceeded.
    pub(super) fn longest_way(&self) -> Duration {
        let way = match &self.links.latency {
            LatencyModel::Constant { time } => time.0,
            LatencyModel::Uniform { to, .. } => to.0,
            LatencyModel::LogNormal { median, sigma } => median.0.mul_f64((4.0 * sigma).exp()),
            LatencyModel::Regions { round_trips_ms } => {
                let all = round_trips_ms.iter().flatten().map(|round_trip| round_trip.0);
                Duration::from_secs_f64(all.fold(0.0, f64::max) / 2_000.0)
            }
            LatencyModel::Matrix { .. } | LatencyModel::Aws {} => Duration::from_millis(200),
        };
        way + self.links.jitter.unwrap_or_default().0
    }
}

/// When what is looked at.
pub(super) struct Times {
    pub(super) peace: Span,
    /// The longest time between two attempts to reach a peer that fell silent.
    pub(super) reunion: Option<Duration>,
    pub(super) well: Span,
    pub(super) looks: Span,
    pub(super) finale: Span,
    pub(super) finale_for: Span,
    pub(super) settled_at: Span,
    pub(super) storm: Span,
}
