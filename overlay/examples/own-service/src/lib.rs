//! A counter that all nodes share, as a service: a state machine that a node runs, and a simulation too.
//!
//! It is a grow-only counter (Shapiro, Preguiça, Baquero, Zawirski: *Conflict-free replicated data types*,
//! 2011): each node counts what it added itself, all keep everybody's count, and the largest count of a
//! node is the newest. So news may come twice, late and in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use murmurate::membership::{Peer, Sizes, Time, Violation, Wire};
use murmurate::service::{Effects, Input, Service};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How often a node compares its counts with a neighbour's, in case a broadcast was lost.
const COMPARED: Duration = Duration::from_secs(5);
/// Starts that are counted: nobody can make the others keep more.
const STARTS: usize = 4_096;

/// How much each start of a node has added: what one counted before it restarted stays counted.
type Counts<P> = BTreeMap<P, u64>;

/// One node's part of the counter.
#[derive(Debug, Clone)]
pub struct Tally<P> {
    counts: Counts<P>,
    neighbors: Vec<P>,
    /// Which neighbour is compared with next.
    turn: usize,
    armed: bool,
}

/// What nodes say to each other: all counts, and whether the other's are wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + DeserializeOwned + Ord")]
pub struct Message<P: Ord> {
    counts: Counts<P>,
    answer: bool,
}

/// What the application asks.
#[derive(Debug, Clone, Copy)]
pub enum Command {
    /// Add so much to the counter.
    Add(u64),
}

/// What the application is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The counter has grown to this.
    Total(u64),
}

impl<P: Ord> Wire for Message<P> {
    const KINDS: &'static [&'static str] = &["counts"];

    fn kind(&self) -> usize {
        0
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.counts.len() * (sizes.peer + size_of::<u64>()) + 1
    }
}

impl<P> Default for Tally<P> {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), neighbors: Vec::new(), turn: 0, armed: false }
    }
}

impl<P: Peer> Tally<P> {
    /// How much all nodes have added, as far as this one knows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// All that this node knows.
    fn news(&self, answer: bool) -> Message<P> {
        Message { counts: self.counts.clone(), answer }
    }

    /// Takes in counts. Whether anything was new.
    fn merge(&mut self, counts: impl IntoIterator<Item = (P, u64)>) -> bool {
        let before = self.total();
        for (peer, count) in counts {
            if self.counts.len() < STARTS || self.counts.contains_key(&peer) {
                let known = self.counts.entry(peer).or_default();
                *known = count.max(*known);
            }
        }
        self.total() > before
    }
}

impl<P> Service<P, Bytes> for Tally<P>
where
    P: Peer + Serialize + DeserializeOwned,
{
    type Message = Message<P>;
    type Timer = ();
    type Command = Command;
    type Event = Event;

    fn handle<E: Effects<P, Bytes, Self>>(
        &mut self,
        _now: Time,
        input: Input<'_, P, Bytes, Self>,
        fx: &mut E,
    ) {
        let grew = match input {
            Input::Command(Command::Add(more)) => {
                let own = self.counts.get(&fx.me()).copied().unwrap_or(0);
                let news = (fx.me(), own.saturating_add(more));
                // Everybody hears of it soon, if nothing goes wrong.
                if let Ok(bytes) = postcard::to_allocvec(&news) {
                    fx.broadcast(bytes.into());
                }
                self.merge([news])
            }
            // Nothing that comes is trusted: what is no count is none.
            Input::Delivered { payload, .. } => {
                postcard::from_bytes(payload).is_ok_and(|news: (P, u64)| self.merge([news]))
            }
            Input::Receive { from, message: Message { counts, answer } } => {
                let grew = self.merge(counts);
                if answer {
                    fx.send(from, self.news(false));
                }
                grew
            }
            Input::NeighborUp(peer) => {
                self.neighbors.push(peer);
                fx.send(peer, self.news(false));
                if !std::mem::replace(&mut self.armed, true) {
                    fx.arm(COMPARED, ());
                }
                false
            }
            Input::NeighborDown(peer, _) => {
                self.neighbors.retain(|held| *held != peer);
                false
            }
            Input::Expired(()) => {
                self.turn = self.turn.wrapping_add(1);
                let at = self.turn.checked_rem(self.neighbors.len());
                if let Some(peer) = at.and_then(|at| self.neighbors.get(at)) {
                    fx.send(*peer, self.news(true));
                }
                self.armed = !self.neighbors.is_empty();
                if self.armed {
                    fx.arm(COMPARED, ());
                }
                false
            }
            _ => false,
        };
        if grew {
            fx.emit(Event::Total(self.total()));
        }
    }

    fn check(&self, neighbors: &[P]) -> Result<(), Violation> {
        let mut mine = self.neighbors.clone();
        mine.sort_unstable();
        Violation::unless(mine == neighbors, "the tally knows its neighbours", || {
            format!("{mine:?} instead of {neighbors:?}")
        })?;
        let counted = self.counts.len();
        Violation::unless(counted <= STARTS, "counts are bounded", || counted.to_string())
    }
}
