//! Which broadcasts came, counted apart from how the node counts them.

use std::collections::BTreeMap;

use murmurate::{Delivery, Incarnation, Lost};

use crate::talk::{Status, Tally};

/// What one subscription got and was told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By origin the runs of consecutive sequences: where each begins, and one more than its last.
    runs: BTreeMap<Incarnation, BTreeMap<u64, u64>>,
    missed: BTreeMap<Incarnation, u64>,
    lagged: u64,
    twice: u64,
}

impl Ledger {
    pub(crate) fn note(&mut self, item: &Result<Delivery, Lost>) {
        match item {
            Ok(delivery) => self.got(delivery.id.origin, delivery.id.sequence),
            Err(Lost::Lagged(count)) => self.lagged += count,
            Err(Lost::Missed { origin, count }) => {
                *self.missed.entry(*origin).or_default() += count;
            }
        }
    }

    fn got(&mut self, origin: Incarnation, sequence: u64) {
        let runs = self.runs.entry(origin).or_default();
        let before = runs.range(..=sequence).next_back().map(|(from, to)| (*from, *to));
        let (mut from, mut to) = (sequence, sequence + 1);
        if let Some((begin, end)) = before {
            if end > sequence {
                self.twice += 1;
                return;
            }
            if end == sequence {
                from = begin;
            }
        }
        if let Some(end) = runs.remove(&to) {
            to = end;
        }
        runs.insert(from, to);
    }

    /// What came and was told so far.
    pub(crate) fn status(&self) -> Status {
        let tally = |(origin, runs): (&Incarnation, &BTreeMap<u64, u64>)| {
            let (first, end) = (*runs.first_key_value()?.0, *runs.last_key_value()?.1);
            let count = runs.iter().map(|(from, to)| to - from).sum();
            Some((origin.to_string(), Tally { first, end, count }))
        };
        Status {
            got: self.runs.iter().filter_map(tally).collect(),
            missed: self
                .missed
                .iter()
                .map(|(origin, count)| (origin.to_string(), *count))
                .collect(),
            lagged: self.lagged,
            twice: self.twice,
            ..Status::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_together_and_nothing_counts_twice() {
        let node = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN".parse().expect("an id");
        let origin = Incarnation { node, started: 1 };
        let mut ledger = Ledger::default();
        for sequence in [5, 6, 9, 7, 8, 8, 5, 12, 10, 11] {
            ledger.got(origin, sequence);
        }
        assert_eq!(ledger.status().got[&origin.to_string()], Tally { first: 5, end: 13, count: 8 });
        assert_eq!((ledger.twice, ledger.runs[&origin].len()), (2, 1));
        ledger.got(origin, 20);
        assert_eq!(ledger.status().got[&origin.to_string()], Tally { first: 5, end: 21, count: 9 });
    }
}
