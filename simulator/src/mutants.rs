//! Deliberate bugs in the protocols, to try the checks on.
//!
//! Only a program built with the feature `mutants` can run them; their names are known always.

use murmurate::{broadcast, membership};

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Of HyParView.
    HyParView(membership::Mutant),
    /// Of the full mesh.
    FullMesh(membership::Mutant),
    /// Of Plumtree.
    Plumtree(broadcast::Mutant),
    /// Of anti-entropy.
    AntiEntropy(broadcast::Mutant),
}

/// Whether this program has the mutants in it.
pub const BUILT_IN: bool = cfg!(feature = "mutants");

impl Mutant {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        let membership = membership::Mutant::ALL.iter().map(|mutant| {
            let mesh = mutant.name().starts_with("mesh-");
            if mesh { Self::FullMesh(*mutant) } else { Self::HyParView(*mutant) }
        });
        let broadcast = broadcast::Mutant::ALL.iter().map(|mutant| {
            let around = mutant.name().starts_with("exchange-");
            if around { Self::AntiEntropy(*mutant) } else { Self::Plumtree(*mutant) }
        });
        membership.chain(broadcast)
    }

    /// The one with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|mutant| mutant.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HyParView(mutant) | Self::FullMesh(mutant) => mutant.name(),
            Self::Plumtree(mutant) | Self::AntiEntropy(mutant) => mutant.name(),
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::HyParView(mutant) | Self::FullMesh(mutant) => mutant.about(),
            Self::Plumtree(mutant) | Self::AntiEntropy(mutant) => mutant.about(),
        }
    }

    /// The strategy that it is a bug of.
    #[must_use]
    pub fn strategy(self) -> &'static str {
        match self {
            Self::HyParView(_) => "hyparview",
            Self::FullMesh(_) => "full-mesh",
            Self::Plumtree(_) => "plumtree",
            Self::AntiEntropy(_) => "anti-entropy",
        }
    }
}

/// A configuration that can take a mutant.
pub(crate) trait Plant {
    /// The same with this one, if it is one of this strategy's.
    #[must_use]
    fn plant(self, mutant: Option<Mutant>) -> Self;
}

#[cfg(not(feature = "mutants"))]
impl<C> Plant for C {
    fn plant(self, _mutant: Option<Mutant>) -> Self {
        self
    }
}

#[cfg(feature = "mutants")]
mod planted {
    use murmurate::broadcast::{anti_entropy, plumtree};
    use murmurate::membership::{full_mesh, hyparview};

    use super::{Mutant, Plant};

    impl Plant for hyparview::Config {
        fn plant(self, mutant: Option<Mutant>) -> Self {
            if let Some(Mutant::HyParView(mutant)) = mutant { self.with(mutant) } else { self }
        }
    }

    impl Plant for full_mesh::Config {
        fn plant(self, mutant: Option<Mutant>) -> Self {
            if let Some(Mutant::FullMesh(mutant)) = mutant { self.with(mutant) } else { self }
        }
    }

    impl Plant for anti_entropy::Config {
        fn plant(self, mutant: Option<Mutant>) -> Self {
            if let Some(Mutant::AntiEntropy(mutant)) = mutant { self.with(mutant) } else { self }
        }
    }

    impl Plant for plumtree::Config {
        fn plant(self, mutant: Option<Mutant>) -> Self {
            if let Some(Mutant::Plumtree(mutant)) = mutant { self.with(mutant) } else { self }
        }
    }
}

/// The mutant that was meant by a name that is none, or all there are.
#[must_use]
pub fn hint(name: &str) -> String {
    let likeness = |known: Mutant| (strsim::jaro_winkler(name, known.name()), known.name());
    match Mutant::all().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, nearest)) if likeness > 0.75 => format!("did you mean {nearest}?"),
        _ => {
            let names: Vec<_> = Mutant::all().map(Mutant::name).collect();
            format!("there are {}", names.join(", "))
        }
    }
}
