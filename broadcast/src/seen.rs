//! Which broadcasts a peer has seen: for each origin, how far it got.
//!
//! Ids are consecutive numbers of their origin, so what was seen is a number and a few gaps. Nothing
//! is forgotten because of what others publish, and nothing while it may still be under way: so no
//! broadcast is new twice, and none circulates.

use alloc::boxed::Box;
use core::hash::BuildHasher;
use core::ops::Range;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use murmurate_membership::Time;
use thin_vec::ThinVec;

use crate::progress::Progress;
use crate::{Id, compact};

/// From here on origins are found through an index. Below, scanning is as fast and costs nothing.
const INDEXED_FROM: usize = 32;

/// What a peer has seen of each origin.
#[derive(Debug, Clone)]
pub struct Seen<I: Id> {
    origins: ThinVec<Origin<I::Origin>>,
    index: Option<Box<HashTable<u32>>>,
}

#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Origin<O> {
    origin: O,
    /// When it was last heard of, in seconds of a kind.
    touched: u32,
    progress: Progress,
}

/// The bounds of a [`Seen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBounds {
    /// How far apart the sequence numbers of one origin's broadcasts may be while they are under way
    /// together. A broadcast that is farther behind the latest is given up.
    pub span: usize,
    /// How many origins are remembered. While all are in use, broadcasts of others are refused.
    pub origins: usize,
    /// How long an origin must be silent to be forgotten when there are too many: longer than
    /// anything is under way. A hop limit of 128 and payloads kept for a minute each make two hours.
    pub idle: Duration,
}

impl SeenBounds {
    /// What [`SeenBounds::default`] gives.
    pub const DEFAULT: Self =
        Self { span: 16_384, origins: 65_536, idle: Duration::from_secs(128 * 60) };

    /// The bounds for a peer's own broadcasts: one more origin, so that there is always room for them.
    #[must_use]
    pub fn for_own(self) -> Self {
        Self { origins: self.origins.saturating_add(1), ..self }
    }
}

