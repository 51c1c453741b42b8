//! What this peer misses, and what becomes of it: asked for, come, or given up.

use murmurate_membership::Time;
use thin_vec::ThinVec;

use super::message::Span;
use super::{Config, MAX_ORIGINS};
use crate::{Id, Seen, SeenBounds, compact};

/// Origins of which gaps are looked after at a time. Those of others wait.
const CAPACITY: usize = 1_024;

/// The origins of which something is missed.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Gaps<O>(ThinVec<Gap<O>>);

/// What is missed of one origin.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Gap<O> {
    origin: O,
    /// What lies below has been missed since then. Later gaps are looked at when these are closed.
    below: u64,
    since: Time,
    /// So far the origin has come, as a neighbour told.
    told: u64,
    /// From here on, as long as nothing of the origin has come.
    from: u64,
    /// Until then the answer of whoever was asked is waited for.
    asked_until: Option<Time>,
}

impl<O: Copy + Ord> Gaps<O> {
    pub(super) fn new() -> Self {
        Self(ThinVec::new())
    }

    fn find(&self, origin: O) -> Result<usize, usize> {
        self.0.binary_search_by_key(&origin, |gap| gap.origin)
    }

    /// Something of this origin has come: now it may miss what came before, or nothing any more.
    pub(super) fn note<I: Id<Origin = O>>(&mut self, now: Time, origin: O, seen: &Seen<I>) {
        let next = seen.next(origin).unwrap_or(0);
        match (self.find(origin), seen.has_gaps(origin)) {
            (Err(at), true) if self.0.len() < CAPACITY => {
                let gap =
                    Gap { origin, below: next, since: now, told: 0, from: next, asked_until: None };
                compact::insert(&mut self.0, at, gap);
            }
            (Ok(at), false) if self.0[at].told <= next => {
                self.0.remove(at);
                if self.0.is_empty() {
                    // Most peers miss nothing most of the time: keep no room for it.
                    self.0 = ThinVec::new();
                }
            }
            _ => {}
        }
    }

    /// A neighbour has this, and is sure where it begins or is not. Whether there is room to remember its origin.
    pub(super) fn told<I: Id<Origin = O>>(
        &mut self,
        now: Time,
        (span, is_sure): (Span<O>, bool),
        seen: &mut Seen<I>,
        bounds: SeenBounds,
    ) -> bool {
        let Span { origin, from, to } = span;
        if seen.next(origin).is_none() {
            // What was all before this peer's time is no matter.
            return from == to || self.told_of_unknown(now, span, bounds);
        }
        if !seen.want_from(now, origin, (from, is_sure), bounds) {
            return false;
        }
        let next = seen.next(origin).unwrap_or(0);
        // Nobody makes it look further than it could remember.
        let told = to.min(next.max(from).saturating_add(bounds.span as u64));
        if seen.gaps(origin, told).is_empty() {
            return true;
        }
        match self.find(origin) {
            Ok(at) => self.0[at].told = self.0[at].told.max(told),
            Err(at) if self.0.len() < CAPACITY => {
                let gap = Gap { origin, below: next, since: now, told, from, asked_until: None };
                compact::insert(&mut self.0, at, gap);
            }
            Err(_) => {}
        }
        true
    }

    /// Of this origin nothing has come. Hearsay alone decides nothing of it: a liar could say that it begins far
    /// ahead, and all that really comes would be taken to have been given up. So it is only asked for.
    /// And it takes only half the room.
    fn told_of_unknown(&mut self, now: Time, span: Span<O>, bounds: SeenBounds) -> bool {
        let Span { origin, from, to } = span;
        let to = to.min(from.saturating_add(bounds.span as u64));
        match self.find(origin) {
            Ok(at) => {
                let gap = &mut self.0[at];
                (gap.from, gap.told) = (gap.from.min(from), gap.told.max(to));
            }
            Err(at) if self.0.len() < CAPACITY / 2 => {
                let gap = Gap { origin, below: 0, since: now, told: to, from, asked_until: None };
                compact::insert(&mut self.0, at, gap);
            }
            Err(_) => return false,
        }
        true
    }

