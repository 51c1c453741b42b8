//! Anti-entropy between two replicas: they compare digests of ranges, and send what lies in those that differ.
//!
//! What is compared are the names of live writes in their order, as in range-based set reconciliation (Meyer,
//! SRDS 2023): equal digests end it with one message of 16 bytes; otherwise the range is divided, until few
//! writes are left in it. Their names are listed, with what was seen around them, which says of each that the
//! other lacks whether it is new or gone. So the cost follows the difference. Every message can be answered
//! without knowing what was said before: nothing is kept of an exchange, and one that is lost costs nothing
//! but time.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use murmurate::membership::Sizes;
use serde::{Deserialize, Serialize};

use crate::delta::{Context, Delta, Nonsense};
use crate::dot::{Dot, Range};
use crate::store::{Joined, Store, Writer};

/// Into so many parts a range is divided.
const PARTS: usize = 16;
/// So few live writes are listed rather than divided.
const FEW: usize = 64;
/// Parts in a message, at most.
const MOST_PARTS: usize = 256;
/// Names in a message, at most. Of each of the few writes there may be as many runs as are kept.
const MOST_NAMES: usize = 8_192;
/// Bytes of values in a message, about.
const PAGE: usize = 128 << 10;

/// What replicas say when they compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + serde::de::DeserializeOwned")]
pub(crate) enum Compare<P> {
    /// The digest of all.
    Digest([u8; 16]),
    /// Digests of ranges, in order.
    Parts(Vec<(Range<P>, [u8; 16])>),
    /// All live names of a range.
    Names(Range<P>, Context<P>),
    /// What the other lacks of a range.
    Page(Page<P>),
}

/// What one replica lacks of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + serde::de::DeserializeOwned")]
pub(crate) struct Page<P> {
    delta: Delta<P>,
    /// Names of which the other has the values.
    wanted: Vec<Dot<P>>,
    /// What did not fit.
    rest: Option<Range<P>>,
}

impl<P: Ord + Copy> Compare<P> {
    /// The values in it.
    pub(crate) fn delta(&self) -> Option<&Delta<P>> {
        if let Self::Page(page) = self { Some(&page.delta) } else { None }
    }

    pub(crate) const KINDS: &'static [&'static str] = &["digest", "parts", "names", "page"];

    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::Digest(_) => 0,
            Self::Parts(_) => 1,
            Self::Names(..) => 2,
            Self::Page(_) => 3,
        }
    }

    pub(crate) fn wire_len(&self, sizes: &Sizes) -> usize {
        let dot = sizes.peer + 4;
        match self {
            Self::Digest(_) => 16,
            Self::Parts(parts) => parts.len() * (2 * dot + 16),
            Self::Names(_, context) => 2 * dot + context.wire_len(sizes),
            Self::Page(Page { delta, wanted, .. }) => {
                delta.wire_len(sizes) + wanted.len() * dot + 2 * dot
            }
        }
    }
}

/// What came of a message.
#[derive(Debug)]
pub(crate) struct Compared<P> {
    pub(crate) answers: Vec<Compare<P>>,
    pub(crate) joined: Joined<P>,
}

impl<P> Default for Compared<P> {
    fn default() -> Self {
        let joined = Joined { changes: Vec::new(), refused: 0, is_news: false };
        Self { answers: Vec::new(), joined }
    }
}

impl<P: Writer> Store<P> {
    /// The first message of a comparison.
    pub(crate) fn digest(&self) -> Compare<P> {
        Compare::Digest(self.sum().to_le_bytes())
    }

    /// Answers a message of another replica.
    pub(crate) fn compare(&mut self, message: Compare<P>) -> Result<Compared<P>, Nonsense> {
        match message {
            Compare::Digest(sum) if sum == self.sum().to_le_bytes() => Ok(Compared::default()),
            Compare::Digest(sum) => self.compare(Compare::Parts(alloc::vec![(Range::ALL, sum)])),
            Compare::Parts(parts) => {
                let answers = self.compare_parts(&parts)?;
                Ok(Compared { answers, ..Compared::default() })
            }
            Compare::Names(range, context) => self.compare_names(range, &context),
            Compare::Page(page) => self.take_page(page),
        }
    }

