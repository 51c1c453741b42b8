//! The stack that a node runs, of the strategies that it can run. All nodes of an overlay run the same:
//! their hellos say which.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use either::Either;
use murmurate_broadcast::{self as broadcasts, AntiEntropy, Flood, Plumtree, flood, plumtree};
use murmurate_membership::{self as membership, FullMesh, HyParView, full_mesh, hyparview};

use super::services::{self, ServiceTimer};
use super::wire::{Publication, ServiceMessage};
use crate::id::{Incarnation, MessageId};
use crate::router;

pub(crate) type Membership = Either<HyParView<Incarnation>, FullMesh<Incarnation>>;
pub(crate) type Tree = Either<
    Plumtree<Incarnation, MessageId, Publication>,
    Flood<Incarnation, MessageId, Publication>,
>;

pub(crate) type Broadcast = AntiEntropy<Tree>;
pub(crate) type Router = router::Router<Incarnation, Bytes>;
/// The node's own, and the application's.
pub(crate) type Services = (Router, services::Services);
pub(crate) type Stack = crate::Stack<Membership, Broadcast, Services>;
pub(crate) type Input = crate::Input<Membership, Broadcast, Services>;
pub(crate) type BroadcastMessage = <Broadcast as broadcasts::Broadcast>::Message;
pub(crate) type RouterMessage = router::MessageOf<Incarnation, Bytes>;
pub(crate) type Message = crate::Message<
    <Membership as membership::Membership>::Message,
    BroadcastMessage,
    Either<RouterMessage, ServiceMessage>,
>;
pub(crate) type Timer = crate::Timer<
    <Membership as membership::Membership>::Timer,
    <Broadcast as broadcasts::Broadcast>::Timer,
    Either<router::Timer, ServiceTimer>,
>;

/// The names of the kinds of messages, by [`Message::kind`].
pub(crate) const KINDS: [&str; Message::KINDS] = {
    let mut kinds = [""; Message::KINDS];
    let mut at = 0;
    while at < kinds.len() {
        kinds[at] = Message::kind_name(at);
        at += 1;
    }
    kinds
};

/// Who a node's neighbours are: a strategy with its parameters. They turn into it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipParameters {
    /// A few neighbours, however many nodes there are.
    HyParView(hyparview::Parameters),
    /// Every node: up to some 50 of them.
    FullMesh(full_mesh::Parameters),
}

/// How a broadcast reaches everyone: a strategy with its parameters. They turn into it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastParameters {
    /// Along a tree.
    Plumtree(plumtree::Parameters),
    /// On every link.
    Flood(flood::Config),
}

impl From<hyparview::Parameters> for MembershipParameters {
    fn from(parameters: hyparview::Parameters) -> Self {
        Self::HyParView(parameters)
    }
}

impl From<full_mesh::Parameters> for MembershipParameters {
    fn from(parameters: full_mesh::Parameters) -> Self {
        Self::FullMesh(parameters)
    }
}

impl From<plumtree::Parameters> for BroadcastParameters {
    fn from(parameters: plumtree::Parameters) -> Self {
        Self::Plumtree(parameters)
    }
}

impl From<flood::Config> for BroadcastParameters {
    fn from(config: flood::Config) -> Self {
        Self::Flood(config)
    }
}

/// What was chosen, checked.
#[derive(Debug)]
pub(crate) struct Strategies {
    pub(crate) membership: Either<Arc<hyparview::Config>, Arc<full_mesh::Config>>,
    pub(crate) broadcast: Either<Arc<plumtree::Config>, Arc<flood::Config>>,
}

impl MembershipParameters {
    /// Connections that its neighbours need at least.
    pub(crate) fn neighbors(&self) -> usize {
        match self {
            Self::HyParView(parameters) => parameters.active_capacity,
            Self::FullMesh(_) => 1,
        }
    }
}

impl Strategies {
    /// As hellos say it.
    pub(crate) fn name(&self) -> &'static str {
        match (self.membership.is_left(), self.broadcast.is_left()) {
            (true, true) => "hyparview/plumtree",
            (true, false) => "hyparview/flood",
            (false, true) => "full-mesh/plumtree",
            (false, false) => "full-mesh/flood",
        }
    }

    /// How often whoever fell silent is tried again at least, if at all.
    pub(crate) fn reunion(&self) -> Option<Duration> {
        match &self.membership {
            Either::Left(config) => config.reunion_interval,
            Either::Right(config) => Some(config.redial_pause),
        }
    }

    pub(crate) fn membership(&self, me: Incarnation, seed: u64) -> Membership {
        match &self.membership {
            Either::Left(config) => Either::Left(HyParView::new(me, Arc::clone(config), seed)),
            Either::Right(config) => Either::Right(FullMesh::new(me, Arc::clone(config), seed)),
        }
    }

    pub(crate) fn broadcast(&self) -> Tree {
        match &self.broadcast {
            Either::Left(config) => Either::Left(Plumtree::new(Arc::clone(config))),
            Either::Right(config) => Either::Right(Flood::new(Arc::clone(config))),
        }
    }
}
