//! A broadcast strategy of any type.

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::broadcast::{Broadcast, Carries, Input};
use murmurate::erased::{self, AnyBroadcastMessage, AnyTimer, Boxed, ErasedBroadcast, Hosted};
use murmurate::membership::{Sizes, Time, Wire};

use super::{ErasedMessage, own, read_armed, save_armed};
use crate::engine::storage::{self, Garbled, OfBroadcast, Storage};
use crate::engine::strategy::SimBroadcast;
use crate::engine::watched::WatchedBroadcast;
use crate::model::id::SimId;
use crate::model::node::SimPeer;

/// A broadcast strategy of any type. What it broadcasts is only counted.
pub type AnyBroadcast<I> = erased::AnyBroadcast<BroadcastMessage<I>>;

/// One that has not seen any input yet.
pub fn broadcast<I, B>(strategy: B) -> AnyBroadcast<I>
where
    I: SimId,
    B: SimBroadcast<Id = I, Payload = ()> + Debug,
{
    const { assert!(B::Message::KINDS.len() <= BroadcastMessage::<I>::KINDS.len()) };
    AnyBroadcast::<I> { strategy: Box::new(Hosted::new(strategy)) }
}

/// What it says.
#[derive(Debug, Clone)]
pub struct BroadcastMessage<I> {
    said: Box<dyn ErasedMessage>,
    carries: Option<I>,
    is_repair: bool,
}

impl<I> Wire for BroadcastMessage<I> {
    /// Their names are the strategy's: see [`WatchedBroadcast::kinds`].
    const KINDS: &'static [&'static str] = &[""; 12];

    fn kind(&self) -> usize {
        self.said.kind()
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.said.wire_len(sizes)
    }
}

impl<I: SimId> Carries<I> for BroadcastMessage<I> {
    type Payload = ();
    type Head = Self;

    fn carries(&self) -> Option<I> {
        self.carries
    }

    fn payload(&self) -> Option<&()> {
        self.carries.map(|_| &())
    }

    fn is_repair(&self) -> bool {
        self.is_repair
    }

    fn split(self) -> (Self, Option<()>) {
        let payload = self.carries.map(drop);
        (self, payload)
    }

    fn join(head: Self, payload: Option<()>) -> Option<Self> {
        (head.carries.is_some() == payload.is_some()).then_some(head)
    }
}

impl<I, S, M: ErasedMessage + Carries<I>> Boxed<S, M> for BroadcastMessage<I> {
    fn new(message: M) -> Self {
        let (carries, is_repair) = (message.carries(), message.is_repair());
        Self { said: Box::new(message), carries, is_repair }
    }

    fn own(self) -> Option<M> {
        own(self.said)
    }
}

impl<I: SimId> AnyBroadcastMessage for BroadcastMessage<I> {
    type Peer = SimPeer;
    type Id = I;
    type Payload = ();
    type Strategy = dyn ErasedWatchedBroadcast<I>;
}

/// [`WatchedBroadcast`] as a trait object.
pub trait ErasedWatchedBroadcast<I: SimId>:
    Any + ErasedBroadcast<BroadcastMessage<I>> + DynClone
{
    /// See [`WatchedBroadcast::kinds`].
    fn kinds(&self) -> Vec<&'static str>;
    /// See [`WatchedBroadcast::spares_links`].
    fn spares_links(&self, input: &Input<AnyBroadcast<I>>) -> bool;
    /// See [`WatchedBroadcast::must_graft`].
    fn must_graft(&self, now: Time, input: &Input<AnyBroadcast<I>>) -> Option<SimPeer>;
    /// See [`WatchedBroadcast::storage`].
    fn storage(&self) -> Option<OfBroadcast<AnyBroadcast<I>>>;
}

dyn_clone::clone_trait_object!(<I> ErasedWatchedBroadcast<I> where I: SimId);

/// What an input is to the strategy, for those who only look.
fn look<I: SimId, B: Broadcast<Peer = SimPeer>>(
    hosted: &Hosted<B, B::Timer>,
    input: &Input<AnyBroadcast<I>>,
) -> Option<Input<B>> {
    match input {
        Input::Receive { from, message } => {
            let message: &B::Message = (&*message.said as &dyn Any).downcast_ref()?;
            Some(Input::Receive { from: *from, message: message.clone() })
        }
        Input::Expired(timer) => Some(Input::Expired(*hosted.timers.get(*timer)?)),
        _ => None,
    }
}

