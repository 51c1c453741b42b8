//! Marks on branches that are rarely taken.
//!
//! A test that never takes a branch says nothing about it. A strategy tells its host of each such
//! branch by [`Effects::mark`](crate::Effects::mark); a host that does not listen pays nothing: the call
//! is empty and compiled away.

use core::cmp::Ordering;

/// A rarely taken branch of a strategy, with a unique name.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    name: &'static str,
    about: &'static str,
    is_loss: bool,
}

impl Mark {
    /// A branch with a name such as `tie-mine`, and what it is, in a line.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, is_loss: false }
    }

    /// A branch in which something is dropped, which operators want to know.
    #[must_use]
    pub const fn loss(self) -> Self {
        Self { is_loss: true, ..self }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// What it means, in a line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.about
    }

    /// Whether something is dropped in it.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        self.is_loss
    }
}

impl PartialEq for Mark {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Mark {}

impl PartialOrd for Mark {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Mark {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

/// Declares marks, and `ALL` of them in a list; `@loss` stands before those that drop something.
///
/// ```
/// murmurate_membership::marks! {
///     TIE_MINE = "tie-mine": "both sides ask at once, and this side's request stands";
///     @loss QUEUE_FULL = "queue-full": "a request finds no room";
/// }
///
/// assert_eq!(ALL, [TIE_MINE, QUEUE_FULL]);
/// assert!(QUEUE_FULL.is_loss() && !TIE_MINE.is_loss());
/// ```
#[macro_export]
macro_rules! marks {
    ($($(@$loss:ident)? $MARK:ident = $name:literal: $about:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $about, ".")]
            pub const $MARK: $crate::Mark = $crate::Mark::new($name, $about)$(.$loss())?;
        )+

        /// All of them.
        pub const ALL: &[$crate::Mark] = &[$($MARK),+];
    };
}
