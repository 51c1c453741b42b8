//! How long an announced payload is waited for before it is asked for.
//!
//! The paper leaves its timer to the deployment: too short, and payloads that are on their way are
//! asked for in vain; too long, and whoever is behind a silent link waits. Here each peer finds its
//! own. It begins with the deployment's; then it waits twice as long after an announcement as any of
//! the last payloads needed that the tree brought. Answers are waited for likewise.
//!
//! A young tree shows no such lags: all links are eager, and nothing is announced before it is brought.
//! Its first broadcasts are often under way together and cut it at several places. Whoever is cut off
//! then would wait for as long as the deployment says, with everybody behind it. So the first measure is
//! how far the copies of one broadcast lie apart.

use core::time::Duration;

use murmurate_membership::nanos;

use super::Config;

/// Payloads after which a lag counts no more; at most twice as many.
const WINDOW: u8 = 250;
/// Lags of payloads that tell more than copies do.
const LAGS: u8 = 2;
/// The ways of a tree that was cut in haste are longer than those of the flood before it. With twice the lag
/// of copies, payloads that were under way were grafted, which made trees deeper; with six to twelve times,
/// trees in a calm network are what they are without.
const DEEPER: u32 = 8;
/// The longest wait that is learned, in milliseconds.
const MOST: u16 = 10_000;
/// More doublings than anybody needs.
const DOUBLINGS: u8 = 31;

/// What is worth waiting for, in milliseconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct GraftTimeout {
    /// For a payload, by what this window of payloads has shown, and the one before it.
    waits: [u16; 2],
    /// Payloads of this window.
    payloads: u8,
    /// Whether there was no window before this one.
    is_first: bool,
    /// For an answer; shorter again by an eighth with every answer.
    answer: u16,
}

impl GraftTimeout {
    pub(crate) fn new(config: &Config) -> Self {
        let first = millis(config.graft_timeout).min(u16::MAX.into()) as u16;
        Self { waits: [0, first], payloads: 0, is_first: true, answer: 0 }
    }

    /// At least `least_graft_timeout`.
    pub(crate) fn wait(self, config: &Config) -> Duration {
        match config.is_fixed() {
            true => config.graft_timeout,
            false => from_millis(self.longest()).max(config.least_graft_timeout),
        }
    }

    /// What has been shown to be worth waiting for, in milliseconds.
    pub(crate) fn longest(self) -> u16 {
        let [present, past] = self.waits;
        present.max(past)
    }

    /// How long to wait for the answer to this attempt, the first is 1, before asking somebody else.
    pub(crate) fn retry(self, attempt: u8, config: &Config) -> Duration {
        let doubled = self.wait(config).saturating_mul(1 << attempt.min(DOUBLINGS));
        doubled.min(config.graft_retry).max(from_millis(self.answer))
    }

    /// The tree brought a payload so long after it was announced.
    pub(crate) fn saw(&mut self, lag: Duration) {
        let [present, _] = &mut self.waits;
        *present = twice(lag).max(*present);
        self.payloads += 1;
        if self.payloads == WINDOW {
            self.waits = [0, self.waits[0]];
            self.payloads = 0;
            self.is_first = false;
        }
    }

    /// A copy of a broadcast that was under way alone came so long after the first. It counts in place of
    /// what the deployment says, until payloads show more.
    pub(crate) fn saw_copy(&mut self, lag: Duration, config: &Config) {
        if self.is_first && self.payloads < LAGS {
            let [present, _] = self.waits;
            let wait = millis(lag.saturating_mul(DEEPER).min(config.graft_timeout));
            self.waits = [present.max(wait.min(MOST.into()) as u16), 0];
        }
    }

    /// Whoever was asked for a payload took so long to send it.
    pub(crate) fn answered(&mut self, after: Duration) {
        self.answer = twice(after).max(self.answer - self.answer / 8);
    }
}

