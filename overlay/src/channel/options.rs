//! What a channel can be told in numbers and times.

use core::time::Duration;

use super::LaneLimits;

/// The most lanes of a channel between two nodes.
pub const MAX_PARALLELISM: u16 = 16;
/// The most bytes of a message: what a frame can express.
pub const MAX_MESSAGE: usize = (1 << 24) - 1;

murmurate_membership::parameters! {
    /// What a channel can be told in numbers and times.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ChannelOptions of "Channel" {
        /// Lanes between two nodes, each on a connection of its own.
        /// Messages with the same key take the same lane.
        parallelism: u16 = 1, in 1..=MAX_PARALLELISM as usize;
        /// Bytes of the largest message.
        max_message: usize = 1 << 20, in 1..=MAX_MESSAGE, "bytes";
        /// Messages that may wait in a lane for one receiver, and at the receiving node for its application.
        /// One message always may.
        queue_messages: usize = 4_096, in 1..=1 << 20;
        /// Bytes of them.
        queue_bytes: usize = 4 << 20, in 1..=1 << 30, "bytes";
        /// How long a message may be under way before its sender is told that nobody knows what became of it.
        timeout: Duration = Duration::from_secs(30);
    }
}

impl From<&ChannelOptions> for LaneLimits {
    fn from(options: &ChannelOptions) -> Self {
        let &ChannelOptions { queue_messages: messages, queue_bytes: bytes, timeout, .. } = options;
        Self { messages, bytes, timeout }
    }
}
