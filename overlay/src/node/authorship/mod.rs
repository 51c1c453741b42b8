//! Who said it: broadcasts, and datagrams that others carry, are signed by the node that they come from.
//!
//! A neighbour can then drop what it should pass on, never forge or alter it. Each node verifies a
//! broadcast before anything takes it for seen, on the task that reads the link. Whoever passes on what
//! its origin did not sign is a liar: honest nodes verify first.
//!
//! A signature is for all that a node publishes at the same moment: see `batch`.

mod batch;
mod verified;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use libp2p::identity::Keypair;
use libp2p::identity::ed25519::PublicKey;
use prometheus::IntCounter;

use super::clock;
use super::wire::{Frame, Publication, Relayed, SIGNATURE};
use crate::id::{Incarnation, MessageId, NetworkHash, NodeId};
pub(crate) use batch::MOST_TOGETHER;
use verified::Verified;

/// What signatures are about. libp2p signs other things with the same key.
const BROADCASTS: &[u8] = b"murmurate broadcasts 1\0";
const DATAGRAM: &[u8] = b"murmurate datagram 1\0";

/// What a node signs, and what it believes of others: shared by all of its tasks.
#[derive(Debug)]
pub(crate) struct Authorship {
    me: Incarnation,
    network: NetworkHash,
    /// `None` in an overlay that signs nothing.
    key: Option<Keypair>,
    verified: Mutex<Verified>,
    /// How long broadcasts are kept, and fetched by those that missed them.
    retention: Duration,
    forged_broadcasts: IntCounter,
    forged_datagrams: IntCounter,
    stale: IntCounter,
}

/// How far the clocks of two nodes may be apart.
const SKEW: Duration = Duration::from_secs(3_600);

/// Nobody can have said this: whoever brings it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{origin} did not sign this broadcast")]
pub(crate) struct Forged {
    pub(crate) origin: NodeId,
}

impl Authorship {
    /// With `key`, the node signs with it, and believes nothing that is not signed.
    pub(crate) fn new(
        me: Incarnation,
        network: &str,
        key: Option<Keypair>,
        retention: Duration,
        ([forged_broadcasts, forged_datagrams], stale): ([IntCounter; 2], IntCounter),
    ) -> Self {
        let (network, verified) = (NetworkHash::of(network), Mutex::default());
        Self { me, network, key, verified, retention, forged_broadcasts, forged_datagrams, stale }
    }

    /// Whether the overlay signs.
    pub(crate) fn signs(&self) -> bool {
        self.key.is_some()
    }

    /// Signs broadcasts of this node, at most [`MOST_TOGETHER`], with one signature.
    pub(crate) fn sign(&self, together: &mut [(MessageId, Publication)]) {
        let Some(key) = &self.key else { return };
        let tree = batch::Tree::new(together.iter().map(|(id, content)| batch::leaf(*id, content)));
        let signature = sign(key, &self.statement(&tree.root()));
        for (place, (_, publication)) in together.iter_mut().enumerate() {
            publication.prove(&tree.path(place), place as u8, &signature);
        }
    }

    /// Whether what a frame brings in somebody's name is that one's, and new enough: what is older may have been
    /// forgotten, so it could be new twice. What is not is counted.
    ///
    /// # Errors
    /// [`Forged`] of a broadcast: who sent the frame has verified it, or lies. Any hop may have made up a
    /// datagram.
    pub(crate) fn verify(&self, frame: &Frame) -> Result<bool, Forged> {
        if !self.signs() {
            return Ok(true);
        }
        if let Frame::Relay(relayed) = frame {
            let believed = self.believes(relayed);
            self.forged_datagrams.inc_by(u64::from(!believed));
            return Ok(believed);
        }
        let Some((id, content)) = frame.broadcast() else { return Ok(true) };
        if !self.is_fresh(content.published(), clock::micros_since_1970()) {
            self.stale.inc();
            return Ok(false);
        }
        if !self.is_signed(id, content) {
            self.forged_broadcasts.inc();
            return Err(Forged { origin: id.origin.node });
        }
        Ok(true)
    }

