//! The router's parameters.

use core::time::Duration;

/// How far a lookup goes before it goes as far as it may. Each widening costs about as many messages as
/// all those before it.
const NEAR: [u8; 3] = [2, 3, 5];
/// How often a lookup is sent, each time farther.
pub(crate) const RINGS: usize = NEAR.len() + 1;

murmurate_membership::parameters! {
    /// The parameters of [`Router`](super::Router).
    /// Turn it into a [`Config`] with [`Parameters::check`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Router", checked as Config {
        /// The most hops of any message of the router.
        /// Lookups go 2, 3 and 5 hops before they go so many.
        max_hops: u8 = 16, in 6..=64;
        /// How long a hop takes at most, averaged over a way and including queues.
        /// A lookup waits for its answer for twice the way before it is widened.
        hop_wait: Duration = Duration::from_millis(100);
        /// Lookups of its own that a peer has under way at a time.
        /// Further ones find nothing.
        lookups_capacity: usize = 256, in 1..=1 << 16;
        /// Lookups of others that are remembered, so that each is passed on once.
        /// While the memory is full, none is passed on: one that was forgotten too early would come
        /// round again.
        seen_capacity: usize = 8_192, in 1..=1 << 24;
        /// Peers to which a route is kept.
        /// The one unused for longest makes room.
        routes_capacity: usize = 4_096, in 1..=1 << 24;
        /// How long an unused route is kept.
        route_wait: Duration = Duration::from_secs(60);
        /// Datagrams that are remembered, so that their senders can be told of a loss.
        /// The oldest makes room.
        relays_capacity: usize = 8_192, in 1..=1 << 24;
        /// The largest datagram sent and passed on.
        datagram_bytes: usize = 1 << 20, in 1..=1 << 24, "bytes";
    }
}

impl Config {
    /// How many hops a lookup goes, at first and each time it is widened because nobody answered.
    pub(crate) fn rings(&self) -> [u8; RINGS] {
        let [first, second, third] = NEAR;
        [first, second, third, self.max_hops]
    }

    /// After how long at the latest a lookup has an outcome.
    #[must_use]
    pub fn lookup_wait(&self) -> Duration {
        // The timer ticks once in `hop_wait`: each ring may wait for it.
        let hops = self.rings().iter().map(|&hops| 2 * u32::from(hops) + 1).sum();
        self.hop_wait.saturating_mul(hops)
    }

    /// How long a lookup over so many hops may take to come back.
    pub(crate) fn round_trip(&self, hops: u8) -> Duration {
        self.hop_wait.saturating_mul(2 * u32::from(hops))
    }

    /// After how long nothing that was passed on is under way any more.
    pub(crate) fn memory(&self) -> Duration {
        self.round_trip(self.max_hops).saturating_mul(2)
    }

    /// The hops left that a message from the wire may have at most.
    pub(crate) fn clamp(&self, hops_left: u8) -> u8 {
        hops_left.min(self.max_hops - 1)
    }

    /// Whether a datagram may be sent or passed on.
    pub(crate) fn fits<D: super::Data>(&self, data: &D) -> bool {
        data.size() <= self.datagram_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_times_are_valid() {
        let longest = Duration::MAX;
        let config = Parameters { hop_wait: longest, route_wait: longest, ..Parameters::default() };
        let config = config.check().expect("in range");
        assert_eq!((config.lookup_wait(), config.memory()), (longest, longest));
    }
}
