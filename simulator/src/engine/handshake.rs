//! The handshake of a connection.

use crate::model::node::SimPeer;

/// A message of a handshake, with the round trips that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Handshake {
    /// The dialler asks.
    Dial(u8),
    /// The other side answers.
    Answer(u8),
    /// The dialler's own timer.
    TimedOut {
        /// Whom it dialled.
        peer: SimPeer,
        /// In which of its dials.
        attempt: u32,
    },
    /// What stands before a node that nobody can dial says so.
    Rejected {
        /// Whom it dialled.
        peer: SimPeer,
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
            Self::Rejected { .. } => 0x201,
        }
    }
}

/// Approximate bytes of a handshake message.
pub(crate) const HANDSHAKE_BYTES: u64 = 120;
