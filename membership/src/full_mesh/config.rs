//! The full mesh's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use super::{FullMesh, marks};
use crate::parameters::{ConfigError, Value};
use crate::{Mark, MembershipStrategy, Peer, Strategy};

/// Most members in one message, whoever sent it: their count takes one byte.
pub const MAX_GOSSIP_LENGTH: usize = 255;

crate::parameters! {
    /// The parameters of [`FullMesh`](super::FullMesh). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Full mesh", checked as Config and by outlasts_silence {
        /// Members linked and members known but not linked, together.
        /// Also the most departed members remembered. Far above the some 50 nodes a full mesh is
        /// good for: it bounds memory. A contact beyond it could never be linked.
        members_capacity: usize = 1024, in 1..=16_384, >= contacts_capacity;
        /// Time between two messages of members to a random neighbour.
        /// As HyParView's shuffle: 10 s.
        gossip_interval: Duration = Duration::from_secs(10);
        /// Members in one message, drawn at random if there are more.
        gossip_length: usize = 64, in 1..=MAX_GOSSIP_LENGTH;
        /// Time between two keep-alives to each neighbour.
        /// And between two looks at who is to be dialled again or forgotten.
        keepalive_interval: Duration = Duration::from_secs(2);
        /// Keep-alives a neighbour may miss before it is dropped.
        keepalive_misses: u8 = 3, in 1..=100;
        /// How long a request for a link may stay unanswered.
        /// Above the round trip to the farthest peer.
        request_timeout: Duration = Duration::from_secs(1);
        /// Requests for a link under way at once; more follow as answers come.
        requests_capacity: usize = 64, in 1..=1024;
        /// Longest pause between two requests to a member or contact that does not answer.
        /// Serf's reconnect interval: 30 s.
        redial_pause: Duration = Duration::from_secs(30);
        /// How long a member that failed is dialled again, and one that left is kept out.
        /// Serf's reconnect and tombstone time-outs: 24 h. Longer than a silent neighbour is noticed.
        forget_after: Duration = Duration::from_secs(24 * 60 * 60), >= redial_pause;
        /// Contacts remembered.
        contacts_capacity: usize = 8, in 1..=64;
    }
}

impl Parameters {
    /// Whoever missed a goodbye gossips the departed for as long as it takes to notice silence.
    fn outlasts_silence(&self) -> Result<(), ConfigError> {
        let silence = self.keepalive_interval.saturating_mul(u32::from(self.keepalive_misses) + 2);
        if self.forget_after >= silence {
            return Ok(());
        }
        Err(ConfigError::Relation {
            smaller: "forget_after",
            smaller_value: Value::Time(self.forget_after),
            larger: "keepalive_interval x (keepalive_misses + 2)",
            larger_value: Value::Time(silence),
        })
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "full-mesh";
    const ABOUT: &'static str = "Everyone linked with everyone.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL, crate::shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = FullMesh<P>;

    fn start<P: Peer>(config: &Arc<Config>, me: P, seed: u64) -> FullMesh<P> {
        FullMesh::new(me, Arc::clone(config), seed)
    }

    fn links(&self, peers: usize) -> usize {
        self.members_capacity.min(peers.saturating_sub(1))
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
        let said = say(Parameters { members_capacity: 3, ..good() });
        assert!(
            said.starts_with("members_capacity = 3 is less than contacts_capacity = 8"),
            "{said}"
        );
        let said = say(Parameters { forget_after: Duration::from_secs(20), ..good() });
        assert!(said.starts_with("forget_after = 20s is less than redial_pause = 30s"), "{said}");
        let said = say(Parameters { keepalive_interval: Duration::MAX, ..good() });
        assert!(said.contains("less than keepalive_interval x (keepalive_misses + 2)"), "{said}");
        let said = say(Parameters { gossip_length: 256, ..good() });
        assert_eq!(said, "gossip_length = 256 is out of range: 1 to 255");
        let said = say(Parameters { gossip_interval: Duration::ZERO, ..good() });
        assert!(said.starts_with("gossip_interval = 0ns"), "{said}");
    }
}
