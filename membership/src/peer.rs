//! What a protocol knows of a peer: a node and the incarnation of it.

use core::fmt::Debug;

/// A peer is a node's identity plus an incarnation. A restart is a new incarnation, and a late message
/// about the old one changes nothing.
///
/// Keep implementations small: views hold dozens of them and the simulator millions of views (its
/// own is a packed `u32`). `Ord` must order the incarnations of one node, oldest first. Addresses
/// are the host's business.
pub trait Peer: Copy + Ord + Debug + Send + Sync + 'static {
    /// The identity that survives a restart.
    type Node: Copy + Ord + Debug + Send + Sync + 'static;

    /// The node this peer is an incarnation of.
    fn node(self) -> Self::Node;

    /// Whether both are incarnations of the same node.
    fn is_same_node(self, other: Self) -> bool {
        self.node() == other.node()
    }

    /// Whether this is a later incarnation of the same node as `other`.
    fn supersedes(self, other: Self) -> bool {
        self.is_same_node(other) && self > other
    }
}
