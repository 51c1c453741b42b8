//! The receiving ends that a node has, and how long it remembers those without a path.
//!
//! Who connects says itself who it is. Of a greeting that came hop by hop nobody knows who made it: ends
//! of such have room of their own, and each neighbour that brings them a share of it. Such a greeting
//! takes over no lane of a node that connected, unless it knows what only that node was told: the name
//! of the receiving half.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::declare::Carries;
use super::inbound::{InboundLane, Key};
use super::shared::Shared;
use super::wire::Hello;
use crate::NodeId;
use crate::channel::Path;
use crate::channel::session::{Fit, Greeting, Welcome};
use crate::node::budget::{Kept, Share};
use murmurate_membership::Time;

/// Ends of nodes that connected, and those of one node.
const DIRECT: Room = Room { all: 16_384, each: 4_096 };
/// Ends whose greeting came hop by hop, and those that came by one neighbour.
pub(super) const RELAYED: Room = Room { all: 1_024, each: 256 };

/// Bytes that an end without anything to deliver takes, about.
const LANE: usize = 4 << 10;

/// How many ends there may be.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) all: usize,
    /// Of those that one node answers for.
    pub(super) each: usize,
}

/// All receiving ends of a node.
#[derive(Debug)]
pub(crate) struct InboundLanes {
    shared: Arc<Shared>,
    ends: Mutex<Ends>,
}

#[derive(Debug)]
struct Ends {
    /// Each node answers for its own.
    direct: Table,
    /// The neighbour that brought its greeting answers for an end.
    relayed: Table,
}

impl Default for Ends {
    fn default() -> Self {
        Self { direct: Table::new(&DIRECT), relayed: Table::new(&RELAYED) }
    }
}

impl InboundLanes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ends: Mutex::default() }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane that a path belongs to, whose turn it is, and what to answer. The path is a stream, or was
    /// laid `by` a neighbour.
    ///
    /// # Errors
    /// Why not. Nothing changed.
    pub(super) fn attach(
        &self,
        key: Key,
        hello: &Hello<'_>,
        by: Option<NodeId>,
    ) -> Result<(Arc<InboundLane>, u64, Welcome), Unattached> {
        let (declared, greeting) = (&self.shared.declared[key.channel], hello.greeting);
        let Carries::Messages(kind) = &declared.carries else { return Err(Unattached::NoRoom) };
        let make = || {
            let mut share = Share::of(&self.shared.budget, Kept::Lane);
            if !share.grow(LANE) {
                return Err(Unattached::NoRoom);
            }
            let receiving = kind.receiving(greeting.base, declared.limits());
            let max = declared.options.max_message;
            let (shared, half) = (Arc::clone(&self.shared), self.shared.new_half());
            let (epoch, shared) = (greeting.epoch, (shared, share));
            Ok(Arc::new(InboundLane::new(shared, half, max, epoch, receiving)))
        };
        let now = self.shared.now();
        let mut ends = self.ends();
        let (lane, path) = match by {
            None => (ends.direct(now, key, greeting, make)?, Path::Stream),
            Some(by) => (ends.relayed(now, key, greeting, by, make)?, Path::Relay),
        };
        // Before anybody else greets it.
        let (turn, welcome) = lane.greet(now, greeting, path);
        drop(ends);
        Ok((lane, turn, welcome))
    }

    /// A path of a lane ended. The lane is forgotten, unless it must not be.
    pub(super) fn release(&self, key: Key, lane: &Arc<InboundLane>, turn: u64) {
        let now = self.shared.now();
        lane.detach(now, turn);
        let mut ends = self.ends();
        if !lane.is_forgettable(now) {
            return;
        }
        let Ends { direct, relayed } = &mut *ends;
        for table in [direct, relayed] {
            if table.get(key).is_some_and(|known| Arc::ptr_eq(known, lane)) {
                table.remove(key);
            }
        }
    }

    /// Forgets what nobody came back to.
    pub(crate) fn tidy(&self) {
        let now = self.shared.now();
        let mut ends = self.ends();
        ends.direct.tidy(now);
        ends.relayed.tidy(now);
    }
}

/// Why a path finds no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unattached {
    /// There is no room for another one.
    NoRoom,
    /// It is one of before.
    Old,
    /// The lane's own streams brought frames, and the greeting does not know what only they were told.
    Unproven,
}

impl Ends {
    /// The lane of a stream.
    fn direct(
        &mut self,
        now: Time,
        key: Key,
        greeting: Greeting,
        make: impl FnOnce() -> Result<Arc<InboundLane>, Unattached>,
    ) -> Result<Arc<InboundLane>, Unattached> {
        match self.direct.get(key).map(|lane| (lane, lane.fit(greeting, Path::Stream))) {
            Some((known, Fit::Resumes)) => return Ok(Arc::clone(known)),
            Some((_, Fit::Old)) => return Err(Unattached::Old),
            _ => {}
        }
        let lane = match self.relayed.get(key) {
            // It was reached hop by hop so far: now it is known whose it is.
            Some(known) if known.fit(greeting, Path::Stream) == Fit::Resumes => Arc::clone(known),
            _ => make()?,
        };
        if !self.direct.make_room(now, key, key.from.node) {
            return Err(Unattached::NoRoom);
        }
        let relayed = self.relayed.remove(key).filter(|before| !Arc::ptr_eq(before, &lane));
        let direct = self.direct.insert(key, key.from.node, Arc::clone(&lane));
        relayed.into_iter().chain(direct).for_each(|before| before.end_relay(now));
        Ok(lane)
    }

