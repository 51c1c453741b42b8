//! How many nodes of each class run, and how many of them broadcasts were to reach.

use super::Simulation;
use crate::engine::strategy::SimStack;
use crate::model::network::Network;

/// Of one class, or of all nodes of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Census {
    /// Nodes that run.
    pub running: u64,
    /// Deliveries there were to be: of each broadcast to all that ran when it was published, but for its
    /// publisher.
    pub expected: u64,
}

impl Census {
    /// A row for each class and one for the rest, if there are classes.
    pub(super) fn of(network: &Network) -> Vec<Self> {
        let classes = network.placement().classes().len();
        vec![Self::default(); if classes > 0 { classes + 1 } else { 0 }]
    }
}

impl<P: SimStack> Simulation<P> {
    /// By class, with the nodes of none behind; nothing without classes.
    #[must_use]
    pub fn census(&self) -> &[Census] {
        &self.census
    }

    /// Where node `index` is counted, if classes are.
    fn census_of(&mut self, index: usize) -> Option<&mut Census> {
        let last = self.census.len().checked_sub(1)?;
        let row = self.network.placement().class(index).unwrap_or(last);
        self.census.get_mut(row)
    }

    pub(super) fn count_start(&mut self, index: usize) {
        self.live += 1;
        if let Some(row) = self.census_of(index) {
            row.running += 1;
        }
    }

    pub(super) fn count_stop(&mut self, index: usize) {
        self.live -= 1;
        if let Some(row) = self.census_of(index) {
            row.running -= 1;
        }
    }

    pub(super) fn count_broadcast(&mut self, publisher: usize) {
        for row in &mut self.census {
            row.expected += row.running;
        }
        if let Some(row) = self.census_of(publisher) {
            row.expected -= 1;
        }
    }
}
