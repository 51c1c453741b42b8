//! Models of graphs. The caller has checked that there is such a graph.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::Links;

/// A circle.
pub(crate) fn ring(nodes: u32) -> Links {
    let closed = (nodes > 2).then(|| (nodes - 1, 0));
    (1..nodes).map(|node| (node - 1, node)).chain(closed).collect()
}

/// Rows of this width, one below the other; everyone is linked with the next ones in row and column.
pub(crate) fn grid(nodes: u32, width: u32) -> Links {
    let right = |node: &u32| node % width != width - 1;
    let rows = (0..nodes).filter(right).map(|node| (node, node + 1));
    rows.chain((width..nodes).map(|node| (node - width, node))).collect()
}

/// A tree, filled level by level: everyone has this many below, but for the last ones.
pub(crate) fn tree(nodes: u32, branches: u32) -> Links {
    (1..nodes).map(|node| ((node - 1) / branches, node)).collect()
}

/// Everyone has this many neighbours, at random: places are paired, and a pair that would be a loop or a
/// link that is there swaps its ends with a link drawn at random (McKay and Wormald 1990). Close to uniform.
pub(crate) fn random_regular(nodes: u32, degree: u32, rng: &mut impl Rng) -> Links {
    // Of a dense one the complement is drawn, in which swaps are found.
    if 2 * degree > nodes - 1 {
        let without = random_regular(nodes, nodes - 1 - degree, rng);
        let taken = Taken::of(nodes, &without);
        let pairs = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
        return pairs.filter(|(a, b)| taken.may_link(*a, *b)).collect();
    }
    loop {
        if let Some(links) = paired(nodes, degree, rng) {
            return links;
        }
    }
}

/// Swaps that are tried for a pair before all is drawn anew: only graphs of a few nodes need that.
const SWAPS: usize = 1_000;

fn paired(nodes: u32, degree: u32, rng: &mut impl Rng) -> Option<Links> {
    let mut places: Vec<u32> = (0..nodes).flat_map(|node| (0..degree).map(move |_| node)).collect();
    places.shuffle(rng);
    let mut taken = Taken::of(nodes, &Links::new());
    let (mut links, mut left) = (Links::with_capacity(places.len() / 2), Links::new());
    for pair in places.chunks_exact(2) {
        let (a, b) = (pair[0], pair[1]);
        if taken.may_link(a, b) {
            taken.link(a, b);
            links.push((a, b));
        } else {
            left.push((a, b));
        }
    }
    for (a, b) in left {
        let swap = (0..SWAPS).find_map(|_| {
            let at = (!links.is_empty()).then(|| rng.random_range(0..links.len()))?;
            let (c, d) = if rng.random() { links[at] } else { (links[at].1, links[at].0) };
            let fits = taken.may_link(a, c) && taken.may_link(b, d);
            // Both could be the same link.
            (fits && (a, c) != (d, b)).then_some((at, c, d))
        });
        let (at, c, d) = swap?;
        taken.unlink(c, d);
        taken.link(a, c);
        taken.link(b, d);
        links[at] = (a, c);
        links.push((b, d));
    }
    Some(links)
}

/// A ring in which everyone is linked with the nearest ones; each link is then led elsewhere with this
/// chance (Watts and Strogatz 1998).
pub(crate) fn small_world(nodes: u32, neighbors: u32, rewired: f64, rng: &mut impl Rng) -> Links {
    let lattice: Links = (1..=neighbors / 2)
        .flat_map(|step| (0..nodes).map(move |node| (node, (node + step) % nodes)))
        .collect();
    let mut taken = Taken::of(nodes, &lattice);
    let mut links = lattice;
    for (from, to) in &mut links {
        if !rng.random_bool(rewired) {
            continue;
        }
        if let Some(elsewhere) = taken.draw(*from, rng) {
            taken.unlink(*from, *to);
            taken.link(*from, elsewhere);
            *to = elsewhere;
        }
    }
    links
}

/// One comes after the other and links with this many, each as likely as it has links (Barabási and
/// Albert 1999). The first come as a star.
pub(crate) fn preferential_attachment(nodes: u32, links: u32, rng: &mut impl Rng) -> Links {
    let mut all: Links = (1..=links).map(|node| (0, node)).collect();
    // Each node as often as it has links.
    let mut ends: Vec<u32> = all.iter().flat_map(|(a, b)| [*a, *b]).collect();
    for node in links + 1..nodes {
        let (mut chosen, mut seen) = (Vec::new(), BTreeSet::new());
        while chosen.len() < links as usize {
            let other = ends[rng.random_range(0..ends.len())];
            if seen.insert(other) {
                chosen.push(other);
            }
        }
        for other in &chosen {
            all.push((*other, node));
            ends.extend([*other, node]);
        }
    }
    all
}

/// By node, those that it may not be linked with: its neighbours and itself, in order.
struct Taken(Vec<Vec<u32>>);

impl Taken {
    fn of(nodes: u32, links: &Links) -> Self {
        let mut lists: Vec<_> = (0..nodes).map(|node| vec![node]).collect();
        for &(a, b) in links {
            lists[a as usize].push(b);
            lists[b as usize].push(a);
        }
        lists.iter_mut().for_each(|list| list.sort_unstable());
        Self(lists)
    }

    fn may_link(&self, a: u32, b: u32) -> bool {
        self.0[a as usize].binary_search(&b).is_err()
    }

    fn link(&mut self, a: u32, b: u32) {
        for (one, other) in [(a, b), (b, a)] {
            let list = &mut self.0[one as usize];
            let at = list.partition_point(|node| *node < other);
            list.insert(at, other);
        }
    }

