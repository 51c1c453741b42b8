//! What happens when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use murmurate::membership::Time;

use crate::experiment::faults::Later;

/// Something to do. At one moment, actions are done in this order: counts are closed before anything
/// happens, and the overlay is looked at after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// The window of an assertion begins or ends.
    Border,
    /// A point of the time series.
    Sample,
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
    /// A look at the overlay.
    Look,
    /// The observer's look.
    Show,
    /// Figures of nodes are looked at.
    Probe,
}

impl Action {
    fn rank(self) -> u8 {
        match self {
            Self::Border => 0,
            Self::Sample => 1,
            Self::Phase(_) => 2,
            Self::Later(..) => 3,
            Self::Strike(_) => 4,
            Self::Join(_) => 5,
            Self::Send(_) => 6,
            Self::Look => 7,
            Self::Show => 8,
            Self::Probe => 9,
        }
    }
}

/// Acts in the order of time, then kind, then as they were added.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    acts: BinaryHeap<Reverse<(Time, u8, u64, Action)>>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, time: Time, act: Action) {
        self.added += 1;
        self.acts.push(Reverse((time, act.rank(), self.added, act)));
    }

    /// The next act before the end.
    pub(super) fn next_before(&mut self, end: Time) -> Option<(Time, Action)> {
        self.acts.peek().filter(|next| next.0.0 < end)?;
        let Reverse((time, _, _, act)) = self.acts.pop()?;
        Some((time, act))
    }

    /// When workloads go on.
    pub(super) fn sends(&self) -> BTreeMap<usize, Time> {
        let sends = self.acts.iter().filter_map(|Reverse((time, _, _, act))| match act {
            Action::Send(workload) => Some((*workload, *time)),
            _ => None,
        });
        sends.collect()
    }

    /// What was to be done before this time was done.
    pub(super) fn forget_before(&mut self, time: Time) {
        self.acts.retain(|Reverse((at, ..))| *at >= time);
    }

    /// No point of the time series is due.
    pub(super) fn forget_samples(&mut self) {
        self.acts.retain(|Reverse((.., act))| *act != Action::Sample);
    }
}
