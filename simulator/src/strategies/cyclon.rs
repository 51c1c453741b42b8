//! What checkers and the swarm know about Cyclon.

use murmurate::membership::cyclon::{Cyclon, Parameters};

use super::SimulatedMembership;
use super::membership::{MembershipConditions, MembershipNeeds, MembershipPromises};
use crate::engine::storage::{self, OfMembership};
use crate::engine::strategy::Watched;
use crate::model::dice::Dice;
use crate::model::node::SimPeer;

impl Watched for Cyclon<SimPeer> {
    fn storage(&self) -> Option<OfMembership<Self>> {
        Some(storage::of_membership())
    }
}

impl SimulatedMembership for Parameters {
    const DRAWN: u32 = 6;

    fn draw(dice: &mut Dice, _: &MembershipNeeds) -> Self {
        let length = dice.between(1, 14);
        Self {
            view_capacity: length.max(2) + dice.between(0, 24),
            shuffle_length: length,
            shuffle_interval: dice.millis(500, 10_000),
            walk_length: dice.between(1, 8),
            acknowledged: dice.chance(50),
            rejoin_pause: dice.millis(500, 4_000),
            contacts_capacity: dice.between(1, 8),
        }
    }

    /// Little: views are directed and change for ever, whoever has nobody can be left alone, and an
    /// overlay in two parts stays so.
    fn promises(&self, _: &MembershipConditions) -> MembershipPromises {
        let shuffles = 2.0 / self.shuffle_interval.as_secs_f64();
        let walks = (self.view_capacity * (usize::from(self.walk_length) + 1) + 1) as f64;
        let joins = walks / self.rejoin_pause.as_secs_f64();
        MembershipPromises { chatter: Some(shuffles + 2.0 * joins), ..Default::default() }
    }
}
