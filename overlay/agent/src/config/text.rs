//! How values are written that TOML has no type for.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use murmurate::Multiaddr;
use murmurate::discovery::parse_contact;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address to serve on, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrOff(pub(crate) Option<SocketAddr>);

impl Serialize for OrOff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(address) => address.serialize(serializer),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for OrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = OrOff;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address and a port like 127.0.0.1:7401, or off")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OrOff, E> {
                match text.parse() {
                    _ if text == "off" => Ok(OrOff(None)),
                    Ok(address) => Ok(OrOff(Some(address))),
                    Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// Addresses to listen on or to advertise.
pub(crate) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Multiaddr>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let read = |text: String| {
        Multiaddr::from_str(&text).ok().filter(|address| !address.is_empty()).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not an address: write /ip4/0.0.0.0/tcp/7400 or /ip4/0.0.0.0/udp/7400/quic-v1"
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
