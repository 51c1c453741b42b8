//! Which rarely taken branches of the protocols a run took.

use std::fmt;

use murmurate::{Mark, broadcast, membership};

/// A set of marks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    membership: Bits<{ words(membership::Mark::ALL.len()) }>,
    broadcast: Bits<{ words(broadcast::Mark::ALL.len()) }>,
}

/// Those of a layer, a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bits<const WORDS: usize>([u64; WORDS]);

/// Words that hold so many bits.
const fn words(bits: usize) -> usize {
    bits.div_ceil(u64::BITS as usize)
}

impl<const WORDS: usize> Default for Bits<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Bits<WORDS> {
    #[inline]
    fn set(&mut self, bit: usize) {
        self.0[bit / u64::BITS as usize] |= 1 << (bit % u64::BITS as usize);
    }

    fn add(&mut self, other: Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }
}

impl Marks {
    /// Adds one.
    #[inline]
    pub(crate) fn note(&mut self, mark: Mark) {
        match mark {
            Mark::Membership(mark) => self.membership.set(mark as usize),
            Mark::Broadcast(mark) => self.broadcast.set(mark as usize),
        }
    }

    /// Adds those of another run, or of other nodes of the same.
    pub fn add(&mut self, other: Self) {
        self.membership.add(other.membership);
        self.broadcast.add(other.broadcast);
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
    fn there_is_room_for_any_number() {
        assert_eq!([1, 64, 65, 128].map(words), [1, 1, 2, 2]);
        let mut some = Bits::<2>::default();
        for bit in [0, 63, 64, 127] {
            some.set(bit);
        }
        let mut more = Bits::default();
        more.set(1);
        more.add(some);
        assert_eq!(more.0, [1 << 63 | 3, 1 << 63 | 1]);
        let every = Marks::every().map(|mark| {
            let mut one = Marks::default();
            one.note(mark);
            one
        });
        for (at, one) in every.enumerate() {
            let has: Vec<_> = Marks::every().filter(|mark| one.has(*mark)).collect();
            assert_eq!(has.len(), 1, "mark {at}");
        }
    }

    #[test]
    fn names_are_names() {
        let names: BTreeSet<_> = Marks::every().map(name).collect();
        assert_eq!(names.len(), Marks::every().count(), "each has its own");
    }
}
