//! What checkers and the swarm know about the full mesh.

use murmurate::membership::MembershipStrategy;
use murmurate::membership::full_mesh::{FullMesh, Parameters};

use super::SimulatedMembership;
use super::membership::{MembershipConditions, MembershipNeeds, MembershipPromises};
use crate::engine::storage::{self, OfMembership};
use crate::engine::strategy::Watched;
use crate::model::dice::Dice;
use crate::model::node::SimPeer;

impl Watched for FullMesh<SimPeer> {
    fn storage(&self) -> Option<OfMembership<Self>> {
        Some(storage::of_membership())
    }
}

impl SimulatedMembership for Parameters {
    const DRAWN: u32 = 20;

    fn draw(dice: &mut Dice, about: &MembershipNeeds) -> Self {
        // Now and then there is no room for all.
        let room = if dice.chance(15) { dice.between(2, about.nodes as usize + 2) } else { 400 };
        let contacts = dice.between(1, 8);
        Self {
            members_capacity: room.max(contacts),
            gossip_interval: dice.millis(500, 4_000),
            gossip_length: dice.between(8, 64),
            keepalive_interval: dice.millis(500, 3_000),
            keepalive_misses: dice.between(2, 4),
            request_timeout: dice.millis(4 * about.longest_way, 1_500),
            requests_capacity: dice.between(2, 64),
            redial_pause: dice.millis(2_000, 15_000),
            forget_after: if dice.chance(20) {
                dice.millis(20_000, 60_000)
            } else {
                dice.millis(600_000, 3_600_000)
            },
            contacts_capacity: contacts,
        }
    }

    /// All of them, if there is room for all nodes, including those that left.
    fn promises(&self, of: &MembershipConditions) -> MembershipPromises {
        let room = self.members_capacity as u64 >= 2 * of.nodes;
        let links = MembershipStrategy::links(self, of.nodes as usize) as f64;
        let notice = self.keepalive_interval * (u32::from(self.keepalive_misses) + 2);
        MembershipPromises {
            agrees: true,
            whole: room,
            stays_whole: room,
            complete: room,
            given: false,
            together: room,
            reaches: room,
            meets: false,
            still: true,
            reunion: None,
            chatter: Some(links / self.keepalive_interval.as_secs_f64() * 6.0 + 4.0),
            recovery: Some(
                notice
                    + self.redial_pause * 8
                    + self.gossip_interval * 30
                    + self.request_timeout * 20,
            ),
        }
    }
}
