//! What passed through, for as long as word of it may come.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use murmurate_membership::{Peer, Time};

/// Whose, and which of its.
pub(crate) type Name<P> = (P, u64);

/// Notes about things with a name, each for a while.
#[derive(Debug, Clone)]
pub(crate) struct Memory<P, T> {
    notes: BTreeMap<Name<P>, T>,
    /// When they came, oldest first.
    order: VecDeque<(Time, Name<P>)>,
}

impl<P: Peer, T> Memory<P, T> {
    pub(crate) fn new() -> Self {
        Self { notes: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn contains(&self, name: Name<P>) -> bool {
        self.notes.contains_key(&name)
    }

    pub(crate) fn get_mut(&mut self, name: Name<P>) -> Option<&mut T> {
        self.notes.get_mut(&name)
    }

    /// Remembers a new name.
    pub(crate) fn insert(&mut self, now: Time, name: Name<P>, note: T) {
        if self.notes.insert(name, note).is_none() {
            self.order.push_back((now, name));
        }
    }

    /// Makes room for one more.
    pub(crate) fn trim(&mut self, capacity: usize) {
        while self.order.len() >= capacity
            && let Some((_, name)) = self.order.pop_front()
        {
            self.notes.remove(&name);
        }
    }

    /// Forgets what came `wait` ago or longer.
    pub(crate) fn forget(&mut self, now: Time, wait: Duration) {
        while let Some(&(came, name)) = self.order.front()
            && now.since(came) >= wait
        {
            self.order.pop_front();
            self.notes.remove(&name);
        }
        if self.order.is_empty() {
            // Most peers pass nothing on most of the time: keep no room for it.
            self.order = VecDeque::new();
        }
    }

    /// Whether it is what it should be, and within `capacity`.
    pub(crate) fn is_within(&self, capacity: usize) -> bool {
        self.order.len() == self.notes.len() && self.order.len() <= capacity
    }
}
