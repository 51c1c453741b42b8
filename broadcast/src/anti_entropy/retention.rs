//! What a peer keeps for those who missed it: bounded by count, bytes and age.

use alloc::collections::{BTreeMap, VecDeque};
use core::hash::{Hash, Hasher};

use murmurate_membership::Time;
use siphasher::sip::SipHasher13;
use thin_vec::ThinVec;

use super::message::{Part, Span, Summary};
use super::{Config, MAX_ORIGINS, before};
use crate::{Id, Payload, Seen};

/// An origin's room for broadcasts is so many times what is kept of it, at most.
const SPARE: usize = 4;

/// A broadcast that is kept.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "I: serde::Serialize",
        deserialize = "I: serde::Deserialize<'de>, D: Default"
    ))
)]
pub(super) struct Kept<I, D> {
    pub(super) id: I,
    /// Links it crossed to come here.
    pub(super) round: u16,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) payload: D,
    /// When it was published, as far as this peer knows: when it came, or as long ago as whoever sent
    /// it says.
    pub(super) since: Time,
}

/// All that is kept.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "I: serde::Serialize, I::Origin: serde::Serialize",
        deserialize = "I: serde::Deserialize<'de>, I::Origin: serde::Deserialize<'de>, D: Default"
    ))
)]
pub(super) struct Retention<I: Id, D> {
    /// Of each origin by sequence.
    origins: BTreeMap<I::Origin, VecDeque<Kept<I, D>>>,
    /// The oldest goes first.
    order: VecDeque<(Time, I)>,
    bytes: usize,
}

impl<I: Id, D: Payload> Retention<I, D> {
    pub(super) fn new() -> Self {
        Self { origins: BTreeMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.origins.values().map(VecDeque::len).sum()
    }

    /// Keeps a new broadcast, published at `since`.
    pub(super) fn keep(&mut self, since: Time, id: I, round: u16, payload: D, config: &Config) {
        self.bytes = self.bytes.saturating_add(payload.size());
        let of = self.origins.entry(id.origin()).or_default();
        let at = match of.back() {
            Some(last) if last.id.sequence() > id.sequence() => {
                of.partition_point(|kept| kept.id.sequence() < id.sequence())
            }
            _ => of.len(),
        };
        of.insert(at, Kept { id, round, payload, since });
        let at = match self.order.back() {
            Some((last, _)) if *last > since => self.order.partition_point(|(at, _)| *at <= since),
            _ => self.order.len(),
        };
        self.order.insert(at, (since, id));
        while self.order.len() > config.retained || self.bytes > config.retained_bytes {
            if !self.forget_oldest() {
                break;
            }
        }
    }

    /// Forgets what was kept for long enough.
    pub(super) fn expire(&mut self, now: Time, config: &Config) {
        while let Some((since, _)) = self.order.front()
            && now.since(*since) > config.retention
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, id)) = self.order.pop_front() else { return false };
        if let Some(of) = self.origins.get_mut(&id.origin()) {
            if let Ok(at) = of.binary_search_by_key(&id.sequence(), |kept| kept.id.sequence())
                && let Some(kept) = of.remove(at)
            {
                self.bytes = self.bytes.saturating_sub(kept.payload.size());
            }
            if of.is_empty() {
                self.origins.remove(&id.origin());
            } else if of.capacity() > SPARE * of.len() {
                // Or each origin would keep the room of its busiest time.
                of.shrink_to(SPARE / 2 * of.len());
            }
        }
        true
    }

    /// What is kept of a span, in order.
    pub(super) fn within(&self, span: Span<I::Origin>) -> impl Iterator<Item = &Kept<I, D>> {
        let of = self.origins.get(&span.origin);
        let from = of.map_or(0, |of| of.partition_point(|kept| kept.id.sequence() < span.from));
        let kept = of.into_iter().flat_map(move |of| of.range(from..));
        kept.take_while(move |kept| kept.id.sequence() < span.to)
    }

    /// Until when what was published is told of: what is younger may still be under way to whoever is
    /// told, by the broadcast itself. What will soon be forgotten cannot wait for that.
    pub(super) fn settled(&self, now: Time, config: &Config) -> Time {
        let settled = before(now, config.fetch_after());
        let is_full =
            self.order.len() > config.retained / 2 || self.bytes > config.retained_bytes / 2;
        let older_half = self.order.get(self.order.len() / 2).filter(|_| is_full);
        older_half.map_or(settled, |(since, _)| settled.max(*since))
    }

    /// Of all origins in these parts: how far each came by `until`, from the first published after
    /// `since` on. As many as a message takes.
    pub(super) fn spans(
        &self,
        parts: &[Part],
        since: Time,
        until: Time,
    ) -> ThinVec<Span<I::Origin>> {
        let within = self.origins.iter().filter(|(origin, _)| {
            let digest = digest(origin);
            parts.iter().any(|part| part.holds(digest))
        });
        let spans = within.filter_map(|(&origin, of)| {
            let to = end(of, until)?;
            let first = of.iter().find(|kept| kept.since >= since);
            let from = first.map_or(to, |kept| kept.id.sequence());
            Some(Span { origin, from, to: to.max(from) })
        });
        spans.take(MAX_ORIGINS).collect()
    }

    /// How many origins are in each part, and the digest of how far each of them came by `until`. Who
    /// does not know where one began differs from those who do, and so is told.
    pub(super) fn summaries(
        &self,
        seen: &Seen<I>,
        parts: impl Iterator<Item = Part>,
        until: Time,
    ) -> ThinVec<(usize, Summary)> {
        let mut all: ThinVec<(usize, Part, u64)> = parts.map(|part| (0, part, 0)).collect();
        for (origin, of) in &self.origins {
            let Some(end) = end(of, until) else { continue };
            let place = digest(origin);
            let own = digest(&[place, end, seen.is_sure(*origin).into()]);
            for (count, _, sum) in all.iter_mut().filter(|(_, part, _)| part.holds(place)) {
                *count += 1;
                *sum = sum.wrapping_add(own);
            }
        }
        let summary = |(count, part, sum): (usize, Part, u64)| {
            (count, Summary { part, digest: sum.to_le_bytes() })
        };
        all.into_iter().map(summary).collect()
    }

    pub(super) fn is_within(&self, config: &Config) -> bool {
        let kept: usize = self.origins.values().map(VecDeque::len).sum();
        kept == self.order.len()
            && kept <= config.retained
            && self.bytes <= config.retained_bytes
            && self
                .origins
                .values()
                .all(|of| !of.is_empty() && of.capacity() <= SPARE * of.len().max(SPARE))
    }
}

