//! What a run counts.

pub(crate) mod saved;

use std::time::Duration;

use hdrhistogram::Histogram;
use murmurate::membership::{DownReason, Sizes, Time};

use crate::engine::marks::Marks;
use crate::engine::strategy::{IdOf, MessageOf, SimStack};
use crate::model::id::SimId as _;
use crate::model::network::mix;
use crate::model::node::SimPeer;

/// Encoded sizes for the byte counts: a peer is a 32-byte key, an 8-byte incarnation and an
/// address hint, a message id a peer's key and incarnation and a sequence number.
pub const SIZES: Sizes = Sizes { peer: 48, id: 48, payload: 1024 };

/// Counters of a run. All of them only grow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Events handled: messages, timers and resets that reached a running node.
    pub events: u64,
    /// Timers among them.
    pub timers: u64,
    /// Connection resets among them.
    pub resets: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Messages that did not fit a queue, at either end.
    pub shed: u64,
    /// Messages that the network delivered twice.
    pub duplicated: u64,
    /// Connections that nodes began to make, where that takes time.
    pub dials: u64,
    /// Those that came to nothing.
    pub failed_dials: u64,
    /// Messages sent, by kind.
    pub messages: Vec<KindStats>,
    /// Broadcasts that nodes were told they will never receive.
    pub missed: u64,
    /// Neighbours that came up.
    pub neighbor_ups: u64,
    /// Neighbours that went down, by [`DownReason`].
    pub neighbor_downs: [u64; DOWN_REASONS],
    /// Broadcasts, in the order they were published; the index is the id.
    pub broadcasts: Vec<BroadcastStats>,
    /// Delivery latencies in microseconds.
    latency: Histogram<u64>,
    /// Which rarely taken branches of the protocols were taken.
    pub marks: Marks,
    /// A sum over all events: equal for equal runs, whatever the order nodes were run in.
    pub digest: u64,
}

const DOWN_REASONS: usize = DownReason::Renewed as usize + 1;

/// Messages of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindStats {
    /// As metrics label it.
    pub name: &'static str,
    /// How many were sent.
    pub count: u64,
    /// Their bytes, without transport overhead.
    pub bytes: u64,
}

/// The figures of one broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BroadcastStats {
    /// The publisher's index.
    pub origin: usize,
    /// When it was published.
    pub sent: Time,
    /// Its content.
    pub payload_bytes: u32,
    /// Nodes that were running then, the publisher included.
    pub eligible: u32,
    /// Of these, the nodes that have it, the publisher included.
    pub delivered: u32,
    /// Payload messages received.
    pub payloads: u32,
    /// The most links a delivery crossed.
    pub last_hop: u16,
}

impl BroadcastStats {
    /// Share of the eligible nodes that have it, 0 to 1.
    #[must_use]
    pub fn reliability(&self) -> f64 {
        f64::from(self.delivered) / f64::from(self.eligible.max(1))
    }

    /// Relative message redundancy: m / (n − 1) − 1 with m payload messages received and n nodes
    /// that have it. A perfect tree gives 0 (Plumtree §4).
    #[must_use]
    pub fn rmr(&self) -> f64 {
        if self.delivered < 2 {
            return 0.0;
        }
        f64::from(self.payloads) / f64::from(self.delivered - 1) - 1.0
    }
}

impl Stats {
    pub(crate) fn new<P: SimStack>() -> Self {
        Self {
            events: 0,
            timers: 0,
            resets: 0,
            lost: 0,
            shed: 0,
            duplicated: 0,
            dials: 0,
            failed_dials: 0,
            missed: 0,
            messages: vec![KindStats::default(); MessageOf::<P>::KINDS],
            neighbor_ups: 0,
            neighbor_downs: [0; DOWN_REASONS],
            broadcasts: Vec::new(),
            latency: latency_histogram(),
            marks: Marks::default(),
            digest: 0,
        }
    }

