//! Whose broadcasts shape the tree.
//!
//! Cycles are cut by broadcasts of all origins, so the tree suits none of them, and with every link that
//! is replaced it becomes more like a random tree: deeper. The paper optimises it for one sender. Here
//! the tree has a root: of all origins that publish, the one whose name has the lowest hash. The tree
//! switches to whoever announces its broadcasts first, so each peer gets these over the shortest way in
//! time, whatever links come and go. All peers see the same broadcasts, so they agree on the root without
//! a word, or soon do.

use core::time::Duration;

use murmurate_membership::Time;

use super::prune_sampling::PruneSampling;

/// Periods with broadcasts, but none of the root's, after which there is another root.
const SILENT: u8 = 32;
/// After so many broadcasts that shaped it the tree is taken for one.
const SETTLED: u8 = 5;

/// Knows the root, and how many of its broadcasts shaped the tree. Hashes are cut to 32 bits.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Root {
    /// When the period began.
    since: Time,
    /// Of the root's broadcasts.
    sampling: PruneSampling,
    /// The hash of the id of its last broadcast that may cut cycles.
    cutter: u32,
    /// The hash of the root's name.
    name: u32,
    /// The lowest hash of an origin in this period.
    lowest: u32,
    /// Periods since the root published.
    silent: u8,
    /// Broadcasts of the root that shaped the tree, up to [`SETTLED`].
    count: u8,
}

impl Root {
    pub(crate) fn new() -> Self {
        let (name, lowest, cutter) = (u32::MAX, u32::MAX, 0);
        let (since, sampling) = (Time::ZERO, PruneSampling::new());
        Self { since, sampling, cutter, name, lowest, silent: 0, count: 0 }
    }

    /// A new broadcast came, whose origin and id have these hashes. Whether it shapes the tree: two that
    /// do must not be under way together, and all peers must agree on them. So it is its id that says,
    /// not the time when it came, which is another one at every peer.
    pub(crate) fn shapes(
        &mut self,
        now: Time,
        (origin, id): (u64, u64),
        period: Duration,
        is_long: bool,
    ) -> bool {
        let origin = origin as u32;
        if now.since(self.since) >= period {
            self.choose();
            (self.since, self.lowest) = (now, u32::MAX);
        }
        self.lowest = self.lowest.min(origin);
        if origin != self.name {
            return false;
        }
        self.sampling.note(now, period);
        if !self.sampling.picks_alone(id, is_long) {
            return false;
        }
        self.cutter = id as u32;
        self.count = (self.count + 1).min(SETTLED);
        self.sampling.picks_rarely(id, is_long)
    }

    /// A period is over. One that published in it is the root if its hash is lower, or if the root has
    /// been silent for long. Its broadcasts have not shaped the tree yet.
    fn choose(&mut self) {
        self.silent = if self.lowest <= self.name { 0 } else { self.silent + 1 };
        if self.lowest < self.name || self.silent == SILENT {
            *self = Self { since: self.since, name: self.lowest, ..Self::new() };
        }
    }

    /// Whether there is a tree. Before that most of its links are superfluous, and must not go at once.
    pub(crate) fn is_settled(&self) -> bool {
        self.count == SETTLED
    }

    /// Whether a duplicate of a broadcast, whose origin and id have these hashes, prunes the link that it
    /// came on, if the root published lately. As long as it does, only its broadcasts cut cycles, and
    /// these find them one at a time: of many that are under way at once each would cut them somewhere
    /// else. Each of its broadcasts cuts links that are `on_trial`.
    pub(crate) fn cuts(&self, (origin, id): (u64, u64), on_trial: bool) -> Option<bool> {
        let cuts = self.cutter == id as u32 || on_trial && self.name == origin as u32;
        (self.is_settled() && self.silent == 0).then_some(cuts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Origins publish in turn, ten a second, for so long: whose broadcasts shaped the tree.
    fn shaped_by(origins: &[u64], seconds: u64, root: &mut Root) -> Vec<u64> {
        let from = root.since.as_nanos() + 1_000_000_000;
        let published = origins.iter().cycle().zip(1..=10 * seconds);
        let shapes = published.filter(|(origin, n)| {
            let now = Time::from_nanos(from + n * 100_000_000);
            root.shapes(now, (**origin, !0 << (n % 8)), Duration::from_secs(1), false)
        });
        shapes.map(|(origin, _)| *origin).collect()
    }

    #[test]
    fn the_lowest_origin_shapes_the_tree_and_another_one_when_it_falls_silent() {
        let all = [9, 4, 8, 2, 6, 7, 5, 3];
        let mut root = Root::new();
        let shaped = shaped_by(&all, 20, &mut root);
        assert!(
            (10..=25).contains(&shaped.len()) && shaped.iter().all(|by| *by == 2),
            "{shaped:?}"
        );
        assert!(root.is_settled());
        let others = [9, 4, 8, 6, 7, 5, 3];
        assert_eq!(shaped_by(&others, 20, &mut root), []);
        let shaped = shaped_by(&others, 40, &mut root);
        assert!(shaped.len() > 10 && shaped.iter().all(|by| *by == 3), "{shaped:?}");
        let shaped = shaped_by(&[1, 3], 20, &mut root);
        assert!(shaped.iter().filter(|by| **by == 1).count() > 10, "{shaped:?}");
    }

    /// A well mixed hash of a number.
    fn mixed(n: u64) -> u64 {
        let hash = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash ^ hash >> 32).wrapping_mul(hash | 1)
    }

    /// By the time when they came, each peer took others of a fast root's broadcasts, of which several
    /// were then under way at once.
    #[test]
    fn peers_agree_on_what_shapes_the_tree_whenever_it_comes() {
        let shaping = |jitter: u64| -> Vec<u64> {
            let mut root = Root::new();
            let shapes = |n: &u64| {
                let at = Time::from_nanos((n * 50 + mixed(n ^ jitter) % (jitter + 1)) * 1_000_000);
                root.shapes(at, (1, mixed(*n)), Duration::from_secs(1), true)
            };
            (0..4_000).filter(shapes).skip(2).collect()
        };
        let first = shaping(0);
        assert!((3..=40).contains(&first.len()), "{first:?} in 200 s");
        for jitter in [20, 49, 90] {
            assert_eq!(shaping(jitter), first, "up to {jitter} ms later");
        }
    }

    /// Each period another origin with a lower hash is made up.
    #[test]
    fn a_root_whose_broadcasts_shaped_nothing_yet_stops_nobody_from_pruning() {
        let mut root = Root::new();
        let mut at = 0;
        let mut publish = |origin: u64, root: &mut Root| {
            at += 500_000_000;
            root.shapes(Time::from_nanos(at), (origin, 1 << 40), Duration::from_secs(1), false);
            root.cuts((99, 7), false)
        };
        for _ in 0..20 {
            let _ = publish(1_000, &mut root);
        }
        assert_eq!(publish(1_000, &mut root), Some(false), "only the root's");
        let others = (0..40).map(|n| publish(999 - n / 2, &mut root)).skip(4);
        assert!(others.into_iter().all(|cuts| cuts.is_none()));
    }
}
