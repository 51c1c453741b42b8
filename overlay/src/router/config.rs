//! The router's parameters.

use core::ops::Deref;
use core::time::Duration;

use murmurate_membership::OutOfRange;

/// How often a lookup is widened: how many [`Parameters::rings`] there are.
pub const RINGS: usize = 4;

/// The parameters of [`Router`](super::Router). Turn it into a [`Config`] with [`Parameters::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// How many hops a lookup goes, at first and each time it is widened because nobody answered. The
    /// last is the longest way that any message of the router goes. Each widening costs about as many
    /// messages as all those before it.
    pub rings: [u8; RINGS],
    /// How long a hop takes at most, averaged over a way and including queues. A lookup waits for its
    /// answer for twice the way before it is widened.
    pub hop_wait: Duration,
    /// How many lookups of its own a peer has under way at a time. Further ones find nothing.
    pub lookups_capacity: usize,
    /// How many lookups of others are remembered, so that each is passed on once. While the memory is
    /// full, none is passed on: one that was forgotten too early would come round again.
    pub seen_capacity: usize,
    /// To how many peers a route is kept. The one unused for longest makes room.
    pub routes_capacity: usize,
    /// How long an unused route is kept.
    pub route_wait: Duration,
    /// How many datagrams are remembered, so that their senders can be told of a loss. The oldest makes
    /// room.
    pub relays_capacity: usize,
    /// The largest datagram sent and passed on.
    pub datagram_bytes: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            rings: [2, 3, 5, 16],
            hop_wait: Duration::from_millis(100),
            lookups_capacity: 256,
            seen_capacity: 8_192,
            routes_capacity: 4_096,
            route_wait: Duration::from_secs(60),
            relays_capacity: 8_192,
            datagram_bytes: 1 << 20,
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
    /// A ring is not larger than the one before it.
    #[error("rings = {rings:?}: each must be larger than the one before")]
    RingsNotGrowing {
        /// `rings`.
        rings: [u8; RINGS],
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
    /// [`ConfigError`] names the first one that does not hold.
    pub fn check(self) -> Result<Config, ConfigError> {
        let numbers = [
            ("rings", self.rings[0].into(), 1, 64),
            ("rings", self.rings[RINGS - 1].into(), 1, 64),
            ("lookups_capacity", self.lookups_capacity, 1, 1 << 16),
            ("seen_capacity", self.seen_capacity, 1, 1 << 24),
            ("routes_capacity", self.routes_capacity, 1, 1 << 24),
            ("relays_capacity", self.relays_capacity, 1, 1 << 24),
            ("datagram_bytes", self.datagram_bytes, 1, 1 << 24),
        ];
        let times = [("hop_wait", self.hop_wait), ("route_wait", self.route_wait)];
        OutOfRange::check(numbers, times)?;
        if self.rings.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(ConfigError::RingsNotGrowing { rings: self.rings });
        }
        Ok(Config(self))
    }
}

impl Config {
    /// The longest way any message goes.
    #[must_use]
    pub fn most_hops(&self) -> u8 {
        self.rings[RINGS - 1]
    }

    /// After how long at the latest a lookup has an outcome.
    #[must_use]
    pub fn lookup_wait(&self) -> Duration {
        // The timer ticks once in `hop_wait`: each ring may wait for it.
        let hops = self.rings.iter().map(|&hops| 2 * u32::from(hops) + 1).sum();
        self.hop_wait.saturating_mul(hops)
    }

    /// How long a lookup over so many hops may take to come back.
    pub(crate) fn round_trip(&self, hops: u8) -> Duration {
        self.hop_wait.saturating_mul(2 * u32::from(hops))
    }

    /// After how long nothing that was passed on is under way any more.
    pub(crate) fn memory(&self) -> Duration {
        self.round_trip(self.most_hops()).saturating_mul(2)
    }

    /// The hops left that a message from the wire may have at most.
    pub(crate) fn clamp(&self, hops_left: u8) -> u8 {
        hops_left.min(self.most_hops() - 1)
    }

    /// Whether a datagram may be sent or passed on.
    pub(crate) fn fits<D: super::Data>(&self, data: &D) -> bool {
        data.size() <= self.datagram_bytes
    }
}

#[cfg(test)]
mod tests {
    use murmurate_membership::LEAST_TIME;

    use super::*;

    #[test]
    fn a_broken_relation_is_named() {
        assert_eq!(Parameters::default().check(), Ok(Config::default()));
        let rings = [2, 5, 5, 16];
        let wrong = Parameters { rings, ..Parameters::default() };
        assert_eq!(wrong.check(), Err(ConfigError::RingsNotGrowing { rings }));
        let wrong = Parameters { rings: [0, 1, 2, 3], ..Parameters::default() };
        let out = wrong.check();
        assert!(matches!(
            out,
            Err(ConfigError::OutOfRange(OutOfRange::Number { name: "rings", .. }))
        ));
        let wrong = Parameters { hop_wait: Duration::ZERO, ..Parameters::default() };
        let (value, least) = (Duration::ZERO, LEAST_TIME);
        assert_eq!(wrong.check(), Err(OutOfRange::Time { name: "hop_wait", value, least }.into()));
        let wrong = Parameters { seen_capacity: 0, ..Parameters::default() };
        let out = wrong.check();
        assert!(matches!(out, Err(ConfigError::OutOfRange(OutOfRange::Number { value: 0, .. }))));
    }

    #[test]
    fn the_longest_times_are_valid() {
        let longest = Duration::MAX;
        let config = Parameters { hop_wait: longest, route_wait: longest, ..Parameters::default() };
        let config = config.check().expect("in range");
        assert_eq!((config.lookup_wait(), config.memory()), (longest, longest));
    }
}
