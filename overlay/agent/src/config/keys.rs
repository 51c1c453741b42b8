//! The settings by name, in the order they are shown.

use std::fmt;
use std::sync::LazyLock;

use murmurate::broadcast::{anti_entropy, plumtree};
use murmurate::membership::parameters::{self, Parameter, ParameterSet as _};
use murmurate::membership::{full_mesh, hyparview, static_overlay};
use murmurate::{ChannelOptions, Limits};

/// What a setting's text means where it is not TOML: in the environment and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One word: a name, a time, a path, an address.
    Text,
    /// Words, a comma between.
    List,
    /// A whole number, or a word.
    Number,
    /// `true` or `false`.
    Switch,
}

use Kind::{List, Number, Switch, Text};

/// Settings that are no parameters: in front of the limits, between them and the strategies', behind
/// all.
const FIRST: [(&str, Kind); 19] = [
    ("network", Text),
    ("listen", List),
    ("advertise", List),
    ("join", List),
    ("catch_up", List),
    ("first", Switch),
    ("state_dir", Text),
    ("identity_file", Text),
    ("metrics", Text),
    ("admin", Text),
    ("log.level", Text),
    ("log.format", Text),
    ("admission.mode", Text),
    ("admission.secret_file", Text),
    ("admission.allowlist_file", Text),
    ("admission.authorities", List),
    ("admission.certificate_file", Text),
    ("admission.revocations_file", Text),
    ("admission.signed", Switch),
];
const CHOICE: [(&str, Kind); 2] = [("strategies.membership", Text), ("strategies.broadcast", Text)];
const LAST: [(&str, Kind); 12] = [
    ("discovery.file", Text),
    ("discovery.mdns", Switch),
    ("discovery.dns.name", Text),
    ("discovery.dns.port", Number),
    ("discovery.dns.srv", Switch),
    ("discovery.dns.interval", Text),
    ("discovery.dns.server", Text),
    ("cluster.enabled", Switch),
    ("cluster.name", Text),
    ("cluster.region", Text),
    ("cluster.tags", List),
    ("cluster.expected", Number),
];

/// The sections of parameters, with those that have a key there.
pub(crate) const SECTIONS: [(&str, &[Parameter]); 6] = [
    ("limits", Limits::PARAMETERS),
    ("membership", hyparview::Parameters::PARAMETERS),
    ("full_mesh", full_mesh::Parameters::PARAMETERS),
    ("static", static_overlay::Parameters::PARAMETERS),
    ("broadcast", plumtree::Parameters::PARAMETERS),
    // The last one is whether to catch up, which is said by topic.
    ("anti_entropy", anti_entropy::Parameters::PARAMETERS.split_at(8).0),
];

static KEYS: LazyLock<Vec<(String, Kind)>> = LazyLock::new(|| {
    let plain = |(key, kind): (&str, Kind)| (key.to_owned(), kind);
    let parameters = |(section, table): (&'static str, &'static [Parameter])| {
        table.iter().map(move |of| (format!("{section}.{}", of.name), of.kind.into()))
    };
    let [limits, strategies @ ..] = SECTIONS;
    let first = FIRST.into_iter().map(plain).chain(parameters(limits));
    let strategies =
        CHOICE.into_iter().map(plain).chain(strategies.into_iter().flat_map(parameters));
    first.chain(strategies).chain(LAST.into_iter().map(plain)).collect()
});

/// Every setting there is.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Kind)> {
    KEYS.iter().map(|(key, kind)| (key.as_str(), *kind))
}

impl From<parameters::ValueKind> for Kind {
    fn from(kind: parameters::ValueKind) -> Self {
        match kind {
            parameters::ValueKind::Switch => Switch,
            parameters::ValueKind::Number { .. } => Number,
            parameters::ValueKind::Time { .. } => Text,
        }
    }
}

/// What a channel can be told, in tables `channels.NAME`.
pub(crate) fn of_channel() -> impl Iterator<Item = (&'static str, Kind)> {
    let options = ChannelOptions::PARAMETERS.iter().map(|of| (of.name, of.kind.into()));
    [("kind", Text), ("traffic", Text), ("overflow", Text), ("compressed", Switch), ("role", Text)]
        .into_iter()
        .chain(options)
}

/// Where the channels are.
pub(crate) const CHANNELS: &str = "channels";

/// Which setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// One of [`all`].
    Setting(&'static str),
    /// One [`of_channel`], of the channel of this name, which may have dots.
    Channel(String, &'static str),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(key) => f.write_str(key),
            Self::Channel(name, option) => write!(f, "{CHANNELS}.{name}.{option}"),
        }
    }
}

impl Key {
    /// The tables it is in, one in the other, and its own name.
    pub(crate) fn path(&self) -> Vec<&str> {
        match self {
            Self::Setting(key) => key.split('.').collect(),
            Self::Channel(name, option) => vec![CHANNELS, name, option],
        }
    }
}

/// The setting of this name, and what its text means.
pub(crate) fn find(name: &str) -> Option<(Key, Kind)> {
    if let Some((key, kind)) = all().find(|(key, _)| *key == name) {
        return Some((Key::Setting(key), kind));
    }
    let (channel, option) = option_of(name)?;
    let (option, kind) = of_channel().find(|(key, _)| *key == option)?;
    Some((Key::Channel(channel.into(), option), kind))
}

/// A channel and its option. No option has a dot, so it begins at the last one.
fn option_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(CHANNELS)?.strip_prefix('.')?.rsplit_once('.')
}

/// The one that a name looks most like, if any.
fn nearest(name: &str, of: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    of.map(|key| (strsim::jaro_winkler(name, key), key))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, key)| key)
}

/// How an unknown setting is refused: with the known one it looks most like, if any.
pub(crate) fn unknown(name: &str) -> String {
    let near = match option_of(name) {
        Some((channel, option)) => nearest(option, of_channel().map(|(key, _)| key))
            .map(|option| format!("{CHANNELS}.{channel}.{option}")),
        None => nearest(name, all().map(|(key, _)| key).chain([CHANNELS])).map(ToOwned::to_owned),
    };
    match near {
        Some(near) if near != name => format!("unknown key {name}: did you mean {near}?"),
        _ => format!("unknown key {name}: docs/agent.md lists those there are"),
    }
}

/// The environment variable that sets `key`.
pub(crate) fn variable(key: &str) -> String {
    format!("MURMURATE_{}", key.replace('.', "_").to_uppercase())
}

/// Text as the TOML value it stands for.
pub(crate) fn value(kind: Kind, text: &str) -> toml::Value {
    let word = |text: &str| toml::Value::String(text.to_owned());
    match kind {
        Text => word(text),
        List => {
            let words = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            toml::Value::Array(words.map(word).collect())
        }
        Number => text.parse().map_or_else(|_| word(text), toml::Value::Integer),
        Switch => text.parse().map_or_else(|_| word(text), toml::Value::Boolean),
    }
}
