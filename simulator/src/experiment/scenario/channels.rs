//! Channels between the nodes.

use std::sync::Arc;

use murmurate::channel::{
    Acknowledged, BestEffort, ChannelOptions, Kind, LaneLimits, Latest, Request,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Bytes, Share, Span};
use crate::engine::lanes::{self, ChannelPromises};

/// A channel, as all nodes declare it. Workloads send on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What workloads and assertions call it: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What it promises.
    pub kind: ChannelKind,
    /// Messages without outcome that a node holds for another.
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
    /// What becomes of a message for which there is no room.
    #[serde(default)]
    pub overflow: Overflow,
    /// Share of the paths that lead over other nodes, as between nodes that no dial reaches: each message
    /// is lost or late on its own. The others are streams.
    #[serde(default)]
    pub relayed: Share,
    /// The longest that a receiver takes for a message. It works on up to four at a time.
    #[serde(default)]
    pub work: Span,
}

/// What becomes of a message for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// It is refused.
    #[default]
    Refuse,
    /// It takes the place of the oldest one that was not sent.
    DropOldest,
}

/// Messages that a receiver works on at a time.
const AT_ONCE: usize = 4;
/// Frames on a stream that its reader has not read.
const WINDOW: usize = 64;

fn whole(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn queue_messages() -> u32 {
    whole(ChannelOptions::default().queue_messages)
}

fn queue_bytes() -> Bytes {
    Bytes(whole(ChannelOptions::default().queue_bytes))
}

fn timeout() -> Span {
    Span(ChannelOptions::default().timeout)
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

impl Channel {
    /// What the engine runs. Where NATs are in the way of streams, some paths are hop by hop.
    #[must_use]
    pub fn config(&self, has_nats: bool) -> lanes::ChannelConfig {
        let (kind, promises): (Arc<dyn Kind>, _) = match self.kind {
            ChannelKind::BestEffort if self.relayed == Share::NONE && !has_nats => {
                (Arc::new(BestEffort), ChannelPromises::BEST_EFFORT)
            }
            ChannelKind::BestEffort => (Arc::new(BestEffort), ChannelPromises::BEST_EFFORT_RELAYED),
            ChannelKind::Acknowledged => (Arc::new(Acknowledged), ChannelPromises::ACKNOWLEDGED),
            ChannelKind::Latest => (Arc::new(Latest), ChannelPromises::LATEST),
            ChannelKind::Request => (Arc::new(Request), ChannelPromises::REQUEST),
        };
        let limits = LaneLimits {
            messages: self.queue_messages as usize,
            bytes: self.queue_bytes.0 as usize,
            timeout: self.timeout.0,
        };
        lanes::ChannelConfig {
            name: self.name.clone(),
            kind,
            promises,
            limits,
            answer: self.answer.0 as usize,
            relayed: self.relayed.get(),
            window: WINDOW,
            work: self.work.0,
            at_once: AT_ONCE,
            sheds: self.overflow == Overflow::DropOldest,
        }
    }
}
