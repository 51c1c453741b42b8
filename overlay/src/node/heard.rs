//! How far the broadcasts of others got, over a restart.
//!
//! Strategies know what they have seen, and forget it when the node ends. Whoever recorded it could then bring it
//! once more. So the state has the latest publishers, and what came before this start is not delivered by it.

use std::collections::BTreeMap;

use crate::id::{Incarnation, MessageId};
use crate::node::state::{Heard, MAX_HEARD};

/// Publishers of this start, and of the one before.
#[derive(Debug, Default)]
pub(crate) struct Heards {
    before: BTreeMap<Incarnation, u64>,
    /// One more than the highest number, and when it came: the how-many-eth that was delivered.
    now: BTreeMap<Incarnation, (u64, u64)>,
    delivered: u64,
}

impl Heards {
    pub(crate) fn new(before: impl IntoIterator<Item = Heard>) -> Self {
        let before = before.into_iter().map(|heard| (heard.origin, heard.next)).collect();
        Self { before, ..Self::default() }
    }

    /// Whether a broadcast came before this start, or never will.
    pub(crate) fn is_past(&self, id: MessageId) -> bool {
        self.before.get(&id.origin).is_some_and(|next| id.sequence < *next)
    }

    pub(crate) fn note(&mut self, id: MessageId) {
        self.delivered += 1;
        let next = id.sequence.saturating_add(1);
        let known = self.now.entry(id.origin).or_default();
        *known = (known.0.max(next), self.delivered);
        if self.now.len() > 2 * MAX_HEARD {
            let mut last: Vec<_> = self.now.values().map(|(_, last)| *last).collect();
            let (_, &mut median, _) = last.select_nth_unstable(MAX_HEARD);
            self.now.retain(|_, (_, last)| *last > median);
        }
    }

    /// For the state: those heard last first, and then those that were heard before.
    pub(crate) fn latest(&self) -> Vec<Heard> {
        let mut now: Vec<_> = self.now.iter().collect();
        now.sort_unstable_by_key(|(_, (_, last))| std::cmp::Reverse(*last));
        let now = now.into_iter().map(|(origin, (next, _))| Heard { origin: *origin, next: *next });
        let older = self.before.iter().filter(|(origin, _)| !self.now.contains_key(origin));
        let older = older.map(|(origin, next)| Heard { origin: *origin, next: *next });
        now.chain(older).take(MAX_HEARD).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;

    fn id(started: u64, sequence: u64) -> MessageId {
        let node = NodeId::from_bytes([1; 32]);
        MessageId { origin: Incarnation { node, started }, sequence }
    }

    #[test]
    fn what_came_before_a_restart_is_past_and_what_comes_after_is_not() {
        let mut first = Heards::default();
        for sequence in [0, 4, 2] {
            first.note(id(1, sequence));
            assert!(!first.is_past(id(1, sequence)), "the strategies know");
        }
        let mut second = Heards::new(first.latest());
        assert!(second.is_past(id(1, 4)) && !second.is_past(id(1, 5)) && !second.is_past(id(2, 0)));
        second.note(id(2, u64::MAX));
        let third = Heards::new(second.latest());
        assert!(third.is_past(id(1, 4)) && third.is_past(id(2, u64::MAX - 1)));
    }

    #[test]
    fn the_latest_publishers_are_kept() {
        let mut heards = Heards::default();
        for started in 0..10_000 {
            heards.note(id(started, 0));
            heards.note(id(7, started));
            assert!(heards.now.len() <= 2 * MAX_HEARD);
        }
        let latest = heards.latest();
        assert_eq!(latest.len(), MAX_HEARD);
        assert_eq!(latest[0], Heard { origin: id(7, 0).origin, next: 10_000 });
        assert!(latest[1..].iter().all(|heard| heard.origin.started >= 10_000 - 1_100));
    }
}
