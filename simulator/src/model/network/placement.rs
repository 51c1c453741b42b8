//! Where the nodes stand, and of which class they are.

use std::sync::Arc;

use super::classes::{Class, Classes, Route, SharedLine};

/// Turns after which the regions repeat, if their weights differ. Shares are exact to a thousandth.
const TURNS: usize = 1_000;

/// Which node is in which region, and of which class. Regions take turns, and those with more weight more
/// often, so that nodes that join later are spread in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    names: Arc<[String]>,
    turns: Arc<[u16]>,
    classes: Classes,
}

impl Placement {
    /// This many sites without names, with one node each in turn.
    #[must_use]
    pub fn sites(count: usize) -> Self {
        let turns = (0..count.clamp(1, usize::from(u16::MAX))).map(|site| site as u16).collect();
        Self { names: Arc::new([]), turns, classes: Classes::none() }
    }

    /// Regions with their names and weights.
    #[must_use]
    pub fn regions(regions: &[(String, f64)]) -> Self {
        let names = regions.iter().map(|(name, _)| name.clone()).collect();
        let even = regions.windows(2).all(|pair| pair[0].1 == pair[1].1);
        if even {
            return Self { names, ..Self::sites(regions.len()) };
        }
        let total: f64 = regions.iter().map(|(_, weight)| weight).sum();
        let mut given = vec![0.0; regions.len()];
        let turn = |turn: usize| {
            // Whoever is furthest behind its share of all turns so far.
            let owed = |region: usize| (turn + 1) as f64 * regions[region].1 / total;
            let lag = |region: &usize| owed(*region) - given[*region];
            let next = (0..regions.len()).max_by(|a, b| lag(a).total_cmp(&lag(b))).unwrap_or(0);
            given[next] += 1.0;
            next as u16
        };
        Self { names, turns: (0..TURNS).map(turn).collect(), classes: Classes::none() }
    }

    /// The same with nodes of these classes, whose shares add up to 1 at most.
    #[must_use]
    pub(super) fn classed(self, classes: Vec<Class>, seed: u64) -> Self {
        Self { classes: Classes::new(classes, seed), ..self }
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        self.classes.all()
    }

    /// The number of the class of node `index`, if it is of any.
    #[must_use]
    pub fn class(&self, index: usize) -> Option<usize> {
        self.classes.of(index, || self.of(index))
    }

    pub(super) fn shared_lines(&self) -> Vec<Option<SharedLine>> {
        self.classes.shared_lines()
    }

    pub(super) fn route(&self, from: usize, to: usize) -> Option<Route> {
        self.classes.route(self.class(from), self.class(to))
    }

    /// The number of the class with this name.
    #[must_use]
    pub fn find_class(&self, name: &str) -> Option<usize> {
        self.classes().iter().position(|class| class.name == name)
    }

    /// Where node `index` stands: the number of its region or site.
    #[inline]
    #[must_use]
    pub fn of(&self, index: usize) -> usize {
        usize::from(self.turns[index % self.turns.len()])
    }

    /// The regions' names, by number; none if they have none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of the region with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|region| region == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::classes::Members;
    use super::*;

    fn class(name: &str, members: Members) -> Class {
        Class { name: name.into(), members, bandwidth: None, loss: None, shared: None, nat: None }
    }

    /// Whatever the number of nodes, in each of the regions that they stand in, however many take turns, and
    /// among the neighbours of those that are of a class: as of nodes that are drawn each for itself.
    #[test]
    fn classes_have_their_shares() {
        for (seed, count) in (0..20).flat_map(|seed| [3, 21, 34].map(|count| (seed, count))) {
            let regions: Vec<_> = (0..count).map(|number| (number.to_string(), 1.0)).collect();
            let classes = vec![
                class("two", Members::Nodes(vec![1_000_007, 1_000_003])),
                class("tenth", Members::Share(0.1)),
                class("half", Members::Share(0.5)),
            ];
            let placement = Placement::regions(&regions).classed(classes, seed);
            for (nodes, (number, share)) in
                [10, 100, 1_000, 30_000].into_iter().flat_map(|n| [(n, (1, 0.1)), (n, (2, 0.5))])
            {
                let of = |index: &usize| placement.class(*index) == Some(number);
                let fits = |there: usize, of_them: usize, share: f64| {
                    let spread = (there as f64 * share * (1.0 - share)).sqrt();
                    let off = (of_them as f64 - share * there as f64).abs();
                    assert!(off <= 5.5 * spread + 1.0, "{of_them} of {there}, seed {seed}");
                };
                fits(nodes, (0..nodes).filter(of).count(), share);
                for region in 0..count.min(nodes) {
                    let there = || (region..nodes).step_by(count);
                    fits(there().count(), there().filter(of).count(), share);
                }
                let pairs = || (0..nodes - 1).step_by(2);
                let both = pairs().filter(|index| of(index) && of(&(index + 1)));
                fits(pairs().count(), both.count(), share * share);
            }
            assert_eq!(placement.class(1_000_003), placement.find_class("two"));
        }
    }

    #[test]
    fn the_first_class_that_fits_counts() {
        let regions = ["a", "b"].map(|name| (name.to_owned(), 1.0));
        let classes = vec![
            class("one", Members::Nodes(vec![3])),
            class("b", Members::Region(1)),
            class("rest", Members::Share(1.0)),
        ];
        let placement = Placement::regions(&regions).classed(classes, 7);
        let of: Vec<_> = (0..6).map(|index| placement.class(index)).collect();
        assert_eq!(of, [2, 1, 2, 0, 2, 1].map(Some));
    }

    #[test]
    fn nodes_take_turns_by_weight() {
        let regions = |weights: &[f64]| {
            let named = weights.iter().enumerate().map(|(i, w)| (format!("r{i}"), *w));
            Placement::regions(&named.collect::<Vec<_>>())
        };
        let even = regions(&[2.0, 2.0, 2.0]);
        assert_eq!((0..6).map(|i| even.of(i)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        let uneven = regions(&[3.0, 1.0]);
        for nodes in [40, 400, 4_000] {
            let there = (0..nodes).filter(|i| uneven.of(*i) == 1).count();
            assert_eq!(there, nodes / 4, "a quarter of {nodes}");
        }
        assert_eq!((even.find("r2"), even.find("r3")), (Some(2), None));
    }
}
