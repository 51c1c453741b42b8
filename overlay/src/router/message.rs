//! What routers say to each other.

use core::fmt::Debug;

use bytes::Bytes;
use murmurate_membership::{FRAME_HEADER, Sizes, Wire};

/// A datagram's content, cheap to clone.
pub trait Data: Clone + Debug {
    /// Its bytes.
    fn size(&self) -> usize;
}

impl Data for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// A router's message, about peers `P` and nodes `N`, with datagrams `D`. `C` names peers to a node that
/// may want to dial them: hosts send addresses along.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "libp2p", derive(serde::Serialize, serde::Deserialize))]
pub enum Message<P, N, D, C = P> {
    /// Who knows this node? Passed on to all neighbours, once.
    Lookup {
        /// Who asks.
        origin: C,
        /// Which of its lookups.
        number: u64,
        /// The node asked for.
        target: N,
        /// Whether only the node itself may answer, so that the answer lays a route to it.
        path: bool,
        /// How many hops the receiver may pass it on.
        hops_left: u8,
    },
    /// A lookup's answer, which goes back the way the lookup came.
    Found {
        /// Who asked.
        origin: P,
        /// In which of its lookups.
        number: u64,
        /// The node that was asked for.
        peer: C,
    },
    /// A datagram.
    Relay {
        /// Who sent it.
        origin: P,
        /// Its destination.
        to: P,
        /// Which of its sender's.
        number: u64,
        /// How many hops the receiver may pass it on.
        hops_left: u8,
        /// Its content.
        data: D,
    },
    /// A datagram could not be passed on. This goes back the way it came.
    Lost {
        /// Who sent it.
        origin: P,
        /// Which of its sender's.
        number: u64,
    },
}

impl<P, N, D, C> Message<P, N, D, C> {
    /// The same message with another name for peers to be dialled, for hosts that send more than a
    /// peer's name.
    pub fn map<E>(self, name: impl FnOnce(C) -> E) -> Message<P, N, D, E> {
        match self {
            Self::Lookup { origin, number, target, path, hops_left } => {
                Message::Lookup { origin: name(origin), number, target, path, hops_left }
            }
            Self::Found { origin, number, peer } => {
                Message::Found { origin, number, peer: name(peer) }
            }
            Self::Relay { origin, to, number, hops_left, data } => {
                Message::Relay { origin, to, number, hops_left, data }
            }
            Self::Lost { origin, number } => Message::Lost { origin, number },
        }
    }
}

impl<P, N, D: Data, C> Wire for Message<P, N, D, C> {
    const KINDS: &'static [&'static str] = &["lookup", "found", "relay", "lost"];

    fn kind(&self) -> usize {
        match self {
            Self::Lookup { .. } => 0,
            Self::Found { .. } => 1,
            Self::Relay { .. } => 2,
            Self::Lost { .. } => 3,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        const NUMBER: usize = size_of::<u64>();
        FRAME_HEADER
            + NUMBER
            + match self {
                // A node is a peer without its incarnation.
                Self::Lookup { .. } => 2 * sizes.peer + 2,
                Self::Found { .. } => 2 * sizes.peer,
                Self::Relay { data, .. } => 2 * sizes.peer + 1 + data.size(),
                Self::Lost { .. } => sizes.peer,
            }
    }
}
