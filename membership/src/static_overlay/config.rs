//! The static overlay's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use super::{StaticOverlay, marks};
use crate::parameters::ConfigError;
use crate::{Mark, MembershipStrategy, Peer, Strategy};

crate::parameters! {
    /// The parameters of [`StaticOverlay`](super::StaticOverlay). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Static overlay", checked as Config {
        /// Neighbours at most: contacts, linked or not, and peers that asked for a link.
        /// As many as connections that a node holds by default: it bounds memory.
        neighbors_capacity: usize = 1024, in 1..=16_384;
        /// Whether a link that failed is asked for again.
        repair: bool = true;
        /// Time between two keep-alives to each neighbour.
        /// And between two looks at who is to be asked again. As the full mesh's: 2 s.
        keepalive_interval: Duration = Duration::from_secs(2);
        /// Keep-alives a neighbour may miss before it is dropped.
        keepalive_misses: u8 = 3, in 1..=100;
        /// How long a request for a link may stay unanswered.
        /// Above the round trip to the farthest peer.
        request_timeout: Duration = Duration::from_secs(1);
        /// Longest pause between two requests to a contact that does not answer.
        /// Serf's reconnect interval: 30 s.
        redial_pause: Duration = Duration::from_secs(30);
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "static";
    const ABOUT: &'static str =
        "Everyone linked with the contacts it was given, and with nobody else.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = StaticOverlay<P>;

    const KEEPS_TO_CONTACTS: bool = true;

    fn start<P: Peer>(config: &Arc<Config>, me: P, seed: u64) -> StaticOverlay<P> {
        StaticOverlay::new(me, Arc::clone(config), seed)
    }

    fn links(&self, peers: usize) -> usize {
        self.neighbors_capacity.min(peers.saturating_sub(1))
    }

    fn retry_interval(&self) -> Option<Duration> {
        Some(self.redial_pause)
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
        let good = Parameters::default;
        let said = say(Parameters { neighbors_capacity: 0, ..good() });
        assert_eq!(said, "neighbors_capacity = 0 is out of range: 1 to 16384");
        let said = say(Parameters { keepalive_misses: 101, ..good() });
        assert_eq!(said, "keepalive_misses = 101 is out of range: 1 to 100");
        let said = say(Parameters { redial_pause: Duration::ZERO, ..good() });
        assert!(said.starts_with("redial_pause = 0ns"), "{said}");
    }
}
