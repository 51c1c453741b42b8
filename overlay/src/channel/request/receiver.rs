//! The half that answers.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::super::{Depth, Frame, Incoming, LaneLimits, Nonsense, Path, Receiving};
use super::{ANSWER, DROPPED, REQUEST, SPAN};

/// `None`: the application dropped the request.
type Answer = Option<Bytes>;

fn bytes(answer: &Answer) -> usize {
    answer.as_ref().map_or(0, Bytes::len)
}

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    limits: LaneLimits,
    relayed: bool,
    /// Came, and the application has not taken it.
    ready: VecDeque<Incoming>,
    ready_bytes: usize,
    /// The application has it.
    open: BTreeSet<u64>,
    /// To be sent.
    answers: BTreeMap<u64, Answer>,
    answer_bytes: usize,
    /// One more than the highest number that came.
    next: u64,
    /// All below it, and those that came over this relay since, are no news.
    floor: u64,
    recent: Recent,
}

/// What came over a relay lately, and the answers to some of it.
#[derive(Debug, Clone, Default)]
struct Recent {
    came: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    bytes: usize,
}

impl Recent {
    /// Forgets what is below `floor`.
    fn forget_below(&mut self, floor: u64) {
        while self.came.first().is_some_and(|first| *first < floor) {
            self.came.pop_first();
        }
        while self.answers.first_key_value().is_some_and(|(first, _)| *first < floor) {
            self.forget_answer();
        }
    }

    fn forget_answer(&mut self) {
        if let Some((_, answer)) = self.answers.pop_first() {
            self.bytes -= bytes(&answer);
        }
    }

    fn answered(&mut self, number: u64, answer: Answer, limits: LaneLimits) {
        self.bytes += bytes(&answer);
        self.answers.insert(number, answer);
        while self.answers.len() > 1
            && (self.bytes > limits.bytes || self.answers.len() > limits.messages)
        {
            self.forget_answer();
        }
    }
}

impl Receiver {
    pub(super) fn new(base: u64, limits: LaneLimits) -> Self {
        Self {
            limits,
            relayed: false,
            ready: VecDeque::new(),
            ready_bytes: 0,
            open: BTreeSet::new(),
            answers: BTreeMap::new(),
            answer_bytes: 0,
            next: base,
            floor: base,
            recent: Recent::default(),
        }
    }

    /// Whether a request came before, over a relay. If it was answered, the answer is sent again.
    fn is_known(&mut self, number: u64) -> bool {
        if number < self.floor {
            return true;
        }
        if !self.recent.came.contains(&number) {
            return false;
        }
        if let Some(answer) = self.recent.answers.get(&number).cloned() {
            self.answer(number, answer);
        }
        true
    }

    fn answer(&mut self, number: u64, answer: Answer) {
        if !self.answers.contains_key(&number) {
            self.answer_bytes += bytes(&answer);
            self.answers.insert(number, answer);
        }
    }

    /// How many requests are between their coming and their answer's going.
    fn pending(&self) -> usize {
        self.ready.len() + self.open.len() + self.answers.len()
    }

    /// An honest sender waits for no more than the limits say. If more are here, it has given up the
    /// oldest, so the oldest go.
    fn make_room(&mut self) {
        while self.pending() > self.limits.messages.max(1)
            || (self.ready.len() > 1 && self.ready_bytes > self.limits.bytes)
        {
            let waits = self.ready.front().map(|delivery| delivery.number);
            let open = self.open.first().copied();
            let answer = self.answers.first_key_value().map(|(number, _)| *number);
            let oldest = [waits, open, answer].into_iter().flatten().min();
            if self.pending() > self.limits.messages.max(1) && oldest != waits {
                if oldest == open {
                    self.open.pop_first();
                } else {
                    self.take_answer();
                }
            } else if let Some(delivery) = self.ready.pop_front() {
                self.ready_bytes -= delivery.message.len();
            }
        }
    }

    fn take_answer(&mut self) -> Option<(u64, Answer)> {
        let (number, answer) = self.answers.pop_first()?;
        self.answer_bytes -= bytes(&answer);
        Some((number, answer))
    }

    fn forget_all(&mut self) {
        self.ready = VecDeque::new();
        self.ready_bytes = 0;
        self.open.clear();
        self.answers.clear();
        self.answer_bytes = 0;
        self.recent = Recent::default();
        self.floor = self.next;
    }
}

impl Receiving for Receiver {
    fn receive(&mut self, _now: Time, frame: Frame) -> Result<(), Nonsense> {
        let Frame { tag, number, body } = frame;
        if tag != REQUEST || number == u64::MAX || (!self.relayed && number < self.next) {
            return Err(Nonsense { tag, number });
        }
        if self.relayed {
            if self.is_known(number) {
                return Ok(());
            }
            self.recent.came.insert(number);
        }
        self.next = self.next.max(number + 1);
        if self.relayed {
            self.floor = self.floor.max(self.next.saturating_sub(SPAN));
            self.recent.forget_below(self.floor);
        }
        self.ready_bytes += body.len();
        // A relay brings them in any order, and the oldest must be known.
        let at = self.ready.partition_point(|delivery| delivery.number < number);
        self.ready.insert(at, Incoming { number, message: body });
        self.make_room();
        Ok(())
    }

    fn next_delivery(&mut self) -> Option<Incoming> {
        if self.answer_bytes > self.limits.bytes {
            // The sender has to take its answers before it is given more.
            return None;
        }
        let delivery = self.ready.pop_front()?;
        self.ready_bytes -= delivery.message.len();
        self.open.insert(delivery.number);
        Some(delivery)
    }

    fn done(&mut self, number: u64, answer: Option<Bytes>) {
        if self.open.remove(&number) {
            if self.relayed && number >= self.floor {
                self.recent.answered(number, answer.clone(), self.limits);
            }
            self.answer(number, answer);
        }
    }

    fn next_frame(&mut self, _now: Time) -> Option<Frame> {
        let (number, answer) = self.take_answer()?;
        let tag = if answer.is_some() { ANSWER } else { DROPPED };
        Some(Frame { tag, number, body: answer.unwrap_or_default() })
    }

    fn has_frame(&self) -> bool {
        !self.answers.is_empty()
    }

    fn heard(&self) -> u64 {
        self.next
    }

    fn attach(&mut self, _now: Time, path: Path) {
        self.forget_all();
        self.relayed = path == Path::Relay;
    }

    fn detach(&mut self) {
        // Whoever asked has given up.
        self.forget_all();
    }

    fn remembers(&self) -> bool {
        // Nothing that was under way is sent on another path.
        false
    }

    fn in_order(&self) -> bool {
        false
    }

    fn depth(&self) -> Depth {
        Depth { messages: self.ready.len(), bytes: self.ready_bytes }
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        self.depth().check(self.limits)?;
        let sum = |answers: &BTreeMap<u64, Answer>| answers.values().map(bytes).sum::<usize>();
        let ready: usize = self.ready.iter().map(|delivery| delivery.message.len()).sum();
        let recent = &self.recent;
        Violation::unless(
            ready == self.ready_bytes
                && sum(&self.answers) == self.answer_bytes
                && sum(&recent.answers) == recent.bytes,
            "what waits is counted",
            detail,
        )?;
        let most = self.limits.messages.max(1);
        Violation::unless(
            self.open.len() <= most
                && recent.came.len() as u64 <= SPAN
                && recent.answers.len() <= most,
            "what is remembered is bounded",
            detail,
        )?;
        Violation::unless(
            recent.answers.len() <= 1 || recent.bytes <= self.limits.bytes,
            "the answers that are remembered are bounded",
            detail,
        )
    }
}
