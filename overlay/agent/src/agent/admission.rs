//! Keeps the files of admission and the node alike.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use murmurate::Node;
use murmurate::admission::Admission;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{AdmissionFiles, read_admission};
use crate::secret_file;

/// How often it is looked whether a file has changed.
const LOOKS: Duration = Duration::from_secs(1);

/// Which files there are, and when each was written last.
type Seen = Vec<Option<(SystemTime, u64)>>;

fn look(settings: &AdmissionFiles) -> Seen {
    let AdmissionFiles { secret_file, allowlist_file, certificate_file, .. } = settings;
    let files = [secret_file, allowlist_file, certificate_file, &settings.revocations_file];
    let written = |path: &Option<PathBuf>| {
        let metadata = std::fs::metadata(path.as_ref()?).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.into_iter().map(written).collect()
}

/// Writes down what other nodes, or the admin socket, have told the node.
fn write(settings: &AdmissionFiles, admission: &Admission) -> Result<(), String> {
    let (path, text, mode) = match (admission, settings) {
        (Admission::Secret(secrets), AdmissionFiles { secret_file: Some(path), .. }) => {
            (path, secrets.to_text(), 0o600)
        }
        (Admission::Certified(certified), AdmissionFiles { revocations_file: Some(path), .. }) => {
            (path, format!("{}\n", certified.revocations).into(), 0o644)
        }
        _ => return Ok(()),
    };
    let written = secret_file::replace(path, text.as_bytes(), mode);
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps the files and the node alike: applies what the files say whenever they change, or when it is asked to
/// look, and writes down what the node was told. A file that cannot be used changes nothing.
pub(crate) async fn watch(settings: AdmissionFiles, node: Node, asked: &Notify) {
    let mut looks = interval(LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut known) = (look(&settings), node.admission());
    loop {
        let was_asked = tokio::select! {
            _ = looks.tick() => false,
            () = asked.notified() => true,
        };
        if *node.admission() != *known {
            known = node.admission();
            if let Err(why) = write(&settings, &known) {
                tracing::error!(why, "what the node was told is lost when it ends");
            }
            seen = look(&settings);
        }
        let now = look(&settings);
        if now == seen && !was_asked {
            continue;
        }
        seen = now;
        match apply(&settings, &node).await {
            Ok(true) => tracing::info!(mode = %settings.mode, "admission has changed"),
            Ok(false) => tracing::info!(mode = %settings.mode, "admission is what it was"),
            Err(why) => tracing::error!(why, "admission is not changed"),
        }
        known = node.admission();
    }
}

/// Whether what the files say is something else than before.
async fn apply(settings: &AdmissionFiles, node: &Node) -> Result<bool, String> {
    let admission = read_admission(settings).map_err(|(_, why)| why)?;
    let changes = *node.admission() != admission;
    node.set_admission(admission).await.map_err(|error| error.to_string())?;
    Ok(changes)
}
