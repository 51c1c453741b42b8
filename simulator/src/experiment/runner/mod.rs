//! Runs scenarios.
//!
//! A run is a function of its scenario. An agenda holds what is to happen and when; in between, the
//! simulation runs. [`run`] returns all measurements as plain data. An [`Observer`] can look at the
//! simulation during the run.

mod agenda;
mod classes;
mod counts;
mod guard;
mod metrics;
mod observed;
mod observer;
mod probes;
mod quantiles;
mod reach_log;
mod recorder;
mod report;
mod routing;
mod static_dispatch;
mod verdicts;
mod warm;
mod workload;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::{AntiEntropy, anti_entropy};
use murmurate::membership::{ConfigError, Time};
use murmurate::router::{self, Router};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

pub use observed::{Observed, ObservedReport};
pub use observer::{Observer, Probing, View};
pub use quantiles::{Curve, Quantiles};
pub use report::{
    ChannelReport, ClassReport, DialReport, FaultReport, GraphReport, Loads, MetricReport,
    OverlayPoint, PhaseReport, Point, RegionLatency, Report, RoutingReport, Sent, Verdict,
    ViolationReport,
};

use crate::engine::strategy::{SimBroadcast, SimMembership, compose};
use crate::engine::{Make, SimStack, Simulation};
use crate::experiment::faults::{Contacts, Later, Ongoing};
use crate::experiment::scenario::Scenario;
use crate::model::node::SimPeer;
use crate::model::regional::Regional;
use agenda::{Action, Agenda};
use guard::Guard;
use probes::Probes;
use reach_log::ReachLog;
use recorder::Recorder;
use routing::{RouterAccess, Routing};
use workload::Sending;

/// Why a scenario cannot be run. Nothing was run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(key, what)| format!("{key}: {what}")).collect::<Vec<_>>().join("\n"))]
pub struct RunError(pub Vec<(String, String)>);

impl RunError {
    fn of(key: &str, error: &dyn std::error::Error) -> Self {
        Self(vec![(key.to_owned(), error.to_string())])
    }
}

/// Runs a scenario on one thread.
///
/// # Errors
/// What [`Scenario::check`] finds.
pub fn run(scenario: &Scenario, observer: &mut dyn Observer) -> Result<Report, RunError> {
    run_on_threads(NonZeroUsize::MIN, scenario, observer)
}

/// Runs a scenario on this many threads, including the caller's. The result is the same for any number.
///
/// # Errors
/// What [`Scenario::check`] finds.
pub fn run_on_threads(
    threads: NonZeroUsize,
    scenario: &Scenario,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    let problems = scenario.check();
    if !problems.is_empty() {
        return Err(RunError(problems));
    }
    let (membership, broadcast) = (&scenario.membership, &scenario.broadcast);
    let wrong = |layer: &'static str| move |error: ConfigError| RunError::of(layer, &error);
    let around = scenario.anti_entropy.clone().map(anti_entropy::Parameters::check).transpose();
    let around = around.map_err(wrong("anti_entropy"))?;
    let routes = scenario.workload.iter().any(|workload| workload.look_up.is_some());
    if let Some(run) = static_dispatch::of(membership, broadcast).filter(|_| !routes) {
        return run(threads, scenario, around, observer);
    }
    let membership = membership.make().map_err(wrong("membership"))?;
    let membership = move |me, seed| membership(me, seed);
    let Some(around) = around.map(Arc::new) else {
        let broadcast = broadcast.make().map_err(wrong("broadcast"))?;
        let make = compose(membership, move |seed| broadcast(seed));
        return run_maybe_routed(threads, scenario, make, routes, observer);
    };
    let broadcast = broadcast.make_named().map_err(wrong("broadcast"))?;
    let broadcast = move |seed| AntiEntropy::new(broadcast(seed), Arc::clone(&around));
    run_maybe_routed(threads, scenario, compose(membership, broadcast), routes, observer)
}

/// Runs it on nodes with routers, if the scenario has lookups.
fn run_maybe_routed<M: SimMembership, B: SimBroadcast>(
    threads: NonZeroUsize,
    scenario: &Scenario,
    make: Make<Stack<M, B>>,
    routes: bool,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    if !routes {
        return run_with(threads, scenario, make, observer);
    }
    let config = Arc::new(router::Config::default());
    let make: Make<Stack<M, B, Router<SimPeer, routing::Datagram>>> =
        Arc::new(move |me, seed| make(me, seed).with_service(Router::new(me, Arc::clone(&config))));
    let routes = RouterAccess { command: |command| command, event: Some };
    run_nodes(threads, scenario, make, Some(routes), observer)
}

