//! Whom each broadcast could reach, and whom it did.

use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Figure, Scenario};
use crate::observe::reach;

/// Whom each broadcast could reach, if an assertion wants to know.
#[derive(Debug)]
pub(super) struct ReachLog {
    noted: Option<Vec<reach::Reach>>,
}

impl ReachLog {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let wanted = scenario.assertions.iter().any(|a| a.figure == Figure::Reach);
        Self { noted: wanted.then(Vec::new) }
    }

    /// Node `index` is about to publish the next broadcast.
    pub(super) fn note<P: SimStack>(&mut self, sim: &Simulation<P>, index: usize) {
        if let Some(noted) = &mut self.noted {
            noted.extend(reach::Reach::note(sim, index));
        }
    }

    /// Of each broadcast the share that it reached of those it could.
    pub(super) fn shares<P: SimStack>(&self, sim: &Simulation<P>) -> Vec<f64> {
        self.noted.iter().flatten().map(|reach| reach.judge(sim).share()).collect()
    }
}
