//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970; 0 before.
#[allow(
    clippy::disallowed_methods,
    reason = "the host's side of the seam: protocols never call it"
)]
pub(crate) fn micros_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
