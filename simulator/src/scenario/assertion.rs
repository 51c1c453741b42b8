//! Assertions: what a run must show, as in `reliability >= 0.999 from 30s`.
//!
//! ```text
//! assertion  = figure comparison value [ window ]
//! figure     = one of those of Figure, or "channel." name "." what for those of one channel
//! comparison = ">=" | "<=" | "==" | "!=" | ">" | "<"
//! value      = a number, a percentage, or (of latencies) a time
//! window     = "from" time [ "until" time ] | "until" time | "at" time | "within" time "of" event
//! event      = the name of an entry of the timeline, or its kind
//! ```

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::values::{Share, Span};

/// What a run must show.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// What is looked at.
    pub figure: Figure,
    /// Of a figure of channels, which; without it, of all together.
    pub channel: Option<String>,
    /// How it compares.
    pub comparison: Comparison,
    /// With what; seconds, of latencies.
    pub value: f64,
    /// When.
    pub window: Window,
}

/// When an assertion must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Window {
    /// For all that was broadcast and delivered; of the overlay, at the end.
    Whole,
    /// For what happened in this time; of the overlay, at every look.
    Between(Span, Option<Span>),
    /// At this moment.
    At(Span),
    /// At some look not later than this after the event; for broadcasts, some second's mean.
    Within(Span, String),
}

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Mean share of the running nodes that a broadcast reached.
    Reliability,
    /// The same of the broadcast that reached fewest.
    LeastReliability,
    /// Mean share of those that links led to from the publisher, and that run to the end, which a
    /// broadcast reached.
    Reach,
    /// Mean relative message redundancy.
    Rmr,
    /// Mean of the most links that a broadcast's deliveries crossed.
    Hops,
    /// Broadcasts published.
    Broadcasts,
    /// Median time from publish to delivery.
    LatencyP50,
    /// All but a hundredth of the deliveries were faster.
    LatencyP99,
    /// The slowest delivery.
    LatencyMax,
    /// Messages that the network lost.
    Lost,
    /// Messages that did not fit a queue.
    Shed,
    /// Messages that applications wanted to send on channels.
    ChannelMessages,
    /// Share of them that an application took.
    ChannelDelivered,
    /// Those for which there was no room.
    ChannelRefused,
    /// Those that were never sent, because a newer one took their place.
    ChannelShed,
    /// Those that were never sent, because nobody was there who had ever answered.
    ChannelUnreachable,
    /// Those whose path broke, or whose receiver started anew.
    ChannelGone,
    /// Those of which nobody said in time what became of them.
    ChannelTimedOut,
    /// Median time from send to delivery on channels.
    ChannelLatencyP50,
    /// All but a hundredth of them were faster.
    ChannelLatencyP99,
    /// The slowest of them.
    ChannelLatencyMax,
    /// Connected components of the overlay.
    Components,
    /// Nodes in the largest of them.
    LargestComponent,
    /// Nodes that run.
    RunningNodes,
    /// Mean number of neighbours.
    MeanDegree,
    /// Running nodes without a neighbour.
    Isolated,
    /// Views that hold a running node that does not hold them.
    AsymmetricLinks,
}

/// Where a figure comes from, and so what its windows mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The broadcasts published in the window.
    Broadcasts,
    /// What was counted in the window.
    Deliveries,
    /// The messages that were sent on channels in the window.
    Channels,
    /// The overlay as it is at a moment.
    Overlay,
}

/// How figures of channels begin.
const OF_CHANNELS: &str = "channel_";

impl Figure {
    /// Every figure.
    pub const ALL: [Self; 27] = [
        Self::Reliability,
        Self::LeastReliability,
        Self::Reach,
        Self::Rmr,
        Self::Hops,
        Self::Broadcasts,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyMax,
        Self::Lost,
        Self::Shed,
        Self::ChannelMessages,
        Self::ChannelDelivered,
        Self::ChannelRefused,
        Self::ChannelShed,
        Self::ChannelUnreachable,
        Self::ChannelGone,
        Self::ChannelTimedOut,
        Self::ChannelLatencyP50,
        Self::ChannelLatencyP99,
        Self::ChannelLatencyMax,
        Self::Components,
        Self::LargestComponent,
        Self::RunningNodes,
        Self::MeanDegree,
        Self::Isolated,
        Self::AsymmetricLinks,
    ];

