//! The node that an admin socket commands.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use murmurate::Node;
use murmurate::http::Health;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::config::channels::Channels;

/// A node that runs, as its admin socket sees it.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) node: Node,
    pub(crate) health: Health,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) admin: PathBuf,
    /// As they are configured.
    pub(crate) channels: Channels,
    pub(crate) kept: Kept,
    /// How long it may take to leave.
    pub(crate) limit: Duration,
    pub(crate) ended: Notify,
}

impl Agent {
    /// Says that it is not ready, then goodbye.
    pub(crate) async fn leave(&self) {
        tracing::info!("leaving");
        self.health.leaving();
        if timeout(self.limit, self.node.leave()).await.is_err() {
            tracing::warn!("could not leave within {:?}", self.limit);
        }
    }

    /// There is nothing left to do for this process.
    pub(crate) fn end(&self) {
        self.ended.notify_one();
    }
}

/// Messages that a listener had and did not take, by channel: as many at most as there were
/// listeners at a time.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    messages: Mutex<BTreeMap<String, VecDeque<murmurate::Received>>>,
    pub(super) more: Notify,
}

impl Kept {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<murmurate::Received>>> {
        // Nothing panics while it holds the lock; if it did, the map would still be whole.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, channel: &str, received: murmurate::Received) {
        self.all().entry(channel.into()).or_default().push_back(received);
        // One that listens already may wait for it.
        self.more.notify_waiters();
    }

    pub(super) fn take(&self, channel: &str) -> Option<murmurate::Received> {
        self.all().get_mut(channel)?.pop_front()
    }
}
