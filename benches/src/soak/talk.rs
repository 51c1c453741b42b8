//! What the controller and the nodes say to each other: a line of JSON each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// To a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Command {
    Join { contacts: Vec<String> },
    Publish { messages: u64, bytes: usize },
    Status,
    Leave,
}

/// From a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Said {
    Ready { origin: String, addresses: Vec<String> },
    Joined { failed: Option<String> },
    Status(Status),
    Left,
}

/// What became of broadcasts so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Own ones that were accepted.
    pub(crate) published: u64,
    pub(crate) refused: u64,
    /// Of others, by origin.
    pub(crate) got: BTreeMap<String, Tally>,
    /// Told as missed, by origin.
    pub(crate) missed: BTreeMap<String, u64>,
    /// Told as lagged.
    pub(crate) lagged: u64,
    pub(crate) twice: u64,
    /// Bytes of memory in use.
    pub(crate) heap: u64,
}

/// The broadcasts of one origin that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// The first sequence.
    pub(crate) first: u64,
    /// One more than the last.
    pub(crate) end: u64,
    /// How many.
    pub(crate) count: u64,
}
