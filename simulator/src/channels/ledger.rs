//! What was pushed, sent, taken and said of it: where the promises of the kinds are checked.

use std::collections::BTreeMap;

use bytes::Bytes;
use murmurate::channel::{Limits, Outcome, Path, Ticket};
use murmurate::membership::{Time, Violation};

/// What a kind promises beyond what all do.
#[derive(Debug, Clone, Copy)]
pub struct Promises {
    /// A receiving half delivers in the order of the pushes.
    pub in_order: bool,
    /// All copies of a message go to one receiving half.
    pub one_half: bool,
    /// What was sent is gone only with the receiving half that it was sent to.
    pub survives: bool,
    /// A receiving node, whichever halves it has, never delivers an older one after a newer one.
    pub newest: bool,
    /// Messages without outcome that a sending half may hold whatever the limits.
    pub least_room: usize,
}

impl Promises {
    /// Those of [`BestEffort`](murmurate::channel::BestEffort), where there are no relays.
    pub const BEST_EFFORT: Self =
        Self { in_order: true, one_half: true, survives: false, newest: true, least_room: 1 };
    /// Those of [`BestEffort`](murmurate::channel::BestEffort) over relays.
    pub const BEST_EFFORT_RELAYED: Self =
        Self { in_order: false, newest: false, ..Self::BEST_EFFORT };
    /// Those of [`Acknowledged`](murmurate::channel::Acknowledged).
    pub const ACKNOWLEDGED: Self = Self { survives: true, ..Self::BEST_EFFORT };
    /// Those of [`Latest`](murmurate::channel::Latest).
    pub const LATEST: Self = Self { one_half: false, least_room: 2, ..Self::BEST_EFFORT };
    /// Those of [`Request`](murmurate::channel::Request).
    pub const REQUEST: Self = Self::BEST_EFFORT_RELAYED;
}

/// A message that was pushed: a lane, an incarnation of the sending half, a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Which lane.
    pub lane: usize,
    /// Which sending half of the lane.
    pub incarnation: u64,
    /// The number of the message, as it counts.
    pub ticket: Ticket,
}

impl Name {
    /// A message that says its name.
    pub(super) fn message(self, bytes: usize) -> Bytes {
        let mut message: Vec<u8> = [self.lane as u64, self.incarnation, self.ticket]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        message.resize(message.len() + bytes, 0);
        message.into()
    }

    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(message.get(at..at + 8)?.try_into().ok()?));
        Some(Self { lane: word(0)? as usize, incarnation: word(8)?, ticket: word(16)? })
    }
}

/// The answer to a message.
pub(super) fn answer(message: &Bytes) -> Bytes {
    message.iter().map(|byte| !byte).collect()
}

/// Where a message was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The start of the receiving node.
    pub incarnation: u64,
    /// The receiving half.
    pub half: u64,
}

/// All that is known of a message.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it was pushed.
    pub pushed: Time,
    /// What the sender was told.
    pub outcome: Option<Outcome>,
    /// How often it was sent.
    pub sent: usize,
    /// The way and the receiving half it was sent to last.
    to: Option<(usize, u64)>,
    /// Where the application took it.
    pub taken: Vec<Place>,
    /// Where it was done with it.
    pub done: Vec<Place>,
    answer: Bytes,
}

#[derive(Debug)]
pub(super) struct Ledger {
    promises: Promises,
    limits: Limits,
    records: BTreeMap<Name, Record>,
    /// The last message that a receiving half, and a receiving node, delivered of a lane.
    last_of_half: BTreeMap<u64, Name>,
    last_of_node: BTreeMap<(usize, u64), Name>,
    pub(super) digest: u64,
}

impl Ledger {
    pub(super) fn new(promises: Promises, limits: Limits) -> Self {
        Self {
            promises,
            limits,
            records: BTreeMap::new(),
            last_of_half: BTreeMap::new(),
            last_of_node: BTreeMap::new(),
            digest: 0,
        }
    }

    pub(super) fn records(&self) -> &BTreeMap<Name, Record> {
        &self.records
    }

