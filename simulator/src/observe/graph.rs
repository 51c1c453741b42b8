//! The overlay as a graph: what the nodes' views look like from above.
//!
//! A view is directed: it lists the neighbours its owner knows. [`Graph`] is the undirected simple
//! graph these views span, and measures what a membership protocol is judged by: whether it holds
//! together, how far apart its nodes are, how clustered and how even it is.
//!
//! Every measure is exact and a pure function of the graph, except that [`Graph::paths`] samples
//! its sources, at fixed places, when it is asked to look at fewer than all.

/// An undirected simple graph over the nodes `0..nodes()`.
///
/// It holds four bytes per node and eight per edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    rows: Rows,
    /// The number of distinct arcs `a -> b` given without their reverse `b -> a`; self loops do not
    /// count. Zero when all views are mutual.
    pub asymmetric: usize,
}

/// How a graph falls apart into connected components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components {
    /// The number of components, each isolated node being one; `0..=nodes`, zero only if there are
    /// no nodes, and one if the graph is connected.
    pub count: usize,
    /// The number of nodes in the largest component; `0..=nodes`.
    pub largest: usize,
}

/// How far apart the nodes of a graph are, in hops, over the ordered pairs of distinct nodes that
/// can reach each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paths {
    /// The mean length of a shortest path, in hops; at least 1, or 0 if there is no such pair.
    pub average: f64,
    /// The longest shortest path, in hops: the diameter of the widest component if `exact`, or else
    /// a lower bound of it.
    pub longest: u32,
    /// The number of nodes the paths were measured from; `0..=nodes`.
    pub sources: usize,
    /// Whether the paths were measured from every node.
    pub exact: bool,
}

impl Graph {
    /// The graph that the arcs `(from, to)` span once their direction is dropped.
    ///
    /// Arcs may come in any order. Self loops, repetitions and arcs with an end outside of
    /// `0..nodes` are ignored. The iterator is walked twice; it may yield up to `u32::MAX / 2` arcs.
    pub fn from_arcs(nodes: usize, arcs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let inside = move |&(from, to): &(u32, u32)| from != to && (from.max(to) as usize) < nodes;
        let given = Rows::from_arcs(nodes, arcs.filter(inside));
        let both_ways = given.arcs().flat_map(|(from, to)| [(from, to), (to, from)]);
        let rows = Rows::from_arcs(nodes, both_ways);
        // Dropping the directions has added just the arcs that were missing.
        let asymmetric = rows.targets.len() - given.targets.len();
        Self { rows, asymmetric }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.rows.offsets.len() - 1
    }

    /// The number of undirected edges.
    pub fn edges(&self) -> usize {
        self.rows.targets.len() / 2
    }

    /// The neighbours of a node, ascending and without repetition. As with a slice, `node` must be
    /// within `0..nodes()`.
    pub fn neighbors(&self, node: u32) -> &[u32] {
        self.rows.row(node)
    }

    /// The histogram of degrees: at index `d`, the number of nodes with `d` neighbours, up to the
    /// greatest degree there is. Empty if there are no nodes.
    pub fn degrees(&self) -> Vec<usize> {
        let mut histogram = Vec::new();
        for row in self.rows.iter() {
            histogram.resize(histogram.len().max(row.len() + 1), 0);
            histogram[row.len()] += 1;
        }
        histogram
    }

    /// The mean number of neighbours of a node; 0 if there are no nodes.
    pub fn mean_degree(&self) -> f64 {
        ratio(self.rows.targets.len() as u64, self.nodes() as u64)
    }

    /// The average local clustering coefficient, `0.0..=1.0`: the share of a node's pairs of
    /// neighbours that are neighbours themselves, averaged over all nodes. A node with fewer than
    /// two neighbours has a share of 0.
    pub fn clustering(&self) -> f64 {
        let local = self.rows.iter().map(|row| {
            // Each edge between two neighbours is met from both of its ends, as is each pair.
            let links: usize = row.iter().map(|&peer| common(row, self.neighbors(peer))).sum();
            ratio(links as u64, (row.len() * row.len().saturating_sub(1)) as u64)
        });
        // An empty sum of floats is -0.
        local.fold(0.0, |sum, share| sum + share) / self.nodes().max(1) as f64
    }

