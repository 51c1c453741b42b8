//! Checks the invariants of every run while it goes on.

use murmurate::membership::Violation;

use super::report::{ViolationReport, seconds};
use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Figure, Scenario, Window};
use crate::observe::check::{self, Agreement};

/// Events handled for each node that is looked at: a look at a node costs as much as some events.
const EVENTS_PER_LOOK: u64 = 256;

/// Checks the nodes in turn, more often if more happens, and all of them at the end.
#[derive(Debug)]
pub(super) struct Guard {
    /// Events that were looked at nodes for.
    paid: u64,
    /// Whose turn it is.
    next: usize,
    /// Events that may be under way, and messages that may be sent: with more, an assertion has failed
    /// whatever comes.
    most_pending: f64,
    most_messages: f64,
    agreement: Option<Agreement>,
    pub(super) broken: Option<ViolationReport>,
}

impl Guard {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let most = |figure| {
            let whole = scenario.assertions.iter().filter(|a| a.window == Window::Whole);
            let bounds = whole.filter(|a| a.figure == figure);
            let upper = bounds.filter(|a| !a.comparison.holds(f64::MAX, a.value));
            upper.map(|a| a.value).fold(f64::INFINITY, f64::min)
        };
        let (most_pending, most_messages) = (most(Figure::Pending), most(Figure::Messages));
        let agreement = scenario.measure.agreement;
        Self { paid: 0, next: 0, most_pending, most_messages, agreement, broken: None }
    }

    /// How many events were looked for, and whose turn is next.
    pub(super) fn turns(&self) -> (u64, usize) {
        (self.paid, self.next)
    }

    /// Goes on from there.
    pub(super) fn resume(&mut self, paid: u64, next: usize) {
        (self.paid, self.next) = (paid, next);
    }

    /// Some time has passed. Whether the run may go on.
    pub(super) fn goes_on<P: SimStack>(&mut self, sim: &Simulation<P>) -> bool {
        self.note(check::every_event(sim), sim);
        let events = sim.stats().events;
        let looks = ((events - self.paid) / EVENTS_PER_LOOK).min(sim.live() as u64);
        if looks > 0 {
            self.paid = events;
        }
        for _ in 0..looks {
            let Some(index) = self.turn(sim) else { break };
            self.note(check::node(sim, index), sim);
        }
        self.note(check::deliveries(sim), sim);
        self.broken.is_none()
            && sim.peak_pending() as f64 <= self.most_pending
            && (self.most_messages.is_infinite() || messages(sim) as f64 <= self.most_messages)
    }

    /// The run is over.
    pub(super) fn end<P: SimStack>(&mut self, sim: &Simulation<P>) {
        self.note(check::safety(sim), sim);
        if let Some(how) = self.agreement {
            self.note(check::agreement(sim, how), sim);
        }
    }

    /// The next running node.
    fn turn<P: SimStack>(&mut self, sim: &Simulation<P>) -> Option<usize> {
        let after = (self.next..sim.len()).chain(0..self.next.min(sim.len()));
        let index = { after }.find(|index| sim.is_live(*index))?;
        self.next = index + 1;
        Some(index)
    }

    /// Something else was looked at.
    pub(super) fn note<P: SimStack>(&mut self, found: Result<(), Violation>, sim: &Simulation<P>) {
        if let Err(Violation { rule, detail }) = found
            && self.broken.is_none()
        {
            self.broken = Some(ViolationReport { rule, detail, at: seconds(sim.now()) });
        }
    }
}

fn messages<P: SimStack>(sim: &Simulation<P>) -> u64 {
    sim.stats().messages.iter().map(|kind| kind.count).sum()
}
