//! Parameters of anti-entropy.

use core::ops::Deref;
use core::time::Duration;

use murmurate_membership::OutOfRange;

/// The knobs of [`AntiEntropy`](super::AntiEntropy). Turn it into a [`Config`] with
/// [`Parameters::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Time between two comparisons with a neighbour, each in turn. Beside that, a new link is
    /// compared over at once.
    pub exchange_interval: Duration,
    /// How long a gap is left to the strategy inside before it is asked for: what is under way need
    /// not come twice.
    pub patience: Duration,
    /// How long a gap is asked for before it is given up and told.
    pub give_up_after: Duration,
    /// How long a broadcast is kept for those who missed it.
    pub retention: Duration,
    /// How many are kept.
    pub retained: usize,
    /// Bytes of them that are kept.
    pub retained_bytes: usize,
    /// Broadcasts asked for at a time.
    pub batch: usize,
    /// Bytes of broadcasts that a neighbour may ask for between two comparisons.
    pub reply_bytes: usize,
    /// Whether this peer also asks for what is kept from before its own time.
    pub catch_up: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            exchange_interval: Duration::from_secs(2),
            patience: Duration::from_secs(1),
            give_up_after: Duration::from_secs(30),
            retention: Duration::from_secs(60),
            retained: 16_384,
            retained_bytes: 64 << 20,
            batch: 1_024,
            reply_bytes: 16 << 20,
            catch_up: false,
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
    /// Checks every range.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub fn check(self) -> Result<Config, ConfigError> {
        let numbers = [
            ("retained", self.retained, 1, 1 << 24),
            ("retained_bytes", self.retained_bytes, 1, 1 << 32),
            ("batch", self.batch, 1, 1 << 16),
            ("reply_bytes", self.reply_bytes, 1, 1 << 30),
        ];
        let times = [
            ("exchange_interval", self.exchange_interval),
            ("patience", self.patience),
            ("give_up_after", self.give_up_after),
            ("retention", self.retention),
        ];
        OutOfRange::check(numbers, times)?;
        Ok(Config(self))
    }
}
