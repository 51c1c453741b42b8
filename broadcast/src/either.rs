//! One of two strategies, chosen when a peer starts: for hosts that are built for both.
//!
//! All peers of an overlay must have chosen the same: a message of the other strategy is ignored.

use core::marker::PhantomData;
use core::time::Duration;

use either::Either;
use murmurate_membership::{Time, Violation};

use crate::protocol::{Broadcast, Carries, Effects, Input, Origin};
use crate::{Mark, Seen, SeenBounds};

impl<A, B> Broadcast for Either<A, B>
where
    A: Broadcast,
    B: Broadcast<Peer = A::Peer, Id = A::Id, Payload = A::Payload>,
{
    type Peer = A::Peer;
    type Id = A::Id;
    type Payload = A::Payload;
    type Message = Either<A::Message, B::Message>;
    type Timer = Either<A::Timer, B::Timer>;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        match self {
            Self::Left(strategy) => {
                if let Some(input) = select(input, Either::left, Either::left) {
                    strategy.handle(now, input, &mut Left { fx, other: PhantomData::<B> });
                }
            }
            Self::Right(strategy) => {
                if let Some(input) = select(input, Either::right, Either::right) {
                    strategy.handle(now, input, &mut Right { fx, other: PhantomData::<A> });
                }
            }
        }
    }

    fn eager(&self) -> impl Iterator<Item = Self::Peer> {
        self.as_ref().map_either(A::eager, B::eager)
    }

    fn lazy(&self) -> impl Iterator<Item = Self::Peer> {
        self.as_ref().map_either(A::lazy, B::lazy)
    }

    fn seen(&self) -> &Seen<Self::Id> {
        either::for_both!(self, strategy => strategy.seen())
    }

    fn seen_mut(&mut self) -> (&mut Seen<Self::Id>, SeenBounds) {
        either::for_both!(self, strategy => strategy.seen_mut())
    }

    fn check(&self) -> Result<(), Violation> {
        either::for_both!(self, strategy => strategy.check())
    }
}

/// The same for one of the two, if it is for that one.
fn select<A, B, S>(
    input: Input<Either<A, B>>,
    message: impl FnOnce(Either<A::Message, B::Message>) -> Option<S::Message>,
    timer: impl FnOnce(Either<A::Timer, B::Timer>) -> Option<S::Timer>,
) -> Option<Input<S>>
where
    A: Broadcast,
    B: Broadcast<Peer = A::Peer, Id = A::Id, Payload = A::Payload>,
    S: Broadcast<Peer = A::Peer, Id = A::Id, Payload = A::Payload>,
{
    Some(match input {
        Input::Publish { id, payload } => Input::Publish { id, payload },
        Input::Receive { from, message: of } => Input::Receive { from, message: message(of)? },
        Input::Recover { from, id, round, payload, is_past } => {
            Input::Recover { from, id, round, payload, is_past }
        }
        Input::Expired(of) => Input::Expired(timer(of)?),
        Input::NeighborUp(peer) => Input::NeighborUp(peer),
        Input::NeighborDown(peer) => Input::NeighborDown(peer),
    })
}

/// What the first strategy speaks to.
struct Left<'a, E, B> {
    fx: &'a mut E,
    other: PhantomData<B>,
}

/// What the second strategy speaks to.
struct Right<'a, E, A> {
    fx: &'a mut E,
    other: PhantomData<A>,
}

macro_rules! speaks {
    ($side:ident, $strategy:ident, $other:ident) => {
        impl<A, B, E> Effects<$strategy> for $side<'_, E, $other>
        where
            A: Broadcast,
            B: Broadcast<Peer = A::Peer, Id = A::Id, Payload = A::Payload>,
            E: Effects<Either<A, B>>,
        {
            fn send(&mut self, to: A::Peer, message: $strategy::Message) {
                self.fx.send(to, Either::$side(message));
            }

            fn arm(&mut self, after: Duration, timer: $strategy::Timer) {
                self.fx.arm(after, Either::$side(timer));
            }

            fn deliver(&mut self, id: A::Id, hops: u16, payload: A::Payload) {
                self.fx.deliver(id, hops, payload);
            }

            fn deliver_past(&mut self, id: A::Id, hops: u16, payload: A::Payload) {
                self.fx.deliver_past(id, hops, payload);
            }

            fn missed(&mut self, origin: Origin<$strategy>, count: u64) {
                self.fx.missed(origin, count);
            }

            fn mark(&mut self, mark: Mark) {
                self.fx.mark(mark);
            }
        }
    };
}
speaks!(Left, A, B);
speaks!(Right, B, A);

impl<I, A: Carries<I>, B: Carries<I>> Carries<I> for Either<A, B> {
    fn carries(&self) -> Option<I> {
        either::for_both!(self, message => message.carries())
    }
}
