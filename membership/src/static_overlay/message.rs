//! What peers of a static overlay say to each other.

use crate::links::LinkNumber;
use crate::protocol::FRAME_HEADER;
use crate::{Sizes, Wire};

/// A static overlay's message. `link` is the number of the link that it asks for or is about. None
/// names a peer: nobody is introduced to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
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
    /// The link no longer exists, or never will.
    Disconnect {
        /// Which. Ignored if the sender is leaving, since all its links end.
        link: LinkNumber,
        /// Whether the sender left the overlay.
        leaving: bool,
    },
    /// The link is in use.
    Keepalive {
        /// Which.
        link: LinkNumber,
    },
}

impl Message {
    /// The link the sender holds or hopes for: whoever does not hold it must say so.
    pub(super) fn claims(&self) -> Option<LinkNumber> {
        match *self {
            Self::Hello { link } | Self::Accept { link } | Self::Keepalive { link } => Some(link),
            Self::Disconnect { .. } => None,
        }
    }
}

impl Wire for Message {
    const KINDS: &'static [&'static str] = &["hello", "accept", "disconnect", "keepalive"];

    fn kind(&self) -> usize {
        match self {
            Self::Hello { .. } => 0,
            Self::Accept { .. } => 1,
            Self::Disconnect { .. } => 2,
            Self::Keepalive { .. } => 3,
        }
    }

    fn wire_len(&self, _: &Sizes) -> usize {
        const LINK: usize = size_of::<LinkNumber>();
        FRAME_HEADER
            + match self {
                Self::Hello { .. } | Self::Accept { .. } | Self::Keepalive { .. } => LINK,
                Self::Disconnect { .. } => LINK + 1,
            }
    }
}
