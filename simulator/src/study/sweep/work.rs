//! How much work runs are, and how much of it is done.

use murmurate::membership::{Time, nanos};

use crate::experiment::runner::Observer;
use crate::experiment::scenario::Scenario;

/// Nodes times milliseconds of virtual time.
pub(super) fn weight(scenario: &Scenario) -> u64 {
    u64::from(scenario.nodes.count).saturating_mul(nanos(scenario.duration.0) / 1_000_000)
}

/// Reports how much work of a run is done.
pub(super) struct Ticks<'a, F> {
    nodes: u64,
    milliseconds: u64,
    worked: &'a F,
}

impl<'a, F> Ticks<'a, F> {
    pub(super) fn new(scenario: &Scenario, worked: &'a F) -> Self {
        Self { nodes: scenario.nodes.count.into(), milliseconds: 0, worked }
    }
}

impl<F: Fn(u64)> Observer for Ticks<'_, F> {
    fn progress(&mut self, now: Time) {
        let milliseconds = now.as_nanos() / 1_000_000;
        (self.worked)((milliseconds - self.milliseconds) * self.nodes);
        self.milliseconds = milliseconds;
    }
}
