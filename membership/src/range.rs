//! Ranges of settings.

use core::time::Duration;

/// The shortest time that a setting can have, unless it can be zero. Whoever does something more often
/// does nothing else.
pub const LEAST_TIME: Duration = Duration::from_millis(1);

/// A setting is out of range. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfRange {
    /// A number that is too small or too large.
    #[error("{name} = {value} is out of range: {min} to {max}")]
    Number {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// Smallest allowed value.
        min: usize,
        /// Largest allowed value.
        max: usize,
    },
    /// A time that is too short.
    #[error("{name} = {value:?} is out of range: at least {least:?}")]
    Time {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
        /// Shortest allowed time.
        least: Duration,
    },
}

impl OutOfRange {
    /// The setting.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Number { name, .. } | Self::Time { name, .. } => name,
        }
    }

    /// Checks numbers, each given with its smallest and largest value, and times, none of which may be
    /// shorter than [`LEAST_TIME`].
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check<const N: usize, const T: usize>(
        numbers: [(&'static str, usize, usize, usize); N],
        times: [(&'static str, Duration); T],
    ) -> Result<(), Self> {
        for (name, value, min, max) in numbers {
            if !(min..=max).contains(&value) {
                return Err(Self::Number { name, value, min, max });
            }
        }
        match times.into_iter().find(|(_, time)| *time < LEAST_TIME) {
            Some((name, value)) => Err(Self::Time { name, value, least: LEAST_TIME }),
            None => Ok(()),
        }
    }
}
