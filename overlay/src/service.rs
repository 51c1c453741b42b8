//! The seam between a service and its host: what is built on an overlay, as a state machine.
//!
//! A [`Stack`](crate::Stack) runs a service beside its membership and its broadcast strategy. A
//! service speaks to services like itself on other nodes, publishes and hears broadcasts, and is used
//! through commands and events. As it does no I/O, whoever hosts a stack hosts its services: a node
//! and a simulation run the same code.
//!
//! [`Input`] may grow, so a service ignores what it does not know. [`Effects`] is the host's to implement.
//!
//! `()` is no service at all and costs nothing. A pair of services is one, so any number compose.
//! The host's contract is [`membership`](murmurate_membership)'s, but for one thing: a host may drop a
//! service's message rather than let others wait for it. A service that waits for an answer sets a timer.
//!
//! Of one event the membership hears first, then the broadcast, then the services in their order, then
//! the application; of [`Input::Leave`] the services hear first. A service's own broadcasts are published
//! once it has handled its input, and not delivered to itself.

use core::convert::Infallible;
use core::fmt::Debug;
use core::marker::PhantomData;
use core::time::Duration;

pub use either::Either;
use murmurate_membership::{DownReason, Peer, Time, Violation, Wire};

/// What is built on an overlay of peers `P` whose broadcasts carry a `T`.
pub trait Service<P: Peer, T> {
    /// The messages that services send each other.
    type Message: Wire + Clone + Debug;
    /// The service's timers. It keeps at most one of each kind outstanding, so there is nothing to
    /// cancel: every timer that is armed comes back.
    type Timer: Copy + Debug + PartialEq + Eq;
    /// The application's commands.
    type Command: Debug;
    /// Its events for the application.
    type Event: Debug;

    /// Takes one input: changes state first, then speaks to `fx`.
    fn handle<E: Effects<P, T, Self>>(
        &mut self,
        now: Time,
        input: Input<'_, P, T, Self>,
        fx: &mut E,
    );

    /// Whether all invariants hold, given the active view in order.
    ///
    /// # Errors
    /// [`Violation`] names the first invariant that does not hold, and shows the state.
    fn check(&self, neighbors: &[P]) -> Result<(), Violation>;
}

/// What can happen to a service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input<'a, P: Peer, T, S: Service<P, T> + ?Sized> {
    /// The peer takes part from now on. This is the first input, and it comes again each time the peer
    /// is told to join through other contacts.
    Join,
    /// The peer leaves. Messages that are sent now still go out, as the last ones. Broadcasts do not.
    Leave,
    /// A peer entered the active view.
    NeighborUp(P),
    /// A peer left the active view.
    NeighborDown(P, DownReason),
    /// The connection to a peer was lost, or none could be made. What was sent to it recently may be
    /// lost.
    LinkDown(P),
    /// A node to which something was sent answers as this later incarnation. What was sent to the
    /// earlier one is lost.
    Restarted(P),
    /// A broadcast of another peer was delivered.
    Delivered {
        /// What it carries.
        payload: &'a T,
        /// Whether it was published before this peer joined. Only hosts that catch up deliver such ones.
        past: bool,
    },
    /// So many broadcasts that were published since this peer joined will never be delivered.
    Missed(u64),
    /// A message arrived.
    Receive {
        /// Who sent it, as authenticated by the host.
        from: P,
        /// What it says. Nothing in it is trusted.
        message: S::Message,
    },
    /// A timer armed earlier is due.
    Expired(S::Timer),
    /// The application asks for something.
    Command(S::Command),
}

impl<'a, P: Peer, T, S: Service<P, T> + ?Sized> Input<'a, P, T, S> {
    /// The same input for another service, unless it is for this one only.
    #[must_use]
    pub fn for_all<O: Service<P, T> + ?Sized>(&self) -> Option<Input<'a, P, T, O>> {
        Some(match *self {
            Self::Join => Input::Join,
            Self::Leave => Input::Leave,
            Self::NeighborUp(peer) => Input::NeighborUp(peer),
            Self::NeighborDown(peer, reason) => Input::NeighborDown(peer, reason),
            Self::LinkDown(peer) => Input::LinkDown(peer),
            Self::Restarted(peer) => Input::Restarted(peer),
            Self::Delivered { payload, past } => Input::Delivered { payload, past },
            Self::Missed(count) => Input::Missed(count),
            Self::Receive { .. } | Self::Expired(_) | Self::Command(_) => return None,
        })
    }
}

/// What a service can ask of its host.
pub trait Effects<P: Peer, T, S: Service<P, T> + ?Sized> {
    /// This peer.
    fn me(&self) -> P;
    /// Sends `message` to `to`, dialling if need be: a neighbour, or a peer that [`Effects::known`] knows.
    /// Other peers cannot be reached, which the service is told by [`Input::LinkDown`].
    fn send(&mut self, to: P, message: S::Message);
    /// Broadcasts `payload`.
    fn broadcast(&mut self, payload: T);
    /// Hands `timer` back after `after`.
    fn arm(&mut self, after: Duration, timer: S::Timer);
    /// Tells the application something.
    fn emit(&mut self, event: S::Event);
    /// The incarnation of a node that could be dialled, if the views or the host know one. During
    /// [`Input::NeighborUp`] and [`Input::NeighborDown`] the views are not asked.
    fn known(&self, node: P::Node) -> Option<P>;
    /// The time since 1970 by the machine's clock, which may be wrong and may jump, or `None` if the host's
    /// [`Time`] is one that all peers share, as in a simulation. It is for comparisons between peers only;
    /// timers go by `now`.
    fn wall_clock(&self) -> Option<Time> {
        None
    }
}

