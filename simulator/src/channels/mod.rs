//! A little world of lanes: the halves of any [`Kind`] on nodes that fail, over paths that do.
//!
//! The hosts here do what the node's do: they stamp the time, dial, carry frames, and start a new
//! receiving half where they know none. What a kind promises is checked at every step, see
//! [`Promises`]. A run is a function of its seed.

mod hosts;
mod ledger;
mod ways;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use murmurate::channel::{Frame, Kind, Limits, Outcome};
use murmurate::membership::{Time, Violation};

use hosts::{Lane, Node};
use ledger::Ledger;
use ways::{BACK, Ways};

pub use ledger::{Name, Place, Promises, Record};
pub use ways::Conditions;

/// How the hosts and applications of a world behave.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Frames that a stream takes before it is read.
    pub unread: usize,
    /// Messages that an application works on at a time.
    pub in_hand: usize,
    /// The longest that it works on one.
    pub work: Duration,
    /// A message that does not fit takes the place of the oldest that was not sent.
    pub shed: bool,
}

/// What happens at a time.
#[derive(Debug)]
enum Event {
    Dial {
        lane: usize,
    },
    Hello {
        way: usize,
        incarnation: u64,
        base: u64,
    },
    Welcome {
        way: usize,
        half: u64,
        heard: u64,
    },
    /// A relay may bring the dial of a way again, after its receiver started anew: a frame says for
    /// which receiving half it is, or from which.
    Forth {
        way: usize,
        half: u64,
        frame: Frame,
    },
    Back {
        way: usize,
        half: u64,
        frame: Frame,
    },
    /// An end notices that its path is broken.
    Noticed {
        way: usize,
        direction: usize,
    },
    Done {
        lane: usize,
        half: u64,
        number: u64,
        message: Bytes,
    },
}

/// Nodes, a lane between each pair that was asked for, and what happens to them.
#[derive(Debug)]
pub struct World<'a> {
    kind: &'a dyn Kind,
    promises: Promises,
    limits: Limits,
    habits: Habits,
    now: Time,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    nodes: Vec<Node>,
    lanes: Vec<Lane>,
    halves: u64,
    ways: Ways,
    ledger: Ledger,
}

/// How long a dial is waited for.
const DIAL: Duration = Duration::from_secs(1);
/// The longest that it takes an end to notice that its stream is broken.
const NOTICE: u64 = 3_000;

impl<'a> World<'a> {
    /// A world of `nodes` nodes without lanes.
    #[must_use]
    pub fn new(
        seed: u64,
        nodes: usize,
        (kind, promises): (&'a dyn Kind, Promises),
        limits: Limits,
        (conditions, habits): (Conditions, Habits),
    ) -> Self {
        Self {
            kind,
            promises,
            limits,
            habits,
            now: Time::ZERO,
            events: BTreeMap::new(),
            sequence: 0,
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            lanes: Vec::new(),
            halves: 0,
            ways: Ways::new(seed, conditions),
            ledger: Ledger::new(promises, limits),
        }
    }

    /// A lane from one node to another, which its sender dials at once.
    pub fn lane(&mut self, from: usize, to: usize) -> usize {
        let lane = self.lanes.len();
        self.lanes.push(Lane::new([from, to], self.kind.sending(self.limits)));
        self.dial_after(lane, Duration::ZERO);
        lane
    }

    /// How many there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Every message that was pushed.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<Name, Record> {
        self.ledger.records()
    }

