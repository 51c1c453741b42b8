//! Batches that were verified: their other broadcasts, and copies over other links, are not verified again.

use sha2::{Digest, Sha256};

use super::batch::Hash;
use crate::id::NodeId;
use crate::node::wire::SIGNATURE;

/// Batches that are remembered: far more than are under way. Those of a liar take places of others, who are
/// verified once more.
const CAPACITY: usize = 256;

/// What a batch is remembered by.
pub(super) fn name(origin: NodeId, root: &Hash, signature: &[u8; SIGNATURE]) -> Hash {
    let name = Sha256::new().chain_update(origin.to_bytes()).chain_update(root);
    name.chain_update(signature).finalize().into()
}

/// The latest ones, each in the only place where it can be.
#[derive(Debug)]
pub(super) struct Verified(Box<[Hash; CAPACITY]>);

impl Default for Verified {
    fn default() -> Self {
        Self(Box::new([[0; 32]; CAPACITY]))
    }
}

impl Verified {
    fn place(name: &Hash) -> usize {
        usize::from(name[0]) % CAPACITY
    }

    pub(super) fn contains(&self, name: &Hash) -> bool {
        self.0[Self::place(name)] == *name
    }

    pub(super) fn insert(&mut self, name: Hash) {
        self.0[Self::place(&name)] = name;
    }
}
