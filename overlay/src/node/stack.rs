//! The stack that a node runs, of any strategies. All nodes of an overlay run the same: their hellos
//! say which.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use either::Either;
use murmurate_broadcast::{self as broadcasts, AntiEntropy, Mark, anti_entropy};
use murmurate_membership::{self as memberships, ConfigError, MembershipStrategy, Strategy, Wire};

use super::services::{self, ServiceTimer};
use super::wire::{
    Codec, InnerMessage, MembershipMessage, NodeBroadcast, NodeMembership, ServiceMessage,
};
use crate::erased::{AnyBroadcast, AnyMembership, Hosted};
use crate::id::Incarnation;
use crate::router;

pub(crate) type Membership = AnyMembership<MembershipMessage>;
pub(crate) type Tree = AnyBroadcast<InnerMessage>;
pub(crate) type Broadcast = AntiEntropy<Tree>;
pub(crate) type Router = router::Router<Incarnation, Bytes>;
/// The node's own, and the application's.
pub(crate) type Services = (Router, services::Services);
pub(crate) type Stack = crate::Stack<Membership, Broadcast, Services>;
pub(crate) type Input = crate::stack::Input<Membership, Broadcast, Services>;
pub(crate) type BroadcastMessage = <Broadcast as broadcasts::Broadcast>::Message;
pub(crate) type RouterMessage = router::MessageOf<Incarnation, Bytes>;
pub(crate) type Message = crate::stack::Message<
    <Membership as memberships::Membership>::Message,
    BroadcastMessage,
    Either<RouterMessage, ServiceMessage>,
>;
pub(crate) type Timer = crate::stack::Timer<
    <Membership as memberships::Membership>::Timer,
    <Broadcast as broadcasts::Broadcast>::Timer,
    Either<router::Timer, ServiceTimer>,
>;

/// The names of the kinds of messages, by [`Message::kind`]; those that the strategies do not have are
/// empty.
pub(crate) fn kinds(codec: &Codec) -> Vec<&'static str> {
    let mut kinds: Vec<_> = (0..Message::KINDS).map(Message::kind_name).collect();
    let membership = <<Membership as memberships::Membership>::Message as Wire>::KINDS.len();
    for (at, of) in [0, membership].into_iter().zip(codec.kinds) {
        kinds[at..at + of.len()].copy_from_slice(of);
    }
    kinds
}

/// A membership strategy that was chosen, with its parameters.
pub(crate) trait ChosenMembership: Debug + Send + Sync {
    /// Checks the parameters.
    fn check(&self) -> Result<StartMembership, ConfigError>;
    fn name(&self) -> &'static str;
    fn marks(&self) -> Vec<Mark>;
    /// Reads its messages.
    fn codec(&self) -> Codec;
    /// Connections that a node must be able to hold for it.
    fn least_connections(&self) -> usize;
    /// Whether a node that starts again does without the peers that it remembers.
    fn keeps_to_contacts(&self) -> bool;
    /// How often whoever fell silent is tried again at least, if at all.
    fn retry_interval(&self) -> Option<Duration>;
}

/// A broadcast strategy that was chosen, with its parameters.
pub(crate) trait ChosenBroadcast: Debug + Send + Sync {
    /// Checks the parameters.
    fn check(&self) -> Result<StartBroadcast, ConfigError>;
    fn name(&self) -> &'static str;
    fn marks(&self) -> Vec<Mark>;
    /// The same that reads its messages, too.
    fn codec(&self, membership: Codec) -> Codec;
}

pub(crate) type StartMembership = Box<dyn Fn(Incarnation, u64) -> Membership + Send + Sync>;
pub(crate) type StartBroadcast = Box<dyn Fn(u64) -> Tree + Send + Sync>;

impl<S: NodeMembership> ChosenMembership for S {
    fn check(&self) -> Result<StartMembership, ConfigError> {
        let config = Arc::new(Strategy::check(self.clone())?);
        Ok(Box::new(move |me, seed| Membership {
            strategy: Box::new(Hosted::new(S::start(&config, me, seed))),
        }))
    }

    fn name(&self) -> &'static str {
        S::NAME
    }

    fn marks(&self) -> Vec<Mark> {
        S::MARKS.concat()
    }

    fn codec(&self) -> Codec {
        Codec::of_membership::<S>()
    }

    fn least_connections(&self) -> usize {
        MembershipStrategy::least_connections(self)
    }

    fn keeps_to_contacts(&self) -> bool {
        S::KEEPS_TO_CONTACTS
    }

    fn retry_interval(&self) -> Option<Duration> {
        MembershipStrategy::retry_interval(self)
    }
}

impl<S: NodeBroadcast> ChosenBroadcast for S {
    fn check(&self) -> Result<StartBroadcast, ConfigError> {
        let config = Arc::new(Strategy::check(self.clone())?);
        Ok(Box::new(move |seed| Tree { strategy: Box::new(Hosted::new(S::start(&config, seed))) }))
    }

    fn name(&self) -> &'static str {
        S::NAME
    }

    fn marks(&self) -> Vec<Mark> {
        S::MARKS.concat()
    }

    fn codec(&self, membership: Codec) -> Codec {
        membership.with_broadcast::<S>()
    }
}

/// What was chosen, checked.
pub(crate) struct Strategies {
    pub(crate) membership: StartMembership,
    pub(crate) broadcast: StartBroadcast,
    pub(crate) codec: Codec,
    /// As hellos say it.
    pub(crate) name: Arc<str>,
    /// Whether a node that starts again does without the peers that it remembers.
    pub(crate) keeps_to_contacts: bool,
    /// How often whoever fell silent is tried again at least, if at all.
    pub(crate) retry_interval: Option<Duration>,
    /// Branches in which something is dropped.
    pub(crate) losses: Vec<Mark>,
}

impl Strategies {
    /// `membership` and `broadcast` are what their own checks gave.
    pub(crate) fn new(
        (chosen_membership, membership): (&dyn ChosenMembership, StartMembership),
        (chosen_broadcast, broadcast): (&dyn ChosenBroadcast, StartBroadcast),
    ) -> Self {
        let mut losses = chosen_membership.marks();
        losses.extend(chosen_broadcast.marks());
        losses.extend(anti_entropy::marks::ALL);
        losses.retain(|mark| mark.is_loss());
        losses.sort_unstable();
        losses.dedup();
        Self {
            membership,
            broadcast,
            codec: chosen_broadcast.codec(chosen_membership.codec()),
            name: [chosen_membership.name(), chosen_broadcast.name()].join("/").into(),
            keeps_to_contacts: chosen_membership.keeps_to_contacts(),
            retry_interval: chosen_membership.retry_interval(),
            losses,
        }
    }
}