    /// The connected components: their number, and the size of the largest.
    pub fn components(&self) -> Components {
        let mut components = Components { count: 0, largest: 0 };
        let mut seen = vec![false; self.nodes()];
        let mut pending = Vec::new();
        for start in 0..self.nodes() as u32 {
            if std::mem::replace(&mut seen[start as usize], true) {
                continue;
            }
            pending.push(start);
            let mut size = 0;
            while let Some(node) = pending.pop() {
                size += 1;
                for &peer in self.neighbors(node) {
                    if !std::mem::replace(&mut seen[peer as usize], true) {
                        pending.push(peer);
                    }
                }
            }
            components.count += 1;
            components.largest = components.largest.max(size);
        }
        components
    }

    /// The lengths of the shortest paths from every node, if there are at most `max_sources` of
    /// them, or else from `max_sources` nodes evenly spaced by number.
    ///
    /// The time taken grows with the sources times the edges, 64 sources being served at once.
    pub fn paths(&self, max_sources: usize) -> Paths {
        let nodes = self.nodes();
        let sources = nodes.min(max_sources);
        let mut search = Search::new(self);
        for first in (0..sources).step_by(Search::WIDTH) {
            let batch = first..sources.min(first + Search::WIDTH);
            search.run(batch.map(|source| (source * nodes / sources) as u32));
        }
        Paths {
            average: ratio(search.hops, search.pairs),
            longest: search.longest,
            sources,
            exact: sources == nodes,
        }
    }
}

/// Lists of nodes, one per node, end to end in one allocation. Each is ascending and without
/// repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rows {
    /// Where each node's row starts in `targets`, and at last where the last one ends.
    offsets: Vec<u32>,
    targets: Vec<u32>,
}

impl Rows {
    /// Sorts arcs by counting: one walk for the length of each row, one to fill them.
    fn from_arcs(nodes: usize, arcs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        // Counted two places ahead, a row's slot first holds its start one place ahead; filling the
        // row moves that on to its end, which is where the next one starts.
        let mut offsets = vec![0; nodes + 2];
        for (from, _) in arcs.clone() {
            offsets[from as usize + 2] += 1;
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        let mut targets = vec![0; total as usize];
        for (from, to) in arcs {
            let slot = &mut offsets[from as usize + 1];
            targets[*slot as usize] = to;
            *slot += 1;
        }
        offsets.truncate(nodes + 1);
        let mut rows = Self { offsets, targets };
        rows.sort_and_dedup();
        rows
    }

    /// Sorts each row, and closes the gaps that its repetitions leave.
    fn sort_and_dedup(&mut self) {
        let (mut start, mut kept) = (0, 0);
        for offset in &mut self.offsets[1..] {
            let end = *offset as usize;
            self.targets[start..end].sort_unstable();
            let row = kept;
            for index in start..end {
                let target = self.targets[index];
                if kept == row || self.targets[kept - 1] != target {
                    self.targets[kept] = target;
                    kept += 1;
                }
            }
            start = end;
            *offset = kept as u32;
        }
        self.targets.truncate(kept);
        self.targets.shrink_to_fit();
    }

    fn row(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.targets[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> + Clone {
        (0..self.offsets.len() as u32 - 1).map(|node| self.row(node))
    }

    fn arcs(&self) -> impl Iterator<Item = (u32, u32)> + Clone {
        (0u32..).zip(self.iter()).flat_map(|(from, row)| row.iter().map(move |&to| (from, to)))
    }
}

/// A breadth-first search from up to [`Search::WIDTH`] sources at once: a node's masks have one bit
/// for each source, so that a hop along an edge is taken for all of them by one `or`.
struct Search<'a> {
    graph: &'a Graph,
    /// By node: the sources that have reached it.
    seen: Vec<u64>,
    /// By node: the sources that reached it with the last hop, and that reach it with the next.
    frontier: Vec<u64>,
    next: Vec<u64>,
    /// Over all runs: the summed lengths of the paths, their number, and the longest.
    hops: u64,
    pairs: u64,
    longest: u32,
}

impl<'a> Search<'a> {
    const WIDTH: usize = u64::BITS as usize;

    fn new(graph: &'a Graph) -> Self {
        let masks = || vec![0; graph.nodes()];
        let (seen, frontier, next) = (masks(), masks(), masks());
        Self { graph, seen, frontier, next, hops: 0, pairs: 0, longest: 0 }
    }

    /// Adds up the paths from distinct sources to all nodes they reach.
    fn run(&mut self, sources: impl Iterator<Item = u32>) {
        self.seen.fill(0);
        let mut active = Vec::new();
        for (bit, source) in sources.enumerate() {
            self.seen[source as usize] = 1 << bit;
            self.frontier[source as usize] = 1 << bit;
            active.push(source);
        }
        for distance in 1.. {
            active = self.hop(&active);
            if active.is_empty() {
                break;
            }
            let pairs = self.arrive(&active);
            self.pairs += pairs;
            self.hops += pairs * u64::from(distance);
            self.longest = self.longest.max(distance);
        }
    }

    /// Empties the frontier, whose nodes are `active`, into `next`, whose nodes it returns.
    fn hop(&mut self, active: &[u32]) -> Vec<u32> {
        let mut reached = Vec::new();
        for &node in active {
            let sources = std::mem::take(&mut self.frontier[node as usize]);
            for &peer in self.graph.neighbors(node) {
                let new = sources & !self.seen[peer as usize];
                let next = &mut self.next[peer as usize];
                if new != 0 && *next == 0 {
                    reached.push(peer);
                }
                *next |= new;
            }
        }
        reached
    }

    /// Makes `next` the frontier, and returns the number of sources new to a node, over all nodes.
    fn arrive(&mut self, reached: &[u32]) -> u64 {
        let mut pairs = 0;
        for &node in reached {
            let node = node as usize;
            self.seen[node] |= self.next[node];
            pairs += u64::from(self.next[node].count_ones());
        }
        std::mem::swap(&mut self.frontier, &mut self.next);
        pairs
    }
}

/// The number of nodes two rows share. Searches the longer for the nodes of the shorter, so that a
/// hub costs its many neighbours next to nothing.
fn common(a: &[u32], b: &[u32]) -> usize {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.iter().filter(|node| long.binary_search(node).is_ok()).count()
}

/// `part / whole`, or 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: usize, arcs: &[(u32, u32)]) -> Graph {
        Graph::from_arcs(nodes, arcs.iter().copied())
    }

