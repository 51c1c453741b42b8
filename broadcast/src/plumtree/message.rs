//! What Plumtree peers say to each other.

use murmurate_membership::{FRAME_HEADER, Sizes, Wire};
use thin_vec::ThinVec;

use crate::Id;
use crate::protocol::Carries;

/// Announcements in a batch that a host need decode: no peer sends more.
pub const MAX_ANNOUNCEMENTS: usize = 256;

/// A Plumtree message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "I: serde::Deserialize<'de>, D: serde::Deserialize<'de>"))
)]
pub enum Message<I, D> {
    /// A broadcast, pushed along the tree.
    Gossip {
        /// Its name.
        id: I,
        /// Links it has crossed when it arrives.
        round: u16,
        /// Its content.
        payload: D,
    },
    /// Broadcasts the sender has.
    IHave(Announcements<I>),
    /// Push payloads on this link from now on.
    Graft {
        /// A broadcast that is missing; `None` only moves the link into the tree.
        missing: Option<Announcement<I>>,
    },
    /// Announce on this link from now on.
    Prune,
    /// Send this broadcast but leave the link as it is.
    Fetch(Announcement<I>),
    /// A broadcast that was fetched, by the receiver or by the peer that passes it on. It did not come
    /// along the tree, and tells nothing about any link.
    Repair {
        /// Its name.
        id: I,
        /// Links it has crossed when it arrives.
        round: u16,
        /// Its content.
        payload: D,
    },
}

/// A broadcast the sender has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Announcement<I> {
    /// Its name.
    pub id: I,
    /// Links it would have crossed, had it come from the announcer.
    pub round: u16,
}

/// A batch of announcements. One is by far the most common number, and needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "I: serde::Deserialize<'de>")))]
pub enum Announcements<I> {
    /// A single one.
    One(Announcement<I>),
    /// Any number, up to [`MAX_ANNOUNCEMENTS`].
    Many(
        #[cfg_attr(
            feature = "serde",
            serde(
                deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_ANNOUNCEMENTS>"
            )
        )]
        ThinVec<Announcement<I>>,
    ),
}

impl<I> Announcements<I> {
    /// The announcements of the batch, in the order the broadcasts came.
    #[must_use]
    pub fn as_slice(&self) -> &[Announcement<I>] {
        match self {
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<I: Copy> FromIterator<Announcement<I>> for Announcements<I> {
    fn from_iter<T: IntoIterator<Item = Announcement<I>>>(iter: T) -> Self {
        let mut iter = iter.into_iter();
        match (iter.next(), iter.next()) {
            (Some(one), None) => Self::One(one),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(iter).collect()),
        }
    }
}

impl<I, D> Wire for Message<I, D> {
    const KINDS: &'static [&'static str] =
        &["gossip", "ihave", "graft", "prune", "fetch", "repair"];

    fn kind(&self) -> usize {
        match self {
            Self::Gossip { .. } => 0,
            Self::IHave(_) => 1,
            Self::Graft { .. } => 2,
            Self::Prune => 3,
            Self::Fetch(_) => 4,
            Self::Repair { .. } => 5,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        let announcement = sizes.id + size_of::<u16>();
        FRAME_HEADER
            + match self {
                Self::Gossip { .. } | Self::Repair { .. } => announcement + sizes.payload,
                Self::IHave(batch) => 1 + batch.as_slice().len() * announcement,
                Self::Graft { missing: Some(_) } => 1 + announcement,
                Self::Graft { missing: None } => 1,
                Self::Fetch(_) => announcement,
                Self::Prune => 0,
            }
    }
}

impl<I: Id, D> Carries<I> for Message<I, D> {
    type Payload = D;
    type Head = Message<I, ()>;

    fn carries(&self) -> Option<I> {
        match self {
            Self::Gossip { id, .. } | Self::Repair { id, .. } => Some(*id),
            _ => None,
        }
    }

    fn payload(&self) -> Option<&D> {
        match self {
            Self::Gossip { payload, .. } | Self::Repair { payload, .. } => Some(payload),
            _ => None,
        }
    }

    fn is_repair(&self) -> bool {
        matches!(self, Self::Repair { .. })
    }

    fn split(self) -> (Message<I, ()>, Option<D>) {
        match self {
            Self::Gossip { id, round, payload } => {
                (Message::Gossip { id, round, payload: () }, Some(payload))
            }
            Self::Repair { id, round, payload } => {
                (Message::Repair { id, round, payload: () }, Some(payload))
            }
            Self::IHave(batch) => (Message::IHave(batch), None),
            Self::Graft { missing } => (Message::Graft { missing }, None),
            Self::Prune => (Message::Prune, None),
            Self::Fetch(missing) => (Message::Fetch(missing), None),
        }
    }

    fn join(head: Message<I, ()>, payload: Option<D>) -> Option<Self> {
        Some(match (head, payload) {
            (Message::Gossip { id, round, .. }, Some(payload)) => {
                Self::Gossip { id, round, payload }
            }
            (Message::Repair { id, round, .. }, Some(payload)) => {
                Self::Repair { id, round, payload }
            }
            (Message::IHave(batch), None) => Self::IHave(batch),
            (Message::Graft { missing }, None) => Self::Graft { missing },
            (Message::Prune, None) => Self::Prune,
            (Message::Fetch(missing), None) => Self::Fetch(missing),
            _ => return None,
        })
    }
}
