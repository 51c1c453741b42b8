//! Cyclon's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Cyclon, marks};
use crate::{ConfigError, Mark, MembershipStrategy, Peer, Strategy};

crate::parameters! {
    /// The parameters of [`Cyclon`](super::Cyclon). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    ///
    /// "HyParView's paper" compares both with these values.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Cyclon", checked as Config {
        /// Peers in the view: the neighbours.
        /// HyParView's paper: 35, as many as in HyParView's two views.
        view_capacity: usize = 35, in 2..=1024, >= shuffle_length;
        /// Peers in a shuffle, with the peer itself.
        /// HyParView's paper: 14.
        shuffle_length: usize = 14, in 1..=64;
        /// Time between two shuffles of a peer.
        /// The paper's cycle. As HyParView's: 10 s.
        shuffle_interval: Duration = Duration::from_secs(10);
        /// Hops of a joiner's walks, of which there are as many as peers in a view.
        /// HyParView's paper: 5. The paper: about the average path length.
        walk_length: u8 = 5, in 1..=32;
        /// Whether a peer that cannot be reached leaves the view at once.
        /// Off in the paper, where only shuffles find the dead. On, it is the CyclonAcked of HyParView's
        /// paper.
        acknowledged: bool = false;
        /// Mean time between two attempts to join while the view is empty.
        /// The paper has one attempt.
        rejoin_pause: Duration = Duration::from_secs(2);
        /// Contacts remembered.
        contacts_capacity: usize = 8, in 1..=64;
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "cyclon";
    const ABOUT: &'static str = "One directed view, shuffled with the oldest in it: a baseline.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL, crate::shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = Cyclon<P>;

    fn start<P: Peer>(config: &Arc<Config>, me: P, seed: u64) -> Cyclon<P> {
        Cyclon::new(me, Arc::clone(config), seed)
    }

    fn links(&self, peers: usize) -> usize {
        self.view_capacity.min(peers.saturating_sub(1))
    }

    fn least_connections(&self) -> usize {
        self.view_capacity
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
        let said = say(Parameters { view_capacity: 8, ..Parameters::default() });
        assert!(said.starts_with("view_capacity = 8 is less than shuffle_length = 14"), "{said}");
        let said = say(Parameters { shuffle_length: 65, ..Parameters::default() });
        assert_eq!(said, "shuffle_length = 65 is out of range: 1 to 64");
        let said = say(Parameters { rejoin_pause: Duration::ZERO, ..Parameters::default() });
        assert!(said.starts_with("rejoin_pause = 0ns"), "{said}");
    }
}
