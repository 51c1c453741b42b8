//! The half that sends.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::super::queue::{Held, Queue};
use super::super::retry::Retry;
use super::super::{
    Attached, Depth, Frame, Full, LaneLimits, Nonsense, Outcome, Path, Sending, Ticket,
};
use super::{ACK, DATA, DROPPED, RELAY_WINDOW, SKIP};

#[derive(Debug, Clone)]
pub(super) struct Sender {
    queue: Queue,
    /// Sent at least once and without outcome. The first has the number `base`, and so on.
    under_way: VecDeque<Held>,
    base: u64,
    /// How many of them were sent on this path.
    cursor: usize,
    path: Option<Path>,
    /// The receiver has to be told of `base`...
    skip: bool,
    /// ...and has not said that it knows.
    behind: bool,
    /// A bit for each of the first of `under_way`: it came, over a relay.
    held: u64,
    /// Those that are to be sent again, over a relay.
    again: u64,
    retry: Retry,
    retransmitted: u64,
}

impl Sender {
    pub(super) fn new(limits: LaneLimits) -> Self {
        Self {
            queue: Queue::new(limits),
            under_way: VecDeque::new(),
            base: 0,
            cursor: 0,
            path: None,
            skip: false,
            behind: false,
            held: 0,
            again: 0,
            retry: Retry::new(),
            retransmitted: 0,
        }
    }

    fn is_relayed(&self) -> bool {
        self.path == Some(Path::Relay)
    }

    /// The number that the next message gets which was never sent.
    fn next(&self) -> u64 {
        self.base.saturating_add(self.under_way.len() as u64)
    }

    /// The first of those under way gets its outcome. Whether there was one.
    fn settle_first(&mut self, outcome: Outcome) -> bool {
        let Some(first) = self.under_way.pop_front() else { return false };
        self.base += 1;
        self.cursor = self.cursor.saturating_sub(1);
        self.held >>= 1;
        self.again >>= 1;
        self.queue.settle(&first, outcome);
        true
    }

    /// Those below `number` are done with.
    fn settle_below(&mut self, number: u64) {
        while self.base < number && self.settle_first(Outcome::Delivered) {}
    }

    /// Whether the path takes more than what was sent on it.
    fn has_room(&self) -> bool {
        !self.is_relayed() || (self.cursor as u64) < RELAY_WINDOW
    }

    fn frame(&self, at: usize) -> Option<Frame> {
        let number = self.base.saturating_add(at as u64);
        self.under_way.get(at).map(|held| Frame { tag: DATA, number, body: held.message.clone() })
    }

    fn told(&mut self, now: Time, number: u64, dropped: bool, mut came: u64) {
        if number < self.base {
            // It waits for what was given up: the word of that was lost.
            self.skip |= self.behind && self.is_relayed();
            return;
        }
        let progress = dropped || number > self.base;
        self.behind = false;
        self.settle_below(number);
        if dropped && self.settle_first(Outcome::Dropped) {
            came >>= 1;
            self.skip = true;
            self.behind = true;
        }
        if self.is_relayed() {
            self.held = came & bits(self.cursor);
            self.again &= !self.held;
            let (base, held) = (self.base, self.held);
            let has =
                |sent: u64| sent.checked_sub(base).is_none_or(|at| at < 64 && held >> at & 1 == 1);
            self.retry.measure(has, now);
            if progress {
                self.retry.progress(now, self.cursor > 0);
            }
        }
    }
}

