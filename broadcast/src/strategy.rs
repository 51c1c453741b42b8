//! What a broadcast strategy is to those who choose one.

use alloc::sync::Arc;
use core::fmt::Debug;

use murmurate_membership::{Peer, Strategy};

use crate::{Broadcast, Id, Payload};

/// A broadcast strategy.
pub trait BroadcastStrategy: Strategy {
    /// The state machine of one peer.
    type Broadcast<P: Peer, I: Id, D: Payload>: Broadcast<Peer = P, Id = I, Payload = D>
        + Clone
        + Debug
        + Send
        + 'static;

    /// A peer without neighbours. Every random choice follows from `seed`.
    fn start<P: Peer, I: Id, D: Payload>(
        config: &Arc<Self::Config>,
        seed: u64,
    ) -> Self::Broadcast<P, I, D>;
}
