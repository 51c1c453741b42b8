//! What comes before a broadcast's content: what its strategy says, or in a reply its name, the links it
//! crossed, and its age.

use std::ops::Deref;

use super::{Frame, HEADER, Kind, MessageId, Publication, finish, put_header, said};

/// All of a payload's frame but the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl Head {
    /// Bytes of the longest, header included. What a strategy says before a payload is shorter, mostly.
    pub(crate) const MAX: usize = 96;

    /// Of a payload behind what its strategy says, if there is room for that.
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
        said::write(&(id, round, age), &mut head);
        Self::of(Kind::Reply, &head, payload)
    }

    fn of(kind: Kind, head: &[u8], payload: &Publication) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        let length = HEADER + head.len();
        let header = put_header(kind, head.len() + payload.bytes().len());
        bytes[..HEADER].copy_from_slice(&header);
        bytes.get_mut(HEADER..length)?.copy_from_slice(head);
        Some(Self { bytes, length: length as u8 })
    }
}

/// A payload's frame, whole, where the head has no room for what its strategy says.
pub(crate) fn encode_gossip(head: &[u8], payload: &Publication) -> Vec<u8> {
    finish(Kind::Gossip, [&[0; HEADER], head, payload.bytes()].concat())
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
