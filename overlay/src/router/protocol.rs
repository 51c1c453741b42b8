//! The seam between a router and its host.

use core::fmt::Debug;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::Peer;

use super::Message;

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

/// What routers of peers `P` with datagrams `D` say to each other.
pub type MessageOf<P, D> = Message<P, <P as Peer>::Node, D>;

/// What can happen to a router, besides neighbours that come and go.
#[derive(Debug, Clone)]
pub enum Input<P: Peer, D> {
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: P,
        /// What it says. Nothing in it is trusted.
        message: MessageOf<P, D>,
        /// If it asks for a node: the incarnation of it that the host could dial.
        known: Option<P>,
    },
    /// A timer armed earlier is due.
    Expired(Timer),
    /// Look for this node. Said again before there is an outcome, it is the same lookup; a `path`
    /// asked for then is asked for from now on.
    Seek {
        /// Who is looked for.
        target: P::Node,
        /// Lay a way to it.
        path: bool,
    },
    /// Send a datagram to a neighbour or along a way laid before, under an unused number.
    Relay {
        /// Whom it is for.
        to: P,
        /// Its number.
        number: u64,
        /// Its content.
        data: D,
    },
}

/// What a router can ask of its host.
pub trait Effects<P: Peer, D> {
    /// Sends `message` to `to`, a neighbour.
    fn send(&mut self, to: P, message: MessageOf<P, D>);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: Timer);
    /// The outcome of a lookup: somebody knows the node in this incarnation, or, if a `path` was
    /// asked for, there is a way to it now.
    fn found(&mut self, peer: P, path: bool);
    /// The outcome of a lookup: nobody answered, or there are too many lookups.
    fn not_found(&mut self, target: P::Node);
    /// Hands a datagram to the application: who sent it, as its bearers say, and by which neighbour it
    /// came, which is certain.
    fn deliver(&mut self, from: P, by: P, data: D);
    /// The datagram with this number was not delivered, and the way to `to` is no more.
    fn lost(&mut self, to: P, number: u64);
}

/// What a router asks to be woken for. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A lookup may be overdue.
    Seek,
    /// There may be something to forget.
    Forget,
}
