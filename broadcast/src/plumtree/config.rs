//! Plumtree's parameters, each with its source.

use alloc::sync::Arc;
use core::time::Duration;

use murmurate_membership::{ConfigError, Mark, Peer, Strategy};

use super::{Plumtree, marks};
use crate::{BroadcastStrategy, Id, Payload, SeenBounds, flood, shared};

murmurate_membership::parameters! {
    /// The parameters of [`Plumtree`](super::Plumtree). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    ///
    /// "The paper" is Leitão, Pereira, Rodrigues: *Epidemic broadcast trees*, SRDS 2007.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Plumtree", checked as Config {
        /// How long to wait at first for an announced payload; then each peer finds its own wait.
        /// The paper's first timer, before an announcer is asked. Each peer finds out how long
        /// payloads take that come by themselves, and waits twice as long. It also is the period in
        /// which one broadcast may change the tree.
        graft_timeout: Duration = Duration::from_secs(1), >= least_graft_timeout;
        /// How long to wait at least; if it equals the graft timeout, the wait is always that long.
        /// That is the paper's fixed timer, after which the link of whoever is asked is grafted at
        /// once.
        least_graft_timeout: Duration = Duration::from_millis(25);
        /// How long to wait before asking the next announcer, unless answers take longer.
        /// The paper's second, shorter timer, above a round trip to a neighbour. Less as long as
        /// twice the wait before is less, and more where answers take longer.
        graft_retry: Duration = Duration::from_millis(250);
        /// How often announcers are asked for one payload before it is given up.
        graft_attempts: u8 = 16, in 1..=255;
        /// Whether a lazy link takes the place of a lost link of the tree at once.
        /// Otherwise, as in the paper, whoever was behind it waits for `graft_timeout` for all that
        /// is published meanwhile.
        mend_at_once: bool = true;
        /// How long announcements are gathered into a batch; zero sends them at once.
        /// The paper sends them at once.
        ihave_interval: Duration = Duration::from_millis(20), or zero;
        /// Hops by which an announcement's way must have been shorter for the tree to switch to it.
        /// The paper: 3 for one sender, 7 for many. Off, the default, it switches by time instead: to
        /// whoever announces a broadcast of the tree's root before the tree brings it. With the paper's
        /// fixed timer it never does.
        optimization_threshold: Option<u16> = None, in 1..=u16::MAX as usize;
        /// Broadcasts of one origin that are told apart while they are under way together.
        /// What is farther behind is given up.
        seen_capacity: usize = SeenBounds::DEFAULT.span, in 1..=1 << 24;
        /// Origins for which this peer remembers what it has seen.
        /// While all are in use, those of another are refused.
        origins_capacity: usize = SeenBounds::DEFAULT.origins, in 1..=1 << 24;
        /// How long an origin must be silent to be forgotten when there are too many.
        /// Longer than anything is under way. 128 hops, and a minute kept at each, make two hours.
        origin_idle: Duration = SeenBounds::DEFAULT.idle;
        /// Links a broadcast crosses at most.
        hop_limit: u16 = flood::HOP_LIMIT, in 1..=u16::MAX as usize;
        /// Payloads kept for those who ask for them.
        payload_capacity: usize = 1_024, in 1..=1 << 24;
        /// Bytes of payloads kept.
        payload_bytes: usize = 64 << 20, in 1..=1 << 30, "bytes";
        /// Announced broadcasts waited for at a time; further announcements are ignored.
        missing_capacity: usize = 4_096, in 1..=1 << 24;
    }
}

impl Config {
    /// Whether the paper's timer is used, and its graft of whoever is asked for a payload.
    pub(crate) fn is_fixed(&self) -> bool {
        self.least_graft_timeout == self.graft_timeout
    }
}

impl Parameters {
    pub(crate) fn seen(&self) -> SeenBounds {
        let Self { seen_capacity, origins_capacity, origin_idle, .. } = *self;
        SeenBounds { span: seen_capacity, origins: origins_capacity, idle: origin_idle }
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "plumtree";
    const ABOUT: &'static str = "Payloads along a tree, announcements elsewhere.";
    const MARKS: &'static [&'static [Mark]] = &[marks::ALL, shared::ALL];
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl BroadcastStrategy for Parameters {
    type Broadcast<P: Peer, I: Id, D: Payload> = Plumtree<P, I, D>;

    fn start<P: Peer, I: Id, D: Payload>(config: &Arc<Config>, _: u64) -> Plumtree<P, I, D> {
        Plumtree::new(Arc::clone(config))
    }
}

#[cfg(test)]
mod tests {
    use murmurate_membership::{ConfigError, LEAST_TIME, OutOfRange};

    use super::*;

    #[test]
    fn a_broken_relation_is_named() {
        assert_eq!(Parameters::default().check(), Ok(Config::default()));
        let wrong = Parameters { graft_retry: Duration::ZERO, ..Parameters::default() };
        assert_eq!(
            wrong.check(),
            Err(OutOfRange::Time { name: "graft_retry", value: Duration::ZERO, least: LEAST_TIME }
                .into())
        );
        let least_graft_timeout = Duration::from_secs(2);
        let wrong = Parameters { least_graft_timeout, ..Parameters::default() };
        assert_eq!(
            wrong.check().expect_err("2 s > 1 s").to_string(),
            "graft_timeout = 1s is less than least_graft_timeout = 2s: it must be at least as large"
        );
        let wrong = Parameters { missing_capacity: 0, ..Parameters::default() };
        assert!(matches!(
            wrong.check(),
            Err(ConfigError::OutOfRange(OutOfRange::Number { value: 0, .. }))
        ));
    }
}
