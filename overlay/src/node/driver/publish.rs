//! Broadcasts of this node's own, until there is a neighbour and room for them.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use murmurate_broadcast::Payload as _;
use murmurate_membership::Membership as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{AT_ONCE, Driver};
use crate::id::Incarnation;
use crate::node::clock::micros_since_1970;
use crate::node::command::{BroadcastError, Publish};
use crate::node::link::route::{Route, Via};
use crate::node::metrics::Counters;
use crate::node::pressure;
use crate::node::stack::Input;
use crate::node::wire::Echo;

/// Broadcasts of services that are held.
const SERVICES: usize = 256;

impl Publish {
    /// It is not published. Whoever waits is told, and counts it.
    fn refuse(self, metrics: &Counters, why: BroadcastError) {
        match self.reply {
            // Whoever waited no longer is no matter.
            Some(reply) => drop(reply.send(Err(why))),
            None => metrics.refused.inc(),
        }
    }
}

impl Driver {
    pub(super) fn more_publishes(&mut self) {
        while self.held[0].len() < AT_ONCE
            && let Ok(publish) = self.publishes.try_recv()
        {
            self.held[0].push_back(publish);
        }
    }

    /// Takes what services want broadcast. What finds no room is refused, like what waits for too long;
    /// nobody waits for the answer.
    fn hold_own(&mut self) {
        let deadline = Instant::now() + self.limits.publish_wait;
        for publication in self.host.own.drain(..) {
            let publish = Publish { publication, deadline, waited: false, reply: None };
            if self.held[1].len() < SERVICES {
                self.held[1].push_back(publish);
            } else {
                publish.refuse(&self.host.metrics, BroadcastError::Congested);
            }
        }
    }

    /// Publishes what waits, as long as there is a neighbour and room for it: in turns the
    /// application's and its services'.
    pub(super) fn publish_held(&mut self) {
        if !self.host.own.is_empty() {
            self.hold_own();
        }
        loop {
            if self.held[self.turn].is_empty() {
                self.turn = 1 - self.turn;
            }
            let Some(publish) = self.held[self.turn].front() else { return };
            let bytes = publish.publication.size();
            // Whoever gave up waiting did not publish.
            if publish.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
                self.held[self.turn].pop_front();
                continue;
            }
            if self.left {
                return self.refuse_held(None, &BroadcastError::Ended);
            }
            let now = Instant::now();
            if let Some(why) = self.must_wait(now, bytes) {
                self.refuse_held(Some(now), &why);
                let new = |queue: &mut VecDeque<Publish>| {
                    let new = queue.iter_mut().rev().take_while(|publish| !publish.waited);
                    new.map(|publish| publish.waited = true).count() as u64
                };
                return self.host.metrics.waited.inc_by(self.held.iter_mut().map(new).sum());
            }
            let Some(publish) = self.held[self.turn].pop_front() else { return };
            self.turn = 1 - self.turn;
            let Some(id) = self.ids.next() else {
                publish.refuse(&self.host.metrics, BroadcastError::Ended);
                continue;
            };
            let Publish { publication, reply, .. } = publish;
            self.host.metrics.published.inc();
            self.host.pacer.publish(now, bytes);
            // What it waited here is none of its time on the way.
            let publication = publication.at(micros_since_1970());
            self.feed(Input::Publish { id, payload: publication });
            let _ = reply.map(|reply| reply.send(Ok(id)));
        }
    }

    /// Refuses what has waited for long enough, or all. In each queue all wait equally long.
    fn refuse_held(&mut self, now: Option<Instant>, why: &BroadcastError) {
        for queue in &mut self.held {
            while let Some(publish) =
                queue.pop_front_if(|publish| now.is_none_or(|now| publish.deadline <= now))
            {
                publish.refuse(&self.host.metrics, why.clone());
            }
        }
    }

    /// Why a broadcast of so many bytes cannot be published now.
    fn must_wait(&mut self, now: Instant, bytes: usize) -> Option<BroadcastError> {
        if self.stack.membership().active().next().is_none() {
            return Some(BroadcastError::NoNeighbor);
        }
        let waiting = self.links().map(|route| route.outbox.depth().bytes);
        let (links, full) = count_full(waiting, bytes, self.limits.outbox_bytes / 2);
        let fits = self.host.pacer.fits(now, links, full);
        let links = pressure::links(self.links().map(|route| &route.flow), now);
        let room = self.host.pacer.has_room(now, links) && fits;
        (!room).then_some(BroadcastError::Congested)
    }

    /// When to look again whether what waits can be published.
    pub(super) fn next_publish(&self) -> Option<Instant> {
        // In each queue all wait equally long: none behind the first has an earlier deadline.
        let fronts = self.held.iter().filter_map(|queue| queue.front());
        let deadline = fronts.map(|publish| publish.deadline).min()?;
        let is_alone = self.stack.membership().active().next().is_none();
        // A first neighbour wakes the loop by itself.
        Some(if is_alone { deadline } else { deadline.min(self.host.pacer.next()) })
    }

    /// The links to neighbours that are waited for: those that read too slowly lose what does not fit,
    /// unless all do: then nobody would pace whoever publishes.
    fn links(&self) -> impl Iterator<Item = &Route> + Clone {
        let active = self.stack.membership().active();
        waited_for(active.filter_map(|peer| self.host.routes.get(&peer.node)), Route::is_slow)
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
        let links = pressure::links(self.links().map(|route| &route.flow), now);
        let delay = self.host.pacer.told(now, links).as_millis();
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

/// Those that are not slow, or all if all are.
fn waited_for<'a, T: 'a>(
    all: impl Iterator<Item = &'a T> + Clone,
    is_slow: impl Fn(&T) -> bool + Clone,
) -> impl Iterator<Item = &'a T> + Clone {
    let all_slow = all.clone().all(&is_slow);
    all.filter(move |one| all_slow || !is_slow(one))
}

/// How many outboxes there are, in which so much waits, and how many of them have no room for so many bytes.
/// What is too large for any goes alone.
fn count_full(waiting: impl Iterator<Item = usize>, bytes: usize, room: usize) -> (usize, usize) {
    let is_full = |waiting| waiting > 0 && bytes.saturating_add(waiting) > room;
    waiting.fold((0, 0), |(links, full), of| (links + 1, full + usize::from(is_full(of))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outboxes_without_room_are_counted() {
        for (waiting, bytes, counted) in [
            (vec![], 50, (0, 0)),
            (vec![0, 40, 60], 50, (3, 1)),
            (vec![0, 1], 500, (2, 1)),
            (vec![usize::MAX], 500, (1, 1)),
        ] {
            assert_eq!(count_full(waiting.iter().copied(), bytes, 100), counted, "{waiting:?}");
        }
    }

    #[test]
    fn the_slow_are_not_waited_for_unless_all_are() {
        let of = |slow: [bool; 3]| waited_for(slow.iter(), |slow| *slow).count();
        assert_eq!((of([false; 3]), of([true, false, false]), of([true; 3])), (3, 2, 3));
    }
}
