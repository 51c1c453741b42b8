//! What checkers and the swarm know about flooding.

use std::time::Duration;

use murmurate::broadcast::flood::{Flood, Parameters};

use super::SimulatedBroadcast;
use super::broadcast::{BroadcastConditions, BroadcastNeeds, BroadcastPromises};
use crate::engine::storage::{self, OfBroadcast};
use crate::engine::strategy::{SimPayload, WatchedBroadcast};
use crate::model::dice::Dice;
use crate::model::id::SimId;
use crate::model::node::SimPeer;

impl<I: SimId, D: SimPayload> WatchedBroadcast for Flood<SimPeer, I, D> {
    fn storage(&self) -> Option<OfBroadcast<Self>> {
        Some(storage::of_broadcast())
    }
}

impl SimulatedBroadcast for Parameters {
    const DRAWN: (u32, u32) = (25, 75);

    fn draw(dice: &mut Dice, about: &BroadcastNeeds) -> Self {
        Self { seen_capacity: about.broadcasts + 16 + dice.between(0, 200), ..Self::default() }
    }

    /// It keeps nothing for later neighbours, and does not send again what was lost.
    fn promises(&self, _of: &BroadcastConditions) -> BroadcastPromises {
        BroadcastPromises {
            reaches: true,
            survives: false,
            thrifty: false,
            waits: Duration::ZERO,
            forgets: true,
        }
    }
}