    fn compare_parts(&self, parts: &[(Range<P>, [u8; 16])]) -> Result<Vec<Compare<P>>, Nonsense> {
        let in_order = parts.windows(2).all(
            |two| matches!((two[0].0.to, two[1].0.from), (Some(to), Some(from)) if to <= from),
        );
        if !in_order || parts.len() > MOST_PARTS || parts.iter().any(|(range, _)| !range.is_range())
        {
            return Err(Nonsense);
        }
        let mut answers = Vec::new();
        let mut divided = Vec::new();
        // Neighbouring parts with few writes are listed together.
        let mut few: Option<(Range<P>, usize)> = None;
        for (range, sum) in parts {
            if self.sum_within(range).to_le_bytes() == *sum {
                continue;
            }
            let count = self.live_within(range).count();
            if count > FEW {
                if divided.len() + PARTS <= MOST_PARTS {
                    divided.extend(self.divide(range, count));
                }
                continue;
            }
            few = Some(match few {
                Some((before, counted)) if before.to == range.from && counted + count <= FEW => {
                    (Range { from: before.from, to: range.to }, counted + count)
                }
                before => {
                    answers.extend(before.map(|(range, _)| self.names(range)));
                    (*range, count)
                }
            });
        }
        answers.extend(few.map(|(range, _)| self.names(range)));
        if !divided.is_empty() {
            answers.push(Compare::Parts(divided));
        }
        Ok(answers)
    }

    /// The parts of a range that has so many live writes, as many in each.
    fn divide(&self, range: &Range<P>, count: usize) -> Vec<(Range<P>, [u8; 16])> {
        let step = count.div_ceil(PARTS);
        let starts = self.live_within(range).map(|(dot, _)| dot).step_by(step).skip(1);
        let ends: Vec<Option<Dot<P>>> = starts.map(Some).chain([range.to]).collect();
        let mut from = range.from;
        let parts = ends.into_iter().map(|to| {
            let part = Range { from, to };
            from = to;
            (part, self.sum_within(&part).to_le_bytes())
        });
        parts.collect()
    }

    /// All live names of a range, and what was seen of their writers there.
    fn names(&self, range: Range<P>) -> Compare<P> {
        let live: Vec<Dot<P>> = self.live_within(&range).map(|(dot, _)| dot).collect();
        let writers: BTreeSet<P> = live.iter().map(|dot| dot.writer).collect();
        let seen = writers.into_iter().flat_map(|writer| {
            let runs = self.seen_within(writer, &range);
            runs.into_iter().map(move |(first, last)| (writer, first, last))
        });
        Compare::Names(range, Context::of(seen, live.iter().copied()))
    }

    fn compare_names(
        &mut self,
        range: Range<P>,
        context: &Context<P>,
    ) -> Result<Compared<P>, Nonsense> {
        if !range.is_range() || context.len() > MOST_NAMES {
            return Err(Nonsense);
        }
        let theirs = context.by_writer()?;
        let is_live = |dot: Dot<P>| {
            theirs.get(&dot.writer).is_some_and(|(_, live)| live.binary_search(&dot.number).is_ok())
        };
        let was_seen = |dot: Dot<P>| {
            theirs.get(&dot.writer).is_some_and(|(runs, _)| runs.contains(dot.number))
        };
        let mine: Vec<Dot<P>> = self.live_within(&range).map(|(dot, _)| dot).collect();
        let gone: Vec<_> =
            mine.iter().copied().filter(|dot| was_seen(*dot) && !is_live(*dot)).collect();
        let joined = self.remove(&gone).1;
        let new = mine.into_iter().filter(|dot| !was_seen(*dot));
        let live = theirs.iter().flat_map(|(writer, (_, live))| {
            live.iter().map(|number| Dot { writer: *writer, number: *number })
        });
        let live: Vec<Dot<P>> = live.filter(|dot| range.contains(*dot)).collect();
        let page = self.page(range, new, &live);
        let is_empty = page.delta.is_empty() && page.wanted.is_empty() && page.rest.is_none();
        let answers = if is_empty { Vec::new() } else { alloc::vec![Compare::Page(page)] };
        Ok(Compared { answers, joined })
    }

