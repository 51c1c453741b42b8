//! What services say to each other, as it travels.

use std::sync::Arc;

use bytes::Bytes;
use murmurate_membership::{Sizes, Wire};

use super::{HEADER, Kind, put_header};

/// What a service says to its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceMessage {
    pub(crate) name: Arc<str>,
    pub(crate) body: Bytes,
}

impl Wire for ServiceMessage {
    const KINDS: &'static [&'static str] = &["service"];

    fn kind(&self) -> usize {
        0
    }

    fn wire_len(&self, _sizes: &Sizes) -> usize {
        HEADER + 1 + self.name.len() + self.body.len()
    }
}

impl ServiceMessage {
    /// Length of the name, name, and so many bytes.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first()?;
        let (name, body) = rest.split_at_checked((*length).into())?;
        let name: Arc<str> = std::str::from_utf8(name).ok()?.into();
        Some(Self { name, body: Bytes::copy_from_slice(body) })
    }

    /// The frame, whole. Names are as short as topics.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let length = 1 + self.name.len() + self.body.len();
        let mut frame = Vec::with_capacity(HEADER + length);
        frame.extend_from_slice(&put_header(Kind::Service, length));
        debug_assert!(self.name.len() <= u8::MAX.into());
        frame.push(self.name.len() as u8);
        frame.extend_from_slice(self.name.as_bytes());
        frame.extend_from_slice(&self.body);
        frame
    }
}
