//! What a node allows itself and others.

use std::time::Duration;

use super::wire::{HEADER, Head, MAX_BODY, Publication, Relayed, TopicError, topic_length};
use crate::channel::session::Timeouts;
use crate::router;

/// A timer farther away than this is as good as none, and its sum with now does not overflow.
pub(crate) const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

murmurate_membership::parameters! {
    /// What a node allows itself and others.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Limits of "Node" {
        /// Bytes of the largest message on the wire; the same in the whole overlay.
        /// Links must carry it in the time that a neighbour may be silent, 6 s by default. Data may
        /// be as large as [`Node::max_data`](super::Node::max_data) says.
        max_frame: usize = 1 << 20, in 1 << 10..=MAX_BODY, "bytes";
        /// Bytes of payloads that may wait for one peer; what does not fit is shed.
        outbox_bytes: usize = 4 << 20, in 1..=1 << 30, "bytes", >= max_frame;
        /// Bytes that others can make the node keep; from four fifths on, what can be refused is.
        /// Broadcasts retained for them, frames under way, what waits for slow peers, lanes, and inboxes. At
        /// least twice the `retained_bytes` of anti-entropy.
        memory_bytes: usize = 256 << 20, in 1 << 20..=1 << 40, "bytes";
        /// Messages a subscription holds before it counts those it loses.
        /// It reports them as [`Lost::Lagged`](super::Lost::Lagged).
        subscription_capacity: usize = 1_024, in 1..=1 << 16;
        /// How long a broadcast waits for a first neighbour, or for room, before it is refused.
        publish_wait: Duration = Duration::from_secs(5);
        /// How long joining may take until it is said why it has not worked yet.
        /// See [`Node::join`](super::Node::join).
        join_wait: Duration = Duration::from_secs(10);
        /// Time from a connection's begin to its first frame.
        handshake_wait: Duration = Timeouts::DEFAULT.handshake;
        /// How long whoever dials this node may take to prove that it belongs to the overlay.
        /// At most as long as `handshake_wait`. Some six round trips are needed.
        proof_wait: Duration = Duration::from_secs(5);
        /// How long a message that began to arrive may pause before its link ends.
        stall_wait: Duration = Duration::from_secs(30);
        /// How long a connection nobody uses is kept.
        idle_wait: Duration = Timeouts::DEFAULT.idle;
        /// How long a node that leaves still delivers what its channels have taken.
        leave_wait: Duration = Duration::from_secs(5);
        /// Bytes a second a peer with messages waiting must take, or its link counts as slow.
        /// Measured over two seconds.
        slow_bytes_per_second: usize = 64 << 10, in 0..=usize::MAX, "bytes";
        /// Connections at a time, in and out: enough for those of channels and all neighbours.
        max_connections: usize = 1_024, in 8..=1 << 16;
        /// Of these, connections that this node dialled for channels.
        max_channel_connections: usize = 512, in 1..=1 << 16;
    }
}

impl Limits {
    /// The same with times whose sum with now does not overflow.
    pub(crate) fn finite(mut self) -> Self {
        for time in [
            &mut self.publish_wait,
            &mut self.join_wait,
            &mut self.handshake_wait,
            &mut self.proof_wait,
            &mut self.idle_wait,
            &mut self.leave_wait,
            &mut self.stall_wait,
        ] {
            *time = (*time).min(FAR);
        }
        self
    }

    /// The router's parameters: a datagram fits a frame.
    pub(crate) fn router(&self) -> router::Parameters {
        let datagram_bytes = self.max_datagram();
        router::Parameters { datagram_bytes, ..router::Parameters::default() }
    }

    /// Bytes of the largest datagram that is relayed.
    pub(crate) fn max_datagram(&self) -> usize {
        self.max_frame - Relayed::OVERHEAD
    }

    /// Bytes that fit a frame of a service, or a broadcast, beside the service's name.
    pub(crate) fn max_service_data(&self) -> usize {
        self.max_frame - (Head::MAX - HEADER) - Publication::OVERHEAD - Publication::MAX_PROOF
    }

    /// Bytes of data that fit a frame beside a topic.
    pub(crate) fn max_data(&self, topic: &str) -> Result<usize, TopicError> {
        Ok(self.max_service_data() - usize::from(topic_length(topic)?))
    }
}
