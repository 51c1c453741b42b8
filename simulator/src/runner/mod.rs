//! Runs scenarios.
//!
//! A run is a function of its scenario: what happens waits on an agenda, in between the simulation
//! runs. [`run`] gives all that was measured as plain data; an [`Observer`] can look at the
//! simulation itself on the way.

mod agenda;
mod reach;
mod recorder;
mod report;
mod verdicts;
mod workload;

use std::num::NonZeroUsize;
use std::time::Duration;

use murmurate::membership::Time;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

pub use report::{
    ChannelReport, Happened, OverlayPoint, PhaseReport, Point, Quantiles, RegionLatency, Report,
    Sent, Verdict,
};

use crate::check;
use crate::engine::{Make, SimBroadcast, SimMembership, Simulation};
use crate::faults::{self, Later, Ongoing};
use crate::regional::Regional;
use crate::scenario::{Broadcast, Membership, Scenario, Span};
use crate::strategy;
use agenda::{Act, Agenda};
use reach::Reach;
use recorder::Recorder;
use workload::Sending;

/// Somebody who looks at a simulation while it runs. Nobody can change it.
pub trait Observer {
    /// When it wants to look at the simulation itself.
    fn looks_at(&self) -> Vec<Span> {
        Vec::new()
    }

    /// The simulation at one of these moments, before what happens then.
    fn look<M: SimMembership, B: SimBroadcast>(&mut self, _sim: &Simulation<M, B>, _at: Time) {}

    /// A point of the time series, as soon as it is complete. What broadcasts came to is known at
    /// the end only.
    fn point(&mut self, _point: &Point) {}

    /// How far the virtual time is.
    fn progress(&mut self, _now: Time) {}
}

/// Nobody looks.
impl Observer for () {}

/// Why a scenario cannot be run; nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(key, what)| format!("{key}: {what}")).collect::<Vec<_>>().join("\n"))]
pub struct RunError(pub Vec<(String, String)>);

/// Runs a scenario on one thread.
///
/// # Errors
/// What [`Scenario::check`] finds.
pub fn run(scenario: &Scenario, observer: &mut impl Observer) -> Result<Report, RunError> {
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
    observer: &mut impl Observer,
) -> Result<Report, RunError> {
    let wrong = |key: &str, error: &dyn std::error::Error| {
        RunError(vec![(key.to_owned(), error.to_string())])
    };
    let problems = scenario.check();
    if !problems.is_empty() {
        return Err(RunError(problems));
    }
    match (&scenario.membership, &scenario.broadcast) {
        (Membership::Hyparview(m), Broadcast::Plumtree(b)) => {
            let m = m.clone().check().map_err(|error| wrong("membership", &error))?;
            let b = b.clone().check().map_err(|error| wrong("broadcast", &error))?;
            run_with(threads, scenario, strategy::hyparview_plumtree(m, b), observer)
        }
        (Membership::Hyparview(m), Broadcast::Flood(b)) => {
            let m = m.clone().check().map_err(|error| wrong("membership", &error))?;
            run_with(threads, scenario, strategy::hyparview_flood(m, *b), observer)
        }
        (Membership::FullMesh(m), Broadcast::Plumtree(b)) => {
            let m = m.clone().check().map_err(|error| wrong("membership", &error))?;
            let b = b.clone().check().map_err(|error| wrong("broadcast", &error))?;
            run_with(threads, scenario, strategy::full_mesh_plumtree(m, b), observer)
        }
        (Membership::FullMesh(m), Broadcast::Flood(b)) => {
            let m = m.clone().check().map_err(|error| wrong("membership", &error))?;
            run_with(threads, scenario, strategy::full_mesh_flood(m, *b), observer)
        }
    }
}

