//! What can be said on the command line.

mod state;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use murmurate::admission::SecretId;

use crate::config::Flags;
use crate::{cluster, credentials};
pub(crate) use state::{FlagCommand, Groups, Kv, KvCommand, Members, Presence};

/// Runs a node of a gossip overlay, and controls running nodes.
#[derive(Debug, Parser)]
#[command(name = "murmurate", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  murmurate node --first                              start the first node
  murmurate node --join seed.example:7400             start another one
  murmurate members                                   list the nodes it knows
  murmurate members --all                             list all nodes
  murmurate broadcast news 'hello, flock'             reach all subscribers
  murmurate subscribe news --json | jq .text          print what others say
  murmurate send --to NODE --channel orders 'a dozen' send to one node
  murmurate graph | dot -Tsvg > overlay.svg           draw the overlay

The exit status is 0 on success, 1 if the operation failed, and 2 for wrong usage or \
    configuration.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until it is told to leave
    Node(Box<Node>),
    /// Check a configuration and show the resulting settings
    CheckConfig(Box<CheckConfig>),
    /// Run a whole cluster in one process, to experiment with
    Cluster(cluster::Options),
    /// List the nodes that a running node knows
    Members(Members),
    /// Publish a message through a running node
    Broadcast(Broadcast),
    /// Print the messages that a running node receives on a topic
    Subscribe(Subscribe),
    /// Send a message to one node, on a channel
    Send(Send),
    /// Send a request to one node and print its answer
    Request(Request),
    /// Print the messages that a running node receives on a channel
    Listen(Listen),
    /// Show the identity and the neighbours of a running node
    Info(Client),
    /// Tell a running node to join through more contacts
    Join(Join),
    /// Tell a running node to leave the overlay and exit
    Leave(Client),
    /// Ask all nodes for their neighbours and draw the overlay
    Graph(Graph),
    /// Read and change the values that the cluster shares
    Kv(Kv),
    /// Read and set the cluster's flags
    Flag(FlagCommand),
    /// List the groups of a scope, or the members of a group
    Groups(Groups),
    /// List who is present on a topic
    Presence(Presence),
    /// List the names that somebody has
    Names(Client),
    /// Make the key of a new identity and print its id
    Keygen(credentials::Keygen),
    /// Print the id of a node whose identity is in a file
    Id(credentials::Id),
    /// Make secrets, and change those of a running cluster
    Secret(Secret),
    /// Issue, renew and revoke the certificates of nodes
    Ca(credentials::Ca),
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

const SETTINGS: &str = "Every setting KEY of the configuration file can also be given as --set KEY=VALUE, or as an \
    environment variable: MURMURATE_KEY, in capitals and with underscores instead of dots. Flags \
    override the environment, the environment overrides the file, and the file overrides the \
    defaults. The items of a list are separated by commas. Empty variables, and those with other \
    names, are ignored. Channels are tables, [channels.NAME]: --channel and MURMURATE_CHANNELS \
    declare them as NAME=KIND, and --set channels.NAME.OPTION=VALUE sets their options.";

const NODE: &str = "Examples:
  murmurate node --first --metrics 127.0.0.1:7401
  murmurate node --config murmurate.toml --set limits.max_frame=65536
  MURMURATE_JOIN=one:7400,two:7400 murmurate node
  murmurate node --channel orders=acknowledged --set channels.orders.timeout=5s
  murmurate node --listen /ip4/127.0.0.1/tcp/0 --admin ./a.sock --json

On SIGTERM or SIGINT the node stops being ready, leaves the overlay and exits with status 0. On \
    a second one it exits at once with status 1. On SIGHUP it reads the files of admission again.";

const CHECK: &str = "Examples:
  murmurate check-config --config murmurate.toml
  MURMURATE_NETWORK=flock murmurate check-config --json | jq .sources";

#[derive(Debug, Args)]
#[command(after_help = NODE, after_long_help = format!("{SETTINGS}\n\n{NODE}"))]
pub(crate) struct Node {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print one JSON object on standard output once the node is running
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = CHECK, after_long_help = format!("{SETTINGS}\n\n{CHECK}"))]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print one JSON object with the configuration and where each value comes from
    #[arg(long)]
    pub(crate) json: bool,
}

