//! Parts of replicas, as they are sent.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;
use murmurate::membership::Sizes;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::dot::{Dot, Runs};
use crate::key::Key;

/// A write with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<P> {
    /// Its name.
    pub dot: Dot<P>,
    /// When it was written.
    pub stamp: Stamp,
    /// Where.
    pub key: Key,
    /// What.
    pub value: Bytes,
}

/// Something that no replica says: its sender is broken or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonsense;

/// Part of a replica: of these writes, those with a value are live there, and the others are gone.
///
/// Writers are named once each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta<P> {
    writers: Vec<P>,
    runs: Vec<(u32, u64, u64)>,
    entries: Vec<(u32, u64, Stamp, Key, Bytes)>,
}

/// Writers, each named once.
#[derive(Debug)]
struct Names<P> {
    names: Vec<P>,
    places: BTreeMap<P, u32>,
}

impl<P: Ord + Copy> Names<P> {
    fn new() -> Self {
        Self { names: Vec::new(), places: BTreeMap::new() }
    }

    fn place(&mut self, writer: P) -> u32 {
        *self.places.entry(writer).or_insert_with(|| {
            self.names.push(writer);
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// Whether runs name writers and are not empty.
fn are_runs<P>(runs: &[(u32, u64, u64)], writers: &[P]) -> bool {
    runs.iter().all(|(at, first, last)| {
        (*at as usize) < writers.len() && 1 <= *first && first <= last && *last < u64::MAX
    })
}

impl<P: Ord + Copy> Delta<P> {
    /// One of these writes, of which those in `entries` are live.
    pub(crate) fn of(
        dots: impl Iterator<Item = Dot<P>>,
        entries: impl IntoIterator<Item = Written<P>>,
    ) -> Self {
        Self::of_runs(dots.map(|dot| (dot.writer, dot.number, dot.number)), entries)
    }

    /// One of these runs of writes, of which those in `entries` are live.
    pub(crate) fn of_runs(
        runs: impl Iterator<Item = (P, u64, u64)>,
        entries: impl IntoIterator<Item = Written<P>>,
    ) -> Self {
        let mut names = Names::new();
        let mut joined: Vec<(u32, u64, u64)> = Vec::new();
        for (writer, first, last) in runs {
            let at = names.place(writer);
            match joined.last_mut() {
                Some((same, _, end)) if *same == at && end.saturating_add(1) == first => {
                    *end = last;
                }
                _ => joined.push((at, first, last)),
            }
        }
        let entries = entries.into_iter().map(|written| {
            let Written { dot, stamp, key, value } = written;
            (names.place(dot.writer), dot.number, stamp, key, value)
        });
        let entries = entries.collect();
        Self { writers: names.names, runs: joined, entries }
    }

    /// The same, and these are gone.
    pub(crate) fn with_gone(self, gone: &[Dot<P>]) -> Self {
        let gone = gone.iter().map(|dot| (dot.writer, dot.number, dot.number));
        let runs: Vec<_> = self.runs().chain(gone).collect();
        Self::of_runs(runs.into_iter(), self.entries())
    }

    pub(crate) fn check(&self) -> Result<(), Nonsense> {
        let named = self.entries.iter().all(|(at, number, ..)| {
            (*at as usize) < self.writers.len() && (1..u64::MAX).contains(number)
        });
        if named && are_runs(&self.runs, &self.writers) { Ok(()) } else { Err(Nonsense) }
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (P, u64, u64)> {
        let runs = self.runs.iter();
        runs.filter_map(|(at, first, last)| Some((*self.writers.get(*at as usize)?, *first, *last)))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Written<P>> {
        (0..self.entries.len()).filter_map(|at| self.entry(at))
    }

    /// The names of the values, in the same order. A delta that was [checked](Self::check) names a writer for each.
    pub(crate) fn dots(&self) -> impl Iterator<Item = Dot<P>> {
        self.entries.iter().filter_map(|(at, number, ..)| {
            Some(Dot { writer: *self.writers.get(*at as usize)?, number: *number })
        })
    }

    pub(crate) fn entry(&self, at: usize) -> Option<Written<P>> {
        let (writer, number, stamp, key, value) = self.entries.get(at)?;
        let dot = Dot { writer: *self.writers.get(*writer as usize)?, number: *number };
        Some(Written { dot, stamp: *stamp, key: key.clone(), value: value.clone() })
    }

    /// Several as one.
    pub(crate) fn joined<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self
    where
        P: 'a,
    {
        let runs: Vec<_> = parts.clone().flat_map(Self::runs).collect();
        // What a later part replaces is not live any more.
        let mut live: BTreeMap<Dot<P>, Written<P>> = BTreeMap::new();
        for part in parts {
            for (writer, first, last) in part.runs() {
                let of = |number| Dot { writer, number };
                let gone: Vec<_> = live.range(of(first)..=of(last)).map(|(dot, _)| *dot).collect();
                for dot in gone {
                    live.remove(&dot);
                }
            }
            live.extend(part.entries().map(|written| (written.dot, written)));
        }
        Self::of_runs(runs.into_iter(), live.into_values())
    }

    /// When each of the values was written, and by whom.
    pub(crate) fn stamps(&self) -> impl Iterator<Item = (P, Stamp)> {
        self.entries
            .iter()
            .filter_map(|(at, _, stamp, ..)| Some((*self.writers.get(*at as usize)?, *stamp)))
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.entries.is_empty()
    }

    /// Bytes of it on the wire, about, without the names of writers.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.entries.iter().map(|(.., key, value)| 16 + key.name.len() + value.len());
        self.runs.len() * 8 + entries.sum::<usize>()
    }

    pub(crate) fn wire_len(&self, sizes: &Sizes) -> usize {
        self.writers.len() * sizes.peer + self.bytes()
    }
}

/// What a replica has seen, and which of it is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context<P> {
    writers: Vec<P>,
    runs: Vec<(u32, u64, u64)>,
    live: Vec<(u32, u64)>,
}

impl<P: Ord + Copy> Context<P> {
    pub(crate) fn of(
        runs: impl Iterator<Item = (P, u64, u64)>,
        live: impl Iterator<Item = Dot<P>>,
    ) -> Self {
        let mut names = Names::new();
        let runs = runs.map(|(writer, first, last)| (names.place(writer), first, last)).collect();
        let live = live.map(|dot| (names.place(dot.writer), dot.number)).collect();
        Self { writers: names.names, runs, live }
    }

    /// By writer: what was seen, and which of it is live.
    pub(crate) fn by_writer(&self) -> Result<BTreeMap<P, (Runs, Vec<u64>)>, Nonsense> {
        if !are_runs(&self.runs, &self.writers) {
            return Err(Nonsense);
        }
        let mut all: BTreeMap<P, (Runs, Vec<u64>)> = BTreeMap::new();
        for (at, first, last) in &self.runs {
            let writer = self.writers.get(*at as usize).ok_or(Nonsense)?;
            if !all.entry(*writer).or_default().0.insert(*first, *last) {
                return Err(Nonsense);
            }
        }
        for (at, number) in &self.live {
            let writer = self.writers.get(*at as usize).ok_or(Nonsense)?;
            let (runs, live) = all.get_mut(writer).ok_or(Nonsense)?;
            if !runs.contains(*number) {
                return Err(Nonsense);
            }
            live.push(*number);
        }
        for (_, live) in all.values_mut() {
            live.sort_unstable();
        }
        Ok(all)
    }

    pub(crate) fn wire_len(&self, sizes: &Sizes) -> usize {
        self.writers.len() * sizes.peer + self.runs.len() * 8 + self.live.len() * 4
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len().max(self.live.len()).max(self.writers.len())
    }
}
