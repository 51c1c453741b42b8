//! The service that spreads [notices](Notice) of admission: each node passes on what is later than what it
//! has, and neighbours compare when they become neighbours.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murmurate_membership::{Sizes, Time, Violation, Wire};
use serde::{Deserialize, Serialize};

use super::admission::{Gate, Notice, Version};
use crate::id::Incarnation;
use crate::service::{Effects, Input, Service};

/// Its name among the services of a node.
pub(crate) const NAME: &str = "murmurate.admission";

/// Spreads what the gate heeds.
pub(crate) struct Bulletin {
    gate: Arc<Gate>,
    neighbors: Vec<Incarnation>,
    /// Neighbours that were not told: they have not proven enough yet. Tried again while there are any.
    untold: Vec<Incarnation>,
    tries_again: bool,
    /// How often it has compared with one of them, each in its turn.
    turns: usize,
    armed: bool,
}

/// How often a neighbour is compared with: what was sent to it may have been lost.
const COMPARES: Duration = Duration::from_secs(10);

/// How long until neighbours are tried again that were not told: they are about to prove themselves anew.
const TRIES_AGAIN: Duration = Duration::from_secs(1);

/// What it is time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// To compare with the next neighbour.
    Compare,
    /// To tell those that were not told.
    TellAgain,
}

/// What nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The version of the sender's notice.
    Have(Version),
    Latest(Notice),
}

impl Wire for Said {
    const KINDS: &'static [&'static str] = &["have", "latest"];

    fn kind(&self) -> usize {
        match self {
            Self::Have(_) => 0,
            Self::Latest(_) => 1,
        }
    }

    /// Nobody simulates it.
    fn wire_len(&self, _sizes: &Sizes) -> usize {
        0
    }
}

/// The notice has changed here: spread it.
#[derive(Debug)]
pub(crate) struct Spread;

/// Another node's notice was heeded.
#[derive(Debug, Clone)]
pub(crate) struct Heeded;

impl Bulletin {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            neighbors: Vec::new(),
            untold: Vec::new(),
            tries_again: false,
            turns: 0,
            armed: false,
        }
    }

    fn spread(
        &mut self,
        but: Option<Incarnation>,
        fx: &mut impl Effects<Incarnation, Bytes, Self>,
    ) {
        let told = self.neighbors.iter().copied().filter(|neighbor| Some(*neighbor) != but);
        for neighbor in told.collect::<Vec<_>>() {
            self.tell(neighbor, fx);
        }
    }

    /// Tells a neighbour the notice. It must not learn new secrets by one that is of no use any more: it is
    /// told once it has proven one that is.
    fn tell(&mut self, to: Incarnation, fx: &mut impl Effects<Incarnation, Bytes, Self>) {
        let Some(notice) = self.gate.notice() else { return };
        if self.gate.trusts(to.node) {
            self.untold.retain(|untold| *untold != to);
            fx.send(to, Said::Latest(notice));
        } else if self.neighbors.contains(&to) && !self.untold.contains(&to) {
            self.untold.push(to);
            if !std::mem::replace(&mut self.tries_again, true) {
                fx.arm(TRIES_AGAIN, Timer::TellAgain);
            }
        }
    }

    fn compare(&self, with: Incarnation, fx: &mut impl Effects<Incarnation, Bytes, Self>) {
        if let Some(version) = self.gate.version() {
            fx.send(with, Said::Have(version));
        }
    }
}

impl Service<Incarnation, Bytes> for Bulletin {
    type Message = Said;
    type Timer = Timer;
    type Command = Spread;
    type Event = Heeded;

    fn handle<E: Effects<Incarnation, Bytes, Self>>(
        &mut self,
        _now: Time,
        input: Input<'_, Incarnation, Bytes, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::Join if !self.armed => {
                self.armed = true;
                fx.arm(COMPARES, Timer::Compare);
            }
            Input::Expired(Timer::Compare) => {
                fx.arm(COMPARES, Timer::Compare);
                self.turns = self.turns.wrapping_add(1);
                let turn = self.turns.checked_rem(self.neighbors.len());
                if let Some(neighbor) = turn.and_then(|turn| self.neighbors.get(turn)) {
                    self.compare(*neighbor, fx);
                }
            }
            Input::Expired(Timer::TellAgain) => {
                self.tries_again = false;
                for untold in std::mem::take(&mut self.untold) {
                    self.tell(untold, fx);
                }
            }
            Input::NeighborUp(peer) => {
                self.neighbors.push(peer);
                self.compare(peer, fx);
            }
            Input::NeighborDown(peer, _) => {
                self.neighbors.retain(|neighbor| *neighbor != peer);
                self.untold.retain(|untold| *untold != peer);
            }
            Input::Receive { from, message: Said::Have(version) }
                if self.gate.version().is_some_and(|own| version < own) =>
            {
                self.tell(from, fx);
            }
            Input::Receive { from, message: Said::Latest(notice) } if self.gate.heed(&notice) => {
                fx.emit(Heeded);
                self.spread(Some(from), fx);
            }
            Input::Command(Spread) => self.spread(None, fx),
            _ => {}
        }
    }

    fn check(&self, neighbors: &[Incarnation]) -> Result<(), Violation> {
        let mut known = self.neighbors.clone();
        known.sort_unstable();
        let differ = || format!("{known:?} {neighbors:?}");
        Violation::unless(known == neighbors, "the bulletin goes to the neighbours", differ)
    }
}

#[cfg(test)]
mod tests;
