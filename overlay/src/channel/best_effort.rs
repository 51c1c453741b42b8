//! Best effort: what was written to the path is done with.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::queue::Queue;
use super::{
    Attached, Depth, Frame, Full, Incoming, Kind, LaneLimits, Nonsense, Outcome, Path, Receiving,
    Sending, Ticket,
};

const DATA: u8 = 0;

/// Messages in order, without acknowledgement.
///
/// The outcome of a message is [`Outcome::Sent`] once it is handed to the path. What the path loses is
/// lost; what was not handed to it is sent on the next one. Over a [`Path::Relay`] each message is sent
/// once, and delivered as it comes, but not twice. This is the fastest kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BestEffort;

impl Kind for BestEffort {
    fn name(&self) -> &'static str {
        "best-effort"
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending> {
        Box::new(Sender { queue: Queue::new(limits), next: 0, stands: false })
    }

    fn receiving(&self, base: u64, limits: LaneLimits) -> Box<dyn Receiving> {
        let ready = VecDeque::new();
        Box::new(Receiver { limits, ready, bytes: 0, relayed: false, seen: Seen::new(base) })
    }
}

#[derive(Debug, Clone)]
struct Sender {
    queue: Queue,
    /// The number of the next message that is sent.
    next: u64,
    /// Whether there is a path.
    stands: bool,
}

impl Sending for Sender {
    fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        self.queue.push(now, message)
    }

    fn shed_oldest(&mut self) -> bool {
        self.queue.shed_oldest()
    }

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        if !self.stands {
            return None;
        }
        let held = self.queue.pop()?;
        self.queue.settle(&held, Outcome::Sent);
        let number = self.next;
        self.next += 1;
        Some(Frame { tag: DATA, number, body: held.message })
    }

    fn has_frame(&self) -> bool {
        self.stands && !self.queue.is_empty()
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
        self.stands = true;
        Ok(())
    }

    fn detach(&mut self) {
        self.stands = false;
        self.queue.shrink();
    }

    fn abandon(&mut self) {
        self.queue.abandon();
    }

    fn deadline(&self) -> Option<Time> {
        self.queue.deadline()
    }

    fn expire(&mut self, now: Time) {
        self.queue.expire(now);
    }

    fn settled(&mut self) -> Option<(Ticket, Outcome)> {
        self.queue.settled()
    }

    fn depth(&self) -> Depth {
        self.queue.depth()
    }

    fn check(&self) -> Result<(), Violation> {
        self.queue.check(core::iter::empty())
    }
}

#[derive(Debug, Clone)]
struct Receiver {
    limits: LaneLimits,
    ready: VecDeque<Incoming>,
    bytes: usize,
    relayed: bool,
    seen: Seen,
}

impl Receiving for Receiver {
    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        if tag != DATA || number == u64::MAX || (!self.relayed && number < self.seen.next) {
            return Err(Nonsense { tag, number });
        }
        if self.relayed {
            if !self.seen.is_new(number) {
                return Ok(());
            }
        } else {
            self.seen.next = number + 1;
        }
        let bytes = self.bytes.saturating_add(body.len());
        let waiting = self.ready.len();
        if waiting > 0 && (waiting >= self.limits.messages || bytes > self.limits.bytes) {
            // The application takes too little of what a relay brings. A stream is not read further
            // than the application takes, so this is no message of it.
            return Ok(());
        }
        self.bytes = bytes;
        self.ready.push_back(Incoming { number, message: body });
        Ok(())
    }

    fn next_delivery(&mut self) -> Option<Incoming> {
        let delivery = self.ready.pop_front()?;
        self.bytes -= delivery.message.len();
        Some(delivery)
    }

    fn is_silent(&self) -> bool {
        true
    }

    fn done(&mut self, _number: u64, _answer: Option<Bytes>) {}

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        None
    }

    fn has_frame(&self) -> bool {
        false
    }

    fn heard(&self) -> u64 {
        self.seen.next
    }

    fn attach(&mut self, _now: Time, path: Path) {
        self.relayed = path == Path::Relay;
        self.seen = Seen::new(self.seen.next);
    }

    fn detach(&mut self) {
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
    }

    fn remembers(&self) -> bool {
        // Nothing is sent twice, and a new half takes nothing older than its base.
        false
    }

    fn depth(&self) -> Depth {
        Depth { messages: self.ready.len(), bytes: self.bytes }
    }

    fn check(&self) -> Result<(), Violation> {
        let bytes = self.ready.iter().map(|delivery| delivery.message.len()).sum();
        let depth = Depth { messages: self.ready.len(), bytes };
        Violation::unless(self.bytes == bytes, "what waits is counted", || {
            alloc::format!("{} and not {bytes}", self.bytes)
        })?;
        depth.check(self.limits)
    }
}

