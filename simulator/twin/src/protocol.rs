//! The messages between the controller and its nodes: a line of JSON each. Times are microseconds since
//! the run began.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The first line for a node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The scenario as TOML: which protocols run, and how.
    pub(crate) scenario: String,
    /// Which node it is.
    pub(crate) index: usize,
    /// Where it listens.
    pub(crate) listen: String,
    /// When the run begins, in microseconds since 1970.
    pub(crate) epoch: u64,
}

/// What the controller tells a node to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ControllerMessage {
    /// Start, and join through these addresses.
    Start(Vec<String>),
    /// Join through these addresses, too.
    Join(Vec<String>),
    /// Broadcast this many bytes.
    Publish { id: u32, bytes: u32 },
    /// Send this many bytes to a node on the channel in this place.
    Send { id: u32, channel: usize, to: usize, bytes: u32 },
    /// Say goodbye, and end.
    Leave,
    /// Say goodbye.
    LeaveAndStay,
    /// Report everything that was not reported yet, then answer `Flushed`.
    Flush,
}

/// What a node reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum NodeMessage {
    /// It waits for its setup.
    Ready,
    /// Its identity, when it starts.
    Started(String),
    /// Its active view changed.
    View { at: u64, active: Vec<String> },
    /// It has published a broadcast.
    Published { id: u32, at: u64 },
    /// It has delivered a broadcast.
    Delivered { id: u32, at: u64, took: u64, hops: u16 },
    /// Its application took a message from a channel.
    Taken { id: u32, at: u64, took: u64 },
    /// It knows what became of a message that it sent on a channel.
    Ended { id: u32, at: u64, end: MessageEnd },
    /// What it has counted so far.
    Counted { at: u64, sent: BTreeMap<String, u64>, payloads: u64 },
    /// It has reported everything.
    Flushed,
    /// Something went wrong.
    Failed(String),
}

/// What a sender learns of a message on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MessageEnd {
    /// There was no room for it.
    Refused,
    /// It was delivered or answered, or only sent if senders learn no more.
    Done,
    /// Its receiver ended, or dropped it.
    Gone,
    /// There was no answer in time.
    TimedOut,
    /// Another one took its place.
    Shed,
    /// There was no way to the receiver, or it refused the channel.
    Unreachable,
}

/// Now, in microseconds since 1970: one clock for all processes of the machine.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
