//! Which protocols the nodes run.

use std::sync::Arc;

use murmurate::broadcast::{
    AntiEntropy, Broadcast, Flood, Payload, Plumtree, anti_entropy, flood, plumtree,
};
use murmurate::membership::{FullMesh, HyParView, Membership, full_mesh, hyparview};
use murmurate::service::Service;
use murmurate::{Input, Message, Stack, Timer};

use crate::model::id::{BroadcastId, SimId};
use crate::model::node::Peer;

pub use crate::engine::watched::Watched;

/// A strategy the simulator can run as membership.
pub trait SimMembership:
    Membership<Peer = Peer, Message: Clone + Send, Timer: Send> + Watched + Clone + Send + 'static
{
}
impl<M> SimMembership for M where
    M: Membership<Peer = Peer, Message: Clone + Send, Timer: Send>
        + Watched
        + Clone
        + Send
        + 'static
{
}

/// A strategy the simulator can run as broadcast: broadcasts are numbered.
pub trait SimBroadcast:
    Broadcast<Peer = Peer, Id: SimId, Payload: SimPayload, Message: Clone + Send, Timer: Send>
    + Clone
    + Send
    + 'static
{
}
impl<B> SimBroadcast for B where
    B: Broadcast<Peer = Peer, Id: SimId, Payload: SimPayload, Message: Clone + Send, Timer: Send>
        + Clone
        + Send
        + 'static
{
}

/// What simulated broadcasts carry.
pub trait SimPayload: Payload + Send + 'static {
    /// What a workload publishes.
    fn of_workload() -> Self;
}

/// What is broadcast is only counted, unless a service needs it.
impl SimPayload for () {
    fn of_workload() -> Self {}
}

impl SimPayload for bytes::Bytes {
    fn of_workload() -> Self {
        Self::new()
    }
}

/// A service the simulator can run.
pub trait SimService<T>:
    Service<Peer, T, Message: Send, Timer: Send, Command: Send, Event: Clone + Send>
    + Clone
    + Send
    + 'static
{
}
impl<S, T> SimService<T> for S where
    S: Service<Peer, T, Message: Send, Timer: Send, Command: Send, Event: Clone + Send>
        + Clone
        + Send
        + 'static
{
}

/// What the nodes of a simulation run: a [`Stack`] of strategies on simulated peers.
pub trait SimStack: Clone + Send + 'static {
    /// Their membership.
    type Membership: SimMembership;
    /// Their broadcast.
    type Broadcast: SimBroadcast;
    /// Their service.
    type Service: SimService<PayloadOf<Self>>;

    /// The stack itself.
    fn stack(&self) -> &StackOf<Self>;
    /// The same to change.
    fn stack_mut(&mut self) -> &mut StackOf<Self>;
}

/// The stack that these are.
pub type StackOf<P> =
    Stack<<P as SimStack>::Membership, <P as SimStack>::Broadcast, <P as SimStack>::Service>;
/// What their broadcasts carry.
pub type PayloadOf<P> = <<P as SimStack>::Broadcast as Broadcast>::Payload;
/// How their broadcasts are named.
pub(crate) type IdOf<P> = <<P as SimStack>::Broadcast as Broadcast>::Id;
/// Their service.
type ServiceOf<P> = <P as SimStack>::Service;
/// What can be asked of their service.
pub type CommandOf<P> = <ServiceOf<P> as Service<Peer, PayloadOf<P>>>::Command;
/// What their service tells.
pub type EventOf<P> = <ServiceOf<P> as Service<Peer, PayloadOf<P>>>::Event;
/// What can happen to a node.
pub(crate) type InputOf<P> =
    Input<<P as SimStack>::Membership, <P as SimStack>::Broadcast, ServiceOf<P>>;
/// What nodes say to each other.
pub(crate) type MessageOf<P> = Message<
    <<P as SimStack>::Membership as Membership>::Message,
    <<P as SimStack>::Broadcast as Broadcast>::Message,
    <ServiceOf<P> as Service<Peer, PayloadOf<P>>>::Message,
