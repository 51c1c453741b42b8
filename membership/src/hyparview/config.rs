//! HyParView's parameters, each with its source.

use core::ops::Deref;
use core::time::Duration;

use crate::OutOfRange;

/// The knobs of [`HyParView`](super::HyParView). Turn it into a [`Config`] with
/// [`Parameters::check`].
///
/// "The paper" is Leitão, Pereira, Rodrigues: *HyParView: a membership protocol for reliable
/// gossip-based broadcast*, DSN 2007.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Peers in the active view. The paper: fanout + 1 = 5.
    pub active_capacity: usize,
    /// Peers in the passive view. The paper: 30.
    pub passive_capacity: usize,
    /// Hops of a forward join (ARWL). The paper: 6.
    pub active_walk_length: u8,
    /// Remaining hops at which a forward join also enters the passive view (PRWL). The paper: 3.
    pub passive_walk_length: u8,
    /// Active peers in a shuffle (k_a). The paper: 3.
    pub shuffle_active: usize,
    /// Passive peers in a shuffle (k_p). The paper: 4.
    pub shuffle_passive: usize,
    /// Hops of a shuffle's walk. The paper gives none; from 5 on the clustering coefficient no
    /// longer falls, so it is ARWL.
    pub shuffle_walk_length: u8,
    /// Time between two shuffles of a peer, the paper's cycle. Partisan: 10 s.
    pub shuffle_interval: Duration,
    /// Shuffles out of turn between two in turn, when passive peers turn out to be dead and none is
    /// left to ask. Bounded, because the dead come back from views that nobody checks. The paper
    /// has none; with 8, views fill up after a mass failure without waiting for the next cycle.
    pub reactive_shuffles: u8,
    /// Time between two keep-alives to each neighbour, and between two attempts to fill the view.
    pub keepalive_interval: Duration,
    /// Keep-alives a neighbour may miss before it is dropped.
    pub keepalive_misses: u8,
    /// Mean time between two random promotions: an exchange that swaps a random passive peer (or
    /// a contact) in, although the view is full, so that overlays that were split merge again.
    /// Not in the paper. `None` turns it off.
    pub promotion_interval: Option<Duration>,
    /// Longest time between two attempts to reach a peer that fell silent, or a contact that was never
    /// linked, again, also with a full view: the first comes after an eighth of it, each pause is
    /// jittered, and after a day it is given up. Halves of an overlay that was cut are one again
    /// within two of these of being reachable. Not in the paper; SWIM and its descendants try the dead
    /// again likewise (Serf: each 30 s, for a day). `None` turns it off.
    pub reunion_interval: Option<Duration>,
    /// How long a request for a link may stay unanswered. Above the round trip to the farthest
    /// peer.
    pub request_timeout: Duration,
    /// Longest pause between two rounds over the contacts while isolated.
    pub rejoin_pause: Duration,
    /// Contacts remembered, and as many peers that fell silent.
    pub contacts_capacity: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            active_capacity: 5,
            passive_capacity: 30,
            active_walk_length: 6,
            passive_walk_length: 3,
            shuffle_active: 3,
            shuffle_passive: 4,
            shuffle_walk_length: 6,
            shuffle_interval: Duration::from_secs(10),
            reactive_shuffles: 8,
            keepalive_interval: Duration::from_secs(2),
            keepalive_misses: 3,
            promotion_interval: Some(Duration::from_secs(300)),
            reunion_interval: Some(Duration::from_secs(30)),
            request_timeout: Duration::from_secs(1),
            rejoin_pause: Duration::from_secs(30),
            contacts_capacity: 8,
        }
    }
}

/// Why [`Parameters`] were refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside its range, or a time of zero.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Two parameters that contradict each other.
    #[error("{smaller} {smaller_value} < {larger} {larger_value}: it must be at least as large")]
    Relation {
        /// The parameter that must not be the smaller one.
        smaller: &'static str,
        /// Its value.
        smaller_value: usize,
        /// The parameter it is measured against.
        larger: &'static str,
        /// Its value.
        larger_value: usize,
    },
}

/// Parameters that passed [`Parameters::check`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config(Parameters);

impl Deref for Config {
    type Target = Parameters;
    fn deref(&self) -> &Parameters {
        &self.0
    }
}

impl Parameters {
    /// Checks every range and relation.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub fn check(self) -> Result<Config, ConfigError> {
        let numbers = [
            ("active_capacity", self.active_capacity, 1, 64),
            ("passive_capacity", self.passive_capacity, 1, 1024),
            ("active_walk_length", self.active_walk_length.into(), 1, 32),
            ("shuffle_active", self.shuffle_active, 0, 64),
            ("shuffle_passive", self.shuffle_passive, 0, 64),
            ("shuffle_walk_length", self.shuffle_walk_length.into(), 1, 32),
            ("keepalive_misses", self.keepalive_misses.into(), 1, 100),
            ("contacts_capacity", self.contacts_capacity, 1, 64),
        ];
        let times = [
            ("shuffle_interval", self.shuffle_interval),
            ("keepalive_interval", self.keepalive_interval),
            ("promotion_interval", self.promotion_interval.unwrap_or(Duration::MAX)),
            ("reunion_interval", self.reunion_interval.unwrap_or(Duration::MAX)),
            ("request_timeout", self.request_timeout),
            ("rejoin_pause", self.rejoin_pause),
        ];
        OutOfRange::check(numbers, times)?;
        for (smaller, smaller_value, larger, larger_value) in [
            ("passive_capacity", self.passive_capacity, "active_capacity", self.active_capacity),
            (
                "active_walk_length",
                self.active_walk_length.into(),
                "passive_walk_length",
                self.passive_walk_length.into(),
            ),
        ] {
            if smaller_value < larger_value {
                return Err(ConfigError::Relation { smaller, smaller_value, larger, larger_value });
            }
        }
        Ok(Config(self))
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
        assert!(error.starts_with("passive_capacity 3 < active_capacity 5"), "{error}");
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
