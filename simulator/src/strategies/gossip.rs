//! What checkers and the swarm know about random gossip.

use murmurate::broadcast::gossip::{Gossip, Parameters};

use super::SimulatedBroadcast;
use super::broadcast::{BroadcastConditions, BroadcastNeeds, BroadcastPromises};
use crate::engine::storage::{self, OfBroadcast};
use crate::engine::strategy::{SimPayload, WatchedBroadcast};
use crate::model::dice::Dice;
use crate::model::id::SimId;
use crate::model::node::SimPeer;

impl<I: SimId, D: SimPayload> WatchedBroadcast for Gossip<SimPeer, I, D> {
    fn storage(&self) -> Option<OfBroadcast<Self>> {
        Some(storage::of_broadcast())
    }
}

impl SimulatedBroadcast for Parameters {
    const DRAWN: (u32, u32) = (6, 0);

    fn draw(dice: &mut Dice, about: &BroadcastNeeds) -> Self {
        Self {
            fanout: dice.between(1, 8),
            seen_capacity: about.broadcasts + 16 + dice.between(0, 200),
            ..Self::default()
        }
    }

    /// It keeps nothing for later neighbours. Whom it reaches is left to chance.
    fn promises(&self, _: &BroadcastConditions) -> BroadcastPromises {
        BroadcastPromises { forgets: true, ..Default::default() }
    }
}
