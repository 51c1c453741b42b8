//! The kernel: a map of dotted values that replicas join, as a delta-state CRDT (Almeida, Shoker, Baquero:
//! *Delta State Replicated Data Types*, JPDC 2018).
//!
//! Of each write, a replica has not heard, or it is *live*, or it is *gone*: overwritten or removed. That is
//! also the order in which a write goes through them, so replicas join by taking the later of the two.
//! A replica keeps the values of live writes, and of all others only that they were seen, as runs of numbers
//! (the causal context, section 4): a removal leaves nothing behind that had to be collected.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::hash::Hash;

use bytes::Bytes;
use murmurate::membership::{Peer, Violation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::clock::Stamp;
use crate::delta::{Context, Delta, Nonsense, Written};
use crate::dot::{Dot, Range, Runs, VersionVector};
use crate::key::{Key, Space};

/// A peer that replicated state can be about: it is encoded and hashed.
pub trait Writer:
    Peer<Node: Serialize + DeserializeOwned> + Hash + Serialize + DeserializeOwned
{
}
impl<P> Writer for P where
    P: Peer<Node: Serialize + DeserializeOwned> + Hash + Serialize + DeserializeOwned
{
}

/// Bounds of a replica. What goes beyond them is refused, locally by an error, and from others counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Keys with live values.
    pub keys: usize,
    /// Bytes of a key's name.
    pub key_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Bytes of all that one incarnation wrote and that is live. Each value counts 128 bytes more than its own
    /// and its key's.
    pub writer_bytes: usize,
    /// Bytes of all that is live, counted likewise.
    pub replica_bytes: usize,
    /// Incarnations whose writes are known.
    pub writers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys: 1_000_000,
            key_bytes: 1_024,
            value_bytes: 65_536,
            writer_bytes: 64 << 20,
            replica_bytes: 256 << 20,
            writers: 65_536,
        }
    }
}

/// Why something finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// There are [`Limits::keys`].
    Keys,
    /// The name is longer than [`Limits::key_bytes`].
    Key,
    /// The value is longer than [`Limits::value_bytes`].
    Value,
    /// The writer has [`Limits::writer_bytes`].
    Writer,
    /// The replica has [`Limits::replica_bytes`].
    Replica,
    /// There are [`Limits::writers`].
    Writers,
}

/// A live value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<P> {
    /// Its name.
    pub dot: Dot<P>,
    /// When it was written.
    pub stamp: Stamp,
    /// What was written.
    pub value: Bytes,
}

/// What a join or a write changed. Of one that replaces another, the new one comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<P> {
    /// Where.
    pub key: Key,
    /// Which write.
    pub dot: Dot<P>,
    /// Whether it is live now, or gone.
    pub is_live: bool,
}

/// What became of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined<P> {
    /// What changed, in this order.
    pub changes: Vec<Change<P>>,
    /// Values that found no room. They count as not heard of.
    pub refused: usize,
    /// Whether anything was new, also what was gone before it came.
    pub is_news: bool,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<P> {
    /// Its name.
    pub dot: Dot<P>,
    /// What others need to join.
    pub delta: Delta<P>,
    /// What it changed here.
    pub joined: Joined<P>,
}

/// State that replicas join: whatever has it is kept in step by the same comparisons and deltas.
///
/// `join` is commutative, associative and idempotent, and a delta that was joined before, or parts of it,
/// change nothing.
pub trait DeltaState {
    /// What was seen.
    type Context;
    /// Part of a state.
    type Delta;
    /// Takes in part of another replica's state. Returns whether anything was new.
    ///
    /// # Errors
    /// [`Nonsense`] if no replica can have said this. Nothing was taken in.
    fn join(&mut self, delta: &Self::Delta) -> Result<bool, Nonsense>;
    /// What was seen here.
    fn context(&self) -> Self::Context;
    /// What a replica that has seen `context` lacks.
    fn delta_since(&self, context: &Self::Context) -> Self::Delta;
    /// Whether all invariants hold.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not.
    fn check(&self) -> Result<(), Violation>;
}

/// What is counted of a value beside its bytes and its key's.
const OVERHEAD: usize = 128;

#[derive(Debug, Clone, Default)]
struct Seen {
    runs: Runs,
    bytes: usize,
}

