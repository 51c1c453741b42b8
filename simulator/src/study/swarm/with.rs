//! What plans are drawn with: where a bug shows in one part or in one kind of trouble only, few of those
//! that are drawn of everything say anything about it.

use std::str::FromStr;

use crate::strategies::{Broadcast, Listed as _, Membership};

/// What plans are drawn with, always or more often than by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Always this membership or broadcast strategy.
    Strategy(&'static str),
    /// Always anti-entropy.
    AntiEntropy,
    /// Two who lose sight of each other, and nobody else.
    Pairs,
    /// One that is cut off while many of those it knows die.
    Lone,
    /// An overlay that is cut in two while nodes start again.
    Cut,
    /// Some who come late, and nothing that goes wrong.
    Late,
    /// Many that join at the same moment.
    Crowds,
    /// Addresses that other nodes get.
    Recycled,
}

impl With {
    /// All there is.
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

impl FromStr for With {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().into_iter().find(|with| with.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().iter().map(|with| with.name()).collect();
            format!("{name:?} is nothing to draw with: there are {}", names.join(", "))
        })
    }
}
