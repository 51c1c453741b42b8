//! All parts of a simulation, and how they go through time together: bucket by bucket, each part on
//! a thread of its own if that is worth it.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use crate::crew::Crew;
use crate::engine::SimStack;
use crate::host::Told;
use crate::network::Network;
use crate::part::{Bucket, Part};
use crate::queue::Deal;
use crate::stats::Stats;

/// After a bucket of fewer events the next one is run by one thread: it would be through before
/// another one has woken up.
const WORTH_SHARING: usize = 256;

/// The parts, at least one. Nodes are found by their indices.
#[derive(Clone)]
pub(crate) struct Parts<P: SimStack> {
    deal: Deal,
    parts: Vec<Part<P>>,
    crew: Crew<Part<P>>,
    /// The parts' counters added up, once somebody has asked for them.
    total: OnceLock<Stats>,
    /// The most events that waited before a bucket was run.
    peak: usize,
    /// Events in the bucket run last.
    last_bucket: usize,
    /// Buckets that more than one thread ran.
    shared_buckets: u64,
}

impl<P: SimStack> Parts<P> {
    /// A part for each thread, with buckets no wider than `lookahead` nanoseconds.
    pub(crate) fn new(threads: NonZeroUsize, lookahead: u64) -> Self {
        let deal = Deal::new(threads);
        Self {
            deal,
            parts: (0..threads.get()).map(|part| Part::new(deal, part, lookahead)).collect(),
            crew: Crew::new(),
            total: OnceLock::new(),
            peak: 0,
            last_bucket: 0,
            shared_buckets: 0,
        }
    }

    /// The part of node `index`.
    pub(crate) fn of(&self, index: usize) -> &Part<P> {
        &self.parts[self.deal.part(index)]
    }

    /// The part of node `index`, to change.
    pub(crate) fn of_mut(&mut self, index: usize) -> &mut Part<P> {
        let part = self.deal.part(index);
        &mut self.all_mut()[part]
    }

    pub(crate) fn all(&self) -> &[Part<P>] {
        &self.parts
    }

    /// All parts, to change: what was added up holds no longer.
    pub(crate) fn all_mut(&mut self) -> &mut [Part<P>] {
        self.total.take();
        &mut self.parts
    }

    /// What was counted in all parts.
    pub(crate) fn stats(&self) -> &Stats {
        match &self.parts[..] {
            [only] => &only.common.stats,
            parts => self.total.get_or_init(|| {
                let mut total = parts[0].common.stats.clone();
                parts[1..].iter().for_each(|part| total.add(&part.common.stats));
                total
            }),
        }
    }

    /// How many broadcasts were published.
    pub(crate) fn published(&self) -> usize {
        self.parts[0].common.stats.broadcasts.len()
    }

    /// Nanoseconds that a bucket spans.
    pub(crate) fn width(&self) -> u64 {
        self.parts[0].common.queue.width()
    }

    /// The most events that ever waited. Within a bucket they only become more, so looking between
    /// buckets is enough.
    pub(crate) fn peak_pending(&self) -> usize {
        self.peak.max(self.pending())
    }

    fn pending(&self) -> usize {
        self.parts.iter().map(|part| part.common.queue.len()).sum()
    }

    /// Buckets that more than one thread ran.
    pub(crate) fn shared_buckets(&self) -> u64 {
        self.shared_buckets
    }

    /// Runs the first bucket with events that starts before `until`, a border, and returns its end.
    pub(crate) fn run_bucket(&mut self, network: &Arc<Network>, until: u64) -> Option<u64> {
        loop {
            let start = self.parts.iter().filter_map(|part| part.common.queue.next()).min()?;
            if start >= until {
                return None;
            }
            self.peak = self.peak_pending();
            let end = start + self.width();
            self.run_until(network, end);
            self.exchange();
            self.last_bucket = self.parts.iter().map(Part::last_bucket).sum();
            if self.last_bucket > 0 {
                return Some(end);
            }
        }
    }

    fn run_until(&mut self, network: &Arc<Network>, end: u64) {
        self.total.take();
        if self.parts.len() > 1 && self.last_bucket >= WORTH_SHARING {
            self.shared_buckets += 1;
            self.crew.work(&mut self.parts, &Bucket { network: Arc::clone(network), end });
        } else {
            for part in &mut self.parts {
                part.run_bucket(network, end);
            }
        }
    }

    /// What services told within the bucket: by time, then node.
    pub(crate) fn take_told(&mut self) -> Vec<Told<P>> {
        if self.parts.iter().all(|part| part.common.told.is_empty()) {
            return Vec::new();
        }
        let all = self.all_mut().iter_mut().map(|part| std::mem::take(&mut part.common.told));
        let mut told: Vec<_> = all.flatten().collect();
        // What one node told is in order already: all of it comes from one part.
        told.sort_by_key(|told| (told.at, told.from));
        told
    }

    /// Brings the events that parts have for each other to where they wait.
    pub(crate) fn exchange(&mut self) {
        for at in 1..self.parts.len() {
            let (before, rest) = self.parts.split_at_mut(at);
            for other in before {
                rest[0].common.queue.exchange(&mut other.common.queue);
            }
        }
    }
}
