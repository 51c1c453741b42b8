//! What checkers and the swarm know about SCAMP.

use murmurate::membership::scamp::{Parameters, Scamp};

use super::SimulatedMembership;
use super::membership::{MembershipConditions, MembershipNeeds, MembershipPromises};
use crate::engine::storage::{self, OfMembership};
use crate::engine::strategy::Watched;
use crate::model::dice::Dice;
use crate::model::node::SimPeer;

impl Watched for Scamp<SimPeer> {
    fn storage(&self) -> Option<OfMembership<Self>> {
        Some(storage::of_membership())
    }
}

impl SimulatedMembership for Parameters {
    const DRAWN: u32 = 6;

    fn draw(dice: &mut Dice, _: &MembershipNeeds) -> Self {
        Self {
            copies: dice.between(0, 5),
            walk_length: dice.between(1, 40),
            indirection_length: dice.between(0, 8),
            lease: dice.millis(20_000, 600_000),
            heartbeat_interval: dice.millis(500, 10_000),
            heartbeat_misses: dice.between(2, 6),
            view_capacity: if dice.chance(20) { dice.between(1, 8) } else { 400 },
            rejoin_pause: dice.millis(500, 4_000),
            contacts_capacity: dice.between(1, 8),
        }
    }

    /// Little: views are directed, subscriptions get lost, and an overlay in two parts stays so. Nor is it
    /// known how much is said: each subscription sets off as many walks as a view has peers.
    fn promises(&self, _: &MembershipConditions) -> MembershipPromises {
        MembershipPromises::default()
    }
}
