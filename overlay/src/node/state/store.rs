//! Keeps a node's state on disk without making its driver wait for the disk.

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Snapshot, State};

/// Writes the newest snapshot whenever there is one.
pub(crate) struct Store {
    newest: watch::Sender<Option<Snapshot>>,
    writer: JoinHandle<()>,
}

impl Store {
    pub(crate) fn new(state: State) -> Self {
        let (newest, snapshots) = watch::channel(None);
        Self { newest, writer: tokio::spawn(write(state, snapshots)) }
    }

    /// Has a snapshot written soon, unless a newer one comes first.
    pub(crate) fn save(&self, snapshot: Snapshot) {
        self.newest.send_replace(Some(snapshot));
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(self) {
        drop(self.newest);
        // It ends when the last snapshot is written; a panic in it has been reported.
        let _ = self.writer.await;
    }
}

async fn write(mut state: State, mut snapshots: watch::Receiver<Option<Snapshot>>) {
    loop {
        let ended = snapshots.changed().await.is_err();
        let newest = snapshots.borrow_and_update().clone();
        // The last one is written once more at the end: it may not have been seen as a change.
        if let Some(snapshot) = newest {
            let written = spawn_blocking(move || {
                let outcome = state.save(&snapshot);
                (state, outcome)
            });
            let Ok((returned, outcome)) = written.await else { return };
            state = returned;
            if let Err(error) = outcome {
                tracing::warn!(%error, "the state was not saved; a restart may need contacts");
            }
        }
        if ended {
            return;
        }
    }
}
