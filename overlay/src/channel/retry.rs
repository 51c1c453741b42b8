//! When to send again what a relay may have lost.

use core::time::Duration;

use murmurate_membership::Time;

/// How long to wait for a sign of the other side at first, while no round trip was measured.
pub(super) const FIRST: Duration = Duration::from_millis(500);
/// The shortest wait, whatever was measured.
pub(super) const LEAST: Duration = Duration::from_millis(100);
/// The longest.
pub(super) const MOST: Duration = Duration::from_secs(5);

/// One timer for all that is under way: it waits a few round trips, and twice as long each time
/// that it was in vain.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    /// The round trip in the mean, once one was measured.
    mean: Option<Duration>,
    wait: Duration,
    at: Option<Time>,
    /// The number whose round trip is being measured, and when it was sent.
    sample: Option<(u64, Time)>,
}

impl Retry {
    pub(super) fn new() -> Self {
        Self { mean: None, wait: FIRST, at: None, sample: None }
    }

    /// The round trip in the mean, once one was measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.mean
    }

    /// This number was sent for the first time.
    pub(super) fn sent(&mut self, number: u64, now: Time) {
        if self.sample.is_none() {
            self.sample = Some((number, now));
        }
        self.start(now);
    }

    /// Something was sent that should be answered.
    pub(super) fn start(&mut self, now: Time) {
        if self.at.is_none() {
            self.at = Some(now.after(self.wait));
        }
    }

    /// The other side has seen those numbers of which `has` says so.
    pub(super) fn measure(&mut self, has: impl FnOnce(u64) -> bool, now: Time) {
        if let Some((number, since)) = self.sample
            && has(number)
        {
            self.sample = None;
            let round_trip = now.since(since).min(MOST);
            let mean = self.mean.map_or(round_trip, |mean| (mean * 7 + round_trip) / 8);
            self.mean = Some(mean);
        }
    }

    /// There was progress: waits anew if `more` is under way.
    pub(super) fn progress(&mut self, now: Time, more: bool) {
        self.wait = self.timeout();
        self.at = more.then(|| now.after(self.wait));
    }

    /// Whether the wait was in vain.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// All is sent again. What is answered now says nothing of the round trip.
    pub(super) fn back_off(&mut self, now: Time) {
        self.wait = (self.wait * 2).min(MOST);
        self.at = Some(now.after(self.wait));
        self.sample = None;
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.at
    }

    /// Nothing is under way, or there is no relay any more.
    pub(super) fn stop(&mut self) {
        self.wait = self.timeout();
        self.at = None;
        self.sample = None;
    }

    fn timeout(&self) -> Duration {
        self.mean.map_or(FIRST, |mean| (mean * 3).clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn it_doubles_in_vain_and_starts_again_with_progress() {
        let mut retry = Retry::new();
        retry.sent(0, at(0));
        retry.sent(1, at(400));
        assert!(!retry.is_due(at(499)) && retry.is_due(at(500)), "the first counts");
        for (now, next) in [(500, 1_500), (1_500, 3_500), (3_500, 7_500), (7_500, 12_500)] {
            assert!(retry.is_due(at(now)));
            retry.back_off(at(now));
            assert_eq!(retry.deadline(), Some(at(next)));
        }
        retry.progress(at(12_000), true);
        assert_eq!(retry.deadline(), Some(at(12_500)));
        retry.progress(at(12_100), false);
        assert_eq!(retry.deadline(), None, "nothing is under way");
    }

    #[test]
    fn it_learns_the_round_trip_from_what_was_sent_once() {
        let mut retry = Retry::new();
        retry.sent(0, at(0));
        retry.measure(|number| number == 0, at(100));
        retry.progress(at(100), true);
        assert_eq!(retry.deadline(), Some(at(400)), "three round trips");
        retry.sent(1, at(100));
        retry.back_off(at(400));
        retry.measure(|_| true, at(401));
        retry.progress(at(401), true);
        assert_eq!(retry.deadline(), Some(at(701)), "an answer to either copy teaches nothing");
        for number in 2..40 {
            retry.sent(number, at(1_000));
            retry.measure(|_| true, at(1_000));
        }
        retry.progress(at(1_000), true);
        assert_eq!(retry.deadline(), Some(at(1_100)), "never less");
    }
}
