//! What plans are drawn with: where a bug shows in one part or in one kind of trouble only, few of those
//! that are drawn of everything say anything about it.

use std::str::FromStr;

murmurate_membership::catalogue! {
    /// What plans are drawn with, always or more often than by themselves.
    pub enum With {
        HyParView = "hyparview": "always HyParView",
        FullMesh = "full-mesh": "always a full mesh",
        Plumtree = "plumtree": "always Plumtree",
        AntiEntropy = "anti-entropy": "always anti-entropy",
        Pairs = "pairs": "two who lose sight of each other, and nobody else",
        Lone = "lone": "one that is cut off while many of those it knows die",
        Cut = "cut": "an overlay that is cut in two while nodes start again",
        Late = "late": "some who come late, and nothing that goes wrong",
        Crowds = "crowds": "many that join at the same moment",
        Recycled = "recycled": "addresses that other nodes get",
    }
}

impl FromStr for With {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|with| with.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|with| with.name()).collect();
            format!("{name:?} is nothing to draw with: there are {}", names.join(", "))
        })
    }
}