/// Numbers back from the latest that are told apart; older ones count as seen.
const WINDOW: u64 = 1 << 10;
const WORDS: usize = (WINDOW / 64) as usize;

/// Which of the latest numbers came.
#[derive(Debug, Clone)]
struct Seen {
    /// One more than the highest that came.
    next: u64,
    /// A ring: a bit for each of the `WINDOW` numbers below `next`.
    bits: [u64; WORDS],
}

impl Seen {
    /// Everything below `next` counts as seen.
    fn new(next: u64) -> Self {
        Self { next, bits: [u64::MAX; WORDS] }
    }

    /// Whether `number` did not come before. It has come then.
    fn is_new(&mut self, number: u64) -> bool {
        if number >= self.next {
            // What is skipped may still come.
            let skipped = number - self.next;
            for back in 0..skipped.min(WINDOW) {
                let (word, bit) = Self::place(number - 1 - back);
                self.bits[word] &= !bit;
            }
            self.next = number + 1;
        } else {
            let (word, bit) = Self::place(number);
            if self.next - number > WINDOW || self.bits[word] & bit != 0 {
                return false;
            }
        }
        let (word, bit) = Self::place(number);
        self.bits[word] |= bit;
        true
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        ((at / 64) as usize, 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const LIMITS: LaneLimits =
        LaneLimits { messages: 4, bytes: 100, timeout: Duration::from_secs(9) };
    const FRESH: Attached = Attached { resumed: false, heard: 0 };

    fn frame(number: u64) -> Frame {
        Frame { tag: DATA, number, body: Bytes::from_static(b"ten bytes.") }
    }

    fn sender(messages: usize) -> Box<dyn Sending> {
        let mut sender = BestEffort.sending(LIMITS);
        for _ in 0..messages {
            sender.push(Time::ZERO, Bytes::from_static(b"ten bytes.")).expect("room");
        }
        sender
    }

    fn receiver(path: Path) -> Box<dyn Receiving> {
        let mut receiver = BestEffort.receiving(0, LIMITS);
        receiver.attach(Time::ZERO, path);
        receiver
    }

    #[test]
    fn a_message_is_done_with_when_the_path_has_it_and_the_rest_waits_for_the_next() {
        let mut sender = sender(3);
        assert!(!sender.has_frame() && sender.next_frame(Time::ZERO).is_none(), "no path");
        sender.attach(Time::ZERO, Path::Stream, FRESH).expect("honest");
        assert_eq!(sender.next_frame(Time::ZERO), Some(frame(0)));
        assert_eq!(sender.settled(), Some((0, Outcome::Sent)));
        assert_eq!(sender.settled(), None);
        sender.detach();
        assert!(!sender.has_frame() && sender.next_frame(Time::ZERO).is_none(), "it broke");
        assert_eq!(sender.base(), 1, "the first is not sent again");
        let attached = Attached { resumed: true, heard: 1 };
        sender.attach(Time::ZERO, Path::Stream, attached).expect("honest");
        assert!(sender.has_frame());
        assert_eq!(sender.next_frame(Time::ZERO), Some(frame(1)));
        assert_eq!(sender.next_frame(Time::ZERO), Some(frame(2)));
        assert_eq!(sender.depth(), Depth::default());
        sender.check().expect("it holds");
    }

    #[test]
    fn what_waits_without_a_path_is_shed_or_given_up_in_time() {
        let mut sender = sender(4);
        assert_eq!(sender.push(Time::ZERO, Bytes::new()), Err(Full));
        assert!(sender.shed_oldest());
        assert_eq!(sender.settled(), Some((0, Outcome::Shed)));
        let late = sender.deadline().expect("they wait");
        sender.expire(late);
        assert_eq!(sender.settled(), Some((1, Outcome::TimedOut)));
        assert_eq!((sender.deadline(), sender.shed_oldest()), (None, false));
    }

    #[test]
    fn a_stream_delivers_in_order_and_what_goes_back_is_nonsense() {
        let mut receiver = receiver(Path::Stream);
        for number in [0, 1, 5] {
            receiver.receive(Time::ZERO, frame(number)).expect("a broken path loses");
        }
        assert_eq!(receiver.heard(), 6);
        for number in [5, 0, u64::MAX] {
            assert!(receiver.receive(Time::ZERO, frame(number)).is_err(), "{number}");
        }
        assert!(receiver.receive(Time::ZERO, Frame { tag: 9, ..frame(7) }).is_err());
        let numbers: Vec<_> =
            core::iter::from_fn(|| receiver.next_delivery()).map(|one| one.number).collect();
        assert_eq!(numbers, [0, 1, 5]);
    }

    #[test]
    fn a_relay_delivers_as_it_comes_and_never_twice() {
        let mut receiver = receiver(Path::Relay);
        let mut taken = |number| {
            receiver.receive(Time::ZERO, frame(number)).expect("honest");
            receiver.next_delivery().map(|delivery| delivery.number)
        };
        for number in [3, 1, 0, 70] {
            assert_eq!(taken(number), Some(number));
        }
        for number in [3, 1, 0, 70] {
            assert_eq!(taken(number), None, "{number} came before");
        }
        assert_eq!(taken(2), Some(2), "late");
        assert_eq!(taken(70 + WINDOW), Some(70 + WINDOW));
        assert_eq!(taken(70), None, "at the end of the window, and seen");
        assert_eq!(taken(71), Some(71), "at the end of the window, and new");
        assert_eq!(taken(4), None, "too old to be told apart");
        let far = u64::MAX - 1;
        assert_eq!(taken(far), Some(far));
        assert_eq!(taken(far), None);
    }

    #[test]
    fn a_new_half_takes_nothing_older_than_its_base() {
        let mut receiver = BestEffort.receiving(5, LIMITS);
        receiver.attach(Time::ZERO, Path::Relay);
        for number in [4, 5] {
            receiver.receive(Time::ZERO, frame(number)).expect("honest");
        }
        assert_eq!(receiver.next_delivery().map(|delivery| delivery.number), Some(5));
        assert_eq!(receiver.next_delivery(), None);
    }

    #[test]
    fn what_the_application_does_not_take_is_bounded() {
        let mut receiver = receiver(Path::Relay);
        for number in 0..100 {
            receiver.receive(Time::ZERO, frame(number)).expect("honest");
            receiver.check().expect("bounded");
        }
        assert_eq!(receiver.depth(), Depth { messages: 4, bytes: 40 });
    }

    #[test]
    fn a_welcome_from_the_future_is_nonsense() {
        let mut sender = sender(1);
        let attached = Attached { resumed: true, heard: 1 };
        assert!(sender.attach(Time::ZERO, Path::Stream, attached).is_err());
        assert!(!sender.has_frame(), "nothing changed");
        assert!(sender.receive(Time::ZERO, frame(0)).is_err(), "it has nothing to say");
    }
}
