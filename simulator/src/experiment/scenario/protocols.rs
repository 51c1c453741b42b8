//! Which protocols the nodes run, with all their parameters.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use murmurate::broadcast::anti_entropy;
use murmurate::keys::{self, Written};
use murmurate::membership::parameters::{
    AnyParameters, ConfigError, Parameter, ParameterSet, ValueKind,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed as _, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::strategies::{Choice, Chosen, Listed};

/// The key that names a strategy.
const STRATEGY: &str = "strategy";

impl<C: Choice + ?Sized> Serialize for Chosen<C> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let of = self.parameters();
        let mut map = to.serialize_map(Some(1 + of.parameters().len()))?;
        map.serialize_entry(STRATEGY, self.name())?;
        for parameter in of.parameters() {
            if let Some(value) = of.get(parameter.name) {
                map.serialize_entry(parameter.name, &Written(value))?;
            }
        }
        map.end()
    }
}

impl<'de, C: Choice + ?Sized> Deserialize<'de> for Chosen<C>
where
    Self: Listed,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Table<T>(PhantomData<T>);

        impl<'de, C: Choice + ?Sized> Visitor<'de> for Table<Chosen<C>>
        where
            Chosen<C>: Listed,
        {
            type Value = Chosen<C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with the name of a strategy and its parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut name = None;
                let mut rest = toml::Table::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == STRATEGY {
                        name = Some(map.next_value::<String>()?);
                    } else {
                        rest.insert(key, map.next_value()?);
                    }
                }
                let name = name.ok_or_else(|| A::Error::missing_field(STRATEGY))?;
                let mut chosen = Chosen::<C>::named(&name).ok_or_else(|| {
                    let all: Vec<_> = Chosen::<C>::all().iter().map(|one| one.name()).collect();
                    A::Error::custom(format_args!(
                        "{name} is not a strategy: they are {}",
                        all.join(", ")
                    ))
                })?;
                keys::Table(chosen.parameters_mut()).deserialize(rest).map_err(A::Error::custom)?;
                Ok(chosen)
            }
        }

        from.deserialize_map(Table(PhantomData))
    }
}

impl<C: Choice + ?Sized> JsonSchema for Chosen<C>
where
    Self: Listed,
{
    fn schema_name() -> Cow<'static, str> {
        Self::TITLE.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |one: &Self| {
            let parameters = one.parameters();
            let mut table = properties(parameters);
            table.insert(STRATEGY.into(), json!({ "type": "string", "const": one.name() }));
            json!({
                "description": one.about(),
                "type": "object",
                "properties": table,
                "required": [STRATEGY],
                "additionalProperties": false,
            })
        };
        let all: Vec<_> = Self::all().iter().map(one).collect();
        json_schema!({ "description": Self::ABOUT, "oneOf": all })
    }
}

/// The first parameter of each layer that is wrong, by its path.
pub(super) fn check(scenario: &super::Scenario) -> impl Iterator<Item = (String, String)> {
    let wrong = |layer: &str, checked: Result<(), ConfigError>| {
        let error = checked.err()?;
        Some((format!("{layer}.{}", error.parameter()), error.to_string()))
    };
    let around = scenario.anti_entropy.clone().map(anti_entropy::Parameters::check).transpose();
    let layers = [
        wrong("membership", scenario.membership.check()),
        wrong("anti_entropy", around.map(drop)),
        wrong("broadcast", scenario.broadcast.check()),
    ];
    layers.into_iter().flatten()
}

/// The schema of parameters, from their table.
pub(super) struct Table<P>(PhantomData<P>);

impl<P: ParameterSet> JsonSchema for Table<P> {
    fn schema_name() -> Cow<'static, str> {
        P::OF.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("The parameters of {}.", P::OF),
            "type": "object",
            "properties": properties(&P::default()),
            "additionalProperties": false,
        })
    }
}

/// What the schema says of all, whose values are the defaults.
fn properties(all: &dyn AnyParameters) -> Map<String, Json> {
    let one = |of: &Parameter| {
        let default = all.get(of.name).and_then(|value| serde_json::to_value(Written(value)).ok());
        (of.name.to_owned(), property(of, &default.unwrap_or_default()))
    };
    all.parameters().iter().map(one).collect()
}

/// What the schema says of one.
fn property(of: &Parameter, default: &Json) -> Json {
    let about = match of.at_least {
        Some(other) => format!("{}; at least `{other}`.", of.about.trim_end_matches('.')),
        None => of.about.to_owned(),
    };
    let json = match of.kind {
        ValueKind::Switch => json!({ "type": "boolean" }),
        ValueKind::Number { least, most } if !of.can_be_off => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        ValueKind::Number { most, .. } => json!({
            "type": ["integer", "string"], "format": "number-or-off", "minimum": 0, "maximum": most
        }),
        ValueKind::Time { .. } if of.can_be_off => {
            json!({ "type": "string", "format": "duration-or-off" })
        }
        ValueKind::Time { .. } => json!({ "type": "string", "format": "duration" }),
    };
    let mut all =
        Map::from_iter([("description".into(), about.into()), ("default".into(), default.clone())]);
    if let ValueKind::Time { least } = of.kind
        && !least.is_zero()
    {
        all.insert("x-least".into(), format!("{least:?}").into());
    }
    all.extend(json.as_object().cloned().into_iter().flatten());
    Json::Object(all)
}
