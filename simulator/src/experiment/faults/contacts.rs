//! Whom a node joins through.

use rand::Rng;

use super::random_running;
use crate::engine::{SimStack, Simulation};
use crate::observe::graph::Graph;

/// Random nodes that run, or those that a graph says.
#[derive(Debug)]
pub(crate) struct Contacts {
    random: usize,
    graph: Option<Graph>,
}

impl Contacts {
    /// So many random ones, but for nodes of the graph.
    pub(crate) fn new(random: usize, graph: Option<Graph>) -> Self {
        Self { random, graph }
    }

    pub(crate) fn graph(&self) -> Option<&Graph> {
        self.graph.as_ref()
    }

    /// Of a node that is about to start.
    pub(crate) fn of<P: SimStack>(
        &self,
        index: usize,
        sim: &Simulation<P>,
        rng: &mut impl Rng,
    ) -> Vec<usize> {
        self.in_graph(index, sim).unwrap_or_else(|| self.random(sim, rng))
    }

    /// Neighbours in the graph that run, if there is one and the node is in it.
    pub(super) fn in_graph<P: SimStack>(
        &self,
        index: usize,
        sim: &Simulation<P>,
    ) -> Option<Vec<usize>> {
        let graph = self.graph.as_ref().filter(|graph| index < graph.nodes())?;
        let neighbors = graph.neighbors(index as u32).iter().map(|node| *node as usize);
        Some(neighbors.filter(|node| sim.is_live(*node)).collect())
    }

    pub(super) fn random<P: SimStack>(
        &self,
        sim: &Simulation<P>,
        rng: &mut impl Rng,
    ) -> Vec<usize> {
        let count = self.random.min(sim.live());
        (0..count).filter_map(|_| random_running(sim, rng)).collect()
    }
}
