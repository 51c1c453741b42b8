//! Flood: what checkers and the swarm know of it.

use std::time::Duration;

use murmurate::broadcast::flood::{Flood, Parameters};

use super::SimulatedBroadcast;
use super::broadcast::{Circumstances, Conditions, Promises};
use crate::engine::storage::{self, OfBroadcast};
use crate::engine::strategy::{SimPayload, WatchedBroadcast};
use crate::model::dice::Dice;
use crate::model::id::SimId;
use crate::model::node::Peer;

impl<I: SimId, D: SimPayload> WatchedBroadcast for Flood<Peer, I, D> {
    fn storage(&self) -> Option<OfBroadcast<Self>> {
        Some(storage::of_broadcast())
    }
}

impl SimulatedBroadcast for Parameters {
    const DRAWN: (u32, u32) = (25, 75);

    fn draw(dice: &mut Dice, about: &Circumstances) -> Self {
        Self { seen_capacity: about.broadcasts + 16 + dice.between(0, 200), ..Self::default() }
    }

    /// It keeps nothing for a neighbour to come, and sends nothing twice that was lost.
    fn promises(&self, _of: &Conditions) -> Promises {
        Promises {
            reaches: true,
            survives: false,
            thrifty: false,
            waits: Duration::ZERO,
            forgets: true,
        }
    }
}
