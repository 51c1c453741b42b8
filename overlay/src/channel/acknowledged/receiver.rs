//! The half that receives.

use alloc::collections::{BTreeMap, VecDeque};
use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::super::{Depth, Frame, Incoming, LaneLimits, Nonsense, Path, Receiving};
use super::{ACK, DATA, DROPPED, RELAY_WINDOW, SKIP};

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    limits: LaneLimits,
    path: Option<Path>,
    /// Came in order, and not taken: the last has the number `next - 1`.
    ready: VecDeque<Bytes>,
    /// The number that is waited for.
    next: u64,
    /// All below are done with.
    done: u64,
    /// Those of them that were dropped, as far as the sender does not know.
    dropped: VecDeque<u64>,
    /// All below were told on this path.
    told: u64,
    /// Came over a relay before their turn.
    ahead: BTreeMap<u64, Bytes>,
    /// Of `ready` and `ahead`.
    bytes: usize,
    /// The sender has to be told.
    ack: bool,
}

impl Receiver {
    pub(super) fn new(base: u64, limits: LaneLimits) -> Self {
        Self {
            limits,
            path: None,
            ready: VecDeque::new(),
            next: base,
            done: base,
            dropped: VecDeque::new(),
            told: base,
            ahead: BTreeMap::new(),
            bytes: 0,
            ack: false,
        }
    }

    fn is_relayed(&self) -> bool {
        self.path == Some(Path::Relay)
    }

    /// The number of the next delivery.
    fn first(&self) -> u64 {
        self.next - self.ready.len() as u64
    }

    /// Messages without outcome that an honest sender has.
    fn most(&self) -> u64 {
        self.limits.messages.max(1) as u64
    }

    fn has_room(&self, message: &Bytes) -> bool {
        let Depth { messages, bytes } = self.depth();
        let bytes = bytes.saturating_add(message.len());
        messages == 0 || (messages < self.limits.messages && bytes <= self.limits.bytes)
    }

    /// A message that did not come before, and for which there is room.
    fn keep(&mut self, number: u64, message: Bytes) {
        self.bytes += message.len();
        if number == self.next {
            self.ready.push_back(message);
            self.next += 1;
            self.advance();
        } else {
            self.ahead.insert(number, message);
        }
    }

    /// A stream brings the next one or, after a break, what came on the last one. An honest sender
    /// has no more under way than fits, and no more without outcome.
    fn take_in_order(&mut self, number: u64, message: Bytes) -> bool {
        let is_expected = number == self.next && number - self.heard() < self.most();
        if is_expected && self.has_room(&message) {
            self.keep(number, message);
            return true;
        }
        number < self.next
    }

    /// A relay brings anything, at any time. What cannot be kept comes again.
    fn take_relayed(&mut self, number: u64, message: Bytes) {
        // Whatever it is, the sender does not know that it came.
        self.ack = true;
        let is_new = number >= self.next && !self.ahead.contains_key(&number);
        if is_new && number - self.heard() < RELAY_WINDOW && self.has_room(&message) {
            self.keep(number, message);
        }
    }

    /// What came before its turn, and has it now.
    fn advance(&mut self) {
        if self.ahead.is_empty() {
            return;
        }
        while let Some(message) = self.ahead.remove(&self.next) {
            self.ready.push_back(message);
            self.next += 1;
        }
    }

    /// Nothing below `base` is waited for any more.
    fn skip(&mut self, base: u64) {
        self.ack |= self.is_relayed();
        while self.dropped.pop_front_if(|number| *number < base).is_some() {
            // It knows, and waits to hear that this is known.
            self.ack = true;
        }
        while self.first() < base
            && let Some(message) = self.ready.pop_front()
        {
            self.bytes -= message.len();
        }
        while let Some(first) = self.ahead.first_entry()
            && *first.key() < base
        {
            self.bytes -= first.remove().len();
        }
        self.next = self.next.max(base);
        self.done = self.done.max(base);
        self.advance();
    }

