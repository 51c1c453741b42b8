//! Whom a broadcast had to reach while nodes came and went, and whether it did.
//!
//! Who stops before it arrives need not get it, nor who started after it was published: a new link
//! hears only of what is published from then on. *Reachable* is who ran all the time, from the
//! publishing to the present, in one incarnation, and is in the largest component of the overlay
//! at present. A broadcast that arrives everywhere is delivered by each of them.

use crate::engine::{SimBroadcast, SimMembership, Simulation};
use crate::node::Peer;
use crate::overlay;

/// Who ran when a broadcast was published. It takes eight bytes for each node.
#[derive(Debug, Clone)]
pub struct Reach {
    id: u32,
    origin: usize,
    running: Vec<Option<Peer>>,
}

/// What became of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Nodes that ran when it was published, its publisher included.
    pub running: usize,
    /// Those of them that are reachable.
    pub reachable: usize,
    /// Those of the reachable that did not get it.
    pub missed: Vec<usize>,
}

impl Reach {
    /// Has node `index` publish a broadcast; `None` if it does not run. Its deliveries must be
    /// [logged](Simulation::log_deliveries).
    pub fn publish<M: SimMembership, B: SimBroadcast>(
        sim: &mut Simulation<M, B>,
        index: usize,
    ) -> Option<Self> {
        let running = incarnations(sim);
        let id = sim.publish(index)?;
        Some(Self { id, origin: index, running })
    }

    /// The broadcast's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whom of the reachable it has reached, for several broadcasts at a time: the overlay is looked
    /// at only once.
    pub fn judge<M: SimMembership, B: SimBroadcast>(
        published: &[Self],
        sim: &Simulation<M, B>,
    ) -> Vec<Reached> {
        let present = incarnations(sim);
        let mut connected = vec![false; sim.len()];
        let largest = overlay::graph(sim).largest_component();
        for (index, is_in) in sim.live_nodes().zip(largest) {
            connected[index] = is_in;
        }
        let judge = |reach: &Self| {
            let stayed = (0..).zip(reach.running.iter().zip(&present));
            let stayed = stayed.filter(|(_, (then, now))| then.is_some() && then == now);
            let reachable = stayed.map(|(index, _)| index).filter(|index| connected[*index]);
            let has_it = |index| index == reach.origin || sim.has_delivered(index, reach.id);
            Reached {
                running: reach.running.iter().flatten().count(),
                reachable: reachable.clone().count(),
                missed: reachable.filter(|index| !has_it(*index)).collect(),
            }
        };
        published.iter().map(judge).collect()
    }
}

/// Of each node its incarnation, if it runs.
fn incarnations<M: SimMembership, B: SimBroadcast>(sim: &Simulation<M, B>) -> Vec<Option<Peer>> {
    (0..sim.len()).map(|index| sim.peer(index).filter(|_| sim.is_live(index))).collect()
}
