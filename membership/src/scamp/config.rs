//! SCAMP's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Scamp, marks};
use crate::{ConfigError, Mark, MembershipStrategy, Peer, Strategy};

crate::parameters! {
    /// The parameters of [`Scamp`](super::Scamp). Turn it into a [`Config`] with [`Parameters::check`].
    ///
    /// "The paper" is Ganesh, Kermarrec, Massoulié: *Peer-to-peer membership management for gossip-based
    /// protocols*, IEEE Transactions on Computers, 2003.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "SCAMP", checked as Config {
        /// Copies of a subscription beside those for each peer in a view.
        /// The paper (c): views grow to (c + 1) ln n. HyParView's paper: 4.
        copies: u8 = 4, in 0..=64;
        /// Hops of a subscription that nobody keeps, after which it is dropped.
        /// The paper drops it where it comes by for the tenth time. A view of 46, as 10,000 nodes have,
        /// keeps one in 47 of those that come by.
        walk_length: u16 = 256, in 1..=4096;
        /// Hops from the contact that is asked to the one that acts as the contact.
        /// The paper's indirection. 0 is none.
        indirection_length: u8 = 16, in 0..=64;
        /// How long a subscription lasts before it is made anew.
        /// The paper (lease) gives none.
        lease: Duration = Duration::from_secs(600);
        /// Time between two heartbeats to each peer in the view.
        /// HyParView's cycle: 10 s.
        heartbeat_interval: Duration = Duration::from_secs(10);
        /// Intervals without a heartbeat after which a peer takes itself for isolated.
        /// The paper: "a long time".
        heartbeat_misses: u8 = 3, in 1..=100;
        /// Peers in each view at most.
        /// The paper has no bound. Far above what views grow to by themselves.
        view_capacity: usize = 512, in 1..=16_384;
        /// Mean time between two attempts to join while the view is empty.
        /// The paper has one attempt.
        rejoin_pause: Duration = Duration::from_secs(2);
        /// Contacts remembered.
        contacts_capacity: usize = 8, in 1..=64;
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "scamp";
    const ABOUT: &'static str =
        "Directed views that grow with the logarithm of the overlay: a baseline.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL, crate::shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = Scamp<P>;

    fn start<P: Peer>(config: &Arc<Config>, me: P, seed: u64) -> Scamp<P> {
        Scamp::new(me, Arc::clone(config), seed)
    }

    fn links(&self, peers: usize) -> usize {
        self.view_capacity.min(peers.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn defaults_pass() {
        assert_eq!(Parameters::default().check(), Ok(Config::default()));
    }

    #[test]
    fn what_is_broken_is_named() {
        let say = |wrong: Parameters| wrong.check().expect_err("wrong").to_string();
        let said = say(Parameters { walk_length: 0, ..Parameters::default() });
        assert_eq!(said, "walk_length = 0 is out of range: 1 to 4096");
        let said = say(Parameters { lease: Duration::ZERO, ..Parameters::default() });
        assert!(said.starts_with("lease = 0ns"), "{said}");
    }
}
