//! Virtual time: what a host stamps on every input.

use core::time::Duration;

/// A point in time, in nanoseconds since an origin of the host's choosing.
///
/// Protocols only compare and add; all arithmetic saturates, because durations may come from
/// configuration and, indirectly, from a remote peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Time(u64);

impl Time {
    /// The host's origin.
    pub const ZERO: Self = Self(0);
    /// Later than any timer can be.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This time plus `after`, or [`Time::MAX`].
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self(self.0.saturating_add(nanos(after)))
    }

    /// How long ago `earlier` was, or zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// `duration` in nanoseconds, saturating at 584 years.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::MAX.after(Duration::from_secs(1)), Time::MAX);
        assert_eq!(Time::ZERO.after(Duration::MAX), Time::MAX);
        assert_eq!(Time::ZERO.since(Time::MAX), Duration::ZERO);
        assert_eq!(Time::from_nanos(5).after(Duration::from_nanos(2)).as_nanos(), 7);
    }
}
