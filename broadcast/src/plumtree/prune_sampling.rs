//! Which broadcasts may prune.
//!
//! The paper publishes one broadcast a cycle. When several are under way at once, each finds the
//! same cycle at another place and cuts it there: cut twice, the tree is in pieces, every peer of
//! a piece grafts a link, and the new cycles are cut too often again. It never ends. So only one
//! broadcast in many dissemination times may cut, and all peers must pick the same one: by its
//! name's hash, more rarely the more broadcasts there are. For all peers to count alike, a period
//! begins with a broadcast, not by a clock: after a silence all begin with the same one, or nearly.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use foldhash::fast::FixedState;
use murmurate_membership::Time;

/// The share in chance of a broadcast or of its origin: the same in every peer.
pub(crate) fn hash(name: impl Hash) -> u64 {
    FixedState::with_seed(0).hash_one(name)
}

/// Where a broadcast takes long, one that does not come alone is picked in two to the power of this
/// many periods: two that are picked must hardly ever be under way together.
const SPARSE: u32 = 2;

/// Counts how many broadcasts come in a period, and picks the more rarely the more there are.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PruneSampling {
    /// When the period that is counted began.
    since: Time,
    count: u16,
    /// Zero bits that the hash of a name must end with.
    level: u8,
}

impl PruneSampling {
    pub(crate) fn new() -> Self {
        Self { since: Time::ZERO, count: 0, level: 0 }
    }

    /// A new broadcast came.
    pub(crate) fn note(&mut self, now: Time, period: Duration) {
        let age = now.since(self.since);
        if age >= period || self.count == 0 {
            // What came long ago says nothing of now.
            let follows = age < period.saturating_mul(2);
            self.level = if follows { bits(self.count) } else { 0 };
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.level = self.level.max(bits(self.count));
    }

    /// How long ago the only broadcast of this period came, if none came shortly before it either.
    pub(crate) fn since_only(&self, now: Time) -> Option<Duration> {
        (self.count == 1 && self.level == 0).then(|| now.since(self.since))
    }

    /// Whether the broadcast whose name has this hash may change the tree. Broadcasts are `long` under
    /// way unless a period is many times the time that payloads are waited for.
    pub(crate) fn picks(&self, hash: u64, is_long: bool) -> bool {
        hash.trailing_zeros() >= self.zeros(is_long)
    }

    /// The same where only these broadcasts prune. Unless they are `long` under way, two in a period do
    /// not meet, and up to two are picked.
    pub(crate) fn picks_alone(&self, hash: u64, is_long: bool) -> bool {
        let spared = if is_long { 0 } else { 1 };
        hash.trailing_zeros() >= self.zeros(is_long).saturating_sub(spared)
    }

    /// Whether it is also one of the few of those that change more than a cut does: where broadcasts are
    /// `long` under way, the others cut what these leave.
    pub(crate) fn picks_rarely(&self, hash: u64, is_long: bool) -> bool {
        let zeros = self.zeros(is_long);
        !is_long || zeros == 0 || hash.trailing_zeros() >= zeros + SPARSE
    }

    /// Zero bits that the hash of a name must end with.
    fn zeros(&self, is_long: bool) -> u32 {
        let sparse = if is_long && self.level > 0 { SPARSE } else { 0 };
        u32::from(self.level) + sparse
    }
}

/// The logarithm of `count`, rounded up: one alone is always picked.
fn bits(count: u16) -> u8 {
    (u16::BITS - count.saturating_sub(1).leading_zeros()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_in_a_period_is_picked_and_fewer_where_broadcasts_take_long() {
        let second = Duration::from_secs(1);
        for rate in [1u64, 2, 10, 100, 1_000] {
            let mut sampling = PruneSampling::new();
            let mut picked = [0; 2];
            for n in 0..400 * rate {
                sampling.note(Time::from_nanos(n * 1_000_000_000 / rate), second);
                // A well mixed hash.
                let hash = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let hash = (hash ^ hash >> 32).wrapping_mul(hash | 1);
                picked[0] += u32::from(sampling.picks(hash, false));
                picked[1] += u32::from(sampling.picks(hash, true));
            }
            let [short, long] = picked;
            assert!((100..=480).contains(&short), "{short} of {} in 400 s", 400 * rate);
            let wanted = if rate == 1 { 400..=400 } else { 20..=140 };
            assert!(wanted.contains(&long), "{long} of {} in 400 s", 400 * rate);
        }
    }

    #[test]
    fn a_quiet_overlay_follows_the_paper() {
        let mut sampling = PruneSampling::new();
        for second in 0..100 {
            sampling.note(Time::from_nanos(second * 2_000_000_000), Duration::from_secs(1));
            assert!(sampling.picks(u64::MAX, true), "every broadcast may change the tree");
        }
    }

    /// The same broadcasts, a quarter of a second apart, on clocks that show different times.
    #[test]
    fn what_is_picked_does_not_depend_on_what_the_clock_shows() {
        let levels = |clock: u64| {
            let mut sampling = PruneSampling::new();
            let times = (0..20).map(|n| Time::from_nanos((clock + 250 * n) * 1_000_000));
            let mut note = |now| {
                sampling.note(now, Duration::from_secs(1));
                sampling.level
            };
            times.map(&mut note).collect::<Vec<_>>()
        };
        let expected = levels(0);
        assert!((1..1_000).all(|clock| levels(7 * clock) == expected), "{expected:?}");
    }
}
