//! Counts messages and their outcomes, and checks that channels keep their promises.
//!
//! Each shard has its own accounting. What one end says about the other (delivered) is compared at the end,
//! over all shards.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use murmurate::channel::{Outcome, Ticket};
use murmurate::membership::{Time, Violation};

use super::ChannelPromises;
use super::content::Name;
use super::tickets::Tickets;
use crate::engine::stats::latency_histogram;
use crate::model::node::SimPeer;

/// A selection of messages that are counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyWindow {
    /// Those of the channel in this place; of all without one.
    pub channel: Option<u16>,
    /// Those sent from then on...
    pub from: Time,
    /// ...and before then.
    pub until: Time,
}

impl TallyWindow {
    /// Whether a message that was sent then on the channel in this place is one of them.
    #[must_use]
    pub fn sees(&self, channel: u16, sent: Time) -> bool {
        self.channel.is_none_or(|own| own == channel) && self.from <= sent && sent < self.until
    }
}

/// Outcomes of messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Messages that applications wanted to send.
    pub messages: u64,
    /// Of these, those for which there was no room.
    pub refused: u64,
    /// Messages by outcome: sent, of a kind whose senders learn no more.
    pub sent: u64,
    /// Said to be delivered.
    pub acknowledged: u64,
    /// Answered.
    pub answered: u64,
    /// Their receiver restarted, or the path broke.
    pub gone: u64,
    /// Without an outcome in time.
    pub timed_out: u64,
    /// Never sent, because a newer one took their place.
    pub shed: u64,
    /// Never sent, because no receiver ever answered.
    pub unreachable: u64,
    /// Messages that an application took.
    pub delivered: u64,
    /// Deliveries of messages that an earlier incarnation of the receiver had taken.
    pub delivered_again: u64,
    /// Deliveries of messages that the same incarnation had taken. Always 0, unless a promise was broken.
    pub duplicates: u64,
    /// Frames sent again.
    pub retransmitted: u64,
    /// From send to the first delivery, in microseconds.
    pub latencies: Histogram<u64>,
    /// From send to the acknowledgement, or to the answer, in microseconds.
    pub round_trips: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let (latencies, round_trips) = (latency_histogram(), latency_histogram());
        Self {
            messages: 0,
            refused: 0,
            sent: 0,
            acknowledged: 0,
            answered: 0,
            gone: 0,
            timed_out: 0,
            shed: 0,
            unreachable: 0,
            delivered: 0,
            delivered_again: 0,
            duplicates: 0,
            retransmitted: 0,
            latencies,
            round_trips,
        }
    }
}

impl Tally {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.refused += other.refused;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.answered += other.answered;
        self.gone += other.gone;
        self.timed_out += other.timed_out;
        self.shed += other.shed;
        self.unreachable += other.unreachable;
        self.delivered += other.delivered;
        self.delivered_again += other.delivered_again;
        self.duplicates += other.duplicates;
        self.retransmitted += other.retransmitted;
        // All have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        let _ = self.round_trips.add(&other.round_trips);
    }

    /// Those by channel and those that are watched, each with its counterpart from elsewhere.
    pub(crate) fn add_all(
        mut all: (Vec<Self>, Vec<Self>),
        others: &(Vec<Self>, Vec<Self>),
    ) -> (Vec<Self>, Vec<Self>) {
        all.0.iter_mut().zip(&others.0).for_each(|(tally, other)| tally.add(other));
        all.1.iter_mut().zip(&others.1).for_each(|(tally, other)| tally.add(other));
        all
    }

    /// Messages that were taken and have no outcome: their sender stopped, or the run ended before.
    #[must_use]
    pub fn open(&self) -> u64 {
        let succeeded = self.sent + self.acknowledged + self.answered;
        let lost = self.gone + self.timed_out + self.shed + self.unreachable;
        self.messages.saturating_sub(self.refused + succeeded + lost)
    }

    /// Share of the messages that an application took; `None` without messages.
    #[must_use]
    pub fn share_delivered(&self) -> Option<f64> {
        (self.messages > 0).then(|| self.delivered as f64 / self.messages as f64)
    }
}

fn micros(from: Time, to: Time) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

/// A channel, who sends on it, and to whom.
type Pair = (u16, SimPeer, SimPeer);

/// What an incarnation took on a lane.
#[derive(Debug, Clone, Default)]
struct Taken {
    tickets: Tickets,
    last: Option<Ticket>,
    /// The receiving half, and what that took, where another one may take the same.
    half: u64,
    of_half: Tickets,
}

