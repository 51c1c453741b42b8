//! Broadcasts of this node's own, until there is a neighbour and room for them.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use murmurate_broadcast::Payload as _;
use murmurate_membership::Membership as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{AT_ONCE, Driver};
use crate::id::{Incarnation, MessageId};
use crate::node::authorship::MOST_TOGETHER;
use crate::node::clock::micros_since_1970;
use crate::node::command::{BroadcastError, Publish};
use crate::node::link::route::{Route, Via};
use crate::node::metrics::Counters;
use crate::node::pressure;
use crate::node::stack::Input;
use crate::node::wire::{Echo, Publication};

/// Broadcasts of services that are held.
const SERVICES: usize = 256;
/// The least pause between two signatures, and the longest: half as long as broadcasts queue on their way, so that
/// where they queue more share a signature, which all nodes verify.
const SIGNED: Duration = Duration::from_millis(5);
const SIGNED_LATE: Duration = Duration::from_millis(100);

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

/// Broadcasts that wait for a neighbour or for room: the application's, and its services'. In each queue
/// all wait equally long, so none behind the first has an earlier deadline.
#[derive(Default)]
pub(super) struct Held {
    queues: [VecDeque<Publish>; 2],
    /// Whose turn it is.
    turn: usize,
}

impl Held {
    /// For the application's.
    pub(super) fn has_room(&self) -> bool {
        self.queues[0].len() < AT_ONCE
    }

    /// The application's.
    pub(super) fn push(&mut self, publish: Publish) {
        self.queues[0].push_back(publish);
    }

    /// Services'. What finds no room is given back.
    fn push_own(&mut self, publish: Publish) -> Option<Publish> {
        if self.queues[1].len() >= SERVICES {
            return Some(publish);
        }
        self.queues[1].push_back(publish);
        None
    }

    /// The next one, of those whose turn it is if they have any.
    fn front(&mut self) -> Option<&Publish> {
        if self.queues[self.turn].is_empty() {
            self.turn = 1 - self.turn;
        }
        self.queues[self.turn].front()
    }

    /// That one, taken out.
    fn pop(&mut self) -> Option<Publish> {
        self.queues[self.turn].pop_front()
    }

    /// The same, and then it is the others' turn.
    fn take_turn(&mut self) -> Option<Publish> {
        let publish = self.pop();
        self.turn = 1 - self.turn;
        publish
    }

    /// One that is overdue, or any, taken out.
    fn pop_overdue(&mut self, now: Option<Instant>) -> Option<Publish> {
        let is_overdue = |publish: &mut Publish| now.is_none_or(|now| publish.deadline <= now);
        self.queues.iter_mut().find_map(|queue| queue.pop_front_if(is_overdue))
    }

    /// All of them wait; how many of them had not waited before.
    fn note_waiting(&mut self) -> u64 {
        let new = |queue: &mut VecDeque<Publish>| {
            let new = queue.iter_mut().rev().take_while(|publish| !publish.waited);
            new.map(|publish| publish.waited = true).count() as u64
        };
        self.queues.iter_mut().map(new).sum()
    }

    /// When the first one is overdue.
    fn deadline(&self) -> Option<Instant> {
        let fronts = self.queues.iter().filter_map(|queue| queue.front());
        fronts.map(|publish| publish.deadline).min()
    }
}

/// Broadcasts that were taken, to be signed together.
#[derive(Default)]
pub(super) struct Together {
    broadcasts: Vec<(MessageId, Publication)>,
    bytes: usize,
    /// When the last ones were signed.
    signed: Option<Instant>,
}

impl Together {
    fn push(&mut self, id: MessageId, publication: Publication) {
        self.bytes += publication.size();
        self.broadcasts.push((id, publication));
    }

    fn is_full(&self) -> bool {
        self.broadcasts.len() >= MOST_TOGETHER
    }

    fn take(&mut self, now: Instant) -> Vec<(MessageId, Publication)> {
        (self.bytes, self.signed) = (0, Some(now));
        std::mem::take(&mut self.broadcasts)
    }

    /// When to sign, if there shall be such a pause between two signatures: whoever publishes slowly never
    /// waits.
    fn due(&self, pause: Duration) -> Option<Instant> {
        let first = Instant::now();
        let after = self.signed.filter(|_| !self.is_full()).map_or(first, |last| last + pause);
        (!self.broadcasts.is_empty()).then_some(after)
    }
}