    #[test]
    fn arcs_become_sorted_neighbours_without_loops_repetitions_or_strangers() {
        let graph = graph(4, &[(2, 0), (0, 2), (2, 1), (2, 1), (3, 3), (1, 9), (9, 1)]);
        assert_eq!((graph.nodes(), graph.edges(), graph.asymmetric), (4, 2, 1));
        assert_eq!([0, 1, 2, 3].map(|node| graph.neighbors(node)), [&[2][..], &[2], &[0, 1], &[]]);
        assert_eq!((graph.degrees(), graph.mean_degree()), (vec![1, 2, 1], 1.0));
    }

    #[test]
    fn a_triangle_with_a_tail_and_a_node_apart() {
        let graph = graph(5, &[(0, 1), (1, 2), (2, 0), (2, 3)]);
        assert!((graph.clustering() - (1.0 + 1.0 + 1.0 / 3.0) / 5.0).abs() < 1e-12);
        assert_eq!(graph.components(), Components { count: 2, largest: 4 });
        let paths = graph.paths(5);
        assert_eq!(paths, Paths { average: 16.0 / 12.0, longest: 2, sources: 5, exact: true });
    }

    #[test]
    fn fewer_sources_are_evenly_spaced() {
        // A path of four nodes: from 0 and 2, it is 1 + 2 + 3 and 2 + 1 + 1 hops.
        let graph = graph(4, &[(0, 1), (1, 2), (2, 3)]);
        let paths = graph.paths(2);
        assert_eq!(paths, Paths { average: 10.0 / 6.0, longest: 3, sources: 2, exact: false });
        assert_eq!(graph.paths(0).average, 0.0);
    }

    #[test]
    fn no_nodes_measure_nothing() {
        let graph = graph(0, &[(0, 1)]);
        assert_eq!(graph.components(), Components { count: 0, largest: 0 });
        assert_eq!(graph.paths(0), Paths { average: 0.0, longest: 0, sources: 0, exact: true });
        assert_eq!((graph.degrees(), graph.clustering(), graph.mean_degree()), (vec![], 0.0, 0.0));
        assert!(graph.clustering().is_sign_positive());
    }
}
