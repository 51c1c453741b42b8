//! Runs scenarios.
//!
//! A run is a function of its scenario: what happens waits on an agenda, in between the simulation
//! runs. [`run`] gives all that was measured as plain data; an [`Observer`] can look at the
//! simulation itself on the way.

mod agenda;
mod counted;
mod guard;
mod observed;
mod observer;
mod post;
mod reach;
mod recorder;
mod report;
mod together;
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

pub use observed::{Observed, Outcome};
pub use observer::{Observer, View};
pub use report::{
    Broken, ChannelReport, Curve, Happened, Loads, OverlayPoint, PhaseReport, Point, Quantiles,
    RegionLatency, Report, RoutingReport, Sent, Verdict,
};

use crate::engine::strategy::{SimBroadcast, SimMembership, compose};
use crate::engine::{Make, SimStack, Simulation};
use crate::experiment::faults::{self, Later, Ongoing};
use crate::experiment::scenario::Scenario;
use crate::model::node::Peer;
use crate::model::regional::Regional;
use agenda::{Act, Agenda};
use guard::Guard;
use post::{Post, Routes};
use reach::Reach;
use recorder::Recorder;
use workload::Sending;

/// Why a scenario cannot be run; nothing was.
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

/// Runs a scenario on so many threads, the caller's included. What comes of it is the same for any
/// number.
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
    if let Some(run) = together::of(membership, broadcast).filter(|_| !routes) {
        return run(threads, scenario, around, observer);
    }
    let membership = membership.make().map_err(wrong("membership"))?;
    let membership = move |me, seed| membership(me, seed);
    let Some(around) = around.map(Arc::new) else {
        let broadcast = broadcast.make().map_err(wrong("broadcast"))?;
        let make = compose(membership, move || broadcast());
        return run_maybe_routed(threads, scenario, make, routes, observer);
    };
    let broadcast = broadcast.make_named().map_err(wrong("broadcast"))?;
    let broadcast = move || AntiEntropy::new(broadcast(), Arc::clone(&around));
    run_maybe_routed(threads, scenario, compose(membership, broadcast), routes, observer)
}

/// The same on nodes with routers, if they are asked for anything.
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
    let make: Make<Stack<M, B, Router<Peer, post::Mail>>> =
        Arc::new(move |me, seed| make(me, seed).with_service(Router::new(me, Arc::clone(&config))));
    let routes = Routes { command: |command| command, event: Some };
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
    routes: Option<Routes<P>>,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    let network = scenario.network().map_err(|(key, message)| RunError(vec![(key, message)]))?;
    let regional = Regional::new(&network);
    let mut sim = Simulation::on_threads(threads, scenario.seed, network, make);
    sim.equip(scenario.processor(), scenario.dialling());
    if regional.tells_apart() {
        sim.watch_regions(&regional);
    }
    if scenario.measure.load {
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
    let mut runner = Runner::new(scenario, sim, routes, observer);
    runner.begin()?;
    runner.run()?;
    if let Some(node) = runner.sim.out_of_incarnations() {
        let (at, most) = (runner.sim.now(), Peer::MAX_INCARNATIONS);
        let message = format!(
            "after {:.1} s node {node} was to start once more, and a node can start {most} times: let \
             nodes run for longer, or the scenario end sooner",
            report::seconds(at)
        );
        return Err(RunError(vec![("faults".to_owned(), message)]));
    }
    let Runner { mut sim, recorder, faults, reach, guard, post, observer, .. } = runner;
    if observer.wants_journal() {
        observer.journal(&sim.take_journal());
    }
    let shares = reach.shares(&sim);
    Ok(recorder.report(scenario, &sim, &faults, &shares, &post, guard.broken))
}

/// Virtual time between two looks at what must always hold, and at most between two words to the
/// observer.
const SLICE: Duration = Duration::from_millis(100);
/// The same where events are recorded: those of so much time are kept.
const BATCH: Duration = Duration::from_millis(50);

struct Runner<'a, P: SimStack> {
    scenario: &'a Scenario,
    sim: Simulation<P>,
    agenda: Agenda,
    /// Whom those that join in the beginning join through.
    contacts: SplitMix64,
    sendings: Vec<Sending>,
    faults: Vec<Ongoing>,
    recorder: Recorder,
    reach: Reach,
    post: Post<P>,
    guard: Guard,
    observer: &'a mut dyn Observer,
    /// Until when all was well.
    checked: Time,
    /// How much virtual time the observer hears of at a time, at most.
    batch: Duration,
}

impl<'a, P: SimStack> Runner<'a, P> {
    fn new(
        scenario: &'a Scenario,
        sim: Simulation<P>,
        routes: Option<Routes<P>>,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let mut agenda = Agenda::default();
        agenda.add(Time::ZERO, Act::Join(0));
        for (at, workload) in scenario.workload.iter().enumerate() {
            agenda.add(Time::ZERO.after(workload.from.0), Act::Send(at));
        }
        for (at, fault) in scenario.faults.iter().enumerate() {
            agenda.add(Time::ZERO.after(fault.at.0), Act::Strike(at));
        }
        for (at, phase) in scenario.measure.phases.iter().enumerate() {
            agenda.add(Time::ZERO.after(phase.from.0), Act::Phase(at));
        }
        agenda.add(Time::ZERO.after(scenario.measure.every.0), Act::Sample);
        for time in observer.looks_at() {
            agenda.add(Time::ZERO.after(time.0), Act::Show);
        }
        let recorder = Recorder::new(scenario, observer.overlay_every());
        for time in recorder.borders() {
            agenda.add(time, Act::Border);
        }
        for time in recorder.looks() {
            agenda.add(time, Act::Look);
        }
        let reach = Reach::new(scenario);
        let contacts = SplitMix64::seed_from_u64(scenario.seed ^ 0x6578_7065);
        Self {
            sendings: sendings(scenario, &contacts),
            faults: ongoing(scenario),
            scenario,
            sim,
            agenda,
            contacts,
            recorder,
            checked: Time::ZERO,
            batch: if observer.wants_events().is_some() { BATCH } else { SLICE },
            reach,
            post: Post::new(routes, scenario),
            guard: Guard::new(scenario),
            observer,
        }
    }

