//! What links bring.

use either::Either;
use libp2p::swarm::ConnectionId;
use murmurate_broadcast::{Carries as _, anti_entropy};
use murmurate_membership::Membership as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{AT_ONCE, Driver, GIVEN_AT_ONCE};
use crate::id::Incarnation;
use crate::node::admission::Version;
use crate::node::command::Look;
use crate::node::event::Event;
use crate::node::link::Report;
use crate::node::stack::{BroadcastMessage, Input, Message};
use crate::node::wire::{
    Contact, ExchangeMessage, Frame, Kind, MAX_VIEW, Publication, Views, encode_empty,
};

/// How many callers may wait for other nodes' views.
const ASKING: usize = 1_024;

/// What neighbours say to find out what either missed, as the stack has it.
fn exchange(message: ExchangeMessage) -> BroadcastMessage {
    use anti_entropy::Message as Exchange;
    match message {
        Exchange::Compare { uptime, parts } => Exchange::Compare { uptime, parts },
        Exchange::Have { uptime, parts, origins, sure, answer } => {
            Exchange::Have { uptime, parts, origins, sure, answer }
        }
        Exchange::Want(spans) => Exchange::Want(spans),
        Exchange::Inner(never) | Exchange::Reply { payload: never, .. } => match never {},
    }
}

impl Driver {
    pub(super) fn on_report(&mut self, id: ConnectionId, report: Report) {
        match report {
            Report::Hello(hello) => self.on_hello(id, &hello),
            Report::Frames(frames) => {
                let Some(connection) = self.connections.get(&id) else { return };
                let Some(from) = connection.peer() else { return };
                if self.gate.is_barred(from.node) {
                    return;
                }
                if let Some(route) = self.host.routes.get_mut(&from.node) {
                    route.used = Instant::now();
                }
                for (frame, bytes) in frames {
                    if !self.is_foreign_copy(from, &frame) {
                        self.on_frame(id, from, frame, bytes);
                    }
                }
            }
            Report::ReadEnded(ended) => self.on_read_ended(id, ended),
            Report::WriteEnded(ended) => self.on_write_ended(id, ended),
        }
    }

    /// Handles what else has been reported, within reason.
    pub(super) fn more_reports(&mut self) {
        let before = self.host.given();
        for _ in 1..AT_ONCE {
            if self.host.given() - before > GIVEN_AT_ONCE {
                return;
            }
            let Ok((id, report)) = self.reports.try_recv() else { return };
            self.on_report(id, report);
        }
    }

    /// Whether it brings a broadcast in this node's name that this node has not published.
    fn is_foreign_copy(&mut self, from: Incarnation, frame: &Frame) -> bool {
        let Some((id, _)) = frame.broadcast() else { return false };
        let (me, origin) = (self.host.me, id.origin);
        if origin.node != me.node || (origin.started, id.sequence) < (me.started, self.ids.used()) {
            return false;
        }
        if self.rules.authorship.signs() {
            // It has this node's key.
            self.note_twins(me.node);
            return true;
        }
        let [broadcasts, _] = &self.host.metrics.forged;
        broadcasts.inc();
        self.host.tell(Event::Forged { by: from.node, origin: origin.node });
        true
    }

