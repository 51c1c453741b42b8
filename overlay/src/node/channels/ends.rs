//! The receiving ends that a node has, and how long it remembers those without a path.
//!
//! Who connects says itself who it is. Of a greeting that came hop by hop nobody knows who made it: ends
//! of such have room of their own, and each neighbour that brings them a share of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::declare::Carries;
use super::hub::Hub;
use super::inbound::{InboundLane, Key};
use super::wire::Hello;
use crate::NodeId;
use crate::channel::Path;

/// Ends of nodes that connected.
const DIRECT: usize = 16_384;
/// Ends whose greeting came hop by hop, and those that came by one neighbour.
pub(super) const RELAYED: usize = 1_024;
pub(super) const RELAYED_BY_ONE: usize = 256;

/// All receiving ends of a node.
#[derive(Debug, Default)]
pub(crate) struct InboundLanes(Mutex<Ends>);

#[derive(Debug, Default)]
struct Ends {
    direct: BTreeMap<Key, Arc<InboundLane>>,
    /// Each with the neighbour that brought its greeting.
    relayed: BTreeMap<Key, (NodeId, Arc<InboundLane>)>,
}

impl InboundLanes {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane that a path belongs to, and whose turn it is. The path is a stream, or was laid `by` a
    /// neighbour. `None`: there is no room for another lane, or it is one of before.
    pub(super) fn attach(
        &self,
        hub: &Hub,
        key: Key,
        hello: &Hello<'_>,
        by: Option<NodeId>,
    ) -> Option<(Arc<InboundLane>, u64)> {
        let declared = &hub.declared[key.channel];
        let Carries::Messages(kind) = &declared.carries else { return None };
        let make = || {
            let receiving = kind.receiving(hello.base, declared.limits());
            let (half, max) = (hub.new_half(), declared.max_message);
            Arc::new(InboundLane::new(half, max, hello.epoch, receiving))
        };
        let mut ends = self.ends();
        let lane = match by {
            None => ends.direct(key, hello.epoch, make)?,
            Some(by) => ends.relayed(key, hello.epoch, by, make)?,
        };
        drop(ends);
        let path = if by.is_some() { Path::Relay } else { Path::Stream };
        let turn = lane.attach(hub.now(), path);
        Some((lane, turn))
    }

    /// A path of a lane ended. The lane is forgotten, unless it must not be.
    pub(super) fn release(&self, key: Key, lane: &Arc<InboundLane>, turn: u64) {
        lane.detach(turn);
        let mut ends = self.ends();
        if !lane.is_forgettable() {
            return;
        }
        let is_this = |known: &Arc<InboundLane>| Arc::ptr_eq(known, lane);
        if ends.direct.get(&key).is_some_and(is_this) {
            ends.direct.remove(&key);
        } else if ends.relayed.get(&key).is_some_and(|(_, known)| is_this(known)) {
            ends.relayed.remove(&key);
        }
    }

    /// Forgets what nobody came back to.
    pub(crate) fn tidy(&self) {
        self.ends().tidy();
    }
}

impl Ends {
    fn tidy(&mut self) {
        self.direct.retain(|_, lane| !lane.is_forgettable());
        self.relayed.retain(|_, (_, lane)| !lane.is_forgettable());
    }

    /// The lane of a stream.
    fn direct(
        &mut self,
        key: Key,
        epoch: u64,
        make: impl FnOnce() -> Arc<InboundLane>,
    ) -> Option<Arc<InboundLane>> {
        if let Some(known) = self.direct.get(&key).filter(|lane| lane.epoch() == epoch) {
            return Some(Arc::clone(known));
        }
        if self.direct.len() >= DIRECT && !self.direct.contains_key(&key) {
            self.tidy();
            if self.direct.len() >= DIRECT {
                return None;
            }
        }
        let lane = match self.relayed.get(&key) {
            // It was reached hop by hop so far: now it is known whose it is.
            Some((_, known)) if known.epoch() == epoch => Arc::clone(known),
            _ => make(),
        };
        if let Some((_, known)) = self.relayed.remove(&key)
            && !Arc::ptr_eq(&known, &lane)
        {
            known.end_relay();
        }
        if let Some(before) = self.direct.insert(key, Arc::clone(&lane)) {
            before.end_relay();
        }
        Some(lane)
    }

    /// The lane of a way that this neighbour brought. It takes the place of an earlier one that came
    /// like that, and none of those of nodes that connected.
    fn relayed(
        &mut self,
        key: Key,
        epoch: u64,
        by: NodeId,
        make: impl FnOnce() -> Arc<InboundLane>,
    ) -> Option<Arc<InboundLane>> {
        let known = self.direct.get(&key).into_iter();
        let known = known.chain(self.relayed.get(&key).map(|(_, lane)| lane));
        for lane in known {
            match lane.epoch() {
                of if of == epoch => return Some(Arc::clone(lane)),
                // A greeting that was under way for long.
                of if of > epoch => return None,
                _ => {}
            }
        }
        if !self.has_room(key, by) && !self.make_room(by) {
            return None;
        }
        let lane = make();
        if let Some((_, before)) = self.relayed.insert(key, (by, Arc::clone(&lane))) {
            before.end_relay();
        }
        Some(lane)
    }

    fn has_room(&self, key: Key, by: NodeId) -> bool {
        let others = self.relayed.iter().filter(|(other, _)| **other != key);
        let (all, by_this) = others.fold((0, 0), |(all, by_this), (_, (brought, _))| {
            (all + 1, by_this + usize::from(*brought == by))
        });
        all < RELAYED && by_this < RELAYED_BY_ONE
    }

    /// Forgets the end without a path for longest that this neighbour brought. What its sender said last may
    /// have no known outcome then, and is not delivered twice: it does not meet that very half again.
    fn make_room(&mut self, by: NodeId) -> bool {
        let of_this = self.relayed.iter().filter(|(_, (brought, _))| *brought == by);
        let idle = of_this.filter_map(|(key, (_, lane))| Some((lane.detached()?, *key)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.is_some_and(|(_, key)| self.relayed.remove(&key).is_some())
    }
}
