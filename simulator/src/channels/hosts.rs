//! What the hosts of the halves do: dial, welcome, carry, deliver.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use murmurate::channel::{Frame, Nonsense, Path, Receiving, Sending, Welcome};
use murmurate::membership::{Time, Violation, nanos};
use rand::RngExt;

use super::ledger::{Name, Place, answer};
use super::ways::{BACK, FORTH};
use super::{DIAL, Event, NOTICE, World};

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) incarnation: u64,
    pub(super) is_stopped: bool,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ends: [usize; 2],
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
}

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) half: Box<dyn Sending>,
    pub(super) incarnation: u64,
    pub(super) pushed: u64,
    /// The way that stands.
    pub(super) way: Option<usize>,
    dialled: Option<usize>,
    dial_at: Option<Time>,
    /// The receiving half that it was attached to last. Only this tells whether a receiver goes on
    /// where it was: one that does may have been made for a dial whose welcome was lost.
    known: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) half: Option<Box<dyn Receiving>>,
    /// Its name.
    id: u64,
    /// The incarnation of the sending half that it belongs to.
    of: u64,
    pub(super) way: Option<usize>,
    /// Older dials come late.
    newest: Option<usize>,
    /// What a stream brought and the host has not read.
    unread: VecDeque<Frame>,
    in_hand: usize,
    /// When the application is done with all it has.
    free_at: Time,
}

impl Lane {
    pub(super) fn new(ends: [usize; 2], half: Box<dyn Sending>) -> Self {
        let sender = Sender {
            half,
            incarnation: 0,
            pushed: 0,
            way: None,
            dialled: None,
            dial_at: None,
            known: None,
        };
        Self { ends, sender, receiver: Receiver::default() }
    }
}

impl Sender {
    pub(super) fn restart(&mut self, half: Box<dyn Sending>) {
        let incarnation = self.incarnation + 1;
        let (way, dialled, dial_at, known) = (None, None, None, None);
        *self = Self { half, incarnation, pushed: 0, way, dialled, dial_at, known };
    }
}

impl Receiver {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn detach(&mut self) {
        self.way = None;
        self.unread.clear();
        if let Some(half) = &mut self.half {
            half.detach();
            if !half.remembers() {
                self.half = None;
                self.in_hand = 0;
            }
        }
    }
}

fn honest(outcome: Result<(), Nonsense>) -> Result<(), Violation> {
    outcome.map_err(|nonsense| Violation {
        rule: "what an honest half says makes sense",
        detail: nonsense.to_string(),
    })
}