    fn on_frame(&mut self, by: ConnectionId, from: Incarnation, frame: Frame, bytes: usize) {
        match frame {
            Frame::Membership(message, addresses) => {
                for (peer, addresses) in message.named().into_iter().zip(addresses) {
                    self.hear_of(&Contact { peer, addresses });
                }
                self.receive(from, Message::Membership(message), bytes);
            }
            Frame::Control(message) => {
                self.hear(from, anti_entropy::Message::Inner(message), bytes);
            }
            Frame::Exchange(message) => {
                self.hear(from, exchange(message), bytes);
            }
            Frame::Gossip(message) => {
                let (before, published) =
                    (self.host.delivered, message.payload().map(Publication::published));
                let origin = message.carries().filter(|_| !message.is_repair()).map(|id| id.origin);
                self.hear_payload(from, anti_entropy::Message::Inner(message), bytes);
                if self.host.delivered > before
                    && let (Some(origin), Some(published)) = (origin, published)
                {
                    self.host.pacer.arrivals().note(Instant::now(), origin, published);
                }
            }
            Frame::Reply { id, round, age, payload } => {
                let reply = anti_entropy::Message::Reply { id, round, age, payload };
                self.hear_payload(from, reply, bytes);
            }
            Frame::AskViews => {
                let views = self.views().encode();
                self.host.push_control(from, views);
            }
            Frame::Views(views) => {
                let asked = |(of, ..): &mut (_, _, _)| *of == from.node;
                for (.., reply) in self.asking.extract_if(.., asked) {
                    let _ = reply.send(views.clone());
                }
            }
            Frame::Route(message) => self.on_route(from, message, bytes),
            Frame::Relay(relayed) => self.on_relayed(from, relayed, bytes),
            Frame::Service(message) => {
                self.host.served += 1;
                self.receive(from, Message::Service(Either::Right(message)), bytes);
            }
            Frame::Probe(number) => self.on_probe(from, number),
            Frame::Echo(echo) => self.on_echo(from, by, echo),
            // The reader keeps these.
            Frame::Hello(_) | Frame::Bye | Frame::Padding => {}
        }
    }

    fn hear(&mut self, from: Incarnation, message: BroadcastMessage, bytes: usize) {
        self.receive(from, Message::Broadcast(message), bytes);
    }

    fn hear_payload(&mut self, from: Incarnation, message: BroadcastMessage, bytes: usize) {
        let before = self.host.delivered;
        self.hear(from, message, bytes);
        if self.host.delivered == before {
            self.host.metrics.duplicate.inc();
        }
    }

    pub(super) fn receive(&mut self, from: Incarnation, message: Message, bytes: usize) {
        self.host.received.note(message.kind(), bytes);
        self.feed(Input::Receive { from, message });
    }

    /// Another node names a peer, and where it can be dialled.
    pub(super) fn hear_of(&mut self, contact: &Contact) -> Incarnation {
        let Contact { peer, addresses } = contact;
        if peer.node == self.host.me.node {
            self.hear_of_myself(*peer);
        } else {
            self.host.book.hear(peer.node, addresses);
        }
        *peer
    }

    /// This node's views, as others may see them.
    fn views(&self) -> Views {
        use murmurate_broadcast::Broadcast as _;
        let eager: Vec<_> = self.stack.broadcast().eager().collect();
        let active = self.stack.membership().active();
        Views {
            notice: self.gate.version().map_or(0, Version::digest),
            active: active
                .take(MAX_VIEW)
                .map(|peer| (self.host.contact(peer), eager.contains(&peer)))
                .collect(),
            passive: self.stack.membership().passive().len() as u32,
        }
    }

    pub(super) fn look(&self) -> Look {
        let passive = self.stack.membership().passive();
        Look {
            views: self.views(),
            passive: passive.map(|peer| self.host.contact(peer)).collect(),
            waiting: self.host.routes.values().map(|route| route.outbox.depth().bytes).sum(),
            connections: self.connections.len() + self.pool.len(),
        }
    }

    pub(super) fn ask_views(&mut self, of: &Contact, reply: oneshot::Sender<Views>) {
        if of.peer.node == self.host.me.node {
            let _ = reply.send(self.views());
            return;
        }
        // Dropping the reply tells the caller.
        if self.asking.len() >= ASKING {
            return;
        }
        self.host.book.hear(of.peer.node, &of.addresses);
        let limit = self.limits.handshake_wait;
        self.asking.push((of.peer.node, Instant::now() + limit, reply));
        self.host.push_control(of.peer, encode_empty(Kind::AskViews).to_vec());
    }
}
