//! What is counted of each channel.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::wire::{HERE, Refusal, THERE};

/// Why a datagram is dropped, as `murmurate_channel_relayed_dropped_total` labels it.
const DROPPED: [&str; 5] = [NONSENSE, NO_LANE, NO_ROOM, UNPROVEN, LATE];
pub(super) const NONSENSE: &str = "nonsense";
pub(super) const NO_LANE: &str = "no_lane";
pub(super) const NO_ROOM: &str = "no_room";
pub(super) const UNPROVEN: &str = "unproven";
pub(super) const LATE: &str = "late";

/// Families of metrics, labelled by channel: names that the embedder declared, at most 32 a node.
#[derive(Debug)]
pub(crate) struct Families {
    messages: IntCounterVec,
    queue: IntGaugeVec,
    latency: HistogramVec,
    /// Streams of channels that ended because of what they brought.
    pub(crate) nonsense: IntCounter,
    /// By who refuses, and why.
    pub(crate) refusals: IntCounterVec,
    /// By the reason.
    pub(crate) relayed_dropped: IntCounterVec,
}

/// One channel's part.
#[derive(Debug)]
pub(crate) struct ChannelCounts {
    /// Taken from the application.
    pub(crate) sent: IntCounter,
    /// Handed to the application.
    pub(crate) delivered: IntCounter,
    /// Sent, and known to be delivered or answered.
    pub(crate) acknowledged: IntCounter,
    /// Sent, and dropped by the application there.
    pub(crate) dropped: IntCounter,
    /// Sent, and nobody knows.
    pub(crate) lost: IntCounter,
    /// Dropped before they were sent.
    pub(crate) shed: IntCounter,
    /// Sent again.
    pub(crate) retransmitted: IntCounter,
    /// Messages that wait at either end.
    pub(crate) queue: IntGauge,
    /// From sending to the acknowledgement or answer.
    pub(crate) latency: Histogram,
}

const SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    5.0, 30.0,
];

impl Families {
    #[allow(clippy::expect_used, reason = "names and labels are constants that the tests register")]
    pub(crate) fn register(registry: &Registry) -> Self {
        let opts = Opts::new(
            "murmurate_channel_messages_total",
            "Messages of channels: sent from here, delivered here; of those sent acknowledged, \
             dropped by the receiving application, lost without anybody knowing, shed before they were sent, or retransmitted.",
        );
        let messages = IntCounterVec::new(opts, &["channel", "outcome"]).expect("a valid name");
        let opts = Opts::new(
            "murmurate_channel_queue_messages",
            "Messages of a channel that have no outcome yet or wait for the application.",
        );
        let queue = IntGaugeVec::new(opts, &["channel"]).expect("a valid name");
        let opts = HistogramOpts::new(
            "murmurate_channel_latency_seconds",
            "Time from sending a message to its acknowledgement or answer.",
        );
        let opts = opts.buckets(SECONDS.to_vec());
        let latency = HistogramVec::new(opts, &["channel"]).expect("a valid name");
        let nonsense = IntCounter::new(
            "murmurate_channel_nonsense_total",
            "Streams of channels that ended because of what they brought.",
        );
        let nonsense = nonsense.expect("a valid name");
        let opts = Opts::new(
            "murmurate_channel_refusals_total",
            "Lanes of channels that this node refused, or other nodes refused this one.",
        );
        let refusals = IntCounterVec::new(opts, &["by", "reason"]).expect("a valid name");
        for by in [HERE, THERE] {
            for reason in Refusal::REASONS {
                // Said once, it is there, at zero.
                let _ = refusals.with_label_values(&[by, reason]);
            }
        }
        let opts = Opts::new(
            "murmurate_channel_relayed_dropped_total",
            "What came for lanes hop by hop and was dropped.",
        );
        let relayed_dropped = IntCounterVec::new(opts, &["reason"]).expect("a valid name");
        for reason in DROPPED {
            let _ = relayed_dropped.with_label_values(&[reason]);
        }
        registry.register(Box::new(relayed_dropped.clone())).expect("a new name");
        registry.register(Box::new(refusals.clone())).expect("a new name");
        registry.register(Box::new(messages.clone())).expect("a new name");
        registry.register(Box::new(queue.clone())).expect("a new name");
        registry.register(Box::new(latency.clone())).expect("a new name");
        registry.register(Box::new(nonsense.clone())).expect("a new name");
        Self { messages, queue, latency, nonsense, refusals, relayed_dropped }
    }

    /// The part of a channel: all of it there from the start, at zero.
    pub(crate) fn channel(&self, name: &str) -> ChannelCounts {
        let messages = |outcome: &str| self.messages.with_label_values(&[name, outcome]);
        ChannelCounts {
            sent: messages("sent"),
            delivered: messages("delivered"),
            acknowledged: messages("acknowledged"),
            dropped: messages("dropped"),
            lost: messages("lost"),
            shed: messages("shed"),
            retransmitted: messages("retransmitted"),
            queue: self.queue.with_label_values(&[name]),
            latency: self.latency.with_label_values(&[name]),
        }
    }
}
