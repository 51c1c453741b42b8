//! What happened, by name: the numbered writes of each writer, and which of them a replica has seen.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use serde::{Deserialize, Serialize};

/// The name of a write: who made it, and its number among that writer's writes, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot<P> {
    /// The incarnation that wrote.
    pub writer: P,
    /// Which of its writes.
    pub number: u64,
}

/// The dots from `from` to before `to`; without a bound, from the first or to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range<P> {
    pub(crate) from: Option<Dot<P>>,
    pub(crate) to: Option<Dot<P>>,
}

impl<P: Ord + Copy> Range<P> {
    pub(crate) const ALL: Self = Self { from: None, to: None };

    pub(crate) fn bounds(&self) -> (Bound<Dot<P>>, Bound<Dot<P>>) {
        let from = self.from.map_or(Bound::Unbounded, Bound::Included);
        (from, self.to.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// Whether something can lie in it.
    pub(crate) fn is_range(&self) -> bool {
        !matches!((self.from, self.to), (Some(from), Some(to)) if from >= to)
    }

    pub(crate) fn contains(&self, dot: Dot<P>) -> bool {
        self.from.is_none_or(|from| from <= dot) && self.to.is_none_or(|to| dot < to)
    }
}

/// A set of numbers, as runs `first..=last` in order that do not touch each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// More are not kept of a writer: what would need them is not taken, and comes with the next
    /// comparison.
    pub(crate) const MOST: usize = 64;

    pub(crate) fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && self.0[after - 1].1 >= number
    }

    /// Whether all of `first..=last` is in the set.
    pub(crate) fn contain(&self, first: u64, last: u64) -> bool {
        self.within(first, last).next() == Some((first, last))
    }

    /// The greatest number in the set; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.0.last().map_or(0, |(_, last)| *last)
    }

    /// Adds `first..=last`, unless the set would fall into too many runs. Returns whether all of it is in.
    pub(crate) fn insert(&mut self, first: u64, last: u64) -> bool {
        // Those that overlap it or touch it become one with it.
        let from = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.0.partition_point(|(start, _)| *start <= last.saturating_add(1));
        if from >= to {
            if self.0.len() >= Self::MOST {
                return false;
            }
            self.0.insert(from, (first, last));
            return true;
        }
        let merged = (first.min(self.0[from].0), last.max(self.0[to - 1].1));
        self.0.splice(from..to, [merged]);
        true
    }

    /// Its parts within `first..=last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
        let from = self.0.partition_point(|(_, end)| *end < first);
        let rest = self.0[from..].iter().take_while(move |(start, _)| *start <= last);
        rest.map(move |(start, end)| ((*start).max(first), (*end).min(last)))
    }

    /// Whether the runs are in order and apart.
    pub(crate) fn is_sound(&self) -> bool {
        let apart = self.0.windows(2).all(|two| two[0].1.saturating_add(1) < two[1].0);
        apart && self.0.len() <= Self::MOST && self.0.iter().all(|(first, last)| first <= last)
    }
}

/// A version vector: how far each writer's writes are known.
///
/// One that is [`below`](VersionVector::is_below) another was there before it; if neither is below the
/// other, they are concurrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Ord + Serialize + serde::de::DeserializeOwned")]
pub struct VersionVector<P: Ord>(BTreeMap<P, u64>);

impl<P: Ord + Copy> VersionVector<P> {
    pub(crate) fn of(all: impl Iterator<Item = (P, u64)>) -> Self {
        Self(all.filter(|(_, number)| *number > 0).collect())
    }

    /// The number of this writer's last known write; 0 if none is known.
    #[must_use]
    pub fn get(&self, writer: P) -> u64 {
        self.0.get(&writer).copied().unwrap_or(0)
    }

    /// Whether all that is known here is known there.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.iter().all(|(writer, number)| *number <= other.get(*writer))
    }

    /// Whether each knows something that the other does not.
    #[must_use]
    pub fn is_concurrent_with(&self, other: &Self) -> bool {
        !self.is_below(other) && !other.is_below(self)
    }

    /// What either knows.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        for (writer, number) in &other.0 {
            let known = self.0.entry(*writer).or_default();
            *known = (*known).max(*number);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn runs_are_a_set_of_numbers() {
        // Every sequence of three insertions within 1..=7 beside a set.
        let spans: Vec<(u64, u64)> =
            (1..=7).flat_map(|first| (first..=7).map(move |last| (first, last))).collect();
        for a in &spans {
            for b in &spans {
                for c in &spans {
                    let mut runs = Runs::default();
                    let mut set = BTreeSet::new();
                    for (first, last) in [*a, *b, *c] {
                        assert!(runs.insert(first, last));
                        set.extend(first..=last);
                        assert!(runs.is_sound(), "{runs:?}");
                    }
                    assert!((0..=8).all(|number| runs.contains(number) == set.contains(&number)));
                    assert_eq!(runs.last(), set.last().copied().unwrap_or(0));
                    let within: BTreeSet<u64> =
                        runs.within(3, 5).flat_map(|(first, last)| first..=last).collect();
                    assert_eq!(within, set.range(3..=5).copied().collect());
                }
            }
        }
    }

    #[test]
    fn runs_are_bounded() {
        let mut runs = Runs::default();
        for number in 0..Runs::MOST as u64 {
            assert!(runs.insert(2 * number + 1, 2 * number + 1));
        }
        assert!(!runs.insert(1_000, 1_000), "there are enough");
        assert!(runs.insert(2, 2), "what closes a gap is welcome");
        assert!(runs.insert(u64::MAX, u64::MAX), "there is room for one again");
        assert!(runs.is_sound());
    }

    #[test]
    fn version_vectors_know_what_was_before() {
        let of = |all: &[(u8, u64)]| VersionVector::of(all.iter().copied());
        let (a, b) = (of(&[(1, 3)]), of(&[(1, 2), (2, 1)]));
        assert!(a.is_concurrent_with(&b) && !a.is_concurrent_with(&a));
        let both = a.clone().join(&b);
        assert!(a.is_below(&both) && b.is_below(&both) && !both.is_below(&a));
        assert_eq!((both.get(1), both.get(2), both.get(3)), (3, 1, 0));
    }
}
