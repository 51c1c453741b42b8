//! What the links between the nodes are like.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{BitRate, Bytes, Share, Span};

/// How messages travel. Whatever is left out is perfect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// How long a message travels, one way.
    pub latency: LatencyModel,
    /// Time added to each message's way, drawn evenly from nothing to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// Whether messages between two nodes arrive in the order they were sent.
    pub order: Order,
    /// Share of all messages that are lost, each on its own.
    pub loss: Share,
    /// Losses that come together (Gilbert-Elliott).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// Share of all messages that arrive twice.
    pub duplicate: Share,
    /// Messages that are held back and overtaken by later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Reorder>,
    /// What a node's access line carries; without it any number of bytes at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// What becomes of messages that the network loses.
    pub transport: Transport,
    /// What it takes to make a connection; without it a message goes to anybody at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            latency: LatencyModel::Constant { time: Span::millis(10) },
            jitter: None,
            order: Order::Fifo,
            loss: Share::NONE,
            bursts: None,
            duplicate: Share::NONE,
            reorder: None,
            bandwidth: None,
            transport: Transport::Datagrams,
            connections: None,
        }
    }
}

/// What becomes of messages that the network loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Each is lost.
    #[default]
    Datagrams,
    /// As on TCP and QUIC: it is sent again after 200 ms, and after twice as long each time, until it was sent
    /// 8 times. Those behind it wait if the order is `fifo`. So it is with what does not fit a line. A cut
    /// loses all.
    Streams,
}

/// What it takes to make a connection. A message to a node that is not connected waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Round trips before the first message goes. The last one is the greeting of the overlay, which
    /// connections of channels do without.
    #[schemars(range(min = 1, max = 16))]
    pub round_trips: u8,
    /// After how long without an answer a dial fails. A process that is gone refuses it at once.
    #[schemars(extend("x-least" = "1ms"))]
    pub timeout: Span,
    /// After how long without a message a connection is closed.
    #[schemars(extend("x-least" = "1ms"))]
    pub idle: Span,
}

impl Default for Connections {
    fn default() -> Self {
        Self { round_trips: 5, timeout: Span::secs(10), idle: Span::secs(10) }
    }
}

/// How long a message travels, one way; never less than 20 µs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatencyModel {
    /// Always the same.
    Constant {
        /// This long.
        #[schemars(extend("x-least" = "20us", "x-most" = "100s"))]
        time: Span,
    },
    /// Anything between two times, drawn for each message.
    Uniform {
        /// The shortest.
        #[schemars(extend("x-least" = "20us", "x-most" = "100s"))]
        from: Span,
        /// The longest; at least the shortest.
        #[schemars(extend("x-least" = "20us", "x-most" = "100s"))]
        to: Span,
    },
    /// Log-normal around a median, drawn for each message.
    LogNormal {
        /// The median.
        #[schemars(extend("x-least" = "20us", "x-most" = "100s"))]
        median: Span,
        /// Standard deviation of the logarithm.
        #[schemars(range(min = 0.0, max = 5.0))]
        sigma: f64,
    },
    /// Half the round trip between the sender's region and the receiver's.
    Regions {
        /// Round trips in milliseconds: a row and a column for each of `regions`, in their order.
        round_trips_ms: Vec<Vec<RoundTrip>>,
    },
    /// Half a measured round trip, from a CSV file in milliseconds, a row a site.
    ///
    /// A first row and column of names make the sites regions.
    Matrix {
        /// The file, relative to the scenario's.
        file: PathBuf,
    },
    /// Half the round trip between AWS regions as measured in 2025.
    ///
    /// All of them, or those that `regions` names.
    Aws {},
}

/// A round trip in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct RoundTrip(#[schemars(range(min = 0.0, max = 100_000.0))] pub f64);

/// Whether messages between two nodes keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As on a TCP connection: a message waits for those sent before it.
    #[default]
    Fifo,
    /// Each message travels on its own, as a datagram.
    Any,
}

/// Losses that come together: a link is good or bad, and changes between the two at random times
/// (the Gilbert-Elliott model in continuous time). Each direction of each pair is a link of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Share of the time that a link is bad.
    #[schemars(extend("x-above" = 0.0, "x-below" = 1.0))]
    pub share: Share,
    /// Mean time that it stays bad.
    #[schemars(extend("x-least" = "1us"))]
    pub length: Span,
    /// Share of the messages that a bad link loses.
    #[serde(default = "all")]
    pub loss: Share,
}

fn all() -> Share {
    Share::ALL
}

/// Messages that are held back, while later ones on the same link go on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// Share of all messages.
    pub share: Share,
    /// For how long at most; drawn evenly.
    pub by: Span,
}

/// What a node's access line carries. A message leaves when all before it have, and is handled when
/// its last bit has come in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// What a node sends, to all others together.
    pub up: BitRate,
    /// What a node receives, from all others together.
    pub down: BitRate,
    /// What may wait at either end of the line; what does not fit is shed.
    #[serde(default = "queue")]
    #[schemars(extend("x-least" = 1))]
    pub queue: Bytes,
}

/// As much as a home router's or a switch port's buffer.
fn queue() -> Bytes {
    Bytes(1 << 20)
}
