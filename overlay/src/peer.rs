//! The composed peer: membership and broadcast as one state machine.

use core::time::Duration;

use alloc::vec::Vec;
use murmurate_broadcast::{self as broadcast, Broadcast, Carries};
use murmurate_membership::{
    self as membership, DownReason, Membership, Notice, Sizes, Time, Violation, Wire,
};

/// A peer of the overlay, over any membership and any broadcast strategy.
///
/// A neighbour event runs the broadcast layer inside the membership's own call, so the two never
/// disagree about who the neighbours are.
#[derive(Debug, Clone)]
pub struct Peer<M, B> {
    membership: M,
    broadcast: B,
}

/// What composed peers say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<M, B> {
    /// About who is whose neighbour.
    Membership(M),
    /// About broadcasts.
    Broadcast(B),
}

/// What a composed peer asks to be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer<M, B> {
    /// The membership's timer.
    Membership(M),
    /// The broadcast's timer.
    Broadcast(B),
}

/// A branch of a composed peer that is rarely taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Of the membership layer.
    Membership(membership::Mark),
    /// Of the broadcast layer.
    Broadcast(broadcast::Mark),
}

/// What can happen to a composed peer.
#[derive(Debug, Clone)]
pub enum Input<M: Membership, B: Broadcast> {
    /// Take part, through any of these contacts; none founds a new overlay.
    Join(Vec<M::Peer>),
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: M::Peer,
        /// What it says.
        message: Message<M::Message, B::Message>,
    },
    /// A timer armed earlier is due.
    Expired(Timer<M::Timer, B::Timer>),
    /// The connection to a peer was lost, refused or could not be made.
    LinkDown(M::Peer),
    /// The node of a peer that something was sent to answers, as this later incarnation.
    Restarted(M::Peer),
    /// Broadcast `payload` under the unused name `id`.
    Publish {
        /// Its name.
        id: B::Id,
        /// Its content.
        payload: B::Payload,
    },
    /// Say goodbye to all neighbours and refuse new ones from now on.
    Leave,
}

/// What a composed peer can ask of its host. The contract is [`membership`]'s.
pub trait Effects<M: Membership, B: Broadcast> {
    /// Sends `message` to `to`, dialling if need be.
    fn send(&mut self, to: M::Peer, message: Message<M::Message, B::Message>);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: Timer<M::Timer, B::Timer>);
    /// Hands a broadcast that arrived over `hops` links to the application, once.
    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload);
    /// The same with one that was published before this peer's time, which catches up.
    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.deliver(id, hops, payload);
    }
    /// So many broadcasts of this origin, published in this peer's time, will never be delivered.
    fn missed(&mut self, _origin: broadcast::Origin<B>, _count: u64) {}
    /// `peer` entered the active view.
    fn neighbor_up(&mut self, _peer: M::Peer) {}
    /// `peer` left the active view.
    fn neighbor_down(&mut self, _peer: M::Peer, _reason: DownReason) {}
    /// Something the application may want to know.
    fn notify(&mut self, _notice: Notice) {}
    /// A branch that is rarely taken is taken. Only tests want to know.
    #[inline]
    fn mark(&mut self, _mark: Mark) {}
}

impl<M: Membership, B: Broadcast<Peer = M::Peer>> Peer<M, B> {
    /// Composes two strategies that have not seen any input yet.
    #[must_use]
    pub fn new(membership: M, broadcast: B) -> Self {
        Self { membership, broadcast }
    }

    /// The membership layer, to look at.
    pub fn membership(&self) -> &M {
        &self.membership
    }

    /// The broadcast layer, to look at.
    pub fn broadcast(&self) -> &B {
        &self.broadcast
    }

    /// Takes one input: changes state first, then speaks to `fx`.
    pub fn handle<E: Effects<M, B>>(&mut self, now: Time, input: Input<M, B>, fx: &mut E) {
        let input = match input {
            Input::Receive { from, message: Message::Broadcast(message) } => {
                return self.relay(now, broadcast::Input::Receive { from, message }, fx);
            }
            Input::Expired(Timer::Broadcast(timer)) => {
                return self.relay(now, broadcast::Input::Expired(timer), fx);
            }
            Input::Publish { id, payload } => {
                return self.relay(now, broadcast::Input::Publish { id, payload }, fx);
            }
            Input::Receive { from, message: Message::Membership(message) } => {
                membership::Input::Receive { from, message }
            }
            Input::Expired(Timer::Membership(timer)) => membership::Input::Expired(timer),
            Input::Join(contacts) => membership::Input::Join(contacts),
            Input::LinkDown(peer) => membership::Input::LinkDown(peer),
            Input::Restarted(peer) => membership::Input::Restarted(peer),
            Input::Leave => membership::Input::Leave,
        };
        let mut layer = MembershipLayer { now, broadcast: &mut self.broadcast, host: fx };
        self.membership.handle(now, input, &mut layer);
    }

