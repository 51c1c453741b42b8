//! Lines that many nodes share: the uplink of a region, the line of a data centre.
//!
//! A line is served as a fluid, each flow at the same time: of those that wait, each gets the same part of
//! its rate (generalized processor sharing, Parekh and Gallager 1993). A flow that brings less leaves the
//! rest to the others, so the shares are max-min fair. A flow is all that one node sends to another one.
//!
//! No node can reach a line within a bucket, nor a line a node or another line: the latency of a message is
//! cut into as many equal parts as it needs. So a line is run like a node, by the shard that it belongs to,
//! and the result is the same on any number of threads.
//!
//! Lines carry a message at the same time, so the slowest counts, and not all of them. A line hears of the
//! first bit and of the last bit, and passes on both. The last bit never leaves before it has come.
//!
//! What does not fit is lost, or if it is on a stream comes again at this line ([`resend_after`]). Where links
//! keep order, whatever its flow sends later on streams waits for it, as behind a timeout of TCP.

mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::engine::queue::Sharding;
use crate::model::network::{SharedLine, resend_after};

/// A flow: its sender and its receiver, as bits.
type Flow = (u32, u32);

/// A message of a flow: what its sender counts, and which copy.
pub(crate) type Name = (Flow, u32, bool);

/// What a line knows of a message before it has come.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Head {
    pub(crate) bytes: u64,
    /// Its kind, if those are counted.
    pub(crate) kind: Option<usize>,
    /// Sent again if there is no room for it.
    pub(crate) is_on_stream: bool,
    /// The line behind this one, if there is one.
    pub(crate) next: Option<u16>,
}

/// What a line hears.
#[derive(Debug, Clone)]
pub(crate) enum Bit<T> {
    /// The first bit of a message comes.
    First(Head),
    /// The last bit comes, and with it the message.
    Last(T),
}

/// Something that a line hears at a time.
#[derive(Debug, Clone)]
pub(crate) struct Note<T> {
    pub(crate) line: u16,
    pub(crate) time: u64,
    pub(crate) name: Name,
    pub(crate) bit: Bit<T>,
}

/// A message whose first bit came.
#[derive(Debug, Clone)]
struct Passing<T> {
    head: Head,
    stage: Stage,
    /// How often it was refused.
    refused: u64,
    came: Option<T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Stage {
    /// It waits, is on the line, or comes again.
    Here,
    /// The line has carried it, but for a last bit that has not come.
    Carried,
    /// It was refused too often, and its last bit has not come.
    Lost,
}

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Backlog {
    /// On the line the first of them, and behind it those that wait.
    names: VecDeque<Name>,
    bytes: u64,
    /// The one that comes again, and behind it those that wait for it.
    late: VecDeque<Name>,
}

/// One line in one direction.
#[derive(Debug, Clone)]
struct Line<T> {
    /// Bits a nanosecond.
    rate: f64,
    queue: u64,
    /// Nanoseconds from here to whatever comes next.
    leg: u64,
    /// Messages of a stream do not overtake each other.
    keeps_order: bool,
    /// By time; at the same time first bits before last ones.
    notes: BTreeMap<(u64, bool, Name), Bit<T>>,
    passing: BTreeMap<Name, Passing<T>>,
    flows: BTreeMap<Flow, Backlog>,
    /// The first message of each flow by its virtual finish time. Not below zero, so that they are in the
    /// order of their bits.
    finishes: BTreeSet<(u64, Flow)>,
    /// Virtual time (Parekh and Gallager): the bits that each flow which waited all the time has got since
    /// the line was idle. And when that was.
    virtual_time: f64,
    at: u64,
    /// Messages on their way to it or on it.
    messages: usize,
}

/// What comes of what a line hears.
#[derive(Debug)]
pub(crate) enum Out<T> {
    Note(Note<T>),
    /// A message comes to its receiver.
    Arrives(u64, T),
    /// It did not fit. Whether it comes again.
    Shed(Head, bool),
    /// It was on a stream and does not come again. Its ends may hear of it at this time.
    Lost(u64, T),
}

impl<T> Line<T> {
    fn new(line: SharedLine, leg: u64, keeps_order: bool) -> Self {
        Self {
            rate: line.rate as f64 / 1e9,
            queue: line.queue,
            leg,
            keeps_order,
            notes: BTreeMap::new(),
            passing: BTreeMap::new(),
            flows: BTreeMap::new(),
            finishes: BTreeSet::new(),
            virtual_time: 0.0,
            at: 0,
            messages: 0,
        }
    }

