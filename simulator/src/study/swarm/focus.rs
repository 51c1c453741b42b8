//! What plans focus on. A bug may show in one strategy or with one kind of fault only: then most plans
//! that are drawn of everything tell nothing about it.

use std::str::FromStr;

use crate::strategies::{Broadcast, Listed as _, Membership};

/// What plans contain always, or more often than by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// This membership or broadcast strategy, always.
    Strategy(&'static str),
    /// Anti-entropy, always.
    AntiEntropy,
    /// Two nodes alone that lose contact with each other.
    Pairs,
    /// One node that is cut off while many of its contacts die.
    Lone,
    /// An overlay that is cut in two while nodes restart.
    Cut,
    /// Some nodes that join late, and no faults.
    Late,
    /// Many nodes that join at the same moment.
    Crowds,
    /// Addresses that pass to other nodes.
    Recycled,
}

impl Focus {
    /// All values.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let memberships = Membership::all().iter().map(|one| Self::Strategy(one.name()));
        let broadcasts = Broadcast::all().iter().map(|one| Self::Strategy(one.name()));
        let others = [
            Self::AntiEntropy,
            Self::Pairs,
            Self::Lone,
            Self::Cut,
            Self::Late,
            Self::Crowds,
            Self::Recycled,
        ];
        memberships.chain(broadcasts).chain(others).collect()
    }

    /// What kind of strategy is wanted twice, and which ones: a run has only one of each kind.
    #[must_use]
    pub fn contradiction(wanted: &[Self]) -> Option<(&'static str, [&'static str; 2])> {
        let twice = |kind, names: Vec<&'static str>| {
            let mut of_kind = wanted.iter().map(|focus| focus.name()).filter(|n| names.contains(n));
            let first = of_kind.next()?;
            Some((kind, [first, of_kind.find(|other| *other != first)?]))
        };
        let memberships = Membership::all().iter().map(|one| one.name()).collect();
        let broadcasts = Broadcast::all().iter().map(|one| one.name()).collect();
        twice("membership", memberships).or_else(|| twice("broadcast", broadcasts))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strategy(name) => name,
            Self::AntiEntropy => "anti-entropy",
            Self::Pairs => "pairs",
            Self::Lone => "lone",
            Self::Cut => "cut",
            Self::Late => "late",
            Self::Crowds => "crowds",
            Self::Recycled => "recycled",
        }
    }
}

impl FromStr for Focus {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().into_iter().find(|focus| focus.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().iter().map(|focus| focus.name()).collect();
            format!("{name:?} is not one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_strategy_of_each_kind() {
        let contradiction = |names: &[&str]| {
            let wanted: Vec<Focus> = names.iter().map(|name| name.parse().unwrap()).collect();
            Focus::contradiction(&wanted)
        };
        assert_eq!(contradiction(&["full-mesh", "flood", "pairs", "anti-entropy"]), None);
        assert_eq!(contradiction(&["flood", "flood"]), None);
        assert_eq!(
            contradiction(&["full-mesh", "flood", "hyparview"]),
            Some(("membership", ["full-mesh", "hyparview"]))
        );
        assert_eq!(
            contradiction(&["flood", "plumtree"]),
            Some(("broadcast", ["flood", "plumtree"]))
        );
    }
}
