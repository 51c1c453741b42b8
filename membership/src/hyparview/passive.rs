//! The passive view: peers heard of, none of them verified.

use rand::RngExt;
use thin_vec::ThinVec;

use crate::Peer;
use crate::sample::choose;

/// A bounded set of peers, one incarnation a node.
///
/// The first `tried` were asked for a link since the last [`Passive::retry`] and refused: a
/// refused candidate stays passive and another is tried (HyParView §4.3).
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Passive<P> {
    peers: ThinVec<P>,
    tried: u16,
    /// Some turned out to be dead since the last shuffle.
    pub(crate) lost: bool,
    /// Shuffles out of turn since the last one in turn.
    pub(crate) refills: u8,
}

impl<P: Peer> Passive<P> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { peers: ThinVec::with_capacity(capacity), tried: 0, lost: false, refills: 0 }
    }

    pub(crate) fn peers(&self) -> &[P] {
        &self.peers
    }

    /// Adds `peer`; when full, a peer of `first` makes room, otherwise a random one.
    ///
    /// An incarnation older than the one held is ignored, a newer one takes its place.
    pub(crate) fn add(
        &mut self,
        peer: P,
        capacity: usize,
        first: &mut ThinVec<P>,
        rng: &mut impl rand::Rng,
    ) {
        if let Some(held) = self.peers.iter_mut().find(|held| held.is_same_node(peer)) {
            *held = peer.max(*held);
            return;
        }
        while self.peers.len() >= capacity {
            let evicted = loop {
                match first.pop() {
                    Some(sent) => {
                        if let Some(at) = self.peers.iter().position(|held| *held == sent) {
                            break at;
                        }
                    }
                    None => break rng.random_range(0..self.peers.len()),
                }
            };
            self.remove_at(evicted);
        }
        self.peers.push(peer);
    }

    /// Removes the incarnation of `peer`'s node that is held, unless it is a later one.
    pub(crate) fn remove(&mut self, peer: P) -> bool {
        let at = self.peers.iter().position(|p| p.is_same_node(peer) && *p <= peer);
        if let Some(at) = at {
            self.remove_at(at);
        }
        at.is_some()
    }

    /// Removes whatever incarnation of `peer`'s node is held: a word of its own beats hearsay.
    pub(crate) fn forget_node(&mut self, peer: P) {
        if let Some(at) = self.peers.iter().position(|p| p.is_same_node(peer)) {
            self.remove_at(at);
        }
    }

    /// A random peer that was not tried yet; it counts as tried from now on.
    pub(crate) fn try_next(&mut self, rng: &mut impl rand::Rng) -> Option<P> {
        let tried = usize::from(self.tried);
        if tried >= self.peers.len() {
            return None;
        }
        let at = rng.random_range(tried..self.peers.len());
        self.peers.swap(tried, at);
        self.tried += 1;
        Some(self.peers[tried])
    }

    /// A random peer, tried or not.
    pub(crate) fn any(&self, rng: &mut impl rand::Rng) -> Option<P> {
        choose(&self.peers, rng).copied()
    }

    /// All may be tried again.
    pub(crate) fn retry(&mut self) {
        self.tried = 0;
    }

    fn remove_at(&mut self, mut at: usize) {
        let tried = usize::from(self.tried);
        if at < tried {
            // Keep the tried ones in front: the last of them fills the gap.
            self.peers.swap(at, tried - 1);
            at = tried - 1;
            self.tried -= 1;
        }
        self.peers.swap_remove(at);
    }
}
