//! Messages and requests between any two nodes, and what became of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use murmurate::{Destination, Endpoint, Node, NodeId, SendError, Undelivered};
use tokio::time::{Instant, sleep};

use super::flock::Flock;
use super::latency::{Latency, Times};
use super::tally::{Arrivals, MESSAGES, REQUESTS};

/// Nodes that send at a time: each message dials somebody else, and dialling is work.
const SENDING: usize = 16;
/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(100);
/// So many reasons are told; the rest is counted.
const REASONS: usize = 5;

/// What came of it: messages and requests together, those that were refused among the lost.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Outcome {
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    /// From sending to the receiving application, the way to a first connection included.
    pub(super) latency_seconds: Latency,
    /// From asking to the answer, that way included.
    pub(super) request_seconds: Latency,
    /// The most that one node had at a time, those of the overlay included.
    pub(super) connections_peak: usize,
    /// Why some were lost, and how many.
    #[serde(skip)]
    pub(super) reasons: BTreeMap<String, u64>,
}

/// Each node sends so many messages, and asks half as often, to others at random: of many nodes
/// most are no neighbours.
pub(super) async fn talk(flock: &Flock, each: u32) -> Outcome {
    let asked = Times::default();
    // What came late of the last round is none of this.
    flock.arrivals.took.take();
    let reasons = Mutex::new(BTreeMap::new());
    let lost = |error: &Undelivered| {
        let mut reasons = reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason(error)).or_insert(0) += 1;
    };
    let one = async |node: &Node| {
        let (Ok(messages), Ok(requests)) = (node.channel(MESSAGES), node.channel(REQUESTS)) else {
            return;
        };
        for turn in 0..each {
            if let Err(error) = send(&somebody(flock, node, &messages), &flock.arrivals).await {
                lost(&error);
            }
            if turn % 2 == 0 {
                let since = Instant::now();
                match somebody(flock, node, &requests).request("ping").await {
                    Ok(_) => asked.note(since.elapsed()),
                    Err(error) => lost(&error),
                }
            }
        }
    };
    let all = futures::stream::iter(&flock.nodes).for_each_concurrent(SENDING, one);
    let connections_peak = peak(flock, all).await;
    let sent = flock.len() as u64 * u64::from(each + each.div_ceil(2));
    let reasons = reasons.into_inner().unwrap_or_else(PoisonError::into_inner);
    let lost = reasons.values().sum();
    Outcome {
        sent,
        delivered: sent - lost,
        lost,
        latency_seconds: flock.arrivals.took.take(),
        request_seconds: asked.take(),
        connections_peak,
        reasons,
    }
}

async fn send(to: &Destination, arrivals: &Arrivals) -> Result<(), Undelivered> {
    let receipt = to.send(arrivals.stamp().to_vec()).await.map_err(Undelivered::Failed)?;
    receipt.await.map(drop)
}

/// Anybody but the node itself.
fn somebody(flock: &Flock, node: &Node, on: &Endpoint) -> Destination {
    loop {
        let to: NodeId = flock.nodes[rand::random_range(0..flock.len())].id();
        if to != node.id() {
            return on.to(to);
        }
    }
}

/// Why, without whom: so reasons add up.
fn reason(error: &Undelivered) -> String {
    match error {
        Undelivered::Failed(SendError::Unreachable { reason, .. }) => {
            format!("cannot be reached: {reason}")
        }
        Undelivered::Failed(SendError::Refused { refusal, .. }) => refusal.to_string(),
        error => error.to_string(),
    }
}

/// The most connections that any node was seen with until `work` was done.
async fn peak(flock: &Flock, work: impl Future<Output = ()>) -> usize {
    let mut peak = 0;
    let looks = async {
        loop {
            for node in &flock.nodes {
                if let Ok(info) = node.info().await {
                    peak = peak.max(info.connections);
                }
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = looks => {}
    }
    peak
}

impl Outcome {
    /// Says why messages were lost, the most frequent reasons first.
    pub(super) fn explain(&self, when: &str) {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in reasons.iter().take(REASONS) {
            eprintln!("{when}: {count} messages on channels were lost: {reason}");
        }
        if let Some(others) = reasons.get(REASONS..).filter(|others| !others.is_empty()) {
            let count: u64 = others.iter().map(|(_, count)| **count).sum();
            eprintln!("{when}: {count} messages on channels were lost for other reasons");
        }
    }
}
