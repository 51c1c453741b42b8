//! Parameters.

use alloc::string::String;
use core::time::Duration;

use crate::roster::Record;
use crate::store::Limits;

/// Parameters of a [`Cluster`](crate::Cluster). All nodes should have the same, but for `record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the node says of itself.
    pub record: Record,
    /// Writes wait so long for others, to be sent as one.
    pub batch: Duration,
    /// How often a node compares its state with a neighbour's, in case a broadcast was lost.
    pub compare: Duration,
    /// Whom no path of neighbours leads to has failed after this long. A cluster whose connections take long to
    /// notice a failure notices it later by as much.
    pub suspicion: Duration,
    /// What a failed node wrote of itself is kept for so long, should it come back. A node that was away for longer
    /// comes back as somebody new.
    pub keep_failed: Duration,
    /// Writes that lie further ahead of this node's wall clock are not taken until they do not.
    pub drift: Duration,
    /// How many nodes the cluster should have, for [`Event::Quorum`](crate::Event::Quorum).
    pub expected: Option<usize>,
    /// Bounds of the state.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            record: Record::default(),
            batch: Duration::from_millis(5),
            compare: Duration::from_secs(5),
            suspicion: Duration::from_secs(5),
            keep_failed: Duration::from_secs(3_600),
            drift: Duration::from_secs(3_600),
            expected: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// The defaults, for a node of this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let record = Record { name: name.into(), ..Record::default() };
        Self { record, ..Self::default() }
    }
}
