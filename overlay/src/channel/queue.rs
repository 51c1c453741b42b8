//! What waits to be sent, and what became of what was.

use alloc::collections::VecDeque;

use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::{Depth, Full, LaneLimits, Outcome, Ticket};

/// A message without outcome.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// When it was taken.
    pub(super) at: Time,
    pub(super) ticket: Ticket,
    pub(super) message: Bytes,
}

/// The messages that were not sent yet, the oldest first; the count of all that have no outcome,
/// wherever they are; and the outcomes that nobody asked for yet.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    limits: LaneLimits,
    waiting: VecDeque<Held>,
    depth: Depth,
    next: Ticket,
    settled: Settled,
}

impl Queue {
    pub(super) fn new(limits: LaneLimits) -> Self {
        let settled = Settled::new(limits.messages);
        Self { limits, waiting: VecDeque::new(), depth: Depth::default(), next: 0, settled }
    }

    pub(super) fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        let Depth { messages, bytes } = self.depth;
        let bytes = bytes.saturating_add(message.len());
        if messages > 0 && (messages >= self.limits.messages || bytes > self.limits.bytes) {
            return Err(Full);
        }
        self.depth = Depth { messages: messages + 1, bytes };
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back(Held { at: now, ticket, message });
        Ok(ticket)
    }

    /// The oldest that waits, to be sent. It still has no outcome.
    pub(super) fn pop(&mut self) -> Option<Held> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A message that waits no more got its outcome.
    pub(super) fn settle(&mut self, held: &Held, outcome: Outcome) {
        self.depth.messages -= 1;
        self.depth.bytes -= held.message.len();
        self.settled.note(held.ticket, outcome);
    }

    pub(super) fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.settled.next()
    }

    pub(super) fn shed_oldest(&mut self) -> bool {
        let oldest = self.pop();
        if let Some(held) = &oldest {
            self.settle(held, Outcome::Shed);
        }
        oldest.is_some()
    }

    /// When a message taken at this time has had no outcome for too long.
    pub(super) fn overdue(&self, taken: Time) -> Time {
        taken.after(self.limits.timeout)
    }

    /// When the oldest that waits is overdue.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.front().map(|held| self.overdue(held.at))
    }

    /// Gives up what waited for too long.
    pub(super) fn expire(&mut self, now: Time) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            if let Some(held) = self.pop() {
                self.settle(&held, Outcome::TimedOut);
            }
        }
    }

    pub(super) fn abandon(&mut self) {
        while self.shed_oldest() {}
    }

    /// An idle lane keeps no room.
    pub(super) fn shrink(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    pub(super) fn depth(&self) -> Depth {
        self.depth
    }

    /// `under_way` are the messages without outcome that do not wait here.
    pub(super) fn check<'a>(
        &'a self,
        under_way: impl Iterator<Item = &'a Held>,
    ) -> Result<(), Violation> {
        let mut depth = Depth::default();
        for held in self.waiting.iter().chain(under_way) {
            depth.messages += 1;
            depth.bytes += held.message.len();
        }
        let detail = || alloc::format!("{:?} and not {depth:?}", self.depth);
        Violation::unless(self.depth == depth, "what has no outcome is counted", detail)?;
        let LaneLimits { messages, bytes, .. } = self.limits;
        Violation::unless(
            depth.messages <= 1 || (depth.messages <= messages && depth.bytes <= bytes),
            "what has no outcome is within the limits",
            detail,
        )?;
        Violation::unless(
            self.settled.ranges.len() <= self.settled.capacity,
            "the outcomes that nobody asked for are bounded",
            detail,
        )
    }
}

/// Ranges of outcomes kept beyond those that the messages of a full queue can have.
const SPARE: usize = 64;

/// Outcomes in the order they came about. Those of messages that follow each other are one entry, so
/// a lane on which all goes well keeps one, however seldom it is asked.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    ranges: VecDeque<Range>,
    capacity: usize,
}

#[derive(Debug, Clone)]
struct Range {
    first: Ticket,
    end: Ticket,
    outcome: Outcome,
}

impl Settled {
    pub(super) fn new(messages: usize) -> Self {
        Self { ranges: VecDeque::new(), capacity: messages.saturating_add(SPARE) }
    }

    pub(super) fn note(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(last) = self.ranges.back_mut()
            && last.end == ticket
            && is_same(&last.outcome, &outcome)
        {
            last.end = ticket + 1;
            return;
        }
        // A host asks after each input. For one that does not, the oldest are forgotten: memory has
        // a bound whoever uses it.
        if self.ranges.len() >= self.capacity {
            self.ranges.pop_front();
        }
        self.ranges.push_back(Range { first: ticket, end: ticket + 1, outcome });
    }

