//! Broadcasts from all nodes, and what came of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use murmurate::Node;
use tokio::time::Instant;

use super::flock::{Flock, Shape, TOPIC};
use super::latency::Latency;
use super::tally::Tally;
use super::{channels, usage};

/// Before what counts, rounds of a second: duplicates prune the tree. So many broadcasts a round at
/// most, and so many deliveries, which one core bears.
const ROUND: u32 = 50;
const ROUND_DELIVERIES: u32 = 5_000;
/// At least so many rounds, and at most so many.
const ROUNDS: std::ops::Range<u32> = 3..20;
/// The tree stands once a round brings no more duplicates than this to a delivery.
const STANDS: f64 = 0.01;
/// What to broadcast.
pub(super) struct Load {
    pub(super) messages: u32,
    pub(super) size: usize,
    /// A second, over all nodes; 0 for as fast as they are taken.
    pub(super) rate: u32,
    /// Nodes that publish, at most all.
    pub(super) publishers: usize,
    /// Messages that each node sends on a channel afterwards.
    pub(super) sends: u32,
}

/// What came of it.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Outcome {
    #[serde(flatten)]
    pub(super) shape: Shape,
    pub(super) sent: u64,
    pub(super) refused: u64,
    pub(super) expected: u64,
    pub(super) delivered: u64,
    /// By subscribers that fell behind, told as such.
    pub(super) lagged: u64,
    /// By nodes, told as such.
    pub(super) missed: u64,
    pub(super) duplicates_per_delivery: f64,
    pub(super) latency_seconds: Latency,
    pub(super) deliveries_per_second: f64,
    pub(super) cpu_seconds: f64,
    pub(super) cpu_microseconds_per_delivery: f64,
    pub(super) peak_rss_bytes: u64,
    /// Of the messages between any two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<channels::Outcome>,
}

impl Outcome {
    pub(super) fn is_complete(&self) -> bool {
        self.delivered == self.expected
            && self.refused == 0
            && self.channels.as_ref().is_none_or(|channels| channels.lost == 0)
    }
}

/// Broadcasts, and then messages between any two.
pub(super) async fn run(flock: &Flock, load: &Load) -> Outcome {
    let mut outcome = broadcast(flock, load).await;
    if load.sends > 0 {
        outcome.channels = Some(channels::talk(flock, load.sends).await);
    }
    outcome
}

async fn broadcast(flock: &Flock, load: &Load) -> Outcome {
    let others = flock.len() as u64 - 1;
    let tally = &flock.tally;
    // A flood has none.
    if flock.broadcast.has_tree() {
        grow_tree(flock, load.size).await;
    }
    tally.reset();
    let duplicates = flock.metrics.broadcasts().duplicate;
    let cpu = usage::cpu_time();
    let begun = tally.now();
    let (sent, refused) = publish(flock, load).await;
    let expected = sent * others;
    tally.reach(expected).await;
    let cpu = (usage::cpu_time() - cpu).as_secs_f64();
    let delivered = tally.delivered.load(Ordering::Relaxed);
    let took = Duration::from_nanos(tally.last.load(Ordering::Relaxed).saturating_sub(begun));
    let each = |sum: f64| if delivered == 0 { 0.0 } else { sum / delivered as f64 };
    Outcome {
        shape: flock.shape(),
        sent,
        refused,
        expected,
        delivered,
        lagged: tally.lagged.load(Ordering::Relaxed),
        missed: tally.missed.load(Ordering::Relaxed),
        duplicates_per_delivery: each((flock.metrics.broadcasts().duplicate - duplicates) as f64),
        latency_seconds: tally.took.take(),
        deliveries_per_second: delivered as f64 / took.as_secs_f64().max(1e-9),
        cpu_seconds: cpu,
        cpu_microseconds_per_delivery: each(cpu * 1e6),
        peak_rss_bytes: usage::peak_memory(),
        channels: None,
    }
}

/// Broadcasts until duplicates have pruned the links that no tree needs.
async fn grow_tree(flock: &Flock, size: usize) {
    let each = (ROUND_DELIVERIES / flock.len() as u32).clamp(1, ROUND);
    for round in 1..=ROUNDS.end {
        flock.tally.reset();
        let before = flock.metrics.broadcasts().duplicate;
        let load = Load { messages: each, size, rate: each, publishers: usize::MAX, sends: 0 };
        let (sent, _) = publish(flock, &load).await;
        flock.tally.reach(sent * (flock.len() as u64 - 1)).await;
        let duplicates = flock.metrics.broadcasts().duplicate - before;
        let delivered = flock.tally.delivered.load(Ordering::Relaxed);
        if round >= ROUNDS.start && duplicates as f64 <= STANDS * delivered as f64 {
            return;
        }
    }
}

/// Publishes a load in turns from its publishers; how many broadcasts were taken and refused.
async fn publish(flock: &Flock, load: &Load) -> (u64, u64) {
    let begun = Instant::now();
    let publishers = flock.nodes.len().min(load.publishers);
    let publishers = flock.nodes.iter().take(publishers).enumerate().map(|(turn, node)| {
        let turns = (turn as u32..load.messages).step_by(publishers);
        publish_turns(node, &flock.tally, load, begun, turns)
    });
    let outcomes = futures::future::join_all(publishers).await;
    outcomes.iter().fold((0, 0), |(sent, refused), (s, r)| (sent + s, refused + r))
}

async fn publish_turns(
    node: &Node,
    tally: &Tally,
    load: &Load,
    begun: Instant,
    turns: impl Iterator<Item = u32>,
) -> (u64, u64) {
    let (mut sent, mut refused) = (0, 0);
    let mut data = vec![0; load.size];
    for turn in turns {
        if load.rate > 0 {
            let due = begun + Duration::from_secs_f64(f64::from(turn) / f64::from(load.rate));
            tokio::time::sleep_until(due).await;
        }
        data[..8].copy_from_slice(&tally.now().to_le_bytes());
        match node.broadcast(TOPIC, &data).await {
            Ok(_) => sent += 1,
            Err(_) => refused += 1,
        }
    }
    (sent, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_lost_makes_it_incomplete() {
        let broadcasts = Outcome { expected: 10, delivered: 10, ..Outcome::default() };
        assert!(broadcasts.is_complete(), "nothing was sent on channels");
        assert!(!Outcome { delivered: 9, ..broadcasts.clone() }.is_complete());
        assert!(!Outcome { refused: 1, ..broadcasts.clone() }.is_complete());
        let with = |lost| {
            let channels = channels::Outcome { sent: 5, lost, ..channels::Outcome::default() };
            Outcome { channels: Some(channels), ..broadcasts.clone() }
        };
        assert!(with(0).is_complete());
        assert!(!with(1).is_complete());
    }
}