    fn relay<E: Effects<M, B>>(&mut self, now: Time, input: broadcast::Input<B>, fx: &mut E) {
        self.broadcast.handle(
            now,
            input,
            &mut BroadcastLayer::<M, E> { host: fx, membership: core::marker::PhantomData },
        );
    }

    /// The first invariant of either layer or between them that does not hold, if any.
    ///
    /// # Errors
    /// Names the invariant and shows the state.
    pub fn check(&self) -> Result<(), Violation> {
        self.membership.check()?;
        self.broadcast.check()?;
        let mut active: Vec<_> = self.membership.active().collect();
        let mut pushed: Vec<_> = self.broadcast.eager().chain(self.broadcast.lazy()).collect();
        active.sort_unstable();
        pushed.sort_unstable();
        Violation::unless(
            active == pushed,
            "eager and lazy peers together are the active view",
            || alloc::format!("active {active:?}, eager and lazy {pushed:?}"),
        )
    }
}

/// What the membership layer speaks to: neighbour events go to the broadcast layer first.
struct MembershipLayer<'a, B, E> {
    now: Time,
    broadcast: &'a mut B,
    host: &'a mut E,
}

impl<M, B, E> membership::Effects<M> for MembershipLayer<'_, B, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    E: Effects<M, B>,
{
    fn send(&mut self, to: M::Peer, message: M::Message) {
        self.host.send(to, Message::Membership(message));
    }

    fn arm(&mut self, after: Duration, timer: M::Timer) {
        self.host.arm(after, Timer::Membership(timer));
    }

    fn neighbor_up(&mut self, peer: M::Peer) {
        self.tell(broadcast::Input::NeighborUp(peer));
        self.host.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason) {
        self.tell(broadcast::Input::NeighborDown(peer));
        self.host.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.host.notify(notice);
    }

    #[inline]
    fn mark(&mut self, mark: membership::Mark) {
        self.host.mark(Mark::Membership(mark));
    }
}

impl<B: Broadcast, E> MembershipLayer<'_, B, E> {
    fn tell<M>(&mut self, input: broadcast::Input<B>)
    where
        M: Membership<Peer = B::Peer>,
        E: Effects<M, B>,
    {
        self.broadcast.handle(
            self.now,
            input,
            &mut BroadcastLayer::<M, E> { host: self.host, membership: core::marker::PhantomData },
        );
    }
}

/// What the broadcast layer speaks to.
struct BroadcastLayer<'a, M, E> {
    host: &'a mut E,
    membership: core::marker::PhantomData<M>,
}

impl<M, B, E> broadcast::Effects<B> for BroadcastLayer<'_, M, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    E: Effects<M, B>,
{
    fn send(&mut self, to: M::Peer, message: B::Message) {
        self.host.send(to, Message::Broadcast(message));
    }

    fn arm(&mut self, after: Duration, timer: B::Timer) {
        self.host.arm(after, Timer::Broadcast(timer));
    }

    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.host.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.host.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: broadcast::Origin<B>, count: u64) {
        self.host.missed(origin, count);
    }

    #[inline]
    fn mark(&mut self, mark: broadcast::Mark) {
        self.host.mark(Mark::Broadcast(mark));
    }
}

impl<M: Wire, B: Wire> Message<M, B> {
    /// How many kinds of messages there are.
    pub const KINDS: usize = M::KINDS.len() + B::KINDS.len();

    /// The name of the kind with this index, membership's first.
    #[must_use]
    pub fn kind_name(kind: usize) -> &'static str {
        match kind.checked_sub(M::KINDS.len()) {
            None => M::KINDS[kind],
            Some(kind) => B::KINDS[kind],
        }
    }

    /// Index of this message's kind, below [`Message::KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Membership(message) => message.kind(),
            Self::Broadcast(message) => M::KINDS.len() + message.kind(),
        }
    }

    /// Bytes on the wire, without transport overhead.
    pub fn wire_len(&self, sizes: &Sizes) -> usize {
        match self {
            Self::Membership(message) => message.wire_len(sizes),
            Self::Broadcast(message) => message.wire_len(sizes),
        }
    }

    /// The broadcast whose payload this message carries.
    pub fn carries<I>(&self) -> Option<I>
    where
        B: Carries<I>,
    {
        match self {
            Self::Membership(_) => None,
            Self::Broadcast(message) => message.carries(),
        }
    }
}
