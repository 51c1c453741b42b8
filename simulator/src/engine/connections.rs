//! Connections between nodes, if making one takes time.
//!
//! A message to a node that is not connected waits for the handshake. The handshake takes some round trips,
//! which the network carries as on a stream. A dead process refuses the connection; a dead host does not
//! answer, and the dial times out. In both cases the node is told that the link is down, and what waited is
//! lost. The streams of channels have connections of their own: the greeting that opens one waits, too, and if
//! the dial is refused, the channel learns that nobody is there.

use std::time::Duration;

use murmurate::membership::nanos;

use crate::engine::codec::Codec;
use crate::engine::event::What;
use crate::engine::handshake::{Handshake, Purpose, Step};
use crate::engine::snapshot::{ReadError, SaveError};
use crate::engine::storage;
use crate::engine::strategy::SimStack;
use crate::model::node::SimPeer;

/// How long it takes to make a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialling {
    /// Round trips before the first message goes, at least one.
    pub round_trips: u8,
    /// After how long without an answer a dial fails.
    pub timeout: Duration,
    /// After how long without a message a connection is closed.
    pub idle: Duration,
}

/// Messages that may wait for one connection; more are shed.
const MOST_HELD: usize = 1_024;

/// A message that waits, its kind and its bytes.
type Held<P> = (usize, u64, What<P>);

/// The connections of one node. What is idle for long is as if it were closed.
#[derive(Debug, Clone)]
pub(crate) struct Connections<P: SimStack> {
    dialling: Dialling,
    attempts: u32,
    /// By peer and purpose.
    peers: Vec<(Key, State<P>)>,
    /// Peers to hold before the next look for idle ones.
    full: usize,
}

type Key = (SimPeer, Purpose);

#[derive(Debug, Clone)]
enum State<P: SimStack> {
    Dialling {
        attempt: u32,
        held: Vec<Held<P>>,
    },
    /// Since when it is unused.
    Open(u64),
}

/// What becomes of a message.
pub(crate) enum Admitted<P: SimStack> {
    Goes(What<P>),
    Waits,
    /// It waits, and this dial begins.
    Dials {
        attempt: u32,
        first: Handshake,
    },
    Shed,
}

impl<P: SimStack> Connections<P> {
    pub(crate) fn new(dialling: Dialling) -> Self {
        Self { dialling, attempts: 0, peers: Vec::new(), full: 16 }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.dialling.timeout
    }

