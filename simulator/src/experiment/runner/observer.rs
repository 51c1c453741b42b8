//! Who looks at a run while it goes on.

use std::io::Write;

use murmurate::membership::{Membership as _, Time};

use super::report::Point;
use crate::engine::stats::Stats;
use crate::engine::watch::{Filter, Load, Record};
use crate::engine::{Journal, SimStack, Simulation};
use crate::experiment::scenario::Span;
use crate::observe::topology::Topology;

/// Somebody who looks at a simulation while it runs. Nobody can change it.
pub trait Observer {
    /// When it wants to look at the simulation itself.
    fn looks_at(&self) -> Vec<Span> {
        Vec::new()
    }

    /// How often the overlay's figures are to be in the report, beside the times that the scenario says.
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

    /// What was done in the whole run, at its end.
    fn journal(&mut self, _journal: &Journal) {}

    /// Events as they were recorded, in order. They come in batches, all up to a moment.
    fn events(&mut self, _records: &[Record]) {}

    /// A fault of the timeline strikes or begins, or one that lasts is over.
    fn fault(&mut self, _name: &str, _at: Time, _is_over: bool) {}

    /// The simulation at `at`, one of these moments, after what happens then. A moment at the end of
    /// the run or behind it is its end.
    fn look(&mut self, _sim: &dyn View, _at: Time) {}

    /// A point of the time series, as soon as it is complete. What broadcasts came to is known at
    /// the end only.
    fn point(&mut self, _point: &Point) {}

    /// How far the virtual time is.
    fn progress(&mut self, _now: Time) {}
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

/// A simulation of any strategies, to look at.
pub trait View {
    /// The virtual time.
    fn now(&self) -> Time;
    /// Nodes that were ever started.
    fn started(&self) -> usize;
    /// Nodes that run.
    fn running(&self) -> Vec<usize>;
    /// Neighbours of a node that runs.
    fn degree(&self, index: usize) -> Option<usize>;
    /// What a node has sent and received, if that is counted.
    fn load(&self, index: usize) -> Option<Load>;
    /// What was counted.
    fn stats(&self) -> &Stats;
    /// The overlay.
    fn topology(&self) -> Topology;
}

impl<P: SimStack> View for Simulation<P> {
    fn now(&self) -> Time {
        self.now()
    }

    fn started(&self) -> usize {
        self.len()
    }

    fn running(&self) -> Vec<usize> {
        self.live_nodes().collect()
    }

    fn degree(&self, index: usize) -> Option<usize> {
        Some(self.stack(index)?.membership().active().len())
    }

    fn load(&self, index: usize) -> Option<Load> {
        self.load(index)
    }

    fn stats(&self) -> &Stats {
        self.stats()
    }

    fn topology(&self) -> Topology {
        Topology::of(self)
    }
}

/// Nobody looks.
impl Observer for () {}

/// Perhaps somebody does.
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

    fn point(&mut self, point: &Point) {
        self.iter_mut().for_each(|one| one.point(point));
    }

    fn progress(&mut self, now: Time) {
        self.iter_mut().for_each(|one| one.progress(now));
    }
}

/// Two look, each when it wants to. Events are those of the first that wants any.
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

    fn point(&mut self, point: &Point) {
        self.0.point(point);
        self.1.point(point);
    }

    fn progress(&mut self, now: Time) {
        self.0.progress(now);
        self.1.progress(now);
    }
}