/// A replica.
#[derive(Debug, Clone)]
pub struct Store<P> {
    entries: BTreeMap<Key, Vec<Version<P>>>,
    live: BTreeMap<Dot<P>, Key>,
    seen: BTreeMap<P, Seen>,
    /// Of what is live: equal sums are equal replicas, but for one chance in 2^128.
    sum: u128,
    bytes: usize,
    limits: Limits,
    /// What was written later than this is not taken.
    until: Stamp,
}

pub(crate) fn digest(item: impl Hash) -> u128 {
    let mut hasher = SipHasher13::new();
    item.hash(&mut hasher);
    hasher.finish128().as_u128()
}

/// The name of the keys that belong to a node.
pub(crate) fn owner<P: Writer>(node: P::Node) -> Bytes {
    postcard::to_allocvec(&node).map(Bytes::from).unwrap_or_default()
}

impl<P: Writer> Store<P> {
    /// An empty replica.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            entries: BTreeMap::new(),
            live: BTreeMap::new(),
            seen: BTreeMap::new(),
            sum: 0,
            bytes: 0,
            limits,
            until: Stamp::MAX,
        }
    }

    /// From now on what others wrote later than `until` counts as not heard of.
    pub fn take_until(&mut self, until: Stamp) {
        self.until = until;
    }

    /// The live values of a key, by their dots. Where the latest counts there is one.
    #[must_use]
    pub fn get(&self, key: &Key) -> &[Version<P>] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }

    /// All keys of a space whose names begin with `prefix`, in order, and their live values.
    pub fn range<'a>(
        &'a self,
        space: Space,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a Key, &'a [Version<P>])> {
        let from = Key::new(space, Bytes::copy_from_slice(prefix));
        let all = self.entries.range(from..);
        let all =
            all.take_while(move |(key, _)| key.space == space && key.name.starts_with(prefix));
        all.map(|(key, versions)| (key, versions.as_slice()))
    }

    /// What this writer wrote and is live, in the order in which it was written.
    pub fn written_by(&self, writer: P) -> impl Iterator<Item = (Dot<P>, &Key)> {
        let of = |number| Dot { writer, number };
        self.live.range(of(0)..=of(u64::MAX)).map(|(dot, key)| (*dot, key))
    }

    /// A live value by its name.
    #[must_use]
    pub fn version(&self, dot: Dot<P>) -> Option<&Version<P>> {
        let versions = self.get(self.live.get(&dot)?);
        versions.iter().find(|version| version.dot == dot)
    }

    /// Whether a write was heard of.
    #[must_use]
    pub fn has_seen(&self, dot: Dot<P>) -> bool {
        self.seen.get(&dot.writer).is_some_and(|seen| seen.runs.contains(dot.number))
    }

    /// Everybody whose writes are known.
    pub fn writers(&self) -> impl Iterator<Item = P> {
        self.seen.keys().copied()
    }

    /// How far each writer's writes are known.
    #[must_use]
    pub fn version_vector(&self) -> VersionVector<P> {
        VersionVector::of(self.seen.iter().map(|(writer, seen)| (*writer, seen.runs.last())))
    }

    /// Keys with live values.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of what is live, as [`Limits`] counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The digest of what is live: replicas of which it is equal keep the same.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Whether a write of `value` would find room if it replaced these.
    ///
    /// # Errors
    /// [`Full`] names the bound.
    pub fn room(
        &self,
        writer: P,
        key: &Key,
        value: &Bytes,
        replaces: &[Dot<P>],
    ) -> Result<(), Full> {
        let Limits { keys, key_bytes, value_bytes, writer_bytes, replica_bytes, writers } =
            self.limits;
        let size = size(key, value);
        let freed = |of: Option<P>| -> usize {
            let freed = replaces.iter().filter(|dot| of.is_none_or(|writer| dot.writer == writer));
            freed.filter_map(|dot| self.version(*dot)).map(|old| self::size(key, &old.value)).sum()
        };
        let written = self.seen.get(&writer).map(|seen| seen.bytes);
        let bounds = [
            (key.name.len() > key_bytes, Full::Key),
            (value.len() > value_bytes, Full::Value),
            (written.is_none() && self.seen.len() >= writers, Full::Writers),
            (self.entries.len() >= keys && !self.entries.contains_key(key), Full::Keys),
            (
                (written.unwrap_or(0) + size).saturating_sub(freed(Some(writer))) > writer_bytes,
                Full::Writer,
            ),
            ((self.bytes + size).saturating_sub(freed(None)) > replica_bytes, Full::Replica),
        ];
        bounds.into_iter().find(|(is_over, _)| *is_over).map_or(Ok(()), |(_, full)| Err(full))
    }

    /// `writer` writes `value` in place of these live values of the key.
    ///
    /// # Errors
    /// [`Full`]: nothing was written.
    pub fn put(
        &mut self,
        writer: P,
        key: Key,
        (stamp, value): (Stamp, Bytes),
        replaces: &[Dot<P>],
    ) -> Result<Put<P>, Full> {
        self.room(writer, &key, &value, replaces)?;
        let last = self.seen.get(&writer).map_or(0, |seen| seen.runs.last());
        let dot = Dot { writer, number: last.saturating_add(1) };
        let delta =
            Delta::of(replaces.iter().copied().chain([dot]), [Written { dot, stamp, key, value }]);
        // Its own writer's clock is the one to go by.
        let until = core::mem::replace(&mut self.until, Stamp::MAX);
        let joined = self.take(&delta);
        self.until = until;
        Ok(Put { dot, delta, joined })
    }

    /// These live values are gone. Returns what others need to join.
    pub fn remove(&mut self, dots: &[Dot<P>]) -> (Delta<P>, Joined<P>) {
        let delta = Delta::of(dots.iter().copied(), []);
        let joined = self.take(&delta);
        (delta, joined)
    }

    /// A writer is no more: what it wrote in spaces that go with their writers is gone. All replicas do so of the
    /// same writers, each in its time.
    pub(crate) fn retire(&mut self, writer: P) -> Vec<Change<P>> {
        let gone = self.written_by(writer).filter(|(_, key)| key.space.goes_with_writer());
        let gone: Vec<Dot<P>> = gone.map(|(dot, _)| dot).collect();
        gone.into_iter().filter_map(|dot| self.drop_live(dot)).collect()
    }

    /// All of a writer's writes that are gone.
    pub(crate) fn gone_of(&self, writer: P) -> Delta<P> {
        let seen = self.seen_within(writer, &Range::ALL).into_iter();
        let runs: Vec<_> = seen.flat_map(|run| self.without_live(writer, run)).collect();
        Delta::of_runs(runs.into_iter(), [])
    }

    /// Forgets that a writer ever was, unless something of it is live.
    pub(crate) fn forget(&mut self, writer: P) {
        if self.written_by(writer).next().is_none() {
            self.seen.remove(&writer);
        }
    }

    /// Joins what another replica said.
    ///
    /// # Errors
    /// [`Nonsense`] if no replica can have said this: nothing was taken in.
    pub fn join(&mut self, delta: &Delta<P>) -> Result<Joined<P>, Nonsense> {
        delta.check()?;
        Ok(self.take(delta))
    }

    fn take(&mut self, delta: &Delta<P>) -> Joined<P> {
        let mut joined = Joined { changes: Vec::new(), refused: 0, is_news: false };
        let mut gone_before = Vec::new();
        // Mostly nothing that is live is in a run, and nobody asks.
        let stays: OnceCell<BTreeSet<Dot<P>>> = OnceCell::new();
        let stays = || stays.get_or_init(|| delta.dots().collect());
        for (writer, first, last) in delta.runs() {
            let of = |number| Dot { writer, number };
            let gone = self.live.range(of(first)..=of(last)).map(|(dot, _)| *dot);
            let gone: Vec<_> = gone.filter(|dot| !stays().contains(dot)).collect();
            for dot in gone {
                gone_before.extend(self.drop_live(dot));
            }
        }
        // What is refused counts as not heard of: it is left out of the runs.
        let mut refused: Vec<Dot<P>> = Vec::new();
        let new = delta.dots().enumerate().filter(|(_, dot)| !self.has_seen(*dot));
        for at in new.map(|(at, _)| at).collect::<Vec<_>>() {
            let Some(written) = delta.entry(at) else { continue };
            match self.admit(written, &mut joined.changes) {
                Ok(()) => joined.is_news = true,
                Err(dot) => refused.push(dot),
            }
        }
        joined.refused = refused.len();
        refused.sort_unstable();
        for (writer, first, last) in delta.runs() {
            let mut from = first;
            let within = refused.iter().filter(|dot| dot.writer == writer);
            for dot in within.filter(|dot| (first..=last).contains(&dot.number)) {
                if from < dot.number {
                    joined.is_news |= self.see(writer, from, dot.number - 1);
                }
                from = dot.number.saturating_add(1);
            }
            if from <= last {
                joined.is_news |= self.see(writer, from, last);
            }
        }
        joined.changes.append(&mut gone_before);
        joined.is_news |= !joined.changes.is_empty();
        joined
    }

    /// Takes in a write that was not heard of, or returns its name: there is no room.
    fn admit(&mut self, written: Written<P>, changes: &mut Vec<Change<P>>) -> Result<(), Dot<P>> {
        let Written { dot, stamp, key, value } = written;
        let owned = key.space.is_owned();
        if stamp > self.until || owned && owner::<P>(dot.writer.node()) != key.name {
            return Err(dot);
        }
        let rank = |stamp, dot: Dot<P>| if owned { (Stamp::ZERO, dot) } else { (stamp, dot) };
        let others: Vec<_> = if key.space.keeps_latest() {
            self.get(&key).iter().map(|other| (rank(other.stamp, other.dot), other.dot)).collect()
        } else {
            Vec::new()
        };
        // It was overwritten already.
        if others.iter().any(|(other, _)| *other > rank(stamp, dot)) {
            return if self.see(dot.writer, dot.number, dot.number) { Ok(()) } else { Err(dot) };
        }
        let replaced: Vec<Dot<P>> = others.into_iter().map(|(_, other)| other).collect();
        if self.room(dot.writer, &key, &value, &replaced).is_err()
            || !self.see(dot.writer, dot.number, dot.number)
        {
            return Err(dot);
        }
        let gone: Vec<_> = replaced.into_iter().filter_map(|other| self.drop_live(other)).collect();
        let size = size(&key, &value);
        self.bytes += size;
        self.seen.entry(dot.writer).or_default().bytes += size;
        self.sum = self.sum.wrapping_add(digest(dot));
        let versions = self.entries.entry(key.clone()).or_default();
        let at = versions.partition_point(|other| other.dot < dot);
        versions.insert(at, Version { dot, stamp, value });
        self.live.insert(dot, key.clone());
        changes.push(Change { key, dot, is_live: true });
        changes.extend(gone);
        Ok(())
    }

    fn drop_live(&mut self, dot: Dot<P>) -> Option<Change<P>> {
        let key = self.live.remove(&dot)?;
        let versions = self.entries.get_mut(&key)?;
        let at = versions.iter().position(|version| version.dot == dot)?;
        let size = size(&key, &versions.remove(at).value);
        if versions.is_empty() {
            self.entries.remove(&key);
        }
        self.bytes -= size;
        if let Some(seen) = self.seen.get_mut(&dot.writer) {
            seen.bytes -= size;
        }
        self.sum = self.sum.wrapping_sub(digest(dot));
        Some(Change { key, dot, is_live: false })
    }

    /// Notes that these writes were seen. Returns whether they were not, and there is room to know it.
    fn see(&mut self, writer: P, first: u64, last: u64) -> bool {
        if !self.seen.contains_key(&writer) && self.seen.len() >= self.limits.writers {
            return false;
        }
        let runs = &mut self.seen.entry(writer).or_default().runs;
        !runs.contain(first, last) && runs.insert(first, last)
    }
}

