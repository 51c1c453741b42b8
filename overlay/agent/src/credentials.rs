//! `murmurate keygen`, `id`, `secret` and `ca`: what nodes prove themselves with, as files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use murmurate::NodeId;
use murmurate::admission::{Authority, Certificate, Revocations, Secret};
use murmurate::identity::Keypair;
use serde_json::json;

use crate::failure::{Outcome, Usage, say};
use crate::{identity, secret_file};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate keygen /etc/murmurate/identity
  murmurate node --identity-file /etc/murmurate/identity

Prints the id that the key gives a node. The file must not exist yet.")]
pub(crate) struct Keygen {
    /// The file to write, which only its owner may read
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate id /etc/murmurate/identity
  murmurate id /var/lib/murmurate/identity >> allowlist")]
pub(crate) struct Id {
    /// A file as `murmurate keygen` writes it, or `identity` in a state directory
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  murmurate ca init ca.key                        prints the authority's id
  murmurate ca issue --ca ca.key --network flock NODE > node.cert
  murmurate ca show node.cert
  murmurate ca renew --ca ca.key --network flock node.cert
  murmurate ca revoke --ca ca.key --list revoked NODE

Nodes need the authority's id and their own certificate, and never its key: keep that offline.")]
pub(crate) struct Ca {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make the key of a new authority and print its id
    Init {
        /// The file to write, which only its owner may read
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a certificate for a node
    Issue {
        #[command(flatten)]
        by: By,
        /// The network that the node belongs to
        #[arg(long)]
        network: String,
        /// A role that the node has; can be repeated
        #[arg(long)]
        role: Vec<String>,
        /// The node's id, as `murmurate id` prints it
        node: NodeId,
    },
    /// Issue a certificate again, in place, so that it is valid for longer
    Renew {
        #[command(flatten)]
        by: By,
        /// The network that the node belongs to
        #[arg(long)]
        network: String,
        /// The certificate's file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Withdraw all certificates that a node has until now
    Revoke {
        /// The authority's key
        #[arg(long, value_name = "FILE")]
        ca: PathBuf,
        /// The list of revocations to add to, which is made if it does not exist
        #[arg(long, value_name = "FILE")]
        list: PathBuf,
        /// The node's id
        node: NodeId,
    },
    /// Show what a certificate says
    Show {
        /// The certificate's file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Who issues for how long.
#[derive(Debug, Args)]
struct By {
    /// The authority's key
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// For how long the certificate is valid: 1h to 5y
    #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = validity)]
    validity: Duration,
}

impl By {
    fn valid(&self) -> std::ops::Range<SystemTime> {
        now()..now() + self.validity
    }
}

fn validity(text: &str) -> Result<Duration, String> {
    let (least, most) =
        (Duration::from_secs(3_600), Duration::from_secs(5 * 365 * 86_400 + 2 * 86_400));
    let time = humantime::parse_duration(text).ok().filter(|time| (least..=most).contains(time));
    time.ok_or_else(|| "allowed is a time from 1h to 5y, like 90d".into())
}

#[allow(
    clippy::disallowed_methods,
    reason = "certificates are about the time that clocks on walls show"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Box<dyn std::error::Error> {
    format!("{}: {why}", path.display()).into()
}

fn new_key(path: &Path) -> Result<Keypair, Box<dyn std::error::Error>> {
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding()?;
    secret_file::create(path, &bytes).map_err(|error| wrong(path, error))?;
    Ok(key)
}

fn authority(path: &Path) -> Result<Authority, Box<dyn std::error::Error>> {
    let key = identity::read(path).map_err(|why| wrong(path, why))?;
    Authority::new(key).map_err(|error| wrong(path, error))
}

/// What a file holds that is no secret.
fn document<T: std::str::FromStr<Err: std::fmt::Display>>(
    path: &Path,
) -> Result<T, Box<dyn std::error::Error>> {
    let text = secret_file::read_public(path).and_then(secret_file::text);
    let text = text.map_err(|why| wrong(path, why))?;
    text.parse().map_err(|error| wrong(path, error))
}

fn write(path: &Path, document: impl std::fmt::Display) -> Result<(), Box<dyn std::error::Error>> {
    let text = format!("{document}\n");
    secret_file::replace(path, text.as_bytes()).map_err(|error| wrong(path, error))
}

pub(crate) fn keygen(options: &Keygen) -> Outcome {
    let key = new_key(&options.file)?;
    say(NodeId::try_from(&key.public())?)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn id(options: &Id) -> Outcome {
    let key = identity::read(&options.file).map_err(|why| wrong(&options.file, why))?;
    say(NodeId::try_from(&key.public())?)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn generate_secret(file: Option<&Path>) -> Outcome {
    let secret = Secret::generate();
    match file {
        None => say(secret.to_text().as_str())?,
        Some(file) => {
            let text = zeroize::Zeroizing::new(format!("{}\n", *secret.to_text()));
            let created = secret_file::create(file, text.as_bytes());
            created.map_err(|error| wrong(file, error))?;
            say(secret.id())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn ca(options: Ca) -> Outcome {
    match options.command {
        CaCommand::Init { file } => {
            say(Authority::new(new_key(&file)?)?.id())?;
        }
        CaCommand::Issue { by, network, role, node } => {
            let roles = role.iter().map(String::as_str);
            let issued = authority(&by.ca)?.issue(&network, node, by.valid(), roles);
            say(issued.map_err(|error| Usage(error.to_string()))?)?;
        }
        CaCommand::Renew { by, network, file } => {
            let authority = authority(&by.ca)?;
            let old: Certificate = document(&file)?;
            if !old.is_of(authority.id()) {
                return Err(wrong(&file, "this authority did not issue it"));
            }
            if !old.is_for(&network) {
                return Err(wrong(&file, format!("it is not for network {network:?}")));
            }
            write(&file, authority.issue(&network, old.node(), by.valid(), old.roles())?)?;
            say(shown(&document(&file)?))?;
        }
        CaCommand::Revoke { ca, list, node } => {
            let authority = authority(&ca)?;
            let before = if list.exists() { document(&list)? } else { Revocations::default() };
            let revocations = authority.revoke(&before, node, now())?;
            write(&list, &revocations)?;
            let (number, nodes) = (revocations.number(), revocations.nodes().count());
            say(format_args!("list {number}: {nodes} nodes are revoked"))?;
        }
        CaCommand::Show { file, json } => {
            let certificate: Certificate = document(&file)?;
            if json {
                let roles: Vec<_> = certificate.roles().collect();
                let not_after = humantime::format_rfc3339_seconds(certificate.not_after());
                let node = certificate.node().to_string();
                say(json!({
                    "node": node, "not_after": not_after.to_string(), "roles": roles,
                }))?;
            } else {
                say(shown(&certificate))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(certificate: &Certificate) -> String {
    let roles: Vec<_> = certificate.roles().collect();
    let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
    let until = humantime::format_rfc3339_seconds(certificate.not_after());
    format!("node         {}\nvalid until  {until}\nroles        {roles}", certificate.node())
}