    /// As assertions call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reliability => "reliability",
            Self::LeastReliability => "least_reliability",
            Self::Reach => "reach",
            Self::Rmr => "rmr",
            Self::Hops => "hops",
            Self::Broadcasts => "broadcasts",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP99 => "latency_p99",
            Self::LatencyMax => "latency_max",
            Self::Lost => "lost",
            Self::Shed => "shed",
            Self::ChannelMessages => "channel_messages",
            Self::ChannelDelivered => "channel_delivered",
            Self::ChannelRefused => "channel_refused",
            Self::ChannelShed => "channel_shed",
            Self::ChannelUnreachable => "channel_unreachable",
            Self::ChannelGone => "channel_gone",
            Self::ChannelTimedOut => "channel_timed_out",
            Self::ChannelLatencyP50 => "channel_latency_p50",
            Self::ChannelLatencyP99 => "channel_latency_p99",
            Self::ChannelLatencyMax => "channel_latency_max",
            Self::Components => "components",
            Self::LargestComponent => "largest_component",
            Self::RunningNodes => "running_nodes",
            Self::MeanDegree => "mean_degree",
            Self::Isolated => "isolated",
            Self::AsymmetricLinks => "asymmetric_links",
        }
    }

    /// What it is a figure of.
    #[must_use]
    pub fn of(self) -> Of {
        match self {
            Self::Reliability
            | Self::LeastReliability
            | Self::Reach
            | Self::Rmr
            | Self::Hops
            | Self::Broadcasts => Of::Broadcasts,
            Self::LatencyP50 | Self::LatencyP99 | Self::LatencyMax | Self::Lost | Self::Shed => {
                Of::Deliveries
            }
            Self::Components
            | Self::LargestComponent
            | Self::RunningNodes
            | Self::MeanDegree
            | Self::Isolated
            | Self::AsymmetricLinks => Of::Overlay,
            _ => Of::Channels,
        }
    }

    /// Whether its values are times.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(
            self,
            Self::LatencyP50
                | Self::LatencyP99
                | Self::LatencyMax
                | Self::ChannelLatencyP50
                | Self::ChannelLatencyP99
                | Self::ChannelLatencyMax
        )
    }
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `>`
    Above,
    /// `<`
    Below,
}

/// Longer signs first, so that each is found whole.
const COMPARISONS: [(&str, Comparison); 6] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl Comparison {
    /// Whether it holds.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::AtLeast => left >= right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Above => left > right,
            Self::Below => left < right,
        }
    }
}

/// Where a text is no assertion, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {found}: expected {expected}")]
pub struct AssertionError {
    /// The byte of the text.
    pub at: usize,
    /// What stands there.
    found: String,
    /// What would be right.
    expected: String,
}

/// Words and signs, from left to right.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// The next word, which ends where space or a comparison begins; it stays there.
    fn peek(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let ends = |c: char| c.is_whitespace() || "<>=!".contains(c);
        &rest[..rest.find(ends).unwrap_or(rest.len())]
    }

    fn word(&mut self) -> &'a str {
        let word = self.peek();
        self.at += word.len();
        word
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    fn error(&mut self, expected: impl Into<String>) -> AssertionError {
        self.skip_space();
        let found = match self.rest().split_whitespace().next() {
            None => "the end".to_owned(),
            Some(word) => format!("{word:?}"),
        };
        AssertionError { at: self.at, found, expected: expected.into() }
    }

    /// What `read` makes of the next word, which stays there if it is refused.
    fn read<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, AssertionError> {
        let word = self.peek();
        let value = read(word).ok_or_else(|| self.error(expected))?;
        self.at += word.len();
        Ok(value)
    }

    /// What is looked at, and of which channel.
    fn figure(&mut self) -> Result<(Figure, Option<String>), AssertionError> {
        let find = |name: &str| Figure::ALL.into_iter().find(|figure| figure.name() == name);
        if let Some(word) = self.peek().strip_prefix("channel.") {
            let (channel, what) = word.rsplit_once('.').unwrap_or((word, ""));
            let of_channels = |figure: Figure| figure.name().strip_prefix(OF_CHANNELS);
            let names: Vec<_> = Figure::ALL.into_iter().filter_map(of_channels).collect();
            let expected = format!("channel.NAME. and one of {}", names.join(", "));
            let figure = self.read(&expected, |_| find(&format!("{OF_CHANNELS}{what}")))?;
            return Ok((figure, Some(channel.to_owned())));
        }
        let names = Figure::ALL.map(Figure::name);
        Ok((self.read(&format!("one of {}", names.join(", ")), find)?, None))
    }

    fn time(&mut self) -> Result<Span, AssertionError> {
        self.read("a time such as 30s", |word| word.parse().ok())
    }

    fn comparison(&mut self) -> Result<Comparison, AssertionError> {
        self.skip_space();
        let rest = self.rest();
        let Some((sign, comparison)) = COMPARISONS.iter().find(|(s, _)| rest.starts_with(s)) else {
            return Err(self.error("one of >=, <=, ==, !=, >, <"));
        };
        self.at += sign.len();
        Ok(*comparison)
    }

    fn value(&mut self, figure: Figure) -> Result<f64, AssertionError> {
        if figure.is_time() {
            return Ok(self.time()?.0.as_secs_f64());
        }
        self.read("a number or a percentage", |word| match word.parse::<Share>() {
            Ok(share) => Some(share.get()),
            Err(_) => word.parse().ok().filter(|number: &f64| number.is_finite()),
        })
    }

    fn window(&mut self) -> Result<Window, AssertionError> {
        if self.takes("from") {
            let from = self.time()?;
            let until = self.takes("until").then(|| self.time()).transpose()?;
            Ok(Window::Between(from, until))
        } else if self.takes("until") {
            Ok(Window::Between(Span::default(), Some(self.time()?)))
        } else if self.takes("at") {
            Ok(Window::At(self.time()?))
        } else if self.takes("within") {
            let time = self.time()?;
            if !self.takes("of") {
                return Err(self.error("\"of\" and the name of an entry of the timeline"));
            }
            let event = match self.word() {
                "" => return Err(self.error("the name of an entry of the timeline")),
                event => event.to_owned(),
            };
            Ok(Window::Within(time, event))
        } else {
            Ok(Window::Whole)
        }
    }
}

