//! How frames travel between the halves: paths, latency, loss, copies and cuts.

use std::collections::BTreeSet;
use std::time::Duration;

use murmurate::channel::Path;
use murmurate::membership::{Time, nanos};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

/// What the network does to frames.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The shortest way.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
    /// The share of a relay's frames that are lost.
    pub loss: f64,
    /// The share that comes twice.
    pub copies: f64,
    /// The share of paths that are relays.
    pub relays: f64,
}

/// One path that was made, or tried, from a sending half's node to a receiving one's.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) lane: usize,
    pub(super) path: Path,
    ends: [usize; 2],
    /// A stream that broke, by direction: nothing comes any more, nor what is in flight.
    dead: [bool; 2],
    /// When the last frame of a stream comes, by direction.
    last: [Time; 2],
    /// Frames of the sending half that the receiving host has not read.
    pub(super) unread: usize,
}

/// To the receiving half, or back.
pub(super) const FORTH: usize = 0;
pub(super) const BACK: usize = 1;

#[derive(Debug)]
pub(super) struct Ways {
    pub(super) conditions: Conditions,
    ways: Vec<Way>,
    cuts: BTreeSet<(usize, usize)>,
    pub(super) rng: SplitMix64,
}

impl Ways {
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        let rng = SplitMix64::seed_from_u64(seed ^ 0x7761_7973);
        Self { conditions, ways: Vec::new(), cuts: BTreeSet::new(), rng }
    }

    pub(super) fn open(&mut self, lane: usize, ends: [usize; 2]) -> usize {
        let path = if self.chance(self.conditions.relays) { Path::Relay } else { Path::Stream };
        let (dead, last) = ([false; 2], [Time::ZERO; 2]);
        self.ways.push(Way { lane, path, ends, dead, last, unread: 0 });
        self.ways.len() - 1
    }

    pub(super) fn way(&mut self, way: usize) -> &mut Way {
        &mut self.ways[way]
    }

    /// When a frame that is sent now comes: not at all, once or twice.
    pub(super) fn fate(&mut self, now: Time, way: usize, direction: usize) -> Vec<Time> {
        let Way { path, ends, dead, last, .. } = &self.ways[way];
        let ends = if direction == FORTH { *ends } else { [ends[1], ends[0]] };
        let (path, dead, last) = (*path, dead[direction], last[direction]);
        if dead || self.cuts.contains(&(ends[0], ends[1])) {
            return Vec::new();
        }
        let at = now.after(self.latency());
        if path == Path::Stream {
            let at = at.max(last);
            self.ways[way].last[direction] = at;
            return vec![at];
        }
        let mut times = Vec::new();
        if !self.chance(self.conditions.loss) {
            times.push(at);
            if self.chance(self.conditions.copies) {
                times.push(now.after(self.latency() * 3));
            }
        }
        times
    }

    /// Whether a frame that is in flight still comes.
    pub(super) fn stands(&self, way: usize, direction: usize) -> bool {
        !self.ways[way].dead[direction]
    }

    /// A stream breaks, with what is in flight in these directions. Whether it stood until now.
    pub(super) fn kill(&mut self, way: usize, directions: [bool; 2]) -> bool {
        let way = &mut self.ways[way];
        let before = way.dead;
        if way.path == Path::Stream {
            for (dead, kill) in way.dead.iter_mut().zip(directions) {
                *dead |= kill;
            }
        }
        way.dead != before
    }

    /// Nothing gets from one node to the other. The streams that break because of that.
    pub(super) fn cut(&mut self, from: usize, to: usize) -> Vec<usize> {
        self.cuts.insert((from, to));
        let mut broken = Vec::new();
        for way in 0..self.ways.len() {
            let ends = self.ways[way].ends;
            if self.kill(way, [ends == [from, to], ends == [to, from]]) {
                broken.push(way);
            }
        }
        broken
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(super) fn latency(&mut self) -> Duration {
        let Conditions { least, most, .. } = self.conditions;
        Duration::from_nanos(self.rng.random_range(nanos(least)..=nanos(most.max(least))))
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share.clamp(0.0, 1.0))
    }
}
