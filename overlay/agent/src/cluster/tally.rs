//! What all nodes get, and when: broadcasts, messages and requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use murmurate::{Channel, Lost, Node, Subscription};
use tokio::time::Instant;

use super::latency::Times;

pub(super) const MESSAGES: &str = "messages";
pub(super) const REQUESTS: &str = "requests";
/// No delivery for this long, and what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

/// Counts what all nodes get.
pub(super) struct Tally {
    epoch: Instant,
    pub(super) delivered: AtomicU64,
    pub(super) lagged: AtomicU64,
    pub(super) missed: AtomicU64,
    /// Nanoseconds from the epoch to the last delivery.
    pub(super) last: AtomicU64,
    /// From publishing to delivery.
    pub(super) took: Times,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            delivered: AtomicU64::new(0),
            lagged: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            last: AtomicU64::new(0),
            took: Times::default(),
        }
    }
}

impl Tally {
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts what a subscription gets until it ends.
    pub(super) fn count(self: Arc<Self>, mut subscription: Subscription) {
        tokio::spawn(async move {
            while let Some(next) = subscription.next().await {
                let delivery = match next {
                    Ok(delivery) => delivery,
                    Err(Lost::Lagged(count)) => {
                        self.lagged.fetch_add(count, Ordering::Relaxed);
                        continue;
                    }
                    Err(Lost::Missed { count, .. }) => {
                        self.missed.fetch_add(count, Ordering::Relaxed);
                        continue;
                    }
                };
                let Some(sent) = delivery.data.first_chunk() else { continue };
                let now = self.now();
                let took = now.saturating_sub(u64::from_le_bytes(*sent));
                self.took.note(Duration::from_nanos(took));
                self.last.store(now, Ordering::Relaxed);
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    pub(super) fn reset(&self) {
        for count in [&self.delivered, &self.lagged, &self.missed] {
            count.store(0, Ordering::Relaxed);
        }
        self.took.take();
    }

    /// Waits until so many were delivered, or nothing is for long.
    pub(super) async fn reach(&self, expected: u64) {
        let mut before = self.delivered.load(Ordering::Relaxed);
        let mut since = Instant::now();
        while before < expected && since.elapsed() < SILENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let delivered = self.delivered.load(Ordering::Relaxed);
            if delivered > before {
                (before, since) = (delivered, Instant::now());
            }
        }
    }
}

/// What each node declares.
pub(super) fn declared() -> [Channel; 2] {
    let limit = Duration::from_secs(10);
    [Channel::acknowledged(MESSAGES), Channel::request(REQUESTS)]
        .map(|channel| channel.timeout(limit))
}

/// Takes messages and answers requests until the node ends.
pub(super) fn serve(node: &Node, arrivals: &Arc<Arrivals>) {
    let (Ok(messages), Ok(requests)) = (node.channel(MESSAGES), node.channel(REQUESTS)) else {
        return;
    };
    let arrivals = Arc::clone(arrivals);
    tokio::spawn(async move {
        while let Some(message) = messages.receive().await {
            arrivals.note(&message.data);
            message.ack();
        }
    });
    tokio::spawn(async move {
        while let Some(request) = requests.receive().await {
            let same = request.data.clone();
            // As long as the request, so it fits.
            let _ = request.answer(same);
        }
    });
}

/// When messages arrived, by the one clock that all nodes of the process have.
#[derive(Debug)]
pub(super) struct Arrivals {
    epoch: Instant,
    pub(super) took: Times,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { epoch: Instant::now(), took: Times::default() }
    }
}

impl Arrivals {
    /// What a message says: nanoseconds from the epoch to its sending.
    pub(super) fn stamp(&self) -> [u8; 8] {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
    }

    fn note(&self, data: &[u8]) {
        if let Some(sent) = data.first_chunk() {
            let sent = Duration::from_nanos(u64::from_le_bytes(*sent));
            self.took.note(self.epoch.elapsed().saturating_sub(sent));
        }
    }
}
