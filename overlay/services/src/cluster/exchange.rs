//! With whom a node compares, one neighbour after the other, and what it tells them unasked.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

use bytes::Bytes;
use murmurate::membership::Time;
use murmurate::service::Effects;

use crate::compare::Compare;
use crate::delta::Delta;
use crate::store::{Change, Writer};

use super::{Cluster, Message, Said, Step, Timer};

/// A comparison that is silent for so long has ended.
const QUIET: Duration = Duration::from_millis(500);
/// A node begins a comparison so long after the one before.
const PAUSE: Duration = Duration::from_secs(2);
/// What is new is told after this long, and the longer the more members there are.
const SPREAD: Duration = Duration::from_millis(100);
const SPREAD_BY_MEMBER: Duration = Duration::from_micros(500);
/// What is new beyond this is left to comparisons.
const FRESH_BYTES: usize = 64 << 10;

/// Comparisons under way and to come.
#[derive(Debug, Clone)]
pub(super) struct Exchange<P> {
    /// With whom, until when if nothing comes, and whether anything was new.
    with: Option<(P, Time, bool)>,
    /// With whom next.
    later: BTreeSet<P>,
    /// With whom the last one was begun, and when.
    last: Option<(P, Time)>,
}

impl<P> Default for Exchange<P> {
    fn default() -> Self {
        Self { with: None, later: BTreeSet::new(), last: None }
    }
}

impl<P: Ord + Copy> Exchange<P> {
    /// Somebody is no neighbour any more.
    pub(super) fn end(&mut self, peer: P) {
        self.later.remove(&peer);
        if self.with.is_some_and(|(with, ..)| with == peer) {
            self.with = None;
        }
    }

    /// Whose turn it is.
    fn next(&self) -> Option<P> {
        let last = self.last.map_or(Bound::Unbounded, |(peer, _)| Bound::Excluded(peer));
        let after = self.later.range((last, Bound::Unbounded)).next();
        after.or_else(|| self.later.first()).copied()
    }
}

/// What is new and not told to the neighbours yet, and who said it.
#[derive(Debug, Clone)]
pub(super) struct Fresh<P> {
    parts: Vec<(Option<P>, Delta<P>)>,
    bytes: usize,
}

impl<P> Default for Fresh<P> {
    fn default() -> Self {
        Self { parts: Vec::new(), bytes: 0 }
    }
}

/// After how long what is new is told, in a cluster of so many members.
pub(super) fn spread_after(members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    SPREAD.saturating_add(SPREAD_BY_MEMBER.saturating_mul(members))
}

impl<P: Writer, E: Effects<P, Bytes, Cluster<P>>> Step<'_, P, E> {
    /// Tells the neighbours soon of something new that this one said, or this very node.
    pub(super) fn pass_on(&mut self, from: Option<P>, delta: Delta<P>) {
        let Fresh { parts, bytes } = &mut self.cluster.fresh;
        if *bytes > FRESH_BYTES {
            return;
        }
        *bytes += delta.bytes();
        parts.push((from, delta));
        self.arm(spread_after(self.cluster.roster.len()), Timer::Spread);
    }

    /// The same of what changed.
    fn pass_on_changes(&mut self, from: P, changes: &[Change<P>]) {
        let live = changes.iter().filter(|change| change.is_live);
        let live: Vec<_> =
            live.filter_map(|change| self.cluster.store.written(change.dot)).collect();
        let dots = changes.iter().map(|change| change.dot);
        let delta = Delta::of(dots, live);
        if !delta.is_empty() {
            self.pass_on(Some(from), delta);
        }
    }

    pub(super) fn spread(&mut self) {
        let Fresh { parts, .. } = core::mem::take(&mut self.cluster.fresh);
        for peer in &self.cluster.neighbors {
            // Nobody is told what it said.
            let parts = parts.iter().filter(|(from, _)| *from != Some(*peer));
            let news = Delta::joined(parts.map(|(_, delta)| delta));
            if !news.is_empty() {
                self.fx.send(*peer, Message(Said::News(news)));
            }
        }
    }

    pub(super) fn news(&mut self, from: P, delta: &Delta<P>) {
        self.hear(delta);
        match self.cluster.store.join(delta) {
            Ok(joined) => {
                self.pass_on_changes(from, &joined.changes);
                self.heed(joined);
            }
            Err(_) => self.cluster.counts.nonsense += 1,
        }
    }

    /// Begins a comparison.
    pub(super) fn begin(&mut self, peer: P) {
        let exchange = &mut self.cluster.exchange;
        exchange.later.remove(&peer);
        exchange.last = Some((peer, self.now));
        exchange.with = Some((peer, self.now.after(QUIET), false));
        self.fx.send(peer, Message(Said::Compare(self.cluster.store.digest())));
        self.arm(QUIET, Timer::Settle);
    }

    pub(super) fn compare_later(&mut self, peer: P) {
        self.cluster.exchange.later.insert(peer);
        self.arm(QUIET, Timer::Settle);
    }

    /// Compares with the neighbour whose turn it is.
    pub(super) fn compare_next(&mut self) {
        let neighbors = &self.cluster.neighbors;
        let last =
            self.cluster.exchange.last.map_or(Bound::Unbounded, |(peer, _)| Bound::Excluded(peer));
        let next = neighbors.range((last, Bound::Unbounded)).next().or_else(|| neighbors.first());
        if let Some(next) = next.copied() {
            self.compare_later(next);
        }
    }

    /// Ends a comparison that is silent, and begins the next one if it is time.
    pub(super) fn settle(&mut self) {
        let Cluster { exchange, neighbors, .. } = &mut *self.cluster;
        if let Some((_, until, is_news)) = exchange.with {
            if until > self.now {
                let left = until.since(self.now);
                return self.arm(left, Timer::Settle);
            }
            exchange.with = None;
            if is_news {
                // What was missed here others may have missed, too; and the answers may not have had room for all.
                exchange.later.extend(neighbors.iter().copied());
            }
        }
        let Some(next) = exchange.next() else { return };
        let due = exchange.last.map_or(self.now, |(_, at)| at.after(PAUSE));
        if due > self.now {
            let left = due.since(self.now);
            return self.arm(left, Timer::Settle);
        }
        self.begin(next);
    }

    pub(super) fn compare(&mut self, from: P, compare: Compare<P>) {
        if let Compare::Digest(sum) = &compare {
            if *sum == self.cluster.store.sum().to_le_bytes() {
                return;
            }
            // One at a time: all have much the same to say.
            let with = self.cluster.exchange.with;
            if with.is_some_and(|(with, until, _)| with != from && until > self.now) {
                return self.compare_later(from);
            }
        }
        if let Some(delta) = compare.delta() {
            self.hear(delta);
        }
        let Ok(compared) = self.cluster.store.compare(compare) else {
            self.cluster.counts.nonsense += 1;
            return;
        };
        for answer in compared.answers {
            self.fx.send(from, Message(Said::Compare(answer)));
        }
        self.exchanged(from, compared.joined.is_news);
        self.pass_on_changes(from, &compared.joined.changes);
        self.heed(compared.joined);
    }

    fn exchanged(&mut self, with: P, is_news: bool) {
        let until = self.now.after(QUIET);
        match &mut self.cluster.exchange.with {
            Some((peer, end, news)) if *peer == with => (*end, *news) = (until, *news || is_news),
            Some((_, end, _)) if *end > self.now => {}
            exchange => *exchange = Some((with, until, is_news)),
        }
        self.arm(QUIET, Timer::Settle);
    }
}
