//! The stack: membership, broadcast and services as one state machine.

use core::convert::Infallible;
use core::marker::PhantomData;
use core::time::Duration;

use alloc::vec::Vec;
use murmurate_broadcast::{self as broadcast, Broadcast, Carries};
use murmurate_membership::{
    self as membership, DownReason, Mark, Membership, Notice, Peer as _, Sizes, Time, Violation,
    Wire,
};

use crate::service::{self, Service};

/// One peer of the overlay: any membership strategy, any broadcast strategy, and the services on them.
///
/// A neighbour event reaches the broadcast layer and the services inside the membership's own call, so
/// they never disagree about who the neighbours are.
#[derive(Debug, Clone)]
pub struct Stack<M, B, S = ()> {
    membership: M,
    broadcast: B,
    service: S,
}

/// The messages that stacks send each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<M, B, S = Infallible> {
    /// A message of the membership strategy.
    Membership(M),
    /// A message of the broadcast strategy.
    Broadcast(B),
    /// A service's message.
    Service(S),
}

/// The timers of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer<M, B, S = Infallible> {
    /// The membership's timer.
    Membership(M),
    /// The broadcast's timer.
    Broadcast(B),
    /// The service's timer.
    Service(S),
}

/// What can happen to a stack.
#[derive(Debug, Clone)]
pub enum Input<M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload> = ()> {
    /// Take part through any of these contacts. Without contacts a new overlay is founded.
    Join(Vec<M::Peer>),
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: M::Peer,
        /// What it says.
        message: Message<M::Message, B::Message, S::Message>,
    },
    /// A timer armed earlier is due.
    Expired(Timer<M::Timer, B::Timer, S::Timer>),
    /// The connection to a peer was lost, refused or could not be made.
    LinkDown(M::Peer),
    /// A node to which something was sent answers as this incarnation.
    Restarted(M::Peer),
    /// Broadcast `payload` under the unused name `id`.
    Publish {
        /// Its name.
        id: B::Id,
        /// Its content.
        payload: B::Payload,
    },
    /// The application asks something of the service.
    Command(S::Command),
    /// Say goodbye to all neighbours and refuse new ones from now on.
    Leave,
}

/// What a stack can ask of its host. The contract is [`membership`]'s.
pub trait Effects<M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload> = ()> {
    /// Sends `message` to `to`, dialling if need be.
    fn send(&mut self, to: M::Peer, message: Message<M::Message, B::Message, S::Message>);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: Timer<M::Timer, B::Timer, S::Timer>);
    /// Hands an event of the service to the application.
    fn emit(&mut self, event: S::Event);
    /// The service broadcasts `payload`. It comes back as [`Input::Publish`] once it has a name.
    fn broadcast(&mut self, payload: B::Payload);
    /// The incarnation of a node that could be dialled. `viewed` is the one that is in a view.
    fn known(
        &self,
        _node: <M::Peer as membership::Peer>::Node,
        viewed: Option<M::Peer>,
    ) -> Option<M::Peer> {
        viewed
    }
    /// The time since 1970, if the host has a clock for it.
    fn wall_clock(&self) -> Option<Time> {
        None
    }
    /// Hands a broadcast that arrived over `hops` links to the application, once.
    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload);
    /// Hands over a broadcast that was published before this peer joined, if the host catches up.
    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.deliver(id, hops, payload);
    }
    /// So many broadcasts of this origin that were published since this peer joined will never be
    /// delivered.
    fn missed(&mut self, _origin: broadcast::Origin<B>, _count: u64) {}
    /// `peer` entered the active view.
    fn neighbor_up(&mut self, _peer: M::Peer) {}
    /// `peer` left the active view.
    fn neighbor_down(&mut self, _peer: M::Peer, _reason: DownReason) {}
    /// Something the application may want to know.
    fn notify(&mut self, _notice: Notice) {}
    /// A rarely taken branch was taken, which only tests need to know.
    #[inline]
    fn mark(&mut self, _mark: Mark) {}
}

impl<M, B> Stack<M, B> {
    /// Composes two strategies that have not seen any input yet.
    #[must_use]
    pub fn new(membership: M, broadcast: B) -> Self {
        Self { membership, broadcast, service: () }
    }

    /// Adds a service, which has not seen any input yet.
    #[must_use]
    pub fn with_service<S>(self, service: S) -> Stack<M, B, S> {
        Stack { membership: self.membership, broadcast: self.broadcast, service }
    }
}

impl<M, B, S> Stack<M, B, S>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
{
    /// The membership strategy.
    pub fn membership(&self) -> &M {
        &self.membership
    }

