//! What HyParView peers say to each other.

use thin_vec::ThinVec;

use crate::links::LinkNumber;
use crate::protocol::FRAME_HEADER;
use crate::{Sizes, Wire};

/// Peers in a sample that a host need decode: no configuration sends more.
pub const MAX_SAMPLE: usize = 160;

/// A HyParView message. `link` is the number of the link that it asks for or is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "P: serde::Deserialize<'de>")))]
pub enum Message<P> {
    /// I am new: take me as a neighbour and let others know.
    Join {
        /// The link asked for.
        link: LinkNumber,
    },
    /// A peer joined: take it as a neighbour or pass it on.
    ForwardJoin {
        /// The peer that joined.
        joiner: P,
        /// Hops left.
        ttl: u8,
    },
    /// Be my neighbour.
    Neighbor {
        /// The link asked for.
        link: LinkNumber,
        /// How urgently it is asked for.
        priority: Priority<P>,
    },
    /// The link asked for exists now.
    Accept {
        /// Which.
        link: LinkNumber,
        /// The peer that made room for it and now has a free slot.
        evicted: Option<P>,
    },
    /// There is no room for the link asked for.
    Reject {
        /// Which.
        link: LinkNumber,
    },
    /// The link no longer exists.
    Disconnect {
        /// Which.
        link: LinkNumber,
        /// Whether the sender left the overlay, so that it should be forgotten.
        leaving: bool,
        /// A peer that has a free slot at the moment.
        instead: Option<P>,
    },
    /// A sample of the origin's views on a random walk.
    Shuffle {
        /// The peer that started the walk and gets the reply.
        origin: P,
        /// Hops left.
        ttl: u8,
        /// Some of the origin's active and passive peers.
        #[cfg_attr(
            feature = "serde",
            serde(deserialize_with = "crate::bounded::deserialize::<_, _, MAX_SAMPLE>")
        )]
        sample: ThinVec<P>,
    },
    /// A sample of passive peers in return.
    ShuffleReply {
        /// As many as the shuffle brought, if the view has them.
        #[cfg_attr(
            feature = "serde",
            serde(deserialize_with = "crate::bounded::deserialize::<_, _, MAX_SAMPLE>")
        )]
        sample: ThinVec<P>,
    },
    /// The link is in use.
    Keepalive {
        /// Which.
        link: LinkNumber,
    },
}

/// How urgently a link is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Priority<P> {
    /// The asker has no neighbour: always accepted.
    High,
    /// Accepted only into a free slot.
    Low,
    /// Always accepted. The peer that makes room is told to link with `spare`, which will have a free
    /// slot, too, so degrees stay the same.
    Exchange {
        /// The asker's neighbour that makes room, or the asker itself if it has room for two.
        spare: P,
    },
}

impl<P: Copy> Message<P> {
    /// Visits every peer that it names.
    pub(super) fn each_named(&self, mut visit: impl FnMut(P)) {
        match self {
            Self::ForwardJoin { joiner: peer, .. }
            | Self::Neighbor { priority: Priority::Exchange { spare: peer }, .. }
            | Self::Accept { evicted: Some(peer), .. }
            | Self::Disconnect { instead: Some(peer), .. } => visit(*peer),
            Self::Shuffle { origin, sample, .. } => {
                visit(*origin);
                sample.iter().copied().for_each(visit);
            }
            Self::ShuffleReply { sample } => sample.iter().copied().for_each(visit),
            Self::Join { .. }
            | Self::Neighbor { priority: Priority::High | Priority::Low, .. }
            | Self::Accept { evicted: None, .. }
            | Self::Reject { .. }
            | Self::Disconnect { instead: None, .. }
            | Self::Keepalive { .. } => {}
        }
    }
}

impl<P> Wire for Message<P> {
    const KINDS: &'static [&'static str] = &[
        "join",
        "forward_join",
        "neighbor",
        "accept",
        "reject",
        "disconnect",
        "shuffle",
        "shuffle_reply",
        "keepalive",
    ];

    fn kind(&self) -> usize {
        match self {
            Self::Join { .. } => 0,
            Self::ForwardJoin { .. } => 1,
            Self::Neighbor { .. } => 2,
            Self::Accept { .. } => 3,
            Self::Reject { .. } => 4,
            Self::Disconnect { .. } => 5,
            Self::Shuffle { .. } => 6,
            Self::ShuffleReply { .. } => 7,
            Self::Keepalive { .. } => 8,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        const LINK: usize = size_of::<LinkNumber>();
        let option = |peer: &Option<P>| 1 + if peer.is_some() { sizes.peer } else { 0 };
        FRAME_HEADER
            + match self {
                Self::Join { .. } | Self::Reject { .. } | Self::Keepalive { .. } => LINK,
                Self::ForwardJoin { .. } => sizes.peer + 1,
                Self::Neighbor { priority: Priority::Exchange { .. }, .. } => LINK + 1 + sizes.peer,
                Self::Neighbor { .. } => LINK + 1,
                Self::Accept { evicted, .. } => LINK + option(evicted),
                Self::Disconnect { instead, .. } => LINK + 1 + option(instead),
                Self::Shuffle { sample, .. } => sizes.peer + 1 + 1 + sample.len() * sizes.peer,
                Self::ShuffleReply { sample } => 1 + sample.len() * sizes.peer,
            }
    }
}
