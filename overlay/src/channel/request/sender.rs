//! The half that asks.

use core::time::Duration;

use alloc::collections::{BTreeMap, BTreeSet};
use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::super::queue::{Held, Queue};
use super::super::retry::{FIRST, MOST};
use super::super::{
    Attached, Depth, Frame, Full, LaneLimits, Nonsense, Outcome, Path, Sending, Ticket,
};
use super::{ANSWER, DROPPED, REQUEST, SPAN};

#[derive(Debug, Clone)]
pub(super) struct Sender {
    queue: Queue,
    /// Sent and not answered, by number.
    under_way: BTreeMap<u64, Asked>,
    /// The number of the next that is sent for the first time.
    next: u64,
    path: Option<Path>,
    /// When which is sent again, over a relay.
    due: BTreeSet<(Time, u64)>,
    /// Those that are sent again now.
    again: BTreeSet<u64>,
    retransmitted: u64,
}

#[derive(Debug, Clone)]
struct Asked {
    held: Held,
    /// How long to wait this time, and until when. One takes longer to answer than another, so each
    /// has a wait of its own.
    wait: Duration,
    until: Time,
}

impl Sender {
    pub(super) fn new(limits: LaneLimits) -> Self {
        Self {
            queue: Queue::new(limits),
            under_way: BTreeMap::new(),
            next: 0,
            path: None,
            due: BTreeSet::new(),
            again: BTreeSet::new(),
            retransmitted: 0,
        }
    }

    fn settle(&mut self, number: u64, outcome: Outcome) {
        if let Some(asked) = self.under_way.remove(&number) {
            self.due.remove(&(asked.until, number));
            self.again.remove(&number);
            self.queue.settle(&asked.held, outcome);
        }
    }

    fn settle_all(&mut self, outcome: &Outcome) {
        self.due.clear();
        self.again.clear();
        while let Some((_, asked)) = self.under_way.pop_first() {
            self.queue.settle(&asked.held, outcome.clone());
        }
    }

    fn has_new(&self) -> bool {
        let oldest = self.under_way.first_key_value().map_or(self.next, |(number, _)| *number);
        let fits = self.path == Some(Path::Stream) || self.next - oldest < SPAN;
        fits && !self.queue.is_empty()
    }

    /// The oldest of those under way is overdue first: they were taken in this order.
    fn oldest(&self) -> Option<(u64, Time)> {
        let (number, asked) = self.under_way.first_key_value()?;
        Some((*number, self.queue.overdue(asked.held.at)))
    }
}

impl Sending for Sender {
    fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        self.queue.push(now, message)
    }

    fn shed_oldest(&mut self) -> bool {
        self.queue.shed_oldest()
    }

    fn next_frame(&mut self, now: Time) -> Option<Frame> {
        let path = self.path?;
        if let Some(number) = self.again.pop_first() {
            self.retransmitted += 1;
            let asked = self.under_way.get(&number)?;
            return Some(Frame { tag: REQUEST, number, body: asked.held.message.clone() });
        }
        if !self.has_new() {
            return None;
        }
        let held = self.queue.pop()?;
        let frame = Frame { tag: REQUEST, number: self.next, body: held.message.clone() };
        let until = now.after(FIRST);
        if path == Path::Relay {
            self.due.insert((until, self.next));
        }
        self.under_way.insert(self.next, Asked { held, wait: FIRST, until });
        self.next += 1;
        Some(frame)
    }

    fn has_frame(&self) -> bool {
        self.path.is_some() && (!self.again.is_empty() || self.has_new())
    }

    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        let outcome = match tag {
            ANSWER if number < self.next => Outcome::Answered(body),
            DROPPED if number < self.next && body.is_empty() => Outcome::Dropped,
            _ => return Err(Nonsense { tag, number }),
        };
        // Nothing if it comes too late, or again.
        self.settle(number, outcome);
        Ok(())
    }

    fn base(&self) -> u64 {
        self.next
    }

    fn attach(&mut self, _now: Time, path: Path, attached: Attached) -> Result<(), Nonsense> {
        if attached.heard > self.next {
            return Err(Nonsense { tag: ANSWER, number: attached.heard });
        }
        self.detach();
        self.path = Some(path);
        Ok(())
    }

    fn detach(&mut self) {
        self.path = None;
        self.settle_all(&Outcome::Gone);
        self.queue.shrink();
    }

    fn abandon(&mut self) {
        self.settle_all(&Outcome::Gone);
        self.queue.abandon();
    }

    fn deadline(&self) -> Option<Time> {
        let again = self.due.first().map(|(time, _)| *time);
        let oldest = self.oldest().map(|(_, time)| time).or_else(|| self.queue.deadline());
        [oldest, again].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Time) {
        while let Some((number, overdue)) = self.oldest()
            && overdue <= now
        {
            self.settle(number, Outcome::TimedOut);
        }
        self.queue.expire(now);
        while let Some((time, number)) = self.due.first().copied()
            && time <= now
        {
            self.due.pop_first();
            if let Some(asked) = self.under_way.get_mut(&number) {
                asked.wait = (asked.wait * 2).min(MOST);
                asked.until = now.after(asked.wait);
                // Time may have come to its end.
                if asked.until > now {
                    self.due.insert((asked.until, number));
                }
                self.again.insert(number);
            }
        }
    }

    fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.queue.settled()
    }

    fn depth(&self) -> Depth {
        self.queue.depth()
    }

    fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    fn check(&self) -> Result<(), Violation> {
        self.queue.check(self.under_way.values().map(|asked| &asked.held))?;
        let detail = || alloc::format!("{self:?}");
        Violation::unless(
            self.path.is_some() || self.under_way.is_empty(),
            "what is under way has a path",
            detail,
        )?;
        let timed = self.due.iter().all(|(time, number)| {
            self.under_way.get(number).is_some_and(|asked| asked.until == *time)
        });
        let relayed = self.path == Some(Path::Relay);
        Violation::unless(
            timed && self.due.len() == if relayed { self.under_way.len() } else { 0 },
            "what a relay may lose has a timer, and nothing else",
            detail,
        )?;
        let was_sent = self.under_way.keys().all(|number| *number < self.next);
        let is_known = self.again.iter().all(|number| self.under_way.contains_key(number));
        Violation::unless(
            was_sent && is_known,
            "what is under way was sent, and only that is sent again",
            detail,
        )
    }
}