impl Taken {
    /// Whether this half has not taken the message before, and whether it comes in order.
    fn insert(&mut self, half: u64, ticket: Ticket, promises: ChannelPromises) -> (bool, bool) {
        let goes_back = if half == self.half { 0 } else { u64::from(!promises.one_half) };
        let is_first = self.tickets.insert(ticket);
        if goes_back > 0 {
            self.of_half = Tickets::default();
        }
        self.half = half;
        let is_new = if promises.one_half { is_first } else { self.of_half.insert(ticket) };
        let last = self.last.replace(ticket);
        (is_new, last.is_none_or(|last| last < ticket + goes_back))
    }
}

/// A message: the place of its channel, who sent it, to which node, and which of its messages there.
pub type ChannelMessage = (u16, SimPeer, u32, Ticket);

/// What happened to a message of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageEvent {
    /// An application sent it.
    Sent,
    /// This start of the receiver took it.
    Taken(SimPeer),
    /// Its sender was told.
    Ended(Outcome),
}

/// What was counted at the nodes of a shard.
#[derive(Debug, Clone)]
pub(crate) struct Accounting {
    tallies: Vec<Tally>,
    watches: Vec<(TallyWindow, Tally)>,
    /// What receivers took, by channel, sender and receiver.
    taken: BTreeMap<Pair, Taken>,
    /// What senders were told was delivered; the receiver by its index.
    told: BTreeMap<(u16, SimPeer, u32), Tickets>,
    /// The first broken promise: when, and at whose.
    broken: Option<(Time, SimPeer, Violation)>,
    /// All that happened, if it is kept.
    all: Option<BTreeMap<ChannelMessage, Vec<MessageEvent>>>,
}

impl Accounting {
    pub(super) fn new(channels: usize, watches: Vec<TallyWindow>) -> Self {
        Self {
            tallies: vec![Tally::default(); channels],
            watches: watches.into_iter().map(|watch| (watch, Tally::default())).collect(),
            taken: BTreeMap::new(),
            told: BTreeMap::new(),
            broken: None,
            all: None,
        }
    }

    pub(super) fn keep_all(&mut self) {
        self.all.get_or_insert_default();
    }

