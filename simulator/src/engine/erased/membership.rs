//! A membership strategy of any type.

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::erased::{self, AnyMembershipMessage, AnyTimer, Boxed, ErasedMembership, Hosted};
use murmurate::membership::{Membership, Sizes, Wire};

use super::{ErasedMessage, own, read_armed, save_armed};
use crate::engine::storage::{self, Garbled, OfMembership, Storage};
use crate::engine::strategy::SimMembership;
use crate::engine::watched::Watched;
use crate::model::eclipse::Attacker;
use crate::model::node::SimPeer;

/// A membership strategy of any type.
pub type AnyMembership = erased::AnyMembership<MembershipMessage>;

/// One that has not seen any input yet.
pub fn membership<M: SimMembership + Debug>(strategy: M) -> AnyMembership {
    const { assert!(M::Message::KINDS.len() <= MembershipMessage::KINDS.len()) };
    AnyMembership { strategy: Box::new(Hosted::new(strategy)) }
}

/// What it says.
#[derive(Debug, Clone)]
pub struct MembershipMessage(Box<dyn ErasedMessage>);

impl Wire for MembershipMessage {
    /// Their names are the strategy's: see [`Watched::kinds`].
    const KINDS: &'static [&'static str] = &[""; 24];

    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.0.wire_len(sizes)
    }
}

impl<S, M: ErasedMessage> Boxed<S, M> for MembershipMessage {
    fn new(message: M) -> Self {
        Self(Box::new(message))
    }

    fn own(self) -> Option<M> {
        own(self.0)
    }
}

impl AnyMembershipMessage for MembershipMessage {
    type Peer = SimPeer;
    type Strategy = dyn ErasedWatchedMembership;

    /// Messages carry no addresses.
    fn named(&self) -> Vec<SimPeer> {
        Vec::new()
    }
}

/// [`Watched`] as a trait object.
pub trait ErasedWatchedMembership: Any + ErasedMembership<MembershipMessage> + DynClone {
    /// See [`Watched::kinds`].
    fn kinds(&self) -> Vec<&'static str>;
    /// See [`Watched::spares_link`].
    fn spares_link(&self, from: SimPeer, message: &MembershipMessage) -> bool;
    /// See [`Watched::replaces_failed`].
    fn replaces_failed(&self) -> bool;
    /// See [`Watched::looks_for_former`].
    fn looks_for_former(&self, peer: SimPeer) -> bool;
    /// See [`Watched::eclipse`].
    fn eclipse(
        &self,
        heard: Option<(SimPeer, &MembershipMessage)>,
        attacker: &mut Attacker<'_>,
    ) -> Vec<(SimPeer, MembershipMessage)>;
    /// See [`Watched::storage`].
    fn storage(&self) -> Option<OfMembership<AnyMembership>>;
}

dyn_clone::clone_trait_object!(ErasedWatchedMembership);

impl<M: SimMembership + Debug> ErasedWatchedMembership for Hosted<M, <M as Membership>::Timer> {
    fn kinds(&self) -> Vec<&'static str> {
        self.strategy.kinds()
    }

    fn spares_link(&self, from: SimPeer, message: &MembershipMessage) -> bool {
        let message = (&*message.0 as &dyn Any).downcast_ref();
        message.is_some_and(|message| self.strategy.spares_link(from, message))
    }

    fn replaces_failed(&self) -> bool {
        self.strategy.replaces_failed()
    }

    fn looks_for_former(&self, peer: SimPeer) -> bool {
        self.strategy.looks_for_former(peer)
    }

    fn eclipse(
        &self,
        heard: Option<(SimPeer, &MembershipMessage)>,
        attacker: &mut Attacker<'_>,
    ) -> Vec<(SimPeer, MembershipMessage)> {
        let heard = match heard {
            None => None,
            Some((from, message)) => match (&*message.0 as &dyn Any).downcast_ref() {
                None => return Vec::new(),
                Some(message) => Some((from, message)),
            },
        };
        let said = self.strategy.eclipse(heard, attacker).into_iter();
        said.map(|(to, message)| (to, MembershipMessage(Box::new(message)))).collect()
    }

    fn storage(&self) -> Option<OfMembership<AnyMembership>> {
        Some(Box::new(Inside(self.strategy.storage()?)))
    }
}

/// Of a strategy behind the same type.
struct Inside<M: Membership>(OfMembership<M>);

type HostedOf<M> = Hosted<M, <M as Membership>::Timer>;

impl<M: SimMembership + Debug> Storage<AnyMembership, MembershipMessage, AnyTimer> for Inside<M> {
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

    fn save_message(&self, message: &MembershipMessage, into: &mut Vec<u8>) -> Result<(), Garbled> {
        let said = (&*message.0 as &dyn Any).downcast_ref().ok_or_else(Garbled::somehow)?;
        self.0.save_message(said, into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<MembershipMessage, Garbled> {
        Ok(MembershipMessage(Box::new(self.0.read_message(from)?)))
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
        kinds.resize(MembershipMessage::KINDS.len(), "");
        kinds
    }

    fn spares_link(&self, from: SimPeer, message: &MembershipMessage) -> bool {
        self.strategy.spares_link(from, message)
    }

    fn replaces_failed(&self) -> bool {
        self.strategy.replaces_failed()
    }

    fn looks_for_former(&self, peer: SimPeer) -> bool {
        self.strategy.looks_for_former(peer)
    }

    fn eclipse(
        &self,
        heard: Option<(SimPeer, &MembershipMessage)>,
        attacker: &mut Attacker<'_>,
    ) -> Vec<(SimPeer, MembershipMessage)> {
        self.strategy.eclipse(heard, attacker)
    }

    fn storage(&self) -> Option<OfMembership<Self>> {
        self.strategy.storage()
    }
}
