//! The strategies, by name.

use std::sync::OnceLock;

use murmurate::Mark;
use murmurate::broadcast::{anti_entropy, flood, plumtree};
use murmurate::membership::{full_mesh, hyparview, static_overlay};

use super::choice::Listed;
use super::{Broadcast, Membership, SimulatedBroadcast, SimulatedMembership};

/// The strategies that scenarios can name. The first of each is the default.
#[derive(Debug, Clone)]
pub struct Registry {
    memberships: Vec<Membership>,
    broadcasts: Vec<Broadcast>,
}

static INSTALLED: OnceLock<Registry> = OnceLock::new();

/// Why strategies were not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Scenarios were read before, with the strategies of the moment.
    #[error("strategies can be installed only once, and before any scenario is read")]
    InUse,
    /// Two strategies have one name.
    #[error("two strategies are called {0:?}")]
    Twice(&'static str),
}

impl Registry {
    /// Those that come with the simulator.
    #[must_use]
    pub fn ours() -> Self {
        let none = Self { memberships: Vec::new(), broadcasts: Vec::new() };
        none.membership::<hyparview::Parameters>()
            .membership::<full_mesh::Parameters>()
            .membership::<static_overlay::Parameters>()
            .broadcast::<plumtree::Parameters>()
            .broadcast::<flood::Parameters>()
    }

    /// These, and a membership strategy.
    #[must_use]
    pub fn membership<S: SimulatedMembership>(mut self) -> Self {
        self.memberships.push(S::default().into());
        self
    }

    /// These, and a broadcast strategy.
    #[must_use]
    pub fn broadcast<S: SimulatedBroadcast>(mut self) -> Self {
        self.broadcasts.push(S::default().into());
        self
    }

    /// Makes these the strategies that scenarios can choose. Call it once in a process, before any scenario
    /// is read.
    ///
    /// # Errors
    /// If scenarios were read already, or two strategies have one name; nothing was changed then.
    pub fn install(self) -> Result<(), RegistryError> {
        let memberships = self.memberships.iter().map(|one| one.name());
        let broadcasts = self.broadcasts.iter().map(|one| one.name());
        // The swarm knows them all by their names alone.
        let names: Vec<_> = memberships.chain(broadcasts).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(RegistryError::Twice(name));
            }
        }
        INSTALLED.set(self).map_err(|_| RegistryError::InUse)
    }

    /// Those that scenarios choose from.
    pub fn installed() -> &'static Self {
        INSTALLED.get_or_init(Self::ours)
    }

    /// The membership strategies, each with its defaults.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// The branches of all of them that are rarely taken, membership's first.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let memberships = self.memberships.iter().map(|one| one.marks());
        let broadcasts = self.broadcasts.iter().map(|one| one.marks());
        let around = [anti_entropy::marks::ALL.to_vec()];
        let mut all = Vec::new();
        for mark in memberships.chain(broadcasts).chain(around).flatten() {
            if !all.contains(&mark) {
                all.push(mark);
            }
        }
        all
    }

    /// The broadcast strategies, each with its defaults.
    #[must_use]
    pub fn broadcasts(&self) -> &[Broadcast] {
        &self.broadcasts
    }
}

impl Listed for Membership {
    const TITLE: &'static str = "Membership";
    const ABOUT: &'static str = "Which peers are neighbours.";

    fn all() -> &'static [Self] {
        Registry::installed().memberships()
    }
}

impl Listed for Broadcast {
    const TITLE: &'static str = "Broadcast";
    const ABOUT: &'static str = "How a message reaches everyone.";

    fn all() -> &'static [Self] {
        Registry::installed().broadcasts()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_mark_means_one_branch() {
        let marks = Registry::ours().marks();
        let names: BTreeSet<_> = marks.iter().map(|mark| mark.name()).collect();
        assert_eq!(names.len(), marks.len(), "each has its own");
        assert!(marks.len() > 90, "{}", marks.len());
    }

    #[test]
    fn a_name_means_one_strategy() {
        let twice = Registry::ours().broadcast::<flood::Parameters>();
        assert_eq!(twice.install(), Err(RegistryError::Twice("flood")));
    }
}
