//! Which rarely taken branches of the protocols a run took.

use std::collections::BTreeSet;

use murmurate::Mark;

/// A set of marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeSet<Mark>);

impl Marks {
    /// Adds one.
    pub(crate) fn note(&mut self, mark: Mark) {
        self.0.insert(mark);
    }

    /// Adds those of another run, or of other nodes of the same.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, mark: Mark) -> bool {
        self.0.contains(&mark)
    }
}