/// No service.
impl<P: Peer, T> Service<P, T> for () {
    type Message = Infallible;
    type Timer = Infallible;
    type Command = Infallible;
    type Event = Infallible;

    #[inline(always)]
    fn handle<E: Effects<P, T, Self>>(&mut self, _: Time, _: Input<'_, P, T, Self>, _: &mut E) {}

    fn check(&self, _neighbors: &[P]) -> Result<(), Violation> {
        Ok(())
    }
}

/// Both services.
impl<P, T, A, B> Service<P, T> for (A, B)
where
    P: Peer,
    A: Service<P, T>,
    B: Service<P, T>,
{
    type Message = Either<A::Message, B::Message>;
    type Timer = Either<A::Timer, B::Timer>;
    type Command = Either<A::Command, B::Command>;
    type Event = Either<A::Event, B::Event>;

    fn handle<E: Effects<P, T, Self>>(
        &mut self,
        now: Time,
        input: Input<'_, P, T, Self>,
        fx: &mut E,
    ) {
        let (first, second) = self;
        match input {
            Input::Receive { from, message: Either::Left(message) } => {
                first.handle(now, Input::Receive { from, message }, &mut First::of(fx));
            }
            Input::Receive { from, message: Either::Right(message) } => {
                second.handle(now, Input::Receive { from, message }, &mut Second::of(fx));
            }
            Input::Expired(Either::Left(timer)) => {
                first.handle(now, Input::Expired(timer), &mut First::of(fx));
            }
            Input::Expired(Either::Right(timer)) => {
                second.handle(now, Input::Expired(timer), &mut Second::of(fx));
            }
            Input::Command(Either::Left(command)) => {
                first.handle(now, Input::Command(command), &mut First::of(fx));
            }
            Input::Command(Either::Right(command)) => {
                second.handle(now, Input::Command(command), &mut Second::of(fx));
            }
            for_both => {
                if let Some(input) = for_both.for_all() {
                    first.handle(now, input, &mut First::of(fx));
                }
                if let Some(input) = for_both.for_all() {
                    second.handle(now, input, &mut Second::of(fx));
                }
            }
        }
    }

    fn check(&self, neighbors: &[P]) -> Result<(), Violation> {
        self.0.check(neighbors)?;
        self.1.check(neighbors)
    }
}

/// What the first of two services speaks to.
struct First<'a, E, B> {
    host: &'a mut E,
    other: PhantomData<B>,
}

impl<'a, E, B> First<'a, E, B> {
    fn of(host: &'a mut E) -> Self {
        Self { host, other: PhantomData }
    }
}

impl<P, T, A, B, E> Effects<P, T, A> for First<'_, E, B>
where
    P: Peer,
    A: Service<P, T>,
    B: Service<P, T>,
    E: Effects<P, T, (A, B)>,
{
    fn me(&self) -> P {
        self.host.me()
    }

    fn send(&mut self, to: P, message: A::Message) {
        self.host.send(to, Either::Left(message));
    }

    fn broadcast(&mut self, payload: T) {
        self.host.broadcast(payload);
    }

    fn arm(&mut self, after: Duration, timer: A::Timer) {
        self.host.arm(after, Either::Left(timer));
    }

    fn emit(&mut self, event: A::Event) {
        self.host.emit(Either::Left(event));
    }

    fn known(&self, node: P::Node) -> Option<P> {
        self.host.known(node)
    }

    fn wall_clock(&self) -> Option<Time> {
        self.host.wall_clock()
    }
}

/// What the second of two services speaks to.
struct Second<'a, E, A> {
    host: &'a mut E,
    other: PhantomData<A>,
}

impl<'a, E, A> Second<'a, E, A> {
    fn of(host: &'a mut E) -> Self {
        Self { host, other: PhantomData }
    }
}

impl<P, T, A, B, E> Effects<P, T, B> for Second<'_, E, A>
where
    P: Peer,
    A: Service<P, T>,
    B: Service<P, T>,
    E: Effects<P, T, (A, B)>,
{
    fn me(&self) -> P {
        self.host.me()
    }

    fn send(&mut self, to: P, message: B::Message) {
        self.host.send(to, Either::Right(message));
    }

    fn broadcast(&mut self, payload: T) {
        self.host.broadcast(payload);
    }

    fn arm(&mut self, after: Duration, timer: B::Timer) {
        self.host.arm(after, Either::Right(timer));
    }

    fn emit(&mut self, event: B::Event) {
        self.host.emit(Either::Right(event));
    }

    fn known(&self, node: P::Node) -> Option<P> {
        self.host.known(node)
    }

    fn wall_clock(&self) -> Option<Time> {
        self.host.wall_clock()
    }
}
