//! HyParView's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use super::{HyParView, marks};
use crate::{ConfigError, Mark, MembershipStrategy, Peer, Strategy};

crate::parameters! {
    /// The parameters of [`HyParView`](super::HyParView). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    ///
    /// "The paper" is Leitão, Pereira, Rodrigues: *HyParView: a membership protocol for reliable
    /// gossip-based broadcast*, DSN 2007.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "HyParView", checked as Config {
        /// Peers in the active view: the neighbours.
        /// The paper: fanout + 1 = 5.
        active_capacity: usize = 5, in 1..=64;
        /// Peers in the passive view, which are known besides the neighbours.
        /// The paper: 30.
        passive_capacity: usize = 30, in 1..=1024, >= active_capacity;
        /// Hops of a forward join.
        /// The paper (ARWL): 6.
        active_walk_length: u8 = 6, in 1..=32, >= passive_walk_length;
        /// Remaining hops at which a forward join also enters the passive view.
        /// The paper (PRWL): 3. More than `active_walk_length` would never come.
        passive_walk_length: u8 = 3, in 0..=32;
        /// Active peers in a shuffle.
        /// The paper (k_a): 3.
        shuffle_active: usize = 3, in 0..=64;
        /// Passive peers in a shuffle.
        /// The paper (k_p): 4.
        shuffle_passive: usize = 4, in 0..=64;
        /// Hops of a shuffle's walk.
        /// The paper gives none; from 5 on the clustering coefficient no longer falls, so it is
        /// ARWL.
        shuffle_walk_length: u8 = 6, in 1..=32;
        /// Time between two shuffles of a peer.
        /// The paper's cycle. Partisan: 10 s.
        shuffle_interval: Duration = Duration::from_secs(10);
        /// Shuffles out of turn between two in turn, when passive peers turn out to be dead.
        /// Only while none is left to ask; bounded, because the dead come back from views that
        /// nobody checks. The paper has none; with 8, views fill up after a mass failure without
        /// waiting for the next cycle.
        reactive_shuffles: u8 = 8;
        /// Time between two keep-alives to each neighbour.
        /// And between two attempts to fill the view.
        keepalive_interval: Duration = Duration::from_secs(2);
        /// Keep-alives a neighbour may miss before it is dropped.
        keepalive_misses: u8 = 3, in 1..=100;
        /// Mean time between two random promotions, which merge overlays that were split.
        /// An exchange that swaps a random passive peer (or a contact) in, although the view is
        /// full. Not in the paper. `None` turns it off.
        promotion_interval: Option<Duration> = Some(Duration::from_secs(300));
        /// Longest time between two attempts to reach a peer that fell silent, or a contact, again.
        /// Also with a full view: the first comes after an eighth of it, each pause is jittered, and
        /// after a day it is given up. Halves of an overlay that was cut are one again within two of
        /// these of being reachable. Not in the paper; SWIM and its descendants try the dead again
        /// in the same way (Serf: each 30 s, for a day). `None` turns it off.
        reunion_interval: Option<Duration> = Some(Duration::from_secs(30));
        /// How long a request for a link may stay unanswered.
        /// Above the round trip to the farthest peer.
        request_timeout: Duration = Duration::from_secs(1);
        /// Longest pause between two rounds over the contacts while isolated.
        rejoin_pause: Duration = Duration::from_secs(30);
        /// Contacts remembered, and as many peers that fell silent.
        contacts_capacity: usize = 8, in 1..=64;
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "hyparview";
    const ABOUT: &'static str = "Small symmetric active views, larger passive ones.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL, crate::shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = HyParView<P>;

    fn start<P: Peer>(config: &Arc<Config>, me: P, seed: u64) -> HyParView<P> {
        HyParView::new(me, Arc::clone(config), seed)
    }

    fn links(&self, peers: usize) -> usize {
        self.active_capacity.min(peers.saturating_sub(1))
    }

    fn least_connections(&self) -> usize {
        self.active_capacity
    }

    fn retry_interval(&self) -> Option<Duration> {
        self.reunion_interval
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
    fn a_broken_relation_is_named() {
        let wrong = Parameters { passive_capacity: 3, ..Parameters::default() };
        let error = wrong.check().expect_err("3 < 5").to_string();
        assert!(
            error.starts_with("passive_capacity = 3 is less than active_capacity = 5"),
            "{error}"
        );
    }

    #[test]
    fn ranges_and_times_are_named() {
        let wrong = Parameters { active_capacity: 0, ..Parameters::default() };
        assert_eq!(
            wrong.check().expect_err("zero").to_string(),
            "active_capacity = 0 is out of range: 1 to 64"
        );
        let wrong = Parameters { request_timeout: Duration::ZERO, ..Parameters::default() };
        assert!(wrong.check().expect_err("zero").to_string().starts_with("request_timeout = 0"));
    }
}