    /// Counts messages under these names, in their order.
    pub(crate) fn name_kinds(&mut self, names: &[&'static str]) {
        for (kind, name) in self.messages.iter_mut().zip(names) {
            kind.name = name;
        }
    }

    /// From now on also counts messages of these kinds, behind the others.
    pub(crate) fn add_kinds(&mut self, names: &[&'static str]) {
        let kinds = names.iter().map(|name| KindStats { name, count: 0, bytes: 0 });
        self.messages.extend(kinds);
    }

    /// Adds what was counted at other nodes while the same broadcasts were published.
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.timers += other.timers;
        self.resets += other.resets;
        self.lost += other.lost;
        self.shed += other.shed;
        self.duplicated += other.duplicated;
        self.dials += other.dials;
        self.failed_dials += other.failed_dials;
        self.missed += other.missed;
        for (kind, other) in self.messages.iter_mut().zip(&other.messages) {
            kind.count += other.count;
            kind.bytes += other.bytes;
        }
        self.neighbor_ups += other.neighbor_ups;
        for (count, other) in self.neighbor_downs.iter_mut().zip(other.neighbor_downs) {
            *count += other;
        }
        for (broadcast, other) in self.broadcasts.iter_mut().zip(&other.broadcasts) {
            broadcast.delivered += other.delivered;
            broadcast.payloads += other.payloads;
            broadcast.last_hop = broadcast.last_hop.max(other.last_hop);
        }
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
        self.marks.add(&other.marks);
        self.digest = self.digest.wrapping_add(other.digest);
    }

    /// Adds an event to the digest. A sum, so that it does not matter which node is run first.
    pub(crate) fn note(&mut self, time: u64, from: SimPeer, to: SimPeer, sequence: u32, kind: u64) {
        let who = u64::from(from.bits()) << 32 | u64::from(to.bits());
        let what = mix(time ^ mix(who)) ^ (u64::from(sequence) << 16) ^ kind;
        self.digest = self.digest.wrapping_add(mix(what));
    }

    pub(crate) fn record_latency(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros);
    }

    pub(crate) fn clear_latencies(&mut self) {
        if !self.latency.is_empty() {
            self.latency.reset();
        }
    }

    /// Delivery latencies in microseconds since they were last forgotten.
    #[must_use]
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// The encoded size of a message, with the content of the broadcast that it carries.
    #[inline]
    pub(crate) fn wire_len<P: SimStack>(&self, message: &MessageOf<P>) -> u64 {
        const WITHOUT_CONTENT: Sizes = Sizes { payload: 0, ..SIZES };
        let bytes = |id: IdOf<P>| self.broadcasts[id.index() as usize].payload_bytes;
        let content = message.carries().map_or(0, bytes);
        message.wire_len(&WITHOUT_CONTENT) as u64 + u64::from(content)
    }

    /// The longest delivery latency.
    #[must_use]
    pub fn latency_max(&self) -> Duration {
        Duration::from_micros(self.latency.max())
    }

    /// Mean of `of` over the broadcasts `from` on; `None` if there are none.
    #[must_use]
    pub fn mean(&self, from: usize, of: impl Fn(&BroadcastStats) -> f64) -> Option<f64> {
        let broadcasts = self.broadcasts.get(from..).filter(|b| !b.is_empty())?;
        Some(broadcasts.iter().map(of).sum::<f64>() / broadcasts.len() as f64)
    }

    /// Messages of this kind sent so far.
    #[must_use]
    pub fn sent(&self, kind: &str) -> u64 {
        self.messages.iter().filter(|k| k.name == kind).map(|k| k.count).sum()
    }
}

/// Three digits of precision up to an hour.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    histogram(3_600_000_000)
}

/// Three digits of precision.
#[expect(clippy::expect_used, reason = "constants that the histogram accepts")]
pub(crate) fn histogram(most: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, most, 3).expect("valid bounds")
}
