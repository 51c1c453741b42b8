//! A shard of a sweep, for one of several machines or processes.

use std::fmt;
use std::str::FromStr;

/// The `index`-th of `count` parts. Each takes every `count`-th run, so that all have runs of every
/// cell and about as much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: u64,
    /// At least 1.
    pub count: u64,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Its runs among this many.
    pub(super) fn runs(self, runs: u64) -> impl Iterator<Item = u64> {
        (self.index - 1..runs).step_by(usize::try_from(self.count).unwrap_or(usize::MAX))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some(Self { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        match numbers {
            Some(Self { count: 0, .. }) => Err(format!("{text}: there must be at least 1 shard")),
            Some(shard) if (1..=shard.count).contains(&shard.index) => Ok(shard),
            Some(Self { count, .. }) => {
                Err(format!("{text}: allowed are 1/{count} to {count}/{count}"))
            }
            None => Err(format!("{text:?} is not a shard: write 2/8 for the second of eight")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_runs_among_them() {
        let mut all: Vec<u64> = (1..=4)
            .flat_map(|index| Shard { index, count: 4 }.runs(10).collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!(Shard::WHOLE.runs(10).eq(0..10));
    }

    #[test]
    fn wrong_shards_are_told_what_is_allowed() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, count: 8 }));
        for (text, expected) in [
            ("3/2", "3/2: allowed are 1/2 to 2/2"),
            ("0/2", "0/2: allowed are 1/2 to 2/2"),
            ("1/0", "1/0: there must be at least 1 shard"),
            ("2", "\"2\" is not a shard: write 2/8 for the second of eight"),
            ("-1/2", "\"-1/2\" is not a shard: write 2/8 for the second of eight"),
        ] {
            assert_eq!(text.parse::<Shard>(), Err(expected.to_owned()));
        }
    }
}
