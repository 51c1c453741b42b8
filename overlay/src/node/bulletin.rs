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
    /// How often it has compared with one of them, each in its turn.
    turns: usize,
    armed: bool,
}

/// How often a neighbour is compared with: what was sent to it may have been lost.
const COMPARES: Duration = Duration::from_secs(10);

/// It is time to compare with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compare;

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
        Self { gate, neighbors: Vec::new(), turns: 0, armed: false }
    }

    fn spread(&self, but: Option<Incarnation>, fx: &mut impl Effects<Incarnation, Bytes, Self>) {
        for neighbor in self.neighbors.iter().filter(|neighbor| Some(**neighbor) != but) {
            self.tell(*neighbor, fx);
        }
    }

    /// Tells a neighbour the notice, unless it is about to be hung up on: it must not learn new secrets by
    /// one that is of no use any more.
    fn tell(&self, to: Incarnation, fx: &mut impl Effects<Incarnation, Bytes, Self>) {
        if let Some(notice) = self.gate.notice().filter(|_| self.gate.trusts(to.node)) {
            fx.send(to, Said::Latest(notice));
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
    type Timer = Compare;
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
                fx.arm(COMPARES, Compare);
            }
            Input::Expired(Compare) => {
                fx.arm(COMPARES, Compare);
                self.turns = self.turns.wrapping_add(1);
                let turn = self.turns.checked_rem(self.neighbors.len());
                if let Some(neighbor) = turn.and_then(|turn| self.neighbors.get(turn)) {
                    self.compare(*neighbor, fx);
                }
            }
            Input::NeighborUp(peer) => {
                self.neighbors.push(peer);
                self.compare(peer, fx);
            }
            Input::NeighborDown(peer, _) => self.neighbors.retain(|neighbor| *neighbor != peer),
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
