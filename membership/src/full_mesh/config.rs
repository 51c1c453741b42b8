//! The full mesh's parameters, each with its source.

use core::ops::Deref;
use core::time::Duration;

use crate::OutOfRange;
use crate::hyparview::ConfigError;

/// Most members in one message, whoever sent it: their count takes one byte.
pub const MAX_GOSSIP_LENGTH: usize = 255;

/// The knobs of [`FullMesh`](super::FullMesh). Turn it into a [`Config`] with
/// [`Parameters::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Members linked and members known but not linked, together; also the most departed members
    /// remembered. Far above the some 50 nodes a full mesh is good for: it bounds memory.
    pub members_capacity: usize,
    /// Time between two messages of members to a random neighbour. As HyParView's shuffle: 10 s.
    pub gossip_interval: Duration,
    /// Members in one message, drawn at random if there are more.
    pub gossip_length: usize,
    /// Time between two keep-alives to each neighbour, and between two looks at who is to be
    /// dialled again or forgotten.
    pub keepalive_interval: Duration,
    /// Keep-alives a neighbour may miss before it is dropped.
    pub keepalive_misses: u8,
    /// How long a request for a link may stay unanswered. Above the round trip to the farthest
    /// peer.
    pub request_timeout: Duration,
    /// Requests for a link under way at once; more follow as answers come.
    pub requests_capacity: usize,
    /// Longest pause between two requests to a member or contact that does not answer. Serf's
    /// reconnect interval: 30 s.
    pub redial_pause: Duration,
    /// How long a member that failed is dialled again, and one that left is kept out. Serf's
    /// reconnect and tombstone time-outs: 24 h.
    pub forget_after: Duration,
    /// Contacts remembered.
    pub contacts_capacity: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            members_capacity: 1024,
            gossip_interval: Duration::from_secs(10),
            gossip_length: 64,
            keepalive_interval: Duration::from_secs(2),
            keepalive_misses: 3,
            request_timeout: Duration::from_secs(1),
            requests_capacity: 64,
            redial_pause: Duration::from_secs(30),
            forget_after: Duration::from_secs(24 * 60 * 60),
            contacts_capacity: 8,
        }
    }
}

/// Parameters that passed [`Parameters::check`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
            ("members_capacity", self.members_capacity, 1, 16_384),
            ("gossip_length", self.gossip_length, 1, MAX_GOSSIP_LENGTH),
            ("keepalive_misses", self.keepalive_misses.into(), 1, 100),
            ("requests_capacity", self.requests_capacity, 1, 1024),
            ("contacts_capacity", self.contacts_capacity, 1, 64),
        ];
        let times = [
            ("gossip_interval", self.gossip_interval),
            ("keepalive_interval", self.keepalive_interval),
            ("request_timeout", self.request_timeout),
            ("redial_pause", self.redial_pause),
            ("forget_after", self.forget_after),
        ];
        OutOfRange::check(numbers, times)?;
        // Whoever missed a goodbye gossips the departed for as long as it takes to notice silence.
        let silence = self.keepalive_interval.saturating_mul(u32::from(self.keepalive_misses) + 2);
        let forget_after = milliseconds(self.forget_after);
        for (smaller, smaller_value, larger, larger_value) in [
            // A contact beyond the capacity could never be linked.
            (
                "members_capacity",
                self.members_capacity,
                "contacts_capacity",
                self.contacts_capacity,
            ),
            (
                "forget_after in ms",
                forget_after,
                "redial_pause in ms",
                milliseconds(self.redial_pause),
            ),
            (
                "forget_after in ms",
                forget_after,
                "keepalive_interval x (keepalive_misses + 2) in ms",
                milliseconds(silence),
            ),
        ] {
            if smaller_value < larger_value {
                return Err(ConfigError::Relation { smaller, smaller_value, larger, larger_value });
            }
        }
        Ok(Config(self))
    }
}

fn milliseconds(time: Duration) -> usize {
    time.as_millis().try_into().unwrap_or(usize::MAX)
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
        let said = say(Parameters { members_capacity: 3, ..good() });
        assert!(said.starts_with("members_capacity 3 < contacts_capacity 8"), "{said}");
        let said = say(Parameters { forget_after: Duration::from_secs(20), ..good() });
        assert!(said.starts_with("forget_after in ms 20000 < redial_pause in ms 30000"), "{said}");
        let said = say(Parameters { keepalive_interval: Duration::MAX, ..good() });
        assert!(said.contains("< keepalive_interval x (keepalive_misses + 2)"), "{said}");
        let said = say(Parameters { gossip_length: 256, ..good() });
        assert_eq!(said, "gossip_length = 256 is out of range: 1 to 255");
        let said = say(Parameters { gossip_interval: Duration::ZERO, ..good() });
        assert!(said.starts_with("gossip_interval = 0 s"), "{said}");
    }
}
