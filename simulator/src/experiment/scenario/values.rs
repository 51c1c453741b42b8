//! What stands behind a key: times, shares, sizes and rates, as people write them.
//!
//! Each is read by one function here, whoever asks: the check of a file, which wants to say what is
//! allowed, and `serde`, which wants the value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is none of what its key takes; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(super) &'static str);

const TIMES: Unreadable = Unreadable("a time such as \"10s\", \"250ms\" or \"1m 30s\"");
const SHARES: Unreadable = Unreadable("a share from 0 to 1, or a percentage such as \"30%\"");
const SIZES: Unreadable =
    Unreadable("a whole number of bytes, or a size such as \"64 KiB\", up to 1 GiB");
const RATES: Unreadable = Unreadable("a rate such as \"10 Mbit/s\", from 1 kbit/s to 1 Tbit/s");

/// The largest payload or queue.
const MOST_BYTES: u64 = 1 << 30;

/// Reads a time.
pub(super) fn time(text: &str) -> Result<Duration, Unreadable> {
    humantime::parse_duration(text).map_err(|_| TIMES)
}

/// A length of time, or a moment of the run counted from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Span {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        time(text).map(Self)
    }
}

/// A part of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

impl Share {
    /// None of it.
    pub const NONE: Self = Self(0.0);
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// `None` unless it is 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// This share of so many, rounded.
    #[must_use]
    pub fn of(self, whole: usize) -> usize {
        (self.0 * whole as f64).round() as usize
    }
}

impl FromStr for Share {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        percent.and_then(|percent: f64| Self::new(percent / 100.0)).ok_or(SHARES)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u32);

impl FromStr for Bytes {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let bytes = text.parse().map_err(|_| SIZES).map(|size: ByteSize| size.as_u64())?;
        u32::try_from(bytes).ok().filter(|_| bytes <= MOST_BYTES).map(Self).ok_or(SIZES)
    }
}

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(pub u64);

const PREFIXES: [(&str, u64); 4] = [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1)];

impl FromStr for BitRate {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let number = text.trim().strip_suffix("bit/s").ok_or(RATES)?;
        let prefix = |(prefix, times): &(&str, u64)| Some((number.strip_suffix(prefix)?, *times));
        let (number, times) = PREFIXES.iter().find_map(prefix).ok_or(RATES)?;
        let rate = number.trim().parse::<f64>().map_err(|_| RATES)? * times as f64;
        (1e3..=1e12).contains(&rate).then_some(Self(rate as u64)).ok_or(RATES)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, times): &&(&str, u64)| self.0 >= *times && self.0.is_multiple_of(*times);
        let best = PREFIXES.iter().filter(fits).max_by_key(|(_, times)| *times);
        let (prefix, times) = best.unwrap_or(&("", 1));
        write!(f, "{} {prefix}bit/s", self.0 / times)
    }
}

/// What a schema's `format` promises about a text.
pub(super) struct ValueFormat {
    name: &'static str,
    /// As a regular expression, for editors. What is too large for its key fits it, too.
    pub(super) pattern: &'static str,
    pub(super) reads: fn(&str) -> bool,
    /// For messages and for the reference.
    pub(super) allowed: &'static str,
}

/// One or more numbers with units.
macro_rules! time_pattern {
    () => {
        r"\s*(\d[\d\s]*(\.\d+)?\s*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|M|years?|yrs?|y)\s*)+"
    };
}

const FORMATS: [ValueFormat; 6] = [
    ValueFormat {
        name: "duration",
        pattern: concat!("^", time_pattern!(), "$"),
        reads: |text| time(text).is_ok(),
        allowed: TIMES.0,
    },
    ValueFormat {
        name: "duration-or-off",
        pattern: concat!("^(off|", time_pattern!(), ")$"),
        reads: |text| text == "off" || time(text).is_ok(),
        allowed: "a time such as \"10s\", \"250ms\" or \"1m 30s\", or \"off\"",
    },
    ValueFormat {
        name: "number-or-off",
        pattern: "^off$",
        reads: |text| text == "off",
        allowed: "\"off\", or a whole number",
    },
    ValueFormat {
        name: "share",
        pattern: r"^\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*%\s*$",
        reads: |text| text.parse::<Share>().is_ok(),
        allowed: SHARES.0,
    },
    ValueFormat {
        name: "bytes",
        pattern: r"^(\+?\d+|(\d+\.?\d*|\.\d+)\s*([kKmMgGtTpPeE][iI]?)?[bB]?)$",
        reads: |text| text.parse::<Bytes>().is_ok(),
        allowed: SIZES.0,
    },
    ValueFormat {
        name: "bit-rate",
        pattern: r"^\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*[kMG]?bit/s\s*$",
        reads: |text| text.parse::<BitRate>().is_ok(),
        allowed: RATES.0,
    },
];

/// The format of that name. `None` if it is none of ours.
pub(super) fn format(name: &str) -> Option<&'static ValueFormat> {
    FORMATS.iter().find(|format| format.name == name)
}

/// A number, or a text that stands for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either<N> {
    Number(N),
    Text(String),
}

fn parsed<'de, T: FromStr<Err = Unreadable>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    String::deserialize(d)?.parse().map_err(de::Error::custom)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        parsed(d)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BitRate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        parsed(d)
    }
}

impl Serialize for BitRate {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Either::<f64>::deserialize(d)? {
            Either::Number(share) => Self::new(share).ok_or(SHARES),
            Either::Text(text) => text.parse(),
        }
        .map_err(de::Error::custom)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Either::<u32>::deserialize(d)? {
            Either::Number(bytes) => Ok(Self(bytes)),
            Either::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u32(self.0)
    }
}

/// What the schema says of each, in place.
macro_rules! schema_of {
    ($type:ty, $($schema:tt)*) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)*)
            }
        }
    };
}

schema_of!(Span, { "type": "string", "format": "duration" });
schema_of!(BitRate, { "type": "string", "format": "bit-rate" });
schema_of!(Share, { "type": ["number", "string"], "minimum": 0, "maximum": 1, "format": "share" });
schema_of!(Bytes, {
    "type": ["integer", "string"], "minimum": 0, "maximum": MOST_BYTES, "format": "bytes"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!("1m 30s".parse(), Ok(Span::secs(90)));
        assert_eq!("30%".parse(), Ok(Share(0.3)));
        assert_eq!("64 KiB".parse(), Ok(Bytes(65_536)));
        assert_eq!("2.5 Mbit/s".parse(), Ok(BitRate(2_500_000)));
        assert_eq!("9600 bit/s".parse(), Ok(BitRate(9_600)));
        for rate in [9_600, 2_500_000, 1_000_000_000] {
            assert_eq!(BitRate(rate).to_string().parse(), Ok(BitRate(rate)));
        }
        assert_eq!("soon".parse::<Span>(), Err(TIMES));
        assert_eq!("130%".parse::<Share>(), Err(SHARES));
        assert_eq!("5 GiB".parse::<Bytes>(), Err(SIZES));
        assert_eq!("10 Mbps".parse::<BitRate>(), Err(RATES));
    }
}
