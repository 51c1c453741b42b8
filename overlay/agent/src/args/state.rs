//! What can be said of the state that the cluster shares.

use clap::{Args, Subcommand};
use murmurate_services::Flag;

use super::{Client, pair};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate members
  murmurate members --all
  murmurate members --tag role=web --json | jq -r .node

Without --all these are the node's own neighbours and those that it keeps in reserve. All nodes of the cluster \
    are known to nodes with cluster.enabled = true.")]
pub(crate) struct Members {
    /// All nodes of the cluster, also those that failed a short while ago
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those of all nodes that have this tag; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate kv put sky blue
  murmurate kv get sky
  date | murmurate kv put clock -
  murmurate kv list config/
  murmurate kv watch config/ --json

Every node has all values, and answers at once. Of writes at the same time the latest counts. Nodes need \
    cluster.enabled = true.")]
pub(crate) struct Kv {
    #[command(subcommand)]
    pub(crate) command: KvCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print a value; the exit status is 1 if there is none
    Get {
        /// The key
        key: String,
        #[command(flatten)]
        client: Client,
    },
    /// Write a value
    Put {
        /// The key
        key: String,
        /// The value; - reads any bytes from standard input
        value: String,
        #[command(flatten)]
        client: Client,
    },
    /// Remove a value; the exit status is 1 if there is none
    Delete {
        /// The key
        key: String,
        #[command(flatten)]
        client: Client,
    },
    /// Print all keys and values
    List {
        /// Only keys that begin so
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        client: Client,
    },
    /// Print all keys and values, and then each that changes
    Watch {
        /// Only keys that begin so
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate flag new-nest
  murmurate flag new-nest on
  murmurate flag new-nest 12.5%
  murmurate flag new-nest keys:alice,bob

With a percentage it is on for that share of all keys, always the same ones. Nodes need \
    cluster.enabled = true.")]
pub(crate) struct FlagCommand {
    /// The flag
    pub(crate) name: String,
    /// What it is to say: on, off, a percentage, or keys:KEY,KEY...
    #[arg(value_parser = flag)]
    pub(crate) set: Option<Flag>,
    #[command(flatten)]
    pub(crate) client: Client,
}

fn flag(text: &str) -> Result<Flag, String> {
    let allowed = "allowed are on, off, a percentage from 0% to 100%, and keys:KEY,KEY";
    match text {
        "on" => Ok(Flag::On),
        "off" => Ok(Flag::Off),
        _ => match (text.strip_prefix("keys:"), text.strip_suffix('%')) {
            (Some(keys), _) => Ok(Flag::Keys(keys.split(',').map(str::to_owned).collect())),
            (None, Some(share)) => {
                let share = share.parse().ok().filter(|share| (0.0..=100.0).contains(share));
                let share: f64 = share.ok_or(allowed)?;
                Ok(Flag::Share((share * 100.0).round() as u16))
            }
            (None, None) => Err(allowed.into()),
        },
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate groups chat
  murmurate groups chat lobby --json")]
pub(crate) struct Groups {
    /// The scope
    pub(crate) scope: String,
    /// The group; without one, the scope's groups are listed
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Args)]
pub(crate) struct Presence {
    /// The topic
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) client: Client,
}