    /// Starts from the file that the scenario names, if it names one.
    fn begin(&mut self) -> Result<(), RunError> {
        let saves_at = self.observer.saves_at();
        if saves_at.is_some() {
            self.recorder.keep_whole();
        }
        if let Some(file) = &self.scenario.from {
            self.resume(file)?;
        }
        if let Some(at) = saves_at {
            // Nobody sends on channels before that, and what is saved has none.
            return self.cannot_save(at);
        }
        if !self.scenario.channels.is_empty() {
            let channels: Vec<_> = self.scenario.channels.iter().map(Into::into).collect();
            self.sim.open_channels(&channels, &verdicts::watches(self.scenario));
        }
        Ok(())
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
            saves_at.map_or(Ok(()), |at| self.save(at))?;
            self.check();
            self.guard.end(&self.sim);
            self.guard.note(self.post.end(&self.sim), &self.sim);
        }
        if self.sim.out_of_incarnations().is_some() {
            return Ok(());
        }
        let at = if is_over { end } else { self.sim.now() };
        self.recorder.end(at, &mut self.sim, self.observer);
        let moments = self.observer.looks_at().into_iter().map(|span| Time::ZERO.after(span.0));
        for at in moments.filter(|at| *at >= end) {
            self.observer.look(&self.sim, at);
        }
        Ok(())
    }

    /// Lets time pass, looks whether all is well and now and then says how much did. `false` if the
    /// run is over because something is not.
    ///
    /// It is looked at the same moments whatever else happens and whoever observes, so that a run takes
    /// the same course.
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
        let told = self.post.take(&mut self.sim);
        self.guard.note(told, &self.sim);
        self.guard.goes_on(&self.sim) && self.sim.out_of_incarnations().is_none()
    }

    fn tell_events(&mut self) {
        if self.observer.wants_events().is_some() {
            self.observer.events(&self.sim.take_records());
        }
    }

    fn perform(&mut self, time: Time, act: Act) {
        match act {
            Act::Border => self.recorder.border(time, &mut self.sim),
            Act::Sample => {
                self.recorder.sample(time, &mut self.sim, self.observer);
                self.agenda.add(self.recorder.next_sample(), Act::Sample);
            }
            Act::Look => self.recorder.look(time, &self.sim),
            Act::Show => self.observer.look(&self.sim, time),
            Act::Phase(at) => {
                self.recorder.sample(time, &mut self.sim, self.observer);
                self.recorder.begin_phase(at, &mut self.sim);
            }
            Act::Strike(at) => {
                let name = self.faults[at].fault().label();
                self.observer.fault(name, self.sim.now(), false);
                let plans = self.faults[at].strike(time, &mut self.sim);
                self.plan(at, plans);
            }
            Act::Later(at, later) => {
                if later == Later::End {
                    let name = self.faults[at].fault().label();
                    self.observer.fault(name, self.sim.now(), true);
                }
                let plans = self.faults[at].go_on(time, &mut self.sim, later);
                self.plan(at, plans);
            }
            Act::Join(index) => self.join(index),
            Act::Send(at) => {
                if let Some(next) =
                    self.sendings[at].send(time, &mut self.sim, &mut self.reach, &mut self.post)
                {
                    self.agenda.add(next, Act::Send(at));
                }
            }
        }
    }

    fn plan(&mut self, fault: usize, plans: Vec<(Time, Later)>) {
        for (time, later) in plans {
            self.agenda.add(time, Act::Later(fault, later));
        }
    }

    /// One of the nodes at the beginning joins, through some that run, and the next one is planned.
    fn join(&mut self, index: usize) {
        let nodes = &self.scenario.nodes;
        let count = (nodes.contacts as usize).min(self.sim.live());
        let contacts: Vec<usize> = (0..count)
            .filter_map(|_| faults::random_running(&self.sim, &mut self.contacts))
            .collect();
        self.sim.start(&contacts);
        let next = index + 1;
        if next < nodes.count as usize {
            let share = next as f64 / f64::from(nodes.count);
            let time = Time::ZERO.after(nodes.joining.0.mul_f64(share));
            self.agenda.add(time, Act::Join(next));
        }
    }
}

/// The first workload's draws go on where those of the joins end, as they always did: so the digests
/// of runs without a scenario stay comparable from version to version.
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

fn ongoing(scenario: &Scenario) -> Vec<Ongoing> {
    let contacts = scenario.nodes.contacts as usize;
    let all = &scenario.faults;
    let one = |(at, fault): (usize, &crate::experiment::scenario::Fault)| {
        let is_twin = |other: &&crate::experiment::scenario::Fault| {
            other.at == fault.at && other.what.kind() == fault.what.kind()
        };
        let twins = all[..at].iter().filter(is_twin).count() as u64;
        Ongoing::new(fault.clone(), scenario.seed, contacts, twins)
    };
    all.iter().enumerate().map(one).collect()
}
