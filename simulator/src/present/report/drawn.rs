//! The overlay over time, as the report draws it: up to some thousand nodes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use murmurate::membership::Time;
use serde::Serialize;

use crate::experiment::runner::{Observer, View};
use crate::experiment::scenario::{Membership, Scenario, Span};
use crate::observe::topology::Topology;

/// The most nodes and links that are drawn.
const MOST_NODES: usize = 2_000;
const MOST_LINKS: usize = 12_000;
/// With more nodes, nothing is drawn of the time before the nodes to draw are chosen.
const MOST_WAITING: usize = 50_000;
/// Moments that are drawn, in addition to those of faults.
const MOMENTS: u32 = 48;
/// Faults whose moments are drawn.
const MOST_FAULTS: usize = 24;

/// The overlay at some moments. Nodes are given by their index in `nodes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Drawn {
    /// When, in seconds of virtual time.
    pub moments: Vec<f64>,
    /// The nodes' indices.
    pub nodes: Vec<u32>,
    /// The regions' names, if they have any.
    pub regions: Vec<String>,
    /// By node, the number of its region; 0 if regions have no names.
    pub region: Vec<u16>,
    /// By node, the messages it sent and handled in the whole run.
    pub load: Vec<u64>,
    /// By moment, one letter for each node: its number of neighbours to the base 36, `+` for more, a point
    /// if it does not run.
    pub degrees: Vec<String>,
    /// Five numbers for each link: its ends, the moments from which and until which it exists like this,
    /// and whether it is in the tree.
    pub links: Vec<u32>,
    /// How many nodes ever started.
    pub started: usize,
    /// How the nodes were chosen, if not all are drawn.
    pub sample: Option<Sample>,
}

/// A choice of nodes: those nearest to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// The one.
    pub center: u32,
    /// When they were nearest, in seconds of virtual time.
    pub at: f64,
}

/// Draws a run as it goes on.
#[derive(Debug)]
pub struct Film {
    drawn: Drawn,
    moments: Vec<Span>,
    /// The most nodes that are drawn.
    most: usize,
    /// When a sample is taken, if not all can be drawn.
    choosing: Option<Time>,
    /// The moments before.
    waiting: Vec<Topology>,
    /// The places of nodes, by index.
    places: BTreeMap<u32, u32>,
    /// The present links: since when, and whether they are in the tree.
    open: BTreeMap<(u32, u32), (u32, bool)>,
}

