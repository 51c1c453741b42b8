//! What Cyclon's peers say to each other.

use thin_vec::ThinVec;

use crate::protocol::FRAME_HEADER;
use crate::{Sizes, Wire};

/// Entries in a sample that a host need decode: no configuration sends more.
pub const MAX_SAMPLE: usize = 64;

/// A peer in a view (§2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry<P> {
    /// Who.
    pub peer: P,
    /// Shuffles of its holders since the peer made the entry, whoever they were.
    pub age: u16,
}

impl<P> Entry<P> {
    /// A peer as it names itself.
    pub(super) const fn new(peer: P) -> Self {
        Self { peer, age: 0 }
    }
}

/// A Cyclon message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "P: serde::Deserialize<'de>")))]
pub enum Message<P> {
    /// I am new: let others know.
    Join,
    /// A peer joined: know it or pass it on.
    Walk {
        /// The peer that joined.
        joiner: P,
        /// Hops left, with the one that it came by.
        ttl: u8,
    },
    /// Who joined may know this one, in return.
    Welcome {
        /// Whom the sender knows.
        entry: Entry<P>,
    },
    /// Some of the sender's view, and itself.
    Shuffle {
        /// Whom it names.
        #[cfg_attr(
            feature = "serde",
            serde(deserialize_with = "crate::bounded::deserialize::<_, _, MAX_SAMPLE>")
        )]
        sample: ThinVec<Entry<P>>,
    },
    /// Some of the view in return.
    ShuffleReply {
        /// Whom it names.
        #[cfg_attr(
            feature = "serde",
            serde(deserialize_with = "crate::bounded::deserialize::<_, _, MAX_SAMPLE>")
        )]
        sample: ThinVec<Entry<P>>,
    },
}

impl<P: Copy> Message<P> {
    /// Visits every peer that it names.
    pub(super) fn each_named(&self, mut visit: impl FnMut(P)) {
        match self {
            Self::Join => {}
            Self::Walk { joiner, .. } => visit(*joiner),
            Self::Welcome { entry } => visit(entry.peer),
            Self::Shuffle { sample } | Self::ShuffleReply { sample } => {
                sample.iter().for_each(|entry| visit(entry.peer));
            }
        }
    }
}

impl<P> Wire for Message<P> {
    const KINDS: &'static [&'static str] = &["join", "walk", "welcome", "shuffle", "shuffle_reply"];

    fn kind(&self) -> usize {
        match self {
            Self::Join => 0,
            Self::Walk { .. } => 1,
            Self::Welcome { .. } => 2,
            Self::Shuffle { .. } => 3,
            Self::ShuffleReply { .. } => 4,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        let entry = sizes.peer + size_of::<u16>();
        FRAME_HEADER
            + match self {
                Self::Join => 0,
                Self::Walk { .. } => sizes.peer + 1,
                Self::Welcome { .. } => entry,
                Self::Shuffle { sample } | Self::ShuffleReply { sample } => {
                    1 + sample.len() * entry
                }
            }
    }
}
