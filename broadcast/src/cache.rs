//! The payloads of the latest broadcasts, for neighbours that ask for them.

use alloc::collections::VecDeque;

use crate::{Id, Payload};

/// Keeps payloads, first in, first out.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "I: serde::Serialize",
        deserialize = "I: serde::Deserialize<'de>, D: Default"
    ))
)]
pub(crate) struct Cache<I, D> {
    /// Oldest first.
    #[cfg_attr(feature = "serde", serde(with = "names"))]
    kept: VecDeque<(I, D)>,
    bytes: usize,
}

/// The bounds of a [`Cache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheBounds {
    pub(crate) payloads: usize,
    pub(crate) bytes: usize,
}

impl<I: Id, D: Payload> Cache<I, D> {
    pub(crate) fn new() -> Self {
        Self { kept: VecDeque::new(), bytes: 0 }
    }

    /// The payload of `id`, unless it is kept no more. Most are asked for soon: newest first.
    pub(crate) fn get(&self, id: I) -> Option<&D> {
        self.kept.iter().rev().find(|(held, _)| *held == id).map(|(_, payload)| payload)
    }

    /// Keeps the payload of a new broadcast, and says whether another was forgotten for it.
    pub(crate) fn keep(&mut self, id: I, payload: D, bounds: CacheBounds) -> bool {
        self.bytes = self.bytes.saturating_add(payload.size());
        let mut forgot = false;
        // The payload just added always stays: it is at most a frame, and neighbours ask for it.
        while self.kept.len() >= bounds.payloads
            || (self.bytes > bounds.bytes && !self.kept.is_empty())
        {
            let Some((_, oldest)) = self.kept.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.size());
            forgot = true;
        }
        self.kept.push_back((id, payload));
        forgot
    }

    /// Payloads that are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the bounds hold.
    pub(crate) fn is_within(&self, bounds: CacheBounds) -> bool {
        self.kept.len() <= bounds.payloads && (self.bytes <= bounds.bytes || self.kept.len() == 1)
    }
}

/// What is kept, written without its content.
#[cfg(feature = "serde")]
mod names {
    use alloc::collections::VecDeque;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<I: Serialize, D, S: Serializer>(
        kept: &VecDeque<(I, D)>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(kept.iter().map(|(id, _)| id))
    }

    pub(super) fn deserialize<'de, I: Deserialize<'de>, D: Default, F: Deserializer<'de>>(
        from: F,
    ) -> Result<VecDeque<(I, D)>, F::Error> {
        let ids = VecDeque::deserialize(from)?;
        Ok(ids.into_iter().map(|id| (id, D::default())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Payload for u32 {
        fn size(&self) -> usize {
            *self as usize % 10
        }
    }

    #[test]
    fn keeps_exactly_the_last_payloads() {
        for payloads in [1, 3, 64] {
            let bounds = CacheBounds { payloads, bytes: usize::MAX };
            let mut cache = Cache::new();
            for id in 0u32..300 {
                assert_eq!(cache.keep(id, id, bounds), id as usize >= payloads);
                for age in 0..=id {
                    let kept = (age as usize) < payloads;
                    assert_eq!(cache.get(id - age), kept.then_some(&(id - age)));
                }
                assert!(cache.is_within(bounds));
            }
        }
    }

    #[test]
    fn bytes_are_bounded_but_the_latest_stays() {
        let bounds = CacheBounds { payloads: 100, bytes: 20 };
        let mut cache = Cache::new();
        for id in 0u32..100 {
            cache.keep(id, id, bounds);
            assert!(cache.is_within(bounds));
            assert_eq!(cache.get(id), Some(&id));
        }
        assert_eq!(cache.get(97), None, "7 + 8 + 9 bytes are more than 20");
        assert_eq!(cache.get(98), Some(&98));
    }
}
