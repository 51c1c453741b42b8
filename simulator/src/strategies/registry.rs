//! The strategies and metrics of one's own, by name.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use murmurate::Mark;
use murmurate::broadcast::{AntiEntropy, anti_entropy, flood, gossip, plumtree};
use murmurate::membership::{cyclon, full_mesh, hyparview, scamp, static_overlay};

use super::choice::Listed;
use super::{Broadcast, Membership, SimulatedBroadcast, SimulatedMembership};
use crate::model::node::SimPeer;
use crate::observe::figure::Figure;
use crate::observe::metric::Metric;
use crate::observe::node;

/// The strategies that scenarios can name, the first of each is the default, and the metrics.
#[derive(Debug, Clone)]
pub struct Registry {
    memberships: Vec<Membership>,
    broadcasts: Vec<Broadcast>,
    metrics: Vec<Metric>,
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
    /// A metric has the name of another figure.
    #[error("two figures are called {0:?}")]
    FigureTwice(&'static str),
    /// A figure or a metric has a name that assertions and tables cannot have.
    #[error("{0:?} is no name of a figure: small letters, digits and underscores, a letter first")]
    FigureName(&'static str),
}

impl Registry {
    /// Those that come with the simulator.
    #[must_use]
    pub fn ours() -> Self {
        let none = Self { memberships: Vec::new(), broadcasts: Vec::new(), metrics: Vec::new() };
        none.membership::<hyparview::Parameters>()
            .membership::<full_mesh::Parameters>()
            .membership::<static_overlay::Parameters>()
            .membership::<cyclon::Parameters>()
            .membership::<scamp::Parameters>()
            .broadcast::<plumtree::Parameters>()
            .broadcast::<flood::Parameters>()
            .broadcast::<gossip::Parameters>()
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

    /// Adds a metric. Assertions can name it, and every report has it.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Makes these the strategies that scenarios can choose. Call it once in a process, before any scenario
    /// is read.
    ///
    /// # Errors
    /// If scenarios were read already, or two strategies or figures have one name, or one that cannot be
    /// written; nothing was changed then.
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
        self.check_figures()?;
        INSTALLED.set(self).map_err(|_| RegistryError::InUse)
    }

    /// A name means one figure of a run, and one of a node, whichever strategies it runs.
    fn check_figures(&self) -> Result<(), RegistryError> {
        let of_runs = Figure::ALL.into_iter().map(Figure::name);
        tell_apart(of_runs.chain(self.metrics.iter().map(|metric| metric.name)))?;
        let around = Arc::new(anti_entropy::Config::default());
        for membership in &self.memberships {
            for broadcast in &self.broadcasts {
                let (Ok(membership), Ok(broadcast)) = (membership.make(), broadcast.make_named())
                else {
                    continue;
                };
                let broadcast = AntiEntropy::new(broadcast(0), Arc::clone(&around));
                let figures = node::figures(&membership(SimPeer::new(0, 0), 0), &broadcast);
                tell_apart(node::KEYS.into_iter().chain(figures.iter().map(|one| one.name)))?;
            }
        }
        Ok(())
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

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// What assertions can look at: the simulator's own figures, then the metrics.
    pub fn figures(&'static self) -> impl Iterator<Item = Figure> {
        Figure::ALL.into_iter().chain(self.metrics.iter().map(Figure::Own))
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

/// Each can be written, and is there once.
fn tell_apart(names: impl Iterator<Item = &'static str>) -> Result<(), RegistryError> {
    let mut seen = BTreeSet::new();
    for name in names {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
            return Err(RegistryError::FigureName(name));
        }
        if !seen.insert(name) {
            return Err(RegistryError::FigureTwice(name));
        }
    }
    Ok(())
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
    fn a_name_means_one_figure() {
        let with = |name| {
            let (unit, about) = ("links", "a test's");
            Registry::ours().metric(Metric { name, unit, about, of: |_| None }).check_figures()
        };
        assert_eq!(with("hub_2"), Ok(()));
        assert_eq!(with("components"), Err(RegistryError::FigureTwice("components")));
        for name in ["", "Hub", "2hub", "hub.links", "hub links", "_hub"] {
            assert_eq!(with(name), Err(RegistryError::FigureName(name)));
        }
        let twice = Registry::ours().metric(HUB).metric(HUB).check_figures();
        assert_eq!(twice, Err(RegistryError::FigureTwice("hub")));
    }

    const HUB: Metric = Metric { name: "hub", unit: "links", about: "a test's", of: |_| None };

    #[test]
    fn a_name_means_one_strategy() {
        let twice = Registry::ours().broadcast::<flood::Parameters>();
        assert_eq!(twice.install(), Err(RegistryError::Twice("flood")));
    }
}