    fn take(&mut self, time: u64, name: Name, bit: Bit<T>) {
        let is_last = matches!(bit, Bit::Last(_));
        self.messages += usize::from(is_last);
        self.notes.insert((time, is_last, name), bit);
    }

    fn next_time(&self) -> Option<u64> {
        let note = self.notes.first_key_value().map(|((time, ..), _)| *time);
        note.into_iter().chain(self.next_end()).min()
    }

    /// When the next message has been carried.
    fn next_end(&self) -> Option<u64> {
        let (finish, _) = self.finishes.first()?;
        let left = f64::from_bits(*finish) - self.virtual_time;
        let left = left.max(0.0) * self.finishes.len() as f64;
        Some(self.at.saturating_add((left / self.rate).ceil() as u64))
    }

    fn pass_time(&mut self, time: u64) {
        if !self.finishes.is_empty() {
            let bits = time.saturating_sub(self.at) as f64 * self.rate;
            self.virtual_time += bits / self.finishes.len() as f64;
        }
        self.at = self.at.max(time);
    }

    fn run(&mut self, until: u64, out: &mut Vec<Out<T>>) {
        loop {
            let note = self.notes.first_key_value().map_or(u64::MAX, |((time, ..), _)| *time);
            let end = self.next_end().unwrap_or(u64::MAX);
            if note.min(end) >= until {
                return;
            }
            if end <= note {
                self.carried(end, out);
            } else if let Some(((time, _, name), bit)) = self.notes.pop_first() {
                match bit {
                    Bit::First(head) => self.hear_first(time, name, head, out),
                    Bit::Last(what) => self.hear_last(time, name, what, out),
                }
            }
        }
    }

    fn hear_first(&mut self, time: u64, name: Name, head: Head, out: &mut Vec<Out<T>>) {
        self.passing.entry(name).or_insert(Passing {
            head,
            stage: Stage::Here,
            refused: 0,
            came: None,
        });
        if !head.is_on_stream || !self.keeps_order {
            self.try_to_take_in(time, name, out);
            return;
        }
        let late = &mut self.flows.entry(name.0).or_default().late;
        match late.front() {
            Some(first) if *first != name => return late.push_back(name),
            Some(_) => {}
            None => late.push_back(name),
        }
        // What is done with lets those behind it try.
        while let Some(next) = self.flows.get(&name.0).and_then(|flow| flow.late.front()).copied() {
            if !self.try_to_take_in(time, next, out) {
                return;
            }
            if let Some(flow) = self.flows.get_mut(&name.0) {
                flow.late.pop_front();
            }
        }
        self.tidy(name.0);
    }

    /// A message gets onto the line, comes again, or is lost. Returns whether it does not come again.
    fn try_to_take_in(&mut self, time: u64, name: Name, out: &mut Vec<Out<T>>) -> bool {
        let Some(passing) = self.passing.get_mut(&name) else { return true };
        let head = passing.head;
        let waits = self.flows.get(&name.0).map_or(0, |flow| flow.bytes);
        // A message on its own goes however large it is.
        if waits == 0 || waits.saturating_add(head.bytes) <= self.queue {
            self.take_in(time, name, head, out);
            return true;
        }
        passing.refused += 1;
        let again = resend_after(passing.refused).filter(|_| head.is_on_stream);
        out.push(Out::Shed(head, again.is_some()));
        if let Some(after) = again {
            self.notes.insert((time.saturating_add(after), false, name), Bit::First(head));
            return false;
        }
        passing.stage = Stage::Lost;
        if let Some(what) = passing.came.take() {
            self.ends(time, name, head, what, out);
        }
        true
    }

    fn hear_last(&mut self, time: u64, name: Name, what: T, out: &mut Vec<Out<T>>) {
        match self.passing.get_mut(&name) {
            Some(passing) if passing.stage == Stage::Here => passing.came = Some(what),
            Some(passing) => {
                let head = passing.head;
                self.ends(time, name, head, what, out);
            }
            // Its first bit always came before.
            None => self.messages -= 1,
        }
    }

    fn take_in(&mut self, time: u64, name: Name, head: Head, out: &mut Vec<Out<T>>) {
        self.pass_time(time);
        let flow = self.flows.entry(name.0).or_default();
        flow.names.push_back(name);
        flow.bytes += head.bytes;
        if flow.names.len() == 1 {
            self.begin(time, name, head, self.virtual_time, out);
        }
    }

    /// A message is the first of its flow from this virtual time on.
    fn begin(&mut self, time: u64, name: Name, head: Head, start: f64, out: &mut Vec<Out<T>>) {
        self.finishes.insert(((start + (8 * head.bytes) as f64).to_bits(), name.0));
        if let Some(line) = head.next {
            let time = time.saturating_add(self.leg);
            let bit = Bit::First(Head { next: None, ..head });
            out.push(Out::Note(Note { line, time, name, bit }));
        }
    }

