//! Flood: every payload on every link, the baseline that Plumtree is measured against.

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::time::Duration;

#[cfg(feature = "serde")]
use murmurate_membership::snapshot::Stored;
use murmurate_membership::{
    ConfigError, FRAME_HEADER, Mark, Peer, Sizes, Strategy, Time, Violation, Wire,
};
use thin_vec::ThinVec;

use crate::protocol::{Broadcast, Carries, Effects, Input, Payload};
use crate::{BroadcastStrategy, Id, Seen, SeenBounds, Sight, shared};

/// Links a broadcast crosses at most by default, which is far more than any overlay is wide. This is the
/// second guard against circulation; the first is what was seen.
pub const HOP_LIMIT: u16 = 128;

/// One peer's flood.
#[derive(Debug, Clone)]
pub struct Flood<P, I: Id, D> {
    config: Arc<Config>,
    neighbors: ThinVec<P>,
    seen: Seen<I>,
    payload: PhantomData<D>,
}

#[cfg(feature = "serde")]
murmurate_membership::snapshot! {
    impl[P: Peer + Stored, I: Id<Origin: Stored> + Stored, D] Flood<P, I, D> [] {
        neighbors, seen
    } but { config, payload }
}

/// Flood has no timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {}

murmurate_membership::parameters! {
    /// The parameters of [`Flood`]; see [`plumtree::Parameters`](crate::plumtree::Parameters) for what they
    /// mean.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Parameters of "Flood", checked as Config {
        /// Broadcasts of one origin that are told apart while they are under way together.
        seen_capacity: usize = SeenBounds::DEFAULT.span, in 1..=1 << 24;
        /// Origins for which this peer remembers what it has seen.
        origins_capacity: usize = SeenBounds::DEFAULT.origins, in 1..=1 << 24;
        /// How long an origin must be silent to be forgotten when there are too many.
        origin_idle: Duration = SeenBounds::DEFAULT.idle;
        /// Links a broadcast crosses at most.
        hop_limit: u16 = HOP_LIMIT, in 1..=u16::MAX as usize;
    }
}

impl Parameters {
    fn seen(&self) -> SeenBounds {
        let Self { seen_capacity, origins_capacity, origin_idle, .. } = *self;
        SeenBounds { span: seen_capacity, origins: origins_capacity, idle: origin_idle }
    }
}

/// A flooded broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    type Payload = D;
    type Head = Message<I, ()>;

    fn carries(&self) -> Option<I> {
        Some(self.id)
    }

    fn payload(&self) -> Option<&D> {
        Some(&self.payload)
    }

    fn split(self) -> (Message<I, ()>, Option<D>) {
        let Self { id, round, payload } = self;
        (Message { id, round, payload: () }, Some(payload))
    }

    fn join(head: Message<I, ()>, payload: Option<D>) -> Option<Self> {
        Some(Self { id: head.id, round: head.round, payload: payload? })
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "flood";
    const ABOUT: &'static str = "Payloads on every link.";
    const MARKS: &'static [&'static [Mark]] = &[shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl BroadcastStrategy for Parameters {
    type Broadcast<P: Peer, I: Id, D: Payload> = Flood<P, I, D>;

    fn start<P: Peer, I: Id, D: Payload>(config: &Arc<Config>, _: u64) -> Flood<P, I, D> {
        Flood::new(Arc::clone(config))
    }
}

impl<P: Peer, I: Id, D: Payload> Flood<P, I, D> {
    /// A peer without neighbours.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, neighbors: ThinVec::new(), seen: Seen::default(), payload: PhantomData }
    }

    fn push(&mut self, message: &Message<I, D>, sender: Option<P>, fx: &mut impl Effects<Self>) {
        for &peer in self.neighbors.iter().filter(|peer| Some(**peer) != sender) {
            fx.send(peer, message.clone());
        }
    }

    fn receive(
        &mut self,
        now: Time,
        from: P,
        mut message: Message<I, D>,
        pass_on: bool,
        fx: &mut impl Effects<Self>,
    ) {
        if message.round > self.config.hop_limit {
            return fx.mark(shared::TOO_MANY_HOPS);
        }
        match self.seen.insert(now, message.id, self.config.seen()) {
            Sight::Decided => {}
            Sight::Full => fx.mark(shared::ORIGINS_FULL),
            Sight::New { given_up } => {
                fx.deliver(message.id, message.round, message.payload.clone());
                if pass_on {
                    message.round = message.round.saturating_add(1);
                    self.push(&message, Some(from), fx);
                }
                if given_up > 0 {
                    fx.missed(message.id.origin(), given_up);
                }
            }
        }
    }
}

impl<P: Peer, I: Id, D: Payload> Broadcast for Flood<P, I, D> {
    type Peer = P;
    type Id = I;
    type Payload = D;
    type Message = Message<I, D>;
    type Timer = Timer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        match input {
            Input::Publish { id, payload } => {
                self.seen.insert(now, id, self.config.seen().for_own());
                self.push(&Message { id, round: 1, payload }, None, fx);
            }
            Input::Receive { from, message } => self.receive(now, from, message, true, fx),
            Input::Recover { from, id, round, payload, is_past } => {
                self.receive(now, from, Message { id, round, payload }, !is_past, fx);
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

    fn seen(&self) -> &Seen<I> {
        &self.seen
    }

    fn seen_mut(&mut self) -> (&mut Seen<I>, SeenBounds) {
        (&mut self.seen, self.config.seen())
    }

    fn check(&self) -> Result<(), Violation> {
        let within = self.seen.is_within(self.config.seen());
        Violation::unless(within, "what was seen is bounded", || alloc::format!("{self:?}"))
    }
}
