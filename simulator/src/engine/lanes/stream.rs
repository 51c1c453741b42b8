//! A stream between the ends of a lane: in order, each message once, until it breaks.
//!
//! The network loses a message of a stream only for as long as it takes to send it again, and the end that
//! hears it sorts. A cut breaks the stream at whichever end speaks next.

use std::collections::BTreeMap;

/// One end of a stream.
#[derive(Debug, Clone)]
pub(super) struct Stream<T> {
    /// The greeting that opened it.
    pub(super) attempt: u64,
    /// It carries nothing any more. The end has not noticed yet.
    pub(super) is_broken: bool,
    spoken: u64,
    heard: u64,
    /// What came too early.
    early: BTreeMap<u64, T>,
}

impl<T> Stream<T> {
    pub(super) fn new(attempt: u64) -> Self {
        Self { attempt, is_broken: false, spoken: 0, heard: 0, early: BTreeMap::new() }
    }

    /// The place of the next message that this end says.
    pub(super) fn place(&mut self) -> u64 {
        self.spoken += 1;
        self.spoken - 1
    }

    /// A message came.
    pub(super) fn hear(&mut self, place: u64, message: T) {
        if place >= self.heard && !self.is_broken {
            self.early.insert(place, message);
        }
    }

    /// The next message in order.
    pub(super) fn next(&mut self) -> Option<T> {
        let message = self.early.remove(&self.heard)?;
        self.heard += 1;
        Some(message)
    }

    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
        self.early.clear();
    }
}
