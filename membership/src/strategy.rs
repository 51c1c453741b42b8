//! What strategies are to those who choose them.

use alloc::sync::Arc;
use core::fmt::Debug;
use core::time::Duration;

use crate::parameters::ParameterSet;
use crate::{ConfigError, Mark, Membership, Peer};

/// A strategy, of membership or of broadcast: its name and its parameters.
///
/// The parameters stand for it: hosts and registries take them, and start peers.
pub trait Strategy: ParameterSet + Debug + PartialEq + Send + Sync + 'static {
    /// Its name in files, on command lines and in the hellos of nodes: `hyparview`.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const ABOUT: &'static str;
    /// Its branches that are rarely taken, in one list or several.
    const MARKS: &'static [&'static [Mark]] = &[];
    /// Its parameters, checked.
    type Config: Send + Sync + 'static;

    /// Checks every range and relation.
    ///
    /// # Errors
    /// The first one that does not hold.
    fn check(self) -> Result<Self::Config, ConfigError>;
}

/// A membership strategy.
pub trait MembershipStrategy: Strategy {
    /// The state machine of one peer.
    type Membership<P: Peer>: Membership<Peer = P> + Clone + Debug + Send + 'static;

    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    fn start<P: Peer>(config: &Arc<Self::Config>, me: P, seed: u64) -> Self::Membership<P>;

    /// Links that a peer has at most, in an overlay of so many.
    fn links(&self, peers: usize) -> usize;

    /// Connections that a host must be able to hold for its links.
    fn least_connections(&self) -> usize {
        1
    }

    /// How often whoever fell silent is tried again at least, if at all: hosts remember for longer how
    /// to reach it.
    fn retry_interval(&self) -> Option<Duration> {
        None
    }
}
