//! The configuration: flags over environment over file over defaults, and where each value is from.
//!
//! Each layer is checked on its own, so that an error names the place it was made in.

mod admission;
pub(crate) mod channels;
mod keys;
#[cfg(test)]
mod reference;
mod settings;
mod show;
mod strategies;
mod text;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use murmurate::discovery::{Dns, File, Mdns, Transport};
use murmurate::membership::parameters;
use murmurate::{Builder, ConfigError, Node};
use murmurate_services::SERVICE;
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::identity;
pub(crate) use admission::{AdmissionFiles, AdmissionMode, read_admission};
use keys::Key;
pub(crate) use settings::Settings;
pub(crate) use strategies::{BroadcastStrategy, MembershipStrategy, Strategies};

/// The largest configuration file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody said anything else.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What is wrong with a configuration, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(String);

/// Settings as the command line has them: a key, its text, and the flag that said it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Vec<(String, String, String)>);

impl Flags {
    /// A flag sets `key`. A list that is said again grows.
    pub(crate) fn set(&mut self, key: &str, text: &str, flag: &str) {
        self.0.push((key.into(), text.into(), flag.into()));
    }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    sources: BTreeMap<String, Source>,
}

impl Config {
    /// Reads all layers and checks what they come to.
    pub(crate) fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, Wrong> {
        let layered = Layers::read(file, |name| std::env::var_os(name), flags)?;
        let settings = Settings::deserialize(layered.table).map_err(|error| wrong(&error))?;
        let config = Self { settings, sources: layered.sources };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Wrong> {
        let level = &self.settings.log.level;
        crate::log::filter(level)
            .map_err(|why| self.blame("log.level", format!("log.level = {level:?}: {why}")))?;
        self.builder().map(drop)?;
        self.settings.check_parameters().map_err(|(section, error)| {
            let key = format!("{section}.{}", error.parameter());
            self.blame(&key, format!("{section}.{error}"))
        })
    }

    /// A node as it is configured, not yet started.
    pub(crate) fn builder(&self) -> Result<Builder, Wrong> {
        let settings = self.settings.clone();
        let membership = settings.strategies.membership;
        let mut builder = settings
            .choose(Node::builder())
            .network(settings.network)
            .anti_entropy(settings.anti_entropy)
            .limits(settings.limits);
        for address in settings.listen {
            builder = builder.listen(address);
        }
        for address in settings.advertise {
            builder = builder.advertise(address);
        }
        for topic in settings.catch_up {
            builder = builder.catch_up(&topic);
        }
        if let Some(directory) = settings.state_dir {
            builder = builder.state_dir(directory);
        }
        if let Some(path) = settings.identity_file {
            let read = identity::read(&path);
            let why = |why| format!("identity_file = {:?}: {why}", path.display());
            let blame = |error| self.blame("identity_file", why(error));
            builder = builder.identity(read.map_err(blame)?);
        }
        let admission = read_admission(&settings.admission);
        builder = builder.admission(admission.map_err(|(key, why)| self.blame(key, why))?);
        if let Some(signed) = settings.admission.signed {
            builder = builder.signed(signed);
        }
        let cluster = settings.cluster.cluster();
        if let Some(cluster) = cluster.map_err(|(key, why)| self.blame(key, why))? {
            builder = builder.service(SERVICE, cluster);
        }
        let blame = |(key, message): (String, String)| self.blame(&key, message);
        for channel in channels::declare(&self.settings.channels).map_err(blame)? {
            builder = builder.channel(channel);
        }
        builder.validate().map_err(|error| blame(qualified(&error, membership)))?;
        sources(&self.settings, builder).map_err(|(key, why)| self.blame(key, why))
    }

    /// An error about a setting, and who set it.
    fn blame(&self, key: &str, message: String) -> Wrong {
        match self.sources.get(key) {
            None | Some(Source::Default) => Wrong(message),
            Some(source) => Wrong(format!("{message} ({source})")),
        }
    }
}

/// Adds the discovery sources that are configured.
fn sources(settings: &Settings, mut builder: Builder) -> Result<Builder, (&'static str, String)> {
    let discovery = &settings.discovery;
    if let Some(path) = &discovery.file {
        builder = builder.discovery(File::new(path));
    }
    if discovery.mdns {
        builder = builder.discovery(Mdns::new());
    }
    if let Some(name) = &discovery.dns.name {
        let found = if discovery.dns.srv {
            Dns::services(name, Transport::Tcp)
        } else {
            Dns::hosts(name, discovery.dns.port, Transport::Tcp)
        };
        let wrong = |key, what: String| (key, format!("{key}{what}"));
        let mut dns = found.map_err(|error| wrong("discovery.dns.name", format!(": {error}")))?;
        if discovery.dns.interval.is_zero() {
            let what = " = 0s is out of range: it must be longer";
            return Err(wrong("discovery.dns.interval", what.into()));
        }
        dns = dns.every(discovery.dns.interval);
        if let Some(server) = discovery.dns.server {
            dns = dns.server(server);
        }
        builder = builder.discovery(dns);
    }
    Ok(builder)
}

/// A node's error: the setting it is about, and what to say, with the setting's whole name in front.
fn qualified(error: &ConfigError, membership: MembershipStrategy) -> (String, String) {
    let parameter = |section: &str, error: &parameters::ConfigError| {
        (format!("{section}.{}", error.parameter()), format!("{section}.{error}"))
    };
    let of = |key: &str| (key.to_owned(), error.to_string());
    match error {
        ConfigError::Limits(error) => parameter("limits", error),
        ConfigError::Connections { .. } => {
            ("limits.max_connections".into(), format!("limits.{error}"))
        }
        ConfigError::Membership(error) => parameter(membership.section(), error),
        ConfigError::Broadcast(error) => parameter("broadcast", error),
        ConfigError::AntiEntropy(error) => parameter("anti_entropy", error),
        ConfigError::Channel(error) => channels::qualified(error),
        ConfigError::Advertise(_) => ("advertise".into(), format!("advertise: {error}")),
        ConfigError::Advertised(_) => of("advertise"),
        ConfigError::Network(_) => of("network"),
        ConfigError::Listen(_) => of("listen"),
        ConfigError::CatchUp(_) => of("catch_up"),
        error => (String::new(), error.to_string()),
    }
}

fn wrong(error: &toml::de::Error) -> Wrong {
    Wrong(one_line(error.message()))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The layers, one over the other.
struct Layers {
    table: Table,
    sources: BTreeMap<String, Source>,
}

impl Layers {
    fn read(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
        flags: &Flags,
    ) -> Result<Self, Wrong> {
        let variable = |name: &str| {
            let text = variable(name).filter(|text| !text.is_empty()).map(OsString::into_string);
            let not_utf8 =
                |text| Wrong(format!("{name} = {text:?} in the environment is not UTF-8"));
            text.transpose().map_err(not_utf8)
        };
        let defaults = Table::try_from(Settings::default());
        let mut layers = Self {
            table: defaults.map_err(|error| Wrong(error.to_string()))?,
            sources: keys::all().map(|(key, _)| (key.to_owned(), Source::Default)).collect(),
        };
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        for (key, kind) in keys::all() {
            let name = keys::variable(key);
            if let Some(text) = variable(&name)? {
                let value = keys::value(kind, &text);
                layers.set(&Key::Setting(key), value, &name, Source::Environment(name.clone()))?;
            }
        }
        let name = keys::variable(keys::CHANNELS);
        if let Some(text) = variable(&name)? {
            layers.read_list(&name, &text)?;
        }
        for (key, text, flag) in &flags.0 {
            let known = keys::find(key);
            let (key, kind) =
                known.ok_or_else(|| Wrong(format!("{flag}: {}", keys::unknown(key))))?;
            let mut value = keys::value(kind, text);
            let source = Source::Flag(flag.clone());
            if layers.sources.get(&key.to_string()) == Some(&source) {
                value = layers.longer(&key, value);
            }
            layers.set(&key, value, flag, source)?;
        }
        Ok(layers)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Wrong> {
        let place = path.display().to_string();
        let text = read(path).map_err(|error| Wrong(format!("cannot read {place}: {error}")))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
            let line = before.matches('\n').count() + 1;
            Wrong(format!("{place}:{line}: {}", one_line(error.message())))
        })?;
        let mut table = table;
        let declared = table.remove(keys::CHANNELS);
        let mut found = Vec::new();
        leaves("", table, &mut found);
        if let Some(declared) = declared {
            found.extend(options(declared).map_err(|why| Wrong(format!("{place}: {why}")))?);
        }
        for (name, value) in found {
            let known = keys::find(&name);
            let (key, _) =
                known.ok_or_else(|| Wrong(format!("{place}: {}", keys::unknown(&name))))?;
            self.set(&key, value, &place, Source::File(path.into()))?;
        }
        Ok(())
    }

    /// Channels as a variable has them: names and kinds, commas between.
    fn read_list(&mut self, variable: &str, text: &str) -> Result<(), Wrong> {
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (name, kind) = one.split_once('=').ok_or_else(|| {
                Wrong(format!(
                    "{variable}: {one:?} is not of the form NAME=KIND, as in orders=acknowledged"
                ))
            })?;
            let key = Key::Channel(name.trim().into(), "kind");
            let kind = Value::String(kind.trim().into());
            self.set(&key, kind, variable, Source::Environment(variable.into()))?;
        }
        Ok(())
    }

