//! A membership strategy of any type.

use std::any::Any;
use std::fmt::Debug;
use std::time::Duration;

use dyn_clone::DynClone;
use murmurate::armed::{AnyTimer, Armed};
use murmurate::membership::{
    DownReason, Effects, Input, Mark, Membership, Notice, Sizes, Time, Violation, Wire,
};

use super::{Said, own};
use crate::engine::strategy::SimMembership;
use crate::engine::watched::Watched;
use crate::model::node::Peer;

/// A membership strategy of any type.
#[derive(Debug)]
pub struct AnyMembership(Box<dyn Strategy>);

impl AnyMembership {
    /// One that has not seen any input yet.
    pub fn new<M: SimMembership + Debug>(strategy: M) -> Self {
        const { assert!(M::Message::KINDS.len() <= Message::KINDS.len()) };
        Self(Box::new(Hosted { strategy, timers: Armed::default() }))
    }
}

impl Clone for AnyMembership {
    fn clone(&self) -> Self {
        Self(dyn_clone::clone_box(&*self.0))
    }
}

/// What it says.
#[derive(Debug)]
pub struct Message(Box<dyn Said>);

impl Clone for Message {
    fn clone(&self) -> Self {
        Self(self.0.copied())
    }
}

impl Wire for Message {
    /// Their names are the strategy's: see [`Watched::kinds`].
    const KINDS: &'static [&'static str] = &[""; 24];

    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.0.wire_len(sizes)
    }
}

/// A strategy of one type, without it.
trait Strategy: DynClone + Debug + Send {
    fn handle(&mut self, now: Time, input: Input<Peer, Message, AnyTimer>, fx: &mut dyn Speaks);
    fn me(&self) -> Peer;
    fn active(&self) -> Vec<Peer>;
    fn passive(&self) -> Vec<Peer>;
    fn lost(&self) -> Vec<Peer>;
    fn check(&self) -> Result<(), Violation>;
    fn kinds(&self) -> Vec<&'static str>;
    fn spares_link(&self, from: Peer, message: &Message) -> bool;
    fn replaces_failed(&self) -> bool;
    fn looks_for_former(&self, peer: Peer) -> bool;
}

/// What it speaks to.
trait Speaks {
    fn send(&mut self, to: Peer, message: Message);
    fn arm(&mut self, after: Duration, timer: AnyTimer);
    fn neighbor_up(&mut self, peer: Peer);
    fn neighbor_down(&mut self, peer: Peer, reason: DownReason);
    fn notify(&mut self, notice: Notice);
    fn mark(&mut self, mark: Mark);
}

#[derive(Debug, Clone)]
struct Hosted<M: Membership> {
    strategy: M,
    timers: Armed<M::Timer>,
}

impl<M: SimMembership + Debug> Strategy for Hosted<M> {
    fn handle(&mut self, now: Time, input: Input<Peer, Message, AnyTimer>, fx: &mut dyn Speaks) {
        let input = match input {
            Input::Join(contacts) => Input::Join(contacts),
            Input::Receive { from, message } => {
                let Some(message) = own(message.0) else { return };
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

    fn me(&self) -> Peer {
        self.strategy.me()
    }

    fn active(&self) -> Vec<Peer> {
        self.strategy.active().collect()
    }

    fn passive(&self) -> Vec<Peer> {
        self.strategy.passive().collect()
    }

    fn lost(&self) -> Vec<Peer> {
        self.strategy.lost().collect()
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.strategy.kinds()
    }

    fn spares_link(&self, from: Peer, message: &Message) -> bool {
        let message = (&*message.0 as &dyn Any).downcast_ref();
        message.is_some_and(|message| self.strategy.spares_link(from, message))
    }

    fn replaces_failed(&self) -> bool {
        self.strategy.replaces_failed()
    }

    fn looks_for_former(&self, peer: Peer) -> bool {
        self.strategy.looks_for_former(peer)
    }
}

/// What the strategy itself speaks to.
struct Inside<'a, T> {
    fx: &'a mut dyn Speaks,
    timers: &'a mut Armed<T>,
}

impl<M: SimMembership> Effects<M> for Inside<'_, M::Timer> {
    fn send(&mut self, to: Peer, message: M::Message) {
        self.fx.send(to, Message(Box::new(message)));
    }

    fn arm(&mut self, after: Duration, timer: M::Timer) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn neighbor_up(&mut self, peer: Peer) {
        self.fx.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: Peer, reason: DownReason) {
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

impl<E: Effects<AnyMembership>> Speaks for Outside<'_, E> {
    fn send(&mut self, to: Peer, message: Message) {
        self.0.send(to, message);
    }

    fn arm(&mut self, after: Duration, timer: AnyTimer) {
        self.0.arm(after, timer);
    }

    fn neighbor_up(&mut self, peer: Peer) {
        self.0.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: Peer, reason: DownReason) {
        self.0.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.0.notify(notice);
    }

    fn mark(&mut self, mark: Mark) {
        self.0.mark(mark);
    }
}

impl Membership for AnyMembership {
    type Peer = Peer;
    type Message = Message;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(
        &mut self,
        now: Time,
        input: Input<Peer, Message, AnyTimer>,
        fx: &mut E,
    ) {
        self.0.handle(now, input, &mut Outside(fx));
    }

    fn me(&self) -> Peer {
        self.0.me()
    }

    fn active(&self) -> impl ExactSizeIterator<Item = Peer> + Clone {
        self.0.active().into_iter()
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = Peer> + Clone {
        self.0.passive().into_iter()
    }

    fn lost(&self) -> impl Iterator<Item = Peer> + Clone {
        self.0.lost().into_iter()
    }

    /// Nobody sends addresses along.
    fn each_named(_message: &Message, _visit: impl FnMut(Peer)) {}

    fn check(&self) -> Result<(), Violation> {
        self.0.check()
    }
}

impl Watched for AnyMembership {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = self.0.kinds();
        kinds.resize(Message::KINDS.len(), "");
        kinds
    }

    fn spares_link(&self, from: Peer, message: &Message) -> bool {
        self.0.spares_link(from, message)
    }

    fn replaces_failed(&self) -> bool {
        self.0.replaces_failed()
    }

    fn looks_for_former(&self, peer: Peer) -> bool {
        self.0.looks_for_former(peer)
    }
}
