//! Latest: what counts is the newest message.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::queue::{Held, Settled};
use super::retry::Retry;
use super::{
    Attached, Depth, Frame, Full, Incoming, Kind, LaneLimits, Nonsense, Outcome, Path, Receiving,
    Sending, Ticket,
};

const DATA: u8 = 0;
/// All below the number are done with.
const ACK: u8 = 1;
/// As [`ACK`], and the message of the number was dropped.
const DROPPED: u8 = 2;

/// The newest message, never an older one after it.
///
/// A waiting message gives way to a newer one; its outcome is [`Outcome::Shed`]. One message is under
/// way at a time. The next is sent when the receiving application is done with it, so nothing gets stale
/// in buffers on the way. The outcome is [`Outcome::Dropped`] if the application drops the message
/// without acknowledging it. When the path breaks, the message under way is sent again, even to a
/// receiver that was restarted. If there is a newer one, its outcome is [`Outcome::Gone`] instead.
///
/// A sending half holds two messages at most, one under way and one that waits, whatever the limits are.
/// There is always room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latest;

impl Kind for Latest {
    fn name(&self) -> &'static str {
        "latest"
    }

    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending> {
        Box::new(Sender {
            limits,
            tickets: 0,
            waiting: None,
            under_way: None,
            credit: None,
            next: 0,
            is_sent: false,
            path: None,
            retry: Retry::new(),
            retransmitted: 0,
            settled: Settled::new(2),
        })
    }

    fn receiving(&self, base: u64, _limits: LaneLimits) -> Box<dyn Receiving> {
        Box::new(Receiver {
            ready: None,
            next: base,
            done: base,
            dropped: false,
            path: None,
            ack: false,
        })
    }
}

#[derive(Debug, Clone)]
struct Sender {
    limits: LaneLimits,
    tickets: Ticket,
    waiting: Option<Held>,
    /// Sent at least once, with the number `next - 1`.
    under_way: Option<Held>,
    /// The number that was sent on this path and that the receiver is not done with, even if it was
    /// given up since: a stream still holds it.
    credit: Option<u64>,
    /// The number of the next message that is sent for the first time.
    next: u64,
    /// Whether `under_way` was sent on this path, and is not due again.
    is_sent: bool,
    path: Option<Path>,
    retry: Retry,
    retransmitted: u64,
    settled: Settled,
}

impl Sender {
    fn settle_under_way(&mut self, outcome: Outcome) {
        if let Some(held) = self.under_way.take() {
            self.settled.note(held.ticket, outcome);
        }
    }

    fn settle_waiting(&mut self, outcome: Outcome) -> bool {
        let held = self.waiting.take();
        if let Some(held) = &held {
            self.settled.note(held.ticket, outcome);
        }
        held.is_some()
    }

    /// On a new path only the newest is sent.
    fn renew(&mut self) {
        if self.path.is_some() && self.credit.is_none() && self.waiting.is_some() {
            self.settle_under_way(Outcome::Gone);
        }
    }

    fn is_overdue(&self, held: Option<&Held>, now: Time) -> bool {
        held.is_some_and(|held| held.at.after(self.limits.timeout) <= now)
    }
}

