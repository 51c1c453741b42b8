//! The overlay of the running nodes, measured as a graph.

use murmurate::membership::Membership as _;
use serde::{Deserialize, Serialize};

use crate::engine::{SimStack, Simulation};
use crate::model::node::SimPeer;
use crate::observe::graph::Graph;

/// Path lengths are exact up to this many nodes and from this many sources above.
const EXACT_PATHS: usize = 10_000;
/// Sources of the path lengths in larger overlays.
const SAMPLED_SOURCES: usize = 256;

/// What the papers measure of an overlay. Links to nodes that do not run do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Running nodes.
    pub running_nodes: usize,
    /// Mean number of neighbours.
    pub mean_degree: f64,
    /// Nodes by their number of neighbours; the index is the number.
    pub degrees: Vec<usize>,
    /// Average local clustering coefficient, 0 to 1.
    pub clustering: f64,
    /// Average shortest path in hops over all connected pairs.
    pub average_shortest_path: f64,
    /// Whether all pairs were looked at, or those of 256 sources.
    pub paths_exact: bool,
    /// Connected components.
    pub components: usize,
    /// Nodes in the largest.
    pub largest_component: usize,
    /// Views that hold a running node that does not hold them.
    pub asymmetric_links: usize,
}

/// The overlay graph of the running nodes, renumbered from 0 in the order of their indices.
pub fn graph<P: SimStack>(sim: &Simulation<P>) -> Graph {
    let mut number = vec![u32::MAX; sim.len()];
    for (new, index) in (0..).zip(sim.live_nodes()) {
        number[index] = new;
    }
    let number = &number;
    let arcs = sim.live_nodes().flat_map(move |index| {
        let peers = sim.stack(index).into_iter().flat_map(|p| p.membership().active());
        peers
            .filter(|peer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(*peer))
            .map(move |peer| (number[index], number[peer.index()]))
    });
    Graph::from_arcs(sim.live(), arcs)
}

/// Running nodes that a node has in its view.
pub fn degree<P: SimStack>(sim: &Simulation<P>, index: usize) -> usize {
    let runs = |peer: &SimPeer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(*peer);
    sim.stack(index).map_or(0, |stack| stack.membership().active().filter(runs).count())
}

/// Dead links: each running node whose view holds a node that does not run, with that node.
pub fn dead_links<P: SimStack>(sim: &Simulation<P>) -> impl Iterator<Item = (usize, SimPeer)> + '_ {
    let runs = |peer: SimPeer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(peer);
    sim.live_nodes().flat_map(move |index| {
        let active = sim.stack(index).into_iter().flat_map(|p| p.membership().active());
        active.filter(move |peer| !runs(*peer)).map(move |peer| (index, peer))
    })
}

/// How far attackers got with those nodes that do not attack.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// The attackers' share of places in active views.
    pub attacker_links: f64,
    /// The attackers' share of places in passive views.
    pub attacker_peers: f64,
    /// Nodes whose neighbours all attack; those without a neighbour do not count.
    pub eclipsed: usize,
    /// Nodes outside the largest part of the overlay that is left without the attackers.
    pub cut_off: usize,
}

/// How far attackers got, if there are any.
pub fn exposure<P: SimStack>(sim: &Simulation<P>) -> Option<Exposure> {
    let attacks = |peer: &SimPeer| sim.attacks(*peer);
    sim.has_attackers().then(|| {
        let (mut links, mut peers, mut eclipsed) = ([0_usize; 2], [0_usize; 2], 0);
        let honest: Vec<SimPeer> =
            sim.live_nodes().filter_map(|at| sim.peer(at)).filter(|peer| !attacks(peer)).collect();
        let mut arcs = Vec::new();
        for (own, peer) in (0..).zip(&honest) {
            let Some(stack) = sim.stack(peer.index()) else { continue };
            let (active, passive) = (stack.membership().active(), stack.membership().passive());
            let theirs = active.clone().filter(attacks).count();
            eclipsed += usize::from(theirs > 0 && theirs == active.len());
            let others = active.clone().filter_map(|other| honest.binary_search(&other).ok());
            arcs.extend(others.map(|other| (own, other as u32)));
            links = [links[0] + theirs, links[1] + active.len()];
            peers = [peers[0] + passive.clone().filter(attacks).count(), peers[1] + passive.len()];
        }
        let share = |[theirs, all]: [usize; 2]| theirs as f64 / all.max(1) as f64;
        let largest = Graph::from_arcs(honest.len(), arcs.iter().copied()).components().largest;
        Exposure {
            attacker_links: share(links),
            attacker_peers: share(peers),
            eclipsed,
            cut_off: honest.len() - largest,
        }
    })
}

/// Links of a graph that was given, between running nodes, that are not in [`graph`].
pub fn missing_links<P: SimStack>(sim: &Simulation<P>, there: &Graph, given: &Graph) -> usize {
    let mut number = vec![u32::MAX; sim.len().max(given.nodes())];
    for (new, index) in (0..).zip(sim.live_nodes()) {
        number[index] = new;
    }
    let missing = |index: usize| {
        let ahead = given.neighbors(index as u32).iter().filter(|other| **other as usize > index);
        let runs = ahead.map(|other| number[*other as usize]).filter(|other| *other != u32::MAX);
        runs.filter(|other| there.neighbors(number[index]).binary_search(other).is_err()).count()
    };
    sim.live_nodes().take_while(|index| *index < given.nodes()).map(missing).sum()
}

/// Measures the overlay of the running nodes.
pub fn measure<P: SimStack>(sim: &Simulation<P>) -> Overlay {
    Overlay::of(&graph(sim))
}

impl Overlay {
    /// Of the running nodes as a graph.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let components = graph.components();
        let sources = if graph.nodes() <= EXACT_PATHS { EXACT_PATHS } else { SAMPLED_SOURCES };
        let paths = graph.paths(sources);
        Self {
            running_nodes: graph.nodes(),
            mean_degree: graph.mean_degree(),
            degrees: graph.degrees(),
            clustering: graph.clustering(),
            average_shortest_path: paths.average,
            paths_exact: paths.exact,
            components: components.count,
            largest_component: components.largest,
            asymmetric_links: graph.asymmetric,
        }
    }
}
