//! The static overlay: what checkers and the swarm know of it.

use murmurate::membership::MembershipStrategy;
use murmurate::membership::static_overlay::{Parameters, StaticOverlay};

use super::SimulatedMembership;
use super::membership::{MembershipConditions, MembershipNeeds, MembershipPromises};
use crate::engine::storage::{self, OfMembership};
use crate::engine::strategy::Watched;
use crate::model::dice::Dice;
use crate::model::node::SimPeer;

impl Watched for StaticOverlay<SimPeer> {
    fn storage(&self) -> Option<OfMembership<Self>> {
        Some(storage::of_membership())
    }
}

impl SimulatedMembership for Parameters {
    const DRAWN: u32 = 8;

    fn draw(dice: &mut Dice, about: &MembershipNeeds) -> Self {
        Self {
            // Now and then there is no room for all who come later.
            neighbors_capacity: if dice.chance(10) { about.nodes as usize } else { 400 },
            repair: dice.chance(75),
            keepalive_interval: dice.millis(500, 3_000),
            keepalive_misses: dice.between(2, 4),
            request_timeout: dice.millis(4 * about.longest_way, 1_500),
            redial_pause: dice.millis(2_000, 15_000),
        }
    }

    /// The graph, as far as its nodes run: nobody finds a way round those that do not.
    fn promises(&self, of: &MembershipConditions) -> MembershipPromises {
        let room = self.neighbors_capacity as u64 >= 2 * of.nodes;
        let links = MembershipStrategy::links(self, of.nodes as usize) as f64;
        let notice = self.keepalive_interval * (u32::from(self.keepalive_misses) + 2);
        MembershipPromises {
            agrees: true,
            whole: false,
            stays_whole: false,
            complete: false,
            given: self.repair && room,
            together: false,
            reaches: true,
            meets: false,
            still: true,
            reunion: None,
            chatter: Some(links / self.keepalive_interval.as_secs_f64() * 6.0 + 4.0),
            recovery: Some(
                notice
                    + (self.redial_pause + self.keepalive_interval) * 4
                    + self.request_timeout * 20,
            ),
        }
    }
}
