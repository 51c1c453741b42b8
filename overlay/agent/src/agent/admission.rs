//! Keeps the files of admission and the node alike.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use murmurate::Node;
use murmurate::admission::Admission;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use crate::config::{AdmissionFiles, read_admission};
use crate::secret_file;

/// How often it is looked whether a file has changed.
const LOOKS: Duration = Duration::from_secs(1);

/// What the files hold, as far as they can be read.
type Contents = Vec<Option<Zeroizing<Vec<u8>>>>;

/// When each was written last, and how long it is.
type Stamps = Vec<Option<(SystemTime, u64)>>;

fn files(settings: &AdmissionFiles) -> impl Iterator<Item = &PathBuf> {
    let AdmissionFiles { secret_file, allowlist_file, certificate_file, .. } = settings;
    let files = [secret_file, allowlist_file, certificate_file, &settings.revocations_file];
    files.into_iter().flatten()
}

fn stamps(settings: &AdmissionFiles) -> Stamps {
    let written = |path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files(settings).map(written).collect()
}

fn contents(settings: &AdmissionFiles) -> Contents {
    let content = |path: &PathBuf| secret_file::read_public(path).ok().map(Zeroizing::new);
    files(settings).map(content).collect()
}

/// Writes down what other nodes, or the admin socket, have told the node.
fn write(settings: &AdmissionFiles, admission: &Admission) -> Result<(), String> {
    let (path, text) = match (admission, settings) {
        (Admission::Secret(secrets), AdmissionFiles { secret_file: Some(path), .. }) => {
            (path, secrets.to_text())
        }
        (Admission::Certified(certified), AdmissionFiles { revocations_file: Some(path), .. }) => {
            (path, format!("{}\n", certified.revocations).into())
        }
        _ => return Ok(()),
    };
    let written = secret_file::replace(path, text.as_bytes());
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps the files and the node alike: applies what the files say whenever it has changed, and writes down what
/// the node was told. A file that cannot be used changes nothing. One that says what it said before changes
/// nothing either: what all nodes have been told since then counts.
pub(crate) async fn watch(settings: AdmissionFiles, node: Node, asked: &Notify) {
    let mut looks = interval(LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut stamped, mut read) = (stamps(&settings), contents(&settings));
    let mut known = node.admission();
    let mut is_told = false;
    loop {
        let was_asked = tokio::select! {
            _ = looks.tick() => false,
            () = asked.notified() => true,
        };
        let now = stamps(&settings);
        if now != stamped || was_asked {
            stamped = now;
            let content = contents(&settings);
            if content != read {
                read = content;
                match apply(&settings, &node).await {
                    Ok(()) => tracing::info!(mode = %settings.mode, "admission is read again"),
                    Err(why) => tracing::error!(why, "admission is not changed"),
                }
            }
        }
        let told = node.admission();
        if *told == *known {
            continue;
        }
        match write(&settings, &told) {
            Ok(()) => {
                (known, is_told) = (told, false);
                (stamped, read) = (stamps(&settings), contents(&settings));
            }
            // It is tried again each second.
            Err(why) if !is_told => {
                is_told = true;
                tracing::error!(why, "what the node was told is lost when it ends");
            }
            Err(_) => {}
        }
    }
}

async fn apply(settings: &AdmissionFiles, node: &Node) -> Result<(), String> {
    let admission = read_admission(settings).map_err(|(_, why)| why)?;
    node.set_admission(admission).await.map_err(|error| error.to_string())
}
