//! The handshake of a connection.

use crate::model::node::SimPeer;

/// What a connection is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum Purpose {
    /// What the stacks say.
    Overlay,
    /// The streams of channels, which have connections of their own.
    Channels,
}

/// A message of a handshake, or a timer of its dialler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Handshake {
    pub(crate) purpose: Purpose,
    pub(crate) step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Step {
    /// The dialler asks; so many round trips are left.
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
        let step = match self.step {
            Step::Dial(left) => u64::from(left),
            Step::Answer(left) => 0x100 + u64::from(left),
            Step::TimedOut { .. } => 0x200,
            Step::Rejected { .. } => 0x201,
        };
        match self.purpose {
            Purpose::Overlay => step,
            Purpose::Channels => 0x1000 + step,
        }
    }
}

/// Approximate bytes of a handshake message.
pub(crate) const HANDSHAKE_BYTES: u64 = 120;
