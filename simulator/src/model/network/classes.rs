//! Classes of nodes that have other lines than the rest, or that nobody can dial.

use std::sync::Arc;

use super::{BandwidthModel, mix};

/// Nodes that are not as the rest. What is not said is as for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Which nodes are of it, unless they are of a class before.
    pub members: Members,
    /// What their access lines carry.
    pub bandwidth: Option<BandwidthModel>,
    /// Share of their messages that are lost, 0 to 1, both of those that they send and of those that they
    /// are sent. Of two classes the greater share counts.
    pub loss: Option<f64>,
    /// Lines that all of them share for what they send to others and get from others.
    pub shared: Option<BandwidthModel>,
    /// What whoever dials one of them meets, if nobody can.
    pub nat: Option<Nat>,
}

impl Class {
    /// How many there are at most: each message asks of which class its two ends are.
    pub const MOST: usize = 256;
}

/// A line in one direction that many nodes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedLine {
    /// Bits a second.
    pub(crate) rate: u64,
    /// Bytes of each flow that may wait.
    pub(crate) queue: u64,
}

/// The shared lines between two nodes: the one of the sender's class, or of the receiver's, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) first: u16,
    pub(crate) next: Option<u16>,
}

/// Which nodes are of a class.
#[derive(Debug, Clone, PartialEq)]
pub enum Members {
    /// This share, 0 to 1: each node that no list and no region before takes is of it with this chance, drawn
    /// for itself. So of n such nodes it has a binomial number.
    Share(f64),
    /// Those of a region, by its number.
    Region(usize),
    /// These.
    Nodes(Vec<usize>),
}

/// What a dial meets at a node behind a NAT or a firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// It is refused at once.
    Reject,
    /// It gets no answer.
    Drop,
}

/// Which node is of which class: also those that join later.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    classes: Arc<[Class]>,
    /// By class the draws, from 0 to below 1, of those that a share takes.
    draws: Arc<[(f64, f64)]>,
    seed: u64,
}

impl Classes {
    pub(super) fn none() -> Self {
        Self { classes: Arc::new([]), draws: Arc::new([]), seed: 0 }
    }

    /// The shares add up to 1 at most.
    pub(super) fn new(mut classes: Vec<Class>, seed: u64) -> Self {
        let mut until = 0.0;
        let mut draws = Vec::new();
        for class in &mut classes {
            let from = until;
            match &mut class.members {
                Members::Share(share) => until += *share,
                Members::Nodes(nodes) => nodes.sort_unstable(),
                Members::Region(_) => {}
            }
            draws.push((from, until));
        }
        Self { classes: classes.into(), draws: draws.into(), seed: mix(seed ^ 0x636c_6173) }
    }

    pub(super) fn all(&self) -> &[Class] {
        &self.classes
    }

    /// By class, first the line for what its nodes send, then that for what they get.
    pub(super) fn shared_lines(&self) -> Vec<Option<SharedLine>> {
        let both = |class: &Class| match class.shared {
            None => [None; 2],
            Some(BandwidthModel { up, down, queue }) => {
                [up, down].map(|rate| Some(SharedLine { rate, queue }))
            }
        };
        self.classes.iter().flat_map(both).collect()
    }

    /// The lines from a node of one class to a node of another one.
    pub(super) fn route(&self, from: Option<usize>, to: Option<usize>) -> Option<Route> {
        if from == to {
            return None;
        }
        let shared = |class: &usize| self.classes[*class].shared.is_some();
        let up = from.filter(shared).map(|class| 2 * class as u16);
        let down = to.filter(shared).map(|class| 2 * class as u16 + 1);
        let first = up.or(down)?;
        Some(Route { first, next: up.and(down) })
    }

    /// The number of the class of node `index`, which stands in `region`.
    #[inline]
    pub(super) fn of(&self, index: usize, region: impl Fn() -> usize) -> Option<usize> {
        // The 53 bits that a number has room for. Neighbouring indices have nothing in common: regions take
        // turns by index, and many graphs link by it.
        let draw = || (mix(self.seed ^ index as u64) >> 11) as f64 / (1_u64 << 53) as f64;
        self.classes.iter().zip(&*self.draws).position(|(class, (from, until))| {
            match &class.members {
                Members::Share(_) => (*from..*until).contains(&draw()),
                Members::Region(number) => region() == *number,
                Members::Nodes(nodes) => nodes.binary_search(&index).is_ok(),
            }
        })
    }
}
