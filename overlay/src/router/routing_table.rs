//! Which neighbour is the next hop to whom.

use alloc::collections::BTreeMap;
use core::time::Duration;

use murmurate_membership::{Peer, Time};

/// The next hops to peers that are not neighbours.
#[derive(Debug, Clone)]
pub(crate) struct RoutingTable<P>(BTreeMap<P, Route<P>>);

#[derive(Debug, Clone, Copy)]
struct Route<P> {
    next: P,
    used: Time,
}

impl<P: Peer> RoutingTable<P> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next hop towards `to`.
    pub(crate) fn next(&self, to: P) -> Option<P> {
        self.0.get(&to).map(|way| way.next)
    }

    /// The way to `to` starts with `next`. Past `capacity`, the one unused for longest makes room.
    pub(crate) fn learn(&mut self, now: Time, to: P, next: P, capacity: usize) {
        if self.0.len() >= capacity && !self.0.contains_key(&to) {
            let oldest = self.0.iter().min_by_key(|(_, way)| way.used).map(|(to, _)| *to);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(to, Route { next, used: now });
    }

    /// The way to `to` was used, if it starts with `next`.
    pub(crate) fn used(&mut self, now: Time, to: P, next: P) {
        if let Some(way) = self.0.get_mut(&to).filter(|way| way.next == next) {
            way.used = now;
        }
    }

    /// The way to `to` leads nowhere, if it starts with `next`.
    pub(crate) fn unlearn(&mut self, to: P, next: P) {
        if self.next(to) == Some(next) {
            self.0.remove(&to);
        }
    }

    /// A neighbour is gone, and all ways that start with it.
    pub(crate) fn lose(&mut self, neighbor: P) {
        self.0.retain(|_, way| way.next != neighbor);
    }

    /// Forgets what was not used for `wait` or longer.
    pub(crate) fn forget(&mut self, now: Time, wait: Duration) {
        self.0.retain(|_, way| now.since(way.used) < wait);
    }

    /// Whether every way satisfies `holds`, given whom it leads to and the next hop.
    pub(crate) fn all(&self, holds: impl Fn(P, P) -> bool) -> bool {
        self.0.iter().all(|(to, way)| holds(*to, way.next))
    }
}
