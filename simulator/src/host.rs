//! The simulator as a host: turns what a node says into events.

use std::time::Duration;

use murmurate::Effects;
use murmurate::membership::{DownReason, Notice, Time, nanos};

use crate::deliveries::DeliveryLog;
use crate::engine::{SIZES, SimBroadcast, SimMembership, SimMessage, SimTimer};
use crate::network::{Network, mix};
use crate::node::Peer;
use crate::queue::Queue;
use crate::stats::Stats;

/// Something that reaches a node at a time.
#[derive(Debug, Clone)]
pub(crate) struct Event<M: SimMembership, B: SimBroadcast> {
    pub(crate) time: u64,
    pub(crate) what: What<M, B>,
    pub(crate) to: Peer,
    pub(crate) from: Peer,
    /// Counts what `from` sent and armed.
    pub(crate) sequence: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum What<M: SimMembership, B: SimBroadcast> {
    Message(SimMessage<M, B>),
    Timer(SimTimer<M, B>),
    /// `from` does not run (in that incarnation).
    Reset,
}

impl<M: SimMembership, B: SimBroadcast> Event<M, B> {
    /// The order within a bucket: by node, then time. No two events have the same key.
    pub(crate) fn key(&self) -> (u32, u64, u32, u32) {
        (self.to.index() as u32, self.time, self.from.bits(), self.sequence)
    }
}

/// What one node speaks to while it handles one input.
pub(crate) struct Host<'a, M: SimMembership, B: SimBroadcast> {
    pub(crate) me: Peer,
    pub(crate) place: usize,
    pub(crate) born: u32,
    pub(crate) now: Time,
    /// End of the bucket being run: what the node arms for before it is not queued any more.
    pub(crate) end: u64,
    pub(crate) sequence: &'a mut u32,
    pub(crate) queue: &'a mut Queue<M, B>,
    /// The node's own timers within the bucket, latest first.
    pub(crate) soon: &'a mut Vec<Event<M, B>>,
    pub(crate) network: &'a Network,
    pub(crate) stats: &'a mut Stats,
    pub(crate) deliveries: Option<&'a mut DeliveryLog>,
}

impl<M: SimMembership, B: SimBroadcast> Host<'_, M, B> {
    fn next_sequence(&mut self) -> u32 {
        *self.sequence = self.sequence.wrapping_add(1);
        *self.sequence
    }
}

impl<M: SimMembership, B: SimBroadcast> Effects<M, B> for Host<'_, M, B> {
    fn send(&mut self, to: Peer, message: SimMessage<M, B>) {
        let sequence = self.next_sequence();
        let kind = &mut self.stats.messages[message.kind()];
        kind.count += 1;
        kind.bytes += message.wire_len(&SIZES) as u64;
        let Some(latency) = self.network.carry(self.me, to, sequence) else {
            self.stats.lost += 1;
            return;
        };
        let time = self.now.as_nanos().saturating_add(latency);
        let what = What::Message(message);
        self.queue.push(Event { time, what, to, from: self.me, sequence });
    }

    fn arm(&mut self, after: Duration, timer: SimTimer<M, B>) {
        let sequence = self.next_sequence();
        let time = self.now.as_nanos().saturating_add(nanos(after));
        let what = What::Timer(timer);
        let event = Event { time, what, to: self.me, from: self.me, sequence };
        if time >= self.end {
            self.queue.push_own(event);
        } else {
            let at = self.soon.partition_point(|other| other.key() > event.key());
            self.soon.insert(at, event);
        }
    }

    fn deliver(&mut self, id: u32, hops: u16, (): ()) {
        if let Some(log) = &mut self.deliveries {
            log.note(self.place, self.me, id);
        }
        let broadcast = &mut self.stats.broadcasts[id as usize];
        if id < self.born {
            return;
        }
        broadcast.delivered += 1;
        broadcast.last_hop = broadcast.last_hop.max(hops);
        let latency = self.now.since(broadcast.sent);
        self.stats.record_latency(latency);
    }

    fn neighbor_up(&mut self, _peer: Peer) {
        self.stats.neighbor_ups += 1;
    }

    fn neighbor_down(&mut self, _peer: Peer, reason: DownReason) {
        self.stats.neighbor_downs[reason as usize] += 1;
    }

    fn notify(&mut self, _notice: Notice) {}
}

impl Stats {
    /// Adds an event to the digest. A sum, so that it does not matter which node is run first.
    pub(crate) fn note(&mut self, time: u64, from: Peer, to: Peer, sequence: u32, kind: u64) {
        let who = u64::from(from.bits()) << 32 | u64::from(to.bits());
        let what = mix(time ^ mix(who)) ^ (u64::from(sequence) << 16) ^ kind;
        self.digest = self.digest.wrapping_add(mix(what));
    }
}