    /// The broadcast strategy.
    pub fn broadcast(&self) -> &B {
        &self.broadcast
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Both strategies to change, for a host that puts them in a state of before. They must be of one
    /// moment, so that they agree on who the neighbours are.
    pub fn strategies_mut(&mut self) -> (&mut M, &mut B) {
        (&mut self.membership, &mut self.broadcast)
    }

    /// Takes one input: changes state first, then speaks to `fx`.
    #[expect(
        clippy::inline_always,
        reason = "a host knows which input it gives: 1.6 % of a simulation's instructions"
    )]
    #[inline(always)]
    pub fn handle<E: Effects<M, B, S>>(&mut self, now: Time, input: Input<M, B, S>, fx: &mut E) {
        let input = match input {
            Input::Receive { from, message: Message::Broadcast(message) } => {
                return self.spread(now, broadcast::Input::Receive { from, message }, fx);
            }
            Input::Expired(Timer::Broadcast(timer)) => {
                return self.spread(now, broadcast::Input::Expired(timer), fx);
            }
            Input::Publish { id, payload } => {
                return self.spread(now, broadcast::Input::Publish { id, payload }, fx);
            }
            Input::Receive { from, message: Message::Service(message) } => {
                return self.serve(now, service::Input::Receive { from, message }, fx);
            }
            Input::Expired(Timer::Service(timer)) => {
                return self.serve(now, service::Input::Expired(timer), fx);
            }
            Input::Command(command) => {
                return self.serve(now, service::Input::Command(command), fx);
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
        let news = match &input {
            membership::Input::Join(_) => Some(service::Input::Join),
            membership::Input::Leave => Some(service::Input::Leave),
            membership::Input::LinkDown(peer) => Some(service::Input::LinkDown(*peer)),
            membership::Input::Restarted(peer) => Some(service::Input::Restarted(*peer)),
            membership::Input::Receive { .. } | membership::Input::Expired(_) => None,
        };
        // Before the neighbours hear of it and there is nobody left to speak to.
        if let Some(leave @ service::Input::Leave) = news {
            self.serve(now, leave, fx);
            return self.maintain(now, input, fx);
        }
        self.maintain(now, input, fx);
        if let Some(news) = news {
            self.serve(now, news, fx);
        }
    }

    fn maintain<E: Effects<M, B, S>>(
        &mut self,
        now: Time,
        input: membership::Input<M::Peer, M::Message, M::Timer>,
        fx: &mut E,
    ) {
        let Self { membership, broadcast, service } = self;
        let me = membership.me();
        let upper = UpperLayers { now, me, service, host: fx, views: None, broadcast: PhantomData };
        membership.handle(now, input, &mut MembershipLayer { broadcast, upper });
    }

    fn spread<E: Effects<M, B, S>>(&mut self, now: Time, input: broadcast::Input<B>, fx: &mut E) {
        let Self { membership, broadcast, service } = self;
        let (me, views) = (membership.me(), Some(&*membership));
        let mut upper = UpperLayers { now, me, service, host: fx, views, broadcast: PhantomData };
        broadcast.handle(now, input, &mut upper);
    }

    fn serve<E: Effects<M, B, S>>(
        &mut self,
        now: Time,
        input: service::Input<'_, M::Peer, B::Payload, S>,
        fx: &mut E,
    ) {
        let leaves = matches!(input, service::Input::Leave);
        let (me, views) = (self.membership.me(), Some(&self.membership));
        let mut layer = ServiceLayer { me, host: fx, views, leaves, broadcast: PhantomData };
        self.service.handle(now, input, &mut layer);
    }

    /// Checks the invariants of all layers, and those between them.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold, and shows the state.
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
        )?;
        self.service.check(&active)
    }
}

/// What the membership layer speaks to: neighbour events go to the layers above it first.
struct MembershipLayer<'a, M: Membership, B, S, E> {
    broadcast: &'a mut B,
    upper: UpperLayers<'a, M, B, S, E>,
}

impl<M, B, S, E> membership::Effects<M> for MembershipLayer<'_, M, B, S, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
    E: Effects<M, B, S>,
{
    fn send(&mut self, to: M::Peer, message: M::Message) {
        self.upper.host.send(to, Message::Membership(message));
    }

    fn arm(&mut self, after: Duration, timer: M::Timer) {
        self.upper.host.arm(after, Timer::Membership(timer));
    }

    fn neighbor_up(&mut self, peer: M::Peer) {
        let Self { broadcast, upper } = self;
        broadcast.handle(upper.now, broadcast::Input::NeighborUp(peer), upper);
        upper.serve(service::Input::NeighborUp(peer));
        upper.host.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason) {
        let Self { broadcast, upper } = self;
        broadcast.handle(upper.now, broadcast::Input::NeighborDown(peer), upper);
        upper.serve(service::Input::NeighborDown(peer, reason));
        upper.host.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.upper.host.notify(notice);
    }

    #[inline]
    fn mark(&mut self, mark: Mark) {
        self.upper.host.mark(mark);
    }
}