impl Film {
    /// Of a run of this scenario.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let end = scenario.duration.0;
        let count = scenario.nodes.count as usize;
        let most = most_nodes(&scenario.membership);
        let evenly = (1..=MOMENTS).map(|moment| end * moment / MOMENTS);
        let faults = scenario.faults.iter().take(MOST_FAULTS).map(|fault| fault.at.0);
        let mut moments: Vec<Duration> = evenly.chain(faults.filter(|at| *at < end)).collect();
        moments.sort_unstable();
        moments.dedup();
        moments.retain(|at| !at.is_zero());
        let choosing = choosing(scenario, &moments);
        if count > MOST_WAITING {
            moments.retain(|at| *at >= choosing);
        }
        Self {
            drawn: Drawn::default(),
            moments: moments.into_iter().map(Span).collect(),
            most,
            choosing: (count > most).then(|| Time::ZERO.after(choosing)),
            waiting: Vec::new(),
            places: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// What was drawn.
    #[must_use]
    pub fn finish(mut self) -> Drawn {
        debug_assert!(self.waiting.is_empty(), "the end is a moment");
        let end = self.drawn.moments.len() as u32;
        for ((a, b), (from, tree)) in std::mem::take(&mut self.open) {
            self.drawn.links.extend([a, b, from, end, u32::from(tree)]);
        }
        self.drawn
    }

    /// Chooses the nodes to draw: all of them, or those nearest to one.
    fn choose(&mut self, topology: &Topology) {
        if self.choosing.is_none() {
            for node in &topology.nodes {
                self.add(topology, node.index, node.region);
            }
        } else if self.drawn.sample.is_none()
            && let Some(center) = topology.nodes.first()
        {
            for place in nearest(topology, self.most) {
                let node = topology.nodes[place];
                self.add(topology, node.index, node.region);
            }
            self.drawn.sample = Some(Sample { center: center.index, at: topology.at });
        }
    }

    fn add(&mut self, topology: &Topology, index: u32, region: Option<u16>) {
        let place = self.drawn.nodes.len();
        if place < self.most && !self.places.contains_key(&index) {
            self.places.insert(index, place as u32);
            self.drawn.nodes.push(index);
            self.drawn.region.push(region.unwrap_or_default());
            self.drawn.regions.clone_from(&topology.regions);
        }
    }

    /// Adds a moment: draws it, or keeps it until the nodes to draw are chosen.
    fn take(&mut self, topology: Topology, at: Time) {
        if self.drawn.sample.is_none() && self.choosing.is_some_and(|choosing| at < choosing) {
            self.waiting.push(topology);
            return;
        }
        self.choose(&topology);
        for before in std::mem::take(&mut self.waiting) {
            self.draw(&before);
        }
        self.draw(&topology);
    }

    fn draw(&mut self, topology: &Topology) {
        let moment = self.drawn.moments.len() as u32;
        self.drawn.moments.push(topology.at);
        let mut degrees = vec!['.'; self.drawn.nodes.len()];
        for node in &topology.nodes {
            if let Some(place) = self.places.get(&node.index) {
                degrees[*place as usize] = char::from_digit(node.degree, 36).unwrap_or('+');
            }
        }
        self.drawn.degrees.push(degrees.into_iter().collect());
        let place = |end: u32| self.places.get(&topology.nodes[end as usize].index).copied();
        let seen = topology.links.iter().filter_map(|link| {
            Some(((place(link.ends[0])?, place(link.ends[1])?), link.is_of_tree()))
        });
        let seen: BTreeMap<_, _> = seen.collect();
        let links = &mut self.drawn.links;
        self.open.retain(|(a, b), (from, tree)| {
            let stays = seen.get(&(*a, *b)) == Some(tree);
            if !stays {
                links.extend([*a, *b, *from, moment, u32::from(*tree)]);
            }
            stays
        });
        for (ends, tree) in seen {
            self.open.entry(ends).or_insert((moment, tree));
        }
    }
}

impl Observer for Film {
    fn looks_at(&self) -> Vec<Span> {
        self.moments.clone()
    }

