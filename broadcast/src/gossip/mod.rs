//! Random gossip: every payload to a few neighbours chosen at random, once. The baseline that overlays
//! of other papers are measured with.
//!
//! "Infect and die": a peer that gets a broadcast for the first time passes it on to `fanout` neighbours
//! other than the one it came from, and never again. Nobody repairs what was lost: with a fanout of f, a
//! share π = 1 − e^(−fπ) of the peers gets a broadcast. (Eugster, Guerraoui, Kermarrec, Massoulié:
//! *Epidemic information dissemination in distributed systems*, IEEE Computer, 2004.)

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::time::Duration;

#[cfg(feature = "serde")]
use murmurate_membership::snapshot::Stored;
use murmurate_membership::{ConfigError, Mark, Peer, Strategy, Time, Violation};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

use crate::protocol::{Broadcast, Effects, Input, Payload};
use crate::{BroadcastStrategy, Id, Seen, SeenBounds, Sight, flood, shared};

/// A broadcast that is passed on: it is said as a flood says it.
pub use crate::flood::Message;

/// One peer's gossip.
#[derive(Debug, Clone)]
pub struct Gossip<P, I: Id, D> {
    config: Arc<Config>,
    rng: SplitMix64,
    neighbors: ThinVec<P>,
    seen: Seen<I>,
    payload: PhantomData<D>,
}

#[cfg(feature = "serde")]
murmurate_membership::snapshot! {
    impl[P: Peer + Stored, I: Id<Origin: Stored> + Stored, D] Gossip<P, I, D> [] {
        rng, neighbors, seen
    } but { config, payload }
}

/// Gossip has no timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {}

murmurate_membership::parameters! {
    /// The parameters of [`Gossip`]; see [`plumtree::Parameters`](crate::plumtree::Parameters) for what
    /// most of them mean.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Parameters of "Gossip", checked as Config {
        /// Neighbours that a peer passes a broadcast on to.
        /// HyParView's paper, for Cyclon and SCAMP: 4. It reaches 98 % of the peers, 5 reach 99.3 %.
        fanout: usize = 4, in 1..=64;
        /// Broadcasts of one origin that are told apart while they are under way together.
        seen_capacity: usize = SeenBounds::DEFAULT.span, in 1..=1 << 24;
        /// Origins for which this peer remembers what it has seen.
        origins_capacity: usize = SeenBounds::DEFAULT.origins, in 1..=1 << 24;
        /// How long an origin must be silent to be forgotten when there are too many.
        origin_idle: Duration = SeenBounds::DEFAULT.idle;
        /// Links a broadcast crosses at most.
        hop_limit: u16 = flood::HOP_LIMIT, in 1..=u16::MAX as usize;
    }
}

impl Parameters {
    fn seen(&self) -> SeenBounds {
        let Self { seen_capacity, origins_capacity, origin_idle, .. } = *self;
        SeenBounds { span: seen_capacity, origins: origins_capacity, idle: origin_idle }
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "gossip";
    const ABOUT: &'static str = "Payloads to a few random neighbours, once.";
    const MARKS: &'static [&'static [Mark]] = &[shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl BroadcastStrategy for Parameters {
    type Broadcast<P: Peer, I: Id, D: Payload> = Gossip<P, I, D>;

    fn start<P: Peer, I: Id, D: Payload>(config: &Arc<Config>, seed: u64) -> Gossip<P, I, D> {
        Gossip::new(Arc::clone(config), seed)
    }
}

impl<P: Peer, I: Id, D: Payload> Gossip<P, I, D> {
    /// A peer without neighbours. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: u64) -> Self {
        Self {
            config,
            rng: SplitMix64::seed_from_u64(seed),
            neighbors: ThinVec::new(),
            seen: Seen::default(),
            payload: PhantomData,
        }
    }

    /// Sends a broadcast to `fanout` neighbours other than the sender, or to all if there are fewer:
    /// Knuth's selection sampling, which needs no memory of what was taken.
    fn push(&mut self, message: &Message<I, D>, sender: Option<P>, fx: &mut impl Effects<Self>) {
        let Self { config, rng, neighbors, .. } = self;
        let others = neighbors.iter().copied().filter(|peer| Some(*peer) != sender);
        let mut left = others.clone().count();
        let mut wanted = config.fanout.min(left);
        for peer in others {
            if wanted == 0 {
                return;
            }
            if rng.random_range(0..left) < wanted {
                wanted -= 1;
                fx.send(peer, message.clone());
            }
            left -= 1;
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

impl<P: Peer, I: Id, D: Payload> Broadcast for Gossip<P, I, D> {
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
