//! A broadcast strategy of any type.

use std::any::Any;
use std::fmt::Debug;
use std::time::Duration;

use dyn_clone::DynClone;
use murmurate::armed::{AnyTimer, Armed};
use murmurate::broadcast::{Broadcast, Carries, Effects, Input, Mark, Origin, Seen, SeenBounds};
use murmurate::membership::{Sizes, Time, Violation, Wire};

use super::{Said, own};
use crate::engine::strategy::SimBroadcast;
use crate::engine::watched::WatchedBroadcast;
use crate::model::id::SimId;
use crate::model::node::Peer;

/// A broadcast strategy of any type. What it broadcasts is only counted.
#[derive(Debug)]
pub struct AnyBroadcast<I: SimId>(Box<dyn Strategy<I>>);

impl<I: SimId> AnyBroadcast<I> {
    /// One that has not seen any input yet.
    pub fn new<B: SimBroadcast<Id = I, Payload = ()> + Debug>(strategy: B) -> Self {
        const { assert!(B::Message::KINDS.len() <= Message::<I>::KINDS.len()) };
        Self(Box::new(Hosted { strategy, timers: Armed::default() }))
    }
}

impl<I: SimId> Clone for AnyBroadcast<I> {
    fn clone(&self) -> Self {
        Self(dyn_clone::clone_box(&*self.0))
    }
}

/// What it says.
#[derive(Debug)]
pub struct Message<I> {
    said: Box<dyn Said>,
    carries: Option<I>,
}

impl<I: Copy> Clone for Message<I> {
    fn clone(&self) -> Self {
        Self { said: self.said.copied(), carries: self.carries }
    }
}

impl<I> Wire for Message<I> {
    /// Their names are the strategy's: see [`WatchedBroadcast::kinds`].
    const KINDS: &'static [&'static str] = &[""; 12];

    fn kind(&self) -> usize {
        self.said.kind()
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.said.wire_len(sizes)
    }
}

impl<I: SimId> Carries<I> for Message<I> {
    type Payload = ();
    type Head = Self;

    fn carries(&self) -> Option<I> {
        self.carries
    }

    fn split(self) -> (Self, Option<()>) {
        let payload = self.carries.map(drop);
        (self, payload)
    }

    fn join(head: Self, payload: Option<()>) -> Option<Self> {
        (head.carries.is_some() == payload.is_some()).then_some(head)
    }
}

/// A strategy of one type, without it.
trait Strategy<I: SimId>: DynClone + Debug + Send {
    fn handle(&mut self, now: Time, input: Input<AnyBroadcast<I>>, fx: &mut dyn Speaks<I>);
    fn eager(&self) -> Vec<Peer>;
    fn lazy(&self) -> Vec<Peer>;
    fn seen(&self) -> &Seen<I>;
    fn seen_mut(&mut self) -> (&mut Seen<I>, SeenBounds);
    fn check(&self) -> Result<(), Violation>;
    fn kinds(&self) -> Vec<&'static str>;
    fn spares_links(&self, input: &Input<AnyBroadcast<I>>) -> bool;
    fn must_graft(&self, now: Time, input: &Input<AnyBroadcast<I>>) -> Option<Peer>;
}

/// What it speaks to.
trait Speaks<I: SimId> {
    fn send(&mut self, to: Peer, message: Message<I>);
    fn arm(&mut self, after: Duration, timer: AnyTimer);
    fn deliver(&mut self, id: I, hops: u16);
    fn deliver_past(&mut self, id: I, hops: u16);
    fn missed(&mut self, origin: I::Origin, count: u64);
    fn mark(&mut self, mark: Mark);
}

#[derive(Debug, Clone)]
struct Hosted<B: Broadcast> {
    strategy: B,
    timers: Armed<B::Timer>,
}

impl<B: SimBroadcast> Hosted<B> {
    /// What an input is to the strategy, for those who only look.
    fn seen_by_strategy(&self, input: &Input<AnyBroadcast<B::Id>>) -> Option<Input<B>>
    where
        B: Broadcast<Payload = ()>,
    {
        match input {
            Input::Receive { from, message } => {
                let message: &B::Message = (&*message.said as &dyn Any).downcast_ref()?;
                Some(Input::Receive { from: *from, message: message.clone() })
            }
            Input::Expired(timer) => Some(Input::Expired(*self.timers.get(*timer)?)),
            _ => None,
        }
    }
}