    /// Whether a broadcast of this time may still be under way, by clocks that agree within [`SKEW`].
    fn is_fresh(&self, published: u64, now: u64) -> bool {
        let within = |limit: Duration, apart: u64| u128::from(apart) <= limit.as_micros();
        match now.checked_sub(published) {
            Some(age) => within(self.retention.saturating_add(SKEW), age),
            None => within(SKEW, published - now),
        }
    }

    fn is_signed(&self, id: MessageId, content: &Publication) -> bool {
        let Some(proof) = content.proof() else { return false };
        let origin = id.origin.node;
        let root = batch::root(batch::leaf(id, content), proof.place, proof.path);
        // With the signature: others verify the very bytes that this node passes on.
        let of_batch = verified::name(origin, &root, proof.signature);
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(&of_batch) {
            return true;
        }
        let is_signed = is_of(origin, &self.statement(&root), proof.signature);
        if is_signed {
            verified().insert(of_batch);
        }
        is_signed
    }

    fn statement(&self, root: &batch::Hash) -> Vec<u8> {
        [BROADCASTS, self.network.as_bytes(), root].concat()
    }

    /// A datagram for `to`, signed. It says nothing of when: whoever reads it knows what is too late.
    pub(crate) fn sign_datagram(&self, to: Incarnation, data: Bytes) -> Bytes {
        let Some(key) = &self.key else { return data };
        let signature = sign(key, &self.datagram(self.me, to, &data));
        let mut signed = BytesMut::from(data);
        signed.put_slice(&signature);
        signed.freeze()
    }

    /// Whether a datagram that came in somebody's name may be that one's. Only whom it is for asks.
    fn believes(&self, relayed: &Relayed) -> bool {
        let Relayed { origin, to, data, .. } = relayed;
        if *to != self.me {
            return true;
        }
        let signed = data.split_last_chunk::<SIGNATURE>();
        signed.is_some_and(|(data, signature)| {
            is_of(origin.node, &self.datagram(*origin, *to, data), signature)
        })
    }

    /// What was signed of a datagram that is believed.
    pub(crate) fn unsigned(&self, mut datagram: Bytes) -> Bytes {
        if self.signs() {
            datagram.truncate(datagram.len().saturating_sub(SIGNATURE));
        }
        datagram
    }

    fn datagram(&self, origin: Incarnation, to: Incarnation, data: &[u8]) -> Vec<u8> {
        let mut statement = [DATAGRAM, self.network.as_bytes()].concat();
        statement.put_u64_le(origin.started);
        statement.put_slice(&to.node.to_bytes());
        statement.put_u64_le(to.started);
        statement.put_slice(data);
        statement
    }
}

#[cfg(any(test, fuzzing))]
impl Authorship {
    /// Of an overlay that signs nothing.
    pub(crate) fn open() -> std::sync::Arc<Self> {
        let me = Incarnation { node: NodeId::from_bytes([0; 32]), started: 0 };
        #[allow(clippy::expect_used, reason = "the name is a valid one")]
        let counter = || IntCounter::new("forged", "not counted").expect("a valid name");
        std::sync::Arc::new(Self::new(
            me,
            "",
            None,
            Duration::ZERO,
            ([counter(), counter()], counter()),
        ))
    }
}

#[allow(clippy::expect_used, reason = "the node has an ed25519 key, which signs anything")]
fn sign(key: &Keypair, statement: &[u8]) -> [u8; SIGNATURE] {
    let signature = key.sign(statement).expect("an ed25519 key");
    signature.try_into().expect("64 bytes")
}

/// Whether a node signed this. All nodes must come to the same answer, or a liar could have them part:
/// so signatures are verified one by one, as a batch of them may pass where each alone does not.
fn is_of(node: NodeId, statement: &[u8], signature: &[u8; SIGNATURE]) -> bool {
    PublicKey::try_from_bytes(&node.to_bytes()).is_ok_and(|key| key.verify(statement, signature))
}

#[cfg(test)]
mod tests;
