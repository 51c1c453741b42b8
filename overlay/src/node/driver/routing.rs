//! What the router hears and what it comes to.

use bytes::Bytes;
use murmurate_membership::{Membership as _, Wire};

use super::Driver;
use crate::NodeId;
use crate::node::channels;
use crate::node::host::{Came, Message, RouterInput};
use crate::node::id::Incarnation;
use crate::node::wire::{Relayed, RouteMessage};
use crate::router::Message as Router;

impl Driver {
    pub(super) fn on_route(&mut self, from: Incarnation, message: RouteMessage, bytes: usize) {
        self.host.metrics.received.note(Message::KINDS + message.kind(), bytes);
        let known = match &message {
            Router::Seek { target, .. } => self.known(*target),
            _ => None,
        };
        let message = match message.map(|contact| self.hear_of(&contact)) {
            Router::Seek { origin, number, target, path, hops_left } => {
                Router::Seek { origin, number, target, path, hops_left }
            }
            Router::Found { origin, number, peer } => Router::Found { origin, number, peer },
            Router::Lost { origin, number } => Router::Lost { origin, number },
            Router::Relay { data, .. } => match data {},
        };
        self.feed_router(RouterInput::Receive { from, message, known });
    }

    pub(super) fn on_relayed(&mut self, from: Incarnation, relayed: Relayed, bytes: usize) {
        let Relayed { origin, to, number, hops_left, data } = relayed;
        let message = Router::Relay { origin, to, number, hops_left, data };
        self.host.metrics.received.note(Message::KINDS + message.kind(), bytes);
        self.feed_router(RouterInput::Receive { from, message, known: None });
    }

    /// The start of a node that this node could dial, as far as it knows.
    fn known(&self, node: NodeId) -> Option<Incarnation> {
        if self.host.book.addresses(node).is_empty() {
            return None;
        }
        let membership = self.peer.peer().membership();
        let mut viewed = membership.active().chain(membership.passive());
        let linked = self.host.routes.get(&node).filter(|route| route.is_linked());
        linked.map(|route| route.peer).or_else(|| viewed.find(|peer| peer.node == node))
    }

    /// Looks for a node; with `path`, for a way to it.
    pub(super) fn seek(&mut self, target: NodeId, path: bool) {
        self.feed_router(RouterInput::Seek { target, path });
    }

    pub(super) fn relay(&mut self, to: Incarnation, data: Bytes) {
        self.datagrams += 1;
        let number = self.datagrams;
        self.feed_router(RouterInput::Relay { to, number, data });
    }

    pub(super) fn on_routed(&mut self, came: Came) {
        match came {
            Came::Found { peer, path } => self.on_found_node(peer, path),
            Came::NotFound(node) => self.on_nobody_found(node),
            Came::Datagram { from, by, data } => {
                let answer = channels::on_datagram(&self.hub, by, from, &data);
                if let Some(answer) = answer {
                    self.relay(from, answer);
                }
            }
            Came::Lost(to) => channels::on_way_lost(&self.hub, to),
        }
    }
}
