//! The seam between a router and its host: the router is a [`Service`](crate::service::Service).

use murmurate_membership::Peer;

use super::Message;

/// What routers of peers `P` with datagrams `D` say to each other.
pub type MessageOf<P, D> = Message<P, <P as Peer>::Node, D>;

/// What can be asked of a router.
#[derive(Debug, Clone)]
pub enum Command<P: Peer, D> {
    /// Look for this node. Given again before there is an outcome, it is the same lookup, and it lays a
    /// route from now on if `path` says so.
    Lookup {
        /// The node to look for.
        target: P::Node,
        /// Whether to lay a route to it.
        path: bool,
    },
    /// Send a datagram to a neighbour or along a route laid before, under an unused number.
    Relay {
        /// Its destination.
        to: P,
        /// Its number.
        number: u64,
        /// Its content.
        data: D,
    },
}

/// What a router tells its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<P: Peer, D> {
    /// The outcome of a lookup: somebody knows the node.
    Found {
        /// The node, in this incarnation.
        peer: P,
        /// Whether there is a route to it now, because one was asked for.
        path: bool,
    },
    /// The outcome of a lookup: nobody answered, or there are too many lookups.
    NotFound(P::Node),
    /// A datagram for this node.
    Received {
        /// Who sent it, according to the peers that passed it on.
        from: P,
        /// The neighbour it came from, which is certain.
        by: P,
        /// Its content.
        data: D,
    },
    /// A datagram was not delivered, and the route to `to` no longer exists.
    Lost {
        /// Its destination.
        to: P,
        /// Its number.
        number: u64,
    },
}

/// What a router asks to be woken for. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A lookup may be overdue.
    Lookup,
    /// There may be something to forget.
    Forget,
}
