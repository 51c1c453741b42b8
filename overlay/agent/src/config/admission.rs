//! Whom the agent's node admits, and what it proves to others: read from files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use murmurate::NodeId;
use murmurate::admission::{Admission, AuthorityId, Certificate, Certified, Revocations, Secrets};
use serde::{Deserialize, Serialize};

use crate::secret_file;

/// Whom the node admits, and what it proves to others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdmissionFiles {
    pub(crate) mode: AdmissionMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowlist_file: Option<PathBuf>,
    pub(crate) authorities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revocations_file: Option<PathBuf>,
    /// `None`: unless the overlay is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signed: Option<bool>,
}

/// What nodes prove to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AdmissionMode {
    /// Nothing but the network's name.
    #[default]
    Open,
    /// A secret that all share.
    Secret,
    /// That they are on a list.
    Allowlist,
    /// A certificate of the cluster's authority.
    Certified,
}

impl fmt::Display for AdmissionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Secret => "secret",
            Self::Allowlist => "allowlist",
            Self::Certified => "certified",
        })
    }
}

/// What is wrong: the setting, and why.
pub(crate) type Wrong = (&'static str, String);

/// What the settings and the files that they name come to.
///
/// # Errors
/// A file is not named, cannot be read, or holds something else.
pub(crate) fn read_admission(settings: &AdmissionFiles) -> Result<Admission, Wrong> {
    let mode = settings.mode;
    let needed = |key, path: &Option<PathBuf>| {
        let missing = || (key, format!("{key} is not set: admission.mode = {mode} needs it"));
        path.clone().ok_or_else(missing)
    };
    Ok(match mode {
        AdmissionMode::Open => Admission::Open,
        AdmissionMode::Secret => {
            let key = "admission.secret_file";
            let path = needed(key, &settings.secret_file)?;
            Admission::Secret(from(key, &path, secret_file::read(&path), Secrets::parse)?)
        }
        AdmissionMode::Allowlist => {
            let key = "admission.allowlist_file";
            let path = needed(key, &settings.allowlist_file)?;
            Admission::Allowlist(from(key, &path, secret_file::read_public(&path), listed)?)
        }
        AdmissionMode::Certified => Admission::Certified(Box::new(certified(settings, needed)?)),
    })
}

fn certified(
    settings: &AdmissionFiles,
    needed: impl Fn(&'static str, &Option<PathBuf>) -> Result<PathBuf, Wrong>,
) -> Result<Certified, Wrong> {
    let key = "admission.authorities";
    if settings.authorities.is_empty() {
        return Err((key, format!("{key} is empty: admission.mode = certified needs one")));
    }
    let authority =
        |text: &String| text.parse().map_err(|error| (key, format!("{key}: {text:?}: {error}")));
    let authorities: Vec<AuthorityId> =
        settings.authorities.iter().map(authority).collect::<Result<_, _>>()?;
    let key = "admission.certificate_file";
    let path = needed(key, &settings.certificate_file)?;
    let certificate = from(key, &path, secret_file::read_public(&path), str::parse::<Certificate>)?;
    let revocations = match &settings.revocations_file {
        // The first revocation makes it.
        Some(path) if !is_missing(path) => {
            let key = "admission.revocations_file";
            from(key, path, secret_file::read_public(path), str::parse::<Revocations>)?
        }
        _ => Revocations::default(),
    };
    Ok(Certified { authorities, certificate, revocations })
}

/// Of a file that cannot be looked at it is said why.
fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// What a file holds.
fn from<T, E: fmt::Display>(
    key: &'static str,
    path: &Path,
    bytes: Result<Vec<u8>, String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Wrong> {
    let wrong = |why: String| (key, format!("{key} = {:?}: {why}", path.display()));
    let text = bytes.and_then(secret_file::text).map_err(wrong)?;
    parse(&text).map_err(|error| wrong(error.to_string()))
}

/// One node a line; `#` begins a comment.
fn listed(text: &str) -> Result<BTreeSet<NodeId>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| (at, line.split('#').next().unwrap_or("").trim()));
    let node = |(at, line): (usize, &str)| {
        line.parse().map_err(|error| format!("line {}: {error}", at + 1))
    };
    lines.filter(|(_, line)| !line.is_empty()).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_node_a_line() {
        let one = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let read = listed(&format!("# ours\n\n  {one} # the first\n")).expect("a list");
        assert_eq!(read, [one.parse().expect("an id")].into());
        assert_eq!(listed("").expect("nobody"), [].into());
        let error = listed(&format!("{one}\nsomebody\n")).expect_err("no id");
        assert_eq!(error, "line 2: \"somebody\" is not a peer id");
    }
}
