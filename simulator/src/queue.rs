//! Where events wait: those of a part's own nodes in its wheel, those of others' in its mail.

use std::num::NonZeroUsize;

use crate::engine::SimStack;
use crate::host::Event;
use crate::wheel::Wheel;

/// How nodes are dealt out to parts: in turn, so that parts stay even however many nodes start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deal {
    parts: usize,
}

impl Deal {
    /// Among so many parts.
    pub(crate) fn new(parts: NonZeroUsize) -> Self {
        Self { parts: parts.get() }
    }

    /// How many parts there are.
    pub(crate) fn parts(self) -> usize {
        self.parts
    }

    /// Which part node `index` belongs to.
    #[inline]
    pub(crate) fn part(self, index: usize) -> usize {
        // Dividing costs more than all the rest of this, and mostly there is one part.
        if self.parts == 1 { 0 } else { (index as u32 % self.parts as u32) as usize }
    }

    /// Its place among the nodes of that part.
    #[inline]
    pub(crate) fn place(self, index: usize) -> usize {
        if self.parts == 1 { index } else { (index as u32 / self.parts as u32) as usize }
    }
}

/// The events that one part has for another.
#[derive(Debug, Clone)]
struct Letters<T> {
    events: Vec<T>,
    /// No event among them comes before.
    earliest: u64,
}

impl<T> Letters<T> {
    fn none() -> Self {
        Self { events: Vec::new(), earliest: u64::MAX }
    }
}

/// The events that wait in one part.
#[derive(Debug, Clone)]
pub(crate) struct Queue<P: SimStack> {
    part: usize,
    deal: Deal,
    wheel: Wheel<Event<P>>,
    /// By part: what is to go there, and what came from there.
    outgoing: Vec<Letters<Event<P>>>,
    incoming: Vec<Letters<Event<P>>>,
}

impl<P: SimStack> Queue<P> {
    /// The queue of `part` among those of `deal`, with buckets no wider than `lookahead`.
    pub(crate) fn new(deal: Deal, part: usize, lookahead: u64) -> Self {
        let letters = || (0..deal.parts()).map(|_| Letters::none()).collect();
        Self { part, deal, wheel: Wheel::new(lookahead), outgoing: letters(), incoming: letters() }
    }

    /// Nanoseconds that a bucket spans.
    pub(crate) fn width(&self) -> u64 {
        self.wheel.width()
    }

    /// Queues an event for any node.
    #[inline]
    pub(crate) fn push(&mut self, event: Event<P>) {
        let part = self.deal.part(event.to.index());
        if part == self.part {
            self.push_own(event);
        } else {
            let letters = &mut self.outgoing[part];
            letters.earliest = letters.earliest.min(event.time);
            letters.events.push(event);
        }
    }

    /// Queues an event for a node of this part.
    #[inline]
    pub(crate) fn push_own(&mut self, event: Event<P>) {
        self.wheel.push(event.time, event);
    }

    /// Sets the events of this part's nodes for which `is_wanted` holds to other times.
    pub(crate) fn retime(
        &mut self,
        is_wanted: impl Fn(&Event<P>) -> bool,
        new_time: impl Fn(&Event<P>) -> u64,
    ) {
        for mut event in self.wheel.extract(is_wanted) {
            event.time = new_time(&event);
            self.push_own(event);
        }
    }

    /// How many events wait for nodes of this part, once all mail has been exchanged.
    pub(crate) fn len(&self) -> usize {
        self.wheel.len() + self.incoming.iter().map(|letters| letters.events.len()).sum::<usize>()
    }

    /// None of them comes before this time.
    pub(crate) fn next(&self) -> Option<u64> {
        let mail = self.incoming.iter().map(|letters| letters.earliest).min();
        let mail = mail.filter(|time| *time < u64::MAX).map(|time| time & !(self.width() - 1));
        self.wheel.next().into_iter().chain(mail).min()
    }

    /// Moves the events of the next bucket that starts before `limit` into `into`.
    pub(crate) fn drain(&mut self, limit: u64, into: &mut Vec<Event<P>>) {
        for letters in &mut self.incoming {
            letters.earliest = u64::MAX;
            for event in letters.events.drain(..) {
                self.wheel.push(event.time, event);
            }
        }
        self.wheel.drain(limit, into, |event| event.time);
    }

    /// Hands what each has for the other over.
    pub(crate) fn exchange(&mut self, other: &mut Self) {
        let (this, that) = (self.part, other.part);
        hand_over(&mut self.outgoing[that], &mut other.incoming[this]);
        hand_over(&mut other.outgoing[this], &mut self.incoming[that]);
    }
}

/// Moves all letters. Mostly the earlier ones were taken in, and their room goes back for new ones.
fn hand_over<T>(from: &mut Letters<T>, to: &mut Letters<T>) {
    if to.events.is_empty() {
        std::mem::swap(from, to);
    } else {
        to.events.append(&mut from.events);
        to.earliest = to.earliest.min(std::mem::replace(&mut from.earliest, u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_one_place_in_one_part() {
        for parts in 1..5 {
            let deal = Deal::new(NonZeroUsize::new(parts).expect("at least one"));
            let mut nodes = vec![0; parts];
            for index in 0..100 {
                let part = deal.part(index);
                assert_eq!(deal.place(index), nodes[part], "the next one of part {part}");
                nodes[part] += 1;
            }
        }
    }
}
