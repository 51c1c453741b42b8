//! The channels of an agent: tables `[channels.NAME]`, whose names are the user's.

use std::collections::BTreeMap;

use murmurate::{Channel, ChannelOptions, DeclarationError};
use serde::{Deserialize, Serialize};

/// What a channel promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    BestEffort,
    Acknowledged,
    Latest,
    Request,
}

impl Kind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "best-effort",
            Self::Acknowledged => "acknowledged",
            Self::Latest => "latest",
            Self::Request => "request",
        }
    }
}

/// Which connections it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Traffic {
    Small,
    Bulk,
}

/// What happens when a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overflow {
    Wait,
    DropOldest,
    DropNewest,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Declared {
    /// The only one without a default; a layer of its own may say the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    pub(crate) traffic: Traffic,
    pub(crate) overflow: Overflow,
    pub(crate) compressed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// They refuse what is no option.
    #[serde(flatten, with = "murmurate::keys")]
    pub(crate) options: ChannelOptions,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            kind: None,
            traffic: Traffic::Small,
            overflow: Overflow::Wait,
            compressed: false,
            role: None,
            options: ChannelOptions::default(),
        }
    }
}

/// By name.
pub(crate) type Channels = BTreeMap<String, Declared>;

/// What to say of a channel without a kind.
const KINDS: &str = "say one of \"best-effort\", \"acknowledged\", \"latest\", \"request\"";

/// As the library takes them.
///
/// # Errors
/// One has no kind.
pub(super) fn declare(channels: &Channels) -> Result<Vec<Channel>, (String, String)> {
    let one = |(name, declared): (&String, &Declared)| {
        let key = format!("channels.{name}.kind");
        let message = format!("{key} is not set: {KINDS}");
        let kind = declared.kind.ok_or((key, message));
        let channel = match kind? {
            Kind::BestEffort => Channel::best_effort(name),
            Kind::Acknowledged => Channel::acknowledged(name),
            Kind::Latest => Channel::latest(name),
            Kind::Request => Channel::request(name),
        };
        let channel = channel
            .traffic(match declared.traffic {
                Traffic::Small => murmurate::Traffic::Small,
                Traffic::Bulk => murmurate::Traffic::Bulk,
            })
            .overflow(match declared.overflow {
                Overflow::Wait => murmurate::Overflow::Wait,
                Overflow::DropOldest => murmurate::Overflow::DropOldest,
                Overflow::DropNewest => murmurate::Overflow::DropNewest,
            })
            .options(declared.options.clone());
        let channel = if declared.compressed { channel.compressed() } else { channel };
        Ok(match &declared.role {
            Some(role) => channel.role(role),
            None => channel,
        })
    };
    channels.iter().map(one).collect()
}

/// A declaration's error: the setting, and what to say, with the setting's whole name in front.
pub(super) fn qualified(error: &DeclarationError) -> (String, String) {
    match error {
        DeclarationError::OutOfRange { channel, option } => (
            format!("channels.{channel}.{}", option.name()),
            format!("channels.{channel}.{option}"),
        ),
        DeclarationError::Role { channel, role } => {
            (format!("channels.{channel}.role"), format!("channels.{channel}.{role}"))
        }
        DeclarationError::Name(name) => {
            let message = format!("channels.{name:?}: a channel's name must have 1 to 64 bytes");
            (String::new(), message)
        }
        error => (String::new(), format!("channels: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_librarys() {
        for (kind, plain) in [
            (Kind::BestEffort, Channel::best_effort("c")),
            (Kind::Acknowledged, Channel::acknowledged("c")),
            (Kind::Latest, Channel::latest("c")),
            (Kind::Request, Channel::request("c")),
        ] {
            let declared = Declared { kind: Some(kind), ..Declared::default() };
            let channels = Channels::from([("c".to_owned(), declared)]);
            let channels = declare(&channels).expect("complete");
            assert_eq!(format!("{channels:?}"), format!("[{plain:?}]"));
            let written = toml::Value::try_from(kind).expect("a word");
            assert_eq!(written.as_str(), Some(kind.name()));
        }
    }
}