impl<P: Writer> DeltaState for Store<P> {
    type Context = Context<P>;
    type Delta = Delta<P>;

    fn join(&mut self, delta: &Delta<P>) -> Result<bool, Nonsense> {
        Ok(Self::join(self, delta)?.is_news)
    }

    fn context(&self) -> Context<P> {
        let seen = self.seen.keys().flat_map(|writer| {
            let runs = self.seen_within(*writer, &Range::ALL).into_iter();
            runs.map(|(first, last)| (*writer, first, last))
        });
        Context::of(seen, self.live.keys().copied())
    }

    fn delta_since(&self, context: &Context<P>) -> Delta<P> {
        let theirs = context.by_writer().unwrap_or_default();
        let has = |dot: Dot<P>| {
            theirs.get(&dot.writer).is_some_and(|(runs, _)| runs.contains(dot.number))
        };
        let new = self.live.keys().filter(|dot| !has(**dot));
        let entries: Vec<_> = new.filter_map(|dot| self.written(*dot)).collect();
        // What is live on both sides is not told again; of the rest, what has no value is gone.
        let seen = self.seen.keys().flat_map(|writer| {
            let runs = self.seen_within(*writer, &Range::ALL).into_iter();
            runs.flat_map(|run| self.without_live(*writer, run))
        });
        let runs: Vec<_> = seen.collect();
        Delta::of_runs(runs.into_iter(), entries)
    }

