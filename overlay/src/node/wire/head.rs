//! What comes before a broadcast's content: its name, the links it crossed, and in a reply its age.

use std::ops::Deref;

use super::{Frame, HEADER, Incarnation, Kind, MessageId, NodeId, Publication, put_header};

/// All of a payload's frame but the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    bytes: [u8; Self::MAX],
    length: u8,
}

const AGE: usize = size_of::<u32>();

impl Head {
    /// Bytes of it: header, origin, start, sequence, round.
    pub(crate) const LENGTH: usize = HEADER + 32 + 8 + 8 + 2;
    /// Bytes of a reply's, the longest.
    pub(crate) const MAX: usize = Self::LENGTH + AGE;

    pub(crate) fn new(kind: Kind, id: MessageId, round: u16, payload: &Publication) -> Self {
        Self::of(kind, id, round, &[], payload)
    }

    pub(crate) fn of_reply(id: MessageId, round: u16, age: u32, payload: &Publication) -> Self {
        Self::of(Kind::Reply, id, round, &age.to_le_bytes(), payload)
    }

    fn of(kind: Kind, id: MessageId, round: u16, age: &[u8], payload: &Publication) -> Self {
        let mut bytes = [0; Self::MAX];
        let length = Self::LENGTH + age.len();
        let mut rest = bytes.as_mut_slice();
        for part in [
            put_header(kind, length - HEADER + payload.bytes().len()).as_slice(),
            &id.origin.node.to_bytes(),
            &id.origin.started.to_le_bytes(),
            &id.sequence.to_le_bytes(),
            &round.to_le_bytes(),
            age,
        ] {
            let (into, after) = rest.split_at_mut(part.len());
            into.copy_from_slice(part);
            rest = after;
        }
        Self { bytes, length: length as u8 }
    }
}

#[cfg(test)]
impl Head {
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

/// A body that carries a payload.
pub(super) fn decode(kind: Kind, body: &[u8]) -> Option<Frame> {
    let (node, rest) = body.split_first_chunk::<32>()?;
    let (started, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (round, rest) = rest.split_first_chunk()?;
    let origin =
        Incarnation { node: NodeId::from_bytes(*node), started: u64::from_le_bytes(*started) };
    let id = MessageId { origin, sequence: u64::from_le_bytes(*sequence) };
    let round = u16::from_le_bytes(*round);
    if kind == Kind::Reply {
        let (age, rest) = rest.split_first_chunk()?;
        let (age, payload) = (u32::from_le_bytes(*age), Publication::decode(rest)?);
        return Some(Frame::Reply { id, round, age, payload });
    }
    let payload = Publication::decode(rest)?;
    Some(match kind {
        Kind::Repair => Frame::Repair { id, round, payload },
        _ => Frame::Gossip { id, round, payload },
    })
}
