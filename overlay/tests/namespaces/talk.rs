//! What the controller and its nodes say to each other: a line of JSON each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Names the variable that makes a process a node, and carries its [`Setup`].
pub(crate) const NODE: &str = "MURMURATE_NAMESPACES_NODE";
/// The channels: one acknowledged, one best effort.
pub(crate) const ORDERS: &str = "orders";
pub(crate) const SAMPLES: &str = "samples";
/// How long their messages may be under way, and how many bytes of them may wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(8);
pub(crate) const QUEUE_BYTES: usize = 1 << 20;
/// The only topic.
pub(crate) const TOPIC: &str = "flock";

/// How a node is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) network: String,
    pub(crate) listen: String,
    /// Of the identity: 0 for a new one.
    pub(crate) key: u8,
    pub(crate) keepalive_millis: u64,
    pub(crate) keepalive_misses: u8,
    pub(crate) reunion_millis: u64,
    pub(crate) handshake_millis: u64,
    /// Where identity and known peers are kept, and contacts found.
    pub(crate) state: Option<PathBuf>,
    pub(crate) contacts: Option<PathBuf>,
}

impl Default for Setup {
    /// The defaults, but neighbours that are silent for 2 s instead of 8 s are dropped.
    fn default() -> Self {
        Self {
            network: "flock".into(),
            listen: String::new(),
            key: 0,
            keepalive_millis: 500,
            keepalive_misses: 3,
            reunion_millis: 30_000,
            handshake_millis: 10_000,
            state: None,
            contacts: None,
        }
    }
}

/// What the controller says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    Join {
        contacts: Vec<String>,
    },
    Broadcast {
        mark: u32,
        messages: u32,
        bytes: usize,
        every_micros: u64,
    },
    Report {
        number: u64,
        mark: u32,
    },
    /// Sends on a channel, and says what became of each message.
    Send {
        channel: String,
        mark: u32,
        to: String,
        messages: u32,
        bytes: usize,
        every_micros: u64,
    },
    /// The application takes what arrives on a channel, which it does at first, or does not.
    Take {
        channel: String,
        takes: bool,
    },
    Leave,
}

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    Ready {
        id: String,
        addresses: Vec<String>,
    },
    Joined {
        failed: Option<String>,
    },
    Published {
        mark: u32,
        refused: Vec<String>,
    },
    Report(Box<View>),
    /// An acknowledged message, before it counts as delivered.
    Got(Got),
    Sent {
        mark: u32,
        outcomes: BTreeMap<String, Vec<u32>>,
    },
    Left,
}

/// An acknowledged message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) from: String,
    pub(crate) mark: u32,
    pub(crate) number: u32,
}

/// A node as it sees itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct View {
    /// Which report was asked for.
    pub(crate) number: u64,
    pub(crate) active: Vec<String>,
    pub(crate) eager: Vec<String>,
    pub(crate) passive: Vec<String>,
    /// What arrived under the mark asked for.
    pub(crate) heard: Heard,
    /// Deliveries that came twice, in all.
    pub(crate) twice: u64,
    /// Deliveries that the subscriber missed, in all.
    pub(crate) lagged: u64,
    /// Broadcasts that it was told never came, in all.
    pub(crate) missed: u64,
    pub(crate) resident_kib: u64,
    pub(crate) outbox_bytes: usize,
    /// The metric `murmurate_links_slow_total`.
    pub(crate) links_slow: u64,
    /// Milliseconds since 1970, and what happened.
    pub(crate) events: Vec<(u64, String)>,
}

/// What arrived under a mark.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Messages by sender.
    pub(crate) from: BTreeMap<String, u32>,
    pub(crate) p50_micros: u32,
    pub(crate) p99_micros: u32,
    pub(crate) most_micros: u32,
}
