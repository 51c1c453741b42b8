//! A simulation of any strategies, to look at.

use murmurate::membership::{Membership as _, NodeFigure, Time};

use crate::engine::stats::Stats;
use crate::engine::watch::Load;
use crate::engine::{SimStack, Simulation};
use crate::observe::node;
use crate::observe::topology::Topology;

/// A simulation of any strategies, to look at.
pub trait View {
    /// The virtual time.
    fn now(&self) -> Time;
    /// Nodes that were ever started.
    fn started(&self) -> usize;
    /// Nodes that run.
    fn running(&self) -> Vec<usize>;
    /// Neighbours of a node that runs.
    fn degree(&self, index: usize) -> Option<usize>;
    /// What a node has sent and received, if that is counted.
    fn load(&self, index: usize) -> Option<Load>;
    /// What was counted of a node in this place of those that were asked for, if any were.
    fn count(&self, index: usize, place: usize) -> Option<u64>;
    /// Visits the figures of a node that ever ran, the same ones in the same order for each: first what
    /// all nodes have ([`node::OF_ALL`]), then what their strategies offer. NaN is where there is nothing
    /// to tell.
    fn each_figure(&self, index: usize, visit: &mut dyn FnMut(NodeFigure, f64));
    /// What was counted.
    fn stats(&self) -> &Stats;
    /// The overlay.
    fn topology(&self) -> Topology;

    /// The figure of this name of a node, if its nodes have it and there is something to tell.
    fn figure(&self, index: usize, name: &str) -> Option<f64> {
        let mut found = None;
        self.each_figure(index, &mut |figure, value| {
            if figure.name == name && !value.is_nan() {
                found = Some(value);
            }
        });
        found
    }
}

impl<P: SimStack> View for Simulation<P> {
    fn now(&self) -> Time {
        self.now()
    }

    fn started(&self) -> usize {
        self.len()
    }

    fn running(&self) -> Vec<usize> {
        self.live_nodes().collect()
    }

    fn degree(&self, index: usize) -> Option<usize> {
        Some(self.stack(index)?.membership().active().len())
    }

    fn load(&self, index: usize) -> Option<Load> {
        self.load(index)
    }

    fn count(&self, index: usize, place: usize) -> Option<u64> {
        self.count(index, place)
    }

    fn each_figure(&self, index: usize, visit: &mut dyn FnMut(NodeFigure, f64)) {
        node::each_figure(self, index, visit);
    }

    fn stats(&self) -> &Stats {
        self.stats()
    }

    fn topology(&self) -> Topology {
        Topology::of(self)
    }
}