    fn check(&self) -> Result<(), Violation> {
        Self::check(self)
    }
}

/// What is compared of parts of a replica: see [`compare`](crate::compare).
impl<P: Writer> Store<P> {
    /// What was seen of a writer within a range of dots.
    pub(crate) fn seen_within(&self, writer: P, range: &Range<P>) -> Vec<(u64, u64)> {
        let of = |number| Dot { writer, number };
        let (first, last) = (of(0), of(u64::MAX));
        let from = range.from.map_or(first, |from| from.max(first));
        // No write has the last number.
        let to = range.to.map_or(last, |to| to.min(last));
        let runs = self.seen.get(&writer).filter(|_| from < to && from.writer == writer);
        runs.map_or_else(Vec::new, |seen| seen.runs.within(from.number, to.number - 1).collect())
    }

    /// What is live within a range of dots.
    pub(crate) fn live_within(&self, range: &Range<P>) -> impl Iterator<Item = (Dot<P>, &Key)> {
        self.live.range(range.bounds()).map(|(dot, key)| (*dot, key))
    }

    /// The digest of a range.
    pub(crate) fn sum_within(&self, range: &Range<P>) -> u128 {
        self.live_within(range).map(|(dot, _)| digest(dot)).fold(0, u128::wrapping_add)
    }

