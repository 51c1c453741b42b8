//! What the router hears and what it comes to.

use bytes::Bytes;
use either::Either;

use super::Driver;
use crate::NodeId;
use crate::id::Incarnation;
use crate::node::channels;
use crate::node::stack::{Input, Message};
use crate::node::wire::{Relayed, RouteMessage};
use crate::router::{Command, Event, Message as Router};

impl Driver {
    pub(super) fn on_route(&mut self, from: Incarnation, message: RouteMessage, bytes: usize) {
        let message = match message.map(|contact| self.hear_of(&contact)) {
            Router::Lookup { origin, number, target, path, hops_left } => {
                Router::Lookup { origin, number, target, path, hops_left }
            }
            Router::Found { origin, number, peer } => Router::Found { origin, number, peer },
            Router::Lost { origin, number } => Router::Lost { origin, number },
            Router::Relay { data, .. } => match data {},
        };
        self.receive(from, Message::Service(Either::Left(message)), bytes);
    }

    pub(super) fn on_relayed(&mut self, from: Incarnation, relayed: Relayed, bytes: usize) {
        let Relayed { origin, to, number, hops_left, data } = relayed;
        let message = Router::Relay { origin, to, number, hops_left, data };
        self.receive(from, Message::Service(Either::Left(message)), bytes);
    }

    /// Looks for a node; with `path`, for a route to it.
    pub(super) fn look_up(&mut self, target: NodeId, path: bool) {
        self.feed(Input::Command(Either::Left(Command::Lookup { target, path })));
    }

    pub(super) fn relay(&mut self, to: Incarnation, data: Bytes) {
        self.datagrams += 1;
        let number = self.datagrams;
        self.feed(Input::Command(Either::Left(Command::Relay { to, number, data })));
    }

    pub(super) fn on_routed(&mut self, event: Event<Incarnation, Bytes>) {
        match event {
            Event::Found { peer, path } => self.on_found_node(peer, path),
            Event::NotFound(node) => self.on_nobody_found(node),
            Event::Received { from, by, data } => {
                let authorship = &self.rules.authorship;
                let data = authorship.unsigned(data);
                if let Some(answer) = channels::on_datagram(&self.hub, by.node, from, &data) {
                    let answer = authorship.sign_datagram(from, answer);
                    self.relay(from, answer);
                }
            }
            Event::Lost { to, .. } => channels::on_way_lost(&self.hub, to),
        }
    }
}
