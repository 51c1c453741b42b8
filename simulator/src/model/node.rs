//! The simulator's peer ids. They take four bytes, because a simulation holds hundreds of millions of them.

use std::fmt;

use murmurate::membership;

/// A simulated peer: a node's index and its incarnation in one `u32`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct SimPeer(u32);

impl SimPeer {
    /// Nodes a simulation can hold.
    pub const MAX_NODES: usize = 1 << 24;
    /// Starts of one node a simulation can hold.
    pub const MAX_INCARNATIONS: usize = 1 << 8;

    /// The `incarnation`-th start of node `index`, which is below [`SimPeer::MAX_NODES`].
    #[must_use]
    pub fn new(index: usize, incarnation: u8) -> Self {
        debug_assert!(index < Self::MAX_NODES, "node {index} of {}", Self::MAX_NODES);
        Self((index as u32) << 8 | u32::from(incarnation))
    }

    /// The node's index.
    #[must_use]
    pub fn index(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// Which start of the node this is, from 0.
    #[must_use]
    pub fn incarnation(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

impl membership::Peer for SimPeer {
    type Node = u32;

    fn node(self) -> u32 {
        self.0 >> 8
    }
}

/// As in `17` or, restarted twice, `17.2`.
impl fmt::Debug for SimPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation() {
            0 => write!(f, "{}", self.index()),
            incarnation => write!(f, "{}.{incarnation}", self.index()),
        }
    }
}
