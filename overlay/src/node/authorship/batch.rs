//! One signature for what is published together: that of the root of a Merkle tree.
//!
//! Verifying a signature takes as long as passing on a few broadcasts. A fast publisher signs once for
//! up to 16, and whoever has verified one of them has only hashes to compare for the others. The tree is that of
//! RFC 6962, section 2.1, filled up with empty leaves to a power of two. Leaves and inner nodes begin with
//! different bytes, so that none can be taken for the other.

use sha2::{Digest, Sha256};

use crate::id::MessageId;
use crate::node::wire::{MAX_DEPTH, Publication};

/// The most broadcasts that one signature is for.
pub(crate) const MOST_TOGETHER: usize = 1 << MAX_DEPTH;

pub(super) type Hash = [u8; 32];

const LEAF: [u8; 1] = [0];
const INNER: [u8; 1] = [1];
/// No broadcast hashes to this.
const EMPTY: Hash = [0; 32];

/// Of a broadcast, whose origin's key verifies the root.
pub(super) fn leaf(id: MessageId, content: &Publication) -> Hash {
    Sha256::new()
        .chain_update(LEAF)
        .chain_update(id.origin.started.to_le_bytes())
        .chain_update(id.sequence.to_le_bytes())
        .chain_update(content.signed())
        .finalize()
        .into()
}

fn inner(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(INNER).chain_update(left).chain_update(right).finalize().into()
}

/// The root over a leaf at a place, whose path are the hashes beside the way up.
pub(super) fn root(leaf: Hash, place: u8, path: &[Hash]) -> Hash {
    let mut place = place;
    path.iter().fold(leaf, |below, beside| {
        let is_right = place & 1 == 1;
        place >>= 1;
        if is_right { inner(beside, &below) } else { inner(&below, beside) }
    })
}

/// Its levels, from the leaves to the root.
pub(super) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    /// Of at least one leaf.
    pub(super) fn new(leaves: impl Iterator<Item = Hash>) -> Self {
        let mut level: Vec<_> = leaves.collect();
        debug_assert!((1..=MOST_TOGETHER).contains(&level.len()));
        level.resize(level.len().next_power_of_two(), EMPTY);
        let mut levels = vec![level];
        while let Some(below) = levels.last()
            && below.len() > 1
        {
            let (pairs, _) = below.as_chunks::<2>();
            let above = pairs.iter().map(|[left, right]| inner(left, right)).collect();
            levels.push(above);
        }
        Self(levels)
    }

    pub(super) fn root(&self) -> Hash {
        self.0.last().and_then(|top| top.first()).copied().unwrap_or(EMPTY)
    }

    /// The hashes beside the way from a leaf to the root.
    pub(super) fn path(&self, place: usize) -> Vec<Hash> {
        let below_root = &self.0[..self.0.len() - 1];
        below_root.iter().enumerate().map(|(up, level)| level[(place >> up) ^ 1]).collect()
    }
}
