//! A membership strategy of any type.

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::erased::{self, AnyMembershipMessage, AnyTimer, Boxed, ErasedMembership, Hosted};
use murmurate::membership::{Membership, Sizes, Wire};

use super::{Said, own, read_armed, save_armed};
use crate::engine::storage::{self, Garbled, OfMembership, Storage};
use crate::engine::strategy::SimMembership;
use crate::engine::watched::Watched;
use crate::model::node::Peer;

/// A membership strategy of any type.
pub type AnyMembership = erased::AnyMembership<Message>;

/// One that has not seen any input yet.
pub fn membership<M: SimMembership + Debug>(strategy: M) -> AnyMembership {
    const { assert!(M::Message::KINDS.len() <= Message::KINDS.len()) };
    AnyMembership { strategy: Box::new(Hosted::new(strategy)) }
}

/// What it says.
#[derive(Debug, Clone)]
pub struct Message(Box<dyn Said>);

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

impl<S, M: Said> Boxed<S, M> for Message {
    fn new(message: M) -> Self {
        Self(Box::new(message))
    }

    fn own(self) -> Option<M> {
        own(self.0)
    }
}

impl AnyMembershipMessage for Message {
    type Peer = Peer;
    type Strategy = dyn WatchedStrategy;

    /// Nobody sends addresses along.
    fn named(&self) -> Vec<Peer> {
        Vec::new()
    }
}

/// [`Watched`] as a trait object.
pub trait WatchedStrategy: Any + ErasedMembership<Message> + DynClone {
    /// See [`Watched::kinds`].
    fn kinds(&self) -> Vec<&'static str>;
    /// See [`Watched::spares_link`].
    fn spares_link(&self, from: Peer, message: &Message) -> bool;
    /// See [`Watched::replaces_failed`].
    fn replaces_failed(&self) -> bool;
    /// See [`Watched::looks_for_former`].
    fn looks_for_former(&self, peer: Peer) -> bool;
    /// See [`Watched::storage`].
    fn storage(&self) -> Option<OfMembership<AnyMembership>>;
}

dyn_clone::clone_trait_object!(WatchedStrategy);

impl<M: SimMembership + Debug> WatchedStrategy for Hosted<M, <M as Membership>::Timer> {
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

    fn storage(&self) -> Option<OfMembership<AnyMembership>> {
        Some(Box::new(Inside(self.strategy.storage()?)))
    }
}

/// Of a strategy behind the same type.
struct Inside<M: Membership>(OfMembership<M>);

type HostedOf<M> = Hosted<M, <M as Membership>::Timer>;

impl<M: SimMembership + Debug> Storage<AnyMembership, Message, AnyTimer> for Inside<M> {
    fn save(&self, state: &AnyMembership, into: &mut Vec<u8>) -> Result<(), Garbled> {
        let hosted: Option<&HostedOf<M>> = (&*state.strategy as &dyn Any).downcast_ref();
        let hosted = hosted.ok_or_else(Garbled::somehow)?;
        self.0.save(&hosted.strategy, into)?;
        save_armed(&hosted.timers, |timer, into| self.0.save_timer(timer, into), into)
    }

    fn restore(&self, state: &mut AnyMembership, from: &mut &[u8]) -> Result<(), Garbled> {
        let hosted: Option<&mut HostedOf<M>> =
            (&mut *state.strategy as &mut dyn Any).downcast_mut();
        let hosted = hosted.ok_or_else(Garbled::somehow)?;
        self.0.restore(&mut hosted.strategy, from)?;
        hosted.timers = read_armed(|from| self.0.read_timer(from), from)?;
        Ok(())
    }

    fn save_message(&self, message: &Message, into: &mut Vec<u8>) -> Result<(), Garbled> {
        let said = (&*message.0 as &dyn Any).downcast_ref().ok_or_else(Garbled::somehow)?;
        self.0.save_message(said, into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<Message, Garbled> {
        Ok(Message(Box::new(self.0.read_message(from)?)))
    }

    fn save_timer(&self, timer: &AnyTimer, into: &mut Vec<u8>) -> Result<(), Garbled> {
        storage::save(timer, into)
    }

    fn read_timer(&self, from: &mut &[u8]) -> Result<AnyTimer, Garbled> {
        storage::read(from)
    }
}

impl Watched for AnyMembership {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = self.strategy.kinds();
        kinds.resize(Message::KINDS.len(), "");
        kinds
    }

    fn spares_link(&self, from: Peer, message: &Message) -> bool {
        self.strategy.spares_link(from, message)
    }

    fn replaces_failed(&self) -> bool {
        self.strategy.replaces_failed()
    }

    fn looks_for_former(&self, peer: Peer) -> bool {
        self.strategy.looks_for_former(peer)
    }

    fn storage(&self) -> Option<OfMembership<Self>> {
        self.strategy.storage()
    }
}
