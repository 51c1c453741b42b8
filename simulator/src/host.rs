//! The simulator as a host: turns what a node says into events.

use std::time::Duration;

use murmurate::Effects;
use murmurate::membership::{DownReason, Notice, Time, nanos};

use crate::deliveries::DeliveryLog;
use crate::engine::{SimBroadcast, SimMembership, SimMessage, SimTimer};
use crate::lanes::{KINDS, Line, Word};
use crate::machine::Machine;
use crate::network::{Journey, Network, Parcel, mix};
use crate::node::Peer;
use crate::queue::Queue;
use crate::regional::Regional;
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
    /// A word about a lane of a channel.
    Lane(Box<Word>),
    /// Something that came earlier and that the node gets to now.
    Late(Box<Self>),
}

impl<M: SimMembership, B: SimBroadcast> Event<M, B> {
    /// The order within a bucket: by node, then time. No two events have the same key.
    pub(crate) fn key(&self) -> (u32, u64, u32, u32) {
        (self.to.index() as u32, self.time, self.from.bits(), self.sequence)
    }

    /// Queues what a node set itself while the bucket that ends at `end` is run: what falls into it
    /// goes among the node's own, latest first.
    #[inline]
    pub(crate) fn queue(self, end: u64, queue: &mut Queue<M, B>, soon: &mut Vec<Self>) {
        if self.time >= end {
            queue.push_own(self);
        } else {
            let at = soon.partition_point(|other| other.key() > self.key());
            soon.insert(at, self);
        }
    }
}

impl<M: SimMembership, B: SimBroadcast> What<M, B> {
    /// What the host says of a process that is gone to whoever wrote to it, also if that waited.
    pub(crate) fn refusal(&self) -> Option<Self> {
        match self {
            Self::Message(_) => Some(Self::Reset),
            Self::Late(what) => what.refusal(),
            Self::Lane(word) => word.refusal().map(|word| Self::Lane(Box::new(word))),
            Self::Timer(_) | Self::Reset => None,
        }
    }

    /// Whether it is for whoever runs at an address, whichever start of the node that is.
    pub(crate) fn is_for_anyone(&self) -> bool {
        matches!(self, Self::Lane(word) if word.is_hello())
    }

    /// Whether it goes by the clock of the node that set it.
    pub(crate) fn is_timer(&self) -> bool {
        match self {
            Self::Timer(_) => true,
            Self::Lane(word) => word.is_timer(),
            _ => false,
        }
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
    /// The node's own, where it is not an ideal one.
    pub(crate) machine: Option<&'a mut Machine>,
    pub(crate) stats: &'a mut Stats,
    pub(crate) regional: Option<&'a mut Regional>,
    pub(crate) deliveries: Option<&'a mut DeliveryLog>,
}

impl<M: SimMembership, B: SimBroadcast> Host<'_, M, B> {
    fn next_sequence(&mut self) -> u32 {
        *self.sequence = self.sequence.wrapping_add(1);
        *self.sequence
    }

    /// Puts something on the network.
    #[inline(always)]
    fn post(&mut self, to: Peer, bytes: u64, what: What<M, B>) {
        let sequence = self.next_sequence();
        let (from, now) = (self.me, self.now.as_nanos());
        let port = self.machine.as_mut().and_then(|machine| machine.port.as_mut());
        let journey = self.network.send(&Parcel { from, to, sequence, bytes, now }, port);
        let time = match journey {
            Journey::Arrives(time) => time,
            Journey::Twice(first, second) => {
                self.stats.duplicated += 1;
                let what = what.clone();
                self.queue.push(Event { time: second, what, to, from, sequence });
                first
            }
            Journey::Lost => return self.stats.lost += 1,
            Journey::Shed => return self.stats.shed += 1,
        };
        self.queue.push(Event { time, what, to, from, sequence });
    }

    /// Sets something for later, by the node's own clock.
    #[inline(always)]
    fn set(&mut self, after: Duration, what: What<M, B>) {
        let sequence = self.next_sequence();
        let after = match &self.machine {
            None => nanos(after),
            Some(machine) => machine.clock.true_span(nanos(after)),
        };
        let time = self.now.as_nanos().saturating_add(after);
        let event = Event { time, what, to: self.me, from: self.me, sequence };
        event.queue(self.end, self.queue, self.soon);
    }
}

impl<M: SimMembership, B: SimBroadcast> Line for Host<'_, M, B> {
    fn me(&self) -> Peer {
        self.me
    }

    fn now(&self) -> Time {
        self.now
    }

    fn local(&self) -> Time {
        self.machine.as_ref().map_or(self.now, |machine| machine.clock.local(self.now))
    }

    fn say(&mut self, to: Peer, word: Word, bytes: u64) {
        // Their kinds come behind those of the protocols.
        let at = self.stats.messages.len() - KINDS.len() + word.kind();
        let kind = &mut self.stats.messages[at];
        kind.count += 1;
        kind.bytes += bytes;
        self.post(to, bytes, What::Lane(Box::new(word)));
    }

    fn wake(&mut self, after: Duration, word: Word) {
        self.set(after, What::Lane(Box::new(word)));
    }
}

impl<M: SimMembership, B: SimBroadcast> Effects<M, B> for Host<'_, M, B> {
    fn send(&mut self, to: Peer, message: SimMessage<M, B>) {
        let bytes = self.stats.wire_len(&message);
        let kind = &mut self.stats.messages[message.kind()];
        kind.count += 1;
        kind.bytes += bytes;
        self.post(to, bytes, What::Message(message));
    }

    fn arm(&mut self, after: Duration, timer: SimTimer<M, B>) {
        self.set(after, What::Timer(timer));
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
        if let Some(regional) = &mut self.regional {
            regional.record(broadcast.origin, self.me.index(), latency);
        }
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
