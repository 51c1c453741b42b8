//! This peer's own lookups.

use alloc::vec::Vec;

use murmurate_membership::{Peer, Time};

use super::config::{Config, RINGS};

/// A lookup under way.
#[derive(Debug, Clone)]
pub(crate) struct Pending<P: Peer> {
    pub(crate) target: P::Node,
    pub(crate) path: bool,
    /// The number of its first ring; the others follow.
    first: u64,
    ring: usize,
    /// When it is widened or given up.
    due: Time,
}

/// A ring to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring<N> {
    pub(crate) target: N,
    pub(crate) path: bool,
    pub(crate) number: u64,
    pub(crate) hops: u8,
}

impl<P: Peer> Pending<P> {
    fn ring(&self, config: &Config) -> Ring<P::Node> {
        Ring {
            target: self.target,
            path: self.path,
            number: self.first.wrapping_add(self.ring as u64),
            hops: config.rings()[self.ring],
        }
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Lookups<P: Peer> {
    pending: Vec<Pending<P>>,
    next: u64,
}

/// What is due.
pub(crate) struct Due<N> {
    pub(crate) wider: Vec<Ring<N>>,
    pub(crate) in_vain: Vec<N>,
}

impl<P: Peer> Lookups<P> {
    pub(crate) fn new() -> Self {
        Self { pending: Vec::new(), next: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether this lookup is under way, and answers what is asked for now.
    pub(crate) fn covers(&self, target: P::Node, path: bool) -> bool {
        self.pending.iter().any(|lookup| lookup.target == target && (lookup.path || !path))
    }

    /// Starts a lookup: its first ring. One for the same target that covered less gives way to it.
    /// `None` if there are too many.
    pub(crate) fn start(
        &mut self,
        now: Time,
        target: P::Node,
        path: bool,
        config: &Config,
    ) -> Option<Ring<P::Node>> {
        self.end(target);
        if self.pending.len() >= config.lookups_capacity {
            return None;
        }
        let first = self.next;
        self.next = self.next.wrapping_add(RINGS as u64);
        let due = now.after(config.round_trip(config.rings()[0]));
        let lookup = Pending { target, path, first, ring: 0, due };
        let ring = lookup.ring(config);
        self.pending.push(lookup);
        Some(ring)
    }

    /// The lookup that this is the answer to, which is over. A late answer to an earlier ring is as
    /// good as any.
    pub(crate) fn answered(&mut self, number: u64, peer: P) -> Option<Pending<P>> {
        let at = self.pending.iter().position(|lookup| {
            lookup.target == peer.node() && number.wrapping_sub(lookup.first) <= lookup.ring as u64
        })?;
        let lookup = self.pending.remove(at);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        Some(lookup)
    }

    /// The lookup of this node is over.
    pub(crate) fn end(&mut self, target: P::Node) {
        self.pending.retain(|lookup| lookup.target != target);
    }

    /// Takes out the lookups of these peers.
    pub(crate) fn reached(&mut self, peers: &[P]) -> Vec<(P, bool)> {
        let mut reached = Vec::new();
        self.pending.retain(|lookup| {
            let peer = peers.iter().find(|peer| peer.node() == lookup.target);
            reached.extend(peer.map(|peer| (*peer, lookup.path)));
            peer.is_none()
        });
        reached
    }

    /// Widens what is due, and gives up what was widened often enough.
    pub(crate) fn due(&mut self, now: Time, config: &Config) -> Due<P::Node> {
        let mut due = Due { wider: Vec::new(), in_vain: Vec::new() };
        self.pending.retain_mut(|lookup| {
            if lookup.due > now {
                return true;
            }
            lookup.ring += 1;
            let Some(&hops) = config.rings().get(lookup.ring) else {
                due.in_vain.push(lookup.target);
                return false;
            };
            lookup.due = now.after(config.round_trip(hops));
            due.wider.push(lookup.ring(config));
            true
        });
        due
    }
}
