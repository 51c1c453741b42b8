//! The settings by name, in the order they are shown.

use std::fmt;

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

/// Every setting there is.
pub(crate) const KEYS: [(&str, Kind); 81] = [
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
    ("limits.max_frame", Number),
    ("limits.outbox_bytes", Number),
    ("limits.subscription_capacity", Number),
    ("limits.publish_wait", Text),
    ("limits.join_wait", Text),
    ("limits.handshake_wait", Text),
    ("limits.stall_wait", Text),
    ("limits.idle_wait", Text),
    ("limits.leave_wait", Text),
    ("limits.slow_bytes_per_second", Number),
    ("limits.max_connections", Number),
    ("limits.max_channel_connections", Number),
    ("strategies.membership", Text),
    ("strategies.broadcast", Text),
    ("membership.active_capacity", Number),
    ("membership.passive_capacity", Number),
    ("membership.active_walk_length", Number),
    ("membership.passive_walk_length", Number),
    ("membership.shuffle_active", Number),
    ("membership.shuffle_passive", Number),
    ("membership.shuffle_walk_length", Number),
    ("membership.shuffle_interval", Text),
    ("membership.reactive_shuffles", Number),
    ("membership.keepalive_interval", Text),
    ("membership.keepalive_misses", Number),
    ("membership.promotion_interval", Text),
    ("membership.reunion_interval", Text),
    ("membership.request_timeout", Text),
    ("membership.rejoin_pause", Text),
    ("membership.contacts_capacity", Number),
    ("full_mesh.members_capacity", Number),
    ("full_mesh.gossip_interval", Text),
    ("full_mesh.gossip_length", Number),
    ("full_mesh.keepalive_interval", Text),
    ("full_mesh.keepalive_misses", Number),
    ("full_mesh.request_timeout", Text),
    ("full_mesh.requests_capacity", Number),
    ("full_mesh.redial_pause", Text),
    ("full_mesh.forget_after", Text),
    ("full_mesh.contacts_capacity", Number),
    ("broadcast.graft_timeout", Text),
    ("broadcast.least_graft_timeout", Text),
    ("broadcast.graft_retry", Text),
    ("broadcast.graft_attempts", Number),
    ("broadcast.mend_at_once", Switch),
    ("broadcast.ihave_interval", Text),
    ("broadcast.optimization_threshold", Number),
    ("broadcast.seen_capacity", Number),
    ("broadcast.origins_capacity", Number),
    ("broadcast.origin_idle", Text),
    ("broadcast.hop_limit", Number),
    ("broadcast.payload_capacity", Number),
    ("broadcast.payload_bytes", Number),
    ("broadcast.missing_capacity", Number),
    ("anti_entropy.exchange_interval", Text),
    ("anti_entropy.patience", Text),
    ("anti_entropy.give_up_after", Text),
    ("anti_entropy.retention", Text),
    ("anti_entropy.retained", Number),
    ("anti_entropy.retained_bytes", Number),
    ("anti_entropy.batch", Number),
    ("anti_entropy.reply_bytes", Number),
    ("discovery.file", Text),
    ("discovery.mdns", Switch),
    ("discovery.dns.name", Text),
    ("discovery.dns.port", Number),
    ("discovery.dns.srv", Switch),
    ("discovery.dns.interval", Text),
    ("discovery.dns.server", Text),
];

/// What a channel can be told, in tables `channels.NAME`.
pub(crate) const CHANNEL_KEYS: [(&str, Kind); 9] = [
    ("kind", Text),
    ("parallelism", Number),
    ("traffic", Text),
    ("overflow", Text),
    ("compressed", Switch),
    ("max_message", Number),
    ("queue_messages", Number),
    ("queue_bytes", Number),
    ("timeout", Text),
];

/// Where the channels are.
pub(crate) const CHANNELS: &str = "channels";

/// Which setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// One of [`KEYS`].
    Setting(&'static str),
    /// One of [`CHANNEL_KEYS`], of the channel of this name, which may have dots.
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
    let named = |(key, _): &(&str, Kind)| *key == name;
    if let Some((key, kind)) = KEYS.into_iter().find(named) {
        return Some((Key::Setting(key), kind));
    }
    let (channel, option) = option_of(name)?;
    let (option, kind) = CHANNEL_KEYS.into_iter().find(|(key, _)| *key == option)?;
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
        Some((channel, option)) => nearest(option, CHANNEL_KEYS.into_iter().map(|(key, _)| key))
            .map(|option| format!("{CHANNELS}.{channel}.{option}")),
        None => nearest(name, KEYS.into_iter().map(|(key, _)| key).chain([CHANNELS]))
            .map(ToOwned::to_owned),
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