/// One more than the last that was published by `until`.
fn end<I: Id, D>(of: &VecDeque<Kept<I, D>>, until: Time) -> Option<u64> {
    let last = of.iter().rfind(|kept| kept.since <= until)?;
    Some(last.id.sequence().saturating_add(1))
}

/// The same in every peer, whatever machine it runs on.
pub(super) fn digest<T: Hash>(of: &T) -> u64 {
    let mut hasher = SipHasher13::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::anti_entropy::Parameters;

    #[test]
    fn count_bytes_and_age_are_bounded() {
        let parameters = Parameters { retained: 50, retained_bytes: 100, ..Parameters::default() };
        let config = parameters.check().expect("in range");
        let mut kept = Retention::new();
        for id in 0u32..1_000 {
            let now = Time::from_nanos(u64::from(id) * 1_000_000_000);
            // Two by two in the wrong order, some told of late.
            let id = id ^ 1;
            let since =
                Time::from_nanos(now.as_nanos().saturating_sub(u64::from(id % 3) * 5_000_000_000));
            kept.keep(since, id, 1, id, &config);
            assert!(kept.order.iter().map(|(since, _)| since).is_sorted(), "{kept:?}");
            assert!(kept.is_within(&config), "{kept:?}");
            let held = kept.within(Span { origin: (), from: id.into(), to: u64::from(id) + 1 });
            assert_eq!(held.map(|kept| kept.id).collect::<Vec<_>>(), [id]);
        }
        let all = Span { origin: (), from: 0, to: u64::MAX };
        let ids: Vec<u32> = kept.within(all).map(|kept| kept.id).collect();
        assert!(ids.is_sorted() && ids.len() > 10, "{ids:?}");
        let later = Time::from_nanos(998_000_000_000).after(config.retention);
        kept.expire(later, &config);
        assert_eq!(kept.within(all).count(), 1);
        kept.expire(later.after(Duration::from_secs(1)), &config);
        assert_eq!(kept.within(all).count(), 0);
        assert!(kept.is_within(&config));
    }
}
