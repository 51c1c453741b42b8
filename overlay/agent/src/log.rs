//! The log, on standard error.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What is logged: `info`, or directives such as `info,murmurate=debug`.
///
/// # Errors
/// It is no filter.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    // A word that is no level would name a module, all of which is logged and nothing else.
    for directive in level.split(',') {
        let said = directive.rsplit('=').next().unwrap_or_default().trim();
        if said.is_empty() || said.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "{said:?} is not a level: allowed are off, error, warn, info, debug, trace, each \
                 also after TARGET="
            ));
        }
    }
    EnvFilter::builder().parse(level).map_err(|error| error.to_string())
}

/// Begins to log. Colours are for terminals, unless `NO_COLOR` is set.
pub(crate) fn start(level: &str, format: LogFormat) -> Result<(), String> {
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