/// What configures a node. The values are checked where all layers are.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "MURMURATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The overlay that the node belongs to
    #[arg(long)]
    network: Option<String>,
    /// Listen on this address; can be repeated [default: /ip4/0.0.0.0/tcp/7400]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Tell others to dial this address instead of those the node listens on; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    advertise: Vec<String>,
    /// Join through this node, given as host:port or as an address; can be repeated
    #[arg(long, value_name = "CONTACT")]
    join: Vec<String>,
    /// This is the first node, so it is ready without neighbours
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    first: Option<String>,
    /// Keep the identity and the known peers in this directory
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<String>,
    /// Read the identity from this file
    #[arg(long, value_name = "FILE")]
    identity_file: Option<String>,
    /// Serve /metrics, /livez and /readyz on this address, or "off" [default: off]
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<String>,
    /// The path of the admin socket
    #[arg(long, value_name = "PATH")]
    admin: Option<String>,
    /// Declare a channel of kind best-effort, acknowledged, latest or request; can be repeated
    #[arg(long, value_name = "NAME=KIND", value_parser = channel)]
    channel: Vec<(String, String)>,
    /// What to log: error, warn, info, debug, trace, or directives such as info,murmurate=debug
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// How to log: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Set any setting of the configuration file by its full name; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("allowed is KEY=VALUE")?;
    Ok((key.trim().into(), value.trim().into()))
}

fn channel(text: &str) -> Result<(String, String), String> {
    let allowed = "allowed is NAME=KIND, as in orders=acknowledged";
    let (name, kind) = text.rsplit_once('=').ok_or(allowed)?;
    Ok((format!("channels.{}.kind", name.trim()), kind.trim().into()))
}

impl Settings {
    /// The settings that were given as flags.
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        for (key, value) in &self.set {
            flags.set(key, value, "--set");
        }
        for (key, flag, value) in [
            ("network", "--network", &self.network),
            ("first", "--first", &self.first),
            ("state_dir", "--state-dir", &self.state_dir),
            ("identity_file", "--identity-file", &self.identity_file),
            ("metrics", "--metrics", &self.metrics),
            ("admin", "--admin", &self.admin),
            ("log.level", "--log-level", &self.log_level),
            ("log.format", "--log-format", &self.log_format),
        ] {
            if let Some(value) = value {
                flags.set(key, value, flag);
            }
        }
        for (key, flag, values) in [
            ("listen", "--listen", &self.listen),
            ("advertise", "--advertise", &self.advertise),
            ("join", "--join", &self.join),
        ] {
            for value in values {
                flags.set(key, value, flag);
            }
        }
        for (key, kind) in &self.channel {
            flags.set(key, kind, "--channel");
        }
        flags
    }
}

/// How to reach a running node.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// The node's admin socket [default: the first existing one of the default paths]
    #[arg(long, value_name = "PATH", env = "MURMURATE_ADMIN")]
    pub(crate) admin: Option<PathBuf>,
    /// How long the node may take to answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) timeout: Duration,
    /// Print only JSON on standard output, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "allowed is a time above zero like 500ms, 5s or 1m".into())
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate join seed.example:7400
  murmurate join 10.0.0.7:7400 10.0.0.8:7400 --json

Use it for a node that found nobody, or to merge its overlay with another one. The command is \
    done once a contact answers. Contacts that do not answer are tried again for the node's \
    limits.join_wait, and then in the background for a day. If none answers in time, the exit status \
    is 1 and the error says why.")]