    fn look(&mut self, sim: &dyn View, at: Time) {
        self.take(sim.topology(), at);
        let load = |index: &u32| sim.load(*index as usize).map_or(0, |load| load.messages());
        self.drawn.load = self.drawn.nodes.iter().map(load).collect();
        self.drawn.started = sim.started();
    }
}

/// When nodes are chosen: after all have joined and before the first fault, or else in the middle of the
/// rest.
fn choosing(scenario: &Scenario, moments: &[Duration]) -> Duration {
    let (joined, end) = (scenario.nodes.joining.0, scenario.duration.0);
    let faults = scenario.faults.iter().map(|fault| fault.at.0).filter(|at| *at > joined);
    let wanted = faults.min().unwrap_or((end + joined) / 2);
    moments.iter().copied().find(|at| *at >= wanted).unwrap_or(end)
}

/// The number of nodes whose links can still be drawn.
fn most_nodes(membership: &Membership) -> usize {
    let fits = |nodes: &usize| nodes * membership.links(*nodes) <= 2 * MOST_LINKS;
    (2..=MOST_NODES).rev().find(fits).unwrap_or(2)
}

/// The places of the nodes nearest to the first one, by hops: as many as asked for.
fn nearest(topology: &Topology, most: usize) -> Vec<usize> {
    let mut peers = vec![Vec::new(); topology.nodes.len()];
    for link in &topology.links {
        let [a, b] = link.ends.map(|end| end as usize);
        peers[a].push(b);
        peers[b].push(a);
    }
    let mut is_seen = vec![false; peers.len()];
    let mut found = Vec::new();
    // Others than the first one, if it is cut off.
    for start in 0..peers.len() {
        let mut queue = VecDeque::from([start]);
        while let Some(next) = queue.pop_front().filter(|_| found.len() < most) {
            if !std::mem::replace(&mut is_seen[next], true) {
                found.push(next);
                queue.extend(&peers[next]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::topology::{Link, Node};

    fn topology(at: f64, nodes: &[u32], links: &[(u32, u32, bool)]) -> Topology {
        let node = |index: &u32| {
            let place = nodes.iter().position(|node| node == index).expect("one of them") as u32;
            let degree = links.iter().filter(|(a, b, _)| *a == place || *b == place).count();
            Node { index: *index, incarnation: 0, region: None, degree: degree as u32, load: None }
        };
        let link = |(a, b, tree): &(u32, u32, bool)| Link {
            ends: [*a, *b],
            held: [true; 2],
            eager: [*tree, true],
        };
        Topology {
            at,
            regions: Vec::new(),
            nodes: nodes.iter().map(node).collect(),
            links: links.iter().map(link).collect(),
        }
    }

    fn take(film: &mut Film, topology: Topology) {
        let at = Time::ZERO.after(Duration::from_secs_f64(topology.at));
        film.take(topology, at);
    }

    #[test]
    fn links_have_the_moments_between_which_they_are_as_they_are() {
        let mut film = Film::new(&Scenario::default());
        take(&mut film, topology(1.0, &[4, 7], &[(0, 1, false)]));
        take(&mut film, topology(2.0, &[4, 7, 9], &[(0, 1, true), (1, 2, true)]));
        // Node 7 is gone.
        take(&mut film, topology(3.0, &[4, 9], &[(0, 1, true)]));
        let drawn = film.finish();
        assert_eq!((drawn.nodes, drawn.moments), (vec![4, 7, 9], vec![1.0, 2.0, 3.0]));
        assert_eq!(drawn.degrees, ["11", "121", "1.1"], "nobody is there before it starts");
        let links: Vec<&[u32]> = drawn.links.chunks(5).collect();
        assert_eq!(links, [[0, 1, 0, 1, 0], [0, 1, 1, 2, 1], [1, 2, 1, 2, 1], [0, 2, 2, 3, 1]]);
    }

    #[test]
    fn of_many_those_nearest_to_one_are_drawn() {
        let mut scenario = Scenario::default();
        scenario.nodes.count = 2_001;
        let mut film = Film::new(&scenario);
        film.most = 3;
        let line: Vec<(u32, u32, bool)> = (0..4).map(|at| (at, at + 1, true)).collect();
        take(&mut film, topology(10.0, &[0, 1, 2, 3, 4], &line[..1]));
        // Half-way between the last join and the end.
        take(&mut film, topology(35.0, &[0, 1, 2, 3, 4], &line));
        take(&mut film, topology(36.0, &[0, 1, 2, 3, 4, 5], &line));
        let drawn = film.finish();
        assert_eq!((drawn.nodes, drawn.moments), (vec![0, 1, 2], vec![10.0, 35.0, 36.0]));
        assert_eq!(drawn.sample, Some(Sample { center: 0, at: 35.0 }));
        assert_eq!(drawn.links, [0, 1, 0, 3, 1, 1, 2, 1, 3, 1]);
    }

    #[test]
    fn a_sample_is_taken_before_something_goes_wrong() {
        let fault = "at = \"40s\"\ndo.crash = { who.share = \"50%\" }";
        let text = format!("nodes.count = 60000\nduration = \"96s\"\n[[faults]]\n{fault}\n");
        let document = crate::experiment::scenario::Document::parse("it", &text).expect("TOML");
        let film = Film::new(&document.scenario().expect("a scenario"));
        assert_eq!(film.choosing, Some(Time::from_nanos(40_000_000_000)));
        assert_eq!(film.moments.first(), Some(&Span::secs(40)), "of so many, nothing before");
        assert_eq!(film.moments.last(), Some(&Span::secs(96)));
    }

    #[test]
    fn a_mesh_has_fewer_nodes_that_can_be_drawn() {
        let most = |membership| most_nodes(&membership);
        assert_eq!(most(Membership::default()), MOST_NODES);
        assert_eq!(most(murmurate::membership::full_mesh::Parameters::default().into()), 155);
    }
}
