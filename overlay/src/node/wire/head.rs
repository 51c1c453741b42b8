//! What comes before a broadcast's content: what its strategy says, or in a reply its name, the links it
//! crossed, and its age.

use std::ops::Deref;

use super::{Frame, HEADER, Kind, MessageId, Publication, put_header, said};

/// All of a payload's frame but the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl Head {
    /// Bytes of the longest, header included.
    pub(crate) const MAX: usize = 96;

    /// Of a payload behind what its strategy says; none if that is too long.
    pub(crate) fn of_gossip(head: &[u8], payload: &Publication) -> Option<Self> {
        Self::of(Kind::Gossip, head, payload)
    }

    pub(crate) fn of_reply(
        id: MessageId,
        round: u16,
        age: u32,
        payload: &Publication,
    ) -> Option<Self> {
        let mut head = Vec::with_capacity(Self::MAX);
        said::write(&(id, round, age), &mut head)?;
        Self::of(Kind::Reply, &head, payload)
    }

    fn of(kind: Kind, head: &[u8], payload: &Publication) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        let length = HEADER + head.len();
        bytes.get_mut(HEADER..length)?.copy_from_slice(head);
        let header = put_header(kind, head.len() + payload.bytes().len());
        bytes[..HEADER].copy_from_slice(&header);
        Some(Self { bytes, length: length as u8 })
    }
}

#[cfg(test)]
impl Head {
    /// Bytes of [`Head::any`].
    pub(crate) const LENGTH: usize = 54;

    /// Of some gossip without content.
    pub(crate) fn any() -> Self {
        Self { bytes: [0; Self::MAX], length: Self::LENGTH as u8 }
    }
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length.into()]
    }
}

/// The body of a reply.
pub(super) fn decode_reply(body: &[u8]) -> Option<Frame> {
    let ((id, round, age), rest) = postcard::take_from_bytes(body).ok()?;
    Some(Frame::Reply { id, round, age, payload: Publication::decode(rest)? })
}