impl<I, B> ErasedWatchedBroadcast<I> for Hosted<B, <B as Broadcast>::Timer>
where
    I: SimId,
    B: SimBroadcast<Id = I, Payload = ()> + Debug,
{
    fn kinds(&self) -> Vec<&'static str> {
        self.strategy.kinds()
    }

    fn spares_links(&self, input: &Input<AnyBroadcast<I>>) -> bool {
        look(self, input).is_some_and(|input| self.strategy.spares_links(&input))
    }

    fn must_graft(&self, now: Time, input: &Input<AnyBroadcast<I>>) -> Option<SimPeer> {
        self.strategy.must_graft(now, &look(self, input)?)
    }

    fn storage(&self) -> Option<OfBroadcast<AnyBroadcast<I>>> {
        Some(Box::new(Inside(self.strategy.storage()?)))
    }
}

/// Of a strategy behind the same type.
struct Inside<B: Broadcast>(OfBroadcast<B>);

type HostedOf<B> = Hosted<B, <B as Broadcast>::Timer>;

impl<I, B> Storage<AnyBroadcast<I>, BroadcastMessage<I>, AnyTimer> for Inside<B>
where
    I: SimId,
    B: SimBroadcast<Id = I, Payload = ()> + Debug,
{
    fn save(&self, state: &AnyBroadcast<I>, into: &mut Vec<u8>) -> Result<(), Garbled> {
        let hosted: Option<&HostedOf<B>> = (&*state.strategy as &dyn Any).downcast_ref();
        let hosted = hosted.ok_or_else(Garbled::somehow)?;
        self.0.save(&hosted.strategy, into)?;
        save_armed(&hosted.timers, |timer, into| self.0.save_timer(timer, into), into)
    }

    fn restore(&self, state: &mut AnyBroadcast<I>, from: &mut &[u8]) -> Result<(), Garbled> {
        let hosted: Option<&mut HostedOf<B>> =
            (&mut *state.strategy as &mut dyn Any).downcast_mut();
        let hosted = hosted.ok_or_else(Garbled::somehow)?;
        self.0.restore(&mut hosted.strategy, from)?;
        hosted.timers = read_armed(|from| self.0.read_timer(from), from)?;
        Ok(())
    }

    fn save_message(
        &self,
        message: &BroadcastMessage<I>,
        into: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        let said = (&*message.said as &dyn Any).downcast_ref().ok_or_else(Garbled::somehow)?;
        self.0.save_message(said, into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<BroadcastMessage<I>, Garbled> {
        self.0.read_message(from).map(Boxed::<(), B::Message>::new)
    }

    fn save_timer(&self, timer: &AnyTimer, into: &mut Vec<u8>) -> Result<(), Garbled> {
        storage::save(timer, into)
    }

    fn read_timer(&self, from: &mut &[u8]) -> Result<AnyTimer, Garbled> {
        storage::read(from)
    }
}

impl<I: SimId> WatchedBroadcast for AnyBroadcast<I> {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = self.strategy.kinds();
        kinds.resize(BroadcastMessage::<I>::KINDS.len(), "");
        kinds
    }

    fn spares_links(&self, input: &Input<Self>) -> bool {
        self.strategy.spares_links(input)
    }

    fn must_graft(&self, now: Time, input: &Input<Self>) -> Option<SimPeer> {
        self.strategy.must_graft(now, input)
    }

    fn storage(&self) -> Option<OfBroadcast<Self>> {
        self.strategy.storage()
    }
}

#[cfg(test)]
mod tests {
    use murmurate::broadcast::plumtree;

    use super::*;

    #[test]
    fn a_boxed_message_carries_what_its_strategy_says() {
        let said = [
            plumtree::Message::Gossip { id: 7, round: 1, payload: () },
            plumtree::Message::Repair { id: 7, round: 1, payload: () },
            plumtree::Message::Prune,
        ];
        for message in said {
            let boxed: BroadcastMessage<u32> = Boxed::<(), _>::new(message.clone());
            assert_eq!(boxed.carries(), message.carries());
            assert_eq!(boxed.is_repair(), message.is_repair());
            assert_eq!(Boxed::<(), _>::own(boxed), Some(message));
        }
    }
}