impl Default for SeenBounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The result of [`Seen::insert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is new. Some broadcasts of its origin may be given up, because they are too far behind it.
    New {
        /// How many are given up.
        given_up: u64,
    },
    /// It was seen before, or given up.
    Decided,
    /// Too many origins publish, so this one cannot be remembered. It must not be passed on.
    Full,
}

impl<I: Id> Default for Seen<I> {
    fn default() -> Self {
        Self { origins: ThinVec::new(), index: None }
    }
}

impl<I: Id> Seen<I> {
    /// Whether a broadcast was seen or given up.
    #[must_use]
    pub fn contains(&self, id: I) -> bool {
        self.find(id.origin()).is_some_and(|at| self.origins[at].progress.is_decided(id.sequence()))
    }

    /// Notes a broadcast as seen.
    pub fn insert(&mut self, now: Time, id: I, bounds: SeenBounds) -> Sight {
        let (origin, sequence) = (id.origin(), id.sequence());
        let Some(at) = self.find_or_start(now, origin, sequence, bounds) else {
            return Sight::Full;
        };
        let held = &mut self.origins[at];
        held.touched = seconds(now);
        if held.progress.is_decided(sequence) {
            return Sight::Decided;
        }
        Sight::New { given_up: held.progress.decide(sequence, bounds.span as u64) }
    }

    /// One more than the highest sequence number of an origin that is decided. `None` if the origin is
    /// not known.
    #[must_use]
    pub fn next(&self, origin: I::Origin) -> Option<u64> {
        self.find(origin).map(|at| self.origins[at].progress.next())
    }

    /// The broadcasts of an origin that are missing below `end`, in order.
    #[must_use]
    pub fn gaps(&self, origin: I::Origin, end: u64) -> ThinVec<Range<u64>> {
        self.find(origin).map_or_else(ThinVec::new, |at| self.origins[at].progress.gaps(end))
    }

    /// Whether any broadcast of an origin is missing that came before one that was seen.
    #[must_use]
    pub fn has_gaps(&self, origin: I::Origin) -> bool {
        self.find(origin).is_some_and(|at| self.origins[at].progress.has_gaps())
    }

    /// Whether it is known from where on an origin's broadcasts are this peer's business. It is not
    /// when the first that came was not the first there is: those before may have got lost.
    #[must_use]
    pub fn is_sure(&self, origin: I::Origin) -> bool {
        self.find(origin).is_some_and(|at| self.origins[at].progress.is_sure())
    }

    /// From this sequence on an origin's broadcasts are this peer's business, unless they are
    /// decided; said by somebody who is sure or is not. Whether there is room to remember it.
    pub fn want_from(
        &mut self,
        now: Time,
        origin: I::Origin,
        (sequence, is_sure): (u64, bool),
        bounds: SeenBounds,
    ) -> bool {
        let at = self.find_or_start(now, origin, sequence, bounds);
        if let Some(at) = at {
            self.origins[at].progress.want_from(sequence, is_sure);
        }
        at.is_some()
    }

    /// Gives up the missing broadcasts of an origin below `sequence`. Returns how many they were.
    pub fn give_up_below(&mut self, origin: I::Origin, sequence: u64) -> u64 {
        self.find(origin).map_or(0, |at| self.origins[at].progress.give_up_below(sequence))
    }

    /// How many origins are remembered.
    #[must_use]
    pub fn origins(&self) -> usize {
        self.origins.len()
    }

    /// Whether the bounds hold.
    #[must_use]
    pub fn is_within(&self, bounds: SeenBounds) -> bool {
        let most = bounds.span / 64 + 3;
        self.origins.len() <= bounds.for_own().origins
            && self.origins.iter().all(|origin| origin.progress.words() <= most)
            && self.index.as_ref().is_none_or(|index| index.len() == self.origins.len())
    }

    fn find(&self, origin: I::Origin) -> Option<usize> {
        match &self.index {
            None => self.origins.iter().position(|held| held.origin == origin),
            Some(index) => {
                let is_it = |at: &u32| self.origins[*at as usize].origin == origin;
                index.find(hash(origin), is_it).map(|at| *at as usize)
            }
        }
    }

    fn find_or_start(
        &mut self,
        now: Time,
        origin: I::Origin,
        sequence: u64,
        bounds: SeenBounds,
    ) -> Option<usize> {
        if let Some(at) = self.find(origin) {
            return Some(at);
        }
        if self.origins.len() >= bounds.origins && !self.forget_idle(now, bounds.idle) {
            return None;
        }
        let progress = Progress::starting_at(sequence, bounds.span as u64);
        compact::push(&mut self.origins, Origin { origin, touched: seconds(now), progress });
        let at = self.origins.len() - 1;
        if let Some(index) = &mut self.index {
            index.insert_unique(hash(origin), at as u32, |at| {
                hash(self.origins[*at as usize].origin)
            });
        } else if self.origins.len() == INDEXED_FROM {
            self.index_all();
        }
        Some(at)
    }

    /// Forgets the origins that were silent for `idle`; whether there were any.
    fn forget_idle(&mut self, now: Time, idle: Duration) -> bool {
        let (now, before) = (seconds(now), self.origins.len());
        let idle = u64::from(seconds(Time::ZERO.after(idle))) + 1;
        self.origins.retain(|origin| u64::from(now.saturating_sub(origin.touched)) < idle);
        let any = self.origins.len() < before;
        if any && self.index.is_some() {
            self.index_all();
        }
        any
    }

    fn index_all(&mut self) {
        let of = |at: &u32| hash(self.origins[*at as usize].origin);
        let mut index = HashTable::with_capacity(2 * self.origins.len());
        for at in 0..self.origins.len() as u32 {
            index.insert_unique(of(&at), at, of);
        }
        self.index = Some(Box::new(index));
    }
}

#[cfg(feature = "serde")]
impl<I: Id<Origin: serde::Serialize>> serde::Serialize for Seen<I> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.origins.serialize(to)
    }
}

#[cfg(feature = "serde")]
impl<'de, I: Id<Origin: serde::Deserialize<'de>>> serde::Deserialize<'de> for Seen<I> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut seen = Self { origins: ThinVec::deserialize(from)?, index: None };
        if seen.origins.len() >= INDEXED_FROM {
            seen.index_all();
        }
        Ok(seen)
    }
}

/// Seconds of 2³⁰ nanoseconds since time began.
fn seconds(time: Time) -> u32 {
    u32::try_from(time.as_nanos() >> 30).unwrap_or(u32::MAX)
}

/// The same in every peer of a process.
fn hash<T: core::hash::Hash>(of: T) -> u64 {
    FixedState::with_seed(0).hash_one(of)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::MessageId;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Node(u32);
    impl murmurate_membership::Peer for Node {
        type Node = u32;
        fn node(self) -> u32 {
            self.0
        }
    }

    fn id(origin: u32, sequence: u64) -> MessageId<Node> {
        MessageId { origin: Node(origin), sequence }
    }

    const BOUNDS: SeenBounds =
        SeenBounds { span: 1_024, origins: 100, idle: Duration::from_secs(60) };

    proptest! {
        /// Whatever others publish, nothing is new twice.
        #[test]
        fn nothing_is_new_twice(ids in proptest::collection::vec((0..60u32, 0..900u64), 1..2_000)) {
            let (mut seen, mut known) = (Seen::default(), BTreeMap::<u32, BTreeSet<u64>>::new());
            for (origin, sequence) in ids {
                let sight = seen.insert(Time::ZERO, id(origin, sequence), BOUNDS);
                let new = matches!(sight, Sight::New { .. });
                prop_assert!(!new || known.entry(origin).or_default().insert(sequence));
                prop_assert!(seen.contains(id(origin, sequence)));
                prop_assert!(seen.is_within(BOUNDS));
            }
        }
    }

    #[test]
    fn a_full_memory_refuses_origins_rather_than_forget_what_is_under_way() {
        let mut seen = Seen::default();
        let at = |seconds: u64| Time::from_nanos(seconds << 30);
        for origin in 0..100 {
            let sight = seen.insert(at(u64::from(origin) / 2), id(origin, 0), BOUNDS);
            assert_eq!(sight, Sight::New { given_up: 0 });
        }
        assert_eq!(seen.insert(at(50), id(100, 0), BOUNDS), Sight::Full, "none is idle yet");
        // Those before the 68th have been silent for a minute now.
        assert!(matches!(seen.insert(at(90), id(100, 0), BOUNDS), Sight::New { .. }));
        assert!(!seen.contains(id(67, 0)));
        assert!(seen.contains(id(70, 0)));
        assert!(seen.contains(id(99, 0)));
        assert!(seen.is_within(BOUNDS));
        for origin in 101..200 {
            seen.insert(at(90), id(origin, 0), BOUNDS);
        }
        assert_eq!(seen.insert(at(90), id(200, 0), BOUNDS), Sight::Full);
        let own = id(300, 0);
        assert!(matches!(seen.insert(at(90), own, BOUNDS.for_own()), Sight::New { .. }));
        assert!(seen.contains(own) && seen.is_within(BOUNDS));
        assert_eq!(seen.insert(at(90), id(200, 0), BOUNDS), Sight::Full);
    }
}
