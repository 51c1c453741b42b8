//! What came of one origin's broadcasts.

use core::ops::Range;

use thin_vec::ThinVec;

const WORD: u64 = u64::BITS as u64;

/// So many sequences below the first that was seen are remembered too: they may be on their way, or
/// turn out to be this peer's business.
const LOOK_BACK: u64 = 16 * WORD;
/// The same once it is known from where on they are.
const LATE: u64 = WORD;

/// One origin's sequences: decided below a base, one bit each from there on.
///
/// Decided is what was seen or given up. What is not and lies at or above `wanted_from` is missed
/// as soon as a later one is known.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Progress {
    /// Everything below is decided. A multiple of 64.
    base: u64,
    /// From `base` on: the first word here, where most origins need no other.
    word: u64,
    more: ThinVec<u64>,
    /// What came before was published before this peer's time, as far as it knows.
    wanted_from: u64,
    /// Whether it does know: somebody told, or nothing came before.
    is_sure: bool,
}

impl Progress {
    /// Of an origin nothing was known of, when this is the first that counts.
    pub(crate) fn starting_at(sequence: u64, span: u64) -> Self {
        let back = LOOK_BACK.min(span / WORD * WORD);
        let base = (sequence / WORD * WORD).saturating_sub(back);
        Self { base, word: 0, more: ThinVec::new(), wanted_from: sequence, is_sure: sequence == 0 }
    }

    /// One more than the highest decided sequence.
    pub(crate) fn next(&self) -> u64 {
        let words = self.more.len() as u64;
        match self.more.last() {
            Some(last) => self.base + (words + 1) * WORD - u64::from(last.leading_zeros()),
            None => self.base + WORD - u64::from(self.word.leading_zeros()),
        }
    }

    pub(crate) fn is_decided(&self, sequence: u64) -> bool {
        let Some(offset) = sequence.checked_sub(self.base) else { return true };
        let word = match (offset / WORD).checked_sub(1) {
            None => self.word,
            Some(at) => match usize::try_from(at).ok().and_then(|at| self.more.get(at)) {
                Some(word) => *word,
                None => return false,
            },
        };
        word >> (offset % WORD) & 1 == 1
    }

    /// Decides one that is not decided yet. Of those it leaves behind, more than `span` below it,
    /// the missed ones are given up: how many.
    pub(crate) fn decide(&mut self, sequence: u64, span: u64) -> u64 {
        // The top of the range would end the arithmetic: no honest origin gets there.
        let sequence = sequence.min(u64::MAX - 2 * WORD);
        let lowest = (sequence / WORD * WORD).saturating_sub(span.next_multiple_of(WORD));
        let given_up = if lowest > self.base { self.give_up_below(lowest) } else { 0 };
        // Whoever got this one misses those that came after it.
        self.wanted_from = self.wanted_from.min(sequence.max(self.base));
        self.set(sequence);
        self.advance();
        given_up
    }

    /// Settles what is missed below `sequence`: how many that were.
    pub(crate) fn give_up_below(&mut self, sequence: u64) -> u64 {
        let mut given_up = 0;
        for gap in self.gaps(sequence) {
            given_up += gap.end - gap.start;
        }
        let last = sequence / WORD * WORD;
        while self.base < last {
            if self.more.is_empty() && self.word == 0 {
                self.base = last;
                break;
            }
            self.shift();
        }
        for rest in self.base.max(self.wanted_from)..sequence {
            self.set(rest);
        }
        self.advance();
        given_up
    }

    /// Whether it is known from where on its broadcasts are this peer's business.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// From here on its broadcasts are this peer's business, unless they are decided; said by somebody
    /// who is sure or is not.
    pub(crate) fn want_from(&mut self, sequence: u64, is_sure: bool) {
        self.is_sure |= is_sure;
        self.wanted_from = self.wanted_from.min(sequence.max(self.base));
    }

    /// What is missed below `end`, in order.
    pub(crate) fn gaps(&self, end: u64) -> ThinVec<Range<u64>> {
        let mut gaps: ThinVec<Range<u64>> = ThinVec::new();
        let mut at = self.base.max(self.wanted_from);
        while at < end {
            let past = at >= self.base + (self.more.len() as u64 + 1) * WORD;
            if past {
                extend(&mut gaps, at..end);
                break;
            }
            if !self.is_decided(at) {
                extend(&mut gaps, at..at + 1);
            }
            at += 1;
        }
        gaps
    }

    /// Whether anything is missed below what was decided.
    pub(crate) fn has_gaps(&self) -> bool {
        let next = self.next();
        let from = self.base.max(self.wanted_from);
        // In order: all from `from` to `next` is decided, and mostly within the first word.
        if self.more.is_empty() {
            let low = (from - self.base).min(WORD);
            let decided = (self.word.checked_shr(low as u32).unwrap_or(0)).trailing_ones();
            return next > from && u64::from(decided) < next - from;
        }
        (from..next).any(|sequence| !self.is_decided(sequence))
    }

