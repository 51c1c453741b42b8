//! What checkers and the swarm know about Plumtree.

use std::time::Duration;

use murmurate::broadcast::Input;
use murmurate::broadcast::plumtree::{Parameters, Plumtree};
use murmurate::membership::Time;

use super::SimulatedBroadcast;
use super::broadcast::{BroadcastConditions, BroadcastNeeds, BroadcastPromises};
use crate::engine::storage::{self, OfBroadcast};
use crate::engine::strategy::{SimPayload, WatchedBroadcast};
use crate::model::dice::Dice;
use crate::model::id::SimId;
use crate::model::node::SimPeer;

impl<I: SimId, D: SimPayload> WatchedBroadcast for Plumtree<SimPeer, I, D> {
    fn spares_links(&self, input: &Input<Self>) -> bool {
        self.is_beside_tree(input)
    }

    fn must_graft(&self, now: Time, input: &Input<Self>) -> Option<SimPeer> {
        self.grafts(now, input)
    }

    fn storage(&self) -> Option<OfBroadcast<Self>> {
        Some(storage::of_broadcast())
    }
}

impl SimulatedBroadcast for Parameters {
    fn draw(dice: &mut Dice, about: &BroadcastNeeds) -> Self {
        let seen_capacity = about.broadcasts + 16 + dice.between(0, 200);
        let threshold = dice.chance(50).then(|| dice.between(1, 9));
        let graft_timeout = dice.millis(50, 800);
        Self {
            graft_timeout,
            least_graft_timeout: dice.millis(5, 800).min(graft_timeout),
            // Above the longest round trip.
            graft_retry: dice.millis(3 * about.longest_way, 900),
            graft_attempts: dice.between(3, 8),
            mend_at_once: dice.chance(50),
            ihave_interval: if dice.chance(40) { Duration::ZERO } else { dice.millis(5, 100) },
            optimization_threshold: threshold,
            seen_capacity,
            payload_capacity: dice.between(16, seen_capacity),
            payload_bytes: 1 << 20,
            missing_capacity: dice.between(16, 200),
            ..Self::default()
        }
    }

    /// In a tree that has settled, a payload arrives over the longest path before any node grafts for it:
    /// the timeout is long enough, or has adapted by then.
    fn promises(&self, of: &BroadcastConditions) -> BroadcastPromises {
        let finds_out = self.least_graft_timeout < self.graft_timeout;
        let is_patient = self.least_graft_timeout >= of.longest_way * of.nodes as u32;
        BroadcastPromises {
            reaches: true,
            survives: true,
            thrifty: of.nodes <= of.few && (finds_out || is_patient),
            waits: self.graft_timeout + self.ihave_interval,
            forgets: false,
        }
    }
}
