//! Lookups and datagrams of the router as they travel.

use bytes::Bytes;

use super::{Contact, Frame, HEADER, Kind, Never, put_header};
use crate::id::{Incarnation, NodeId};
use crate::router;

/// A router's message without content, with the addresses its sender knows of whom it names.
pub(crate) type RouteMessage = router::Message<Incarnation, NodeId, Never, Contact>;

impl router::Data for Never {
    fn size(&self) -> usize {
        match *self {}
    }
}

/// A datagram: who sent it, whom it is for, its number, hops left, and so many bytes of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) origin: Incarnation,
    pub(crate) to: Incarnation,
    pub(crate) number: u64,
    pub(crate) hops_left: u8,
    pub(crate) data: Bytes,
}

/// Bytes of a datagram's body before its content.
const HEAD: usize = 2 * (32 + 8) + 8 + 1;

impl Relayed {
    /// Bytes of a frame that are not content.
    pub(crate) const OVERHEAD: usize = HEAD;

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let peer = |bytes: &[u8; 40]| {
            let (node, started) = bytes.split_first_chunk::<32>()?;
            let started = u64::from_le_bytes(started.try_into().ok()?);
            Some(Incarnation { node: NodeId::from_bytes(*node), started })
        };
        let (origin, rest) = body.split_first_chunk::<40>()?;
        let (to, rest) = rest.split_first_chunk::<40>()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (hops_left, data) = rest.split_first()?;
        Some(Self {
            origin: peer(origin)?,
            to: peer(to)?,
            number: u64::from_le_bytes(*number),
            hops_left: *hops_left,
            data: Bytes::copy_from_slice(data),
        })
    }

    /// The frame, whole.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER + HEAD + self.data.len());
        frame.extend_from_slice(&put_header(Kind::Relay, HEAD + self.data.len()));
        for peer in [self.origin, self.to] {
            frame.extend_from_slice(&peer.node.to_bytes());
            frame.extend_from_slice(&peer.started.to_le_bytes());
        }
        frame.extend_from_slice(&self.number.to_le_bytes());
        frame.push(self.hops_left);
        frame.extend_from_slice(&self.data);
        frame
    }
}

pub(crate) fn encode_route(message: &RouteMessage) -> Vec<u8> {
    Frame::control(Kind::Route, message)
}