    /// Which of the numbers from `heard` on came.
    fn came(&self) -> u64 {
        let heard = self.heard();
        let in_order = self.next - heard;
        let mut came = if in_order < 64 { (1 << in_order) - 1 } else { u64::MAX };
        let end = heard.saturating_add(RELAY_WINDOW);
        for (number, _) in self.ahead.range(..end) {
            came |= 1 << (number - heard);
        }
        came
    }
}

impl Receiving for Receiver {
    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        let nonsense = Nonsense { tag, number };
        match tag {
            DATA if number < u64::MAX => {
                if self.is_relayed() {
                    self.take_relayed(number, body);
                } else if !self.take_in_order(number, body) {
                    return Err(nonsense);
                }
                Ok(())
            }
            SKIP if body.is_empty() => {
                self.skip(number);
                Ok(())
            }
            _ => Err(nonsense),
        }
    }

    fn next_delivery(&mut self) -> Option<Incoming> {
        let number = self.first();
        let message = self.ready.pop_front()?;
        self.bytes -= message.len();
        Some(Incoming { number, message })
    }

    fn done(&mut self, number: u64, answer: Option<Bytes>) {
        if (self.done..self.first()).contains(&number) {
            self.done = number + 1;
            self.ack = true;
            if answer.is_none() {
                self.dropped.push_back(number);
            }
        }
    }

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        if !self.has_frame() {
            return None;
        }
        // A relay loses words, and lets one overtake another: the first that was dropped is all that
        // is told until the sender knows.
        let (told, body) = if self.is_relayed() {
            (self.heard(), Bytes::copy_from_slice(&self.came().to_le_bytes()))
        } else {
            (self.told, Bytes::new())
        };
        let at = self.dropped.partition_point(|number| *number < told);
        if let Some(number) = self.dropped.get(at).copied() {
            self.told = number + 1;
            self.ack = !self.is_relayed() && self.told < self.done;
            return Some(Frame { tag: DROPPED, number, body });
        }
        self.told = self.done;
        self.ack = false;
        Some(Frame { tag: ACK, number: self.done, body })
    }

    fn has_frame(&self) -> bool {
        self.ack && self.path.is_some()
    }

    fn heard(&self) -> u64 {
        self.dropped.front().copied().unwrap_or(self.done)
    }

    fn attach(&mut self, _now: Time, path: Path) {
        self.path = Some(path);
        self.told = self.heard();
        if path == Path::Stream {
            // All of it comes again, in order.
            self.ahead.clear();
            self.bytes = self.ready.iter().map(Bytes::len).sum();
        }
        // The last word on the old path may have been lost after the sender was welcomed.
        self.ack = true;
    }

    fn detach(&mut self) {
        self.path = None;
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
    }

    fn remembers(&self) -> bool {
        true
    }

    fn depth(&self) -> Depth {
        Depth { messages: self.ready.len() + self.ahead.len(), bytes: self.bytes }
    }

    fn check(&self) -> Result<(), Violation> {
        self.depth().check(self.limits)?;
        let detail = || alloc::format!("{self:?}");
        let bytes: usize = self.ready.iter().chain(self.ahead.values()).map(Bytes::len).sum();
        Violation::unless(self.bytes == bytes, "what waits is counted", detail)?;
        Violation::unless(
            self.done <= self.first() && self.first() <= self.next,
            "what is done with was taken, and what was taken came",
            detail,
        )?;
        Violation::unless(
            self.dropped.iter().is_sorted()
                && self.dropped.back().is_none_or(|number| *number < self.done)
                && self.dropped.len() as u64 <= self.most().max(RELAY_WINDOW),
            "what was dropped is done with, and bounded",
            detail,
        )?;
        Violation::unless(
            self.ahead.keys().all(|number| self.path != Some(Path::Stream) && *number > self.next),
            "what came before its turn came over a relay, and is still to have it",
            detail,
        )
    }
}
