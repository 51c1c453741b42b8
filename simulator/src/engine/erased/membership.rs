//! A membership strategy of any type.

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::erased::{self, AnyMembershipMessage, Boxed, ErasedMembership, Hosted};
use murmurate::membership::{Membership, Sizes, Wire};

use super::{ErasedMessage, own};
use crate::engine::strategy::SimMembership;
use crate::engine::watched::Watched;
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
pub trait ErasedWatchedMembership: ErasedMembership<MembershipMessage> + DynClone {
    /// See [`Watched::kinds`].
    fn kinds(&self) -> Vec<&'static str>;
    /// See [`Watched::spares_link`].
    fn spares_link(&self, from: SimPeer, message: &MembershipMessage) -> bool;
    /// See [`Watched::replaces_failed`].
    fn replaces_failed(&self) -> bool;
    /// See [`Watched::looks_for_former`].
    fn looks_for_former(&self, peer: SimPeer) -> bool;
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
}
