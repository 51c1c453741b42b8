//! The kind: messages that waited for too long are not sent any more.
//!
//! Positions, measurements, frames of a video: whoever could not be told in time is better told
//! something newer. The sending half keeps the promise alone, by its own clock, so no two clocks
//! have to agree. What was handed to the connection is not called back.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use murmurate::channel::{
    Attached, Depth, Frame, Full, Incoming, Kind, LaneLimits, Nonsense, Outcome, Path, Receiving,
    Sending, Ticket,
};
use murmurate::membership::Time;

/// Messages in order, each at most once, none that is older than this when its turn comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh(pub(crate) Duration);

impl Kind for Fresh {
    fn name(&self) -> &str {
        // All that the two halves must agree on: the age is the sender's own business.
        "fresh"
    }

    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending> {
        // Even a patient channel gives up no later than this.
        let age = self.0.min(limits.timeout);
        Box::new(Sender {
            limits,
            age,
            waiting: VecDeque::new(),
            bytes: 0,
            tickets: 0,
            next: 0,
            has_path: false,
            settled: VecDeque::new(),
        })
    }

    fn receiving(&self, base: u64, _limits: LaneLimits) -> Box<dyn Receiving> {
        Box::new(Receiver { next: base, ready: VecDeque::new() })
    }
}

/// The only word there is: a message.
const DATA: u8 = 0;

#[derive(Debug, Clone)]
struct Sender {
    limits: LaneLimits,
    age: Duration,
    /// When each was taken, its ticket, itself.
    waiting: VecDeque<(Time, Ticket, Bytes)>,
    bytes: usize,
    tickets: Ticket,
    /// The number of the next frame.
    next: u64,
    has_path: bool,
    settled: VecDeque<(Ticket, Outcome)>,
}

impl Sender {
    /// The oldest that waits gets its outcome.
    fn settle(&mut self, outcome: Outcome) -> Option<Bytes> {
        let (_, ticket, message) = self.waiting.pop_front()?;
        self.bytes -= message.len();
        self.settled.push_back((ticket, outcome));
        Some(message)
    }
}

impl Sending for Sender {
    fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        self.expire(now);
        let bytes = self.bytes + message.len();
        // One message always fits.
        let is_full = self.waiting.len() >= self.limits.messages || bytes > self.limits.bytes;
        if is_full && !self.waiting.is_empty() {
            return Err(Full);
        }
        let ticket = self.tickets;
        self.tickets += 1;
        self.bytes = bytes;
        self.waiting.push_back((now, ticket, message));
        Ok(ticket)
    }

    fn shed_oldest(&mut self) -> bool {
        self.settle(Outcome::Shed).is_some()
    }

    fn next_frame(&mut self, now: Time) -> Option<Frame> {
        if !self.has_path {
            return None;
        }
        self.expire(now);
        let body = self.settle(Outcome::Sent)?;
        let number = self.next;
        self.next += 1;
        Some(Frame { tag: DATA, number, body })
    }

    fn has_frame(&self) -> bool {
        self.has_path && !self.waiting.is_empty()
    }

    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        // The other half has nothing to say.
        Err(Nonsense { tag: frame.tag, number: frame.number })
    }

    fn base(&self) -> u64 {
        self.next
    }

    fn attach(&mut self, _now: Time, _path: Path, attached: Attached) -> Result<(), Nonsense> {
        if attached.heard > self.next {
            return Err(Nonsense { tag: DATA, number: attached.heard });
        }
        self.has_path = true;
        Ok(())
    }

    fn detach(&mut self) {
        self.has_path = false;
    }

    fn abandon(&mut self) {
        while self.shed_oldest() {}
    }

    fn deadline(&self) -> Option<Time> {
        self.waiting.front().map(|(taken, ..)| taken.after(self.age))
    }

    fn expire(&mut self, now: Time) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.settle(Outcome::TimedOut);
        }
    }

    fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.settled.pop_front()
    }

    fn depth(&self) -> Depth {
        Depth { messages: self.waiting.len(), bytes: self.bytes }
    }
}

#[derive(Debug, Clone)]
struct Receiver {
    /// One more than the highest number that came.
    next: u64,
    ready: VecDeque<Incoming>,
}

impl Receiving for Receiver {
    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        if tag != DATA || number == u64::MAX {
            return Err(Nonsense { tag, number });
        }
        // A relay may bring one twice, or late; a stream never does.
        if number >= self.next {
            self.next = number + 1;
            self.ready.push_back(Incoming { number, message: body });
        }
        Ok(())
    }

    fn next_delivery(&mut self) -> Option<Incoming> {
        self.ready.pop_front()
    }

    fn done(&mut self, _number: u64, _answer: Option<Bytes>) {}

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        None
    }

    fn heard(&self) -> u64 {
        self.next
    }

    fn attach(&mut self, _now: Time, _path: Path) {}

    fn detach(&mut self) {}

    fn remembers(&self) -> bool {
        // Nothing is sent twice, so nothing can come twice.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn what_waited_too_long_is_not_sent() {
        let limits = LaneLimits { messages: 3, bytes: 100, timeout: Duration::from_secs(30) };
        let mut sender = Fresh(Duration::from_millis(100)).sending(limits);
        for (ticket, millis) in [(0, 0), (1, 50), (2, 90)] {
            assert_eq!(sender.push(at(millis), Bytes::from_static(b"ten bytes.")), Ok(ticket));
        }
        assert_eq!(sender.push(at(90), Bytes::new()), Err(Full));
        assert_eq!(sender.next_frame(at(90)), None, "there is no path");
        assert_eq!(sender.deadline(), Some(at(100)));
        let attached = Attached { resumed: false, heard: 0 };
        sender.attach(at(150), Path::Stream, attached).expect("an honest attached");
        let frame = sender.next_frame(at(150)).expect("the last is fresh");
        assert_eq!(frame.number, 0, "the first that is sent");
        assert_eq!(sender.next_frame(at(150)), None);
        let settled: Vec<_> = std::iter::from_fn(|| sender.settled()).collect();
        let expected = [(0, Outcome::TimedOut), (1, Outcome::TimedOut), (2, Outcome::Sent)];
        assert_eq!(settled, expected);
        let mut receiver = Fresh(Duration::ZERO).receiving(0, limits);
        receiver.receive(at(150), frame.clone()).expect("honest");
        receiver.receive(at(150), frame).expect("a copy harms nobody");
        assert!(receiver.next_delivery().is_some() && receiver.next_delivery().is_none());
    }
}
