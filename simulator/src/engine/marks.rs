//! The marks that a run reached: rarely taken branches of the protocols.

use std::collections::BTreeSet;
use std::fmt;

use murmurate::Mark;

/// A set of marks.
#[derive(Clone)]
pub struct Marks {
    noted: BTreeSet<Mark>,
    /// Where the names stand of marks that were noted: most are noted again and again.
    recent: [(usize, usize); RECENT],
}

const RECENT: usize = 128;

impl Default for Marks {
    fn default() -> Self {
        Self { noted: BTreeSet::new(), recent: [(0, 0); RECENT] }
    }
}

impl Marks {
    /// Adds one.
    #[inline]
    pub(crate) fn note(&mut self, mark: Mark) {
        let place = (mark.name().as_ptr().addr(), mark.name().len());
        let recent = &mut self.recent[(place.0 >> 3) % RECENT];
        if *recent != place {
            *recent = place;
            self.noted.insert(mark);
        }
    }

    /// Adds those of another run, or of other nodes of the same.
    pub fn add(&mut self, other: &Self) {
        self.noted.extend(&other.noted);
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, mark: Mark) -> bool {
        self.noted.contains(&mark)
    }
}

impl PartialEq for Marks {
    fn eq(&self, other: &Self) -> bool {
        self.noted == other.noted
    }
}

impl Eq for Marks {}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.noted.iter().map(|mark| mark.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_noted() {
        const MARKS: [Mark; 3] =
            [Mark::new("tie", "a tie"), Mark::new("asked", "asked"), Mark::new("never", "never")];
        let (mut some, mut others) = (Marks::default(), Marks::default());
        for _ in 0..3 {
            some.note(MARKS[0]);
            others.note(MARKS[1]);
        }
        assert!(!some.has(MARKS[1]));
        some.add(&others);
        assert_eq!(format!("{some:?}"), r#"{"asked", "tie"}"#);
        assert!(!some.has(MARKS[2]));
    }

    /// Whatever names fall on one place.
    #[test]
    fn none_hides_another() {
        let long: &'static str = "a".repeat(100).leak();
        let names: Vec<&'static str> = (0..1_000)
            .map(|number| &*format!("mark-{number}").leak())
            .chain((1..100).map(|length| &long[..length]))
            .collect();
        let mut marks = Marks::default();
        for _ in 0..2 {
            names.iter().for_each(|name| marks.note(Mark::new(name, "")));
        }
        assert!(names.iter().all(|name| marks.has(Mark::new(name, ""))));
    }
}