    /// Words of memory it takes beyond its own size.
    pub(crate) fn words(&self) -> usize {
        self.more.len()
    }

    fn set(&mut self, sequence: u64) {
        let Some(offset) = sequence.checked_sub(self.base) else { return };
        let bit = 1 << (offset % WORD);
        match (offset / WORD).checked_sub(1) {
            None => self.word |= bit,
            Some(at) => {
                let at = at as usize;
                if at >= self.more.len() {
                    self.more.reserve_exact(at + 1 - self.more.len());
                    self.more.resize(at + 1, 0);
                }
                self.more[at] |= bit;
            }
        }
    }

    /// Moves the base past what is decided, or was never wanted and is far behind.
    fn advance(&mut self) {
        loop {
            let below = self.wanted_from.saturating_sub(self.base).min(WORD);
            let unwanted = 1u64.checked_shl(below as u32).map_or(u64::MAX, |bit| bit - 1);
            let is_far = self.is_sure && self.more.len() as u64 * WORD > LATE;
            if self.word != u64::MAX && !(is_far && self.word | unwanted == u64::MAX) {
                return;
            }
            self.shift();
        }
    }

    fn shift(&mut self) {
        self.base += WORD;
        self.word = if self.more.is_empty() { 0 } else { self.more.remove(0) };
        if self.more.is_empty() {
            self.more = ThinVec::new();
        }
    }
}

fn extend(gaps: &mut ThinVec<Range<u64>>, range: Range<u64>) {
    match gaps.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => gaps.push(range),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_order_nothing_grows() {
        let mut progress = Progress::starting_at(5, 256);
        progress.want_from(5, true);
        for sequence in 5..10_000 {
            assert!(!progress.is_decided(sequence));
            assert_eq!(progress.decide(sequence, 256), 0);
            assert!(progress.is_decided(sequence));
            assert_eq!(progress.next(), sequence + 1);
            assert!(!progress.has_gaps());
            assert!(progress.words() <= 2, "{progress:?}");
        }
    }

    #[test]
    fn what_came_before_the_first_may_still_come_and_is_not_missed() {
        let mut progress = Progress::starting_at(1_000, 256);
        progress.decide(1_000, 256);
        assert!(!progress.has_gaps());
        assert!(!progress.is_decided(999));
        progress.want_from(998, true);
        assert!(progress.has_gaps());
        let gaps = progress.gaps(progress.next());
        assert_eq!((gaps.len(), gaps[0].clone()), (1, 998..1_000));
        progress.decide(999, 256);
        progress.decide(998, 256);
        assert!(!progress.has_gaps());
    }

    #[test]
    fn a_jump_to_the_end_of_numbers_is_survived() {
        let mut progress = Progress::starting_at(0, 256);
        progress.decide(0, 256);
        assert!(progress.decide(u64::MAX, 256) > 1 << 60);
        assert!(progress.is_decided(1));
        assert!(progress.words() <= 5);
        progress.decide(u64::MAX - 1, 256);
        progress.want_from(0, true);
        assert!(progress.next() > 1 << 60);
    }

    proptest! {
        /// Against the obvious model: each sequence is decided once, and what is told as given up
        /// is what was wanted and never came.
        #[test]
        fn decides_each_once(
            start in 0..500u64,
            steps in proptest::collection::vec((0..9u8, 0..700u64), 1..300),
        ) {
            const SPAN: u64 = 256;
            let mut progress = Progress::starting_at(start, SPAN);
            let (mut seen, mut given_up) = (BTreeSet::new(), 0);
            let mut wanted_from = start;
            for (what, sequence) in steps {
                match what {
                    0 => {
                        given_up += progress.give_up_below(sequence.min(progress.next()));
                    }
                    1 => {
                        progress.want_from(sequence, true);
                        wanted_from = wanted_from.min(sequence);
                    }
                    _ if !progress.is_decided(sequence) => {
                        prop_assert!(seen.insert(sequence), "{sequence} twice");
                        wanted_from = wanted_from.min(sequence);
                        given_up += progress.decide(sequence, SPAN);
                        prop_assert!(progress.is_decided(sequence));
                    }
                    _ => {}
                }
                prop_assert!(seen.iter().all(|seen| progress.is_decided(*seen)));
                prop_assert!(progress.words() as u64 * WORD <= SPAN + 2 * WORD);
                let missing = progress.gaps(progress.next());
                let missing: u64 = missing.iter().map(|gap| gap.end - gap.start).sum();
                prop_assert_eq!(progress.has_gaps(), missing > 0);
                let wanted = seen.iter().filter(|seen| **seen >= wanted_from).count() as u64;
                prop_assert!(missing + given_up + wanted <= progress.next() - wanted_from.min(progress.next()));
            }
        }
    }
}
