//! A broadcast strategy of any type.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use murmurate_broadcast::{
    self as broadcasts, Broadcast as _, BroadcastStrategy, Effects, Mark, Seen, SeenBounds,
};
use murmurate_membership::{Time, Violation};

use crate::armed::{AnyTimer, Armed};
use crate::id::{Incarnation, MessageId};
use crate::node::wire::{InnerMessage, NodeBroadcast, Publication};

/// A node's broadcast strategy.
#[derive(Debug)]
pub(crate) struct Tree(Box<dyn Strategy>);

impl Tree {
    pub(super) fn start<S: NodeBroadcast>(config: &Arc<S::Config>) -> Self {
        Self(Box::new(Hosted::<S> { strategy: S::start(config), timers: Armed::default() }))
    }
}

type Given = broadcasts::Input<Tree>;

/// A strategy of one type, without it.
trait Strategy: Debug + Send {
    fn handle(&mut self, now: Time, input: Given, fx: &mut dyn Speaks);
    fn eager(&self) -> Vec<Incarnation>;
    fn lazy(&self) -> Vec<Incarnation>;
    fn seen(&self) -> &Seen<MessageId>;
    fn seen_mut(&mut self) -> (&mut Seen<MessageId>, SeenBounds);
    fn check(&self) -> Result<(), Violation>;
}

/// What it speaks to.
trait Speaks {
    fn send(&mut self, to: Incarnation, message: InnerMessage);
    fn arm(&mut self, after: Duration, timer: AnyTimer);
    fn deliver(&mut self, id: MessageId, hops: u16, payload: Publication);
    fn deliver_past(&mut self, id: MessageId, hops: u16, payload: Publication);
    fn missed(&mut self, origin: Incarnation, count: u64);
    fn mark(&mut self, mark: Mark);
}

type Of<S> = <S as BroadcastStrategy>::Broadcast<Incarnation, MessageId, Publication>;
type TimerOf<S> = <Of<S> as broadcasts::Broadcast>::Timer;

#[derive(Debug)]
struct Hosted<S: NodeBroadcast> {
    strategy: Of<S>,
    timers: Armed<TimerOf<S>>,
}

impl<S: NodeBroadcast> Strategy for Hosted<S> {
    fn handle(&mut self, now: Time, input: Given, fx: &mut dyn Speaks) {
        use broadcasts::Input;
        let input = match input {
            Input::Publish { id, payload } => Input::Publish { id, payload },
            Input::Receive { from, message } => {
                let Some(message) = message.own::<S>() else { return };
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
        self.strategy.handle(now, input, &mut Inside::<S> { fx, timers: &mut self.timers });
    }

    fn eager(&self) -> Vec<Incarnation> {
        self.strategy.eager().collect()
    }

    fn lazy(&self) -> Vec<Incarnation> {
        self.strategy.lazy().collect()
    }

    fn seen(&self) -> &Seen<MessageId> {
        self.strategy.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<MessageId>, SeenBounds) {
        self.strategy.seen_mut()
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }
}

/// What the strategy itself speaks to.
struct Inside<'a, S: NodeBroadcast> {
    fx: &'a mut dyn Speaks,
    timers: &'a mut Armed<TimerOf<S>>,
}

impl<S: NodeBroadcast> Effects<Of<S>> for Inside<'_, S> {
    fn send(&mut self, to: Incarnation, message: <Of<S> as broadcasts::Broadcast>::Message) {
        self.fx.send(to, InnerMessage::of::<S>(message));
    }

    fn arm(&mut self, after: Duration, timer: TimerOf<S>) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn deliver(&mut self, id: MessageId, hops: u16, payload: Publication) {
        self.fx.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: MessageId, hops: u16, payload: Publication) {
        self.fx.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: Incarnation, count: u64) {
        self.fx.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        self.fx.mark(mark);
    }
}

/// The host's effects, without their type.
struct Outside<'a, E>(&'a mut E);

impl<E: Effects<Tree>> Speaks for Outside<'_, E> {
    fn send(&mut self, to: Incarnation, message: InnerMessage) {
        self.0.send(to, message);
    }

    fn arm(&mut self, after: Duration, timer: AnyTimer) {
        self.0.arm(after, timer);
    }

    fn deliver(&mut self, id: MessageId, hops: u16, payload: Publication) {
        self.0.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: MessageId, hops: u16, payload: Publication) {
        self.0.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: Incarnation, count: u64) {
        self.0.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        self.0.mark(mark);
    }
}

impl broadcasts::Broadcast for Tree {
    type Peer = Incarnation;
    type Id = MessageId;
    type Payload = Publication;
    type Message = InnerMessage;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Given, fx: &mut E) {
        self.0.handle(now, input, &mut Outside(fx));
    }

    fn eager(&self) -> impl Iterator<Item = Incarnation> {
        self.0.eager().into_iter()
    }

    fn lazy(&self) -> impl Iterator<Item = Incarnation> {
        self.0.lazy().into_iter()
    }

    fn seen(&self) -> &Seen<MessageId> {
        self.0.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<MessageId>, SeenBounds) {
        self.0.seen_mut()
    }

    fn check(&self) -> Result<(), Violation> {
        self.0.check()
    }
}
