//! How broadcasts are named in a simulation.

use murmurate::broadcast::Id;
use murmurate::membership::snapshot::Stored;
use serde::{Deserialize, Serialize};

use crate::model::node::Peer;

/// A name from which the simulator tells which broadcast of the run it is.
pub trait SimId: Id<Origin: Stored> + Stored {
    /// The `index`-th broadcast of the run, which is the `sequence`-th of this publisher.
    fn new(index: u32, origin: Peer, sequence: u32) -> Self;

    /// Which broadcast of the run it is, from 0.
    fn index(self) -> u32;

    /// Who publishes under this origin, if origins are told apart.
    fn publisher(origin: Self::Origin) -> Option<Peer>;
}

/// The broadcasts of a run are numbered as if they were of one origin: as small as can be, for
/// strategies that ask for nothing by its number.
impl SimId for u32 {
    fn new(index: u32, _origin: Peer, _sequence: u32) -> Self {
        index
    }

    fn index(self) -> u32 {
        self
    }

    fn publisher((): ()) -> Option<Peer> {
        None
    }
}

/// A broadcast's publisher, in one incarnation, and its number among that one's, as real nodes
/// name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BroadcastId {
    origin: Peer,
    sequence: u32,
    index: u32,
}

impl Id for BroadcastId {
    type Origin = Peer;

    fn origin(self) -> Peer {
        self.origin
    }

    fn sequence(self) -> u64 {
        self.sequence.into()
    }
}

impl SimId for BroadcastId {
    fn new(index: u32, origin: Peer, sequence: u32) -> Self {
        Self { origin, sequence, index }
    }

    fn index(self) -> u32 {
        self.index
    }

    fn publisher(origin: Peer) -> Option<Peer> {
        Some(origin)
    }
}