/// Twice as long, as far as it is learned.
fn twice(time: Duration) -> u16 {
    millis(time.saturating_mul(2)).min(MOST.into()) as u16
}

fn millis(time: Duration) -> u64 {
    nanos(time).div_ceil(1_000_000)
}

fn from_millis(millis: u16) -> Duration {
    Duration::from_millis(millis.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumtree::Parameters;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn config(least: u64, most: u64) -> Config {
        let [least_graft_timeout, graft_timeout] = [least, most].map(MS);
        let parameters = Parameters { least_graft_timeout, graft_timeout, ..Parameters::default() };
        parameters.check().expect("in range")
    }

    #[test]
    fn it_is_twice_the_longest_lag_of_late() {
        let config = config(25, 1_000);
        let mut graft_timeout = GraftTimeout::new(&config);
        let mut see = |lag: Duration, times: u8| {
            (0..times).for_each(|_| graft_timeout.saw(lag));
            graft_timeout.wait(&config)
        };
        assert_eq!(see(MS(70), WINDOW - 1), MS(1_000), "what the deployment says");
        assert_eq!(see(MS(1), 1), MS(140));
        assert_eq!(see(MS(100), 1), MS(200), "at once");
        assert_eq!(see(MS(1), WINDOW), MS(200));
        assert_eq!(see(MS(1), WINDOW), MS(25), "at least");
        assert_eq!(see(MS(3_000), 1), MS(6_000), "longer than the first wait, if it must be");
        assert_eq!(see(Duration::MAX, 1), MS(10_000), "bounded");
    }

    #[test]
    fn a_young_tree_waits_by_how_far_copies_lie_apart() {
        let config = config(25, 1_000);
        let mut graft_timeout = GraftTimeout::new(&config);
        let mut see = |lesson: &dyn Fn(&mut GraftTimeout)| {
            lesson(&mut graft_timeout);
            graft_timeout.wait(&config)
        };
        let copy = |lag| {
            move |timeout: &mut GraftTimeout| timeout.saw_copy(MS(lag), &self::config(25, 1_000))
        };
        assert_eq!(see(&copy(10)), MS(80), "not what the deployment says");
        assert_eq!(see(&copy(20)), MS(160), "the farthest");
        assert_eq!(see(&copy(1)), MS(160));
        assert_eq!(see(&|young| young.saw(MS(100))), MS(200), "a lag counts as ever");
        assert_eq!(see(&|young| young.saw(MS(1))), MS(200));
        assert_eq!(see(&copy(500)), MS(200), "lags are known");
        assert_eq!(see(&|grown| (2..WINDOW).for_each(|_| grown.saw(MS(1)))), MS(200));
        assert_eq!(see(&copy(500)), MS(200), "and so were they before");
        let mut slow = GraftTimeout::new(&config);
        slow.saw_copy(MS(500), &config);
        assert_eq!(slow.wait(&config), MS(1_000), "at most what the deployment says");
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_answers_take() {
        let config = config(25, 50);
        let mut graft_timeout = GraftTimeout::new(&config);
        let retries = |graft_timeout: GraftTimeout| {
            [1, 2, 3, 255].map(|turn| graft_timeout.retry(turn, &config))
        };
        assert_eq!(retries(graft_timeout), [100, 200, 250, 250].map(MS));
        graft_timeout.answered(MS(400));
        assert_eq!(retries(graft_timeout), [800; 4].map(MS));
        (0..20).for_each(|_| graft_timeout.answered(MS(10)));
        assert_eq!(retries(graft_timeout), [100, 200, 250, 250].map(MS));
    }

    #[test]
    fn equal_bounds_are_the_papers_fixed_timer() {
        let config = config(100, 100);
        let mut graft_timeout = GraftTimeout::new(&config);
        graft_timeout.saw(Duration::from_secs(5));
        assert_eq!(graft_timeout.wait(&config), MS(100));
    }
}
