//! Members that left: late gossip does not bring them back as ghosts.

use thin_vec::ThinVec;

use crate::{Peer, Time};

/// Says that `peer` and all its earlier incarnations are gone for good.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tombstone<P> {
    pub(super) peer: P,
    until: Time,
}

/// A bounded set of tombstones, one a node, sorted by node.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Departed<P> {
    stones: ThinVec<Tombstone<P>>,
}

impl<P: Peer> Departed<P> {
    pub(super) fn new() -> Self {
        Self { stones: ThinVec::new() }
    }

    pub(super) fn stones(&self) -> &[Tombstone<P>] {
        &self.stones
    }

    fn find(&self, peer: P) -> Result<usize, usize> {
        self.stones.binary_search_by_key(&peer.node(), |stone| stone.peer.node())
    }

    /// Whether `peer` left, or a later incarnation of its node.
    pub(super) fn covers(&self, peer: P) -> bool {
        self.find(peer).is_ok_and(|at| self.stones[at].peer >= peer)
    }

    /// `peer` left; if there is no room, the tombstone that would go first goes now.
    pub(super) fn bury(&mut self, peer: P, until: Time, capacity: usize) {
        if let Ok(at) = self.find(peer) {
            self.stones.remove(at);
        }
        if self.stones.len() >= capacity {
            let oldest = (0..self.stones.len()).min_by_key(|&at| self.stones[at].until);
            if let Some(at) = oldest {
                self.stones.remove(at);
            }
        }
        if let Err(at) = self.find(peer) {
            self.stones.insert(at, Tombstone { peer, until });
        }
    }

    pub(super) fn reap(&mut self, now: Time) {
        self.stones.retain(|stone| now < stone.until);
    }

    pub(super) fn clear(&mut self) {
        self.stones = ThinVec::new();
    }
}
