//! Who broadcasts what, sends it on a channel, or looks for whom, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Bytes, Span};

/// A series of broadcasts, of messages on a channel, or of lookups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// When the first one goes out.
    pub from: Span,
    /// Nothing goes out from then on; without it, until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// How many; without it, as many as there is time for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub count: Option<u32>,
    /// How they follow each other.
    pub pace: Pace,
    /// Who sends them.
    pub sender: Sender,
    /// Content of each; on a channel 16 bytes to 16,777,215.
    pub payload: Bytes,
    /// On which channel the messages are sent, and to whom; without it, they are broadcasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<Send>,
    /// Whom its senders look for, through the overlay; without it, they look for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUp>,
}

/// Nodes that are looked for, from neighbour to neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// Who is looked for: never whoever looks.
    #[serde(default)]
    pub to: To,
    /// Whether only the node itself answers, and gets a datagram of `payload` bytes hop by hop.
    #[serde(default)]
    pub relay: bool,
}

/// A channel, and whom messages on it are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The name of a channel.
    pub channel: String,
    /// Whom each message is for: never its sender.
    #[serde(default)]
    pub to: To,
}

/// Whom messages on a channel are for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// A random running node each time.
    #[default]
    Random,
    /// This node, whether it runs or not, from all senders but itself.
    Node(#[schemars(range(max = 16_777_215))] u32),
    /// A random running node of this region each time.
    Region(String),
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            from: Span::secs(0),
            until: None,
            count: None,
            pace: Pace::Rate(10.0),
            sender: Sender::Random,
            payload: Bytes(1024),
            send: None,
            look_up: None,
        }
    }
}

/// How broadcasts, or messages on a channel, follow each other. Calls take effect at the border of the simulator's next time
/// bucket, which is no wider than the least latency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// So many a second, evenly.
    Rate(#[schemars(range(max = 1_000_000.0), extend("x-above" = 0.0))] f64),
    /// So many a second in the mean, at random times (a Poisson process).
    Poisson(#[schemars(range(max = 1_000_000.0), extend("x-above" = 0.0))] f64),
    /// Each at least this long after the one before.
    Pause(#[schemars(extend("x-least" = "1us"))] Span),
}

/// Who sends what a workload sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// A random running node each time.
    Random,
    /// One random node, the same each time; another once it no longer runs.
    One,
    /// Every running node, each time.
    All,
    /// This node, while it runs.
    Node(#[schemars(range(max = 16_777_215))] u32),
    /// A random running node of this region each time.
    Region(String),
}
