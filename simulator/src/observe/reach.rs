//! Which nodes a broadcast could reach, and which it reached.
//!
//! A node is *reachable* if links lead to it from the publisher at the moment of publication. A node that stops
//! before the broadcast arrives need not get it, nor one that starts later: a new link carries only what is
//! published from then on. A broadcast that arrives everywhere is delivered by all other reachable nodes.

use murmurate::membership::Membership as _;

use crate::engine::{SimStack, Simulation};
use crate::model::node::SimPeer;

/// The nodes that a broadcast could reach when it was published. It takes four bytes for each of them.
#[derive(Debug, Clone)]
pub struct Reach {
    id: u32,
    reachable: Vec<SimPeer>,
}

/// The nodes that a broadcast reached and missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Nodes it could reach that have run all the time since, its publisher not included.
    pub reachable: usize,
    /// Those of them that did not get it.
    pub missed: Vec<usize>,
}

impl Reached {
    /// Share of the reachable that got it, 0 to 1; 1 if there are none.
    #[must_use]
    pub fn share(&self) -> f64 {
        let all = self.reachable.max(1) as f64;
        1.0 - self.missed.len() as f64 / all
    }
}

impl Reach {
    /// Node `index` is about to publish the next broadcast; `None` if it does not run. Deliveries
    /// must be [logged](Simulation::log_deliveries).
    pub fn note<P: SimStack>(sim: &Simulation<P>, index: usize) -> Option<Self> {
        let id = u32::try_from(sim.published()).ok().filter(|_| sim.is_live(index))?;
        Some(Self { id, reachable: linked(sim, index) })
    }

    /// The broadcast's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Which of the reachable nodes it has reached.
    pub fn judge<P: SimStack>(&self, sim: &Simulation<P>) -> Reached {
        let stayed = self.reachable.iter().filter(|peer| runs(sim, **peer)).map(|p| p.index());
        let missed = stayed.clone().filter(|index| !sim.has_delivered(*index, self.id));
        Reached { missed: missed.collect(), reachable: stayed.count() }
    }
}

/// Whether the node runs in that incarnation.
fn runs<P: SimStack>(sim: &Simulation<P>, peer: SimPeer) -> bool {
    sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(peer)
}

/// The nodes that links lead to from a node, without the node itself.
fn linked<P: SimStack>(sim: &Simulation<P>, from: usize) -> Vec<SimPeer> {
    let mut known = vec![false; sim.len()];
    let mut found: Vec<SimPeer> = Vec::new();
    let mut next = 0;
    let mut index = from;
    if let Some(known) = known.get_mut(from) {
        *known = true;
    }
    while let Some(stack) = sim.stack(index) {
        for peer in stack.membership().active().filter(|peer| runs(sim, *peer)) {
            if !std::mem::replace(&mut known[peer.index()], true) {
                found.push(peer);
            }
        }
        let Some(peer) = found.get(next) else { break };
        (index, next) = (peer.index(), next + 1);
    }
    found
}
