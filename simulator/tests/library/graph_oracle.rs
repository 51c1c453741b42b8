//! Holds the graph measures against rustworkx-core, on random graphs and on named shapes.

use std::collections::BTreeSet;

use murmurate_simulator::observe::graph::Graph;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use rustworkx_core::connectivity::connected_components;
use rustworkx_core::petgraph::graph::{NodeIndex, UnGraph};
use rustworkx_core::shortest_path::distance_matrix;
use rustworkx_core::transitivity::graph_transitivity;

const TOLERANCE: f64 = 1e-9;
const RANDOM_GRAPHS: u64 = 120;

type Arc = (u32, u32);
type Oracle = UnGraph<(), ()>;

#[test]
fn random_graphs() {
    let mut broken = 0;
    let mut sizes = BTreeSet::new();
    for seed in 0..RANDOM_GRAPHS {
        let (nodes, arcs) = random_arcs(&mut SplitMix64::seed_from_u64(seed));
        let oracle = check(&format!("seed {seed}"), nodes, &arcs);
        broken += usize::from(connected_components(&oracle).len() > 1);
        sizes.insert(nodes);
    }
    // The sample is only worth something while it has both kinds, and many sizes.
    assert!((20..=100).contains(&broken), "{broken} disconnected graphs of {RANDOM_GRAPHS}");
    assert!(sizes.len() > 60, "{} sizes", sizes.len());
}

#[test]
fn named_shapes() {
    let clique = |nodes: std::ops::Range<u32>| -> Vec<Arc> {
        nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b))).collect()
    };
    check("no nodes", 0, &[]);
    check("single node", 1, &[]);
    check("single node seeing itself", 1, &[(0, 0)]);
    check("isolated nodes", 70, &[]);
    for nodes in [2u32, 3, 63, 64, 65, 128, 129, 200] {
        let star: Vec<_> = (0..nodes).map(|leaf| (leaf, nodes / 2)).collect();
        let line: Vec<_> = (1..nodes).map(|node| (node - 1, node)).collect();
        let ring: Vec<_> = (0..nodes).map(|node| (node, (node + 1) % nodes)).collect();
        let cliques = [clique(0..nodes / 3), clique(nodes / 3..nodes)].concat();
        let nodes = nodes as usize;
        check("star", nodes, &star);
        check("star among isolated nodes", nodes + 80, &star);
        check("line", nodes, &line);
        check("ring", nodes, &ring);
        check("clique", nodes, &clique(0..nodes as u32));
        check("two cliques", nodes, &cliques);
    }
}

#[test]
fn asymmetric_arcs() {
    let count = |arcs: &[Arc]| Graph::from_arcs(5, arcs.iter().copied()).asymmetric;
    assert_eq!(count(&[]), 0);
    assert_eq!(count(&[(0, 1), (1, 0)]), 0);
    assert_eq!(count(&[(0, 1), (1, 0), (0, 1), (1, 0)]), 0, "repetitions");
    assert_eq!(count(&[(2, 2)]), 0, "a self loop");
    assert_eq!(count(&[(0, 1), (0, 1)]), 1, "a repetition is not a reverse");
    assert_eq!(count(&[(0, 1), (1, 2), (2, 1), (4, 0)]), 2);
    assert_eq!(count(&[(1, 0), (2, 0), (3, 0), (4, 0)]), 4);
}

/// A few hundred nodes at most, from far below the threshold of connectedness to dense; maybe in two
/// halves without an edge between, maybe with isolated nodes, and with a share of mutual arcs, self
/// loops and repetitions.
fn random_arcs(rng: &mut impl Rng) -> (usize, Vec<Arc>) {
    let linked = rng.random_range(2..260u32);
    let nodes = linked + if rng.random_bool(0.3) { rng.random_range(0..20) } else { 0 };
    let halves = rng.random_bool(0.3);
    let degree = [0.3, 0.8, 1.5, 3.0, 5.0, 10.0, 40.0][rng.random_range(0..7)];
    let mutual = [0.0, 0.5, 1.0][rng.random_range(0..3)];
    let mut arcs = Vec::new();
    for _ in 0..(f64::from(linked) * degree) as usize {
        let from = rng.random_range(0..linked);
        let to = rng.random_range(0..linked);
        let to = if halves { to ^ ((from ^ to) & 1) } else { to };
        if to < linked {
            arcs.push((from, to));
            if rng.random_bool(mutual) {
                arcs.push((to, from));
            }
        }
    }
    (nodes as usize, arcs)
}

