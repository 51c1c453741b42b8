//! Which rarely taken branches of the protocols a run took.

use std::fmt;

use murmurate::{Mark, broadcast, membership};

/// A set of marks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    membership: u64,
    broadcast: u64,
}

// A word holds those of a layer.
const _: () = assert!(membership::Mark::ALL.len() <= 64 && broadcast::Mark::ALL.len() <= 64);

impl Marks {
    /// Adds one.
    #[inline]
    pub(crate) fn note(&mut self, mark: Mark) {
        match mark {
            Mark::Membership(mark) => self.membership |= 1 << mark as u32,
            Mark::Broadcast(mark) => self.broadcast |= 1 << mark as u32,
        }
    }

    /// Adds those of another run, or of other nodes of the same.
    pub fn add(&mut self, other: Self) {
        self.membership |= other.membership;
        self.broadcast |= other.broadcast;
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(self, mark: Mark) -> bool {
        let mut with = self;
        with.note(mark);
        with == self
    }

    /// Every mark there is, membership's first.
    pub fn every() -> impl Iterator<Item = Mark> {
        let membership = membership::Mark::ALL.iter().copied().map(Mark::Membership);
        membership.chain(broadcast::Mark::ALL.iter().copied().map(Mark::Broadcast))
    }
}

/// The name of a mark.
#[must_use]
pub fn name(mark: Mark) -> &'static str {
    match mark {
        Mark::Membership(mark) => mark.name(),
        Mark::Broadcast(mark) => mark.name(),
    }
}

/// What a mark is, in a line.
#[must_use]
pub fn about(mark: Mark) -> &'static str {
    match mark {
        Mark::Membership(mark) => mark.about(),
        Mark::Broadcast(mark) => mark.about(),
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Self::every().filter(|mark| self.has(*mark)).map(name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_has_what_was_noted() {
        let (mut some, mut others) = (Marks::default(), Marks::default());
        some.note(Mark::Membership(membership::Mark::TieMine));
        others.note(Mark::Broadcast(broadcast::Mark::Asked));
        assert!(!some.has(Mark::Broadcast(broadcast::Mark::Asked)));
        some.add(others);
        assert_eq!(format!("{some:?}"), r#"{"tie-mine", "asked"}"#);
    }

    #[test]
    fn names_are_names() {
        let names: BTreeSet<_> = Marks::every().map(name).collect();
        assert_eq!(names.len(), Marks::every().count(), "each has its own");
    }
}