    /// A fold over all that happened.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.ledger.digest
    }

    /// Frames that the present sending halves sent again.
    #[must_use]
    pub fn retransmitted(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.sender.half.retransmitted()).sum()
    }

    /// Which start of its node receives a lane now.
    #[must_use]
    pub fn receiver_of(&self, lane: usize) -> u64 {
        self.nodes[self.lanes[lane].ends[1]].incarnation
    }

    /// The network is another one from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.ways.conditions = conditions;
    }

    /// Pushes a message with so many bytes beyond its name. Its name, if there was room.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn push(&mut self, lane: usize, bytes: usize) -> Result<Option<Name>, Violation> {
        let end = &mut self.lanes[lane].sender;
        let name = Name { lane, incarnation: end.incarnation, ticket: end.pushed };
        let message = name.message(bytes);
        let mut outcome = end.half.push(self.now, message.clone());
        while self.habits.shed && outcome.is_err() && end.half.shed_oldest() {
            outcome = end.half.push(self.now, message.clone());
        }
        if let Ok(ticket) = outcome {
            end.pushed += 1;
            let name = Name { ticket, ..name };
            self.ledger.pushed(self.now, name, &message)?;
            self.pump_sender(lane)?;
            return Ok(Some(name));
        }
        self.pump_sender(lane)?;
        Ok(None)
    }

    /// The process of a node ends and starts again.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn restart(&mut self, node: usize) -> Result<(), Violation> {
        self.nodes[node].incarnation += 1;
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].ends[1] == node {
                if let Some(way) = self.lanes[lane].receiver.way {
                    self.ways.kill(way, [true; 2]);
                    self.notice(way);
                }
                self.lanes[lane].receiver.forget();
            }
            if self.lanes[lane].ends[0] == node {
                if let Some(way) = self.lanes[lane].sender.way {
                    self.kill(way);
                }
                let half = self.kind.sending(self.limits);
                self.lanes[lane].sender.restart(half);
                self.dial_after(lane, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// The connection of a lane breaks, if it has a stream, with what is in flight.
    pub fn break_stream(&mut self, lane: usize) {
        if let Some(way) = self.lanes[lane].sender.way.or(self.lanes[lane].receiver.way) {
            self.kill(way);
        }
    }

    /// The sender of a lane looks for another path, whatever this one is.
    pub fn switch(&mut self, lane: usize) {
        if let Some(way) = self.lanes[lane].sender.way {
            self.schedule(Duration::ZERO, Event::Noticed { way, direction: BACK });
        }
    }

    /// The receiving host of a lane forgets it, if it has no path.
    pub fn forget(&mut self, lane: usize) {
        if self.lanes[lane].receiver.way.is_none() {
            self.lanes[lane].receiver.forget();
        }
    }

    /// Nothing gets from one node to another any more.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.ways.cut(from, to);
        for lane in 0..self.lanes.len() {
            let ends = self.lanes[lane].ends;
            if (ends == [from, to] || ends == [to, from])
                && let Some(way) = self.lanes[lane].sender.way.or(self.lanes[lane].receiver.way)
            {
                self.notice(way);
            }
        }
    }

    /// All cuts are healed.
    pub fn heal(&mut self) {
        self.ways.heal();
    }

    /// The applications of a node take nothing, or go on.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn consume(&mut self, node: usize, consumes: bool) -> Result<(), Violation> {
        self.nodes[node].is_stopped = !consumes;
        (0..self.lanes.len()).try_for_each(|lane| self.pump_receiver(lane))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run_until(&mut self, end: Time) -> Result<(), Violation> {
        loop {
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let deadline = self.lanes.iter().filter_map(|lane| lane.sender.half.deadline()).min();
            let Some(next) = [event, deadline].into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.expire()?;
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happen(event)?;
            }
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Once the faults have stopped and all timeouts have passed: every message that was pushed to a
    /// sending half that still is has an outcome.
    ///
    /// # Errors
    /// There is one without.
    pub fn is_complete(&self) -> Result<(), Violation> {
        self.ledger.complete(|name| self.lanes[name.lane].sender.incarnation == name.incarnation)
    }

    /// What the sender was told of a message.
    #[must_use]
    pub fn outcome(&self, name: Name) -> Option<&Outcome> {
        self.records().get(&name)?.outcome.as_ref()
    }

    fn expire(&mut self) -> Result<(), Violation> {
        for lane in 0..self.lanes.len() {
            let half = &mut self.lanes[lane].sender.half;
            if half.deadline().is_some_and(|deadline| deadline <= self.now) {
                half.expire(self.now);
                let deadline = half.deadline();
                Violation::unless(
                    deadline.is_none_or(|deadline| deadline > self.now),
                    "what was due is done",
                    || format!("lane {lane} at {:?}: {deadline:?}", self.now),
                )?;
                self.pump_sender(lane)?;
            }
        }
        Ok(())
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.schedule_at(self.now.after(after), event);
    }

    fn schedule_at(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn kill(&mut self, way: usize) {
        if self.ways.kill(way, [true; 2]) {
            self.notice(way);
        }
    }
}
