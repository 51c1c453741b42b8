//! Hybrid logical clocks (Kulkarni, Demirbas, Madappa, Avva, Leone: *Logical Physical Clocks*, OPODIS 2014): times
//! that follow the wall clock, and never contradict what happened before what.

use core::fmt;
use core::time::Duration;

use murmurate::membership::{Time, nanos};
use serde::{Deserialize, Serialize};

/// Bits of a stamp that count what happened within one tick of the wall clock. The rest are the time, as in
/// NTP: the paper's 48 bits and 16 bits.
const COUNTER: u32 = 16;

/// A point in hybrid logical time: nanoseconds since 1970 in steps of 65,536, and a counter in the low bits.
///
/// If one stamp was known when another one was made, it is less.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Stamp(u64);

impl Stamp {
    /// Before all others.
    pub const ZERO: Self = Self(0);

    /// After all others.
    pub const MAX: Self = Self(u64::MAX);

    /// The first stamp of a wall clock's time.
    #[must_use]
    pub const fn at(wall: Time) -> Self {
        // Nanoseconds since 1970 need 61 bits until 2043 and 64 until 2554: the low bits are the counter's.
        Self(wall.as_nanos() & !((1 << COUNTER) - 1))
    }

    /// Its part that is wall-clock time, since 1970 on a node.
    #[must_use]
    pub const fn wall(self) -> Duration {
        Duration::from_nanos(self.0 & !((1 << COUNTER) - 1))
    }
}

/// As its wall-clock time in milliseconds, a dot, and its counter.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall().as_millis(), self.0 & ((1 << COUNTER) - 1))
    }
}

/// A remote stamp lies further ahead of this node's wall clock than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift(
    /// How far it lies ahead.
    pub Duration,
);

/// A node's hybrid logical clock.
#[derive(Debug, Clone)]
pub struct Clock {
    last: Stamp,
    drift: Duration,
}

impl Clock {
    /// A clock that follows remote stamps that lie at most `drift` ahead of its own wall clock.
    #[must_use]
    pub const fn new(drift: Duration) -> Self {
        Self { last: Stamp::ZERO, drift }
    }

    /// The latest stamp made or heard of.
    #[must_use]
    pub const fn last(&self) -> Stamp {
        self.last
    }

    /// A new stamp, greater than all that were made or heard of.
    pub fn tick(&mut self, wall: Time) -> Stamp {
        let next = Stamp(self.last.0.saturating_add(1));
        self.last = Stamp::at(wall).max(next);
        self.last
    }

    /// Hears of a remote stamp.
    ///
    /// # Errors
    /// [`Drift`] if it lies too far ahead: the clock does not follow it.
    pub fn hear(&mut self, stamp: Stamp, wall: Time) -> Result<(), Drift> {
        let ahead = Duration::from_nanos(stamp.0.saturating_sub(wall.as_nanos()));
        if nanos(ahead) > nanos(self.drift) {
            return Err(Drift(ahead));
        }
        self.last = self.last.max(stamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn stamps_grow_whatever_the_wall_clock_does() {
        let mut clock = Clock::new(Duration::from_secs(1));
        let stamps = [5, 5, 3, 7, 0].map(|wall| clock.tick(ms(wall)));
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
        assert!(stamps[3] >= Stamp::at(ms(7)), "it follows the wall clock");
    }

    #[test]
    fn what_was_heard_is_before_what_is_said_next() {
        let mut clock = Clock::new(Duration::from_secs(1));
        let ahead = Stamp::at(ms(900));
        clock.hear(ahead, ms(0)).expect("within the bound");
        assert!(clock.tick(ms(0)) > ahead);
        let far = Stamp::at(ms(2_000));
        assert!(matches!(clock.hear(far, ms(500)), Err(Drift(by)) if by > Duration::from_secs(1)));
        assert!(clock.tick(ms(500)) < far, "it does not follow it");
        assert_eq!(far.wall().as_millis(), 1_999, "in steps of 65 microseconds");
    }

    #[test]
    fn nothing_overflows() {
        let mut clock = Clock::new(Duration::MAX);
        clock.hear(Stamp(u64::MAX), Time::ZERO).expect("any drift is allowed");
        assert_eq!(clock.tick(Time::MAX), Stamp(u64::MAX));
    }
}