    /// What to ask for now, of all origins or of those told. Nobody else is asked for it before an
    /// answer was due. All origins share the room, those asked for least lately first: one of which
    /// nobody has what is missed keeps none from the others.
    pub(super) fn ask<I: Id<Origin = O>>(
        &mut self,
        now: Time,
        told: Option<&[Span<O>]>,
        seen: &Seen<I>,
        config: &Config,
    ) -> ThinVec<Span<O>> {
        let (mut spans, mut room) = (ThinVec::new(), config.batch as u64);
        let told: Option<ThinVec<O>> = told.map(|told| {
            let mut origins: ThinVec<O> = told.iter().map(|span| span.origin).collect();
            origins.sort_unstable();
            origins
        });
        let is_told = |gap: &Gap<O>| {
            told.as_ref().is_none_or(|origins| origins.binary_search(&gap.origin).is_ok())
        };
        let is_asked = |gap: &Gap<O>| gap.asked_until.is_some_and(|until| until > now);
        let due = (0..self.0.len()).filter(|at| !is_asked(&self.0[*at]) && is_told(&self.0[*at]));
        let mut due: ThinVec<usize> = due.collect();
        // Those that are only hearsay come last.
        let is_hearsay = |gap: &Gap<O>| seen.next(gap.origin).is_none();
        due.sort_by_key(|at| (is_hearsay(&self.0[*at]), self.0[*at].asked_until));
        for (place, at) in due.iter().enumerate() {
            let gap = &mut self.0[*at];
            let end = if now.since(gap.since) >= config.fetch_after() { gap.below } else { 0 };
            let mut share = room.div_ceil((due.len() - place) as u64);
            let missed = match seen.next(gap.origin) {
                Some(_) => seen.gaps(gap.origin, end.max(gap.told)),
                None => core::iter::once(gap.from..gap.told).collect(),
            };
            for missed in missed {
                if share == 0 || spans.len() == MAX_ORIGINS {
                    break;
                }
                let to = missed.end.min(missed.start.saturating_add(share));
                (share, room) = (share - (to - missed.start), room - (to - missed.start));
                spans.push(Span { origin: gap.origin, from: missed.start, to });
                gap.asked_until = Some(now.after(config.exchange_interval));
            }
        }
        spans
    }

    /// Whoever was asked has answered.
    pub(super) fn ask_again(&mut self, now: Time) {
        for gap in &mut self.0 {
            gap.asked_until = gap.asked_until.map(|until| until.min(now));
        }
    }

    /// Settles what was missed for too long: of which origins, and how much.
    pub(super) fn give_up<I: Id<Origin = O>>(
        &mut self,
        now: Time,
        seen: &mut Seen<I>,
        config: &Config,
    ) -> ThinVec<(O, u64)> {
        let mut given_up = ThinVec::new();
        self.0.retain_mut(|gap| {
            let due = now.since(gap.since) >= config.give_up_after;
            if due {
                let count = seen.give_up_below(gap.origin, gap.below);
                if count > 0 {
                    given_up.push((gap.origin, count));
                }
                // What only a neighbour spoke of is nobody's loss: it may not even exist.
                gap.told = 0;
            }
            let is_known = seen.next(gap.origin).is_some();
            if due || is_known && seen.gaps(gap.origin, gap.below).is_empty() {
                gap.since = now;
                gap.below = seen.next(gap.origin).unwrap_or(0);
            }
            gap.told > gap.below || seen.has_gaps(gap.origin)
        });
        given_up
    }

    pub(super) fn is_within(&self) -> bool {
        self.0.len() <= CAPACITY && self.0.is_sorted_by(|a, b| a.origin < b.origin)
    }
}
