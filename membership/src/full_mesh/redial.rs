//! When to ask a peer again that did not answer.

use rand::RngExt;

use super::Config;
use crate::Time;

/// A backoff: the pause doubles with each failure up to the longest one and is spread over half to
/// one and a half of it, so that two sides of a split do not dial in step.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Redial {
    due: Time,
    failures: u8,
}

impl Redial {
    pub(super) fn at_once(now: Time) -> Self {
        Self { due: now, failures: 0 }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.due <= now
    }

    pub(super) fn failures(&self) -> u8 {
        self.failures
    }

    pub(super) fn failed(&mut self, now: Time, config: &Config, rng: &mut impl rand::Rng) {
        self.failures = self.failures.saturating_add(1);
        let doubled = config.request_timeout.saturating_mul(1 << self.failures.min(16));
        let pause = doubled.min(config.redial_pause);
        self.due = now.after(pause / 2).after(pause.mul_f64(rng.random()));
    }
}
