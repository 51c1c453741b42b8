//! How long things took.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Latency {
    /// Of microseconds.
    fn of(micros: &Histogram<u64>) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        Self {
            p50: seconds(micros.value_at_quantile(0.5)),
            p99: seconds(micros.value_at_quantile(0.99)),
            max: seconds(micros.max()),
        }
    }
}

/// How long things have taken so far.
#[derive(Debug)]
pub(super) struct Times(Mutex<Histogram<u64>>);

impl Default for Times {
    #[allow(clippy::expect_used, reason = "the bounds are constants")]
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds");
        Self(Mutex::new(micros))
    }
}

impl Times {
    pub(super) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    pub(super) fn take(&self) -> Latency {
        let mut micros = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = Latency::of(&micros);
        micros.reset();
        latency
    }
}
