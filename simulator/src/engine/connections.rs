//! Connections between nodes, if making one takes time.
//!
//! A message to a node that is not connected waits for the handshake. The handshake takes some round trips,
//! which the network carries as on a stream. A dead process refuses the connection; a dead host does not
//! answer, and the dial times out. In both cases the node is told that the link is down, and what waited is
//! lost.

use std::time::Duration;

use murmurate::membership::nanos;

use crate::engine::codec::Codec;
use crate::engine::event::What;
use crate::engine::handshake::Handshake;
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
    /// By peer.
    peers: Vec<(SimPeer, State<P>)>,
    /// Peers to hold before the next look for idle ones.
    full: usize,
}

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

    fn find(&self, peer: SimPeer) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&peer, |(peer, _)| *peer)
    }

    /// A message for `to`.
    pub(crate) fn admit(
        &mut self,
        to: SimPeer,
        now: u64,
        (kind, bytes, what): Held<P>,
    ) -> Admitted<P> {
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
        Admitted::Dials { attempt, first: Handshake::Dial(self.dialling.round_trips) }
    }

    fn put(&mut self, peer: SimPeer, now: u64, state: State<P>) {
        match self.find(peer) {
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
                let at = self.peers.partition_point(|(held, _)| *held < peer);
                self.peers.insert(at, (peer, state));
            }
        }
    }

    /// There is a connection with `peer`: it was made, or a message came. What waited for it is sent now.
    pub(crate) fn open(&mut self, peer: SimPeer, now: u64) -> Vec<Held<P>> {
        let held = match self.find(peer) {
            Ok(at) => match &mut self.peers[at].1 {
                State::Open(used) => {
                    *used = now;
                    return Vec::new();
                }
                State::Dialling { held, .. } => std::mem::take(held),
            },
            Err(_) => Vec::new(),
        };
        self.put(peer, now, State::Open(now));
        held
    }

    /// Whether `peer` is being dialled, in this attempt if one is given.
    pub(crate) fn is_dialling(&self, peer: SimPeer, which: Option<u32>) -> bool {
        let state = self.find(peer).ok().map(|at| &self.peers[at].1);
        matches!(state, Some(State::Dialling { attempt, .. })
            if which.is_none_or(|which| which == *attempt))
    }

    /// The connection is gone, and what waited for it is lost. Returns how many messages that were.
    pub(crate) fn close(&mut self, peer: SimPeer) -> usize {
        match self.find(peer).map(|at| self.peers.remove(at).1) {
            Ok(State::Dialling { held, .. }) => held.len(),
            _ => 0,
        }
    }

    /// `peer` runs: former incarnations of its node are not dialled any more. Returns how many messages are
    /// lost.
    pub(crate) fn close_former(&mut self, peer: SimPeer) -> usize {
        let mut lost = 0;
        self.peers.retain(|(held, state)| {
            let goes = held.index() == peer.index() && *held != peer;
            if let State::Dialling { held, .. } = state
                && goes
            {
                lost += held.len();
            }
            !goes
        });
        lost
    }

    /// Writes them.
    pub(crate) fn save(&self, codec: &Codec<P>, into: &mut Vec<u8>) -> Result<(), SaveError> {
        storage::save(&(self.attempts, self.full, self.peers.len()), into)?;
        for (peer, state) in &self.peers {
            match state {
                State::Open(used) => storage::save(&(peer, Some(*used)), into)?,
                State::Dialling { attempt, held } => {
                    storage::save(&(peer, None::<u64>, attempt, held.len()), into)?;
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
            let (peer, used) = storage::read::<(SimPeer, Option<u64>)>(from)?;
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
            peers.push((peer, state));
        }
        Ok(Self { dialling, attempts, peers, full })
    }

    /// The process starts anew.
    pub(crate) fn clear(&mut self) {
        self.peers.clear();
    }
}