    /// A live write as it is sent.
    pub(crate) fn written(&self, dot: Dot<P>) -> Option<Written<P>> {
        let key = self.live.get(&dot)?;
        let version = self.get(key).iter().find(|version| version.dot == dot)?;
        let Version { stamp, ref value, .. } = *version;
        Some(Written { dot, stamp, key: key.clone(), value: value.clone() })
    }
}

impl<P: Writer> Store<P> {
    /// Whether all invariants hold. It takes as long as the replica is large.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not.
    pub fn check(&self) -> Result<(), Violation> {
        let versions =
            || self.entries.iter().flat_map(|(key, all)| all.iter().map(move |v| (key, v)));
        let of_entries: BTreeMap<Dot<P>, &Key> = versions().map(|(key, v)| (v.dot, key)).collect();
        let indexed = of_entries.len() == versions().count()
            && of_entries.iter().map(|(dot, key)| (*dot, *key)).eq(self.live_within(&Range::ALL));
        Violation::unless(indexed, "the index has what is live", || {
            format!("{} entries, {} in the index", versions().count(), self.live.len())
        })?;
        let unseen = self.live.keys().find(|dot| !self.has_seen(**dot));
        Violation::unless(unseen.is_none(), "what is live was seen", || format!("{unseen:?}"))?;
        let unsound = self.seen.iter().find(|(_, seen)| !seen.runs.is_sound());
        Violation::unless(unsound.is_none(), "runs are apart", || format!("{unsound:?}"))?;
        let crowded = self
            .entries
            .iter()
            .find(|(key, all)| all.is_empty() || key.space.keeps_latest() && all.len() > 1);
        Violation::unless(crowded.is_none(), "a key has the values it may have", || {
            format!("{crowded:?}")
        })?;
        Violation::unless(self.sum == self.sum_within(&Range::ALL), "the digest is right", || {
            format!("{:032x}", self.sum)
        })?;
        let bytes: usize = versions().map(|(key, version)| size(key, &version.value)).sum();
        let by_writer: usize = self.seen.values().map(|seen| seen.bytes).sum();
        Violation::unless(bytes == self.bytes && bytes == by_writer, "bytes are counted", || {
            format!("{bytes}, {} by replica, {by_writer} by writer", self.bytes)
        })?;
        let is_within = self.bytes <= self.limits.replica_bytes
            && self.entries.len() <= self.limits.keys
            && self.seen.len() <= self.limits.writers;
        Violation::unless(is_within, "the replica is within its bounds", || {
            format!(
                "{} bytes, {} keys, {} writers",
                self.bytes,
                self.entries.len(),
                self.seen.len()
            )
        })
    }
}

fn size(key: &Key, value: &Bytes) -> usize {
    OVERHEAD + key.name.len() + value.len()
}
