//! The protocols that nodes run.

use std::sync::Arc;

use murmurate::Stack;
use murmurate::broadcast::{Broadcast, BroadcastStrategy, Payload};
use murmurate::membership::{ConfigError, Membership, MembershipStrategy};
use murmurate::service::Service;
use murmurate::stack::{Input, Message, Timer};

use crate::model::id::SimId;
use crate::model::node::SimPeer;

pub use crate::engine::watched::{Watched, WatchedBroadcast};

/// A strategy the simulator can run as membership.
pub trait SimMembership: Membership<Peer = SimPeer> + Watched + Clone + Send + 'static {}
impl<M> SimMembership for M where M: Membership<Peer = SimPeer> + Watched + Clone + Send + 'static {}

/// A strategy the simulator can run as broadcast: broadcasts are numbered.
pub trait SimBroadcast:
    Broadcast<Peer = SimPeer, Id: SimId, Payload: SimPayload>
    + WatchedBroadcast
    + Clone
    + Send
    + 'static
{
}
impl<B> SimBroadcast for B where
    B: Broadcast<Peer = SimPeer, Id: SimId, Payload: SimPayload>
        + WatchedBroadcast
        + Clone
        + Send
        + 'static
{
}

/// What simulated broadcasts carry. The default is what is read of a file: see [`storage`](super::storage).
pub trait SimPayload: Payload + Default {
    /// What a workload publishes.
    fn of_workload() -> Self;
}

/// Broadcast content is only counted, unless a service needs it.
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
    Service<SimPeer, T, Message: Send, Timer: Send, Command: Send, Event: Clone + Send>
    + Clone
    + Send
    + 'static
{
}
impl<S, T> SimService<T> for S where
    S: Service<SimPeer, T, Message: Send, Timer: Send, Command: Send, Event: Clone + Send>
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

/// The stack of these nodes.
pub type StackOf<P> =
    Stack<<P as SimStack>::Membership, <P as SimStack>::Broadcast, <P as SimStack>::Service>;
/// What their broadcasts carry.
pub type PayloadOf<P> = <<P as SimStack>::Broadcast as Broadcast>::Payload;
/// How their broadcasts are named.
pub(crate) type IdOf<P> = <<P as SimStack>::Broadcast as Broadcast>::Id;
/// Their service.
type ServiceOf<P> = <P as SimStack>::Service;
/// The messages of their services.
pub(crate) type MessageOfService<P> = <ServiceOf<P> as Service<SimPeer, PayloadOf<P>>>::Message;
/// The commands of their service.
pub type CommandOf<P> = <ServiceOf<P> as Service<SimPeer, PayloadOf<P>>>::Command;
/// The events of their service.
pub type EventOf<P> = <ServiceOf<P> as Service<SimPeer, PayloadOf<P>>>::Event;
/// The inputs of a node.
pub(crate) type InputOf<P> =
    Input<<P as SimStack>::Membership, <P as SimStack>::Broadcast, ServiceOf<P>>;
/// The messages of the nodes.
pub(crate) type MessageOf<P> = Message<
    <<P as SimStack>::Membership as Membership>::Message,
    <<P as SimStack>::Broadcast as Broadcast>::Message,
    <ServiceOf<P> as Service<SimPeer, PayloadOf<P>>>::Message,
>;
/// The timers of a node.
pub(crate) type TimerOf<P> = Timer<
    <<P as SimStack>::Membership as Membership>::Timer,
    <<P as SimStack>::Broadcast as Broadcast>::Timer,
    <ServiceOf<P> as Service<SimPeer, PayloadOf<P>>>::Timer,
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
pub type Make<P> = Arc<dyn Fn(SimPeer, u64) -> P + Send + Sync>;

/// Makes nodes of any strategies: `membership` takes a peer and a seed, `broadcast` another seed.
pub fn compose<M: SimMembership, B: SimBroadcast>(
    membership: impl Fn(SimPeer, u64) -> M + Send + Sync + 'static,
    broadcast: impl Fn(u64) -> B + Send + Sync + 'static,
) -> Make<Stack<M, B>> {
    Arc::new(move |me, seed| Stack::new(membership(me, seed), broadcast(of_broadcast(seed))))
}

/// A node's broadcast must not draw what its membership draws.
const fn of_broadcast(seed: u64) -> u64 {
    seed ^ 0x6272_6f61_6463_6173
}

/// The stack of two strategies.
pub type Both<M, B> = Stack<
    <M as MembershipStrategy>::Membership<SimPeer>,
    <B as BroadcastStrategy>::Broadcast<SimPeer, u32, ()>,
>;

/// Makes nodes of two strategies, compiled together.
///
/// # Errors
/// A parameter that is out of range.
pub fn nodes<M, B>(membership: M, broadcast: B) -> Result<Make<Both<M, B>>, ConfigError>
where
    M: MembershipStrategy<Membership<SimPeer>: SimMembership>,
    B: BroadcastStrategy<Broadcast<SimPeer, u32, ()>: SimBroadcast>,
{
    let (membership, broadcast) = (Arc::new(membership.check()?), Arc::new(broadcast.check()?));
    let broadcast = move |seed| B::start(&broadcast, seed);
    Ok(compose(move |me, seed| M::start(&membership, me, seed), broadcast))
}
