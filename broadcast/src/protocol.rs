//! The seam between a broadcast strategy and its host, like that of the membership.

use core::fmt::Debug;
use core::time::Duration;

use murmurate_membership::{Mark, NodeFigure, Peer, Time, Violation, Wire};

use crate::{Id, Seen, SeenBounds};

/// A broadcast's content, cheap to clone (share it, as `bytes::Bytes` does).
pub trait Payload: Clone + Debug + Send + Sync + 'static {
    /// Bytes it keeps in memory, for the bound on the payload cache.
    fn size(&self) -> usize;
}

/// Bytes that are passed on as they are.
impl Payload for bytes::Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// No content: for hosts that only count.
impl Payload for () {
    fn size(&self) -> usize {
        0
    }
}

/// How a message reaches everyone: a state machine without I/O, clock or ambient randomness.
pub trait Broadcast {
    /// How peers are named.
    type Peer: Peer;
    /// How broadcasts are named.
    type Id: Id;
    /// What broadcasts carry.
    type Payload: Payload;
    /// The messages that strategies send each other.
    type Message: Wire + Carries<Self::Id, Payload = Self::Payload> + Clone + Debug + Send + 'static;
    /// The strategy's timers.
    type Timer: Copy + Debug + Send + 'static;

    /// Takes one input: changes state first, then speaks to `fx`.
    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E);

    /// The neighbours that get payloads at once.
    fn eager(&self) -> impl Iterator<Item = Self::Peer>;

    /// The neighbours that get announcements.
    fn lazy(&self) -> impl Iterator<Item = Self::Peer>;

    /// What this peer has seen.
    fn seen(&self) -> &Seen<Self::Id>;

    /// What this peer has seen, to be changed, and its bounds. This is for a strategy that wraps this
    /// one and finds out what it has missed and what can no longer be fetched.
    fn seen_mut(&mut self) -> (&mut Seen<Self::Id>, SeenBounds);

    /// Visits figures of its own with their values, always the same ones in the same order. NaN is where
    /// there is nothing to tell. For whoever looks from outside: nothing depends on them.
    fn each_figure(&self, _visit: &mut dyn FnMut(NodeFigure, f64)) {}

    /// Checks the invariants.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold, and shows the state.
    fn check(&self) -> Result<(), Violation>;
}

/// What can happen to a broadcast strategy.
#[derive(Debug, Clone)]
pub enum Input<B: Broadcast + ?Sized> {
    /// Broadcast `payload` under the unused name `id`. It is not delivered to its publisher.
    Publish {
        /// Its name.
        id: B::Id,
        /// Its content.
        payload: B::Payload,
    },
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: B::Peer,
        /// What it says. Nothing in it is trusted.
        message: B::Message,
    },
    /// A broadcast came by another way than the strategy's. Deliver it and pass it on, unless it was
    /// seen before. It tells nothing about the links. One that was published before this peer joined is
    /// not passed on.
    Recover {
        /// Who sent it.
        from: B::Peer,
        /// Its name.
        id: B::Id,
        /// Links it has crossed.
        round: u16,
        /// Its content.
        payload: B::Payload,
        /// Whether it was published before this peer joined.
        is_past: bool,
    },
    /// A timer armed earlier is due.
    Expired(B::Timer),
    /// A peer entered the active view.
    NeighborUp(B::Peer),
    /// A peer left the active view.
    NeighborDown(B::Peer),
}

/// The origin that numbers the broadcasts of a strategy.
pub type Origin<B> = <<B as Broadcast>::Id as Id>::Origin;

/// What a broadcast strategy can ask of its host.
pub trait Effects<B: Broadcast + ?Sized> {
    /// Sends `message` to `to`.
    fn send(&mut self, to: B::Peer, message: B::Message);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: B::Timer);
    /// Hands a broadcast that arrived over `hops` links to the application, once.
    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload);
    /// Hands over a broadcast that was published before this peer joined, if the host catches up.
    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.deliver(id, hops, payload);
    }
    /// So many broadcasts of this origin that were published since this peer joined will never be
    /// delivered.
    fn missed(&mut self, _origin: Origin<B>, _count: u64) {}
    /// A rarely taken branch was taken, which only tests need to know.
    #[inline]
    fn mark(&mut self, _mark: Mark) {}
}

/// Tells payload messages from control messages, and takes them apart: hosts send payloads their own way.
pub trait Carries<I>: Sized {
    /// What broadcasts carry.
    type Payload;
    /// A message without its payload.
    type Head;

    /// The broadcast whose payload this message carries.
    fn carries(&self) -> Option<I>;

    /// That payload.
    fn payload(&self) -> Option<&Self::Payload>;

    /// Whether its payload was asked for. Its time of arrival then tells nothing about the speed of
    /// broadcasts.
    fn is_repair(&self) -> bool {
        false
    }

    /// The message without its payload, and the payload.
    fn split(self) -> (Self::Head, Option<Self::Payload>);

    /// A message made of its two parts. `None` if they do not fit together.
    fn join(head: Self::Head, payload: Option<Self::Payload>) -> Option<Self>;
}