    pub(super) fn next(&mut self) -> Option<(Ticket, Outcome)> {
        let range = self.ranges.front_mut()?;
        let ticket = range.first;
        range.first += 1;
        if range.first < range.end {
            return Some((ticket, range.outcome.clone()));
        }
        self.ranges.pop_front().map(|range| (ticket, range.outcome))
    }
}

/// Answers differ, all else can be one range.
fn is_same(left: &Outcome, right: &Outcome) -> bool {
    core::mem::discriminant(left) == core::mem::discriminant(right)
        && !matches!(left, Outcome::Answered(_))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const LIMITS: LaneLimits =
        LaneLimits { messages: 3, bytes: 10, timeout: Duration::from_secs(1) };

    fn message(bytes: usize) -> Bytes {
        Bytes::from(vec![7; bytes])
    }

    #[test]
    fn both_limits_hold_and_one_message_always_fits() {
        let mut queue = Queue::new(LIMITS);
        assert_eq!(queue.push(Time::ZERO, message(100)), Ok(0), "one always fits");
        assert_eq!(queue.push(Time::ZERO, message(0)), Err(Full), "bytes");
        assert!(queue.shed_oldest());
        for ticket in 1..4 {
            assert_eq!(queue.push(Time::ZERO, message(3)), Ok(ticket));
        }
        assert_eq!(queue.push(Time::ZERO, message(0)), Err(Full), "messages");
        assert_eq!(queue.depth(), Depth { messages: 3, bytes: 9 });
        assert_eq!(queue.check(core::iter::empty()), Ok(()));
    }

    #[test]
    fn what_is_under_way_has_no_outcome_and_still_counts() {
        let mut queue = Queue::new(LaneLimits { messages: 1, ..LIMITS });
        assert_eq!(queue.push(Time::ZERO, message(1)), Ok(0));
        let held = queue.pop().expect("one waits");
        assert_eq!(queue.push(Time::ZERO, message(1)), Err(Full));
        assert_eq!(queue.check([&held].into_iter()), Ok(()));
        queue.settle(&held, Outcome::Delivered);
        assert_eq!(queue.push(Time::ZERO, message(1)), Ok(1));
        assert_eq!(queue.settled(), Some((0, Outcome::Delivered)));
        assert_eq!(queue.settled(), None);
    }

    #[test]
    fn outcomes_are_ranges_and_answers_are_not() {
        let mut settled = Settled::new(8);
        for ticket in 0..1_000 {
            settled.note(ticket, Outcome::Sent);
        }
        settled.note(1_000, Outcome::Shed);
        settled.note(1_002, Outcome::Shed);
        assert_eq!(settled.ranges.len(), 3, "one for all that went well");
        settled.note(1_003, Outcome::Answered(message(1)));
        settled.note(1_004, Outcome::Answered(message(2)));
        for ticket in 0..1_000 {
            assert_eq!(settled.next(), Some((ticket, Outcome::Sent)));
        }
        assert_eq!(settled.next(), Some((1_000, Outcome::Shed)));
        assert_eq!(settled.next(), Some((1_002, Outcome::Shed)));
        assert_eq!(settled.next(), Some((1_003, Outcome::Answered(message(1)))));
        assert_eq!(settled.next(), Some((1_004, Outcome::Answered(message(2)))));
        assert_eq!(settled.next(), None);
    }

    #[test]
    fn outcomes_that_nobody_asks_for_do_not_pile_up() {
        let mut settled = Settled::new(8);
        for ticket in 0..1_000 {
            settled.note(2 * ticket, Outcome::Sent);
        }
        assert_eq!(settled.ranges.len(), 8 + SPARE);
    }

    #[test]
    fn what_waits_for_too_long_is_given_up() {
        let mut queue = Queue::new(LIMITS);
        let second = |seconds| Time::ZERO.after(Duration::from_secs(seconds));
        assert_eq!(queue.push(second(0), message(1)), Ok(0));
        assert_eq!(queue.push(second(5), message(1)), Ok(1));
        assert_eq!(queue.deadline(), Some(second(1)));
        queue.expire(second(5));
        assert_eq!(queue.settled(), Some((0, Outcome::TimedOut)));
        assert_eq!(queue.settled(), None);
        assert_eq!(queue.depth(), Depth { messages: 1, bytes: 1 });
    }
}
