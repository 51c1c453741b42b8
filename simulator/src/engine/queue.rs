//! Where events wait: those of a shard's own nodes in its wheel, those of others' in mailboxes.

use std::num::NonZeroUsize;

use crate::engine::event::Event;
use crate::engine::strategy::SimStack;
use crate::engine::wheel::Wheel;

/// How nodes are distributed over shards: in turn, so that the shards stay even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sharding {
    shards: usize,
}

impl Sharding {
    /// A distribution over this many shards.
    pub(crate) fn new(shards: NonZeroUsize) -> Self {
        Self { shards: shards.get() }
    }

    /// How many shards there are.
    pub(crate) fn shards(self) -> usize {
        self.shards
    }

    /// Which shard node `index` belongs to.
    #[inline]
    pub(crate) fn shard(self, index: usize) -> usize {
        // Dividing costs more than all the rest of this, and mostly there is one shard.
        if self.shards == 1 { 0 } else { (index as u32 % self.shards as u32) as usize }
    }

    /// Its place among the nodes of that shard.
    #[inline]
    pub(crate) fn place(self, index: usize) -> usize {
        if self.shards == 1 { index } else { (index as u32 / self.shards as u32) as usize }
    }
}

/// The events that one shard has for another.
#[derive(Debug, Clone)]
struct Mailbox<T> {
    events: Vec<T>,
    /// No event among them comes before.
    earliest: u64,
}

impl<T> Mailbox<T> {
    fn empty() -> Self {
        Self { events: Vec::new(), earliest: u64::MAX }
    }
}

/// The events that wait in one shard.
#[derive(Debug, Clone)]
pub(crate) struct Queue<P: SimStack> {
    shard: usize,
    sharding: Sharding,
    wheel: Wheel<Event<P>>,
    /// By shard: what is to go there, and what came from there.
    outgoing: Vec<Mailbox<Event<P>>>,
    incoming: Vec<Mailbox<Event<P>>>,
}

impl<P: SimStack> Queue<P> {
    /// The queue of `shard` among those of `sharding`, with buckets no wider than `lookahead`.
    pub(crate) fn new(sharding: Sharding, shard: usize, lookahead: u64) -> Self {
        let mailboxes = || (0..sharding.shards()).map(|_| Mailbox::empty()).collect();
        Self {
            shard,
            sharding,
            wheel: Wheel::new(lookahead),
            outgoing: mailboxes(),
            incoming: mailboxes(),
        }
    }

    /// Nanoseconds that a bucket spans.
    pub(crate) fn width(&self) -> u64 {
        self.wheel.width()
    }

    /// Queues an event for any node.
    #[inline]
    pub(crate) fn push(&mut self, event: Event<P>) {
        let shard = self.sharding.shard(event.to.index());
        if shard == self.shard {
            self.push_own(event);
        } else {
            let mailbox = &mut self.outgoing[shard];
            mailbox.earliest = mailbox.earliest.min(event.time);
            mailbox.events.push(event);
        }
    }

    /// Queues an event for a node of this shard.
    #[inline]
    pub(crate) fn push_own(&mut self, event: Event<P>) {
        self.wheel.push(event.time, event);
    }

    /// Sets the events of this shard's nodes for which `is_wanted` holds to other times.
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

    /// How many events wait for nodes of this shard, once all mail has been exchanged.
    pub(crate) fn len(&self) -> usize {
        self.wheel.len() + self.incoming.iter().map(|mailbox| mailbox.events.len()).sum::<usize>()
    }

    /// All of them, once all mail has been exchanged.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event<P>> {
        self.wheel.iter().chain(self.incoming.iter().flat_map(|mailbox| &mailbox.events))
    }

    /// None of them comes before this time.
    pub(crate) fn next(&self) -> Option<u64> {
        let mail = self.incoming.iter().map(|mailbox| mailbox.earliest).min();
        let mail = mail.filter(|time| *time < u64::MAX).map(|time| time & !(self.width() - 1));
        self.wheel.next().into_iter().chain(mail).min()
    }

    /// Moves the events of the next bucket that starts before `limit` into `into`.
    pub(crate) fn drain(&mut self, limit: u64, into: &mut Vec<Event<P>>) {
        for mailbox in &mut self.incoming {
            mailbox.earliest = u64::MAX;
            for event in mailbox.events.drain(..) {
                self.wheel.push(event.time, event);
            }
        }
        self.wheel.drain(limit, into, |event| event.time);
    }

    /// Hands what each has for the other over.
    pub(crate) fn exchange(&mut self, other: &mut Self) {
        let (this, that) = (self.shard, other.shard);
        hand_over(&mut self.outgoing[that], &mut other.incoming[this]);
        hand_over(&mut other.outgoing[this], &mut self.incoming[that]);
    }
}

/// Moves all mailbox. Mostly the earlier ones were taken in, and their room goes back for new ones.
fn hand_over<T>(from: &mut Mailbox<T>, to: &mut Mailbox<T>) {
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
    fn every_node_has_one_place_in_one_shard() {
        for shards in 1..5 {
            let sharding = Sharding::new(NonZeroUsize::new(shards).expect("at least one"));
            let mut nodes = vec![0; shards];
            for index in 0..100 {
                let shard = sharding.shard(index);
                assert_eq!(sharding.place(index), nodes[shard], "the next one of shard {shard}");
                nodes[shard] += 1;
            }
        }
    }
}
