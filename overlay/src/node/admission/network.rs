//! What nodes say of their network before they know each other.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash of a network's name: who does not know the name learns nothing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkHash([u8; 32]);

impl NetworkHash {
    pub(crate) fn of(network: &str) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"murmurate network\0")
                .chain_update(network)
                .finalize()
                .into(),
        )
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
