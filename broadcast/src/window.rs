//! The broadcasts a peer has seen, and the payloads of the latest of them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use thin_vec::ThinVec;

use core::hash::BuildHasher;

use crate::{Id, Payload};

/// From here on ids are found through an index. Below, scanning one to four cache lines is as fast,
/// and the index would cost a simulated peer more than all its other state.
const INDEXED_FROM: usize = 128;

/// Remembers the last `seen` ids and, of the last `payloads` of them, the payload too.
///
/// First in, first out: an id is forgotten when `seen` others have come after it, no earlier.
#[derive(Debug, Clone)]
pub(crate) struct Window<I, D> {
    /// A ring once it is full.
    ids: ThinVec<I>,
    /// Where the oldest id stands once the ring is full, else 0.
    oldest: u32,
    index: Option<Box<HashTable<u32>>>,
    /// The payloads of the last `payloads.len()` ids, oldest first.
    payloads: VecDeque<D>,
    payload_bytes: u32,
}

/// The bounds of a [`Window`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) seen: usize,
    pub(crate) payloads: usize,
    pub(crate) payload_bytes: usize,
}

impl<I: Id, D: Payload> Window<I, D> {
    pub(crate) fn new() -> Self {
        Self {
            ids: ThinVec::new(),
            oldest: 0,
            index: None,
            payloads: VecDeque::new(),
            payload_bytes: 0,
        }
    }

    pub(crate) fn contains(&self, id: I) -> bool {
        match &self.index {
            Some(index) => index.find(hash(id), |slot| self.ids[*slot as usize] == id).is_some(),
            None => self.ids.contains(&id),
        }
    }

    /// The payload of `id`, unless it is forgotten.
    pub(crate) fn payload(&self, id: I) -> Option<&D> {
        let age = self.age(id)?;
        let at = self.payloads.len().checked_sub(age + 1)?;
        self.payloads.get(at)
    }

    /// Adds `id`, which is not contained, and says whether a payload was forgotten for it.
    pub(crate) fn insert(&mut self, id: I, payload: D, bounds: Bounds) -> bool {
        let slot = if self.ids.len() < bounds.seen {
            self.ids.push(id);
            if self.ids.len() == INDEXED_FROM {
                let all = (0..INDEXED_FROM as u32).collect::<ThinVec<u32>>();
                let mut index = HashTable::with_capacity(2 * INDEXED_FROM);
                for slot in all {
                    let hash = |slot: &u32| hash(self.ids[*slot as usize]);
                    index.insert_unique(hash(&slot), slot, hash);
                }
                self.index = Some(Box::new(index));
                None
            } else {
                Some(self.ids.len() - 1)
            }
        } else {
            let slot = self.oldest as usize;
            self.unindex(slot);
            self.ids[slot] = id;
            self.oldest = if slot + 1 == self.ids.len() { 0 } else { self.oldest + 1 };
            Some(slot)
        };
        if let (Some(index), Some(slot)) = (&mut self.index, slot) {
            let slot = slot as u32;
            index.insert_unique(hash(id), slot, |slot| hash(self.ids[*slot as usize]));
        }
        self.keep(payload, bounds)
    }

    fn keep(&mut self, payload: D, bounds: Bounds) -> bool {
        self.payload_bytes = self.payload_bytes.saturating_add(size(&payload));
        self.payloads.push_back(payload);
        // The payload just added always stays: it is at most a frame, and neighbours ask for it.
        let mut forgot = false;
        while self.payloads.len() > 1
            && (self.payloads.len() > bounds.payloads
                || self.payload_bytes as usize > bounds.payload_bytes)
        {
            if let Some(oldest) = self.payloads.pop_front() {
                self.payload_bytes = self.payload_bytes.saturating_sub(size(&oldest));
                forgot = true;
            }
        }
        forgot
    }

    fn unindex(&mut self, slot: usize) {
        if let Some(index) = &mut self.index
            && let Ok(entry) =
                index.find_entry(hash(self.ids[slot]), |candidate| *candidate as usize == slot)
        {
            entry.remove();
        }
    }

    /// How many ids came after `id`.
    fn age(&self, id: I) -> Option<usize> {
        let len = self.ids.len();
        if len == 0 {
            return None;
        }
        let next = self.oldest as usize;
        if let Some(index) = &self.index {
            let slot = *index.find(hash(id), |slot| self.ids[*slot as usize] == id)? as usize;
            return Some((next + len - 1 - slot) % len);
        }
        // Newest first: most look-ups are copies of the latest broadcast.
        let (newer, older) = self.ids.split_at(next);
        let found = newer.iter().rev().position(|held| *held == id);
        found.or_else(|| older.iter().rev().position(|held| *held == id).map(|at| at + next))
    }

    /// Whether the bounds hold.
    pub(crate) fn is_within(&self, bounds: Bounds) -> bool {
        self.ids.len() <= bounds.seen
            && self.payloads.len() <= bounds.payloads
            && (self.payload_bytes as usize <= bounds.payload_bytes || self.payloads.len() == 1)
            && self.index.as_ref().is_none_or(|index| index.len() == self.ids.len())
    }
}

/// A payload's size; none is larger than 4 GiB.
fn size<D: Payload>(payload: &D) -> u32 {
    payload.size().try_into().unwrap_or(u32::MAX)
}

/// The same in every peer.
pub(crate) fn hash<I: Id>(id: I) -> u64 {
    FixedState::with_seed(0).hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Payload for u32 {
        fn size(&self) -> usize {
            *self as usize % 10
        }
    }

    /// Against the obvious model, below and above the size from which an index is used.
    #[test]
    fn remembers_exactly_the_last_ids_and_payloads() {
        for (seen, payloads) in [(1, 1), (7, 3), (64, 64), (127, 5), (128, 9), (300, 100)] {
            let bounds = Bounds { seen, payloads, payload_bytes: usize::MAX };
            let mut window = Window::new();
            for id in 0u32..1_000 {
                assert!(!window.contains(id), "{id} did not come yet");
                window.insert(id, id, bounds);
                for age in 0..1_000 {
                    let Some(old) = id.checked_sub(age) else { break };
                    let age = age as usize;
                    assert_eq!(window.contains(old), age < seen, "id {old} of {id}, seen {seen}");
                    assert_eq!(window.payload(old), (age < payloads).then_some(&old));
                }
                assert!(window.is_within(bounds));
            }
        }
    }

    #[test]
    fn payload_bytes_are_bounded_but_the_latest_stays() {
        let bounds = Bounds { seen: 100, payloads: 100, payload_bytes: 20 };
        let mut window = Window::new();
        for id in 0u32..100 {
            window.insert(id, id, bounds);
            assert!(window.is_within(bounds));
            assert_eq!(window.payload(id), Some(&id));
        }
        assert_eq!(window.payload(97), None, "7 + 8 + 9 bytes are more than 20");
        assert_eq!(window.payload(98), Some(&98));
    }
}
