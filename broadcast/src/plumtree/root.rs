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
    /// When a broadcast shaped the tree last.
    shaped: Time,
    /// The hash of that broadcast's id.
    shaper: u32,
    /// The hash of the root's name.
    name: u32,
    /// The lowest hash of an origin in this period.
    lowest: u32,
    /// Periods since the root published.
    silent: u8,
    /// Broadcasts that shaped the tree, up to [`SETTLED`].
    count: u8,
}

impl Root {
    pub(crate) fn new() -> Self {
        let (name, lowest, shaper) = (u32::MAX, u32::MAX, 0);
        let (since, shaped) = (Time::ZERO, Time::ZERO);
        Self { since, shaped, shaper, name, lowest, silent: 0, count: 0 }
    }

    /// A new broadcast came, whose origin and id have these hashes. Whether it shapes the tree: two that
    /// do must not be under way together.
    pub(crate) fn shapes(&mut self, now: Time, origin: u64, id: u64, period: Duration) -> bool {
        let origin = origin as u32;
        if now.since(self.since) >= period {
            self.choose();
            (self.since, self.lowest) = (now, u32::MAX);
        }
        self.lowest = self.lowest.min(origin);
        let is_alone = self.count == 0 || now.since(self.shaped) >= period;
        let shapes = origin == self.name && is_alone;
        if shapes {
            (self.shaped, self.shaper) = (now, id as u32);
            self.count = (self.count + 1).min(SETTLED);
        }
        shapes
    }

    /// A period is over. One that published in it is the root if its hash is lower, or if the root has
    /// been silent for long.
    fn choose(&mut self) {
        self.silent = if self.lowest <= self.name { 0 } else { self.silent + 1 };
        if self.lowest < self.name || self.silent == SILENT {
            (self.name, self.silent) = (self.lowest, 0);
        }
    }

    /// Whether there is a tree. Before that most of its links are superfluous, and must not go at once.
    pub(crate) fn is_settled(&self) -> bool {
        self.count == SETTLED
    }

    /// Whether the broadcast whose id has this hash is the last that shaped the tree, if the root
    /// published lately. As long as it does, only such broadcasts cut cycles, which they find one at a
    /// time: of many that are under way at once each would cut them somewhere else.
    pub(crate) fn cuts(&self, id: u64) -> Option<bool> {
        (self.is_settled() && self.silent == 0).then_some(self.shaper == id as u32)
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
            root.shapes(now, **origin, *n, Duration::from_secs(1))
        });
        shapes.map(|(origin, _)| *origin).collect()
    }

    #[test]
    fn the_lowest_origin_shapes_the_tree_and_another_one_when_it_falls_silent() {
        let all = [9, 4, 8, 2, 6, 7, 5, 3];
        let mut root = Root::new();
        let shaped = shaped_by(&all, 20, &mut root);
        assert!(
            (10..=20).contains(&shaped.len()) && shaped.iter().all(|by| *by == 2),
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
}
