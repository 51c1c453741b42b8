//! Parameters as tables of files, in any format that `serde` speaks: a key for each, all optional.
//!
//! ```ignore
//! #[derive(Serialize, Deserialize)]
//! struct Settings {
//!     #[serde(default, with = "murmurate::keys")]
//!     membership: hyparview::Parameters,
//! }
//! ```
//!
//! Times are written as `"10s"`, and a parameter that is off as `"off"`.

use std::fmt;
use std::string::{String, ToString as _};
use std::vec::Vec;

use murmurate_membership::parameters::{AnyParameters, Parameter, ParameterSet, Value, ValueKind};
use serde::de::{DeserializeSeed, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes every parameter.
///
/// # Errors
/// The format's error if it has no tables.
pub fn serialize<P: ParameterSet, S: Serializer>(of: &P, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(of.values().map(|(of, value)| (of.name, Written(value))))
}

/// A parameter's value, as it is written in files.
pub struct Written(pub Value);

/// Reads parameters. Those without a key have their defaults.
///
/// # Errors
/// If a key is not the name of a parameter, or a value does not have its type; the error says what is
/// allowed. Ranges are checked by [`ParameterSet::validate`] once all is read.
pub fn deserialize<'de, P: ParameterSet, D: Deserializer<'de>>(from: D) -> Result<P, D::Error> {
    let mut read = P::default();
    Table(&mut read).deserialize(from)?;
    Ok(read)
}

/// The same for a table that may be missing.
pub mod optional {
    use super::{Deserialize, Deserializer, ParameterSet, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Keys<P: ParameterSet>(#[serde(with = "super")] P);

    /// Writes every parameter, if there are any.
    ///
    /// # Errors
    /// The format's error if it has no tables.
    pub fn serialize<P: ParameterSet, S: Serializer>(
        of: &Option<P>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        of.clone().map(Keys).serialize(to)
    }

    /// Reads parameters, if there is a table.
    ///
    /// # Errors
    /// As for [`super::deserialize`].
    pub fn deserialize<'de, P: ParameterSet, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<P>, D::Error> {
        Option::<Keys<P>>::deserialize(from).map(|keys| keys.map(|keys| keys.0))
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Switch(on) => to.serialize_bool(on),
            Value::Number(number) => to.serialize_u64(number as u64),
            Value::Time(time) => to.collect_str(&humantime::format_duration(time)),
            Value::Off => to.serialize_str("off"),
        }
    }
}

/// Reads parameters of any type, over the values they have; see [`deserialize`].
pub struct Table<'a>(pub &'a mut dyn AnyParameters);

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a table with parameters of {}", self.0.of())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(read) = self;
        while let Some(name) = map.next_key::<String>()? {
            let Some(of) = read.parameters().iter().find(|of| of.name == name) else {
                let known: Vec<_> = read.parameters().iter().map(|of| of.name).collect();
                let known = known.join(", ");
                return Err(A::Error::custom(format_args!(
                    "{name} is not a key; the keys are {known}"
                )));
            };
            let value = map.next_value_seed(Of(of))?;
            // What does not fit the type is out of range, too.
            read.set(of.name, value).map_err(|unfit| match of.check(value) {
                Err(range) => A::Error::custom(range),
                Ok(()) => A::Error::custom(unfit),
            })?;
        }
        Ok(())
    }
}

/// Reads the value of one.
struct Of(&'static Parameter);

impl<'de> DeserializeSeed<'de> for Of {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Of {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string())
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Value, E> {
        match self.0.kind {
            ValueKind::Switch => Ok(Value::Switch(on)),
            _ => Err(E::invalid_type(Unexpected::Bool(on), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        match (self.0.kind, usize::try_from(number)) {
            (ValueKind::Number { .. }, Ok(number)) => Ok(Value::Number(number)),
            _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        match (self.0.kind, usize::try_from(number)) {
            (ValueKind::Number { .. }, Ok(number)) => Ok(Value::Number(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let time = || humantime::parse_duration(text).ok().map(Value::Time);
        let value = match self.0.kind {
            _ if text == "off" && self.0.can_be_off => Some(Value::Off),
            ValueKind::Time { .. } => time(),
            _ => None,
        };
        value.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
