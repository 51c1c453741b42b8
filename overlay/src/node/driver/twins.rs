//! Identities that two processes share: a copied machine, a state directory that was restored twice.
//!
//! Each start of a node takes the place of the one before, so two that run at the same time take it from
//! each other for ever. Nobody can mend that but whoever started them.

use std::collections::BTreeSet;

use super::Driver;
use crate::NodeId;
use crate::id::Incarnation;
use crate::node::event::Event;

/// Nodes that are told of.
const TOLD: usize = 64;

/// Those that were told of.
#[derive(Debug, Default)]
pub(super) struct Twins(BTreeSet<NodeId>);

impl Driver {
    /// A start of a node greets.
    pub(super) fn note_start(&mut self, peer: Incarnation) {
        if self.host.book.greets(peer.node, peer.started) {
            self.note_twins(peer.node);
        }
    }

    /// Somebody names a start of this very node. Older ones are remembered for long, newer ones there
    /// are none. That is a sign and no proof: anybody may lie.
    pub(super) fn hear_of_myself(&mut self, named: Incarnation) {
        if named.started > self.host.me.started {
            self.note_twins(named.node);
        }
    }

    pub(super) fn note_twins(&mut self, node: NodeId) {
        self.host.metrics.shared_identities.inc();
        if self.twins.0.len() < TOLD && self.twins.0.insert(node) {
            let own = node == self.host.me.node;
            tracing::error!(%node, own, "two processes run with this identity: end one of them");
            self.host.tell(Event::SharedIdentity(node));
        }
    }
}
