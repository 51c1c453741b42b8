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

mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use murmurate::membership::nanos;

use crate::engine::queue::Sharding;
use crate::model::network::{STREAM_ATTEMPTS, STREAM_TIMEOUT, SharedLine};

/// A flow: its sender and its receiver, as bits.
type Flow = (u32, u32);

/// A message of a flow: what its sender counts, and which copy.
pub(crate) type Name = (Flow, u32, bool);

/// What a line hears.
#[derive(Debug, Clone)]
pub(crate) enum Bit<T> {
    /// The first bit of a message comes.
    First {
        bytes: u64,
        /// Sent again if there is no room for it.
        is_on_stream: bool,
        /// How often it came before.
        before: u64,
        /// The line behind this one, if there is one.
        next: Option<u16>,
    },
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

/// A message that waits, or is on the line.
#[derive(Debug, Clone)]
struct Passing<T> {
    bytes: u64,
    is_on_stream: bool,
    next: Option<u16>,
    /// The line has carried it, but for a last bit that has not come.
    is_served: bool,
    came: Option<T>,
}

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Backlog {
    names: VecDeque<Name>,
    bytes: u64,
}

/// One line in one direction.
#[derive(Debug, Clone)]
struct Line<T> {
    /// Bits a nanosecond.
    rate: f64,
    queue: u64,
    /// Nanoseconds from here to whatever comes next.
    leg: u64,
    /// By time; at the same time first bits before last ones.
    notes: BTreeMap<(u64, bool, Name), Bit<T>>,
    passing: BTreeMap<Name, Passing<T>>,
    flows: BTreeMap<Flow, Backlog>,
    /// The first of each flow, by the bits that a flow has got when it is through. Not below zero, so
    /// that they are in the order of their bits.
    heads: BTreeSet<(u64, Flow)>,
    /// Bits that each flow which waited all the time has got since the line was idle, and when.
    given: f64,
    at: u64,
}

/// What comes of what a line hears.
#[derive(Debug)]
pub(crate) enum Out<T> {
    Note(Note<T>),
    /// A message comes to its receiver.
    Arrives(u64, T),
    /// It did not fit. On a stream it is sent again.
    Shed,
}

impl<T> Line<T> {
    fn new(line: SharedLine, leg: u64) -> Self {
        Self {
            rate: line.rate as f64 / 1e9,
            queue: line.queue,
            leg,
            notes: BTreeMap::new(),
            passing: BTreeMap::new(),
            flows: BTreeMap::new(),
            heads: BTreeSet::new(),
            given: 0.0,
            at: 0,
        }
    }

    fn next_time(&self) -> Option<u64> {
        let note = self.notes.first_key_value().map(|((time, ..), _)| *time);
        note.into_iter().chain(self.next_end()).min()
    }

    /// When the next message has been carried.
    fn next_end(&self) -> Option<u64> {
        let (until, _) = self.heads.first()?;
        let left = (f64::from_bits(*until) - self.given).max(0.0) * self.heads.len() as f64;
        Some(self.at.saturating_add((left / self.rate).ceil() as u64))
    }

    fn pass_time(&mut self, time: u64) {
        if !self.heads.is_empty() {
            let bits = time.saturating_sub(self.at) as f64 * self.rate;
            self.given += bits / self.heads.len() as f64;
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
                self.hear(time, name, bit, out);
            }
        }
    }

    fn hear(&mut self, time: u64, name: Name, bit: Bit<T>, out: &mut Vec<Out<T>>) {
        match bit {
            Bit::First { bytes, is_on_stream, before, next } => {
                let waits = self.flows.get(&name.0).map_or(0, |flow| flow.bytes);
                // A message on its own goes however large it is.
                if waits == 0 || waits.saturating_add(bytes) <= self.queue {
                    let came = None;
                    let passing = Passing { bytes, is_on_stream, next, is_served: false, came };
                    self.take_in(time, name, passing, out);
                    return;
                }
                out.push(Out::Shed);
                if is_on_stream && before < STREAM_ATTEMPTS {
                    let again = time.saturating_add(nanos(STREAM_TIMEOUT) << before);
                    let bit = Bit::First { bytes, is_on_stream, before: before + 1, next };
                    self.notes.insert((again, false, name), bit);
                }
            }
            Bit::Last(what) => match self.passing.get_mut(&name) {
                Some(passing) if passing.is_served => {
                    let next = passing.next;
                    self.passing.remove(&name);
                    self.leaves(time, name, next, what, out);
                }
                Some(passing) => passing.came = Some(what),
                // It was shed, or comes again later.
                None => self.keep_for_again(name, what),
            },
        }
    }