impl<B: SimBroadcast<Payload = ()> + Debug> Strategy<B::Id> for Hosted<B> {
    fn handle(&mut self, now: Time, input: Input<AnyBroadcast<B::Id>>, fx: &mut dyn Speaks<B::Id>) {
        let input = match input {
            Input::Publish { id, payload } => Input::Publish { id, payload },
            Input::Receive { from, message } => {
                let Some(message) = own(message.said) else { return };
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

    fn eager(&self) -> Vec<Peer> {
        self.strategy.eager().collect()
    }

    fn lazy(&self) -> Vec<Peer> {
        self.strategy.lazy().collect()
    }

    fn seen(&self) -> &Seen<B::Id> {
        self.strategy.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<B::Id>, SeenBounds) {
        self.strategy.seen_mut()
    }

    fn check(&self) -> Result<(), Violation> {
        self.strategy.check()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.strategy.kinds()
    }

    fn spares_links(&self, input: &Input<AnyBroadcast<B::Id>>) -> bool {
        self.seen_by_strategy(input).is_some_and(|input| self.strategy.spares_links(&input))
    }

    fn must_graft(&self, now: Time, input: &Input<AnyBroadcast<B::Id>>) -> Option<Peer> {
        self.strategy.must_graft(now, &self.seen_by_strategy(input)?)
    }
}

/// What the strategy itself speaks to.
struct Inside<'a, I: SimId, T> {
    fx: &'a mut dyn Speaks<I>,
    timers: &'a mut Armed<T>,
}

impl<B: SimBroadcast<Payload = ()>> Effects<B> for Inside<'_, B::Id, B::Timer> {
    fn send(&mut self, to: Peer, message: B::Message) {
        let carries = message.carries();
        self.fx.send(to, Message { said: Box::new(message), carries });
    }

    fn arm(&mut self, after: Duration, timer: B::Timer) {
        self.fx.arm(after, self.timers.put(timer));
    }

    fn deliver(&mut self, id: B::Id, hops: u16, (): ()) {
        self.fx.deliver(id, hops);
    }

    fn deliver_past(&mut self, id: B::Id, hops: u16, (): ()) {
        self.fx.deliver_past(id, hops);
    }

    fn missed(&mut self, origin: Origin<B>, count: u64) {
        self.fx.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        self.fx.mark(mark);
    }
}

/// The host's effects, without their type.
struct Outside<'a, E>(&'a mut E);

impl<I: SimId, E: Effects<AnyBroadcast<I>>> Speaks<I> for Outside<'_, E> {
    fn send(&mut self, to: Peer, message: Message<I>) {
        self.0.send(to, message);
    }

    fn arm(&mut self, after: Duration, timer: AnyTimer) {
        self.0.arm(after, timer);
    }

    fn deliver(&mut self, id: I, hops: u16) {
        self.0.deliver(id, hops, ());
    }

    fn deliver_past(&mut self, id: I, hops: u16) {
        self.0.deliver_past(id, hops, ());
    }

    fn missed(&mut self, origin: I::Origin, count: u64) {
        self.0.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        self.0.mark(mark);
    }
}

impl<I: SimId> Broadcast for AnyBroadcast<I> {
    type Peer = Peer;
    type Id = I;
    type Payload = ();
    type Message = Message<I>;
    type Timer = AnyTimer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        self.0.handle(now, input, &mut Outside(fx));
    }

    fn eager(&self) -> impl Iterator<Item = Peer> {
        self.0.eager().into_iter()
    }

    fn lazy(&self) -> impl Iterator<Item = Peer> {
        self.0.lazy().into_iter()
    }

    fn seen(&self) -> &Seen<I> {
        self.0.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<I>, SeenBounds) {
        self.0.seen_mut()
    }

    fn check(&self) -> Result<(), Violation> {
        self.0.check()
    }
}

impl<I: SimId> WatchedBroadcast for AnyBroadcast<I> {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = self.0.kinds();
        kinds.resize(Message::<I>::KINDS.len(), "");
        kinds
    }

    fn spares_links(&self, input: &Input<Self>) -> bool {
        self.0.spares_links(input)
    }

    fn must_graft(&self, now: Time, input: &Input<Self>) -> Option<Peer> {
        self.0.must_graft(now, input)
    }
}
