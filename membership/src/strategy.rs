//! How strategies are chosen.

use alloc::sync::Arc;
use core::fmt::Debug;
use core::time::Duration;

use crate::parameters::ParameterSet;
use crate::{ConfigError, Mark, Membership, Peer};

/// A strategy, of membership or of broadcast: its name and its parameters.
///
/// The parameters represent it: hosts and registries take them and start peers.
pub trait Strategy: ParameterSet + Debug + PartialEq + Send + Sync + 'static {
    /// Its name in files, on command lines and in the hellos of nodes: `hyparview`.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const ABOUT: &'static str;
    /// Its rarely taken branches, in one list or several.
    const MARKS: &'static [&'static [Mark]] = &[];
    /// Its parameters, checked.
    type Config: Send + Sync + 'static;

    /// Checks every range and relation.
    ///
    /// # Errors
    /// [`ConfigError`] names the first that does not hold.
    fn check(self) -> Result<Self::Config, ConfigError>;
}

/// A membership strategy.
pub trait MembershipStrategy: Strategy {
    /// The state machine of one peer.
    type Membership<P: Peer>: Membership<Peer = P> + Clone + Debug + Send + 'static;

    /// Whether its neighbours are the contacts that it is given and those whose contact it is, and nobody
    /// else. Then a host gives a peer
    /// that starts again none of those that its former start knew: whoever draws the overlay may have taken
    /// their links away meanwhile.
    const KEEPS_TO_CONTACTS: bool = false;

    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    fn start<P: Peer>(config: &Arc<Self::Config>, me: P, seed: u64) -> Self::Membership<P>;

    /// The most links that a peer has in an overlay of so many peers.
    fn links(&self, peers: usize) -> usize;

    /// Connections that a host must be able to hold for its links.
    fn least_connections(&self) -> usize {
        1
    }

    /// The longest time between two attempts to reach a silent peer again, if there are any. Hosts
    /// remember its addresses for longer.
    fn retry_interval(&self) -> Option<Duration> {
        None
    }
}
