//! What members of a full mesh say to each other.

use thin_vec::ThinVec;

#[cfg(feature = "serde")]
use super::MAX_GOSSIP_LENGTH;
use crate::links::LinkNumber;
use crate::protocol::FRAME_HEADER;
use crate::{Sizes, Wire};

/// A full-mesh message. `link` is the number of the link that it asks for or is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "P: serde::Deserialize<'de>")))]
pub enum Message<P> {
    /// Be my neighbour.
    Hello {
        /// The link asked for.
        link: LinkNumber,
    },
    /// The link asked for exists now.
    Accept {
        /// Which.
        link: LinkNumber,
    },
    /// Some of the sender's neighbours, at most
    /// [`MAX_GOSSIP_LENGTH`](super::MAX_GOSSIP_LENGTH).
    Members(
        #[cfg_attr(
            feature = "serde",
            serde(deserialize_with = "crate::bounded::deserialize::<_, _, MAX_GOSSIP_LENGTH>")
        )]
        ThinVec<P>,
    ),
    /// The link no longer exists, or never will.
    Disconnect {
        /// Which. Ignored if the sender is leaving, since all its links end.
        link: LinkNumber,
        /// Whether the sender left the overlay, so that it should be forgotten.
        leaving: bool,
    },
    /// The link is in use.
    Keepalive {
        /// Which.
        link: LinkNumber,
    },
}

impl<P: Copy> Message<P> {
    /// Visits every peer that it names.
    pub(super) fn each_named(&self, visit: impl FnMut(P)) {
        if let Self::Members(members) = self {
            members.iter().copied().for_each(visit);
        }
    }

    /// The link the sender holds or hopes for: whoever does not hold it must say so.
    pub(super) fn claims(&self) -> Option<LinkNumber> {
        match *self {
            Self::Hello { link } | Self::Accept { link } | Self::Keepalive { link } => Some(link),
            Self::Members(_) | Self::Disconnect { .. } => None,
        }
    }
}

impl<P> Wire for Message<P> {
    const KINDS: &'static [&'static str] =
        &["hello", "accept", "members", "disconnect", "keepalive"];

    fn kind(&self) -> usize {
        match self {
            Self::Hello { .. } => 0,
            Self::Accept { .. } => 1,
            Self::Members(_) => 2,
            Self::Disconnect { .. } => 3,
            Self::Keepalive { .. } => 4,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        const LINK: usize = size_of::<LinkNumber>();
        FRAME_HEADER
            + match self {
                Self::Hello { .. } | Self::Accept { .. } | Self::Keepalive { .. } => LINK,
                Self::Disconnect { .. } => LINK + 1,
                Self::Members(members) => 1 + members.len() * sizes.peer,
            }
    }
}
