//! Which broadcasts may change the tree.
//!
//! The paper publishes one broadcast a cycle. When several are under way at once, each finds the
//! same cycle at another place and cuts it there: cut twice, the tree is in pieces, every peer of
//! a piece grafts a link, and the new cycles are cut too often again. It never ends. So only one
//! broadcast in many dissemination times may cut, and all peers must pick the same one: by its
//! name's hash, more rarely the more broadcasts there are.

use core::time::Duration;

use murmurate_membership::{Time, nanos};

/// Of broadcasts that do not come alone one is picked in two to the power of this many whiles: rarely
/// enough that two that are picked are hardly ever under way together.
const SPARSE: u8 = 3;

/// Measures how many broadcasts come in a while.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// The while that is counted: how many went by since time began.
    period: u32,
    count: u16,
    /// Zero bits that the hash of a name must end with.
    level: u8,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { period: 0, count: 0, level: 0 }
    }

    /// A new broadcast came.
    pub(crate) fn note(&mut self, now: Time, while_: Duration) {
        let period = (now.as_nanos() / nanos(while_).max(1)) as u32;
        if period != self.period {
            // What came long ago says nothing of now.
            let follows = period == self.period.wrapping_add(1);
            self.level = if follows { bits(self.count) } else { 0 };
            self.period = period;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.level = self.level.max(bits(self.count));
    }

    /// Whether the broadcast whose name has this hash may change the tree.
    pub(crate) fn picks(&self, hash: u64) -> bool {
        hash.trailing_zeros() >= self.level.into()
    }
}

/// For so many broadcasts in a while. One alone is always picked.
fn bits(count: u16) -> u8 {
    match count {
        0 | 1 => 0,
        _ => SPARSE + (u16::BITS - (count - 1).leading_zeros()) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_in_eight_whiles_is_picked() {
        let second = Duration::from_secs(1);
        for rate in [2u64, 10, 100, 1_000] {
            let mut pace = Pace::new();
            let mut picked = 0;
            for n in 0..800 * rate {
                pace.note(Time::from_nanos(n * 1_000_000_000 / rate), second);
                // A well mixed hash.
                let hash = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                picked += u32::from(pace.picks((hash ^ hash >> 32).wrapping_mul(hash | 1)));
            }
            assert!((25..=120).contains(&picked), "{picked} of {} in 800 s", 800 * rate);
        }
    }

    #[test]
    fn a_quiet_overlay_follows_the_paper() {
        let mut pace = Pace::new();
        for second in 0..100 {
            pace.note(Time::from_nanos(second * 2_000_000_000), Duration::from_secs(1));
            assert!(pace.picks(u64::MAX), "every broadcast may change the tree");
        }
    }
}
