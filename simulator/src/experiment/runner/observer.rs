//! Observers of a run.

use std::io::Write;

use murmurate::membership::Time;

use super::report::Point;
use crate::engine::watch::{Filter, Record};
use crate::engine::{Count, Journal};
use crate::experiment::scenario::Span;
pub use crate::observe::view::View;

/// Observes a simulation while it runs, and cannot change it.
pub trait Observer {
    /// When it wants to look at the simulation itself.
    fn looks_at(&self) -> Vec<Span> {
        Vec::new()
    }

    /// How often the overlay is measured for the report, beside the scenario's own times.
    fn overlay_every(&self) -> Option<Span> {
        None
    }

    /// Which events it wants to have.
    fn wants_events(&self) -> Option<Filter> {
        None
    }

    /// Whether it wants to know what is done to the simulation from outside.
    fn wants_journal(&self) -> bool {
        false
    }

    /// When the run is saved, which is where it ends then.
    fn saves_at(&self) -> Option<Span> {
        None
    }

    /// Where it is saved to.
    fn save(&mut self) -> Option<&mut dyn Write> {
        None
    }

    /// Called at the end, with what was done in the whole run.
    fn journal(&mut self, _journal: &Journal) {}

    /// Called with recorded events, in order and in batches.
    fn events(&mut self, _records: &[Record]) {}

    /// Called when a fault strikes or begins, and when one that lasts ends.
    fn fault(&mut self, _name: &str, _at: Time, _is_over: bool) {}

    /// The simulation at `at`, one of these moments, after what happens then. A moment at the end of
    /// the run or behind it is its end.
    fn look(&mut self, _sim: &dyn View, _at: Time) {}

    /// How often it wants to look at figures of nodes. Any number of looks takes no more memory than one.
    fn wants_probes(&self) -> Option<Probing> {
        None
    }

    /// The simulation at one of these times, after what happens then.
    fn probe(&mut self, _sim: &dyn View) {}

    /// A point of the time series, as soon as it is complete. What broadcasts came to is known at
    /// the end only.
    fn point(&mut self, _point: &Point) {}

    /// How far the virtual time is.
    fn progress(&mut self, _now: Time) {}
}

/// When figures of nodes are looked at, and what is counted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// The first look.
    pub from: Span,
    /// Time between two looks.
    pub every: Span,
    /// No look comes later, if it is said.
    pub until: Option<Span>,
    /// What is counted of each node.
    pub counts: Vec<Count>,
}

/// What is done to the simulation from outside.
impl Observer for Journal {
    fn wants_journal(&self) -> bool {
        true
    }

    fn journal(&mut self, journal: &Journal) {
        self.clone_from(journal);
    }
}

/// No observer.
impl Observer for () {}

/// An optional observer.
impl<O: Observer> Observer for Option<O> {
    fn looks_at(&self) -> Vec<Span> {
        self.as_ref().map_or_else(Vec::new, Observer::looks_at)
    }

    fn overlay_every(&self) -> Option<Span> {
        self.as_ref().and_then(Observer::overlay_every)
    }

    fn wants_events(&self) -> Option<Filter> {
        self.as_ref().and_then(Observer::wants_events)
    }

    fn wants_journal(&self) -> bool {
        self.as_ref().is_some_and(Observer::wants_journal)
    }

    fn saves_at(&self) -> Option<Span> {
        self.as_ref().and_then(Observer::saves_at)
    }

    fn save(&mut self) -> Option<&mut dyn Write> {
        self.as_mut().and_then(Observer::save)
    }

    fn journal(&mut self, journal: &Journal) {
        self.iter_mut().for_each(|one| one.journal(journal));
    }

    fn events(&mut self, records: &[Record]) {
        self.iter_mut().for_each(|one| one.events(records));
    }

    fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        self.iter_mut().for_each(|one| one.fault(name, at, is_over));
    }

    fn look(&mut self, sim: &dyn View, at: Time) {
        self.iter_mut().for_each(|one| one.look(sim, at));
    }

    fn wants_probes(&self) -> Option<Probing> {
        self.as_ref().and_then(Observer::wants_probes)
    }

    fn probe(&mut self, sim: &dyn View) {
        self.iter_mut().for_each(|one| one.probe(sim));
    }

    fn point(&mut self, point: &Point) {
        self.iter_mut().for_each(|one| one.point(point));
    }

    fn progress(&mut self, now: Time) {
        self.iter_mut().for_each(|one| one.progress(now));
    }
}

/// Two observers, each at its own times. Events and probes are those of the first that wants any.
impl<A: Observer, Z: Observer> Observer for (A, Z) {
    fn looks_at(&self) -> Vec<Span> {
        let mut moments = [self.0.looks_at(), self.1.looks_at()].concat();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    fn overlay_every(&self) -> Option<Span> {
        self.0.overlay_every().into_iter().chain(self.1.overlay_every()).min()
    }

    fn wants_events(&self) -> Option<Filter> {
        self.0.wants_events().or_else(|| self.1.wants_events())
    }

    fn wants_journal(&self) -> bool {
        self.0.wants_journal() || self.1.wants_journal()
    }

    fn saves_at(&self) -> Option<Span> {
        self.0.saves_at().or_else(|| self.1.saves_at())
    }

    fn save(&mut self) -> Option<&mut dyn Write> {
        if self.0.saves_at().is_some() { self.0.save() } else { self.1.save() }
    }

    fn journal(&mut self, journal: &Journal) {
        self.0.journal(journal);
        self.1.journal(journal);
    }

    fn events(&mut self, records: &[Record]) {
        if self.0.wants_events().is_some() {
            self.0.events(records);
        } else {
            self.1.events(records);
        }
    }

    fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        self.0.fault(name, at, is_over);
        self.1.fault(name, at, is_over);
    }

    fn look(&mut self, sim: &dyn View, at: Time) {
        let wants = |moments: Vec<Span>| moments.iter().any(|span| Time::ZERO.after(span.0) == at);
        if wants(self.0.looks_at()) {
            self.0.look(sim, at);
        }
        if wants(self.1.looks_at()) {
            self.1.look(sim, at);
        }
    }

    fn wants_probes(&self) -> Option<Probing> {
        self.0.wants_probes().or_else(|| self.1.wants_probes())
    }

    fn probe(&mut self, sim: &dyn View) {
        match self.0.wants_probes() {
            Some(_) => self.0.probe(sim),
            None => self.1.probe(sim),
        }
    }

    fn point(&mut self, point: &Point) {
        self.0.point(point);
        self.1.point(point);
    }

    fn progress(&mut self, now: Time) {
        self.0.progress(now);
        self.1.progress(now);
    }
}