    /// The lane of a way that this neighbour brought. It takes the place of an earlier one that came
    /// like that, and none of those of nodes that connected.
    fn relayed(
        &mut self,
        now: Time,
        key: Key,
        greeting: Greeting,
        by: NodeId,
        make: impl FnOnce() -> Result<Arc<InboundLane>, Unattached>,
    ) -> Result<Arc<InboundLane>, Unattached> {
        for lane in self.direct.get(key).into_iter().chain(self.relayed.get(key)) {
            match lane.fit(greeting, Path::Relay) {
                Fit::Resumes => return Ok(Arc::clone(lane)),
                Fit::Unproven => return Err(Unattached::Unproven),
                // A greeting that was under way for long.
                Fit::Old => return Err(Unattached::Old),
                Fit::Newer => {}
            }
        }
        let lane = make()?;
        if !self.relayed.make_room(now, key, by) {
            return Err(Unattached::NoRoom);
        }
        let before = self.relayed.insert(key, by, Arc::clone(&lane));
        before.inspect(|before| before.end_relay(now));
        Ok(lane)
    }
}

/// Ends, each with the node that answers for it. Whoever has many of them makes room for whoever has
/// few.
#[derive(Debug)]
struct Table {
    room: &'static Room,
    ends: BTreeMap<Key, (NodeId, Arc<InboundLane>)>,
    /// How many each node answers for.
    counts: BTreeMap<NodeId, usize>,
}

impl Table {
    fn new(room: &'static Room) -> Self {
        Self { room, ends: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn get(&self, key: Key) -> Option<&Arc<InboundLane>> {
        self.ends.get(&key).map(|(_, lane)| lane)
    }

    fn count(&self, of: NodeId) -> usize {
        self.counts.get(&of).copied().unwrap_or(0)
    }

    /// Puts a lane in a place; the one that had it.
    fn insert(&mut self, key: Key, of: NodeId, lane: Arc<InboundLane>) -> Option<Arc<InboundLane>> {
        let before = self.remove(key);
        *self.counts.entry(of).or_default() += 1;
        self.ends.insert(key, (of, lane));
        before
    }

    fn remove(&mut self, key: Key) -> Option<Arc<InboundLane>> {
        let (of, lane) = self.ends.remove(&key)?;
        if let Entry::Occupied(mut count) = self.counts.entry(of) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(lane)
    }

    fn tidy(&mut self, now: Time) {
        let done = self.ends.iter().filter(|(_, (_, lane))| lane.is_forgettable(now));
        let done: Vec<_> = done.map(|(key, _)| *key).collect();
        for key in done {
            self.remove(key);
        }
    }

    /// Makes room for an end in this place that `of` answers for. Whether there is some.
    fn make_room(&mut self, now: Time, key: Key, of: NodeId) -> bool {
        let replaced = self.ends.get(&key).map(|(of, _)| *of);
        if replaced != Some(of) && self.count(of) >= self.room.each {
            return self.evict(now, of, Served::Not);
        }
        if replaced.is_some() || self.ends.len() < self.room.all {
            return true;
        }
        self.tidy(now);
        if self.ends.len() < self.room.all {
            return true;
        }
        let mine = self.count(of) + 1;
        let more = self.counts.iter().filter(|(_, count)| **count > mine);
        let mut more: Vec<_> = more.map(|(of, count)| (*count, *of)).collect();
        more.sort_unstable_by(|one, other| other.cmp(one));
        more.iter().any(|(_, of)| self.evict(now, *of, Served::HopByHop))
            || self.evict(now, of, Served::Not)
            || more.iter().any(|(_, of)| self.evict(now, *of, Served::ByStream))
    }

    /// Forgets the end without a path for longest that a node answers for, or else one that is served
    /// no better than this. What its sender said last may have no known outcome then, and is not
    /// delivered twice: it does not meet that very half again.
    fn evict(&mut self, now: Time, of: NodeId, at_most: Served) -> bool {
        let own = || self.ends.iter().filter(|(_, (by, _))| *by == of);
        let idle = own().filter_map(|(key, (_, lane))| Some((lane.detached()?, *key)));
        let longest = idle.min_by_key(|(since, _)| *since).map(|(_, key)| key);
        let served = || own().find(|(_, (_, lane))| Served::of(lane) <= at_most);
        let key = longest.or_else(|| served().map(|(key, _)| *key));
        let gone = key.and_then(|key| self.remove(key));
        gone.inspect(|gone| gone.end(now)).is_some()
    }
}

/// How an end is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Served {
    Not,
    HopByHop,
    ByStream,
}

impl Served {
    fn of(lane: &InboundLane) -> Self {
        match lane.detached() {
            Some(_) => Self::Not,
            None if lane.is_relayed() => Self::HopByHop,
            None => Self::ByStream,
        }
    }
}
