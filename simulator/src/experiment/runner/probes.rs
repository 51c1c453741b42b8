//! When figures of nodes are looked at.

use murmurate::membership::Time;

use super::observer::Probing;
use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::Span;

/// The looks that are to come.
#[derive(Debug)]
pub(super) struct Probes {
    /// The next one; the last one was taken if there is none.
    due: Option<Time>,
    every: Span,
    until: Option<Time>,
}

impl Probes {
    /// Has the simulation count what is wanted.
    pub(super) fn new<P: SimStack>(probing: &Probing, sim: &mut Simulation<P>) -> Self {
        if !probing.counts.is_empty() {
            sim.watch_counts(&probing.counts);
        }
        Self {
            due: Some(Time::ZERO.after(probing.from.0)),
            every: probing.every,
            until: probing.until.map(|until| Time::ZERO.after(until.0)),
        }
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// No look is due before this time, which others than these looked at.
    pub(super) fn skip_before(&mut self, time: Time) {
        while self.due.is_some_and(|due| due < time) {
            self.next();
        }
    }

    /// The look that was due is taken: when the one after it is.
    pub(super) fn next(&mut self) -> Option<Time> {
        let next = self.due?.after(self.every.0);
        self.due = Some(next).filter(|next| self.until.is_none_or(|until| *next <= until));
        self.due
    }
}
