//! Assertions: what a run must show, as in `reliability >= 0.999 from 30s`.
//!
//! ```text
//! assertion  = figure comparison value [ window ]
//! figure     = one of those of Figure, or "channel." name "." what for those of one channel
//! comparison = ">=" | "<=" | "==" | "!=" | ">" | "<"
//! value      = a number, a percentage, or (of latencies) a time
//! window     = "from" time [ "until" time ] | "until" time | "at" time | "within" time "of" event
//! event      = the name of an entry of the timeline, or its kind, or a time: all that follows
//! ```

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::nearest_first;
use super::values::{Share, Span};
use crate::observe::figure::{Figure, OF_CHANNELS};
use crate::strategies::Registry;

/// What a run must show.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// What is looked at.
    pub figure: Figure,
    /// Of a figure of channels, which; without it, of all together.
    pub channel: Option<String>,
    /// How it compares.
    pub comparison: ComparisonOperator,
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
    /// At some look from the event, or from a time, until so long after it; for broadcasts, some
    /// second's mean.
    Within(Span, String),
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonOperator {
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
const COMPARISONS: [(&str, ComparisonOperator); 6] = [
    (">=", ComparisonOperator::AtLeast),
    ("<=", ComparisonOperator::AtMost),
    ("==", ComparisonOperator::Equal),
    ("!=", ComparisonOperator::Unequal),
    (">", ComparisonOperator::Above),
    ("<", ComparisonOperator::Below),
];

impl ComparisonOperator {
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

/// Where a text is not an assertion, and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {found}: expected {expected}")]
#[non_exhaustive]
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
        let find =
            |name: &str| Registry::installed().figures().find(|figure| figure.name() == name);
        if let Some(word) = self.peek().strip_prefix("channel.") {
            let (channel, what) = word.rsplit_once('.').unwrap_or((word, ""));
            let of_channels = |figure: Figure| figure.name().strip_prefix(OF_CHANNELS);
            let names: Vec<_> = Figure::ALL.into_iter().filter_map(of_channels).collect();
            let expected = format!("channel.NAME. and one of {}", names.join(", "));
            let figure = self.read(&expected, |_| find(&format!("{OF_CHANNELS}{what}")))?;
            return Ok((figure, Some(channel.to_owned())));
        }
        let names: Vec<String> = all_names().map(ToOwned::to_owned).collect();
        let expected = format!("one of {}", nearest_first(self.peek(), &names));
        Ok((self.read(&expected, find)?, None))
    }

    fn time(&mut self) -> Result<Span, AssertionError> {
        self.read("a time such as 30s", |word| word.parse().ok())
    }

    fn comparison(&mut self) -> Result<ComparisonOperator, AssertionError> {
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
                return Err(
                    self.error("\"of\" and the name of an entry of the timeline, or a time")
                );
            }
            // The last there is: a name may have spaces and signs in it.
            let event = self.rest().trim();
            if event.is_empty() {
                return Err(self.error("the name of an entry of the timeline, or a time"));
            }
            self.at = self.text.len();
            Ok(Window::Within(time, event.to_owned()))
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
        json_schema!({ "type": "string", "format": "assertion", "pattern": pattern() })
    }
}

fn all_names() -> impl Iterator<Item = &'static str> {
    Registry::installed().figures().map(Figure::name)
}

/// The grammar as a regular expression, for editors. Values and times are checked when it is read.
fn pattern() -> String {
    let names: Vec<_> = all_names().collect();
    let of_channels = names.iter().filter_map(|name| name.strip_prefix(OF_CHANNELS));
    let of_channels = of_channels.collect::<Vec<_>>().join("|");
    let figure = format!(r"({}|channel\.[^\s<>=!]+\.({of_channels}))", names.join("|"));
    let signs = COMPARISONS.map(|(sign, _)| sign).join("|");
    let between = r"from\s+\S+(\s+until\s+\S+)?|until\s+\S+";
    let window = format!(r"{between}|at\s+\S+|within\s+\S+\s+of\s+\S.*");
    format!(r"^\s*{figure}\s*({signs})\s*[^\s<>=!]+(\s+({window}))?\s*$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "reliability >= 0.999 from 30s",
            "components == 1 within 1m of heal",
            "components == 1 within 1m of power >= half, in two rooms",
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