/// What the broadcast layer speaks to: the service hears of broadcasts, too.
struct UpperLayers<'a, M: Membership, B, S, E> {
    now: Time,
    me: M::Peer,
    service: &'a mut S,
    host: &'a mut E,
    /// `None` while they may be about to change.
    views: Option<&'a M>,
    broadcast: PhantomData<B>,
}

impl<M, B, S, E> UpperLayers<'_, M, B, S, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
    E: Effects<M, B, S>,
{
    #[inline(always)]
    fn serve(&mut self, input: service::Input<'_, M::Peer, B::Payload, S>) {
        let Self { me, views, .. } = *self;
        let mut layer = ServiceLayer::<M, B, E> {
            me,
            host: self.host,
            views,
            leaves: false,
            broadcast: PhantomData,
        };
        self.service.handle(self.now, input, &mut layer);
    }
}

impl<M, B, S, E> broadcast::Effects<B> for UpperLayers<'_, M, B, S, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
    E: Effects<M, B, S>,
{
    fn send(&mut self, to: M::Peer, message: B::Message) {
        self.host.send(to, Message::Broadcast(message));
    }

    fn arm(&mut self, after: Duration, timer: B::Timer) {
        self.host.arm(after, Timer::Broadcast(timer));
    }

    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.serve(service::Input::Delivered { payload: &payload, past: false });
        self.host.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.serve(service::Input::Delivered { payload: &payload, past: true });
        self.host.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: broadcast::Origin<B>, count: u64) {
        self.serve(service::Input::Missed(count));
        self.host.missed(origin, count);
    }

    #[inline]
    fn mark(&mut self, mark: Mark) {
        self.host.mark(mark);
    }
}

/// What the service speaks to.
struct ServiceLayer<'a, M: Membership, B, E> {
    me: M::Peer,
    host: &'a mut E,
    views: Option<&'a M>,
    /// Nobody publishes any more.
    leaves: bool,
    broadcast: PhantomData<B>,
}

impl<M, B, S, E> service::Effects<M::Peer, B::Payload, S> for ServiceLayer<'_, M, B, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
    E: Effects<M, B, S>,
{
    fn me(&self) -> M::Peer {
        self.me
    }

    fn send(&mut self, to: M::Peer, message: S::Message) {
        self.host.send(to, Message::Service(message));
    }

    fn broadcast(&mut self, payload: B::Payload) {
        if !self.leaves {
            self.host.broadcast(payload);
        }
    }

    fn arm(&mut self, after: Duration, timer: S::Timer) {
        self.host.arm(after, Timer::Service(timer));
    }

    fn emit(&mut self, event: S::Event) {
        self.host.emit(event);
    }

    fn known(&self, node: <M::Peer as membership::Peer>::Node) -> Option<M::Peer> {
        let viewed = self.views.and_then(|views| {
            let peers = views.active().chain(views.passive());
            peers.filter(|peer| peer.node() == node).max()
        });
        self.host.known(node, viewed)
    }

    fn wall_clock(&self) -> Option<Time> {
        self.host.wall_clock()
    }
}

impl<M: Wire, B: Wire, S: Wire> Message<M, B, S> {
    /// How many kinds of messages there are.
    pub const KINDS: usize = M::KINDS.len() + B::KINDS.len() + S::KINDS.len();

    /// The name of the kind with this index: membership's first, then broadcast's, then the service's.
    #[must_use]
    pub const fn kind_name(kind: usize) -> &'static str {
        let (membership, broadcast) = (M::KINDS.len(), B::KINDS.len());
        if kind < membership {
            M::KINDS[kind]
        } else if kind < membership + broadcast {
            B::KINDS[kind - membership]
        } else {
            S::KINDS[kind - membership - broadcast]
        }
    }

    /// Index of this message's kind, below [`Message::KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Membership(message) => message.kind(),
            Self::Broadcast(message) => M::KINDS.len() + message.kind(),
            Self::Service(message) => M::KINDS.len() + B::KINDS.len() + message.kind(),
        }
    }

    /// Bytes on the wire, without transport overhead.
    pub fn wire_len(&self, sizes: &Sizes) -> usize {
        match self {
            Self::Membership(message) => message.wire_len(sizes),
            Self::Broadcast(message) => message.wire_len(sizes),
            Self::Service(message) => message.wire_len(sizes),
        }
    }

    /// The broadcast whose payload this message carries.
    pub fn carries<I>(&self) -> Option<I>
    where
        B: Carries<I>,
    {
        match self {
            Self::Membership(_) | Self::Service(_) => None,
            Self::Broadcast(message) => message.carries(),
        }
    }
}