    fn unlink(&mut self, a: u32, b: u32) {
        for (one, other) in [(a, b), (b, a)] {
            let list = &mut self.0[one as usize];
            let at = list.partition_point(|node| *node < other);
            list.remove(at);
        }
    }

    /// A random node that this one may be linked with, if there is one.
    fn draw(&self, node: u32, rng: &mut impl Rng) -> Option<u32> {
        let (nodes, taken) = (self.0.len(), &self.0[node as usize]);
        if 2 * taken.len() <= nodes {
            let tries = std::iter::repeat_with(|| rng.random_range(0..nodes as u32));
            return tries.into_iter().find(|other| self.may_link(node, *other));
        }
        // Few are left: one of those between the taken ones.
        let left = nodes - taken.len();
        let number = (left > 0).then(|| rng.random_range(0..left))?;
        let (mut low, mut high) = (0, taken.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if taken[middle] as usize - middle <= number { low = middle + 1 } else { high = middle }
        }
        Some((number + low) as u32)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::SplitMix64;

    use super::*;
    use crate::observe::graph::Graph;

    fn rng(seed: u64) -> SplitMix64 {
        SplitMix64::seed_from_u64(seed)
    }

    /// Each link is there once, and none is a loop.
    fn simple(nodes: u32, links: &Links) -> Graph {
        let graph = super::super::of(nodes, links);
        assert_eq!(graph.edges(), links.len(), "no loop, and none twice");
        assert!(links.iter().all(|(a, b)| *a < nodes && *b < nodes));
        graph
    }

    #[test]
    fn rings_grids_and_trees_are_what_they_are_called() {
        for nodes in 1..20 {
            let graph = simple(nodes, &ring(nodes));
            assert_eq!(graph.components().count, 1);
            assert_eq!(graph.paths(100).longest, nodes / 2, "half way round");
            for branches in 1..4 {
                let graph = simple(nodes, &tree(nodes, branches));
                assert_eq!((graph.edges() as u32, graph.components().count), (nodes - 1, 1));
            }
        }
        let graph = simple(12, &grid(12, 4));
        assert_eq!(graph.degrees(), [0, 0, 4, 6, 2]);
        assert_eq!((graph.edges(), graph.paths(100).longest), (17, 4 + 3 - 2));
        assert_eq!(graph.neighbors(5), [1, 4, 6, 9]);
        assert_eq!(simple(5, &grid(5, 1)).degrees(), [0, 2, 3], "a line");
        assert_eq!(simple(15, &tree(15, 2)).paths(100).longest, 6);
    }

    #[test]
    fn everyone_in_a_regular_graph_has_as_many_neighbors() {
        for nodes in 1..14_u32 {
            for degree in (0..nodes).filter(|degree| nodes * degree % 2 == 0) {
                for seed in 0..5 {
                    let graph = simple(nodes, &random_regular(nodes, degree, &mut rng(seed)));
                    assert_eq!(graph.degrees()[degree as usize], nodes as usize);
                }
            }
        }
        let graph = simple(1_000, &random_regular(1_000, 5, &mut rng(1)));
        assert_eq!(graph.degrees(), [0, 0, 0, 0, 0, 1_000]);
        // In the mean of random 5-regular graphs of that size it is 4.699.
        let average = graph.paths(1_000).average;
        assert!((4.68..4.72).contains(&average), "{average}");
    }

    /// Expected by Watts and Strogatz: as clustered as the lattice, with paths as short as at random.
    #[test]
    fn a_small_world_is_between_a_lattice_and_chance() {
        let of = |rewired| simple(1_000, &small_world(1_000, 10, rewired, &mut rng(1)));
        let (lattice, small, random) = (of(0.0), of(0.1), of(1.0));
        assert_eq!(lattice.degrees()[10], 1_000);
        assert!((lattice.clustering() - 3.0 * 8.0 / (4.0 * 9.0)).abs() < 1e-9, "3(k-2) / 4(k-1)");
        assert!(small.clustering() > 0.4 && random.clustering() < 0.03);
        assert!(lattice.paths(1_000).average > 50.0);
        assert!(small.paths(1_000).average < 5.0 && random.paths(1_000).average < 4.0);
        assert_eq!((small.edges(), random.edges()), (5_000, 5_000));
        simple(5, &small_world(5, 4, 1.0, &mut rng(1)));
        // Where nearly all are linked, those that are not are few to find.
        simple(2_001, &small_world(2_001, 1_998, 1.0, &mut rng(1)));
        simple(2_001, &random_regular(2_001, 1_200, &mut rng(1)));
    }

    #[test]
    fn who_has_links_gets_more() {
        let graph = simple(5_000, &preferential_attachment(5_000, 3, &mut rng(1)));
        assert_eq!(graph.edges(), 3 + 3 * (5_000 - 4));
        assert_eq!(graph.components().count, 1);
        assert_eq!(graph.degrees()[..3], [0, 0, 0], "but for the first, each came with three");
        // A share of 2m(m+1) / k(k+1)(k+2) has k links: 0.4 of m = 3 have 3.
        assert!((0.37..0.43).contains(&(graph.degrees()[3] as f64 / 5_000.0)));
        assert!(graph.degrees().len() > 100, "there are hubs");
        simple(4, &preferential_attachment(4, 3, &mut rng(1)));
    }

    #[test]
    fn a_draw_follows_from_its_seed() {
        let of = |seed| random_regular(100, 4, &mut rng(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
