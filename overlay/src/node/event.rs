//! What a node tells its owner.

use libp2p::Multiaddr;
use murmurate_membership::DownReason;

use super::admission::Denial;
use super::unreachable::DialFailure;
use crate::id::NodeId;

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It listens on this address.
    Listening(Multiaddr),
    /// It has its first neighbour, after joining or after an isolation.
    Joined,
    /// Its last neighbour is gone. It tries contacts, known peers and discovery until one answers.
    Isolated,
    /// A peer entered the active view.
    NeighborUp(NodeId),
    /// A peer left the active view.
    NeighborDown {
        /// Which.
        node: NodeId,
        /// Why.
        reason: DownReason,
    },
    /// A node could not be reached.
    DialFailed {
        /// Which node, if that was known.
        node: Option<NodeId>,
        /// Which contact, if it was one.
        address: Option<Multiaddr>,
        /// Why.
        reason: DialFailure,
    },
    /// Somebody dialled this node and could not prove to belong to the overlay.
    NotAdmitted {
        /// Who.
        node: NodeId,
        /// From where.
        from: Multiaddr,
        /// Why.
        denial: Denial,
    },
    /// Another node told it of other secrets, or of more revocations, and it judges by them.
    AdmissionChanged,
    /// A broadcast came in the name of a node that did not publish it, and was dropped. In an overlay that signs
    /// broadcasts, whoever brought it lies, and is kept out for ten minutes. In another one this is told of
    /// broadcasts in the name of this very node, and whoever brings it may not know better.
    Forged {
        /// Who brought it.
        by: NodeId,
        /// In whose name.
        origin: NodeId,
    },
    /// A link ended other than by a goodbye.
    LinkFailed {
        /// The other end.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// A peer reads so slowly that its payloads are shed once its outbox is full.
    LinkSlow {
        /// The other end.
        node: NodeId,
        /// Bytes that wait for it.
        waiting: usize,
    },
    /// A slow peer has caught up.
    LinkCaughtUp(NodeId),
    /// Two processes run with the identity of this node, which may be this very node. Others reach now
    /// one, now the other, and both lose their neighbours again and again. Reported once for each node.
    SharedIdentity(NodeId),
    /// A discovery source could not look; it goes on trying.
    DiscoveryFailed {
        /// Which source.
        source: &'static str,
        /// Why.
        reason: String,
    },
}