/// The lowest `count` bits.
fn bits(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
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
        if self.skip {
            self.skip = false;
            return Some(Frame { tag: SKIP, number: self.base, body: Bytes::new() });
        }
        if self.again != 0 {
            let first = self.again.trailing_zeros() as usize;
            self.again &= self.again - 1;
            self.retransmitted += 1;
            return self.frame(first);
        }
        if !self.has_room() {
            return None;
        }
        if self.cursor < self.under_way.len() {
            self.cursor += 1;
            self.retransmitted += 1;
            if path == Path::Relay {
                self.retry.start(now);
            }
            return self.frame(self.cursor - 1);
        }
        let held = self.queue.pop()?;
        let frame = Frame { tag: DATA, number: self.next(), body: held.message.clone() };
        self.under_way.push_back(held);
        self.cursor += 1;
        if path == Path::Relay {
            self.retry.sent(frame.number, now);
        }
        Some(frame)
    }

    fn has_frame(&self) -> bool {
        let more = || self.cursor < self.under_way.len() || !self.queue.is_empty();
        self.path.is_some() && (self.skip || self.again != 0 || (self.has_room() && more()))
    }

    fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        let nonsense = Nonsense { tag, number };
        let came = match *body {
            [] => 0,
            ref body => u64::from_le_bytes(body.try_into().map_err(|_| nonsense)?),
        };
        let dropped = match tag {
            ACK if number <= self.next() => false,
            DROPPED if number < self.next() => true,
            _ => return Err(nonsense),
        };
        self.told(now, number, dropped, came);
        Ok(())
    }

    fn base(&self) -> u64 {
        self.base
    }

    fn attach(&mut self, _now: Time, path: Path, attached: Attached) -> Result<(), Nonsense> {
        let Attached { resumed, heard } = attached;
        if heard > self.next() {
            return Err(Nonsense { tag: ACK, number: heard });
        }
        self.detach();
        if resumed {
            self.settle_below(heard);
        } else {
            while self.settle_first(Outcome::Gone) {}
        }
        self.path = Some(path);
        self.behind = heard < self.base;
        self.skip = self.behind;
        Ok(())
    }

    fn detach(&mut self) {
        self.path = None;
        self.cursor = 0;
        self.skip = false;
        self.held = 0;
        self.again = 0;
        self.retry.stop();
        self.queue.shrink();
        if self.under_way.is_empty() {
            self.under_way = VecDeque::new();
        }
    }

    fn abandon(&mut self) {
        while self.settle_first(Outcome::Gone) {}
        self.queue.abandon();
        self.retry.stop();
    }

    fn deadline(&self) -> Option<Time> {
        // What is under way was taken before all that waits.
        let oldest = self.under_way.front().map(|held| self.queue.overdue(held.at));
        let oldest = oldest.or_else(|| self.queue.deadline());
        [oldest, self.retry.deadline()].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Time) {
        let base = self.base;
        while self.under_way.front().is_some_and(|held| self.queue.overdue(held.at) <= now) {
            self.settle_first(Outcome::TimedOut);
        }
        self.queue.expire(now);
        if self.base > base && self.path.is_some() {
            self.skip = true;
            self.behind = true;
        }
        if self.cursor == 0 {
            self.retry.stop();
        } else if self.retry.is_due(now) {
            self.again = bits(self.cursor) & !self.held;
            if self.again == 0 {
                // All came, the application is slow, or its last word was lost: one is enough to ask.
                self.again = 1;
            }
            self.skip |= self.behind;
            self.retry.back_off(now);
        }
    }

    fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.queue.settled()
    }

    fn resumes(&self) -> bool {
        true
    }

    fn round_trip(&self) -> Option<Duration> {
        self.retry.round_trip()
    }

    fn depth(&self) -> Depth {
        self.queue.depth()
    }

    fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    fn check(&self) -> Result<(), Violation> {
        self.queue.check(self.under_way.iter())?;
        let detail = || alloc::format!("{self:?}");
        Violation::unless(
            self.cursor <= self.under_way.len(),
            "what was sent on this path is under way",
            detail,
        )?;
        Violation::unless(
            (self.held | self.again) & !bits(self.cursor) == 0,
            "only what was sent on this path can have come, or is sent again",
            detail,
        )?;
        Violation::unless(
            !self.is_relayed() || self.cursor as u64 <= RELAY_WINDOW,
            "what is under way over a relay fits an acknowledgement",
            detail,
        )?;
        Violation::unless(
            !self.is_relayed() || self.cursor == 0 || self.retry.deadline().is_some(),
            "what a relay may lose has a timer",
            detail,
        )
    }
}
