//! When to ask a peer again that did not answer.

use core::time::Duration;

use rand::RngExt;

use crate::Time;

/// A backoff: the pause doubles with each failure up to the longest one and is spread over half to
/// one and a half of it, so that two sides of a split do not dial in step.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Redial {
    due: Time,
    failures: u8,
}

impl Redial {
    pub(crate) fn at_once(now: Time) -> Self {
        Self { due: now, failures: 0 }
    }

    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.due <= now
    }

    pub(crate) fn failures(&self) -> u8 {
        self.failures
    }

    /// One more failure: the first pause is twice `base`, none is above `longest`.
    pub(crate) fn failed(
        &mut self,
        now: Time,
        base: Duration,
        longest: Duration,
        rng: &mut impl rand::Rng,
    ) {
        self.failures = self.failures.saturating_add(1);
        let pause = base.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.due = now.after(pause / 2).after(pause.mul_f64(rng.random()));
    }
}
