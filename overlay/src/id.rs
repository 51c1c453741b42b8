//! How real nodes are named.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use libp2p::PeerId;
use libp2p::identity::PublicKey;
use murmurate_broadcast as broadcast;
use murmurate_membership as membership;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A node's identity: its ed25519 public key, which its connections are authenticated with.
///
/// Shown and parsed as libp2p shows a [`PeerId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId([u8; 32]);

/// Why something is not a [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// Not a libp2p peer id at all.
    #[error("{0:?} is not a peer id")]
    NotAPeerId(String),
    /// A peer id of another kind of key.
    #[error("{0} is not the id of an ed25519 key, the only kind of identity in this overlay")]
    NotEd25519(PeerId),
}

impl NodeId {
    /// The identity as libp2p names it.
    #[must_use]
    pub fn to_peer_id(self) -> PeerId {
        let mut multihash = [0; PREFIX.len() + 32];
        multihash[..PREFIX.len()].copy_from_slice(&PREFIX);
        multihash[PREFIX.len()..].copy_from_slice(&self.0);
        #[allow(
            clippy::expect_used,
            reason = "the prefix says what follows: an identity of 36 bytes"
        )]
        PeerId::from_bytes(&multihash).expect("an identity multihash")
    }
}

impl NodeId {
    pub(crate) fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// Of a peer id that carries an ed25519 key: identity multihash, 36 bytes, then the key's protobuf
/// header (kind 1, 32 bytes).
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl TryFrom<PeerId> for NodeId {
    type Error = NodeIdError;

    fn try_from(peer: PeerId) -> Result<Self, NodeIdError> {
        let bytes = peer.to_bytes();
        let key = bytes.strip_prefix(&PREFIX).and_then(|key| <[u8; 32]>::try_from(key).ok());
        key.map(Self).ok_or(NodeIdError::NotEd25519(peer))
    }
}

impl TryFrom<&PublicKey> for NodeId {
    type Error = NodeIdError;

    fn try_from(key: &PublicKey) -> Result<Self, NodeIdError> {
        key.to_peer_id().try_into()
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let peer: PeerId = text.parse().map_err(|_| NodeIdError::NotAPeerId(text.into()))?;
        peer.try_into()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_peer_id(), f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A start of a node: every restart is a new incarnation, and a later one supersedes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// Whose start.
    pub node: NodeId,
    /// Which start: milliseconds since 1970 when it happened, or one more than the start before
    /// if the clock went backwards.
    pub started: u64,
}

/// The hash of a network's name: who does not know the name learns nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkHash([u8; 32]);

impl NetworkHash {
    pub(crate) fn of(network: &str) -> Self {
        let hash = Sha256::new().chain_update(b"murmurate network\0").chain_update(network);
        Self(hash.finalize().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for NetworkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NetworkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl membership::Peer for Incarnation {
    type Node = NodeId;

    fn node(self) -> NodeId {
        self.node
    }
}

/// As the node's id and, after a slash, its start.
impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.started)
    }
}

/// A broadcast's name: the publisher's incarnation, and a number that counts its broadcasts.
pub type MessageId = broadcast::MessageId<Incarnation>;

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn ids_and_peer_ids_are_the_same_thing() {
        let key = Keypair::generate_ed25519();
        let id = NodeId::try_from(&key.public()).expect("an ed25519 key");
        assert_eq!(id.to_peer_id(), key.public().to_peer_id());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(NodeId::try_from(id.to_peer_id()), Ok(id));
    }

    #[test]
    fn other_ids_are_refused() {
        assert_eq!("starling".parse::<NodeId>(), Err(NodeIdError::NotAPeerId("starling".into())));
        let random = PeerId::random();
        assert_eq!(NodeId::try_from(random), Err(NodeIdError::NotEd25519(random)));
    }
}