/// Compares every measure of the graph that `arcs` span, and returns the oracle's graph.
fn check(name: &str, nodes: usize, arcs: &[Arc]) -> Oracle {
    let graph = Graph::from_arcs(nodes, arcs.iter().copied());
    let (oracle, asymmetric) = oracle(nodes, arcs);
    let name = format!("{name}: {nodes} nodes, {} arcs", arcs.len());
    assert_eq!(graph.asymmetric, asymmetric, "{name}: asymmetric");
    check_adjacency(&name, &graph, &oracle);
    check_components(&name, &graph, &oracle);
    assert_close(graph.clustering(), clustering(&oracle), &format!("{name}: clustering"));
    for max_sources in [nodes + 1, nodes, nodes.saturating_sub(1), nodes * 2 / 3, nodes / 7, 1] {
        check_paths(&name, &graph, &oracle, max_sources);
    }
    oracle
}

/// The same graph for rustworkx-core, and the number of arcs without their reverse.
fn oracle(nodes: usize, arcs: &[Arc]) -> (Oracle, usize) {
    let distinct: BTreeSet<Arc> = arcs.iter().copied().filter(|(from, to)| from != to).collect();
    let edges: BTreeSet<Arc> = distinct.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect();
    let mut oracle = Oracle::default();
    for _ in 0..nodes {
        oracle.add_node(());
    }
    oracle.extend_with_edges(edges);
    let asymmetric = distinct.iter().filter(|&&(from, to)| !distinct.contains(&(to, from))).count();
    (oracle, asymmetric)
}

fn check_adjacency(name: &str, graph: &Graph, oracle: &Oracle) {
    assert_eq!(graph.nodes(), oracle.node_count(), "{name}: nodes");
    assert_eq!(graph.edges(), oracle.edge_count(), "{name}: edges");
    let mut degrees = Vec::new();
    for node in oracle.node_indices() {
        let mut neighbors: Vec<_> =
            oracle.neighbors(node).map(|peer| peer.index() as u32).collect();
        neighbors.sort_unstable();
        assert_eq!(graph.neighbors(node.index() as u32), neighbors, "{name}: neighbours");
        degrees.resize(degrees.len().max(neighbors.len() + 1), 0);
        degrees[neighbors.len()] += 1;
    }
    assert_eq!(graph.degrees(), degrees, "{name}: degrees");
    let mean = 2.0 * oracle.edge_count() as f64 / oracle.node_count().max(1) as f64;
    assert_close(graph.mean_degree(), mean, &format!("{name}: mean degree"));
}

fn check_components(name: &str, graph: &Graph, oracle: &Oracle) {
    let expected = connected_components(oracle);
    let components = graph.components();
    assert_eq!(components.count, expected.len(), "{name}: components");
    let largest = expected.iter().fold(0, |most, component| most.max(component.len()));
    assert_eq!(components.largest, largest, "{name}: largest component");
}

fn check_paths(name: &str, graph: &Graph, oracle: &Oracle, max_sources: usize) {
    let nodes = oracle.node_count();
    let sources = max_sources.min(nodes);
    let distances = distance_matrix(oracle, usize::MAX, false, f64::INFINITY);
    let lengths: Vec<f64> = (0..sources)
        .flat_map(|source| distances.row(source * nodes / sources).to_vec())
        .filter(|&length| length > 0.0 && length.is_finite())
        .collect();

    let name = format!("{name}: paths from {max_sources}");
    let paths = graph.paths(max_sources);
    let average = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
    assert_close(paths.average, average, &name);
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    assert_eq!(f64::from(paths.longest), longest, "{name}: longest");
    assert_eq!((paths.sources, paths.exact), (sources, nodes <= max_sources), "{name}: sources");
}

/// The average local clustering. rustworkx-core has none: it knows only the transitivity, which is
/// one ratio for the whole graph. So it is counted here naively from petgraph's adjacency, pair by
/// pair, and the same counts must add up to rustworkx-core's transitivity.
fn clustering(oracle: &Oracle) -> f64 {
    let (mut all_linked, mut all_pairs, mut sum) = (0, 0, 0.0);
    for node in oracle.node_indices() {
        let neighbors: Vec<NodeIndex> = oracle.neighbors(node).collect();
        let (mut linked, mut pairs) = (0, 0);
        for (index, &a) in neighbors.iter().enumerate() {
            for &b in &neighbors[..index] {
                pairs += 1;
                linked += usize::from(oracle.contains_edge(a, b));
            }
        }
        sum += linked as f64 / pairs.max(1) as f64;
        all_linked += linked;
        all_pairs += pairs;
    }
    let transitivity = all_linked as f64 / all_pairs.max(1) as f64;
    assert_close(transitivity, graph_transitivity(oracle), "the oracle's own transitivity");
    sum / oracle.node_count().max(1) as f64
}

fn assert_close(actual: f64, expected: f64, what: &str) {
    assert!((actual - expected).abs() <= TOLERANCE, "{what}: {actual} instead of {expected}");
}
