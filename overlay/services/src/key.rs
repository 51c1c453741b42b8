//! What state is kept under.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a key is about, which decides what becomes of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Space(u8);

impl Space {
    /// What a node says of itself: its name, tags and addresses.
    pub const MEMBER: Self = Self(0);
    /// The neighbours of a node.
    pub const LINKS: Self = Self(1);
    /// Members of groups.
    pub const GROUP: Self = Self(2);
    /// Who is present where.
    pub const PRESENCE: Self = Self(3);
    /// Unique names.
    pub const NAME: Self = Self(4);
    /// Values of which the latest counts.
    pub const LATEST: Self = Self(5);
    /// Values of which all concurrent ones are kept.
    pub const CONCURRENT: Self = Self(6);
    /// What each writer added to counters.
    pub const COUNTER: Self = Self(7);
    /// Elements of sets.
    pub const SET: Self = Self(8);
    /// Feature flags.
    pub const FLAG: Self = Self(9);

    /// Whether only the latest write counts.
    pub(crate) const fn keeps_latest(self) -> bool {
        matches!(self, Self::MEMBER | Self::LINKS | Self::LATEST | Self::FLAG)
    }

    /// Whether a key belongs to one node, which alone writes it.
    pub(crate) const fn is_owned(self) -> bool {
        matches!(self, Self::MEMBER | Self::LINKS)
    }

    /// Whether what a node wrote goes when the node goes.
    pub(crate) const fn goes_with_writer(self) -> bool {
        matches!(self, Self::MEMBER | Self::LINKS | Self::GROUP | Self::PRESENCE | Self::NAME)
    }
}

/// What a value is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What it is about.
    pub space: Space,
    /// Its name there.
    pub name: Bytes,
}

impl Key {
    /// A key of this name.
    pub(crate) fn new(space: Space, name: impl Into<Bytes>) -> Self {
        Self { space, name: name.into() }
    }

    /// One of two names, of which the first is a prefix that no other first name begins with.
    pub(crate) fn pair(space: Space, first: &str, second: &[u8]) -> Self {
        let mut name = Vec::with_capacity(4 + first.len() + second.len());
        // Lengths in big endian: keys of one first name stand side by side.
        name.extend_from_slice(&u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
        name.extend_from_slice(first.as_bytes());
        name.extend_from_slice(second);
        Self::new(space, name)
    }

    /// The two names of such a key.
    pub(crate) fn names(&self) -> Option<(&str, &[u8])> {
        let (length, rest) = self.name.split_first_chunk()?;
        let (first, second) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some((core::str::from_utf8(first).ok()?, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_apart_again() {
        let key = Key::pair(Space::GROUP, "birds", b"swallow");
        assert_eq!(key.names(), Some(("birds", &b"swallow"[..])));
        assert!(Key::pair(Space::GROUP, "a", b"z") < Key::pair(Space::GROUP, "b", b""));
        assert_eq!(Key::new(Space::GROUP, &b"\0\0\0\x09short"[..]).names(), None);
    }
}
