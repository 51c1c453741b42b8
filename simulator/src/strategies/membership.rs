//! Membership strategies to choose from.

use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{ConfigError, MembershipStrategy, Strategy};

use super::choice::{Choice, Chosen};
use crate::engine::erased::{self, AnyMembership};
use crate::engine::strategy::SimMembership;
use crate::model::dice::Dice;
use crate::model::node::Peer;

/// A membership strategy that experiments can choose.
pub trait SimulatedMembership: MembershipStrategy<Membership<Peer>: SimMembership> {
    /// Of a hundred plans of the swarm, so many are drawn with it, unless it is the default.
    const DRAWN: u32 = 0;
    /// A node's neighbours are its contacts, and those whose contact it is: the overlay is the graph that is
    /// given.
    const KEEPS_TO_CONTACTS: bool = false;

    /// Parameters for a plan of the swarm.
    #[must_use]
    fn draw(_dice: &mut Dice, _for: &Circumstances) -> Self {
        Self::default()
    }

    /// What the swarm may count on. By default on nothing but that its own invariants hold.
    fn promises(&self, _for: &Conditions) -> Promises {
        Promises::default()
    }
}

/// What a plan needs of the parameters that are drawn for it.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Nodes at the beginning.
    pub nodes: u32,
    /// Nodes that join later.
    pub newcomers: u32,
    /// Sides that know nobody outside must meet again.
    pub remixes: bool,
    /// Two nodes lose sight of each other, and nobody else is there.
    pub pair: bool,
    /// One node is cut off while many of those it knows die.
    pub lone: bool,
    /// The overlay is cut in two while nodes start again.
    pub cut: bool,
    /// The longest way between two nodes, in milliseconds.
    pub longest_way: u64,
}

/// What a plan has in store.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Nodes that run at most.
    pub nodes: u64,
    /// Nothing happens that may leave a side which knows nobody else.
    pub gentle: bool,
}

/// What a membership strategy promises under some conditions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Promises {
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
    /// Nobody is alone who has company.
    pub together: bool,
    /// Links lead to everyone, but for what other sides have.
    pub reaches: bool,
    /// Two that are told of each other link at once.
    pub meets: bool,
    /// Links stay as they are in peace.
    pub still: bool,
    /// Whoever fell silent is tried again after this; twice that later halves are one.
    pub reunion: Option<Duration>,
    /// Messages that a node says in a second at most, on the whole.
    pub chatter: Option<f64>,
    /// How long after the last fault all must be well: nobody holds a link to a node that runs no more.
    pub recovery: Option<Duration>,
}

/// Who is whose neighbour: a strategy with its parameters, as scenarios have it.
pub type Membership = Chosen<dyn MembershipChoice>;

/// Makes a node's membership, given the peer and a seed of its own.
pub type MakeMembership = Arc<dyn Fn(Peer, u64) -> AnyMembership + Send + Sync>;

/// A [`SimulatedMembership`] without its type.
pub trait MembershipChoice: Choice {
    /// What makes a node's.
    ///
    /// # Errors
    /// As of [`Choice::check`].
    fn make(&self) -> Result<MakeMembership, ConfigError>;
    /// See [`MembershipStrategy::links`].
    fn links(&self, nodes: usize) -> usize;
    /// See [`SimulatedMembership::KEEPS_TO_CONTACTS`].
    fn keeps_to_contacts(&self) -> bool;
    /// See [`SimulatedMembership::DRAWN`].
    fn drawn(&self) -> u32;
    /// See [`SimulatedMembership::draw`].
    fn draw(&self, dice: &mut Dice, circumstances: &Circumstances) -> Membership;
    /// See [`SimulatedMembership::promises`].
    fn promises(&self, conditions: &Conditions) -> Promises;
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

    fn draw(&self, dice: &mut Dice, circumstances: &Circumstances) -> Membership {
        S::draw(dice, circumstances).into()
    }

    fn promises(&self, conditions: &Conditions) -> Promises {
        SimulatedMembership::promises(self, conditions)
    }
}

impl<S: SimulatedMembership> From<S> for Membership {
    fn from(parameters: S) -> Self {
        Self(Box::new(parameters))
    }
}
