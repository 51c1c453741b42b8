//! How broadcasts are named in a simulation.

use murmurate::broadcast::Id;
use murmurate::membership::snapshot::Stored;
use serde::{Deserialize, Serialize};

use crate::model::node::SimPeer;

/// A broadcast id from which the simulator can tell which broadcast of the run it is.
pub trait SimId: Id<Origin: Stored> + Stored {
    /// The `index`-th broadcast of the run, which is the `sequence`-th of this publisher.
    fn new(index: u32, origin: SimPeer, sequence: u32) -> Self;

    /// Which broadcast of the run it is, from 0.
    fn index(self) -> u32;

    /// The publisher behind this origin, if ids have origins.
    fn publisher(origin: Self::Origin) -> Option<SimPeer>;
}

/// Numbers the broadcasts of a run as if they had one origin. This is the smallest id, for strategies that
/// never ask for a broadcast by its number.
impl SimId for u32 {
    fn new(index: u32, _origin: SimPeer, _sequence: u32) -> Self {
        index
    }

    fn index(self) -> u32 {
        self
    }

    fn publisher((): ()) -> Option<SimPeer> {
        None
    }
}

/// A publisher's incarnation and a number that it counts, as in the ids of real nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BroadcastId {
    origin: SimPeer,
    sequence: u32,
    index: u32,
}

impl Id for BroadcastId {
    type Origin = SimPeer;

    fn origin(self) -> SimPeer {
        self.origin
    }

    fn sequence(self) -> u64 {
        self.sequence.into()
    }
}

impl SimId for BroadcastId {
    fn new(index: u32, origin: SimPeer, sequence: u32) -> Self {
        Self { origin, sequence, index }
    }

    fn index(self) -> u32 {
        self.index
    }

    fn publisher(origin: SimPeer) -> Option<SimPeer> {
        Some(origin)
    }
}
