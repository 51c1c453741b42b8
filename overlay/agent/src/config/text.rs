//! How values are written that TOML has no type for.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use murmurate::Multiaddr;
use murmurate::discovery::parse_contact;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrOff<T>(pub(crate) Option<T>);

/// What can be `off`: its text, and an example for who wrote something else.
pub(crate) trait Word: Sized {
    const EXAMPLE: &'static str;
    fn read(text: &str) -> Option<Self>;
    fn number(_number: u64) -> Option<Self> {
        None
    }
}

impl Word for std::net::SocketAddr {
    const EXAMPLE: &'static str = "an address and a port like 127.0.0.1:7401, or off";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Word for u16 {
    const EXAMPLE: &'static str = "a whole number from 0 to 65535, or off";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

/// A time, as [`OrOff`] needs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Word for Span {
    const EXAMPLE: &'static str = "a time like 5m, or off";
    fn read(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok().map(Self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        humantime_serde::serialize(&self.0, serializer)
    }
}

impl<T: Serialize> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de, T: Word> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Word> Visitor<'_> for Reader<T> {
            type Value = OrOff<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXAMPLE)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OrOff<T>, E> {
                if text == "off" {
                    return Ok(OrOff(None));
                }
                let read = T::read(text).map(|value| OrOff(Some(value)));
                read.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<OrOff<T>, E> {
                let read = u64::try_from(number).ok().and_then(T::number);
                let read = read.map(|value| OrOff(Some(value)));
                read.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// Addresses to listen on or to advertise.
pub(crate) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Multiaddr>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let read = |text: String| {
        Multiaddr::from_str(&text).ok().filter(|address| !address.is_empty()).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no address: write /ip4/0.0.0.0/tcp/7400 or /ip4/0.0.0.0/udp/7400/quic-v1"
            ))
        })
    };
    texts.into_iter().map(read).collect()
}

/// Addresses of nodes to join.
pub(crate) fn contacts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Multiaddr>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| parse_contact(text).map_err(D::Error::custom)).collect()
}