    /// What another replica lacks of a range: the values of `new` as far as they fit, and which of what is
    /// `live` there is gone here.
    fn page(&self, range: Range<P>, new: impl Iterator<Item = Dot<P>>, live: &[Dot<P>]) -> Page<P> {
        let mut bytes = 0;
        let mut rest = None;
        let mut entries = Vec::new();
        for dot in new {
            if bytes >= PAGE {
                rest = Some(Range { from: Some(dot), to: range.to });
                break;
            }
            if let Some(written) = self.written(dot) {
                bytes += written.value.len() + written.key.name.len() + size_of::<Dot<P>>();
                entries.push(written);
            }
        }
        let live = || live.iter().copied();
        let wanted: Vec<Dot<P>> = live().filter(|dot| !self.has_seen(*dot)).collect();
        let gone = live().filter(|dot| self.has_seen(*dot) && self.version(*dot).is_none());
        let gone = gone.map(|dot| (dot.writer, dot.number, dot.number));
        // With what is new goes what was seen around it: it is live there, or it is gone.
        let writers: BTreeSet<P> = entries.iter().map(|written| written.dot.writer).collect();
        let seen = writers.into_iter().flat_map(|writer| {
            let runs = self.seen_within(writer, &range);
            runs.into_iter().flat_map(move |run| self.without_live(writer, run))
        });
        let runs: Vec<_> = seen.chain(gone).collect();
        Page { delta: Delta::of_runs(runs.into_iter(), entries), wanted, rest }
    }

    /// The parts of a run in which nothing is live.
    pub(crate) fn without_live(&self, writer: P, (first, last): (u64, u64)) -> Vec<(P, u64, u64)> {
        let of = |number| Some(Dot { writer, number });
        let mut parts = Vec::new();
        let mut from = first;
        for (dot, _) in self.live_within(&Range { from: of(first), to: of(last.saturating_add(1)) })
        {
            if from < dot.number {
                parts.push((writer, from, dot.number - 1));
            }
            from = dot.number.saturating_add(1);
        }
        if from <= last {
            parts.push((writer, from, last));
        }
        parts
    }

    fn take_page(&mut self, page: Page<P>) -> Result<Compared<P>, Nonsense> {
        let Page { delta, wanted, rest } = page;
        if wanted.len() > MOST_NAMES || rest.is_some_and(|rest| !rest.is_range()) {
            return Err(Nonsense);
        }
        let sent: Vec<Dot<P>> = delta.entries().map(|written| written.dot).collect();
        let joined = self.join(&delta)?;
        let mut answers = Vec::new();
        // What came although it is gone here.
        let gone: Vec<Dot<P>> = sent
            .into_iter()
            .filter(|dot| self.has_seen(*dot) && self.version(*dot).is_none())
            .collect();
        if !wanted.is_empty() || !gone.is_empty() {
            let mut page = self.values(wanted);
            page.delta = page.delta.with_gone(&gone);
            answers.push(Compare::Page(page));
        }
        answers.extend(rest.map(|range| self.names(range)));
        Ok(Compared { answers, joined })
    }

    /// The values of these names, as far as they fit: whoever wants the others compares again.
    fn values(&self, wanted: Vec<Dot<P>>) -> Page<P> {
        let mut bytes = 0;
        let mut entries = Vec::new();
        let mut gone = Vec::new();
        for dot in wanted {
            match self.written(dot) {
                Some(written) if bytes < PAGE => {
                    bytes += written.value.len() + written.key.name.len();
                    entries.push(written);
                }
                Some(_) => break,
                None if self.has_seen(dot) => gone.push(dot),
                None => {}
            }
        }
        Page { delta: Delta::of(gone.into_iter(), entries), wanted: Vec::new(), rest: None }
    }
}
