//! Which protocols the nodes run.

use std::sync::Arc;

use murmurate::broadcast::{Flood, Plumtree, flood, plumtree};
use murmurate::membership::{FullMesh, HyParView, full_mesh, hyparview};

use crate::engine::Make;
use crate::node::Peer;

/// HyParView on simulated peers.
pub type SimHyParView = HyParView<Peer>;
/// A full mesh of simulated peers.
pub type SimFullMesh = FullMesh<Peer>;
/// Plumtree on simulated peers.
pub type SimPlumtree = Plumtree<Peer, u32, ()>;
/// Flood on simulated peers.
pub type SimFlood = Flood<Peer, u32, ()>;

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
