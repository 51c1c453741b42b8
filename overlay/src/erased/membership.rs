//! A membership strategy of any type.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Debug};
use core::time::Duration;

use murmurate_membership::{
    DownReason, Effects, Input, Mark, Membership, NodeFigure, Notice, Peer, Time, Violation, Wire,
};

use super::{AnyTimer, Boxed, Hosted, Inside};

/// What membership strategies of any type say.
pub trait AnyMembershipMessage: Wire + Clone + Debug + Send + Sized + 'static {
    /// How peers are named.
    type Peer: Peer;
    /// A strategy that says it: `dyn ErasedMembership<Self>`, or a trait object that can do more.
    type Strategy: ErasedMembership<Self> + ?Sized;

    /// The peers that it names, as [`Membership::each_named`] visits them.
    fn named(&self) -> Vec<Self::Peer>;
}

/// [`Membership`] as a trait object.
pub trait ErasedMembership<X: AnyMembershipMessage>: Debug + Send {
    /// See [`Membership::handle`].
    fn handle(
        &mut self,
        now: Time,
        input: Input<X::Peer, X, AnyTimer>,
        fx: &mut dyn Effects<AnyMembership<X>>,
    );
    /// See [`Membership::me`].
    fn me(&self) -> X::Peer;
    /// See [`Membership::active`].
    fn active(&self) -> Vec<X::Peer>;
    /// See [`Membership::passive`].
    fn passive(&self) -> Vec<X::Peer>;
    /// See [`Membership::lost`].
    fn lost(&self) -> Vec<X::Peer>;
    /// See [`Membership::each_figure`].
    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64));
    /// See [`Membership::check`].
    ///
    /// # Errors
    /// As there.
    fn check(&self) -> Result<(), Violation>;
}

impl<S, X> ErasedMembership<X> for Hosted<S, S::Timer>
where
    S: Membership + Debug + Send,
    X: AnyMembershipMessage<Peer = S::Peer> + Boxed<S, S::Message>,
{
    fn handle(
        &mut self,
        now: Time,
        input: Input<X::Peer, X, AnyTimer>,
        fx: &mut dyn Effects<AnyMembership<X>>,
    ) {
        let input = match input {
            Input::Join(contacts) => Input::Join(contacts),
            Input::Receive { from, message } => {
                let Some(message) = message.own() else { return };
                Input::Receive { from, message }
            }
            Input::Expired(timer) => {
                let Some(timer) = self.timers.take(timer) else { return };
                Input::Expired(timer)
            }
            Input::LinkDown(peer) => Input::LinkDown(peer),
            Input::Restarted(peer) => Input::Restarted(peer),
            Input::Leave => Input::Leave,
        };
        self.strategy.handle(now, input, &mut Inside { fx, timers: &mut self.timers });
    }

    fn me(&self) -> X::Peer {
        self.strategy.me()
    }

    fn active(&self) -> Vec<X::Peer> {
        self.strategy.active().collect()
    }

    fn passive(&self) -> Vec<X::Peer> {
        self.strategy.passive().collect()
    }

    fn lost(&self) -> Vec<X::Peer> {
        self.strategy.lost().collect()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        self.strategy.each_figure(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}

impl<S, X> Effects<S> for Inside<'_, dyn Effects<AnyMembership<X>> + '_, S::Timer>
where
    S: Membership,
    X: AnyMembershipMessage<Peer = S::Peer> + Boxed<S, S::Message>,
{
    fn send(&mut self, to: S::Peer, message: S::Message) {
        self.fx.send(to, X::new(message));
    }

    fn arm(&mut self, after: Duration, timer: S::Timer) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn neighbor_up(&mut self, peer: S::Peer) {
        self.fx.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: S::Peer, reason: DownReason) {
        self.fx.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.fx.notify(notice);
    }

    fn mark(&mut self, mark: Mark) {
        self.fx.mark(mark);
    }
}

/// A membership strategy of any type.
pub struct AnyMembership<X: AnyMembershipMessage> {
    /// The strategy without its type.
    pub strategy: Box<X::Strategy>,
}

impl<X: AnyMembershipMessage> Debug for AnyMembership<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.strategy.fmt(f)
    }
}

impl<X: AnyMembershipMessage> Clone for AnyMembership<X>
where
    Box<X::Strategy>: Clone,
{
    fn clone(&self) -> Self {
        Self { strategy: self.strategy.clone() }
    }
}

impl<X: AnyMembershipMessage> Membership for AnyMembership<X> {
    type Peer = X::Peer;
    type Message = X;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(
        &mut self,
        now: Time,
        input: Input<X::Peer, X, AnyTimer>,
        fx: &mut E,
    ) {
        self.strategy.handle(now, input, fx);
    }

    fn me(&self) -> X::Peer {
        self.strategy.me()
    }

    fn active(&self) -> impl ExactSizeIterator<Item = X::Peer> + Clone {
        self.strategy.active().into_iter()
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = X::Peer> + Clone {
        self.strategy.passive().into_iter()
    }

    fn lost(&self) -> impl Iterator<Item = X::Peer> + Clone {
        self.strategy.lost().into_iter()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        self.strategy.each_figure(visit);
    }

    fn each_named(message: &X, visit: impl FnMut(X::Peer)) {
        message.named().into_iter().for_each(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}
