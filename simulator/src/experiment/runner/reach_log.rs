//! Logs which nodes each broadcast could reach, and which it reached.

use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Figure, Scenario};
use crate::observe::reach;

/// The nodes that each broadcast could reach, if an assertion asks for that.
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

    /// For each broadcast, the share of the reachable nodes that it reached.
    pub(super) fn shares<P: SimStack>(&self, sim: &Simulation<P>) -> Vec<f64> {
        self.noted.iter().flatten().map(|reach| reach.judge(sim).share()).collect()
    }
}