impl Driver {
    pub(super) fn more_publishes(&mut self) {
        while self.held.has_room()
            && let Ok(publish) = self.publishes.try_recv()
        {
            self.held.push(publish);
        }
    }

    /// Takes what services want broadcast. What finds no room is refused, like what waits for too long;
    /// nobody waits for the answer.
    fn hold_own(&mut self) {
        let deadline = Instant::now() + self.limits.publish_wait;
        for publication in self.host.own.drain(..) {
            let publish = Publish { publication, deadline, waited: false, reply: None };
            if let Some(publish) = self.held.push_own(publish) {
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
            let more = self.take_held();
            if self.next_signature().is_some_and(|due| due <= Instant::now()) {
                self.publish_together();
            }
            if !more {
                return;
            }
        }
    }

    /// Takes what can be published now, until there is enough for a signature: whether there is.
    fn take_held(&mut self) -> bool {
        while let Some(publish) = self.held.front() {
            let bytes = publish.publication.size();
            // Whoever gave up waiting did not publish.
            if publish.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
                self.held.pop();
                continue;
            }
            if self.left {
                self.refuse_held(None, &BroadcastError::Ended);
                return false;
            }
            let now = Instant::now();
            if let Some(why) = self.must_wait(now, bytes) {
                self.refuse_held(Some(now), &why);
                self.host.metrics.waited.inc_by(self.held.note_waiting());
                return false;
            }
            let Some(publish) = self.held.take_turn() else { return false };
            let Some(id) = self.ids.next() else {
                publish.refuse(&self.host.metrics, BroadcastError::Ended);
                continue;
            };
            let Publish { publication, reply, .. } = publish;
            self.host.metrics.published.inc();
            self.host.pacer.publish(now, bytes);
            self.together.push(id, publication);
            let _ = reply.map(|reply| reply.send(Ok(id)));
            if self.together.is_full() {
                return true;
            }
        }
        false
    }

    /// Signs what was taken, and sends it.
    pub(super) fn publish_together(&mut self) {
        if self.together.broadcasts.is_empty() {
            return;
        }
        let mut broadcasts = self.together.take(Instant::now());
        let now = micros_since_1970();
        for (_, publication) in &mut broadcasts {
            // What it waited here is none of its time on the way.
            publication.publish_at(now);
        }
        self.rules.authorship.sign(&mut broadcasts);
        for (id, payload) in broadcasts {
            self.feed(Input::Publish { id, payload });
        }
    }

    /// When what was taken is to be signed.
    fn next_signature(&self) -> Option<Instant> {
        let delay = self.host.pacer.delay();
        let signs = self.rules.authorship.signs();
        let pause = if signs { (delay / 2).clamp(SIGNED, SIGNED_LATE) } else { Duration::ZERO };
        self.together.due(pause)
    }

    /// Refuses what has waited for long enough, or all.
    fn refuse_held(&mut self, now: Option<Instant>, why: &BroadcastError) {
        while let Some(publish) = self.held.pop_overdue(now) {
            publish.refuse(&self.host.metrics, why.clone());
        }
    }

    /// Why a broadcast of so many bytes cannot be published now.
    fn must_wait(&mut self, now: Instant, bytes: usize) -> Option<BroadcastError> {
        if self.stack.membership().active().next().is_none() {
            return Some(BroadcastError::NoNeighbor);
        }
        let taken = self.together.bytes;
        let waiting = self.links().map(|route| taken.saturating_add(route.outbox.depth().bytes));
        let (links, full) = count_full(waiting, bytes, self.limits.outbox_bytes / 2);
        let fits = self.host.pacer.fits(now, links, full);
        let links = pressure::links(self.links().map(|route| &route.flow), now);
        let room = self.host.pacer.has_room(now, links) && fits;
        (!room).then_some(BroadcastError::Congested)
    }

    /// When to look again whether what waits can be published.
    pub(super) fn next_publish(&self) -> Option<Instant> {
        self.next_signature().into_iter().chain(self.next_held()).min()
    }

    fn next_held(&self) -> Option<Instant> {
        let deadline = self.held.deadline()?;
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
