//! A broadcast strategy of any type.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Debug};
use core::time::Duration;

use murmurate_broadcast::{
    Broadcast, Carries, Effects, Id, Input, Mark, NodeFigure, Origin, Payload, Seen, SeenBounds,
};
use murmurate_membership::{Peer, Time, Violation, Wire};

use super::{AnyTimer, Boxed, Hosted, Inside};

/// What broadcast strategies of any type say.
pub trait AnyBroadcastMessage:
    Wire
    + Carries<<Self as AnyBroadcastMessage>::Id, Payload = <Self as AnyBroadcastMessage>::Payload>
    + Clone
    + Debug
    + Send
    + 'static
{
    /// How peers are named.
    type Peer: Peer;
    /// How broadcasts are named.
    type Id: Id;
    /// What broadcasts carry.
    type Payload: Payload;
    /// A strategy that says it: `dyn ErasedBroadcast<Self>`, or a trait object that can do more.
    type Strategy: ErasedBroadcast<Self> + ?Sized;
}

type PayloadOf<X> = <X as AnyBroadcastMessage>::Payload;

/// [`Broadcast`] as a trait object.
pub trait ErasedBroadcast<X: AnyBroadcastMessage>: Debug + Send {
    /// See [`Broadcast::handle`].
    fn handle(
        &mut self,
        now: Time,
        input: Input<AnyBroadcast<X>>,
        fx: &mut dyn Effects<AnyBroadcast<X>>,
    );
    /// See [`Broadcast::eager`].
    fn eager(&self) -> Vec<X::Peer>;
    /// See [`Broadcast::lazy`].
    fn lazy(&self) -> Vec<X::Peer>;
    /// See [`Broadcast::seen`].
    fn seen(&self) -> &Seen<X::Id>;
    /// See [`Broadcast::seen_mut`].
    fn seen_mut(&mut self) -> (&mut Seen<X::Id>, SeenBounds);
    /// See [`Broadcast::each_figure`].
    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64));
    /// See [`Broadcast::check`].
    ///
    /// # Errors
    /// As there.
    fn check(&self) -> Result<(), Violation>;
}

impl<S, X> ErasedBroadcast<X> for Hosted<S, S::Timer>
where
    S: Broadcast + Debug + Send,
    X: AnyBroadcastMessage<Peer = S::Peer, Id = S::Id, Payload = S::Payload> + Boxed<S, S::Message>,
{
    fn handle(
        &mut self,
        now: Time,
        input: Input<AnyBroadcast<X>>,
        fx: &mut dyn Effects<AnyBroadcast<X>>,
    ) {
        let input = match input {
            Input::Publish { id, payload } => Input::Publish { id, payload },
            Input::Receive { from, message } => {
                let Some(message) = message.own() else { return };
                Input::Receive { from, message }
            }
            Input::Recover { from, id, round, payload, is_past } => {
                Input::Recover { from, id, round, payload, is_past }
            }
            Input::Expired(timer) => {
                let Some(timer) = self.timers.take(timer) else { return };
                Input::Expired(timer)
            }
            Input::NeighborUp(peer) => Input::NeighborUp(peer),
            Input::NeighborDown(peer) => Input::NeighborDown(peer),
        };
        self.strategy.handle(now, input, &mut Inside { fx, timers: &mut self.timers });
    }

    fn eager(&self) -> Vec<X::Peer> {
        self.strategy.eager().collect()
    }

    fn lazy(&self) -> Vec<X::Peer> {
        self.strategy.lazy().collect()
    }

    fn seen(&self) -> &Seen<X::Id> {
        self.strategy.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<X::Id>, SeenBounds) {
        self.strategy.seen_mut()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        self.strategy.each_figure(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}

impl<S, X> Effects<S> for Inside<'_, dyn Effects<AnyBroadcast<X>> + '_, S::Timer>
where
    S: Broadcast,
    X: AnyBroadcastMessage<Peer = S::Peer, Id = S::Id, Payload = S::Payload> + Boxed<S, S::Message>,
{
    fn send(&mut self, to: S::Peer, message: S::Message) {
        self.fx.send(to, X::new(message));
    }

    fn arm(&mut self, after: Duration, timer: S::Timer) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn deliver(&mut self, id: S::Id, hops: u16, payload: S::Payload) {
        self.fx.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: S::Id, hops: u16, payload: S::Payload) {
        self.fx.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: Origin<S>, count: u64) {
        self.fx.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        self.fx.mark(mark);
    }
}

/// A broadcast strategy of any type.
pub struct AnyBroadcast<X: AnyBroadcastMessage> {
    /// The strategy without its type.
    pub strategy: Box<X::Strategy>,
}

impl<X: AnyBroadcastMessage> Debug for AnyBroadcast<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.strategy.fmt(f)
    }
}

impl<X: AnyBroadcastMessage> Clone for AnyBroadcast<X>
where
    Box<X::Strategy>: Clone,
{
    fn clone(&self) -> Self {
        Self { strategy: self.strategy.clone() }
    }
}

impl<X: AnyBroadcastMessage> Broadcast for AnyBroadcast<X> {
    type Peer = X::Peer;
    type Id = X::Id;
    type Payload = PayloadOf<X>;
    type Message = X;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        self.strategy.handle(now, input, fx);
    }

    fn eager(&self) -> impl Iterator<Item = X::Peer> {
        self.strategy.eager().into_iter()
    }

    fn lazy(&self) -> impl Iterator<Item = X::Peer> {
        self.strategy.lazy().into_iter()
    }

    fn seen(&self) -> &Seen<X::Id> {
        self.strategy.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<X::Id>, SeenBounds) {
        self.strategy.seen_mut()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        self.strategy.each_figure(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}
