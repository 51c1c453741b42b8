//! What SCAMP's peers say to each other.

use crate::protocol::FRAME_HEADER;
use crate::{Sizes, Wire};

/// A SCAMP message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message<P> {
    /// Have others know me.
    Subscribe {
        /// Whether the sender's lease is over. Otherwise it is new, or in no view.
        renewed: bool,
    },
    /// Somebody subscribes: act as its contact, or pass it on.
    Indirect {
        /// Who subscribes.
        subscriber: P,
        /// Whether its lease is over.
        renewed: bool,
        /// Hops left.
        ttl: u8,
        /// How many peers are in the sender's two views. 0 is a walk that comes back.
        degree: u16,
    },
    /// The sender acts as the contact of the one that it says this to.
    Accept,
    /// Somebody subscribes: keep it or pass it on.
    Forward {
        /// Who subscribes.
        subscriber: P,
        /// Hops left, with the one that it came by.
        ttl: u16,
    },
    /// The sender has the one that it says this to in its view.
    Kept,
    /// The sender unsubscribes.
    Unsubscribe {
        /// Who takes its place in the view.
        instead: Option<P>,
    },
    /// The sender runs, and has the one that it says this to in its view.
    Heartbeat,
}

impl<P: Copy> Message<P> {
    /// The peer that it names.
    pub(super) fn named(&self) -> Option<P> {
        match *self {
            Self::Indirect { subscriber, .. } | Self::Forward { subscriber, .. } => {
                Some(subscriber)
            }
            Self::Unsubscribe { instead } => instead,
            Self::Subscribe { .. } | Self::Accept | Self::Kept | Self::Heartbeat => None,
        }
    }
}

impl<P> Wire for Message<P> {
    const KINDS: &'static [&'static str] =
        &["subscribe", "indirect", "accept", "forward", "kept", "unsubscribe", "heartbeat"];

    fn kind(&self) -> usize {
        match self {
            Self::Subscribe { .. } => 0,
            Self::Indirect { .. } => 1,
            Self::Accept => 2,
            Self::Forward { .. } => 3,
            Self::Kept => 4,
            Self::Unsubscribe { .. } => 5,
            Self::Heartbeat => 6,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        FRAME_HEADER
            + match self {
                Self::Subscribe { .. } => 1,
                Self::Accept | Self::Kept | Self::Heartbeat => 0,
                Self::Indirect { .. } => sizes.peer + 2 + size_of::<u16>(),
                Self::Forward { .. } => sizes.peer + size_of::<u16>(),
                Self::Unsubscribe { instead } => 1 + instead.as_ref().map_or(0, |_| sizes.peer),
            }
    }
}