impl World<'_> {
    pub(super) fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Dial { lane } => self.dial(lane),
            Event::Hello { way, incarnation, base } => self.hello(way, incarnation, base)?,
            Event::Welcome { way, half, heard } => self.welcome(way, half, heard)?,
            Event::Forth { way, half, frame } => self.forth(way, half, frame)?,
            Event::Back { way, half, frame } => self.back(way, half, frame)?,
            Event::Noticed { way, direction } => self.noticed(way, direction)?,
            Event::Done { lane, half, number, message } => {
                self.done(lane, half, number, &message)?;
            }
        }
        Ok(())
    }

    pub(super) fn dial_after(&mut self, lane: usize, after: Duration) {
        self.lanes[lane].sender.dial_at = Some(self.now.after(after));
        self.schedule(after, Event::Dial { lane });
    }

    /// Both ends of a broken way will notice.
    pub(super) fn notice(&mut self, way: usize) {
        for direction in [FORTH, BACK] {
            let after = Duration::from_millis(self.ways.rng.random_range(0..=NOTICE));
            self.schedule(after, Event::Noticed { way, direction });
        }
    }

    fn dial(&mut self, lane: usize) {
        let Sender { dial_at, way, incarnation, .. } = self.lanes[lane].sender;
        if dial_at != Some(self.now) || way.is_some() {
            return;
        }
        let way = self.ways.open(lane, self.lanes[lane].ends);
        self.lanes[lane].sender.dialled = Some(way);
        let base = self.lanes[lane].sender.half.base();
        for at in self.ways.fate(self.now, way, FORTH) {
            self.schedule_at(at, Event::Hello { way, incarnation, base });
        }
        self.dial_after(lane, DIAL);
    }

    fn hello(&mut self, way: usize, incarnation: u64, base: u64) -> Result<(), Violation> {
        let (lane, path) = (self.ways.way(way).lane, self.ways.way(way).path);
        let receiver = &mut self.lanes[lane].receiver;
        if receiver.newest >= Some(way) || !self.ways.stands(way, FORTH) {
            return Ok(());
        }
        if receiver.way.is_some() {
            receiver.detach();
        }
        if receiver.half.is_none() || receiver.of != incarnation {
            receiver.forget();
            self.halves += 1;
            receiver.half = Some(self.kind.receiving(base, self.limits));
            (receiver.id, receiver.of) = (self.halves, incarnation);
        }
        (receiver.way, receiver.newest) = (Some(way), Some(way));
        let Some(half) = &mut receiver.half else { return Ok(()) };
        half.attach(self.now, path);
        let (half, heard) = (receiver.id, half.heard());
        for at in self.ways.fate(self.now, way, BACK) {
            self.schedule_at(at, Event::Welcome { way, half, heard });
        }
        self.pump_receiver(lane)
    }

    fn welcome(&mut self, way: usize, half: u64, heard: u64) -> Result<(), Violation> {
        let (lane, path) = (self.ways.way(way).lane, self.ways.way(way).path);
        let sender = &mut self.lanes[lane].sender;
        if sender.dialled != Some(way) || !self.ways.stands(way, BACK) {
            return Ok(());
        }
        let welcome = Welcome { resumed: sender.known == Some(half), heard };
        honest(sender.half.attach(self.now, path, welcome))?;
        (sender.way, sender.dialled, sender.dial_at) = (Some(way), None, None);
        // What was attached by then is settled on the word of this half, or on none.
        sender.known = Some(half);
        self.pump_sender(lane)
    }

    /// The sending half says all it has to say, as far as the path takes it.
    pub(super) fn pump_sender(&mut self, lane: usize) -> Result<(), Violation> {
        while let Some(way) = self.lanes[lane].sender.way {
            let path = self.ways.way(way).path;
            if path == Path::Stream && self.ways.way(way).unread >= self.habits.unread {
                break;
            }
            let sender = &mut self.lanes[lane].sender;
            let had = sender.half.has_frame();
            let frame = sender.half.next_frame(self.now);
            Violation::unless(had == frame.is_some(), "a half has the frame it says", || {
                format!("lane {lane}: {had}, {frame:?}")
            })?;
            let Some(frame) = frame else { break };
            let half = sender.known.unwrap_or_default();
            if Name::of(&frame.body).is_some() {
                self.ledger.sent(self.now, &frame.body, (way, path), half)?;
            }
            self.ways.way(way).unread += 1;
            for at in self.ways.fate(self.now, way, FORTH) {
                self.schedule_at(at, Event::Forth { way, half, frame: frame.clone() });
            }
        }
        let sender = &mut self.lanes[lane].sender;
        while let Some((ticket, outcome)) = sender.half.settled() {
            let name = Name { lane, incarnation: sender.incarnation, ticket };
            self.ledger.settled(self.now, name, outcome, sender.known)?;
        }
        sender.half.check()?;
        let depth = sender.half.depth();
        if depth.messages > self.promises.least_room { depth.check(self.limits) } else { Ok(()) }
    }

    fn forth(&mut self, way: usize, half: u64, frame: Frame) -> Result<(), Violation> {
        let (lane, path) = (self.ways.way(way).lane, self.ways.way(way).path);
        let Lane { sender, receiver, .. } = &mut self.lanes[lane];
        if receiver.way != Some(way) || receiver.id != half {
            if path == Path::Relay && sender.way == Some(way) {
                // Nobody there knows it.
                let after = self.ways.latency();
                self.schedule(after, Event::Noticed { way, direction: BACK });
            }
            return Ok(());
        }
        if !self.ways.stands(way, FORTH) {
            return Ok(());
        }
        if path == Path::Stream {
            receiver.unread.push_back(frame);
        } else if let Some(half) = &mut receiver.half {
            honest(half.receive(self.now, frame))?;
        }
        self.pump_receiver(lane)
    }

    /// The receiving host reads on, the application takes what it has time for, and the half answers.
    pub(super) fn pump_receiver(&mut self, lane: usize) -> Result<(), Violation> {
        loop {
            self.take(lane)?;
            self.reply(lane)?;
            self.take(lane)?;
            let receiver = &mut self.lanes[lane].receiver;
            let (Some(half), Some(way)) = (&mut receiver.half, receiver.way) else { break };
            // A stream is not read further than the application takes.
            if half.depth().messages > 0 {
                break;
            }
            let Some(frame) = receiver.unread.pop_front() else { break };
            honest(half.receive(self.now, frame))?;
            self.ways.way(way).unread -= 1;
        }
        let Lane { sender, receiver, .. } = &self.lanes[lane];
        if sender.way.is_some() && sender.way == receiver.way {
            self.pump_sender(lane)?;
        }
        Ok(())
    }

    /// The receiving half says all it has to say.
    fn reply(&mut self, lane: usize) -> Result<(), Violation> {
        let receiver = &mut self.lanes[lane].receiver;
        let Some(receiving) = &mut receiver.half else { return Ok(()) };
        receiving.check()?;
        receiving.depth().check(self.limits)?;
        let (Some(way), half) = (receiver.way, receiver.id) else { return Ok(()) };
        let frames: Vec<_> = std::iter::from_fn(|| receiving.next_frame(self.now)).collect();
        for frame in frames {
            for at in self.ways.fate(self.now, way, BACK) {
                self.schedule_at(at, Event::Back { way, half, frame: frame.clone() });
            }
        }
        Ok(())
    }

    fn take(&mut self, lane: usize) -> Result<(), Violation> {
        let node = &self.nodes[self.lanes[lane].ends[1]];
        let receiver = &mut self.lanes[lane].receiver;
        while !node.is_stopped
            && receiver.in_hand < self.habits.in_hand
            && let Some(delivery) = receiver.half.as_mut().and_then(|half| half.next_delivery())
        {
            let place = Place { incarnation: node.incarnation, half: receiver.id };
            self.ledger.taken(self.now, &delivery.message, place)?;
            receiver.in_hand += 1;
            let work = self.ways.rng.random_range(0..=nanos(self.habits.work));
            let mut at = self.now.after(Duration::from_nanos(work));
            if self.promises.in_order {
                at = at.max(receiver.free_at);
                receiver.free_at = at;
            }
            let (number, message) = (delivery.number, delivery.message);
            let event = Event::Done { lane, half: receiver.id, number, message };
            self.sequence += 1;
            self.events.insert((at, self.sequence), event);
        }
        Ok(())
    }

    fn done(
        &mut self,
        lane: usize,
        id: u64,
        number: u64,
        message: &Bytes,
    ) -> Result<(), Violation> {
        let node = &self.nodes[self.lanes[lane].ends[1]];
        let receiver = &mut self.lanes[lane].receiver;
        if receiver.id == id
            && let Some(half) = &mut receiver.half
        {
            let place = Place { incarnation: node.incarnation, half: id };
            self.ledger.done(message, place)?;
            receiver.in_hand -= 1;
            half.done(number, Some(answer(message)));
        }
        self.pump_receiver(lane)
    }

    fn back(&mut self, way: usize, half: u64, frame: Frame) -> Result<(), Violation> {
        let lane = self.ways.way(way).lane;
        let sender = &mut self.lanes[lane].sender;
        let is_current = sender.way == Some(way) && sender.known == Some(half);
        if !is_current || !self.ways.stands(way, BACK) {
            return Ok(());
        }
        honest(sender.half.receive(self.now, frame))?;
        self.pump_sender(lane)
    }

    fn noticed(&mut self, way: usize, direction: usize) -> Result<(), Violation> {
        let lane = self.ways.way(way).lane;
        let Lane { sender, receiver, .. } = &mut self.lanes[lane];
        if direction == FORTH && receiver.way == Some(way) {
            receiver.detach();
        }
        if direction == BACK && sender.dialled == Some(way) {
            // Half of it may still stand: its welcome would come, and nobody would notice again.
            sender.dialled = None;
        }
        if direction == BACK && sender.way == Some(way) {
            sender.way = None;
            sender.half.detach();
            self.pump_sender(lane)?;
            self.dial_after(lane, Duration::from_millis(10));
        }
        Ok(())
    }
}
