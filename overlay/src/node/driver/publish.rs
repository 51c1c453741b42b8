//! Broadcasts of this node's own, until there is a neighbour and room for them.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use murmurate_broadcast::Payload as _;
use murmurate_membership::Membership as _;
use tokio::time::Instant;

use super::{AT_ONCE, Driver, Publish};
use crate::BroadcastError;
use crate::node::clock::micros_since_1970;
use crate::node::host::Input;
use crate::node::id::Incarnation;
use crate::node::pressure;
use crate::node::route::{Route, Via};
use crate::node::wire::Echo;

impl Driver {
    pub(super) fn more_publishes(&mut self) {
        while self.held.len() < AT_ONCE
            && let Ok(publish) = self.publishes.try_recv()
        {
            self.held.push_back(publish);
        }
    }

    /// Publishes what waits, as long as there is a neighbour and room for it.
    pub(super) fn publish_held(&mut self) {
        while let Some(publish) = self.held.front() {
            if self.left {
                let publish = self.held.pop_front();
                let _ = publish.map(|publish| publish.reply.send(Err(BroadcastError::Ended)));
                continue;
            }
            let (bytes, deadline) = (publish.publication.size(), publish.deadline);
            // Whoever gave up waiting did not publish.
            if publish.reply.is_closed() {
                self.held.pop_front();
                continue;
            }
            let now = Instant::now();
            if let Some(why) = self.must_wait(now, bytes) {
                if deadline > now {
                    let first = self.held.front_mut();
                    if first.is_some_and(|publish| !std::mem::replace(&mut publish.waited, true)) {
                        self.host.metrics.waited.inc();
                    }
                    return;
                }
                self.host.metrics.refused.inc();
                let publish = self.held.pop_front();
                let _ = publish.map(|publish| publish.reply.send(Err(why)));
                continue;
            }
            let Some(Publish { publication, reply, .. }) = self.held.pop_front() else { return };
            let Some(id) = self.ids.next() else {
                let _ = reply.send(Err(BroadcastError::Ended));
                continue;
            };
            self.host.metrics.published.inc();
            self.host.pacer.publish(now, bytes);
            // What it waited here is none of its time on the way.
            let publication = publication.at(micros_since_1970());
            self.feed(Input::Publish { id, payload: publication });
            let _ = reply.send(Ok(id));
        }
    }

    /// Why a broadcast of so many bytes cannot be published now.
    fn must_wait(&mut self, now: Instant, bytes: usize) -> Option<BroadcastError> {
        if self.peer.peer().membership().active().next().is_none() {
            return Some(BroadcastError::NoNeighbor);
        }
        let half = self.limits.outbox_bytes / 2;
        let is_full = |waiting| waiting > 0 && waiting + bytes > half;
        let fits = !self.links().any(|route| is_full(route.outbox.depth().bytes));
        let links = self.links_delay(now);
        let room = self.host.pacer.has_room(now, links) && fits;
        (!room).then_some(BroadcastError::Congested)
    }

    /// The links to neighbours that are waited for: those that read too slowly lose what does not fit.
    fn links(&self) -> impl Iterator<Item = &Route> {
        let active = self.peer.peer().membership().active();
        let routes = active.filter_map(|peer| self.host.routes.get(&peer.node));
        routes.filter(|route| !route.is_slow())
    }

    /// How long payloads queue on most links.
    fn links_delay(&self, now: Instant) -> Duration {
        pressure::delay(self.links().map(|route| &route.flow), now)
    }

    /// Sends the probes that are due, and wakes the writers that have something new.
    pub(super) fn flush(&mut self) {
        if self.host.fresh.is_empty() {
            return;
        }
        let now = Instant::now();
        for node in self.host.fresh.drain(..) {
            if let Some(route) = self.host.routes.get_mut(&node) {
                route.probe(now);
                route.outbox.wake();
            }
        }
    }

    /// All that came before the probe is handled.
    pub(super) fn on_probe(&mut self, from: Incarnation, number: u32) {
        let now = Instant::now();
        let delay = self.host.pacer.told(now, self.links_delay(now)).as_millis();
        let delay = u16::try_from(delay).unwrap_or(u16::MAX);
        self.host.push_control(from, Echo { number, delay }.encode());
    }

    /// An echo counts on the link that carried the probe.
    pub(super) fn on_echo(&mut self, from: Incarnation, by: ConnectionId, echo: Echo) {
        if let Some(route) = self.host.routes.get_mut(&from.node)
            && route.via == Via::Link(by)
        {
            let told = Duration::from_millis(echo.delay.into());
            route.flow.echoed(Instant::now(), echo.number, told);
        }
    }
}
