//! Which protocols the nodes run.

use std::sync::Arc;

use murmurate::broadcast::{
    AntiEntropy, Broadcast, Flood, Plumtree, anti_entropy, flood, plumtree,
};
use murmurate::membership::{FullMesh, HyParView, Membership, full_mesh, hyparview};

use crate::id::{BroadcastId, SimId};
use crate::node::Peer;

/// A strategy the simulator can run as membership.
pub trait SimMembership:
    Membership<Peer = Peer, Message: Clone + Send, Timer: Send> + Clone + Send + 'static
{
}
impl<M> SimMembership for M where
    M: Membership<Peer = Peer, Message: Clone + Send, Timer: Send> + Clone + Send + 'static
{
}

/// A strategy the simulator can run as broadcast: broadcasts are numbered, and their content is
/// only counted.
pub trait SimBroadcast:
    Broadcast<Peer = Peer, Id: SimId, Payload = (), Message: Clone + Send, Timer: Send>
    + Clone
    + Send
    + 'static
{
}
impl<B> SimBroadcast for B where
    B: Broadcast<Peer = Peer, Id: SimId, Payload = (), Message: Clone + Send, Timer: Send>
        + Clone
        + Send
        + 'static
{
}

/// Makes a node's protocols, given the peer and a seed of its own.
pub type Make<M, B> = Arc<dyn Fn(Peer, u64) -> murmurate::Peer<M, B> + Send + Sync>;

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
) -> Make<M, B> {
    Arc::new(move |me, seed| murmurate::Peer::new(membership(me, seed), broadcast()))
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
) -> Make<SimHyParView, SimPlumtree> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        murmurate::Peer::new(
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
) -> Make<SimHyParView, SimFlood> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        murmurate::Peer::new(
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
) -> Make<SimFullMesh, SimPlumtree> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        murmurate::Peer::new(
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
) -> Make<SimFullMesh, SimFlood> {
    let (membership, broadcast) = (Arc::new(membership), Arc::new(broadcast));
    Arc::new(move |me, seed| {
        murmurate::Peer::new(
            FullMesh::new(me, Arc::clone(&membership), seed),
            Flood::new(Arc::clone(&broadcast)),
        )
    })
}
