//! Messages and requests between any two nodes, and what became of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use hdrhistogram::Histogram;
use murmurate::{Channel, Destination, Endpoint, Node, NodeId, SendError, Undelivered};
use tokio::time::{Instant, sleep};

use super::flock::Flock;
use super::work::Latency;

const MESSAGES: &str = "messages";
const REQUESTS: &str = "requests";
/// Nodes that send at a time: each message dials somebody else, and dialling is work.
const SENDING: usize = 16;
/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(100);
/// So many reasons are told; the rest is counted.
const REASONS: usize = 5;

/// What each node declares.
pub(super) fn declared() -> [Channel; 2] {
    let patience = Duration::from_secs(10);
    [Channel::acknowledged(MESSAGES), Channel::request(REQUESTS)]
        .map(|channel| channel.timeout(patience))
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
    took: Times,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { epoch: Instant::now(), took: Times::default() }
    }
}

impl Arrivals {
    /// What a message says: nanoseconds from the epoch to its sending.
    fn stamp(&self) -> [u8; 8] {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
    }

    fn note(&self, data: &[u8]) {
        if let Some(sent) = data.first_chunk() {
            let sent = Duration::from_nanos(u64::from_le_bytes(*sent));
            self.took.note(self.epoch.elapsed().saturating_sub(sent));
        }
    }
}

/// How long things took.
#[derive(Debug)]
struct Times(Mutex<Histogram<u64>>);

impl Default for Times {
    #[allow(clippy::expect_used, reason = "the bounds are constants")]
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds");
        Self(Mutex::new(micros))
    }
}

impl Times {
    fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    fn take(&self) -> Latency {
        let mut micros = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = Latency::of(&micros);
        micros.reset();
        latency
    }
}

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
