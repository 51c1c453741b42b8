//! A broadcast's content as it travels: topic, time, data.

use bytes::{BufMut, Bytes, BytesMut};
use murmurate_broadcast::Payload;

/// A topic, the time of publishing, the data, and what proves whose they are, as one run of bytes that
/// is passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Length of the topic, topic, microseconds since 1970 (little endian), data, [`Proof`].
    bytes: Bytes,
}

/// The most levels of a tree of broadcasts that were signed together.
pub(crate) const MAX_DEPTH: usize = 4;

/// Shows that a broadcast is one of those that its origin signed together.
///
/// On the wire: the path, the signature, the place, and one more than the depth. A proof of nothing is
/// a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof<'a> {
    /// Hashes beside the way from the broadcast to the root, the lowest first.
    pub(crate) path: &'a [[u8; 32]],
    /// Which one of them it is.
    pub(crate) place: u8,
    /// Of the root.
    pub(crate) signature: &'a [u8; SIGNATURE],
}

/// Bytes of a signature.
pub(crate) const SIGNATURE: usize = 64;
const HASH: usize = 32;

/// Why a topic cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("a topic of {length} bytes is out of range: 0 to {max}", max = u8::MAX)]
pub struct TopicError {
    /// Its length.
    pub length: usize,
}

/// The length of a topic, if it can be one.
pub(crate) fn topic_length(topic: &str) -> Result<u8, TopicError> {
    u8::try_from(topic.len()).map_err(|_| TopicError { length: topic.len() })
}

const TIME: usize = size_of::<u64>();

impl Publication {
    /// Bytes around a topic and its data: with the proof of nothing.
    pub(crate) const OVERHEAD: usize = 1 + TIME + 1;
    /// Bytes by which the longest proof is longer than that.
    pub(crate) const MAX_PROOF: usize = MAX_DEPTH * HASH + SIGNATURE + 1;

    pub(crate) fn new(topic: &str, published: u64, data: &[u8]) -> Result<Self, TopicError> {
        let length = topic_length(topic)?;
        let size = Self::OVERHEAD + topic.len() + data.len();
        // The proof will find room.
        let mut bytes = BytesMut::with_capacity(size + Self::MAX_PROOF);
        bytes.put_u8(length);
        bytes.put_slice(topic.as_bytes());
        bytes.put_u64_le(published);
        bytes.put_slice(data);
        bytes.put_u8(0);
        Ok(Self { bytes: bytes.freeze() })
    }

    /// It is published at another time. Copies nothing unless somebody else holds it.
    pub(crate) fn publish_at(&mut self, published: u64) {
        let end = self.data_at();
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes));
        bytes[end - TIME..end].copy_from_slice(&published.to_le_bytes());
        self.bytes = bytes.freeze();
    }

    /// Copies a publication out of a frame: what is kept must not keep the read buffer.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&length, rest) = bytes.split_first()?;
        let (topic, rest) = rest.split_at_checked(usize::from(length))?;
        std::str::from_utf8(topic).ok()?;
        let proof = proof_length(rest)?;
        (rest.len() >= TIME + proof).then(|| Self { bytes: Bytes::copy_from_slice(bytes) })
    }

    /// Puts a proof in place of that of nothing. Copies nothing unless somebody else holds it.
    pub(crate) fn prove(&mut self, path: &[[u8; 32]], place: u8, signature: &[u8; SIGNATURE]) {
        debug_assert!(path.len() <= MAX_DEPTH && usize::from(place) < 1 << path.len());
        let end = self.signed().len();
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes));
        bytes.truncate(end);
        bytes.put_slice(path.as_flattened());
        bytes.put_slice(signature);
        bytes.put_u8(place);
        bytes.put_u8(path.len() as u8 + 1);
        self.bytes = bytes.freeze();
    }

    /// What a signature is about: all but the proof.
    pub(crate) fn signed(&self) -> &[u8] {
        &self.bytes[..self.data_end()]
    }

    /// The proof, if it is one of anything.
    pub(crate) fn proof(&self) -> Option<Proof<'_>> {
        let [signed @ .., place, _] = &self.bytes[self.data_end()..] else { return None };
        let (path, signature) = signed.split_last_chunk()?;
        let (path, _) = path.as_chunks();
        Some(Proof { path, place: *place, signature })
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where the proof begins.
    fn data_end(&self) -> usize {
        self.bytes.len() - proof_length(&self.bytes).unwrap_or(0)
    }

    fn data_at(&self) -> usize {
        1 + usize::from(self.bytes[0]) + TIME
    }

    pub(crate) fn topic(&self) -> &str {
        let topic = &self.bytes[1..self.data_at() - TIME];
        // Both constructors saw that it is.
        std::str::from_utf8(topic).unwrap_or_default()
    }

    /// Microseconds since 1970 on the publisher's clock.
    pub(crate) fn published(&self) -> u64 {
        let end = self.data_at();
        self.bytes[end - TIME..end].try_into().map_or(0, u64::from_le_bytes)
    }

    pub(crate) fn data(&self) -> Bytes {
        self.bytes.slice(self.data_at()..self.data_end())
    }
}

/// Bytes of the proof at the end, which its last byte tells; none if it cannot be one.
fn proof_length(bytes: &[u8]) -> Option<usize> {
    let (form, before) = bytes.split_last()?;
    let Some(depth) = usize::from(*form).checked_sub(1) else { return Some(1) };
    let place = usize::from(*before.last()?);
    (depth <= MAX_DEPTH && place < 1 << depth).then_some(depth * HASH + SIGNATURE + 2)
}

impl Payload for Publication {
    fn size(&self) -> usize {
        self.bytes.len()
    }
}
