//! One of two strategies, chosen when a peer starts: for hosts that are built for both.
//!
//! All peers of an overlay must have chosen the same: a message of the other strategy is ignored.

use core::marker::PhantomData;
use core::time::Duration;

use either::Either;

use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Sizes, Violation, Wire};
use crate::{Mark, Time};

impl<A, B> Membership for Either<A, B>
where
    A: Membership,
    B: Membership<Peer = A::Peer>,
{
    type Peer = A::Peer;
    type Message = Either<A::Message, B::Message>;
    type Timer = Either<A::Timer, B::Timer>;

    fn handle<E: Effects<Self>>(
        &mut self,
        now: Time,
        input: Input<Self::Peer, Self::Message, Self::Timer>,
        fx: &mut E,
    ) {
        match self {
            Self::Left(strategy) => {
                if let Some(input) = input.select(Either::left, Either::left) {
                    strategy.handle(now, input, &mut Left { fx, other: PhantomData::<B> });
                }
            }
            Self::Right(strategy) => {
                if let Some(input) = input.select(Either::right, Either::right) {
                    strategy.handle(now, input, &mut Right { fx, other: PhantomData::<A> });
                }
            }
        }
    }

    fn me(&self) -> Self::Peer {
        either::for_both!(self, strategy => strategy.me())
    }

    fn active(&self) -> impl ExactSizeIterator<Item = Self::Peer> + Clone {
        self.as_ref().map_either(A::active, B::active)
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = Self::Peer> + Clone {
        self.as_ref().map_either(A::passive, B::passive)
    }

    fn lost(&self) -> impl Iterator<Item = Self::Peer> + Clone {
        self.as_ref().map_either(A::lost, B::lost)
    }

    fn check(&self) -> Result<(), Violation> {
        either::for_both!(self, strategy => strategy.check())
    }
}

impl<P, M, T> Input<P, M, T> {
    /// The same for a strategy whose messages and timers these are, or may not be.
    fn select<N, U>(
        self,
        message: impl FnOnce(M) -> Option<N>,
        timer: impl FnOnce(T) -> Option<U>,
    ) -> Option<Input<P, N, U>> {
        Some(match self {
            Self::Join(contacts) => Input::Join(contacts),
            Self::Receive { from, message: of } => Input::Receive { from, message: message(of)? },
            Self::Expired(of) => Input::Expired(timer(of)?),
            Self::LinkDown(peer) => Input::LinkDown(peer),
            Self::Restarted(peer) => Input::Restarted(peer),
            Self::Leave => Input::Leave,
        })
    }
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
            A: Membership,
            B: Membership<Peer = A::Peer>,
            E: Effects<Either<A, B>>,
        {
            fn send(&mut self, to: A::Peer, message: $strategy::Message) {
                self.fx.send(to, Either::$side(message));
            }

            fn arm(&mut self, after: Duration, timer: $strategy::Timer) {
                self.fx.arm(after, Either::$side(timer));
            }

            fn neighbor_up(&mut self, peer: A::Peer) {
                self.fx.neighbor_up(peer);
            }

            fn neighbor_down(&mut self, peer: A::Peer, reason: DownReason) {
                self.fx.neighbor_down(peer, reason);
            }

            fn notify(&mut self, notice: Notice) {
                self.fx.notify(notice);
            }

            fn mark(&mut self, mark: Mark) {
                self.fx.mark(mark);
            }
        }
    };
}
speaks!(Left, A, B);
speaks!(Right, B, A);

impl<A: Wire, B: Wire> Wire for Either<A, B> {
    const KINDS: &'static [&'static str] = Both::<A, B>::KINDS.split_at(Both::<A, B>::COUNT).0;

    fn kind(&self) -> usize {
        match self {
            Self::Left(message) => message.kind(),
            Self::Right(message) => A::KINDS.len() + message.kind(),
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        either::for_both!(self, message => message.wire_len(sizes))
    }
}

/// Kinds of messages that two may have together.
const MOST_KINDS: usize = 64;

/// The kinds of two, those of the first before those of the second.
struct Both<A, B>(PhantomData<(A, B)>);

impl<A: Wire, B: Wire> Both<A, B> {
    const COUNT: usize = A::KINDS.len() + B::KINDS.len();
    const KINDS: &'static [&'static str; MOST_KINDS] = &{
        assert!(Self::COUNT <= MOST_KINDS, "too many kinds of messages");
        let mut kinds = [""; MOST_KINDS];
        let mut at = 0;
        while at < Self::COUNT {
            kinds[at] = match at.checked_sub(A::KINDS.len()) {
                None => A::KINDS[at],
                Some(at) => B::KINDS[at],
            };
            at += 1;
        }
        kinds
    };
}
