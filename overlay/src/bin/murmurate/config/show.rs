//! The effective configuration, with where each value is from.
//!
//! It holds no secrets to redact: those come from files, of which only the paths are shown.

use std::fmt::Write as _;

use serde_json::json;
use toml::{Table, Value};

use super::{Config, keys};

impl Config {
    /// As TOML that can be used as a configuration file.
    pub(crate) fn to_toml(&self) -> String {
        let table = self.table();
        let mut text = String::new();
        let mut section = "";
        for (key, source) in self.in_order() {
            let (of, name) = key.rsplit_once('.').unwrap_or(("", key));
            if of != section {
                section = of;
                let _ = writeln!(text, "\n[{section}]");
            }
            let _ = match look_up(&table, key) {
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
            .map(|(key, source)| (key.to_owned(), json!(source.to_string())))
            .collect();
        json!({ "config": self.table(), "sources": sources })
    }

    fn table(&self) -> Table {
        // Settings came out of a table, so they fit into one.
        Table::try_from(&self.settings).unwrap_or_default()
    }

    fn in_order(&self) -> impl Iterator<Item = (&'static str, &super::Source)> {
        let source = |key| self.sources.get(key).unwrap_or(&super::Source::Default);
        keys::KEYS.into_iter().map(move |(key, _)| (key, source(key)))
    }
}

/// The value of a dotted name.
pub(super) fn look_up<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => look_up(table.get(section)?.as_table()?, rest),
    }
}
