//! The seam between a membership strategy and its host.
//!
//! # The host's contract
//! 1. Feed every input with the current [`Time`]; time never runs backwards.
//! 2. Perform effects in the order they are spoken. They never fail, block or return: what goes
//!    wrong comes back later as [`Input::LinkDown`].
//! 3. Deliver each armed timer once, not before it is due. A strategy keeps at most one timer of
//!    each kind outstanding, so there is nothing to cancel; the timers of a former incarnation are
//!    the host's to forget.
//! 4. Say [`Input::LinkDown`] when a peer refuses a connection, closes it or cannot be reached, and
//!    [`Input::Restarted`] when its node answers as a later incarnation. Silence is not the host's to
//!    judge: strategies probe their neighbours themselves.

use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Debug;
use core::time::Duration;

use crate::{Mark, NodeFigure, Peer, Time};

/// Chooses the neighbours of a peer: a state machine without I/O, clock or ambient randomness.
pub trait Membership {
    /// How peers are named.
    type Peer: Peer;
    /// The messages that strategies send each other.
    type Message: Wire + Clone + Debug + Send + 'static;
    /// The strategy's timers.
    type Timer: Copy + Debug + Send + 'static;

    /// Takes one input: changes state first, then speaks to `fx`.
    fn handle<E: Effects<Self>>(
        &mut self,
        now: Time,
        input: Input<Self::Peer, Self::Message, Self::Timer>,
        fx: &mut E,
    );

    /// This peer.
    fn me(&self) -> Self::Peer;

    /// The active view: peers that agreed to be neighbours, each once.
    fn active(&self) -> impl ExactSizeIterator<Item = Self::Peer> + Clone;

    /// The passive view: peers known but not linked.
    fn passive(&self) -> impl ExactSizeIterator<Item = Self::Peer> + Clone;

    /// Visits every peer that a message names, as often as it does and always in the same order: hosts
    /// send addresses along.
    fn each_named(message: &Self::Message, visit: impl FnMut(Self::Peer));

    /// Peers that fell silent and are tried again. A host saves them with the views when it stops.
    fn lost(&self) -> impl Iterator<Item = Self::Peer> + Clone {
        core::iter::empty()
    }

    /// Visits figures of its own with their values, always the same ones in the same order. NaN is where
    /// there is nothing to tell. For whoever looks from outside: nothing depends on them.
    fn each_figure(&self, _visit: &mut dyn FnMut(NodeFigure, f64)) {}

    /// Checks all invariants. The simulator, tests and fuzzers share this.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold, and shows the state.
    fn check(&self) -> Result<(), Violation>;
}

/// What can happen to a membership strategy.
#[derive(Debug, Clone)]
pub enum Input<P, M, T> {
    /// Take part through any of these contacts. Without contacts a new overlay is founded. Given again,
    /// it adds contacts.
    Join(Vec<P>),
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: P,
        /// What it says. Nothing in it is trusted.
        message: M,
    },
    /// A timer armed earlier is due.
    Expired(T),
    /// The connection to a peer was lost, refused or could not be made.
    LinkDown(P),
    /// A node to which something was sent answers as this incarnation. Nothing sent to an older one arrives
    /// any more. One that was said to be later does not exist: [`Input::LinkDown`] of it comes first.
    Restarted(P),
    /// Say goodbye to all neighbours and refuse new ones from now on.
    Leave,
}

/// What a membership strategy can ask of its host.
pub trait Effects<M: Membership + ?Sized> {
    /// Sends `message` to `to`, dialling if need be.
    fn send(&mut self, to: M::Peer, message: M::Message);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: M::Timer);
    /// `peer` entered the active view. Called exactly once for each entry.
    fn neighbor_up(&mut self, peer: M::Peer);
    /// `peer` left the active view. Called exactly once for each exit. The host may close the connection
    /// once everything sent before is written.
    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason);
    /// Something the application may want to know.
    fn notify(&mut self, notice: Notice);
    /// A rarely taken branch was taken, which only tests need to know.
    #[inline]
    fn mark(&mut self, _mark: Mark) {}
}

/// Why a peer left the active view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DownReason {
    /// The host reported the connection lost.
    Failed,
    /// It was silent for several keep-alive intervals.
    Silent,
    /// This peer made room for another.
    Evicted,
    /// The other side ended the link.
    Dropped,
    /// The other side left the overlay.
    Left,
    /// This peer left the overlay.
    Leaving,
    /// A new incarnation of the node appeared.
    Restarted,
    /// The other side asked for a new link, so it does not hold the old one. `neighbor_up` follows.
    Renewed,
}

/// Milestones of a peer's life in the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// The first neighbour after joining or after an isolation.
    Joined,
    /// The last neighbour is gone. Contacts are tried until one answers.
    Isolated,
}

/// What a host needs to know of a message to count it.
pub trait Wire {
    /// Names of the kinds, as metrics label them. Hosts that run strategies of any type have room for 24
    /// kinds of a membership and 12 of a broadcast. More do not compile there.
    const KINDS: &'static [&'static str];

    /// Index of this message's kind in [`Wire::KINDS`].
    fn kind(&self) -> usize;

    /// Bytes on the wire, without transport overhead, for peers of `sizes.peer` bytes.
    fn wire_len(&self, sizes: &Sizes) -> usize;
}

/// For those that send no messages.
impl Wire for Infallible {
    const KINDS: &'static [&'static str] = &[];

    fn kind(&self) -> usize {
        match *self {}
    }

    fn wire_len(&self, _sizes: &Sizes) -> usize {
        match *self {}
    }
}

/// Encoded sizes, in bytes, of what protocols are generic over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// A peer: identity, incarnation and address hint.
    pub peer: usize,
    /// A message id.
    pub id: usize,
    /// A broadcast's payload.
    pub payload: usize,
}

/// Bytes of a frame before its fields: length and kind.
pub const FRAME_HEADER: usize = 4;

/// An invariant that does not hold: a bug in a strategy, never an operational error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The invariant, in words.
    pub rule: &'static str,
    /// What was found instead.
    pub detail: String,
}

impl Violation {
    /// Checks that `holds` is true.
    ///
    /// # Errors
    /// The violation of `rule` with `detail` if it is false.
    pub fn unless<D: core::fmt::Display>(
        holds: bool,
        rule: &'static str,
        detail: impl FnOnce() -> D,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { rule, detail: alloc::format!("{}", detail()) }) }
    }
}
