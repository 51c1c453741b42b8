//! The service that spreads [notices](Notice) of admission: each node passes on what is later than what it
//! has, and neighbours compare when they become neighbours.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use murmurate_membership::{Sizes, Time, Violation, Wire};
use serde::{Deserialize, Serialize};

use super::admission::{Gate, Notice};
use crate::id::Incarnation;
use crate::service::{Effects, Input, Service};

/// Its name among the services of a node.
pub(crate) const NAME: &str = "murmurate.admission";

/// Spreads what the gate heeds.
pub(crate) struct Bulletin {
    gate: Arc<Gate>,
    neighbors: Vec<Incarnation>,
}

/// What nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The number of the sender's notice.
    Have(u64),
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
        Self { gate, neighbors: Vec::new() }
    }

    fn spread(&self, but: Option<Incarnation>, fx: &mut impl Effects<Incarnation, Bytes, Self>) {
        let Some(notice) = self.gate.notice() else { return };
        for neighbor in self.neighbors.iter().filter(|neighbor| Some(**neighbor) != but) {
            fx.send(*neighbor, Said::Latest(notice.clone()));
        }
    }
}

impl Service<Incarnation, Bytes> for Bulletin {
    type Message = Said;
    type Timer = Infallible;
    type Command = Spread;
    type Event = Heeded;

    fn handle<E: Effects<Incarnation, Bytes, Self>>(
        &mut self,
        _now: Time,
        input: Input<'_, Incarnation, Bytes, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::NeighborUp(peer) => {
                self.neighbors.push(peer);
                fx.send(peer, Said::Have(self.gate.number()));
            }
            Input::NeighborDown(peer, _) => self.neighbors.retain(|neighbor| *neighbor != peer),
            Input::Receive { from, message: Said::Have(number) } => {
                if number < self.gate.number()
                    && let Some(notice) = self.gate.notice()
                {
                    fx.send(from, Said::Latest(notice));
                }
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