/// Runs a scenario on nodes that `make` makes, whatever strategies the scenario names.
///
/// # Errors
/// If the network cannot be built.
pub fn run_with<P: SimStack>(
    threads: NonZeroUsize,
    scenario: &Scenario,
    make: Make<P>,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    run_nodes(threads, scenario, make, None, observer)
}

fn run_nodes<P: SimStack>(
    threads: NonZeroUsize,
    scenario: &Scenario,
    make: Make<P>,
    routes: Option<RouterAccess<P>>,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    let wrong = |broken| RunError(vec![broken]);
    let network = scenario.network().map_err(wrong)?;
    let graph = scenario.contact_graph().map_err(wrong)?;
    let contacts = Arc::new(Contacts::new(scenario.nodes.contacts as usize, graph));
    let regional = Regional::new(&network);
    let mut sim = Simulation::on_threads(threads, scenario.seed, network, make);
    sim.equip(scenario.processor(), scenario.dialling());
    sim.equip_classes(&scenario.class_processors());
    if regional.tells_apart() {
        sim.watch_regions(&regional);
    }
    // A run that is saved counts it for those that start from there, whatever they measure.
    if scenario.measure.load || observer.saves_at().is_some() {
        sim.watch_loads();
    }
    if scenario.measure.every_event {
        sim.check_every_event();
    }
    if let Some(filter) = observer.wants_events() {
        sim.watch_events(&filter);
    }
    if observer.wants_journal() {
        sim.keep_journal();
    }
    sim.log_deliveries();
    if scenario.measure.agreement.is_some() {
        sim.log_joins();
    }
    let mut runner = Runner::new(scenario, sim, contacts, routes, observer);
    runner.begin()?;
    runner.run()?;
    if let Some(node) = runner.sim.out_of_incarnations() {
        let (at, most) = (runner.sim.now(), SimPeer::MAX_INCARNATIONS);
        let message = format!(
            "after {:.1} s node {node} was to start once more, and a node can start {most} times: let \
             nodes run for longer, or the scenario end sooner",
            report::seconds(at)
        );
        return Err(RunError(vec![("faults".to_owned(), message)]));
    }
    let Runner { mut sim, contacts, recorder, faults, reach, guard, routing, observer, .. } =
        runner;
    if observer.wants_journal() {
        observer.journal(&sim.take_journal());
    }
    let shares = reach.shares(&sim);
    let report = recorder.report(scenario, &sim, &faults, &shares, &routing, guard.broken);
    Ok(Report { graph: contacts.graph().map(Into::into), ..report })
}

/// Virtual time between two checks of the invariants, and the most between two calls of the observer.
const SLICE: Duration = Duration::from_millis(100);
/// The same if events are recorded, because they are in memory until the call.
const BATCH: Duration = Duration::from_millis(50);

struct Runner<'a, P: SimStack> {
    scenario: &'a Scenario,
    sim: Simulation<P>,
    agenda: Agenda,
    contacts: Arc<Contacts>,
    /// Draws the contacts of the nodes that join at the beginning.
    rng: SplitMix64,
    sendings: Vec<Sending>,
    faults: Vec<Ongoing>,
    recorder: Recorder,
    reach: ReachLog,
    routing: Routing<P>,
    guard: Guard,
    probes: Option<Probes>,
    observer: &'a mut dyn Observer,
    /// When it began: not at zero if it goes on from a file.
    resumed: Time,
    /// Until when all was well.
    checked: Time,
    /// The most virtual time between two calls of the observer.
    batch: Duration,
}

