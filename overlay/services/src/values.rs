//! What is kept as the value of an entry.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::dot::Dot;
use crate::store::Version;

/// Whether something is switched on, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Flag {
    /// For nobody.
    Off,
    /// For everybody.
    On,
    /// For this many keys in ten thousand, always the same ones, and more of them as it grows.
    Share(u16),
    /// For these keys.
    Keys(Vec<String>),
}

/// What one writer added to a counter and took from it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    plus: u64,
    minus: u64,
}

impl Tally {
    pub(crate) fn of<P>(version: &Version<P>) -> Self {
        postcard::from_bytes(&version.value).unwrap_or_default()
    }

    pub(crate) fn sum(self) -> i128 {
        i128::from(self.plus) - i128::from(self.minus)
    }

    pub(crate) fn and(self, by: i64) -> Self {
        let more = by.unsigned_abs();
        if by < 0 {
            Self { minus: self.minus.saturating_add(more), ..self }
        } else {
            Self { plus: self.plus.saturating_add(more), ..self }
        }
    }
}

/// An entry that a node made and that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<P> {
    /// Its name, which its node updates and ends it by.
    pub entry: Dot<P>,
    /// What its node says of it.
    pub about: Bytes,
}
