//! All shards of a simulation. They go through time bucket by bucket, each shard on its own thread if that
//! is worth it.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use crate::engine::host::Told;
use crate::engine::lines::Lines;
use crate::engine::queue::Sharding;
use crate::engine::shard::{Bucket, Shard};
use crate::engine::stats::Stats;
use crate::engine::strategy::SimStack;
use crate::engine::workers::WorkerPool;
use crate::model::network::Network;

/// After a bucket with fewer events, one thread runs the next one: it is done before another thread wakes
/// up.
const WORTH_SHARING: usize = 256;

/// The shards, at least one. Nodes are found by their indices.
#[derive(Clone)]
pub(crate) struct Shards<P: SimStack> {
    sharding: Sharding,
    shards: Vec<Shard<P>>,
    workers: WorkerPool<Shard<P>>,
    /// The sum of the shards' counters, once it was asked for.
    total: OnceLock<Stats>,
    /// The most events that waited before a bucket was run.
    peak: usize,
    /// Events in the bucket run last.
    last_bucket: usize,
    /// Buckets that more than one thread ran.
    shared_buckets: u64,
}

impl<P: SimStack> Shards<P> {
    /// A shard for each thread, with buckets no wider than `lookahead` nanoseconds.
    pub(crate) fn new(threads: NonZeroUsize, lookahead: u64) -> Self {
        let sharding = Sharding::new(threads);
        Self {
            sharding,
            shards: (0..threads.get())
                .map(|shard| Shard::new(sharding, shard, lookahead))
                .collect(),
            workers: WorkerPool::new(),
            total: OnceLock::new(),
            peak: 0,
            last_bucket: 0,
            shared_buckets: 0,
        }
    }

    /// Lines that many nodes share, dealt out as nodes are.
    pub(crate) fn lay_lines(&mut self, network: &Network) {
        let Some(all) = network.shared_lines() else { return };
        let sharding = self.sharding;
        for (at, shard) in self.all_mut().iter_mut().enumerate() {
            let lines = Lines::new(sharding, at, &all, network.leg(), network.keeps_order());
            shard.common.lines = Some(Box::new(lines));
        }
    }

    /// The shard of node `index`.
    pub(crate) fn of(&self, index: usize) -> &Shard<P> {
        &self.shards[self.sharding.shard(index)]
    }

    /// The shard of node `index`, to change.
    pub(crate) fn of_mut(&mut self, index: usize) -> &mut Shard<P> {
        let shard = self.sharding.shard(index);
        &mut self.all_mut()[shard]
    }

    pub(crate) fn all(&self) -> &[Shard<P>] {
        &self.shards
    }

    /// All shards, to change: what was added up holds no longer.
    pub(crate) fn all_mut(&mut self) -> &mut [Shard<P>] {
        self.total.take();
        &mut self.shards
    }

    /// What was counted in all shards.
    pub(crate) fn stats(&self) -> &Stats {
        match &self.shards[..] {
            [only] => &only.common.stats,
            shards => self.total.get_or_init(|| {
                let mut total = shards[0].common.stats.clone();
                shards[1..].iter().for_each(|shard| total.add(&shard.common.stats));
                total
            }),
        }
    }

    /// How many broadcasts were published.
    pub(crate) fn published(&self) -> usize {
        self.shards[0].common.stats.broadcasts.len()
    }

    /// Nanoseconds that a bucket spans.
    pub(crate) fn width(&self) -> u64 {
        self.shards[0].common.queue.width()
    }

    /// The most events that ever waited. Within a bucket they only become more, so looking between
    /// buckets is enough.
    pub(crate) fn peak_pending(&self) -> usize {
        self.peak.max(self.pending())
    }

    /// So many events waited once, before this simulation went on from there.
    pub(crate) fn restore_peak(&mut self, peak: usize) {
        self.peak = self.peak.max(peak);
    }

    fn pending(&self) -> usize {
        let lines = |shard: &Shard<P>| shard.common.lines.as_ref().map_or(0, |lines| lines.len());
        self.shards.iter().map(|shard| shard.common.queue.len() + lines(shard)).sum()
    }

    /// Buckets that more than one thread ran.
    pub(crate) fn shared_buckets(&self) -> u64 {
        self.shared_buckets
    }

    /// Runs the first bucket with events that starts before `until`, a border, and returns its end.
    pub(crate) fn run_bucket(&mut self, network: &Arc<Network>, until: u64) -> Option<u64> {
        loop {
            let nodes = self.shards.iter().filter_map(|shard| shard.common.queue.next());
            let lines = self.shards.iter().filter_map(|shard| shard.common.lines.as_ref()?.next());
            let border = !(self.width() - 1);
            let start = nodes.chain(lines.map(|time| time & border)).min()?;
            if start >= until {
                return None;
            }
            self.peak = self.peak_pending();
            let end = start + self.width();
            self.run_until(network, end);
            self.exchange();
            self.last_bucket = self.shards.iter().map(Shard::last_bucket).sum();
            if self.last_bucket > 0 {
                return Some(end);
            }
        }
    }

    fn run_until(&mut self, network: &Arc<Network>, end: u64) {
        self.total.take();
        if self.shards.len() > 1 && self.last_bucket >= WORTH_SHARING {
            self.shared_buckets += 1;
            self.workers.work(&mut self.shards, &Bucket { network: Arc::clone(network), end });
        } else {
            for shard in &mut self.shards {
                shard.run_bucket(network, end);
            }
        }
    }

    /// What services told within the bucket: by time, then node.
    pub(crate) fn take_told(&mut self) -> Vec<Told<P>> {
        if self.shards.iter().all(|shard| shard.common.told.is_empty()) {
            return Vec::new();
        }
        let all = self.all_mut().iter_mut().map(|shard| std::mem::take(&mut shard.common.told));
        let mut told: Vec<_> = all.flatten().collect();
        // What one node told is in order already: all of it comes from one shard.
        told.sort_by_key(|told| (told.at, told.from));
        told
    }

    /// Brings the events that shards have for each other to where they wait.
    pub(crate) fn exchange(&mut self) {
        for at in 1..self.shards.len() {
            let (before, rest) = self.shards.split_at_mut(at);
            for other in before {
                rest[0].common.queue.exchange(&mut other.common.queue);
                if let (Some(one), Some(two)) = (&mut rest[0].common.lines, &mut other.common.lines)
                {
                    one.exchange(two);
                }
            }
        }
    }
}
