//! Membership strategies to choose from.

use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{ConfigError, MembershipStrategy, Strategy};

use super::choice::{Choice, Chosen};
use crate::engine::erased::{self, AnyMembership};
use crate::engine::strategy::SimMembership;
use crate::model::dice::Dice;
use crate::model::node::SimPeer;

/// A membership strategy that experiments can choose.
pub trait SimulatedMembership: MembershipStrategy<Membership<SimPeer>: SimMembership> {
    /// How many percent of the swarm's plans use it, unless it is the default.
    const DRAWN: u32 = 0;

    /// Parameters for a plan of the swarm.
    #[must_use]
    fn draw(_dice: &mut Dice, _for: &MembershipNeeds) -> Self {
        Self::default()
    }

    /// What the swarm may rely on. By default only that its own invariants hold.
    fn promises(&self, _for: &MembershipConditions) -> MembershipPromises {
        MembershipPromises::default()
    }
}

/// What a plan needs of the parameters that are drawn for it.
#[derive(Debug, Clone, Copy)]
pub struct MembershipNeeds {
    /// Nodes at the beginning.
    pub nodes: u32,
    /// Nodes that join later.
    pub newcomers: u32,
    /// Sides that know no node of the other side must meet again.
    pub remixes: bool,
    /// There are only two nodes, and they lose contact.
    pub pair: bool,
    /// One node is cut off while many of its contacts die.
    pub lone: bool,
    /// The overlay is cut in two while nodes restart.
    pub cut: bool,
    /// The longest way between two nodes, in milliseconds.
    pub longest_way: u64,
}

/// The conditions of a plan.
#[derive(Debug, Clone, Copy)]
pub struct MembershipConditions {
    /// Nodes that run at most.
    pub nodes: u64,
    /// Nothing happens that may leave a side that knows no other nodes.
    pub gentle: bool,
}

/// What a membership strategy promises under some conditions.
#[derive(Debug, Clone, Copy, Default)]
pub struct MembershipPromises {
    /// Views agree in the end.
    pub agrees: bool,
    /// One overlay in the end.
    pub whole: bool,
    /// One overlay at every moment.
    pub stays_whole: bool,
    /// Everyone is linked with everyone in the end.
    pub complete: bool,
    /// All that were given each other are linked in the end, if a graph is given.
    pub given: bool,
    /// No node is isolated while other nodes run.
    pub together: bool,
    /// Links lead to all nodes of the same side.
    pub reaches: bool,
    /// Two nodes that are told of each other link at once.
    pub meets: bool,
    /// Links do not change once the faults are over.
    pub still: bool,
    /// A peer that fell silent is tried again after this time. Halves are one overlay after twice this
    /// time.
    pub reunion: Option<Duration>,
    /// The most messages that a node sends in a second, in the mean.
    pub chatter: Option<f64>,
    /// How long after the last fault the overlay must have recovered: no node holds a link to a dead one.
    pub recovery: Option<Duration>,
}

/// How nodes choose neighbours: a strategy with its parameters, as in scenarios.
pub type Membership = Chosen<dyn MembershipChoice>;

/// Makes a node's membership, given the peer and a seed of its own.
pub type MakeMembership = Arc<dyn Fn(SimPeer, u64) -> AnyMembership + Send + Sync>;

/// A [`SimulatedMembership`] without its type.
pub trait MembershipChoice: Choice {
    /// Makes the function that makes a node's instance.
    ///
    /// # Errors
    /// As of [`Choice::check`].
    fn make(&self) -> Result<MakeMembership, ConfigError>;
    /// See [`MembershipStrategy::links`].
    fn links(&self, nodes: usize) -> usize;
    /// See [`MembershipStrategy::KEEPS_TO_CONTACTS`].
    fn keeps_to_contacts(&self) -> bool;
    /// See [`SimulatedMembership::DRAWN`].
    fn drawn(&self) -> u32;
    /// See [`SimulatedMembership::draw`].
    fn draw(&self, dice: &mut Dice, needs: &MembershipNeeds) -> Membership;
    /// See [`SimulatedMembership::promises`].
    fn promises(&self, conditions: &MembershipConditions) -> MembershipPromises;
}

impl<S: SimulatedMembership> MembershipChoice for S {
    fn make(&self) -> Result<MakeMembership, ConfigError> {
        let config = Arc::new(Strategy::check(self.clone())?);
        Ok(Arc::new(move |me, seed| erased::membership(S::start(&config, me, seed))))
    }

    fn links(&self, nodes: usize) -> usize {
        MembershipStrategy::links(self, nodes)
    }

    fn keeps_to_contacts(&self) -> bool {
        S::KEEPS_TO_CONTACTS
    }

    fn drawn(&self) -> u32 {
        S::DRAWN
    }

    fn draw(&self, dice: &mut Dice, needs: &MembershipNeeds) -> Membership {
        S::draw(dice, needs).into()
    }

    fn promises(&self, conditions: &MembershipConditions) -> MembershipPromises {
        SimulatedMembership::promises(self, conditions)
    }
}

impl<S: SimulatedMembership> From<S> for Membership {
    fn from(parameters: S) -> Self {
        Self(Box::new(parameters))
    }
}
