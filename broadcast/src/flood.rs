//! Flood: every payload on every link, the baseline that Plumtree is measured against.

use alloc::sync::Arc;
use core::convert::Infallible;

use murmurate_membership::{FRAME_HEADER, Peer, Sizes, Time, Violation, Wire};
use thin_vec::ThinVec;

use crate::protocol::{Broadcast, Carries, Effects, Id, Input, Payload};
use crate::window::{Bounds, Window};

/// One peer's flood.
#[derive(Debug, Clone)]
pub struct Flood<P, I, D> {
    config: Arc<Config>,
    neighbors: ThinVec<P>,
    window: Window<I, D>,
}

/// The knob of [`Flood`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Ids remembered, to deliver each broadcast once. At least 1.
    pub seen_capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { seen_capacity: 16_384 }
    }
}

/// A flooded broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<I, D> {
    /// Its name.
    pub id: I,
    /// Links it has crossed when it arrives.
    pub round: u16,
    /// Its content.
    pub payload: D,
}

impl<I, D> Wire for Message<I, D> {
    const KINDS: &'static [&'static str] = &["gossip"];

    fn kind(&self) -> usize {
        0
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        FRAME_HEADER + sizes.id + size_of::<u16>() + sizes.payload
    }
}

impl<I: Id, D> Carries<I> for Message<I, D> {
    fn carries(&self) -> Option<I> {
        Some(self.id)
    }
}

impl<P: Peer, I: Id, D: Payload> Flood<P, I, D> {
    /// A peer without neighbours.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, neighbors: ThinVec::new(), window: Window::new() }
    }

    fn push(&mut self, message: &Message<I, D>, sender: Option<P>, fx: &mut impl Effects<Self>) {
        for &peer in self.neighbors.iter().filter(|peer| Some(**peer) != sender) {
            fx.send(peer, message.clone());
        }
    }

    fn bounds(&self) -> Bounds {
        // Nobody asks for a payload again.
        Bounds { seen: self.config.seen_capacity, payloads: 1, payload_bytes: 0 }
    }
}

impl<P: Peer, I: Id, D: Payload> Broadcast for Flood<P, I, D> {
    type Peer = P;
    type Id = I;
    type Payload = D;
    type Message = Message<I, D>;
    type Timer = Infallible;

    fn handle<E: Effects<Self>>(&mut self, _now: Time, input: Input<Self>, fx: &mut E) {
        match input {
            Input::Publish { id, payload } => {
                self.window.insert(id, payload.clone(), self.bounds());
                self.push(&Message { id, round: 1, payload }, None, fx);
            }
            Input::Receive { from, mut message } => {
                if self.window.contains(message.id) {
                    return;
                }
                self.window.insert(message.id, message.payload.clone(), self.bounds());
                fx.deliver(message.id, message.round, message.payload.clone());
                message.round = message.round.saturating_add(1);
                self.push(&message, Some(from), fx);
            }
            Input::NeighborUp(peer) => {
                if !self.neighbors.contains(&peer) {
                    self.neighbors.push(peer);
                }
            }
            Input::NeighborDown(peer) => self.neighbors.retain(|held| *held != peer),
            Input::Expired(never) => match never {},
        }
    }

    fn eager(&self) -> impl Iterator<Item = P> {
        self.neighbors.iter().copied()
    }

    fn lazy(&self) -> impl Iterator<Item = P> {
        core::iter::empty()
    }

    fn check(&self) -> Result<(), Violation> {
        Violation::unless(
            self.window.is_within(self.bounds()),
            "the seen window is bounded",
            || alloc::format!("{self:?}"),
        )
    }
}
