//! Plumtree's parameters, each with its source.

use core::ops::Deref;
use core::time::Duration;

use murmurate_membership::OutOfRange;

use crate::{SeenBounds, flood};

/// The knobs of [`Plumtree`](super::Plumtree). Turn it into a [`Config`] with
/// [`Parameters::check`].
///
/// "The paper" is Leitão, Pereira, Rodrigues: *Epidemic broadcast trees*, SRDS 2007.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// How long to wait at first for an announced payload before asking an announcer: the paper's
    /// first timer. Each peer then finds out how long payloads take that come by themselves, and waits
    /// twice as long. It also is the while in which one broadcast may change the tree.
    pub graft_timeout: Duration,
    /// How long to wait at least, however early payloads come. As long as `graft_timeout`: the
    /// paper's fixed timer, after which the link of whoever is asked is grafted at once.
    pub least_graft_timeout: Duration,
    /// How long to wait before asking the next announcer: the paper's second, shorter timer, above a
    /// round trip to a neighbour. Less as long as twice the wait before is less, and more where answers
    /// take longer.
    pub graft_retry: Duration,
    /// How often announcers are asked for one payload before it is given up.
    pub graft_attempts: u8,
    /// Whether a lazy link takes the place of a lost link of the tree at once. Otherwise, as in the
    /// paper, whoever was behind it waits for `graft_timeout` for all that is published meanwhile.
    pub mend_at_once: bool,
    /// How long announcements are gathered into a batch. The paper sends them at once (zero).
    pub ihave_interval: Duration,
    /// Hops by which an announcement must have been shorter than the payload's way for the tree to
    /// switch to the announcer. The paper: 3 for one sender, 7 for many. `None`, the default, turns
    /// the optimisation off: with many senders at once it costs more payloads than it saves hops.
    pub optimization_threshold: Option<u16>,
    /// How far apart broadcasts of one origin may be that are under way together: so many are told
    /// apart, and what is farther behind is given up.
    pub seen_capacity: usize,
    /// Origins of which is remembered what was seen. While all are in use, those of another are
    /// refused.
    pub origins_capacity: usize,
    /// How long an origin must be silent to be forgotten when there are too many: longer than
    /// anything is under way. 128 hops, and a minute kept at each, make two hours.
    pub origin_idle: Duration,
    /// Links a broadcast crosses at most.
    pub hop_limit: u16,
    /// Payloads kept for those who ask for them.
    pub payload_capacity: usize,
    /// Bytes of payloads kept.
    pub payload_bytes: usize,
    /// Announced broadcasts waited for at a time; further announcements are ignored.
    pub missing_capacity: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            graft_timeout: Duration::from_secs(1),
            least_graft_timeout: Duration::from_millis(25),
            graft_retry: Duration::from_millis(250),
            graft_attempts: 16,
            mend_at_once: true,
            ihave_interval: Duration::from_millis(20),
            optimization_threshold: None,
            seen_capacity: SeenBounds::default().span,
            origins_capacity: SeenBounds::default().origins,
            origin_idle: SeenBounds::default().idle,
            hop_limit: flood::HOP_LIMIT,
            payload_capacity: 1_024,
            payload_bytes: 64 << 20,
            missing_capacity: 4_096,
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
    /// The shortest wait is longer than the longest.
    #[error("least_graft_timeout {least:?} > graft_timeout {most:?}: it must not be longer")]
    LeastAboveMost {
        /// `least_graft_timeout`.
        least: Duration,
        /// `graft_timeout`.
        most: Duration,
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

    /// Checks every range and relation.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub fn check(self) -> Result<Config, ConfigError> {
        let numbers = [
            ("graft_attempts", self.graft_attempts.into(), 1, 255),
            ("seen_capacity", self.seen_capacity, 1, 1 << 24),
            ("origins_capacity", self.origins_capacity, 1, 1 << 24),
            ("hop_limit", self.hop_limit.into(), 1, u16::MAX.into()),
            ("payload_capacity", self.payload_capacity, 1, 1 << 24),
            ("payload_bytes", self.payload_bytes, 1, 1 << 30),
            ("missing_capacity", self.missing_capacity, 1, 1 << 24),
        ];
        let times = [
            ("least_graft_timeout", self.least_graft_timeout),
            ("graft_timeout", self.graft_timeout),
            ("graft_retry", self.graft_retry),
            ("origin_idle", self.origin_idle),
        ];
        OutOfRange::check(numbers, times)?;
        if self.least_graft_timeout > self.graft_timeout {
            return Err(ConfigError::LeastAboveMost {
                least: self.least_graft_timeout,
                most: self.graft_timeout,
            });
        }
        Ok(Config(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_relation_is_named() {
        assert_eq!(Parameters::default().check(), Ok(Config::default()));
        let wrong = Parameters { graft_retry: Duration::ZERO, ..Parameters::default() };
        assert_eq!(wrong.check(), Err(OutOfRange::ZeroTime { name: "graft_retry" }.into()));
        let least_graft_timeout = Duration::from_secs(2);
        let wrong = Parameters { least_graft_timeout, ..Parameters::default() };
        assert!(matches!(wrong.check(), Err(ConfigError::LeastAboveMost { .. })));
        let wrong = Parameters { missing_capacity: 0, ..Parameters::default() };
        assert!(matches!(
            wrong.check(),
            Err(ConfigError::OutOfRange(OutOfRange::Number { value: 0, .. }))
        ));
    }
}
