//! A broadcast's content as it travels: topic, time, data.

use bytes::{BufMut, Bytes, BytesMut};
use murmurate_broadcast::Payload;

/// A topic, the time of publishing and the data, as one run of bytes that is passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Length of the topic, topic, microseconds since 1970 (little endian), data.
    bytes: Bytes,
}

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
    /// Bytes around a topic and its data.
    pub(crate) const OVERHEAD: usize = 1 + TIME;

    pub(crate) fn new(topic: &str, published: u64, data: &[u8]) -> Result<Self, TopicError> {
        let length = topic_length(topic)?;
        let mut bytes = BytesMut::with_capacity(Self::OVERHEAD + topic.len() + data.len());
        bytes.put_u8(length);
        bytes.put_slice(topic.as_bytes());
        bytes.put_u64_le(published);
        bytes.put_slice(data);
        Ok(Self { bytes: bytes.freeze() })
    }

    /// The same, published at another time. Copies nothing unless somebody else holds it.
    pub(crate) fn at(self, published: u64) -> Self {
        let end = self.data_at();
        let mut bytes = BytesMut::from(self.bytes);
        bytes[end - TIME..end].copy_from_slice(&published.to_le_bytes());
        Self { bytes: bytes.freeze() }
    }

    /// Copies a publication out of a frame: what is kept must not keep the read buffer.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&length, rest) = bytes.split_first()?;
        let (topic, rest) = rest.split_at_checked(usize::from(length))?;
        std::str::from_utf8(topic).ok()?;
        (rest.len() >= TIME).then(|| Self { bytes: Bytes::copy_from_slice(bytes) })
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn data_at(&self) -> usize {
        Self::OVERHEAD + usize::from(self.bytes[0])
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
        self.bytes.slice(self.data_at()..)
    }
}

impl Payload for Publication {
    fn size(&self) -> usize {
        self.bytes.len()
    }
}
