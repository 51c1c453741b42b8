//! Parameters of anti-entropy.

use core::time::Duration;

murmurate_membership::parameters! {
    /// The parameters of [`AntiEntropy`](super::AntiEntropy). Turn it into a [`Config`] with
    /// [`Parameters::check`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Anti-entropy", checked as Config {
        /// Time between two comparisons, each with another neighbour.
        /// Beside that, a new link is compared over at once.
        exchange_interval: Duration = Duration::from_secs(2);
        /// How long what is missed is left to the broadcast before it is asked for.
        /// What is under way need not come twice. Neighbours tell each other of nothing younger either,
        /// except over a link that is younger itself. Never more than a quarter of `retention`.
        fetch_after: Duration = Duration::from_secs(1);
        /// How long it is asked for before it is given up and told.
        give_up_after: Duration = Duration::from_secs(30);
        /// How long broadcasts are kept for those who missed them.
        retention: Duration = Duration::from_secs(60), >= fetch_after;
        /// How many are kept.
        retained: usize = 16_384, in 1..=1 << 24;
        /// Bytes of them that are kept.
        retained_bytes: usize = 64 << 20, in 1..=u32::MAX as usize, "bytes";
        /// Broadcasts asked for at a time.
        batch: usize = 1_024, in 1..=1 << 16;
        /// Bytes of broadcasts that a neighbour may ask for between two comparisons.
        reply_bytes: usize = 16 << 20, in 1..=1 << 30, "bytes";
        /// Whether this peer also asks for what is kept from before its own time.
        catch_up: bool = false;
    }
}

impl Config {
    /// As [`Parameters`] say, and early enough for it to be kept still.
    pub(super) fn fetch_after(&self) -> Duration {
        self.fetch_after.min(self.retention / 4)
    }
}