impl<'a, P: SimStack> Runner<'a, P> {
    fn new(
        scenario: &'a Scenario,
        sim: Simulation<P>,
        contacts: Arc<Contacts>,
        routes: Option<RouterAccess<P>>,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let mut agenda = Agenda::default();
        agenda.add(Time::ZERO, Action::Join(0));
        for (at, workload) in scenario.workload.iter().enumerate() {
            agenda.add(Time::ZERO.after(workload.from.0), Action::Send(at));
        }
        for (at, fault) in scenario.faults.iter().enumerate() {
            agenda.add(Time::ZERO.after(fault.at.0), Action::Strike(at));
        }
        for (at, phase) in scenario.measure.phases.iter().enumerate() {
            agenda.add(Time::ZERO.after(phase.from.0), Action::Phase(at));
        }
        agenda.add(Time::ZERO.after(scenario.measure.every.0), Action::Sample);
        for time in observer.looks_at() {
            agenda.add(Time::ZERO.after(time.0), Action::Show);
        }
        let recorder = Recorder::new(scenario, observer.overlay_every());
        for time in recorder.borders() {
            agenda.add(time, Action::Border);
        }
        for time in recorder.looks() {
            agenda.add(time, Action::Look);
        }
        let reach = ReachLog::new(scenario);
        let rng = SplitMix64::seed_from_u64(scenario.seed ^ 0x6578_7065);
        Self {
            sendings: sendings(scenario, &rng),
            faults: ongoing(scenario, &contacts),
            scenario,
            sim,
            agenda,
            contacts,
            rng,
            recorder,
            resumed: Time::ZERO,
            checked: Time::ZERO,
            batch: if observer.wants_events().is_some() { BATCH } else { SLICE },
            reach,
            routing: Routing::new(routes, scenario),
            guard: Guard::new(scenario),
            probes: None,
            observer,
        }
    }

    /// Starts from the file that the scenario names, if it names one.
    fn begin(&mut self) -> Result<(), RunError> {
        let saves_at = self.observer.saves_at();
        if saves_at.is_some() {
            self.recorder.keep_whole();
        }
        let probing = self.observer.wants_probes();
        if let Some(file) = &self.scenario.from {
            self.resume(file, probing.as_ref())?;
        }
        if let Some(at) = saves_at {
            // Nobody sends on channels before that, and what is saved has none.
            self.cannot_save(at)?;
        } else if !self.scenario.channels.is_empty() {
            let has_nats = self.scenario.classes.iter().any(|class| class.nat.is_some());
            let channels: Vec<_> =
                self.scenario.channels.iter().map(|channel| channel.config(has_nats)).collect();
            self.sim.open_channels(&channels, &verdicts::watches(self.scenario));
        }
        if let Some(probing) = probing {
            self.begin_probes(&probing);
        }
        Ok(())
    }

    /// Looks at figures of nodes from now on, and counts what is wanted for it.
    fn begin_probes(&mut self, probing: &Probing) {
        let mut probes = Probes::new(probing, &mut self.sim);
        if self.scenario.from.is_some() {
            self.sim.recall_counts(&probing.counts);
            probes.skip_before(self.resumed);
        }
        if let Some(time) = probes.due() {
            self.agenda.add(time, Action::Probe);
        }
        self.probes = Some(probes);
        if !self.scenario.measure.load && self.observer.saves_at().is_none() {
            self.sim.forget_loads();
        }
    }

    fn run(&mut self) -> Result<(), RunError> {
        let saves_at = self.observer.saves_at();
        let end = Time::ZERO.after(saves_at.unwrap_or(self.scenario.duration).0);
        while let Some((time, act)) = self.agenda.next_before(end) {
            if !self.advance(time) {
                break;
            }
            self.perform(time, act);
        }
        let is_over = self.advance(end);
        if is_over {
            let is_wrong = self.sim.found_wrong().is_some() || self.sim.twice_delivered().is_some();
            saves_at.filter(|_| !is_wrong).map_or(Ok(()), |at| self.save(at))?;
            self.check();
            self.guard.end(&self.sim);
            self.guard.note(self.routing.end(&self.sim), &self.sim);
        }
        if self.sim.out_of_incarnations().is_some() {
            return Ok(());
        }
        let at = if is_over { end } else { self.sim.now() };
        self.recorder.end(at, &mut self.sim, self.observer);
        self.recorder.look(at, &self.sim, self.contacts.graph());
        let moments = self.observer.looks_at().into_iter().map(|span| Time::ZERO.after(span.0));
        for at in moments.filter(|at| *at >= end) {
            self.observer.look(&self.sim, at);
        }
        if is_over && self.probes.as_ref().and_then(Probes::due) == Some(end) {
            self.observer.probe(&self.sim);
        }
        Ok(())
    }

    /// Lets time pass, checks the invariants, and reports progress. Returns `false` if the run ends here
    /// because of a violation.
    ///
    /// Checks happen at the same moments whatever the observer wants, so that every run takes the same
    /// course.
    fn advance(&mut self, until: Time) -> bool {
        while self.sim.now() < until {
            let check = self.checked.after(SLICE);
            let next = self.sim.now().after(self.batch).min(check).min(until);
            self.sim.run_until(next);
            self.tell_events();
            self.observer.progress(self.sim.now());
            if self.sim.now() >= check {
                self.checked = check;
                if !self.check() {
                    return false;
                }
            }
        }
        true
    }

