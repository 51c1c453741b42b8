//! Which messages were taken where: sets of tickets, kept as ranges, so that a lane on which all goes
//! well needs one.

/// A set of tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tickets {
    /// First and end of each range, in order; no two touch.
    ranges: Vec<(u64, u64)>,
}

impl Tickets {
    /// Whether it was not there yet. It is then.
    pub(super) fn insert(&mut self, ticket: u64) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end < ticket);
        let Some((first, end)) = self.ranges.get_mut(at) else {
            self.ranges.push((ticket, ticket + 1));
            return true;
        };
        if (*first..*end).contains(&ticket) {
            return false;
        }
        if *end == ticket {
            *end += 1;
            let end = *end;
            if let Some((next, next_end)) = self.ranges.get(at + 1).copied()
                && next == end
            {
                self.ranges[at].1 = next_end;
                self.ranges.remove(at + 1);
            }
        } else if *first == ticket + 1 {
            *first = ticket;
        } else {
            self.ranges.insert(at, (ticket, ticket + 1));
        }
        true
    }

    /// Whether it is there.
    pub(super) fn has(&self, ticket: u64) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end <= ticket);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= ticket)
    }

    /// The first that is there and in none of the others.
    pub(super) fn first_missing<'a>(
        &self,
        others: &(impl Iterator<Item = &'a Self> + Clone),
    ) -> Option<u64> {
        for (first, end) in &self.ranges {
            let mut at = *first;
            while at < *end {
                // As far as any of the others reaches from here.
                let reach = others.clone().filter_map(|other| {
                    let range = other.ranges.partition_point(|(_, end)| *end <= at);
                    other.ranges.get(range).filter(|(first, _)| *first <= at).map(|(_, end)| *end)
                });
                match reach.max() {
                    Some(end) => at = end,
                    None => return Some(at),
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::SplitMix64;

    use super::*;

    #[test]
    fn ranges_are_the_set_that_they_stand_for() {
        for seed in 0..50 {
            let mut rng = SplitMix64::seed_from_u64(seed);
            let mut sets = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            let mut ranges = [Tickets::default(), Tickets::default(), Tickets::default()];
            for _ in 0..rng.random_range(0..120) {
                let (at, ticket) = (rng.random_range(0..3), rng.random_range(0..60));
                assert_eq!(ranges[at].insert(ticket), sets[at].insert(ticket), "seed {seed}");
            }
            for (set, ranges) in sets.iter().zip(&ranges) {
                assert!((0..61).all(|ticket| ranges.has(ticket) == set.contains(&ticket)));
                let apart = ranges.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
                assert!(apart, "{ranges:?} says it in as few ranges as can be");
            }
            let missing = sets[0].iter().find(|t| !sets[1].contains(t) && !sets[2].contains(t));
            assert_eq!(ranges[0].first_missing(&ranges[1..].iter()), missing.copied());
        }
    }
}
