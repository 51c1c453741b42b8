//! What the guarantees say must have come, beside what came.

use std::collections::BTreeMap;

use crate::talk::{Status, Tally};

/// What is known of an origin when all is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// It accepted so many.
    Known(u64),
    /// It was killed: what nobody got died with it.
    Killed,
}

/// A node that runs, and what had been published when it had joined, by origin: that is the latest
/// from which on all is its business.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) origin: &'a str,
    pub(crate) status: &'a Status,
    pub(crate) joined_at: &'a BTreeMap<String, u64>,
}

/// Sums over all nodes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Told as missed or lagged.
    pub(crate) told: u64,
    pub(crate) twice: u64,
    /// Neither delivered nor told.
    pub(crate) lost: u64,
}

pub(crate) fn verdict(readers: &[Reader<'_>], origins: &BTreeMap<String, Origin>) -> Verdict {
    let mut all = Verdict::default();
    for reader in readers {
        let mut missing = 0;
        for (origin, known) in origins.iter().filter(|(origin, _)| *origin != reader.origin) {
            let ends = readers.iter().filter_map(|other| other.status.got.get(origin));
            let end = match known {
                Origin::Known(accepted) => *accepted,
                Origin::Killed => ends.map(|tally| tally.end).max().unwrap_or(0),
            };
            let joined_at = reader.joined_at.get(origin).copied().unwrap_or(0).min(end);
            let got = reader.status.got.get(origin).copied();
            let Tally { first, count, .. } =
                got.unwrap_or(Tally { first: joined_at, end: 0, count: 0 });
            let told = reader.status.missed.get(origin).copied().unwrap_or(0);
            let expected = end - first.min(joined_at);
            all.expected += expected;
            all.delivered += count;
            all.told += told;
            missing += expected.saturating_sub(count + told);
        }
        all.told += reader.status.lagged;
        all.twice += reader.status.twice;
        all.lost += missing.saturating_sub(reader.status.lagged);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(got: &[(&str, u64, u64, u64)]) -> Status {
        let tally = |(origin, first, end, count): &(&str, u64, u64, u64)| {
            ((*origin).to_owned(), Tally { first: *first, end: *end, count: *count })
        };
        Status { got: got.iter().map(tally).collect(), ..Status::default() }
    }

    #[test]
    fn what_neither_came_nor_was_told_is_lost() {
        let origins = BTreeMap::from([
            ("a".to_owned(), Origin::Known(10)),
            ("b".to_owned(), Origin::Known(5)),
            ("dead".to_owned(), Origin::Killed),
        ]);
        let always = BTreeMap::new();
        let later = BTreeMap::from([("a".to_owned(), 4), ("dead".to_owned(), 3)]);
        let a = status(&[("b", 0, 5, 5), ("dead", 0, 3, 3)]);
        // It lacks two of `a`, and has what it need not have of it.
        let b = status(&[("a", 3, 10, 5)]);
        let readers = [
            Reader { origin: "a", status: &a, joined_at: &always },
            Reader { origin: "b", status: &b, joined_at: &later },
        ];
        let expected = Verdict { expected: 8 + 7, delivered: 13, lost: 2, ..Verdict::default() };
        assert_eq!(verdict(&readers, &origins), expected);
        let told = Status { missed: BTreeMap::from([("a".to_owned(), 2)]), ..b.clone() };
        let readers = [Reader { origin: "b", status: &told, joined_at: &later }];
        assert_eq!(verdict(&readers, &origins).lost, 0);
        // Who was there from the start misses all from the first on.
        let readers = [Reader { origin: "b", status: &b, joined_at: &always }];
        assert_eq!(verdict(&readers, &origins).lost, 5);
    }
}