/// Runs a scenario on nodes that `make` makes, whatever strategies the scenario names.
///
/// # Errors
/// If the network cannot be built.
pub fn run_with<M: SimMembership, B: SimBroadcast>(
    threads: NonZeroUsize,
    scenario: &Scenario,
    make: Make<M, B>,
    observer: &mut impl Observer,
) -> Result<Report, RunError> {
    let network = scenario.network().map_err(|(key, message)| RunError(vec![(key, message)]))?;
    let regional = Regional::new(&network);
    let mut sim = Simulation::on_threads(threads, scenario.seed, network, make);
    if regional.tells_apart() {
        sim.watch_regions(&regional);
    }
    let mut runner = Runner::new(scenario, sim, observer);
    runner.run();
    let Runner { sim, recorder, faults, reach, .. } = runner;
    Ok(recorder.report(scenario, &sim, &faults, &reach.shares(&sim)))
}

struct Runner<'a, M: SimMembership, B: SimBroadcast, O> {
    scenario: &'a Scenario,
    sim: Simulation<M, B>,
    agenda: Agenda,
    /// Whom those that join in the beginning join through.
    contacts: SplitMix64,
    sendings: Vec<Sending>,
    faults: Vec<Ongoing>,
    recorder: Recorder,
    reach: Reach,
    observer: &'a mut O,
}

impl<'a, M: SimMembership, B: SimBroadcast, O: Observer> Runner<'a, M, B, O> {
    fn new(scenario: &'a Scenario, mut sim: Simulation<M, B>, observer: &'a mut O) -> Self {
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
        let recorder = Recorder::new(scenario);
        for time in recorder.overlay_looks() {
            agenda.add(*time, Act::Look);
        }
        let reach = Reach::new(scenario);
        if reach.is_wanted() {
            sim.log_deliveries();
        }
        if !scenario.channels.is_empty() {
            let channels: Vec<_> = scenario.channels.iter().map(Into::into).collect();
            sim.open_channels(&channels, &verdicts::watches(scenario));
        }
        let contacts = SplitMix64::seed_from_u64(scenario.seed ^ 0x6578_7065);
        Self {
            sendings: sendings(scenario, &contacts),
            faults: ongoing(scenario),
            scenario,
            sim,
            agenda,
            contacts,
            recorder,
            reach,
            observer,
        }
    }

    fn run(&mut self) {
        let end = Time::ZERO.after(self.scenario.duration.0);
        while let Some((time, act)) = self.agenda.next_before(end) {
            self.advance(time);
            self.perform(act);
        }
        self.advance(end);
        debug_assert_eq!(check::safety(&self.sim), Ok(()));
        self.recorder.end(&mut self.sim, self.observer);
    }

    /// Lets time pass, and now and then says how much did.
    fn advance(&mut self, until: Time) {
        while self.sim.now() < until {
            self.sim.run_until(self.sim.now().after(Duration::from_secs(1)).min(until));
            self.observer.progress(self.sim.now());
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Sample => {
                self.recorder.sample(&mut self.sim, self.observer);
                self.agenda.add(self.recorder.next_sample(), Act::Sample);
            }
            Act::Look => self.recorder.look(&self.sim),
            Act::Show => self.observer.look(&self.sim, self.sim.now()),
            Act::Phase(at) => {
                self.recorder.sample(&mut self.sim, self.observer);
                self.recorder.begin_phase(at, &mut self.sim);
            }
            Act::Strike(at) => {
                let plans = self.faults[at].strike(&mut self.sim);
                self.plan(at, plans);
            }
            Act::Later(at, later) => {
                let plans = self.faults[at].go_on(&mut self.sim, later);
                self.plan(at, plans);
            }
            Act::Join(index) => self.join(index),
            Act::Send(at) => {
                if let Some(next) = self.sendings[at].send(&mut self.sim, &mut self.reach) {
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
    let one = |(at, fault): (usize, &crate::scenario::Fault)| {
        let is_twin = |other: &&crate::scenario::Fault| {
            other.at == fault.at && other.what.kind() == fault.what.kind()
        };
        let twins = all[..at].iter().filter(is_twin).count() as u64;
        Ongoing::new(fault.clone(), scenario.seed, contacts, twins)
    };
    all.iter().enumerate().map(one).collect()
}