    /// The first bit comes again at some time, if it does: so does the last one then.
    fn keep_for_again(&mut self, name: Name, what: T) {
        let again = |(_, is_last, other): &(u64, bool, Name)| !is_last && *other == name;
        if let Some((time, ..)) = self.notes.keys().find(|key| again(key)).copied() {
            self.notes.insert((time, true, name), Bit::Last(what));
        }
    }

    fn take_in(&mut self, time: u64, name: Name, passing: Passing<T>, out: &mut Vec<Out<T>>) {
        self.pass_time(time);
        let flow = self.flows.entry(name.0).or_default();
        flow.names.push_back(name);
        flow.bytes += passing.bytes;
        let is_alone = flow.names.len() == 1;
        self.passing.insert(name, passing);
        if is_alone {
            self.begin(time, name, self.given, out);
        }
    }

    /// A message is the first of its flow now, which has got so many bits.
    fn begin(&mut self, time: u64, name: Name, given: f64, out: &mut Vec<Out<T>>) {
        let Some(passing) = self.passing.get(&name) else { return };
        let &Passing { bytes, is_on_stream, next, .. } = passing;
        self.heads.insert(((given + (8 * bytes) as f64).to_bits(), name.0));
        if let Some(line) = next {
            let time = time.saturating_add(self.leg);
            let bit = Bit::First { bytes, is_on_stream, before: 0, next: None };
            out.push(Out::Note(Note { line, time, name, bit }));
        }
    }

    /// The line has carried the message that is through next.
    fn carried(&mut self, time: u64, out: &mut Vec<Out<T>>) {
        self.pass_time(time);
        let Some((until, flow)) = self.heads.pop_first() else { return };
        let until = f64::from_bits(until);
        let backlog = self.flows.entry(flow).or_default();
        let Some(name) = backlog.names.pop_front() else { return };
        let following = backlog.names.front().copied();
        if let Some(passing) = self.passing.get_mut(&name) {
            backlog.bytes -= passing.bytes;
            passing.is_served = true;
            if let Some(what) = passing.came.take() {
                let next = passing.next;
                self.passing.remove(&name);
                self.leaves(time, name, next, what, out);
            }
        }
        match following {
            Some(following) => self.begin(time, following, until, out),
            None => {
                self.flows.remove(&flow);
            }
        }
        if self.heads.is_empty() {
            self.given = 0.0;
        }
    }

    fn leaves(&self, time: u64, name: Name, next: Option<u16>, what: T, out: &mut Vec<Out<T>>) {
        let time = time.saturating_add(self.leg);
        out.push(match next {
            Some(line) => Out::Note(Note { line, time, name, bit: Bit::Last(what) }),
            None => Out::Arrives(time, what),
        });
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
    ) -> Self {
        let own = all.iter().enumerate().filter(|(number, _)| sharding.shard(*number) == shard);
        // Nothing goes over a line that is not there.
        let unbounded = SharedLine { rate: u64::MAX, queue: u64::MAX };
        let lines = own.map(|(_, line)| Line::new(line.unwrap_or(unbounded), leg));
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
        let line = &mut self.lines[self.sharding.place(line.into())];
        let is_last = matches!(bit, Bit::Last(_));
        line.notes.insert((time, is_last, name), bit);
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

    /// Messages that wait, and what lines are to hear.
    pub(crate) fn len(&self) -> usize {
        self.lines.iter().map(|line| line.notes.len() + line.passing.len()).sum()
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