>;
/// What a node is woken for.
pub(crate) type TimerOf<P> = Timer<
    <<P as SimStack>::Membership as Membership>::Timer,
    <<P as SimStack>::Broadcast as Broadcast>::Timer,
    <ServiceOf<P> as Service<Peer, PayloadOf<P>>>::Timer,
>;

impl<M, B, S> SimStack for Stack<M, B, S>
where
    M: SimMembership,
    B: SimBroadcast,
    S: SimService<B::Payload>,
{
    type Membership = M;
    type Broadcast = B;
    type Service = S;

    #[inline(always)]
    fn stack(&self) -> &Self {
        self
    }

    #[inline(always)]
    fn stack_mut(&mut self) -> &mut Self {
        self
    }
}

/// Makes a node's stack, given the peer and a seed of its own.
pub type Make<P> = Arc<dyn Fn(Peer, u64) -> P + Send + Sync>;

/// HyParView on simulated peers.
pub type SimHyParView = HyParView<Peer>;
/// A full mesh of simulated peers.
pub type SimFullMesh = FullMesh<Peer>;
/// Plumtree on simulated peers.
pub type SimPlumtree = Plumtree<Peer, u32, ()>;
/// Flood on simulated peers.
pub type SimFlood = Flood<Peer, u32, ()>;

/// Nodes of any strategies: `membership` makes one of a peer and a seed, `broadcast` one of nothing.
pub fn compose<M: SimMembership, B: SimBroadcast>(
    membership: impl Fn(Peer, u64) -> M + Send + Sync + 'static,
    broadcast: impl Fn() -> B + Send + Sync + 'static,
) -> Make<Stack<M, B>> {
    Arc::new(move |me, seed| Stack::new(membership(me, seed), broadcast()))
}

/// Plumtree inside anti-entropy.
pub fn exchanging_plumtree(
    inside: plumtree::Config,
    around: anti_entropy::Config,
) -> impl Fn() -> AntiEntropy<Plumtree<Peer, BroadcastId, ()>> {
    let (inside, around) = (Arc::new(inside), Arc::new(around));
    move || AntiEntropy::new(Plumtree::new(Arc::clone(&inside)), Arc::clone(&around))
}

/// Flood inside anti-entropy.
pub fn exchanging_flood(
    inside: flood::Config,
    around: anti_entropy::Config,
) -> impl Fn() -> AntiEntropy<Flood<Peer, BroadcastId, ()>> {
    let (inside, around) = (Arc::new(inside), Arc::new(around));
    move || AntiEntropy::new(Flood::new(Arc::clone(&inside)), Arc::clone(&around))
}

/// Nodes of HyParView and Plumtree.
#[must_use]
pub fn hyparview_plumtree(
    membership: hyparview::Config,
    broadcast: plumtree::Config,
) -> Make<Stack<SimHyParView, SimPlumtree>> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        Stack::new(
            HyParView::new(me, Arc::clone(&membership), seed),
            Plumtree::new(Arc::clone(&broadcast)),
        )
    })
}

/// Nodes of HyParView and flood.
#[must_use]
pub fn hyparview_flood(
    membership: hyparview::Config,
    broadcast: flood::Config,
) -> Make<Stack<SimHyParView, SimFlood>> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        Stack::new(
            HyParView::new(me, Arc::clone(&membership), seed),
            Flood::new(Arc::clone(&broadcast)),
        )
    })
}

/// Nodes of full mesh and Plumtree.
#[must_use]
pub fn full_mesh_plumtree(
    membership: full_mesh::Config,
    broadcast: plumtree::Config,
) -> Make<Stack<SimFullMesh, SimPlumtree>> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        Stack::new(
            FullMesh::new(me, Arc::clone(&membership), seed),
            Plumtree::new(Arc::clone(&broadcast)),
        )
    })
}

/// Nodes of full mesh and flood.
#[must_use]
pub fn full_mesh_flood(
    membership: full_mesh::Config,
    broadcast: flood::Config,
) -> Make<Stack<SimFullMesh, SimFlood>> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        Stack::new(
            FullMesh::new(me, Arc::clone(&membership), seed),
            Flood::new(Arc::clone(&broadcast)),
        )
    })
}