    fn find(&self, key: Key) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&key, |(key, _)| *key)
    }

    /// A message for `to`.
    pub(crate) fn admit(&mut self, to: Key, now: u64, (kind, bytes, what): Held<P>) -> Admitted<P> {
        let idle = nanos(self.dialling.idle);
        let found = self.find(to);
        if let Ok(at) = found {
            match &mut self.peers[at].1 {
                State::Open(used) if used.saturating_add(idle) > now => {
                    *used = now;
                    return Admitted::Goes(what);
                }
                State::Open(_) => {}
                State::Dialling { held, .. } if held.len() < MOST_HELD => {
                    held.push((kind, bytes, what));
                    return Admitted::Waits;
                }
                State::Dialling { .. } => return Admitted::Shed,
            }
        }
        self.attempts = self.attempts.wrapping_add(1);
        let attempt = self.attempts;
        self.put(to, now, State::Dialling { attempt, held: vec![(kind, bytes, what)] });
        let round_trips = match to.1 {
            Purpose::Overlay => self.dialling.round_trips,
            // Their greeting is a message of its own.
            Purpose::Channels => self.dialling.round_trips.saturating_sub(1).max(1),
        };
        let step = Step::Dial(round_trips);
        Admitted::Dials { attempt, first: Handshake { purpose: to.1, step } }
    }

    fn put(&mut self, key: Key, now: u64, state: State<P>) {
        match self.find(key) {
            Ok(at) => self.peers[at].1 = state,
            Err(_) => {
                if self.peers.len() >= self.full {
                    let idle = nanos(self.dialling.idle);
                    self.peers.retain(|(_, state)| match state {
                        State::Open(used) => used.saturating_add(idle) > now,
                        State::Dialling { .. } => true,
                    });
                    self.full = (self.peers.len() * 2).max(16);
                }
                let at = self.peers.partition_point(|(held, _)| *held < key);
                self.peers.insert(at, (key, state));
            }
        }
    }

    /// There is this connection: it was made, or a message came. What waited for it is sent now.
    pub(crate) fn open(&mut self, key: Key, now: u64) -> Vec<Held<P>> {
        let held = match self.find(key) {
            Ok(at) => match &mut self.peers[at].1 {
                State::Open(used) => {
                    *used = now;
                    return Vec::new();
                }
                State::Dialling { held, .. } => std::mem::take(held),
            },
            Err(_) => Vec::new(),
        };
        self.put(key, now, State::Open(now));
        held
    }

    /// Whether this one is being dialled, in this attempt if one is given.
    pub(crate) fn is_dialling(&self, key: Key, which: Option<u32>) -> bool {
        let state = self.find(key).ok().map(|at| &self.peers[at].1);
        matches!(state, Some(State::Dialling { attempt, .. })
            if which.is_none_or(|which| which == *attempt))
    }

    /// The last start of this node that has such a connection, or is dialled for one. Without one, `peer`
    /// itself.
    pub(crate) fn latest(&self, (peer, purpose): Key) -> SimPeer {
        let of_it =
            |((held, of), _): &&(Key, State<P>)| held.index() == peer.index() && *of == purpose;
        let behind = self.peers.partition_point(|((held, _), _)| held.index() <= peer.index());
        let before = self.peers[..behind].iter().rev();
        let mut same = before.take_while(|((held, _), _)| held.index() == peer.index());
        same.find(of_it).map_or(peer, |((held, _), _)| *held)
    }

    /// The connection is gone. Returns what waited for it, if it was being dialled.
    pub(crate) fn close(&mut self, key: Key) -> Option<Vec<Held<P>>> {
        match self.find(key).map(|at| self.peers.remove(at).1) {
            Ok(State::Dialling { held, .. }) => Some(held),
            _ => None,
        }
    }

    /// `peer` runs: former incarnations of its node are not dialled any more. Returns what waited for them.
    pub(crate) fn close_former(&mut self, peer: SimPeer) -> Vec<Held<P>> {
        let mut waited = Vec::new();
        self.peers.retain_mut(|((held, _), state)| {
            let goes = held.index() == peer.index() && *held != peer;
            if let State::Dialling { held, .. } = state
                && goes
            {
                waited.append(held);
            }
            !goes
        });
        waited
    }

    /// Writes them.
    pub(crate) fn save(&self, codec: &Codec<P>, into: &mut Vec<u8>) -> Result<(), SaveError> {
        storage::save(&(self.attempts, self.full, self.peers.len()), into)?;
        for (key, state) in &self.peers {
            match state {
                State::Open(used) => storage::save(&(key, Some(*used)), into)?,
                State::Dialling { attempt, held } => {
                    storage::save(&(key, None::<u64>, attempt, held.len()), into)?;
                    for (kind, bytes, what) in held {
                        storage::save(&(kind, bytes), into)?;
                        codec.save_what(what, into)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads them.
    pub(crate) fn restore(
        dialling: Dialling,
        codec: &Codec<P>,
        from: &mut &[u8],
    ) -> Result<Self, ReadError> {
        let (attempts, full, count) = storage::read::<(u32, usize, usize)>(from)?;
        let mut peers = Vec::new();
        for _ in 0..count {
            let (key, used) = storage::read::<(Key, Option<u64>)>(from)?;
            let state = match used {
                Some(used) => State::Open(used),
                None => {
                    let (attempt, count) = storage::read::<(u32, usize)>(from)?;
                    let mut held = Vec::new();
                    for _ in 0..count {
                        let (kind, bytes) = storage::read(from)?;
                        held.push((kind, bytes, codec.read_what(from)?));
                    }
                    State::Dialling { attempt, held }
                }
            };
            peers.push((key, state));
        }
        Ok(Self { dialling, attempts, peers, full })
    }

    /// The process starts anew.
    pub(crate) fn clear(&mut self) {
        self.peers.clear();
    }
}
