//! Whom each broadcast could reach, and whom it did.

use std::collections::BTreeSet;

use crate::engine::{SimBroadcast, SimMembership, Simulation};
use crate::node::Peer;
use crate::scenario::{Figure, Scenario};

/// For each broadcast those to whom links led from its publisher when it was published, if an
/// assertion wants to know.
#[derive(Debug)]
pub(super) struct Sides {
    sides: Option<Vec<Vec<Peer>>>,
}

impl Sides {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let wanted = scenario.assertions.iter().any(|a| a.figure == Figure::Reach);
        Self { sides: wanted.then(Vec::new) }
    }

    /// Node `index` is about to publish the next broadcast.
    pub(super) fn note<M: SimMembership, B: SimBroadcast>(
        &mut self,
        sim: &Simulation<M, B>,
        index: usize,
    ) {
        if let Some(sides) = &mut self.sides
            && sim.is_live(index)
        {
            sides.push(side(sim, index));
        }
    }

    /// Of each broadcast the share that it reached of those that still run as they did then.
    pub(super) fn shares<M: SimMembership, B: SimBroadcast>(
        &self,
        sim: &Simulation<M, B>,
    ) -> Vec<f64> {
        let share = |(id, side): (u32, &Vec<Peer>)| {
            let stayed = side.iter().filter(|peer| runs(sim, **peer));
            let reached = stayed.clone().filter(|peer| sim.has_delivered(peer.index(), id)).count();
            match stayed.count() {
                0 => 1.0,
                stayed => reached as f64 / stayed as f64,
            }
        };
        (0..).zip(self.sides.iter().flatten()).map(share).collect()
    }
}

fn runs<M: SimMembership, B: SimBroadcast>(sim: &Simulation<M, B>, peer: Peer) -> bool {
    sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(peer)
}

/// Those that links lead to from a node, without itself: nobody delivers what it published.
fn side<M: SimMembership, B: SimBroadcast>(sim: &Simulation<M, B>, index: usize) -> Vec<Peer> {
    let mut known = BTreeSet::from([index]);
    let mut side: Vec<Peer> = sim.peer(index).into_iter().collect();
    let mut next = 0;
    while let Some(peer) = side.get(next) {
        next += 1;
        let active = sim.protocols(peer.index()).map(|p| p.membership().active());
        for peer in active.into_iter().flatten().filter(|peer| runs(sim, *peer)) {
            if known.insert(peer.index()) {
                side.push(peer);
            }
        }
    }
    side.split_off(1.min(side.len()))
}
