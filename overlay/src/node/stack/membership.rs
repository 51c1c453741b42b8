//! A membership strategy of any type.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use murmurate_membership::{
    DownReason, Effects, Input, Mark, Membership as _, MembershipStrategy, Notice, Time, Violation,
};

use crate::armed::{AnyTimer, Armed};
use crate::id::Incarnation;
use crate::node::wire::{MembershipMessage, NodeMembership};

/// A node's membership.
#[derive(Debug)]
pub(crate) struct Membership(Box<dyn Strategy>);

impl Membership {
    pub(super) fn start<S: NodeMembership>(
        config: &Arc<S::Config>,
        me: Incarnation,
        seed: u64,
    ) -> Self {
        let strategy = S::start(config, me, seed);
        Self(Box::new(Hosted::<S> { strategy, timers: Armed::default() }))
    }
}

type Given = Input<Incarnation, MembershipMessage, AnyTimer>;

/// A strategy of one type, without it.
trait Strategy: Debug + Send {
    fn handle(&mut self, now: Time, input: Given, fx: &mut dyn Speaks);
    fn me(&self) -> Incarnation;
    fn active(&self) -> Vec<Incarnation>;
    fn passive(&self) -> Vec<Incarnation>;
    fn lost(&self) -> Vec<Incarnation>;
    fn check(&self) -> Result<(), Violation>;
}

/// What it speaks to.
trait Speaks {
    fn send(&mut self, to: Incarnation, message: MembershipMessage);
    fn arm(&mut self, after: Duration, timer: AnyTimer);
    fn neighbor_up(&mut self, peer: Incarnation);
    fn neighbor_down(&mut self, peer: Incarnation, reason: DownReason);
    fn notify(&mut self, notice: Notice);
    fn mark(&mut self, mark: Mark);
}

type Of<S> = <S as MembershipStrategy>::Membership<Incarnation>;
type TimerOf<S> = <Of<S> as murmurate_membership::Membership>::Timer;

#[derive(Debug)]
struct Hosted<S: NodeMembership> {
    strategy: Of<S>,
    timers: Armed<TimerOf<S>>,
}

impl<S: NodeMembership> Strategy for Hosted<S> {
    fn handle(&mut self, now: Time, input: Given, fx: &mut dyn Speaks) {
        let input = match input {
            Input::Join(contacts) => Input::Join(contacts),
            Input::Receive { from, message } => {
                let Some(message) = message.own::<S>() else { return };
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
        self.strategy.handle(now, input, &mut Inside::<S> { fx, timers: &mut self.timers });
    }

    fn me(&self) -> Incarnation {
        self.strategy.me()
    }

    fn active(&self) -> Vec<Incarnation> {
        self.strategy.active().collect()
    }

    fn passive(&self) -> Vec<Incarnation> {
        self.strategy.passive().collect()
    }

    fn lost(&self) -> Vec<Incarnation> {
        self.strategy.lost().collect()
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}

/// What the strategy itself speaks to.
struct Inside<'a, S: NodeMembership> {
    fx: &'a mut dyn Speaks,
    timers: &'a mut Armed<TimerOf<S>>,
}

impl<S: NodeMembership> Effects<Of<S>> for Inside<'_, S> {
    fn send(
        &mut self,
        to: Incarnation,
        message: <Of<S> as murmurate_membership::Membership>::Message,
    ) {
        self.fx.send(to, MembershipMessage::of::<S>(message));
    }

    fn arm(&mut self, after: Duration, timer: TimerOf<S>) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn neighbor_up(&mut self, peer: Incarnation) {
        self.fx.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: Incarnation, reason: DownReason) {
        self.fx.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.fx.notify(notice);
    }

    fn mark(&mut self, mark: Mark) {
        self.fx.mark(mark);
    }
}

/// The host's effects, without their type.
struct Outside<'a, E>(&'a mut E);

impl<E: Effects<Membership>> Speaks for Outside<'_, E> {
    fn send(&mut self, to: Incarnation, message: MembershipMessage) {
        self.0.send(to, message);
    }

    fn arm(&mut self, after: Duration, timer: AnyTimer) {
        self.0.arm(after, timer);
    }

    fn neighbor_up(&mut self, peer: Incarnation) {
        self.0.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: Incarnation, reason: DownReason) {
        self.0.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.0.notify(notice);
    }

    fn mark(&mut self, mark: Mark) {
        self.0.mark(mark);
    }
}

impl murmurate_membership::Membership for Membership {
    type Peer = Incarnation;
    type Message = MembershipMessage;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Given, fx: &mut E) {
        self.0.handle(now, input, &mut Outside(fx));
    }

    fn me(&self) -> Incarnation {
        self.0.me()
    }

    fn active(&self) -> impl ExactSizeIterator<Item = Incarnation> + Clone {
        self.0.active().into_iter()
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = Incarnation> + Clone {
        self.0.passive().into_iter()
    }

    fn lost(&self) -> impl Iterator<Item = Incarnation> + Clone {
        self.0.lost().into_iter()
    }

    fn each_named(message: &MembershipMessage, visit: impl FnMut(Incarnation)) {
        message.named().into_iter().for_each(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        self.0.check()
    }
}
