//! The settings of an agent and their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use murmurate::broadcast::{anti_entropy, plumtree};
use murmurate::membership::{ConfigError, full_mesh, hyparview, static_overlay};
use murmurate::{Builder, Incarnation, Limits, Multiaddr, keys};
use murmurate_services::{Cluster, Config, Record};
use serde::{Deserialize, Serialize};

use super::admission::AdmissionFiles;
use super::channels::Channels;
use super::strategies::Strategies;
use super::text::{OrOff, addresses, contacts};
use crate::log::LogFormat;

/// Everything an agent can be told. `docs/agent.md` says what each is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) network: String,
    #[serde(deserialize_with = "addresses")]
    pub(crate) listen: Vec<Multiaddr>,
    #[serde(deserialize_with = "addresses")]
    pub(crate) advertise: Vec<Multiaddr>,
    #[serde(deserialize_with = "contacts")]
    pub(crate) join: Vec<Multiaddr>,
    pub(crate) catch_up: Vec<String>,
    pub(crate) first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_file: Option<PathBuf>,
    pub(crate) metrics: OrOff,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) admission: AdmissionFiles,
    #[serde(with = "keys")]
    pub(crate) limits: Limits,
    pub(crate) strategies: Strategies,
    #[serde(with = "keys")]
    pub(crate) membership: hyparview::Parameters,
    #[serde(with = "keys")]
    pub(crate) full_mesh: full_mesh::Parameters,
    #[serde(with = "keys", rename = "static")]
    pub(crate) static_overlay: static_overlay::Parameters,
    #[serde(with = "keys")]
    pub(crate) broadcast: plumtree::Parameters,
    #[serde(with = "exchange")]
    pub(crate) anti_entropy: anti_entropy::Parameters,
    pub(crate) discovery: Discovery,
    pub(crate) cluster: ClusterSettings,
    #[serde(skip_serializing_if = "Channels::is_empty")]
    pub(crate) channels: Channels,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: "murmurate".into(),
            listen: "/ip4/0.0.0.0/tcp/7400".parse().into_iter().collect(),
            advertise: Vec::new(),
            join: Vec::new(),
            catch_up: Vec::new(),
            first: false,
            state_dir: None,
            identity_file: None,
            metrics: OrOff(None),
            admin: None,
            log: Log::default(),
            admission: AdmissionFiles::default(),
            limits: Limits::default(),
            strategies: Strategies::default(),
            membership: Builder::default_membership(),
            full_mesh: Builder::default_full_mesh(),
            static_overlay: Builder::default_static(),
            broadcast: plumtree::Parameters::default(),
            anti_entropy: anti_entropy::Parameters::default(),
            discovery: Discovery::default(),
            cluster: ClusterSettings::default(),
            channels: Channels::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Settings {
    /// A node of the strategies that were chosen.
    pub(crate) fn choose(&self, builder: Builder) -> Builder {
        let (hyparview, full_mesh) = (self.membership.clone(), self.full_mesh.clone());
        let static_overlay = self.static_overlay.clone();
        self.strategies.choose(
            builder,
            hyparview,
            full_mesh,
            static_overlay,
            self.broadcast.clone(),
        )
    }

    /// Checks the parameters of all strategies, also of those that were not chosen: the next choice is
    /// one word, and finds them in order.
    ///
    /// # Errors
    /// The section, and what is wrong in it.
    pub(crate) fn check_parameters(&self) -> Result<(), (&'static str, ConfigError)> {
        self.membership.clone().check().map_err(|error| ("membership", error))?;
        self.full_mesh.clone().check().map_err(|error| ("full_mesh", error))?;
        self.static_overlay.clone().check().map_err(|error| ("static", error))?;
        self.broadcast.clone().check().map_err(|error| ("broadcast", error))?;
        Ok(())
    }
}

/// Whether it catches up follows from `catch_up`, the list of topics.
mod exchange {
    use murmurate::broadcast::anti_entropy::Parameters;
    use murmurate::keys;
    pub(super) use murmurate::keys::deserialize;
    use serde::ser::Error as _;
    use serde::{Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(of: &Parameters, to: S) -> Result<S::Ok, S::Error> {
        let table = keys::serialize(of, serde_json::value::Serializer);
        let mut table = table.map_err(S::Error::custom)?;
        if let Some(keys) = table.as_object_mut() {
            keys.remove("catch_up");
        }
        table.serialize(to)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discovery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    pub(crate) mdns: bool,
    pub(crate) dns: Dns,
}

/// The state that all nodes share, and what this one says of itself in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClusterSettings {
    pub(crate) enabled: bool,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<usize>,
}

impl ClusterSettings {
    /// The node's part of it, if it takes part.
    ///
    /// # Errors
    /// The key of the setting that is wrong, and why.
    pub(crate) fn cluster(&self) -> Result<Option<Cluster<Incarnation>>, (&'static str, String)> {
        let tag = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                let allowed = "allowed is KEY=VALUE";
                ("cluster.tags", format!("cluster.tags has {text:?}: {allowed}"))
            })?;
            Ok((key.to_owned(), value.to_owned()))
        };
        let record = Record {
            name: self.name.clone(),
            region: self.region.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            tags: self.tags.iter().map(tag).collect::<Result<_, _>>()?,
            ..Record::default()
        };
        let config = Config { record, expected: self.expected, ..Config::default() };
        Ok(self.enabled.then(|| Cluster::new(config)))
    }
}

/// Contacts from the domain name system; off without a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dns {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) srv: bool,
    #[serde(with = "humantime_serde")]
    pub(crate) interval: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<SocketAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        let interval = Duration::from_secs(30);
        Self { name: None, port: 7400, srv: false, interval, server: None }
    }
}