    /// Sets one key, if that alone is a valid configuration.
    fn set(&mut self, key: &Key, value: Value, place: &str, source: Source) -> Result<(), Wrong> {
        if let Key::Channel(name, "kind") = key
            && self.sources.get(&key.to_string()) == Some(&source)
        {
            return Err(Wrong(format!("{place}: channel {name:?} is declared twice")));
        }
        let mut alone = Table::new();
        insert(&mut alone, &key.path(), value.clone());
        Settings::deserialize(alone).map_err(|error| {
            let message = one_line(error.message());
            Wrong(format!("{place}: {key} = {value}: {message}"))
        })?;
        insert(&mut self.table, &key.path(), value);
        self.sources.insert(key.to_string(), source);
        Ok(())
    }

    /// A list with what it already has in front.
    fn longer(&self, key: &Key, value: Value) -> Value {
        match (show::look_up(&self.table, key), value) {
            (Some(Value::Array(before)), Value::Array(more)) => {
                Value::Array(before.iter().cloned().chain(more).collect())
            }
            (_, value) => value,
        }
    }
}

/// Also what is no regular file, such as a pipe of the shell; but no more than a configuration can have.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// The values of a table by their dotted names. Of the settings none is a table, so a table is a
/// section, except for an empty one, which says nothing.
fn leaves(prefix: &str, table: Table, found: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let is_section = keys::all().any(|(key, _)| key.starts_with(&format!("{name}.")));
        match value {
            Value::Table(table) if is_section => leaves(&name, table, found),
            value => found.push((name, value)),
        }
    }
}

/// The options of all channels by their dotted names. A channel's own name may have dots.
fn options(declared: Value) -> Result<Vec<(String, Value)>, String> {
    let within = |name: &str| format!("write a table, [{name}] with kind = \"acknowledged\"");
    let Value::Table(channels) = declared else {
        return Err(format!("channels = {declared}: {}", within("channels.NAME")));
    };
    let mut found = Vec::new();
    for (name, options) in channels {
        let name = format!("{}.{name}", keys::CHANNELS);
        match options {
            Value::Table(options) if options.is_empty() => {
                return Err(format!("{name} says nothing: {}", within(&name)));
            }
            Value::Table(options) => {
                let option = |(option, value)| (format!("{name}.{option}"), value);
                found.extend(options.into_iter().map(option));
            }
            other => return Err(format!("{name} = {other}: {}", within(&name))),
        }
    }
    Ok(found)
}

fn insert(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            table.insert((*name).into(), value);
        }
        [section, rest @ ..] => {
            let entry = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(table) = entry {
                insert(table, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
