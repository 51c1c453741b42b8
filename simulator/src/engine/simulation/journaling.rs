//! Keeps a journal of what is done to a simulation from outside.

use super::Simulation;
use crate::engine::journal::{Journal, Operation};
use crate::engine::strategy::SimStack;
use crate::model::network::Network;

impl<P: SimStack> Simulation<P> {
    /// From now on keeps a journal of what is done to the simulation from outside.
    pub fn keep_journal(&mut self) {
        self.journal = Some(Journal::new());
    }

    /// Takes the journal since the last call.
    pub fn take_journal(&mut self) -> Journal {
        self.note_network();
        self.journal.as_mut().map_or_else(Journal::new, std::mem::take)
    }

    pub(super) fn note_network(&mut self) {
        if std::mem::take(&mut self.network_touched)
            && let Some(journal) = &mut self.journal
        {
            journal.push((self.now, Operation::Network(Box::new(Network::clone(&self.network)))));
        }
    }

    pub(super) fn note(&mut self, operation: impl FnOnce() -> Operation) {
        self.note_network();
        if let Some(journal) = &mut self.journal {
            journal.push((self.now, operation()));
        }
    }

    /// Notes what is done to a node. Nothing is noted if the node does not run: then it has no effect.
    pub(super) fn note_of(&mut self, index: usize, operation: impl FnOnce() -> Operation) {
        if self.is_live(index) {
            self.note(operation);
        }
    }
}
