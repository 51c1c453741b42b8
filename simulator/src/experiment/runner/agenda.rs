//! What happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use murmurate::membership::Time;

use crate::experiment::faults::Later;

/// Something to do. At the same time they are done in this order: what is measured, is measured
/// before something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// A point of the time series.
    Sample,
    /// A look at the overlay.
    Look,
    /// The observer's look.
    Show(Time),
    /// A phase begins.
    Phase(usize),
    /// A fault goes on, or ends.
    Later(usize, Later),
    /// A fault strikes.
    Strike(usize),
    /// A node joins.
    Join(usize),
    /// A workload broadcasts.
    Send(usize),
}

impl Act {
    fn rank(self) -> u8 {
        match self {
            Self::Sample => 0,
            Self::Look => 1,
            Self::Show(_) => 2,
            Self::Phase(_) => 3,
            Self::Later(..) => 4,
            Self::Strike(_) => 5,
            Self::Join(_) => 6,
            Self::Send(_) => 7,
        }
    }
}

/// Acts in the order of time, then kind, then as they were added.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    acts: BinaryHeap<Reverse<(Time, u8, u64, Act)>>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, time: Time, act: Act) {
        self.added += 1;
        self.acts.push(Reverse((time, act.rank(), self.added, act)));
    }

    /// The next act before the end.
    pub(super) fn next_before(&mut self, end: Time) -> Option<(Time, Act)> {
        let Reverse((time, _, _, act)) = self.acts.pop().filter(|next| next.0.0 < end)?;
        Some((time, act))
    }
}
