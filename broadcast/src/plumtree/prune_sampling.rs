//! Which broadcasts may change the tree.
//!
//! The paper publishes one broadcast a cycle, from one sender, or optimises for none of many. Where
//! several are under way at once, each finds the same cycle at another place and cuts it there: cut
//! twice, the tree is in pieces, every peer of a piece grafts a link, and the new cycles are cut too
//! often again. It never ends. And where every sender's broadcasts cut, the tree suits none: it grows
//! deeper with every link that is replaced.
//!
//! So the tree has a root: of all origins that publish, the one whose name has the lowest hash. Only
//! its broadcasts change the tree, and of those only one in many dissemination times: by its name's
//! hash, more rarely the more there are. All peers see the same broadcasts, so they agree on both
//! without a word, or soon do. For all to count alike, a period begins with a broadcast, not by a
//! clock: after a silence all begin with the same one, or nearly.

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
/// Periods with broadcasts, but none of the root's, after which there is another root.
const SILENT: u8 = 32;
/// After so many broadcasts that might change it the tree is taken for one.
const SETTLED: u8 = 5;

/// Knows the root, counts how many of its broadcasts come in a period, and picks the more rarely the
/// more there are.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PruneSampling {
    /// When the period that is counted began.
    since: Time,
    /// The hash of the root's name.
    root: u64,
    /// The lowest hash of an origin in this period.
    lowest: u64,
    /// Broadcasts of the root in this period, and of origins that are about to take its place.
    count: u16,
    /// Zero bits that the hash of a broadcast's name must end with.
    level: u8,
    /// Periods since the root published.
    silent: u8,
    /// Broadcasts that were picked, up to [`SETTLED`].
    picked: u8,
}

impl PruneSampling {
    pub(crate) fn new() -> Self {
        let (root, lowest) = (u64::MAX, u64::MAX);
        Self { since: Time::ZERO, root, lowest, count: 0, level: 0, silent: 0, picked: 0 }
    }

    /// A new broadcast came, of the origin whose name has this hash.
    pub(crate) fn note(&mut self, now: Time, origin: u64, period: Duration) {
        let age = now.since(self.since);
        if age >= period || self.lowest == u64::MAX {
            self.choose_root();
            // What came long ago says nothing of now.
            let follows = age < period.saturating_mul(2);
            self.level = if follows { bits(self.count) } else { 0 };
            (self.since, self.count, self.lowest) = (now, 0, u64::MAX);
        }
        self.lowest = self.lowest.min(origin);
        if origin <= self.root {
            self.count = self.count.saturating_add(1);
            self.level = self.level.max(bits(self.count));
        }
    }

    /// A period is over. One that published in it is the root if its hash is lower, or if the root has
    /// been silent for long.
    fn choose_root(&mut self) {
        self.silent = if self.lowest <= self.root { 0 } else { self.silent + 1 };
        if self.lowest < self.root || self.silent == SILENT {
            (self.root, self.silent) = (self.lowest, 0);
        }
    }

    /// Whether a broadcast may change the tree, by the hashes of its name and of its origin's.
    /// Broadcasts are `long` under way unless a period is many times the time that payloads are waited
    /// for.
    pub(crate) fn picks(&self, hash: u64, origin: u64, is_long: bool) -> bool {
        let sparse = if is_long && self.level > 0 { SPARSE } else { 0 };
        origin <= self.root && hash.trailing_zeros() >= u32::from(self.level) + sparse
    }

    /// A broadcast that is picked came for the first time.
    pub(crate) fn note_picked(&mut self) {
        self.picked = (self.picked + 1).min(SETTLED);
    }

    /// Whether there is a tree. Before that most links are superfluous, and must not go at once.
    pub(crate) fn is_settled(&self) -> bool {
        self.picked == SETTLED
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
                sampling.note(Time::from_nanos(n * 1_000_000_000 / rate), 7, second);
                // A well mixed hash.
                let hash = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let hash = (hash ^ hash >> 32).wrapping_mul(hash | 1);
                picked[0] += u32::from(sampling.picks(hash, 7, false));
                picked[1] += u32::from(sampling.picks(hash, 7, true));
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
            sampling.note(Time::from_nanos(second * 2_000_000_000), 7, Duration::from_secs(1));
            assert!(sampling.picks(u64::MAX, 7, true), "every broadcast may change the tree");
        }
    }

    /// The same broadcasts, a quarter of a second apart, on clocks that show different times.
    #[test]
    fn what_is_picked_does_not_depend_on_what_the_clock_shows() {
        let levels = |clock: u64| {
            let mut sampling = PruneSampling::new();
            let times = (0..20).map(|n| Time::from_nanos((clock + 250 * n) * 1_000_000));
            let mut note = |now| {
                sampling.note(now, 7, Duration::from_secs(1));
                sampling.level
            };
            times.map(&mut note).collect::<Vec<_>>()
        };
        let expected = levels(0);
        assert!((1..1_000).all(|clock| levels(7 * clock) == expected), "{expected:?}");
    }

    /// Origins that publish in turn, ten a second: whose broadcast was picked last.
    fn root_among(origins: &[u64], seconds: u64, sampling: &mut PruneSampling) -> Option<u64> {
        let from = sampling.since.as_nanos();
        let published = origins.iter().cycle().zip(1..=10 * seconds);
        published.fold(None, |root, (&origin, n)| {
            let now = Time::from_nanos(from + n * 100_000_000);
            sampling.note(now, origin, Duration::from_secs(1));
            if sampling.picks(u64::MAX << 63, origin, true) { Some(origin) } else { root }
        })
    }

    #[test]
    fn only_the_lowest_origin_is_picked_and_another_one_when_it_falls_silent() {
        let mut sampling = PruneSampling::new();
        assert_eq!(root_among(&[9, 4, 8, 2, 6, 7, 5, 3], 5, &mut sampling), Some(2));
        assert_eq!(root_among(&[9, 4, 8, 2, 6, 7, 5, 3], 60, &mut sampling), Some(2));
        let others = [9, 4, 8, 6, 7, 5, 3];
        assert_eq!(root_among(&others, u64::from(SILENT) / 2, &mut sampling), None);
        assert_eq!(root_among(&others, u64::from(SILENT), &mut sampling), Some(3));
        assert_eq!(root_among(&[1, 3], 5, &mut sampling), Some(1), "at once");
    }

    #[test]
    fn origins_that_publish_once_are_picked_now_and_then() {
        let mut sampling = PruneSampling::new();
        let picked = (0..10_000u64).filter(|n| {
            let origin = hash(n);
            sampling.note(Time::from_nanos(n * 100_000_000), origin, Duration::from_secs(1));
            sampling.picks(u64::MAX << 63, origin, true)
        });
        let picked = picked.count();
        assert!((20..500).contains(&picked), "{picked} of 10,000 in 1,000 s");
    }
}
