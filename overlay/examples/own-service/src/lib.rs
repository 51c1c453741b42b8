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
/// Nodes that are counted: nobody can make the others keep more.
const NODES: usize = 4_096;

/// How much each node has added.
type Counts<N> = BTreeMap<N, u64>;

/// One node's part of the counter.
#[derive(Debug, Clone)]
pub struct Tally<P: Peer> {
    me: P::Node,
    counts: Counts<P::Node>,
    neighbors: Vec<P>,
    /// Which neighbour is compared with next.
    turn: usize,
    armed: bool,
}

/// What nodes say to each other: all counts, and whether the other's are wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "N: Serialize + DeserializeOwned + Ord")]
pub struct Message<N: Ord> {
    counts: Counts<N>,
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

impl<N: Ord> Wire for Message<N> {
    const KINDS: &'static [&'static str] = &["counts"];

    fn kind(&self) -> usize {
        0
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        self.counts.len() * (sizes.peer + size_of::<u64>()) + 1
    }
}

impl<P: Peer> Tally<P> {
    /// The part of this node.
    #[must_use]
    pub fn new(me: P::Node) -> Self {
        Self { me, counts: BTreeMap::new(), neighbors: Vec::new(), turn: 0, armed: false }
    }

    /// How much all nodes have added, as far as this one knows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Takes in what others count. Whether anything was new.
    fn merge(&mut self, counts: impl IntoIterator<Item = (P::Node, u64)>) -> bool {
        let before = self.total();
        for (node, count) in counts {
            if self.counts.len() < NODES || self.counts.contains_key(&node) {
                let known = self.counts.entry(node).or_default();
                *known = count.max(*known);
            }
        }
        self.total() > before
    }
}

impl<P> Service<P, Bytes> for Tally<P>
where
    P: Peer<Node: Serialize + DeserializeOwned>,
{
    type Message = Message<P::Node>;
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
                let count = self.counts.entry(self.me).or_default();
                *count = count.saturating_add(more);
                // Everybody hears of it soon, if nothing goes wrong.
                if let Ok(news) = postcard::to_allocvec(&(self.me, *count)) {
                    fx.broadcast(news.into());
                }
                more > 0
            }
            // Nothing that comes is trusted: what is no count is none.
            Input::Delivered { payload, .. } => {
                postcard::from_bytes(payload).is_ok_and(|news: (P::Node, u64)| self.merge([news]))
            }
            Input::Receive { from, message: Message { counts, answer } } => {
                let grew = self.merge(counts);
                if answer {
                    fx.send(from, Message { counts: self.counts.clone(), answer: false });
                }
                grew
            }
            Input::NeighborUp(peer) => {
                self.neighbors.push(peer);
                fx.send(peer, Message { counts: self.counts.clone(), answer: false });
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
                    fx.send(*peer, Message { counts: self.counts.clone(), answer: true });
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
        Violation::unless(counted <= NODES, "counts are bounded", || counted.to_string())
    }
}