pub(crate) struct Join {
    /// Nodes to join through, given as host:port or as addresses
    #[arg(required = true, value_name = "CONTACT", value_parser = contact)]
    pub(crate) contacts: Vec<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

/// Checked here, so that a mistake is wrong usage; sent as it was given.
fn contact(text: &str) -> Result<String, String> {
    let read = murmurate::discovery::parse_contact(text);
    read.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate broadcast news 'hello, flock'
  date | murmurate broadcast clock -

Prints the name of the message. The node's own subscribers do not get it.")]
pub(crate) struct Broadcast {
    /// The topic to publish on
    pub(crate) topic: String,
    /// The data to publish; - reads any bytes from standard input
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate subscribe news
  murmurate subscribe news --count 1
  murmurate subscribe news --json | jq -r '.data | @base64d'

Data that is not UTF-8 is printed with replacement characters. With --json, \"data\" is the \
    base64 of the exact bytes, and \"text\" is present if they are UTF-8. Messages that were lost \
    because they were not read in time are reported on standard error, or with --json as \
    {\"lagged\":COUNT}.")]
pub(crate) struct Subscribe {
    /// The topic
    pub(crate) topic: String,
    /// Exit after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) client: Client,
}

/// What to send, and to which node.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// The node's id, as `murmurate info` and `murmurate members` print it
    #[arg(long, value_name = "NODE")]
    pub(crate) to: String,
    /// The channel, as both nodes declare it
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: String,
    /// The message; if it is - or missing, any bytes are read from standard input
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate send --to NODE --channel orders 'a dozen eggs'
  murmurate send --to NODE --channel orders --key alice < order.json
  murmurate send --to NODE --channel orders --json 'a dozen eggs' | jq .outcome

Prints the outcome of the message. On success the exit status is 0:
  delivered    the receiving application has acknowledged it
  sent         it is on its way; a best-effort channel does not tell more
Otherwise the exit status is 1:
  gone         the receiver ended, and may or may not have got it
  timed out    the receiver did not answer; it may or may not have got it
  dropped      the receiving application dropped it without acknowledging it
  shed         it was not sent, because another message took its place
  unreachable  the node could not be reached, for the reason given
  refused      it was not accepted, for the reason given")]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) to: To,
    /// Keep the order among messages with the same key, on a channel with parallelism
    #[arg(long)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate request --to NODE --channel ask 'how are you?'
  date | murmurate request --to NODE --channel ask --timeout 2s

The channel must be of kind request. Without an answer the exit status is 1, and the error says \
    why.")]
pub(crate) struct Request {
    #[command(flatten)]
    pub(crate) to: To,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate listen --channel orders
  murmurate listen --channel orders --count 1 --json | jq -r '.data | @base64d'
  murmurate listen --channel ask --answer 'I am fine'

Prints the sender and the message. A message counts as delivered once it is printed. If this \
    command ends before that, the message waits for the next one that listens. If several listen, \
    each message goes to one of them.")]
pub(crate) struct Listen {
    /// The channel
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: String,
    /// Answer each request with this text
    #[arg(long, value_name = "TEXT", conflicts_with = "echo")]
    pub(crate) answer: Option<String>,
    /// Answer each request with its own content
    #[arg(long)]
    pub(crate) echo: bool,
    /// Exit after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate secret generate new      prints its id
  murmurate secret install new       all nodes accept it, too
  murmurate secret use ID            all nodes prove it
  murmurate secret remove OLD-ID     no node accepts the old one any more
  murmurate secret list

The steps of a rotation, one after the other: each ends when all nodes have made it, and prints how \
    many of how many have. If some are silent, the exit status is 1: say it again before the next step.")]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Make a new secret: print it, or write it to a file and print its id
    Generate {
        /// The file to write, which only its owner may read
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Have all nodes accept a secret, beside those they have
    Install {
        /// A file with the secret alone; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        client: Client,
    },
    /// Have all nodes prove a secret that they have, which they print the id of
    Use {
        /// The secret's id
        id: SecretId,
        #[command(flatten)]
        client: Client,
    },
    /// Have no node accept a secret any more
    Remove {
        /// The secret's id
        id: SecretId,
        #[command(flatten)]
        client: Client,
    },
    /// List the ids of a node's secrets, that of the one it proves first
    List(Client),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate graph | dot -Tsvg > overlay.svg
  murmurate graph --format graphml > overlay.graphml   for Gephi
  murmurate graph --format json > overlay.json         for NetworkX

Links of the broadcast tree are bold and blue, links that only one side reports are dashed, and \
    nodes that did not answer are red.")]
pub(crate) struct Graph {
    /// The format to print; --json is the same as --format json
    #[arg(long, value_enum, default_value = "dot")]
    pub(crate) format: GraphFormat,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// For Graphviz
    Dot,
    /// For Gephi and other programs
    Graphml,
    /// Node-link JSON for NetworkX
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Prose is one line for each paragraph, which is wrapped to the terminal; the rest must fit it.
    #[test]
    fn examples_fit_a_terminal() {
        let mut cli = Cli::command();
        cli.build();
        let mut all = vec![cli];
        while let Some(command) = all.pop() {
            all.extend(command.get_subcommands().cloned());
            let texts = [command.get_after_help(), command.get_after_long_help()];
            for text in texts.into_iter().flatten().map(ToString::to_string) {
                for example in text.lines().filter(|line| line.starts_with("  ")) {
                    assert!(example.len() <= 80, "{}: {example}", command.get_name());
                }
                for pair in text.lines().collect::<Vec<_>>().windows(2) {
                    let prose = |line: &str| !line.is_empty() && !line.starts_with("  ");
                    let wrapped = pair.iter().all(|line| prose(line));
                    assert!(!wrapped, "{}: wrapped by hand: {pair:?}", command.get_name());
                }
            }
        }
    }
}