    /// Whether all is well, and the run may go on.
    fn check(&mut self) -> bool {
        let told = self.routing.take(&mut self.sim);
        self.guard.note(told, &self.sim);
        self.guard.goes_on(&self.sim) && self.sim.out_of_incarnations().is_none()
    }

    fn tell_events(&mut self) {
        if self.observer.wants_events().is_some() {
            self.observer.events(&self.sim.take_records());
        }
    }

    fn perform(&mut self, time: Time, act: Action) {
        match act {
            Action::Border => self.recorder.border(time, &mut self.sim),
            Action::Sample => {
                self.recorder.sample(time, &mut self.sim, self.observer);
                self.agenda.add(self.recorder.next_sample(), Action::Sample);
            }
            Action::Look => self.recorder.look(time, &self.sim, self.contacts.graph()),
            Action::Show => self.observer.look(&self.sim, time),
            Action::Probe => {
                self.observer.probe(&self.sim);
                if let Some(next) = self.probes.as_mut().and_then(Probes::next) {
                    self.agenda.add(next, Action::Probe);
                }
            }
            Action::Phase(at) => {
                self.recorder.sample(time, &mut self.sim, self.observer);
                self.recorder.begin_phase(at, &mut self.sim);
            }
            Action::Strike(at) => {
                let name = self.faults[at].fault().label();
                self.observer.fault(name, self.sim.now(), false);
                let plans = self.faults[at].strike(time, &mut self.sim);
                self.plan(at, plans);
            }
            Action::Later(at, later) => {
                if later == Later::End {
                    let name = self.faults[at].fault().label();
                    self.observer.fault(name, self.sim.now(), true);
                }
                let plans = self.faults[at].go_on(time, &mut self.sim, later);
                self.plan(at, plans);
            }
            Action::Join(index) => self.join(index),
            Action::Send(at) => {
                if let Some(next) =
                    self.sendings[at].send(time, &mut self.sim, &mut self.reach, &mut self.routing)
                {
                    self.agenda.add(next, Action::Send(at));
                }
            }
        }
    }

    fn plan(&mut self, fault: usize, plans: Vec<(Time, Later)>) {
        for (time, later) in plans {
            self.agenda.add(time, Action::Later(fault, later));
        }
    }

    /// One of the nodes at the beginning joins, through some that run, and the next one is planned.
    fn join(&mut self, index: usize) {
        let nodes = &self.scenario.nodes;
        let contacts = self.contacts.of(self.sim.len(), &self.sim, &mut self.rng);
        self.sim.start(&contacts);
        let next = index + 1;
        if next < nodes.count as usize {
            let share = next as f64 / f64::from(nodes.count);
            let time = Time::ZERO.after(nodes.joining.0.mul_f64(share));
            self.agenda.add(time, Action::Join(next));
        }
    }
}

/// The draws of the first workload continue those of the joins. This keeps the digests of runs without a
/// scenario file comparable between versions.
fn sendings(scenario: &Scenario, contacts: &SplitMix64) -> Vec<Sending> {
    let nodes = &scenario.nodes;
    let mut rng = contacts.clone();
    for index in 0..nodes.count {
        for _ in 0..nodes.contacts.min(index) {
            rng.random_range(0..index as usize);
        }
    }
    let end = scenario.duration;
    let sending = |(at, workload): (usize, &_)| {
        let mut own = rng.clone();
        if at > 0 {
            own = SplitMix64::seed_from_u64(own.random::<u64>() ^ at as u64);
        }
        Sending::new(workload, scenario, own, end)
    };
    scenario.workload.iter().enumerate().map(sending).collect()
}

fn ongoing(scenario: &Scenario, contacts: &Arc<Contacts>) -> Vec<Ongoing> {
    let all = &scenario.faults;
    let one = |(at, fault): (usize, &crate::experiment::scenario::Fault)| {
        let is_twin = |other: &&crate::experiment::scenario::Fault| {
            other.at == fault.at && other.what.kind() == fault.what.kind()
        };
        let twins = all[..at].iter().filter(is_twin).count() as u64;
        Ongoing::new(fault.clone(), scenario.seed, Arc::clone(contacts), twins)
    };
    all.iter().enumerate().map(one).collect()
}
