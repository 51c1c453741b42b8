//! What two nodes say to each other before they are connected.

use crate::model::node::Peer;

/// A word of a handshake, with the round trips from it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Handshake {
    /// The dialler asks.
    Dial(u8),
    /// The other side answers.
    Answer(u8),
    /// The dialler's own timer.
    TimedOut {
        /// Whom it dialled.
        peer: Peer,
        /// In which of its dials.
        attempt: u32,
    },
}

impl Handshake {
    /// For the digest.
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Dial(left) => u64::from(left),
            Self::Answer(left) => 0x100 + u64::from(left),
            Self::TimedOut { .. } => 0x200,
        }
    }
}

/// Bytes of a word of a handshake, about.
pub(crate) const HANDSHAKE_BYTES: u64 = 120;
