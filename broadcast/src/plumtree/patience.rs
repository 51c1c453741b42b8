//! How long an announced payload is waited for before it is asked for.
//!
//! The paper leaves its timer to the deployment: too short, and payloads that are on their way are
//! asked for in vain; too long, and whoever is behind a silent link waits. Here each peer finds its
//! own: the wait starts short and doubles until payloads that come by themselves come well within it.

use core::time::Duration;

use super::Config;

/// More doublings than anybody needs.
const MOST: u8 = 31;

/// The wait, as doublings of the shortest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Patience(u8);

impl Patience {
    /// Between `least_graft_timeout` and `graft_timeout`.
    pub(crate) fn wait(self, config: &Config) -> Duration {
        let doubled = config.least_graft_timeout.saturating_mul(1 << self.0);
        doubled.min(config.graft_timeout)
    }

    /// How long to wait for the answer to this attempt, the first is 1, before asking somebody else.
    pub(crate) fn retry(self, attempt: u8, config: &Config) -> Duration {
        let doubled = self.wait(config).saturating_mul(1 << attempt.min(MOST));
        doubled.min(config.graft_retry)
    }

    /// A payload came by itself so long after it was announced: that must be well within the wait.
    /// Or it took so long to come when asked for: in a shorter wait than that nothing can be learned.
    pub(crate) fn saw(&mut self, lag: Duration, config: &Config) {
        let enough = lag.saturating_mul(2);
        while self.0 < MOST && self.wait(config) < enough.min(config.graft_timeout) {
            self.0 += 1;
        }
    }

    /// Tries a shorter wait again.
    pub(crate) fn ease(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumtree::Parameters;

    fn config(least: u64, most: u64) -> Config {
        let [least_graft_timeout, graft_timeout] = [least, most].map(Duration::from_millis);
        let parameters = Parameters { least_graft_timeout, graft_timeout, ..Parameters::default() };
        parameters.check().expect("in range")
    }

    #[test]
    fn it_is_twice_what_it_saw_or_a_little_more() {
        let config = config(25, 1_000);
        let mut patience = Patience::default();
        assert_eq!(patience.wait(&config), Duration::from_millis(25));
        patience.saw(Duration::from_millis(12), &config);
        assert_eq!(patience.wait(&config), Duration::from_millis(25));
        assert_eq!(patience.retry(1, &config), Duration::from_millis(50));
        assert_eq!(patience.retry(2, &config), Duration::from_millis(100));
        patience.saw(Duration::from_millis(90), &config);
        assert_eq!(patience.wait(&config), Duration::from_millis(200));
        assert_eq!(patience.retry(1, &config), config.graft_retry, "bounded");
        patience.saw(Duration::MAX, &config);
        assert_eq!(patience.wait(&config), Duration::from_secs(1), "bounded");
        for _ in 0..10 {
            patience.ease();
        }
        assert_eq!(patience.wait(&config), Duration::from_millis(25));
    }

    #[test]
    fn equal_bounds_are_the_papers_fixed_timer() {
        let config = config(100, 100);
        let mut patience = Patience::default();
        patience.saw(Duration::from_secs(5), &config);
        assert_eq!(patience, Patience::default());
        assert_eq!(patience.wait(&config), Duration::from_millis(100));
    }
}
