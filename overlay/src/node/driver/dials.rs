//! Nodes and contacts dialled.

use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, TransportError};
use murmurate_membership::Membership as _;
use tokio::time::Instant;

use super::Driver;
use crate::NodeId;
use crate::id::Incarnation;
use crate::node::admission::NotAdmitted;
use crate::node::event::Event;
use crate::node::stack::Input;
use crate::node::transport::Slot;
use crate::node::unreachable::{DialFailure, find};
use crate::node::wire::is_near;

/// Contacts a caller's join dials at once; the rest comes with the rounds.
pub(super) const CONTACTS_AT_ONCE: usize = 16;

/// Dials of nodes somebody named, at once and then each second: what a peer names may be made up,
/// and this node must not become its port scanner.
const BURST: f64 = 128.0;
const EACH_SECOND: f64 = 32.0;

/// How many nodes may be dialled now.
pub(super) struct Budget {
    left: f64,
    since: Instant,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: BURST, since: Instant::now() }
    }

    fn spend(&mut self) -> bool {
        let earned = self.since.elapsed().as_secs_f64() * EACH_SECOND;
        self.since = Instant::now();
        self.left = (self.left + earned).min(BURST);
        let enough = self.left >= 1.0;
        self.left -= f64::from(u8::from(enough));
        enough
    }
}

/// A dial under way.
pub(super) enum Dial {
    /// To a node the peer wants to speak to.
    Node(NodeId),
    /// To a contact.
    Contact(Multiaddr),
    /// To a node, for lanes.
    Lanes(NodeId, Slot),
}

impl Driver {
    /// Makes sure that a connection to `node` stands or is on its way.
    pub(super) fn connect(&mut self, node: NodeId) {
        let Some(route) = self.host.routes.get(&node) else { return };
        if route.is_linked() || self.is_coming(node) {
            return;
        }
        let peer = route.peer;
        let addresses = self.host.book.addresses(node);
        if addresses.is_empty() {
            return self.lose(peer, "no address is known");
        }
        let own: Vec<_> = self.swarm.listeners().cloned().collect();
        let near = addresses.iter().filter(|address| is_near(address, &own));
        let addresses = self.suspects.may_dial(near);
        if addresses.is_empty() {
            return self.lose(peer, "nobody has answered lately where it is said to be");
        }
        if !self.budget.spend() {
            return self.lose(peer, "too many nodes were dialled");
        }
        let options = DialOpts::peer_id(node.to_peer_id())
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(connection, Dial::Node(node));
            }
            Err(error) => self.dial_failed(Dial::Node(node), &error),
        }
    }

    /// Dials a contact, whoever answers there.
    pub(super) fn dial_contact(&mut self, address: Multiaddr) {
        if self.is_reaching(&address) {
            return;
        }
        let options = match address.iter().last() {
            Some(Protocol::P2p(peer)) => {
                if peer == self.host.me.node.to_peer_id() {
                    return self.contacts.is_self(&address);
                }
                if let Ok(node) = NodeId::try_from(peer)
                    && self.join_through(node, &address)
                {
                    return;
                }
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::Always)
                    .addresses(vec![address.clone()])
                    .build()
            }
            _ => DialOpts::unknown_peer_id().address(address.clone()).build(),
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(connection, Dial::Contact(address));
            }
            Err(error) => self.dial_failed(Dial::Contact(address), &error),
        }
    }

    /// Joins through a node that a link leads to already, which was named by this address. Whether one
    /// does.
    pub(super) fn join_through(&mut self, node: NodeId, address: &Multiaddr) -> bool {
        let Some(route) = self.host.routes.get(&node).filter(|route| route.is_linked()) else {
            return false;
        };
        let contact = route.peer;
        self.contacts.answered(address);
        self.feed(Input::Join(vec![contact]));
        true
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        if let Some(dial) = self.dials.remove(&connection) {
            self.dial_failed(dial, error);
        }
    }

    pub(super) fn dial_failed(&mut self, dial: Dial, error: &DialError) {
        let reason = DialFailure::from(error);
        self.host.metrics.dials.with_label_values(&[reason.label()]).inc();
        if matches!(dial, Dial::Node(_) | Dial::Contact(_)) {
            for address in taken(error) {
                self.suspects.answered(address);
                // Whoever was there may have started again as another node.
                let whoever = address.iter().filter(|part| !matches!(part, Protocol::P2p(_)));
                self.contacts.add("moved", whoever.collect(), Instant::now());
            }
        }
        match dial {
            Dial::Node(node) => {
                // That it is lost was told when it was.
                if !self.stack.membership().lost().any(|lost| lost.node == node) {
                    self.host.tell(Event::DialFailed {
                        node: Some(node),
                        address: None,
                        reason: reason.clone(),
                    });
                }
                self.host.book.doubt(node);
                if self.is_coming(node) {
                    return;
                }
                if let Some(route) = self.host.routes.get(&node)
                    && !route.is_linked()
                {
                    let peer = route.peer;
                    self.lose(peer, &reason.to_string());
                }
            }
            Dial::Lanes(node, slot) => {
                self.host.book.doubt(node);
                self.on_lanes_undialled(node, slot, reason);
            }
            // Of addresses it listens on the swarm says that there are none.
            Dial::Contact(address)
                if matches!(error, DialError::LocalPeerId { .. } | DialError::NoAddresses) =>
            {
                self.contacts.is_self(&address);
            }
            Dial::Contact(address) => {
                let node = address.iter().find_map(|part| match part {
                    Protocol::P2p(peer) => NodeId::try_from(peer).ok(),
                    _ => None,
                });
                if self.contacts.failed(&address, &reason, Instant::now()) {
                    self.host.tell(Event::DialFailed { node, address: Some(address), reason });
                }
            }
        }
    }

    /// Nobody answers for this peer: what waited for it is lost, and the peer is told.
    pub(super) fn lose(&mut self, peer: Incarnation, why: &str) {
        self.abandon(peer, why);
        self.host.later.push_back(Input::LinkDown(peer));
    }

    /// What waited for this peer is lost.
    pub(super) fn abandon(&mut self, peer: Incarnation, why: &str) {
        tracing::debug!(%peer, why, "link down");
        if self.host.routes.get(&peer.node).is_some_and(|route| route.peer == peer) {
            self.host.routes.remove(&peer.node);
        }
        self.asking.retain(|(of, ..)| *of != peer.node);
    }
}

/// The addresses at which another node answered.
fn taken(error: &DialError) -> Vec<&Multiaddr> {
    let is_another = |error: &TransportError<std::io::Error>| match error {
        TransportError::Other(error) => matches!(find(error), Some(NotAdmitted::Another(_))),
        TransportError::MultiaddrNotSupported(_) => false,
    };
    match error {
        DialError::WrongPeerId { address, .. } => vec![address],
        DialError::Transport(errors) => {
            let taken = errors.iter().filter(|(_, error)| is_another(error));
            taken.map(|(address, _)| address).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn made_up_nodes_are_dialled_only_so_fast() {
        let mut budget = Budget::new();
        let spent =
            |budget: &mut Budget| std::iter::from_fn(|| budget.spend().then_some(())).count();
        assert_eq!(spent(&mut budget), 128);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(spent(&mut budget), 32);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(spent(&mut budget), 128);
    }
}