impl FromStr for Assertion {
    type Err = AssertionError;

    fn from_str(text: &str) -> Result<Self, AssertionError> {
        let mut words = Words { text, at: 0 };
        let (figure, channel) = words.figure()?;
        let comparison = words.comparison()?;
        let value = words.value(figure)?;
        let window = words.window()?;
        let whole = !matches!(window, Window::Whole);
        words.skip_space();
        match words.rest() {
            "" => Ok(Self { figure, channel, comparison, value, window }),
            _ if whole => Err(words.error("nothing more")),
            _ => Err(words.error("\"from\", \"until\", \"at\", \"within\" or nothing more")),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, c)| *c == self.comparison).map_or("", |(s, _)| s);
        let name = self.figure.name();
        match &self.channel {
            None => write!(f, "{name} {sign} ")?,
            Some(channel) => {
                let what = name.strip_prefix(OF_CHANNELS).unwrap_or(name);
                write!(f, "channel.{channel}.{what} {sign} ")?;
            }
        }
        match self.figure.is_time() {
            true => match std::time::Duration::try_from_secs_f64(self.value) {
                Ok(time) => write!(f, "{}", Packed(Span(time)))?,
                Err(_) => write!(f, "{}", self.value)?,
            },
            false => write!(f, "{}", self.value)?,
        }
        match &self.window {
            Window::Whole => Ok(()),
            Window::Between(from, None) => write!(f, " from {}", Packed(*from)),
            Window::Between(from, Some(until)) => {
                write!(f, " from {} until {}", Packed(*from), Packed(*until))
            }
            Window::At(time) => write!(f, " at {}", Packed(*time)),
            Window::Within(time, event) => write!(f, " within {} of {event}", Packed(*time)),
        }
    }
}

/// A time in one word: `1m30s`.
struct Packed(Span);

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replace(' ', ""))
    }
}

impl<'de> Deserialize<'de> for Assertion {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Assertion {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for Assertion {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Assertion".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "assertion" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "reliability >= 0.999 from 30s",
            "components == 1 within 1m of heal",
            "latency_p99 < 250ms from 10s until 1m30s",
            "running_nodes > 90 at 20s",
            "lost == 0",
            "channel_delivered >= 0.9",
            "channel.my.orders.latency_p99 <= 250ms from 5s",
        ] {
            assert_eq!(text.parse::<Assertion>().expect(text).to_string(), text);
        }
        let percent: Assertion = "reliability>=99.9% until 30s".parse().expect("no spaces needed");
        assert_eq!(percent.to_string(), "reliability >= 0.9990000000000001 from 0s until 30s");
    }

    #[test]
    fn errors_point_into_the_text() {
        let error = |text: &str| {
            let error = text.parse::<Assertion>().expect_err(text);
            (error.at, error.to_string())
        };
        assert_eq!(error("reliabilty >= 1").0, 0);
        let (at, text) = error("reliability => 1");
        assert_eq!((at, &*text), (12, "at \"=>\": expected one of >=, <=, ==, !=, >, <"));
        assert_eq!(
            error("reliability >= much").1,
            "at \"much\": expected a number or a percentage"
        );
        assert_eq!(error("latency_p99 < 0.2").1, "at \"0.2\": expected a time such as 30s");
        assert_eq!(error("components == 1 within 60s").0, 26);
        assert_eq!(error("components == 1 since 60s").0, 16);
        let (at, text) = error("channel.orders.lost == 0");
        assert!(at == 0 && text.contains("channel.NAME. and one of messages, delivered"), "{text}");
        assert_eq!(error("lost == 0 at 5s sharp").1, "at \"sharp\": expected nothing more");
    }
}