impl Sending for Sender {
    fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        self.settle_waiting(Outcome::Shed);
        let ticket = self.tickets;
        self.tickets += 1;
        self.waiting = Some(Held { at: now, ticket, message });
        self.renew();
        Ok(ticket)
    }

    fn shed_oldest(&mut self) -> bool {
        self.settle_waiting(Outcome::Shed)
    }

    fn next_frame(&mut self, now: Time) -> Option<Frame> {
        if !self.has_frame() {
            return None;
        }
        if self.under_way.is_none() {
            self.under_way = self.waiting.take();
            self.next += 1;
            if self.path == Some(Path::Relay) {
                self.retry.sent(self.next - 1, now);
            }
        } else {
            self.retransmitted += 1;
            if self.path == Some(Path::Relay) {
                self.retry.start(now);
            }
        }
        let number = self.next - 1;
        self.credit = Some(number);
        self.is_sent = true;
        self.under_way.as_ref().map(|held| Frame { tag: DATA, number, body: held.message.clone() })
    }

    fn has_frame(&self) -> bool {
        let first = self.credit.is_none() && self.waiting.is_some();
        let again = self.under_way.is_some() && !self.is_sent;
        self.path.is_some() && (first || again)
    }

    fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        let (outcome, end) = match tag {
            ACK => (Outcome::Delivered, number),
            DROPPED => (Outcome::Dropped, number.saturating_add(1)),
            _ => return Err(Nonsense { tag, number }),
        };
        if end > self.next || !body.is_empty() {
            return Err(Nonsense { tag, number });
        }
        if self.credit.is_some_and(|credit| credit < end) {
            self.credit = None;
            self.settle_under_way(outcome);
            self.retry.measure(|sent| sent < end, now);
            self.retry.progress(now, false);
        }
        Ok(())
    }

    fn base(&self) -> u64 {
        self.next - u64::from(self.under_way.is_some())
    }

    fn attach(&mut self, _now: Time, path: Path, attached: Attached) -> Result<(), Nonsense> {
        let Attached { resumed, heard } = attached;
        if heard > self.next {
            return Err(Nonsense { tag: ACK, number: heard });
        }
        self.detach();
        self.path = Some(path);
        if resumed && heard == self.next {
            self.settle_under_way(Outcome::Delivered);
        }
        self.renew();
        Ok(())
    }

    fn detach(&mut self) {
        self.path = None;
        self.credit = None;
        self.is_sent = false;
        self.retry.stop();
    }

    fn abandon(&mut self) {
        self.settle_under_way(Outcome::Gone);
        self.settle_waiting(Outcome::Shed);
        self.retry.stop();
        self.credit = None;
    }

    fn deadline(&self) -> Option<Time> {
        let oldest = self.under_way.as_ref().or(self.waiting.as_ref());
        let overdue = oldest.map(|held| held.at.after(self.limits.timeout));
        [overdue, self.retry.deadline()].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Time) {
        if self.is_overdue(self.under_way.as_ref(), now) {
            self.settle_under_way(Outcome::TimedOut);
            self.retry.stop();
            if self.path == Some(Path::Relay) {
                // Nothing asks for an acknowledgement any more, so none may come.
                self.credit = None;
            }
        }
        if self.is_overdue(self.waiting.as_ref(), now) {
            self.settle_waiting(Outcome::TimedOut);
        }
        if self.retry.is_due(now) {
            self.is_sent = false;
            self.retry.back_off(now);
        }
    }

    fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.settled.next()
    }

    fn resumes(&self) -> bool {
        true
    }

    fn round_trip(&self) -> Option<Duration> {
        self.retry.round_trip()
    }

    fn depth(&self) -> Depth {
        let held = [&self.under_way, &self.waiting].into_iter().flatten();
        let bytes = held.clone().map(|held| held.message.len()).sum();
        Depth { messages: held.count(), bytes }
    }

    fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        Violation::unless(
            self.credit.is_none_or(|credit| credit < self.next && self.path.is_some()),
            "what is under way was sent, on this path",
            detail,
        )?;
        let relayed = self.path == Some(Path::Relay);
        Violation::unless(
            !relayed || self.credit.is_none() || self.retry.deadline().is_some(),
            "what a relay may lose has a timer",
            detail,
        )?;
        Violation::unless(
            self.under_way.as_ref().zip(self.waiting.as_ref()).is_none_or(|(a, b)| a.at <= b.at),
            "what waits is newer than what is under way",
            detail,
        )
    }
}

#[derive(Debug, Clone)]
struct Receiver {
    /// The newest that came, if the application has not taken it.
    ready: Option<Incoming>,
    /// All below are older than the newest that came.
    next: u64,
    /// All below are done with.
    done: u64,
    /// Whether the last of them was dropped.
    dropped: bool,
    path: Option<Path>,
    /// The sender has to be told.
    ack: bool,
}

impl Receiving for Receiver {
    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        if tag != DATA || number == u64::MAX {
            return Err(Nonsense { tag, number });
        }
        if number >= self.next {
            self.next = number + 1;
            self.ready = Some(Incoming { number, message: body });
        } else if number < self.done {
            // It is sent again because the word was lost.
            self.ack = true;
        }
        Ok(())
    }

    fn next_delivery(&mut self) -> Option<Incoming> {
        self.ready.take()
    }

    fn in_order(&self) -> bool {
        // Whoever sent a newer one has given up the older: it need not be waited for.
        false
    }

    fn done(&mut self, number: u64, answer: Option<Bytes>) {
        let end = self.ready.as_ref().map_or(self.next, |ready| ready.number);
        if (self.done..end).contains(&number) {
            self.done = number + 1;
            self.dropped = answer.is_none();
            self.ack = true;
        }
    }

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        let due = self.ack && self.path.is_some();
        self.ack &= !due;
        let tag = if self.dropped { DROPPED } else { ACK };
        due.then(|| Frame { tag, number: self.heard(), body: Bytes::new() })
    }

    fn heard(&self) -> u64 {
        // What was dropped is sent again on another path, and the word is said again there.
        self.done - u64::from(self.dropped)
    }

    fn attach(&mut self, _now: Time, path: Path) {
        self.path = Some(path);
        // The last word on the old path may have been lost after the sender was welcomed.
        self.ack = true;
    }

    fn detach(&mut self) {
        self.path = None;
    }

    fn remembers(&self) -> bool {
        true
    }

    fn depth(&self) -> Depth {
        let bytes = self.ready.as_ref().map_or(0, |ready| ready.message.len());
        Depth { messages: usize::from(self.ready.is_some()), bytes }
    }

    fn check(&self) -> Result<(), Violation> {
        let ready = self.ready.as_ref().is_none_or(|ready| ready.number == self.next - 1);
        Violation::unless(
            ready && self.done <= self.next,
            "what is done with came, and what is ready is the newest",
            || alloc::format!("{self:?}"),
        )
    }
}

#[cfg(test)]
mod tests;
