//! The event queue: a hierarchical timing wheel of buckets, each sorted when it is drained.
//!
//! A bucket is as wide as the least link latency, rounded down to a power of two. So nothing a node
//! does can reach another node within the same bucket, and a bucket can be drained node by node.

/// Slots of a level, as a power of two.
const BITS: u32 = 10;
const SLOTS: usize = 1 << BITS;
const MASK: u64 = SLOTS as u64 - 1;
/// Five levels of ten bits above a bucket of 2¹⁴ ns or more: all of 64-bit time.
const LEVELS: usize = 5;
/// Narrowest bucket, as a power of two of nanoseconds (16 µs).
pub(crate) const MIN_SHIFT: u32 = 14;
/// Events are kept in chunks of this many, which go round between the slots.
const CHUNK: usize = 16;

/// The width of a bucket, as a power of two of nanoseconds.
pub(crate) fn shift(lookahead: u64) -> u32 {
    lookahead.max(1).ilog2().clamp(MIN_SHIFT, 31)
}

/// A queue of `T`s by time.
#[derive(Debug, Clone)]
pub(crate) struct Wheel<T> {
    /// Bucket `b` spans the times from `b << shift`.
    shift: u32,
    /// The bucket drained last, or a later one without events before it.
    current: u64,
    levels: Vec<Level<T>>,
    spare: Vec<Vec<T>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Level<T> {
    slots: Vec<Vec<Vec<T>>>,
    occupied: [u64; SLOTS / 64],
}

impl<T> Level<T> {
    fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), occupied: [0; SLOTS / 64] }
    }

    /// The first occupied slot from `from` on.
    fn next(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.occupied.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

impl<T> Wheel<T> {
    /// A wheel whose buckets are no wider than `lookahead` nanoseconds.
    pub(crate) fn new(lookahead: u64) -> Self {
        let shift = shift(lookahead);
        Self {
            shift,
            current: 0,
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
            spare: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn width(&self) -> u64 {
        1 << self.shift
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All of them, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.levels.iter().flat_map(|level| level.slots.iter().flatten().flatten())
    }

    /// No event comes before this time. It need not be the time of one: the bucket may turn out to
    /// be empty when it is drained.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, bucket)| bucket << self.shift)
    }

    /// Queues `event` for `time`, which lies behind the bucket drained last.
    pub(crate) fn push(&mut self, time: u64, event: T) {
        let bucket = time >> self.shift;
        debug_assert!(bucket >= self.current, "bucket {bucket} is before {}", self.current);
        self.len += 1;
        self.place(bucket, event);
    }

    fn place(&mut self, bucket: u64, event: T) {
        // The highest digit in which the bucket differs from the current one.
        let level = ((bucket ^ self.current) | 1).ilog2() / BITS;
        let slot = ((bucket >> (BITS * level)) & MASK) as usize;
        let level = &mut self.levels[level as usize];
        level.occupied[slot / 64] |= 1 << (slot % 64);
        let chunks = &mut level.slots[slot];
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(event),
            _ => {
                let mut chunk = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK));
                chunk.push(event);
                chunks.push(chunk);
            }
        }
    }

    fn take(&mut self, level: usize, slot: usize) -> Vec<Vec<T>> {
        let level = &mut self.levels[level];
        level.occupied[slot / 64] &= !(1 << (slot % 64));
        std::mem::take(&mut level.slots[slot])
    }

    /// Moves the next bucket's events that starts before `limit` into `into`, and returns the time
    /// at which the bucket starts. `time_of` tells an event's time.
    pub(crate) fn drain(
        &mut self,
        limit: u64,
        into: &mut Vec<T>,
        time_of: impl Fn(&T) -> u64,
    ) -> Option<u64> {
        loop {
            let (level, slot, bucket) = self.next_slot()?;
            if bucket << self.shift >= limit {
                return None;
            }
            self.current = bucket;
            let chunks = self.take(level, slot);
            if level == 0 {
                for mut chunk in chunks {
                    self.len -= chunk.len();
                    into.append(&mut chunk);
                    self.spare.push(chunk);
                }
                return Some(bucket << self.shift);
            }
            for mut chunk in chunks {
                for event in chunk.drain(..) {
                    self.place(time_of(&event) >> self.shift, event);
                }
                self.spare.push(chunk);
            }
        }
    }

    /// Takes out all events for which `is_wanted` holds, in no particular order. Looks at every one.
    pub(crate) fn extract(&mut self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut wanted = Vec::new();
        for level in &mut self.levels {
            for (slot, chunks) in level.slots.iter_mut().enumerate() {
                for chunk in chunks.iter_mut() {
                    wanted.extend(chunk.extract_if(.., |event| is_wanted(event)));
                }
                chunks.retain(|chunk| !chunk.is_empty());
                if chunks.is_empty() {
                    level.occupied[slot / 64] &= !(1 << (slot % 64));
                }
            }
        }
        self.len -= wanted.len();
        wanted
    }

    /// The first occupied slot: its level, its place there, and the bucket it starts at.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).find_map(|level| {
            let digits = BITS * level as u32;
            // Above the lowest level the present slot is empty: what it held was moved down.
            let from = ((self.current >> digits) & MASK) as usize + usize::from(level > 0);
            let slot = self.levels[level].next(from)?;
            let above = self.current >> (digits + BITS) << (digits + BITS);
            Some((level, slot, above | (slot as u64) << digits))
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::SplitMix64;

    use super::*;

    /// Against a sorted list, with delays from a nanosecond to a century.
    #[test]
    fn events_come_bucket_by_bucket_and_none_is_lost() {
        for seed in 0..20 {
            let mut rng = SplitMix64::seed_from_u64(seed);
            let mut wheel = Wheel::new(1_000_000);
            let mut expected = Vec::new();
            let mut drained = Vec::new();
            let mut now = 0u64;
            for _ in 0..300 {
                for _ in 0..rng.random_range(0..20) {
                    let delay = 1u64 << rng.random_range(20..62u32);
                    let time = now + wheel.width() + rng.random_range(0..delay);
                    wheel.push(time, time);
                    expected.push(time);
                }
                let reach = rng.random_range(20..50u32);
                let limit = now + rng.random_range(0..1u64 << reach);
                let mut bucket = Vec::new();
                while let Some(start) = wheel.drain(limit, &mut bucket, |time| *time) {
                    assert!(start < limit);
                    assert!(bucket.iter().all(|t| (start..start + wheel.width()).contains(t)));
                    now = now.max(start);
                    bucket.sort_unstable();
                    drained.append(&mut bucket);
                }
                now = now.max(limit);
                // Some are put off.
                let odd = wheel.extract(|time| time % 16 == 1);
                expected.retain(|time| time % 16 != 1 || drained.contains(time));
                for time in odd.into_iter().map(|time| time / 16 * 16 + 16) {
                    wheel.push(time, time);
                    expected.push(time);
                }
            }
            while wheel.drain(u64::MAX, &mut drained, |time| *time).is_some() {}
            assert_eq!(wheel.len(), 0);
            expected.sort_unstable();
            drained.sort_unstable();
            assert_eq!(drained, expected, "seed {seed}");
        }
    }
}
