//! A snapshot of the overlay and the broadcast tree, node by node and link by link, for export.

use murmurate::broadcast::Broadcast as _;
use murmurate::membership::{Membership as _, Time};
use serde::Serialize;

use crate::engine::watch::Load;
use crate::engine::{SimStack, Simulation};
use crate::model::node::SimPeer;

/// The running nodes and the links between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topology {
    /// When, in seconds of virtual time.
    pub at: f64,
    /// The regions' names, if they have any.
    pub regions: Vec<String>,
    /// The running nodes, by index.
    pub nodes: Vec<Node>,
    /// The links between them, by their ends. These are the edges of [`crate::observe::overlay::graph`].
    pub links: Vec<Link>,
}

/// A running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its index in the simulation.
    pub index: u32,
    /// How often it was restarted.
    pub incarnation: u8,
    /// The number of its region, if regions have names.
    pub region: Option<u16>,
    /// Its links.
    pub degree: u32,
    /// Its messages so far, if they are counted.
    pub load: Option<Load>,
}

/// A link between two running nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The places of its ends in [`Topology::nodes`], the smaller one first.
    pub ends: [u32; 2],
    /// Which of these hold the link in their views: both, unless it is just made or given up.
    pub held: [bool; 2],
    /// Which of these push payloads over it.
    pub eager: [bool; 2],
}

impl Link {
    /// Whether it belongs to the broadcast tree: both ends push payloads over it.
    #[must_use]
    pub fn is_of_tree(&self) -> bool {
        self.eager == [true; 2]
    }
}

impl Topology {
    /// Of a simulation as it is now.
    pub fn of<P: SimStack>(sim: &Simulation<P>) -> Self {
        let placement = sim.network().placement();
        let mut place = vec![u32::MAX; sim.len()];
        let mut nodes = Vec::with_capacity(sim.live());
        for index in sim.live_nodes() {
            place[index] = nodes.len() as u32;
            nodes.push(Node {
                index: index as u32,
                incarnation: sim.peer(index).map_or(0, SimPeer::incarnation),
                region: (!placement.names().is_empty()).then(|| placement.of(index) as u16),
                degree: 0,
                load: sim.load(index),
            });
        }
        let links = links(sim, &place);
        for link in &links {
            link.ends.iter().for_each(|&end| nodes[end as usize].degree += 1);
        }
        let at = sim.now().since(Time::ZERO).as_secs_f64();
        Self { at, regions: placement.names().to_vec(), nodes, links }
    }

    /// The name of a node's region, if it has one.
    #[must_use]
    pub fn region(&self, node: &Node) -> Option<&str> {
        self.regions.get(usize::from(node.region?)).map(String::as_str)
    }
}

/// The links of all views, each once.
fn links<P: SimStack>(sim: &Simulation<P>, place: &[u32]) -> Vec<Link> {
    let mut links = Vec::new();
    let mut eager = Vec::new();
    for index in sim.live_nodes() {
        let Some(stack) = sim.stack(index) else { continue };
        eager.clear();
        eager.extend(stack.broadcast().eager());
        let runs =
            |peer: &SimPeer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(*peer);
        for peer in stack.membership().active().filter(runs) {
            let (own, other) = (place[index], place[peer.index()]);
            let side = usize::from(own > other);
            let mut link = Link {
                ends: [own.min(other), own.max(other)],
                held: [false; 2],
                eager: [false; 2],
            };
            link.held[side] = true;
            link.eager[side] = eager.contains(&peer);
            links.push(link);
        }
    }
    links.sort_unstable_by_key(|link| link.ends);
    links.dedup_by(|again, kept| {
        let same = again.ends == kept.ends;
        for side in 0..2 {
            kept.held[side] |= same && again.held[side];
            kept.eager[side] |= same && again.eager[side];
        }
        same
    });
    links
}
