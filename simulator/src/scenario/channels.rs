//! Channels between the nodes.

use std::sync::Arc;

use murmurate::channel::{Acknowledged, BestEffort, Kind, Latest, Limits, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Bytes, Span};
use crate::lanes::{self, Promises};

/// A channel, as all nodes declare it. Workloads send on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What workloads and assertions call it: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What it promises.
    pub kind: ChannelKind,
    /// Messages without outcome that a node holds for another; more are refused.
    #[serde(default = "queue_messages")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub queue_messages: u32,
    /// Bytes of them. One message always fits.
    #[serde(default = "queue_bytes")]
    pub queue_bytes: Bytes,
    /// Without outcome for longer, a message is given up.
    #[serde(default = "timeout")]
    #[schemars(extend("x-least" = "1ms"))]
    pub timeout: Span,
    /// Content of each answer, on a channel of requests.
    #[serde(default = "answer")]
    pub answer: Bytes,
}

fn queue_messages() -> u32 {
    4_096
}

fn queue_bytes() -> Bytes {
    Bytes(4 << 20)
}

fn timeout() -> Span {
    Span::secs(30)
}

fn answer() -> Bytes {
    Bytes(1024)
}

/// What a channel promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// Each message is sent once, and delivered at most once.
    BestEffort,
    /// In order, each once to a start of its receiver, and the sender knows.
    Acknowledged,
    /// The newest message, never an older one after it.
    Latest,
    /// Each message is answered, in any order.
    Request,
}

impl From<&Channel> for lanes::Channel {
    fn from(channel: &Channel) -> Self {
        let (kind, promises): (Arc<dyn Kind>, _) = match channel.kind {
            ChannelKind::BestEffort => (Arc::new(BestEffort), Promises::BEST_EFFORT_RELAYED),
            ChannelKind::Acknowledged => (Arc::new(Acknowledged), Promises::ACKNOWLEDGED),
            ChannelKind::Latest => (Arc::new(Latest), Promises::LATEST),
            ChannelKind::Request => (Arc::new(Request), Promises::REQUEST),
        };
        let limits = Limits {
            messages: channel.queue_messages as usize,
            bytes: channel.queue_bytes.0 as usize,
            timeout: channel.timeout.0,
        };
        Self {
            name: channel.name.clone(),
            kind,
            promises,
            limits,
            answer: channel.answer.0 as usize,
        }
    }
}
