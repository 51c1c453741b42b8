//! The effective configuration, with where each value is from.
//!
//! It holds no secrets to redact: those come from files, of which only the paths are shown.

use std::fmt::Write as _;

use serde_json::json;
use toml::{Table, Value};

use super::keys::Key;
use super::{Config, Source, keys};

impl Config {
    /// As TOML that can be used as a configuration file.
    pub(crate) fn to_toml(&self) -> String {
        let table = self.table();
        let mut text = String::new();
        let mut section = String::new();
        for (key, source) in self.in_order() {
            let mut path = key.path();
            let name = path.pop().unwrap_or_default();
            // A channel may have any name.
            let of: Vec<_> = path.into_iter().map(quoted).collect();
            let of = of.join(".");
            if of != section {
                section = of;
                let _ = writeln!(text, "\n[{section}]");
            }
            let _ = match look_up(&table, &key) {
                Some(value) => writeln!(text, "{:<44} # {source}", format!("{name} = {value}")),
                None => writeln!(text, "# {name} is not set"),
            };
        }
        text
    }

    /// As one JSON object.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let sources: serde_json::Map<_, _> = self
            .in_order()
            .map(|(key, source)| (key.to_string(), json!(source.to_string())))
            .collect();
        json!({ "config": self.table(), "sources": sources })
    }

    fn table(&self) -> Table {
        // Settings came out of a table, so they fit into one.
        Table::try_from(&self.settings).unwrap_or_default()
    }

    fn in_order(&self) -> impl Iterator<Item = (Key, &Source)> {
        let settings = keys::all().map(|(key, _)| Key::Setting(key));
        let channels = self.settings.channels.keys().flat_map(|name| {
            keys::of_channel().map(move |(option, _)| Key::Channel(name.clone(), option))
        });
        settings.chain(channels).map(|key| {
            let source = self.sources.get(&key.to_string()).unwrap_or(&Source::Default);
            (key, source)
        })
    }
}

/// A table's name as TOML has it.
fn quoted(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    // JSON's strings are TOML's of one line.
    json!(name).to_string()
}

/// The value of a setting.
pub(super) fn look_up<'a>(table: &'a Table, key: &Key) -> Option<&'a Value> {
    let mut path = key.path();
    let name = path.pop()?;
    let within = |table: &'a Table, section: &str| table.get(section)?.as_table();
    path.into_iter().try_fold(table, within)?.get(name)
}
