//! Broadcast strategies to choose from.

use std::sync::Arc;
use std::time::Duration;

use murmurate::broadcast::BroadcastStrategy;
use murmurate::membership::{ConfigError, Strategy};

use super::choice::{Choice, Chosen};
use crate::engine::erased::{self, AnyBroadcast};
use crate::engine::strategy::SimBroadcast;
use crate::model::dice::Dice;
use crate::model::id::BroadcastId;
use crate::model::node::SimPeer;

/// A broadcast strategy that experiments can choose.
pub trait SimulatedBroadcast:
    BroadcastStrategy<Broadcast<SimPeer, u32, ()>: SimBroadcast>
    + BroadcastStrategy<Broadcast<SimPeer, BroadcastId, ()>: SimBroadcast>
{
    /// How many percent of the swarm's plans use it, unless it is the default. The second number is for
    /// plans without faults in which some nodes join late.
    const DRAWN: (u32, u32) = (0, 0);

    /// Parameters for a plan of the swarm.
    #[must_use]
    fn draw(_dice: &mut Dice, _for: &BroadcastNeeds) -> Self {
        Self::default()
    }

    /// What the swarm may rely on. By default only what every broadcast strategy guarantees: nothing is
    /// delivered twice, and invariants hold.
    fn promises(&self, _for: &BroadcastConditions) -> BroadcastPromises {
        BroadcastPromises::default()
    }
}

/// What a plan needs of the parameters that are drawn for it.
#[derive(Debug, Clone, Copy)]
pub struct BroadcastNeeds {
    /// Broadcasts in all. Windows remember all of them: a cut or a stopped process can hold any back.
    pub broadcasts: usize,
    /// The longest way between two nodes, in milliseconds.
    pub longest_way: u64,
}

/// The conditions of a plan.
#[derive(Debug, Clone, Copy)]
pub struct BroadcastConditions {
    /// Nodes that run at most.
    pub nodes: u64,
    /// The longest way between two nodes.
    pub longest_way: Duration,
    /// Nodes up to which a tree has settled when it is looked at.
    pub few: u64,
}

/// What a broadcast strategy promises under some conditions.
#[derive(Debug, Clone, Copy, Default)]
pub struct BroadcastPromises {
    /// Every node with links gets every broadcast, whatever goes wrong.
    pub reaches: bool,
    /// Most broadcasts in a storm arrive.
    pub survives: bool,
    /// Once the tree has settled, hardly any payload is sent twice.
    pub thrifty: bool,
    /// How long a node waits for a payload that was announced.
    pub waits: Duration,
    /// A node sends a new neighbour nothing that was published before.
    pub forgets: bool,
}

/// How a message reaches all nodes: a strategy with its parameters, as in scenarios.
pub type Broadcast = Chosen<dyn BroadcastChoice>;

/// Makes a node's broadcast, given a seed of its own.
pub type MakeBroadcast<I> = Arc<dyn Fn(u64) -> AnyBroadcast<I> + Send + Sync>;

/// A [`SimulatedBroadcast`] without its type.
pub trait BroadcastChoice: Choice {
    /// Makes the function that makes a node's instance.
    ///
    /// # Errors
    /// As of [`Choice::check`].
    fn make(&self) -> Result<MakeBroadcast<u32>, ConfigError>;
    /// Makes the broadcast of a node, with ids that name origins.
    ///
    /// # Errors
    /// As of [`Choice::check`].
    fn make_named(&self) -> Result<MakeBroadcast<BroadcastId>, ConfigError>;
    /// See [`SimulatedBroadcast::DRAWN`].
    fn drawn(&self) -> (u32, u32);
    /// See [`SimulatedBroadcast::draw`].
    fn draw(&self, dice: &mut Dice, needs: &BroadcastNeeds) -> Broadcast;
    /// See [`SimulatedBroadcast::promises`].
    fn promises(&self, conditions: &BroadcastConditions) -> BroadcastPromises;
}

impl<S: SimulatedBroadcast> BroadcastChoice for S {
    fn make(&self) -> Result<MakeBroadcast<u32>, ConfigError> {
        let config = Arc::new(Strategy::check(self.clone())?);
        Ok(Arc::new(move |seed| erased::broadcast(S::start::<SimPeer, u32, ()>(&config, seed))))
    }

    fn make_named(&self) -> Result<MakeBroadcast<BroadcastId>, ConfigError> {
        let config = Arc::new(Strategy::check(self.clone())?);
        Ok(Arc::new(move |seed| {
            erased::broadcast(S::start::<SimPeer, BroadcastId, ()>(&config, seed))
        }))
    }

    fn drawn(&self) -> (u32, u32) {
        S::DRAWN
    }

    fn draw(&self, dice: &mut Dice, needs: &BroadcastNeeds) -> Broadcast {
        S::draw(dice, needs).into()
    }

    fn promises(&self, conditions: &BroadcastConditions) -> BroadcastPromises {
        SimulatedBroadcast::promises(self, conditions)
    }
}

impl<S: SimulatedBroadcast> From<S> for Broadcast {
    fn from(parameters: S) -> Self {
        Self(Box::new(parameters))
    }
}