    fn digest(&mut self, now: Time, what: u64, name: Name) {
        for word in [now.as_nanos(), what, name.lane as u64, name.incarnation, name.ticket] {
            self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn record(&mut self, name: Option<Name>) -> Result<(Name, &mut Record), Violation> {
        let record = name.and_then(|name| Some((name, self.records.get_mut(&name)?)));
        record.ok_or_else(|| Violation {
            rule: "every message was pushed",
            detail: format!("{name:?}"),
        })
    }

    pub(super) fn pushed(
        &mut self,
        now: Time,
        name: Name,
        message: &Bytes,
    ) -> Result<(), Violation> {
        self.digest(now, 1, name);
        let record = Record {
            pushed: now,
            outcome: None,
            sent: 0,
            to: None,
            taken: Vec::new(),
            done: Vec::new(),
            answer: answer(message),
        };
        let before = self.records.insert(name, record);
        Violation::unless(before.is_none(), "each message has a ticket of its own", || {
            format!("{name:?}")
        })
    }

    pub(super) fn sent(
        &mut self,
        now: Time,
        message: &Bytes,
        (way, path): (usize, Path),
        half: u64,
    ) -> Result<(), Violation> {
        let one_half = self.promises.one_half;
        let (name, record) = self.record(Name::of(message))?;
        let detail = || format!("{name:?} at {now:?}");
        Violation::unless(record.outcome.is_none(), "what has an outcome is not sent", detail)?;
        if let Some((last, to)) = record.to {
            Violation::unless(
                path == Path::Relay || way != last,
                "nothing is sent twice over a stream",
                detail,
            )?;
            Violation::unless(
                !one_half || to == half,
                "what one half may have is not sent to another",
                detail,
            )?;
        }
        record.sent += 1;
        record.to = Some((way, half));
        self.digest(now, 2, name);
        Ok(())
    }

    pub(super) fn taken(
        &mut self,
        now: Time,
        message: &Bytes,
        place: Place,
    ) -> Result<(), Violation> {
        let promises = self.promises;
        let (name, record) = self.record(Name::of(message))?;
        never_twice(promises, name, record, place)?;
        record.taken.push(place);
        self.digest(now, 3, name);
        let before = self.last_of_half.insert(place.half, name);
        Violation::unless(
            !promises.in_order || before.is_none_or(|before| before < name),
            "a half delivers in order",
            || format!("{name:?} after {before:?}"),
        )?;
        let before = self.last_of_node.insert((name.lane, place.incarnation), name);
        Violation::unless(
            !promises.newest || before.is_none_or(|before| before <= name),
            "a node never goes back to an older message",
            || format!("{name:?} after {before:?}"),
        )
    }

    pub(super) fn done(&mut self, message: &Bytes, place: Place) -> Result<(), Violation> {
        let (_, record) = self.record(Name::of(message))?;
        record.done.push(place);
        Ok(())
    }

    /// `half` is the receiving half that the sender last knew of.
    pub(super) fn settled(
        &mut self,
        now: Time,
        name: Name,
        outcome: Outcome,
        half: Option<u64>,
    ) -> Result<(), Violation> {
        let (limits, survives) = (self.limits, self.promises.survives);
        let (name, record) = self.record(Some(name))?;
        Violation::unless(
            outcome != Outcome::Gone || !survives || record.to.map(|(_, half)| half) != half,
            "nothing is gone while its receiver is there",
            || format!("{name:?} at {now:?}: {record:?}"),
        )?;
        Violation::unless(record.outcome.is_none(), "a message has one outcome", || {
            format!("{name:?} at {now:?}: {record:?}, and now {outcome:?}")
        })?;
        told_the_truth(now, name, record, &outcome, half)?;
        told_in_time(now, name, record, &outcome, limits)?;
        record.outcome = Some(outcome);
        self.digest(now, 4, name);
        Ok(())
    }

    /// Once faults have stopped and all timeouts have passed: what was pushed to a sending half that
    /// still is has an outcome.
    pub(super) fn complete(&self, is_current: impl Fn(Name) -> bool) -> Result<(), Violation> {
        let open = self
            .records
            .iter()
            .find(|(name, record)| is_current(**name) && record.outcome.is_none());
        Violation::unless(open.is_none(), "every message has an outcome in the end", || {
            format!("{open:?}")
        })
    }
}

/// No incarnation takes a message twice. Where a message may go to several halves, no half does.
fn never_twice(
    promises: Promises,
    name: Name,
    record: &Record,
    place: Place,
) -> Result<(), Violation> {
    let is_same = |before: &Place| {
        before.half == place.half || promises.one_half && before.incarnation == place.incarnation
    };
    Violation::unless(
        !record.taken.iter().any(is_same),
        "nothing is delivered twice to one incarnation",
        || format!("{name:?}, {place:?}: {record:?}"),
    )
}

/// What the sender is told is what happened.
fn told_the_truth(
    now: Time,
    name: Name,
    record: &Record,
    outcome: &Outcome,
    half: Option<u64>,
) -> Result<(), Violation> {
    let was_done = || record.done.iter().any(|place| Some(place.half) == half);
    let holds = match outcome {
        Outcome::Delivered => was_done(),
        Outcome::Answered(answer) => was_done() && *answer == record.answer,
        Outcome::Gone => record.sent > 0,
        Outcome::Shed => record.sent == 0,
        Outcome::Sent => record.sent == 1,
        _ => true,
    };
    Violation::unless(holds, "what the sender is told is what happened", || {
        format!("{name:?} at {now:?}: {outcome:?}, but {record:?}, half {half:?}")
    })
}

/// A message is without outcome until its timeout at most, and is not given up before.
fn told_in_time(
    now: Time,
    name: Name,
    record: &Record,
    outcome: &Outcome,
    limits: Limits,
) -> Result<(), Violation> {
    let end = record.pushed.after(limits.timeout);
    let holds = now == end || (now < end && *outcome != Outcome::TimedOut);
    Violation::unless(holds, "a message is given up when its time is over", || {
        format!("{name:?} at {now:?}: {outcome:?}, {record:?}")
    })
}
