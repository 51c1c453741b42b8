//! Which protocols the nodes run, with all their parameters.

use std::marker::PhantomData;

use murmurate::broadcast::{anti_entropy, flood, plumtree};
use murmurate::keys;
use murmurate::membership::parameters::{ConfigError, Kind, Parameter, ParameterSet};
use murmurate::membership::{full_mesh, hyparview};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// Who is whose neighbour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Membership {
    /// Small symmetric active views, larger passive ones.
    Hyparview(
        #[serde(with = "keys")]
        #[schemars(with = "Table<hyparview::Parameters>")]
        hyparview::Parameters,
    ),
    /// Everyone linked with everyone.
    FullMesh(
        #[serde(with = "keys")]
        #[schemars(with = "Table<full_mesh::Parameters>")]
        full_mesh::Parameters,
    ),
}

impl Default for Membership {
    fn default() -> Self {
        Self::Hyparview(hyparview::Parameters::default())
    }
}

/// How a message reaches everyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Broadcast {
    /// Payloads along a tree, announcements elsewhere.
    Plumtree(
        #[serde(with = "keys")]
        #[schemars(with = "Table<plumtree::Parameters>")]
        plumtree::Parameters,
    ),
    /// Payloads on every link.
    Flood(
        #[serde(with = "keys")]
        #[schemars(with = "Table<flood::Config>")]
        flood::Config,
    ),
}

impl Default for Broadcast {
    fn default() -> Self {
        Self::Plumtree(plumtree::Parameters::default())
    }
}

/// The first parameter of each layer that is wrong, by its path.
pub(super) fn check(scenario: &super::Scenario) -> impl Iterator<Item = (String, String)> {
    let wrong = |layer: &str, checked: Result<(), ConfigError>| {
        let error = checked.err()?;
        Some((format!("{layer}.{}", error.parameter()), error.to_string()))
    };
    let membership = match scenario.membership.clone() {
        Membership::Hyparview(parameters) => parameters.check().map(drop),
        Membership::FullMesh(parameters) => parameters.check().map(drop),
    };
    let broadcast = match &scenario.broadcast {
        Broadcast::Plumtree(parameters) => parameters.clone().check().map(drop),
        Broadcast::Flood(parameters) => parameters.validate(),
    };
    let around = scenario.anti_entropy.clone().map(anti_entropy::Parameters::check).transpose();
    let layers = [
        wrong("membership", membership),
        wrong("anti_entropy", around.map(drop)),
        wrong("broadcast", broadcast),
    ];
    layers.into_iter().flatten()
}

/// The schema of parameters, from their table.
pub(super) struct Table<P>(PhantomData<P>);

impl<P: ParameterSet> JsonSchema for Table<P> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        P::OF.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let defaults = keys::serialize(&P::default(), serde_json::value::Serializer);
        let mut properties = defaults.unwrap_or_default();
        for of in P::PARAMETERS {
            properties[of.name] = property(of, &properties[of.name]);
        }
        json_schema!({
            "description": format!("The parameters of {}.", P::OF),
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

/// What the schema says of one.
fn property(of: &Parameter, default: &Json) -> Json {
    let about = match of.at_least {
        Some(other) => format!("{}; at least `{other}`.", of.about.trim_end_matches('.')),
        None => of.about.to_owned(),
    };
    let json = match of.kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Number { least, most } if !of.can_be_off => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Number { most, .. } => json!({
            "type": ["integer", "string"], "format": "number-or-off", "minimum": 0, "maximum": most
        }),
        Kind::Time { .. } if of.can_be_off => {
            json!({ "type": "string", "format": "duration-or-off" })
        }
        Kind::Time { .. } => json!({ "type": "string", "format": "duration" }),
    };
    let mut all =
        Map::from_iter([("description".into(), about.into()), ("default".into(), default.clone())]);
    if of.kind == (Kind::Time { zero: false }) {
        all.insert("x-least".into(), "1ns".into());
    }
    all.extend(json.as_object().cloned().into_iter().flatten());
    Json::Object(all)
}
