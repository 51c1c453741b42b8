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

use crate::{Mark, Peer, Time};

/// Who my neighbours are: a state machine without I/O, clock or ambient randomness.
pub trait Membership {
    /// How peers are named.
    type Peer: Peer;
    /// What strategies say to each other.
    type Message: Wire + Clone + Debug + Send + 'static;
    /// What a strategy asks to be woken for.
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

    /// Peers that fell silent and are tried again. Whoever stops writes them down with its views.
    fn lost(&self) -> impl Iterator<Item = Self::Peer> + Clone {
        core::iter::empty()
    }

    /// Whether all invariants hold: checkers of simulator, tests and fuzzers share it.
    ///
    /// # Errors
    /// The first invariant that does not hold, with the state.
    fn check(&self) -> Result<(), Violation>;
}

/// What can happen to a membership strategy.
#[derive(Debug, Clone)]
pub enum Input<P, M, T> {
    /// Take part, through any of these contacts; none founds a new overlay. Said again, it adds
    /// contacts.
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
    /// The node of a peer that something was sent to answers, as this later incarnation. Nothing sent
    /// to an older one arrives any more.
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
    /// `peer` entered the active view. Said exactly once for each entry.
    fn neighbor_up(&mut self, peer: M::Peer);
    /// `peer` left the active view. Said exactly once for each exit. Once what was sent before is
    /// flushed, the host may close the connection.
    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason);
    /// Something the application may want to know.
    fn notify(&mut self, notice: Notice);
    /// A branch that is rarely taken is taken. Only tests want to know.
    #[inline]
    fn mark(&mut self, _mark: Mark) {}
}

/// Why a peer left the active view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DownReason {
    /// The host reported the connection lost.
    Failed,
    /// Nothing was heard from it for several keep-alive intervals.
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
    /// The other side asked for a new link and so does not hold the old one; `neighbor_up` follows.
    Renewed,
}

/// Milestones of a peer's life in the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// The first neighbour after joining or after an isolation.
    Joined,
    /// The last neighbour is gone; contacts are tried until one answers.
    Isolated,
}

/// What a host needs to know of a message to count it.
pub trait Wire {
    /// Names of the kinds, as metrics label them. Hosts that run strategies of any type have room for 24
    /// of a membership and 12 of a broadcast: more do not compile there.
    const KINDS: &'static [&'static str];

    /// Index of this message's kind in [`Wire::KINDS`].
    fn kind(&self) -> usize;

    /// Bytes on the wire, without transport overhead, for peers of `sizes.peer` bytes.
    fn wire_len(&self, sizes: &Sizes) -> usize;
}

/// Whoever has nothing to say.
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
    /// `Ok` if `holds`, otherwise the violation of `rule` with `detail`.
    ///
    /// # Errors
    /// When `holds` is false.
    pub fn unless<D: core::fmt::Display>(
        holds: bool,
        rule: &'static str,
        detail: impl FnOnce() -> D,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { rule, detail: alloc::format!("{}", detail()) }) }
    }
}
