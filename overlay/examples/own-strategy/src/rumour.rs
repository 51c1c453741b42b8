//! Rumours: whoever hears a broadcast for the first time tells it to a few neighbours, in turn.
//!
//! That alone reaches most; what somebody missed comes by anti-entropy.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use murmurate::broadcast::{
    Broadcast, BroadcastStrategy, Carries, Effects, Id, Input, Payload, Seen, SeenBounds, Sight,
};
use murmurate::membership::{ConfigError, Mark, Peer, Sizes, Strategy, Time, Violation, Wire};
use murmurate_simulator::engine::strategy::{SimPayload, WatchedBroadcast};
use murmurate_simulator::strategies::SimulatedBroadcast;
use murmurate_simulator::{SimId, SimPeer};
use serde::{Deserialize, Serialize};

murmurate::membership::parameters! {
    /// The knobs of [`Rumours`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Rumour", checked as Config {
        /// Neighbours that are told.
        fanout: usize = 4, in 1..=64;
    }
}

murmurate::membership::marks! {
    @loss ENDLESS = "rumour-endless": "a rumour crossed 64 links, and is told no further";
}

/// Links that a rumour crosses at most.
const MOST_HOPS: u16 = 64;

/// One node's rumours.
#[derive(Debug, Clone)]
pub struct Rumours<P, I: Id, D> {
    config: Arc<Config>,
    neighbors: Vec<P>,
    /// Whose turn it is.
    turn: usize,
    seen: Seen<I>,
    payload: PhantomData<D>,
}

/// A broadcast on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<I, D> {
    id: I,
    hops: u16,
    payload: D,
}

impl<I, D> Wire for Message<I, D> {
    const KINDS: &'static [&'static str] = &["rumour"];

    fn kind(&self) -> usize {
        0
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        murmurate::membership::FRAME_HEADER + sizes.id + size_of::<u16>() + sizes.payload
    }
}

/// Hosts send contents their own way: on real nodes without copying them.
impl<I: Id, D> Carries<I> for Message<I, D> {
    type Payload = D;
    type Head = Message<I, ()>;

    fn carries(&self) -> Option<I> {
        Some(self.id)
    }

    fn payload(&self) -> Option<&D> {
        Some(&self.payload)
    }

    fn split(self) -> (Message<I, ()>, Option<D>) {
        let Self { id, hops, payload } = self;
        (Message { id, hops, payload: () }, Some(payload))
    }

    fn join(head: Message<I, ()>, payload: Option<D>) -> Option<Self> {
        Some(Self { id: head.id, hops: head.hops, payload: payload? })
    }
}

impl<P: Peer, I: Id, D: Payload> Rumours<P, I, D> {
    fn tell(&mut self, message: &Message<I, D>, but: Option<P>, fx: &mut impl Effects<Self>) {
        let others = self.neighbors.len()
            - usize::from(but.is_some_and(|peer| self.neighbors.contains(&peer)));
        let mut left = others.min(self.config.fanout);
        while left > 0 {
            let next = self.neighbors[self.turn % self.neighbors.len()];
            self.turn = self.turn.wrapping_add(1);
            if Some(next) != but {
                fx.send(next, message.clone());
                left -= 1;
            }
        }
    }

    fn hear(
        &mut self,
        now: Time,
        from: P,
        mut message: Message<I, D>,
        fx: &mut impl Effects<Self>,
    ) {
        if message.hops > MOST_HOPS {
            return fx.mark(ENDLESS);
        }
        if let Sight::New { .. } = self.seen.insert(now, message.id, SeenBounds::DEFAULT) {
            fx.deliver(message.id, message.hops, message.payload.clone());
            message.hops += 1;
            self.tell(&message, Some(from), fx);
        }
    }
}

impl<P: Peer, I: Id, D: Payload> Broadcast for Rumours<P, I, D> {
    type Peer = P;
    type Id = I;
    type Payload = D;
    type Message = Message<I, D>;
    type Timer = Infallible;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        match input {
            Input::Publish { id, payload } => {
                self.seen.insert(now, id, SeenBounds::DEFAULT.for_own());
                self.tell(&Message { id, hops: 1, payload }, None, fx);
            }
            Input::Receive { from, message } => self.hear(now, from, message, fx),
            Input::Recover { from, id, round, payload, .. } => {
                self.hear(now, from, Message { id, hops: round, payload }, fx);
            }
            Input::NeighborUp(peer) => self.neighbors.push(peer),
            Input::NeighborDown(peer) => self.neighbors.retain(|held| *held != peer),
            Input::Expired(never) => match never {},
        }
    }

    fn eager(&self) -> impl Iterator<Item = P> {
        self.neighbors.iter().copied()
    }

    fn lazy(&self) -> impl Iterator<Item = P> {
        [].into_iter()
    }

    fn seen(&self) -> &Seen<I> {
        &self.seen
    }

    fn seen_mut(&mut self) -> (&mut Seen<I>, SeenBounds) {
        (&mut self.seen, SeenBounds::DEFAULT)
    }

    fn check(&self) -> Result<(), Violation> {
        let bounded = self.seen.is_within(SeenBounds::DEFAULT);
        Violation::unless(bounded, "what was seen is bounded", || "it is not")
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "rumour";
    const ABOUT: &'static str = "Payloads to a few neighbours, in turn.";
    const MARKS: &'static [&'static [Mark]] = &[ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl BroadcastStrategy for Parameters {
    type Broadcast<P: Peer, I: Id, D: Payload> = Rumours<P, I, D>;

    fn start<P: Peer, I: Id, D: Payload>(config: &Arc<Config>, _: u64) -> Rumours<P, I, D> {
        let (config, seen) = (Arc::clone(config), Seen::default());
        Rumours { config, neighbors: Vec::new(), turn: 0, seen, payload: PhantomData }
    }
}

impl<I: SimId, D: SimPayload> WatchedBroadcast for Rumours<SimPeer, I, D> {}

impl SimulatedBroadcast for Parameters {}