    /// The line has carried the message that is through next.
    fn carried(&mut self, time: u64, out: &mut Vec<Out<T>>) {
        self.pass_time(time);
        let Some((finish, flow)) = self.finishes.pop_first() else { return };
        let finish = f64::from_bits(finish);
        let backlog = self.flows.entry(flow).or_default();
        let Some(name) = backlog.names.pop_front() else { return };
        let following = backlog.names.front().copied();
        if let Some(passing) = self.passing.get_mut(&name) {
            let head = passing.head;
            backlog.bytes -= head.bytes;
            passing.stage = Stage::Carried;
            if let Some(what) = passing.came.take() {
                self.ends(time, name, head, what, out);
            }
        }
        match following.and_then(|name| Some((name, self.passing.get(&name)?.head))) {
            Some((following, head)) => self.begin(time, following, head, finish, out),
            None => self.tidy(flow),
        }
        if self.finishes.is_empty() {
            self.virtual_time = 0.0;
        }
    }

    /// A message that has come is done with here: it goes on, or is lost.
    fn ends(&mut self, time: u64, name: Name, head: Head, what: T, out: &mut Vec<Out<T>>) {
        self.messages -= 1;
        let time = time.saturating_add(self.leg);
        let is_lost = self.passing.remove(&name).is_some_and(|gone| gone.stage == Stage::Lost);
        match head.next {
            _ if is_lost && head.is_on_stream => out.push(Out::Lost(time, what)),
            _ if is_lost => {}
            Some(line) => out.push(Out::Note(Note { line, time, name, bit: Bit::Last(what) })),
            None => out.push(Out::Arrives(time, what)),
        }
    }

    /// Forgets a flow of which nothing is here.
    fn tidy(&mut self, flow: Flow) {
        let is_idle = |flow: &Backlog| flow.names.is_empty() && flow.late.is_empty();
        if self.flows.get(&flow).is_some_and(is_idle) {
            self.flows.remove(&flow);
        }
    }
}

/// The lines of one shard.
#[derive(Debug, Clone)]
pub(crate) struct Lines<T> {
    sharding: Sharding,
    shard: usize,
    lines: Vec<Line<T>>,
    /// By shard.
    outgoing: Vec<Vec<Note<T>>>,
}

impl<T> Lines<T> {
    /// Those of `shard` among all, which are numbered as they stand.
    pub(crate) fn new(
        sharding: Sharding,
        shard: usize,
        all: &[Option<SharedLine>],
        leg: u64,
        keeps_order: bool,
    ) -> Self {
        let own = all.iter().enumerate().filter(|(number, _)| sharding.shard(*number) == shard);
        // Nothing goes over a line that is not there.
        let unbounded = SharedLine { rate: u64::MAX, queue: u64::MAX };
        let lines = own.map(|(_, line)| Line::new(line.unwrap_or(unbounded), leg, keeps_order));
        let outgoing = (0..sharding.shards()).map(|_| Vec::new()).collect();
        Self { sharding, shard, lines: lines.collect(), outgoing }
    }

    /// Something is on its way to any line.
    pub(crate) fn push(&mut self, note: Note<T>) {
        let shard = self.sharding.shard(note.line.into());
        if shard == self.shard {
            self.take(note);
        } else {
            self.outgoing[shard].push(note);
        }
    }

    fn take(&mut self, note: Note<T>) {
        let Note { line, time, name, bit } = note;
        self.lines[self.sharding.place(line.into())].take(time, name, bit);
    }

    /// Hands what each has for the other over.
    pub(crate) fn exchange(&mut self, other: &mut Self) {
        for note in std::mem::take(&mut self.outgoing[other.shard]) {
            other.take(note);
        }
        for note in std::mem::take(&mut other.outgoing[self.shard]) {
            self.take(note);
        }
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.lines.iter().filter_map(Line::next_time).min()
    }

    /// Messages on their way to lines or on them, once all has been exchanged.
    pub(crate) fn len(&self) -> usize {
        self.lines.iter().map(|line| line.messages).sum()
    }

    /// Lets all happen that does before `until`. Returns what is not for lines.
    pub(crate) fn run(&mut self, until: u64) -> Vec<Out<T>> {
        let mut out = Vec::new();
        for line in &mut self.lines {
            line.run(until, &mut out);
        }
        let mut left = Vec::new();
        for out in out {
            match out {
                Out::Note(note) => self.push(note),
                other => left.push(other),
            }
        }
        left
    }
}

#[cfg(test)]
mod tests;