    /// All that happened to messages, if it is kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ChannelMessage, &Vec<MessageEvent>)> {
        self.all.iter().flatten()
    }

    /// Messages sent on a lane, if they are kept.
    pub(crate) fn sent_on(&self, (channel, from, to): (u16, SimPeer, u32)) -> u64 {
        let all = (channel, from, to, 0)..=(channel, from, to, Ticket::MAX);
        let last = self.all.as_ref().and_then(|kept| kept.range(all).next_back());
        last.map_or(0, |((.., ticket), _)| ticket + 1)
    }

    fn keep(&mut self, (channel, from, to): (u16, SimPeer, u32), ticket: u64, what: MessageEvent) {
        if let Some(all) = &mut self.all {
            all.entry((channel, from, to, ticket)).or_default().push(what);
        }
    }

    /// The figures by channel, and those that are watched.
    pub(crate) fn tallies(&self) -> (Vec<Tally>, Vec<Tally>) {
        let watched = self.watches.iter().map(|(_, tally)| tally.clone());
        (self.tallies.clone(), watched.collect())
    }

    /// Notes a broken promise. What one node breaks at a time, it breaks in the same order on any
    /// number of threads.
    pub(super) fn judge(&mut self, now: Time, me: SimPeer, kept: Result<(), Violation>) {
        if let Err(violation) = kept
            && self.broken.as_ref().is_none_or(|(time, peer, _)| (now, me) < (*time, *peer))
        {
            self.broken = Some((now, me, violation));
        }
    }

    /// Counts a message of this channel that was sent then.
    fn count(&mut self, channel: u16, sent: Time, count: impl Fn(&mut Tally)) {
        count(&mut self.tallies[usize::from(channel)]);
        for (watch, tally) in &mut self.watches {
            if watch.sees(channel, sent) {
                count(tally);
            }
        }
    }

    /// An application wants to send.
    pub(super) fn offered(&mut self, channel: u16, now: Time, has_room: bool) {
        self.count(channel, now, |tally| {
            tally.messages += 1;
            tally.refused += u64::from(!has_room);
        });
    }

    /// It was taken.
    pub(super) fn sent(&mut self, lane: (u16, SimPeer, u32), ticket: u64) {
        self.keep(lane, ticket, MessageEvent::Sent);
    }

    pub(super) fn retransmitted(&mut self, channel: u16, frames: u64) {
        self.tallies[usize::from(channel)].retransmitted += frames;
    }

    /// An application took a message.
    pub(super) fn taken(
        &mut self,
        now: Time,
        (channel, from, to): Pair,
        (half, name): (u64, Name),
        promises: ChannelPromises,
    ) -> Result<(), Violation> {
        let starts = (channel, from, SimPeer::new(to.index(), 0))..(channel, from, to);
        let mut earlier = self.taken.range(starts);
        let mut again = earlier.any(|(_, taken)| taken.tickets.has(name.ticket));
        self.keep((channel, from, to.index() as u32), name.ticket, MessageEvent::Taken(to));
        let taken = self.taken.entry((channel, from, to)).or_default();
        again |= taken.tickets.has(name.ticket);
        let before = taken.last;
        let (is_new, in_order) = taken.insert(half, name.ticket, promises);
        self.count(channel, name.pushed, |tally| match (is_new, again) {
            (false, _) => tally.duplicates += 1,
            (true, true) => tally.delivered_again += 1,
            (true, false) => {
                tally.delivered += 1;
                tally.latencies.saturating_record(micros(name.pushed, now));
            }
        });
        let which = || format!("{name:?} from {from:?} to {to:?} at {now:?}");
        Violation::unless(is_new, "nothing is delivered twice to one half", which)?;
        Violation::unless(!again || !promises.one_half, "no message goes to two halves", which)?;
        Violation::unless(!promises.in_order || in_order, "a lane delivers in order", || {
            format!("{} after {before:?}", which())
        })
    }

    /// A sender was told the outcome of a message, or that it is given up because the receiver is
    /// unreachable.
    pub(super) fn ended(
        &mut self,
        now: Time,
        (channel, from, to): (u16, SimPeer, u32),
        name: Name,
        outcome: Outcome,
        given_up: bool,
    ) {
        self.count(channel, name.pushed, |tally| {
            let known = match &outcome {
                Outcome::Sent => &mut tally.sent,
                Outcome::Delivered => &mut tally.acknowledged,
                Outcome::Answered(_) => &mut tally.answered,
                Outcome::Gone => &mut tally.gone,
                Outcome::TimedOut => &mut tally.timed_out,
                _ if given_up => &mut tally.unreachable,
                _ => &mut tally.shed,
            };
            *known += 1;
            if matches!(outcome, Outcome::Delivered | Outcome::Answered(_)) {
                tally.round_trips.saturating_record(micros(name.pushed, now));
            }
        });
        if matches!(outcome, Outcome::Delivered | Outcome::Answered(_)) {
            self.told.entry((channel, from, to)).or_default().insert(name.ticket);
        }
        self.keep((channel, from, to), name.ticket, MessageEvent::Ended(outcome));
    }
}

/// The accounting of all shards.
pub(crate) struct Audit<'a>(pub(crate) Vec<&'a Accounting>);

impl Audit<'_> {
    /// The first promise that was broken on the way.
    pub(crate) fn broken(&self) -> Option<Violation> {
        let broken = self.0.iter().filter_map(|accounting| accounting.broken.as_ref());
        let (time, peer, violation) = broken.min_by_key(|(time, peer, _)| (*time, *peer))?;
        let detail = format!("node {peer:?} at {time:?}: {}", violation.detail);
        Some(Violation { rule: violation.rule, detail })
    }

    /// Checks that some incarnation of the receiver took every message that was reported as delivered.
    pub(crate) fn told_the_truth(&self) -> Result<(), Violation> {
        for ((channel, from, to), told) in self.0.iter().flat_map(|accounting| &accounting.told) {
            let starts = (*channel, *from, SimPeer::new(*to as usize, 0))
                ..=(*channel, *from, SimPeer::new(*to as usize, u8::MAX));
            let taken = self.0.iter().flat_map(|accounting| accounting.taken.range(starts.clone()));
            let missing = told.first_missing(&taken.map(|(_, taken)| &taken.tickets));
            Violation::unless(missing.is_none(), "what is said to be delivered was taken", || {
                format!("message {missing:?} from {from:?} to node {to}")
            })?;
        }
        Ok(())
    }
}
