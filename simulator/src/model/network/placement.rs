//! Where the nodes stand.

use std::sync::Arc;

/// Turns after which the regions repeat, if their weights differ. Shares are exact to a thousandth.
const TURNS: usize = 1_000;

/// Which node is in which region. Regions take turns, and those with more weight more often, so that nodes
/// that join later are spread in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    names: Arc<[String]>,
    turns: Arc<[u16]>,
}

impl Placement {
    /// This many sites without names, with one node each in turn.
    #[must_use]
    pub fn sites(count: usize) -> Self {
        let turns = (0..count.clamp(1, usize::from(u16::MAX))).map(|site| site as u16).collect();
        Self { names: Arc::new([]), turns }
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
        Self { names, turns: (0..TURNS).map(turn).collect() }
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
    use super::*;

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
