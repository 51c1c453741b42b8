//! Nodes and contacts dialled.

use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, TransportError};

use super::Driver;
use crate::NodeId;
use crate::node::event::Event;
use crate::node::host::Input;
use crate::node::id::Incarnation;
use crate::node::transport;

/// Contacts a caller's join dials at once; the rest comes with the rounds.
pub(super) const CONTACTS_AT_ONCE: usize = 16;

/// A dial under way.
pub(super) enum Dial {
    /// To a node the peer wants to speak to.
    Node(NodeId),
    /// To a contact.
    Contact(Multiaddr),
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
        let options = DialOpts::peer_id(node.to_peer_id())
            .condition(PeerCondition::Always)
            .addresses(addresses.iter().cloned().collect())
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
        if self.dials.values().any(|dial| matches!(dial, Dial::Contact(to) if *to == address)) {
            return;
        }
        let options = match address.iter().last() {
            Some(Protocol::P2p(peer)) => {
                if let Ok(node) = NodeId::try_from(peer)
                    && self.join_through(node)
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

    /// Joins through a node that a link leads to already. Whether it does.
    pub(super) fn join_through(&mut self, node: NodeId) -> bool {
        let Some(route) = self.host.routes.get(&node).filter(|route| route.is_linked()) else {
            return false;
        };
        let contact = route.peer;
        self.feed(Input::Join(vec![contact]));
        true
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        if let Some(dial) = self.dials.remove(&connection) {
            self.dial_failed(dial, error);
        }
    }

    fn dial_failed(&mut self, dial: Dial, error: &DialError) {
        self.host.metrics.dials.with_label_values(&[outcome(error)]).inc();
        let reason = explain(error);
        match dial {
            Dial::Node(node) => {
                self.host.tell(Event::DialFailed { node: Some(node), reason: reason.clone() });
                self.host.book.doubt(node);
                if self.is_coming(node) {
                    return;
                }
                if let Some(route) = self.host.routes.get(&node)
                    && !route.is_linked()
                {
                    let peer = route.peer;
                    self.lose(peer, &reason);
                }
            }
            Dial::Contact(address) => {
                let node = address.iter().find_map(|part| match part {
                    Protocol::P2p(peer) => NodeId::try_from(peer).ok(),
                    _ => None,
                });
                self.contacts.failed(&address, &reason);
                let reason = format!("{address}: {reason}");
                self.host.tell(Event::DialFailed { node, reason });
            }
        }
    }

    /// Nobody answers for this peer: what waited for it is lost, and the peer is told.
    pub(super) fn lose(&mut self, peer: Incarnation, why: &str) {
        tracing::debug!(%peer, why, "link down");
        if self.host.routes.get(&peer.node).is_some_and(|route| route.peer == peer) {
            self.host.routes.remove(&peer.node);
        }
        self.asking.retain(|(of, ..)| *of != peer.node);
        self.host.later.push_back(Input::LinkDown(peer));
    }
}

/// The outcome as the metric labels it.
fn outcome(error: &DialError) -> &'static str {
    use std::io::ErrorKind;
    match error {
        DialError::LocalPeerId { .. } => "self",
        DialError::WrongPeerId { .. } => "wrong_peer",
        DialError::Denied { .. } => "denied",
        DialError::Transport(errors) => match errors.first() {
            Some((_, TransportError::Other(error))) => match root_kind(error) {
                ErrorKind::ConnectionRefused => "refused",
                ErrorKind::TimedOut => "timeout",
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "unreachable",
                _ if error.to_string().contains("imeout") => "timeout",
                _ => "other",
            },
            Some((_, TransportError::MultiaddrNotSupported(_))) => "unreachable",
            None => "other",
        },
        _ => "other",
    }
}

/// libp2p wraps the kernel's error several times.
fn root_kind(error: &std::io::Error) -> std::io::ErrorKind {
    let mut kind = error.kind();
    let mut source: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            kind = io.kind();
            source = io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        } else {
            source = inner.source();
        }
    }
    kind
}

/// The error in one line.
fn explain(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => "that is this node itself".into(),
        DialError::WrongPeerId { obtained, .. } => format!("{obtained} answers there"),
        DialError::Transport(errors) => {
            let each = errors
                .iter()
                .map(|(address, error)| format!("{address}: {}", transport::root(error)));
            each.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
