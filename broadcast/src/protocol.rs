//! The seam between a broadcast strategy and its host, the mirror of membership's.

use core::fmt::Debug;
use core::time::Duration;

use murmurate_membership::{Mark, Peer, Time, Violation, Wire};

use crate::{Id, Seen, SeenBounds};

/// A broadcast's content, cheap to clone (share it, as `bytes::Bytes` does).
pub trait Payload: Clone + Debug + Send + Sync + 'static {
    /// Bytes it keeps in memory, for the bound on the payload cache.
    fn size(&self) -> usize;
}

/// Bytes that nobody looks into on the way.
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

/// How a message reaches everyone: a state machine without I/O, clock or randomness.
pub trait Broadcast {
    /// How peers are named.
    type Peer: Peer;
    /// How broadcasts are named.
    type Id: Id;
    /// What broadcasts carry.
    type Payload: Payload;
    /// What strategies say to each other.
    type Message: Wire + Carries<Self::Id, Payload = Self::Payload> + Clone + Debug + Send + 'static;
    /// What a strategy asks to be woken for.
    type Timer: Copy + Debug + Send + 'static;

    /// Takes one input: changes state first, then speaks to `fx`.
    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E);

    /// The neighbours that get payloads at once.
    fn eager(&self) -> impl Iterator<Item = Self::Peer>;

    /// The neighbours that get announcements.
    fn lazy(&self) -> impl Iterator<Item = Self::Peer>;

    /// What this peer has seen.
    fn seen(&self) -> &Seen<Self::Id>;

    /// The same to change, and its bounds: for a strategy around this one, which finds out what
    /// this one misses and what cannot be had any more.
    fn seen_mut(&mut self) -> (&mut Seen<Self::Id>, SeenBounds);

    /// The first invariant that does not hold, if any.
    ///
    /// # Errors
    /// Names the invariant and shows the state.
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
    /// A broadcast came by another way than the strategy's: deliver it and pass it on, unless it was
    /// seen. It says nothing of the links. What is of before this peer's time goes no further.
    Recover {
        /// Who sent it.
        from: B::Peer,
        /// Its name.
        id: B::Id,
        /// Links it has crossed.
        round: u16,
        /// Its content.
        payload: B::Payload,
        /// Whether it was published before this peer's time.
        is_past: bool,
    },
    /// A timer armed earlier is due.
    Expired(B::Timer),
    /// A peer entered the active view.
    NeighborUp(B::Peer),
    /// A peer left the active view.
    NeighborDown(B::Peer),
}

/// Who counts the broadcasts of a strategy.
pub type Origin<B> = <<B as Broadcast>::Id as Id>::Origin;

/// What a broadcast strategy can ask of its host.
pub trait Effects<B: Broadcast + ?Sized> {
    /// Sends `message` to `to`.
    fn send(&mut self, to: B::Peer, message: B::Message);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: B::Timer);
    /// Hands a broadcast that arrived over `hops` links to the application, once.
    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload);
    /// The same with one that was published before this peer's time, which catches up.
    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.deliver(id, hops, payload);
    }
    /// So many broadcasts of this origin, published in this peer's time, will never be delivered.
    fn missed(&mut self, _origin: Origin<B>, _count: u64) {}
    /// A branch that is rarely taken is taken. Only tests want to know.
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

    /// Whether its payload was asked for: when it comes says nothing of how fast broadcasts are.
    fn is_repair(&self) -> bool {
        false
    }

    /// The message without its payload, and the payload.
    fn split(self) -> (Self::Head, Option<Self::Payload>);

    /// A message of its two parts; `None` if one has a payload that the other knows nothing of.
    fn join(head: Self::Head, payload: Option<Self::Payload>) -> Option<Self>;
}
