//! Who heard what, and when: stamps payloads and counts deliveries, the same way for everyone.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use hdrhistogram::Histogram;

/// Counts the deliveries of one workload at a time.
///
/// A payload begins with a stamp: the workload (4 bytes), its number in it (4 bytes) and when it was
/// published, in nanoseconds since the recorder was made (8 bytes). Stragglers of an earlier workload
/// are so told apart.
#[derive(Debug)]
pub(crate) struct Recorder {
    epoch: Instant,
    workload: AtomicU32,
    delivered: AtomicU64,
    /// When the last delivery was, in nanoseconds since `epoch`.
    last: AtomicU64,
    /// One a node: locked by nobody else while a workload runs.
    ears: Vec<Mutex<Ear>>,
}

/// What one node heard of the current workload.
#[derive(Debug)]
struct Ear {
    heard: Vec<bool>,
    repeated: u64,
    /// Microseconds from publication to delivery.
    latencies: Histogram<u64>,
}

/// What all nodes heard of one workload.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Messages handed to an application for the first time, over all nodes.
    pub(crate) delivered: u64,
    /// Messages handed to an application again: a fault.
    pub(crate) repeated: u64,
    /// From the start of the workload to its last delivery.
    pub(crate) lasted: Duration,
    /// Microseconds from publication to delivery.
    pub(crate) latencies: Histogram<u64>,
}

impl Recorder {
    /// A recorder for so many nodes, the publisher included.
    pub(crate) fn new(nodes: usize) -> Result<Self> {
        let ear =
            || Ok(Mutex::new(Ear { heard: Vec::new(), repeated: 0, latencies: histogram()? }));
        Ok(Self {
            epoch: Instant::now(),
            workload: AtomicU32::new(0),
            delivered: AtomicU64::new(0),
            last: AtomicU64::new(0),
            ears: (0..nodes).map(|_| ear()).collect::<Result<_>>()?,
        })
    }

    /// Begins a workload of so many messages; what was counted is forgotten. Tells the time.
    pub(crate) fn begin(&self, messages: u32) -> Duration {
        self.workload.fetch_add(1, Ordering::SeqCst);
        for ear in &self.ears {
            let mut ear = lock(ear);
            ear.heard = vec![false; messages as usize];
            ear.repeated = 0;
            // `clear` would keep the largest one.
            ear.latencies.reset();
        }
        self.delivered.store(0, Ordering::SeqCst);
        let now = self.epoch.elapsed();
        self.last.store(nanoseconds(now), Ordering::SeqCst);
        now
    }

    /// The payload of message `number`, published now.
    pub(crate) fn payload(&self, number: u32, bytes: u32) -> Bytes {
        let mut payload = Vec::with_capacity(bytes as usize);
        payload.extend(self.workload.load(Ordering::Relaxed).to_le_bytes());
        payload.extend(number.to_le_bytes());
        payload.extend(nanoseconds(self.epoch.elapsed()).to_le_bytes());
        payload.resize(bytes as usize, 0x5a);
        payload.into()
    }

    /// A payload was handed to the application of `node`.
    pub(crate) fn delivered(&self, node: usize, payload: &[u8]) {
        let now = nanoseconds(self.epoch.elapsed());
        let Some((workload, number, published)) = stamp(payload) else { return };
        // The publisher has it anyhow: some hand it back to it, some do not.
        if node == 0 || workload != self.workload.load(Ordering::Relaxed) {
            return;
        }
        let mut ear = lock(&self.ears[node]);
        match ear.heard.get_mut(number as usize) {
            Some(heard) if !*heard => *heard = true,
            Some(_) => return ear.repeated += 1,
            None => return,
        }
        ear.latencies.saturating_record(now.saturating_sub(published) / 1000);
        drop(ear);
        self.last.fetch_max(now, Ordering::Relaxed);
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Deliveries of the current workload so far.
    pub(crate) fn count(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// What was heard of the workload that began at `start`.
    pub(crate) fn heard(&self, start: Duration) -> Result<Heard> {
        let last = Duration::from_nanos(self.last.load(Ordering::SeqCst));
        let mut heard = Heard {
            delivered: self.count(),
            repeated: 0,
            lasted: last.saturating_sub(start),
            latencies: histogram()?,
        };
        for ear in &self.ears {
            let ear = lock(ear);
            heard.repeated += ear.repeated;
            heard.latencies.add(&ear.latencies)?;
        }
        Ok(heard)
    }
}

/// Microseconds, to three digits, up to ten minutes: fixed, since one that grows saturates instead.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(600_000_000, 3)?)
}

fn stamp(payload: &[u8]) -> Option<(u32, u32, u64)> {
    let (workload, rest) = payload.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (published, _) = rest.split_first_chunk()?;
    Some((
        u32::from_le_bytes(*workload),
        u32::from_le_bytes(*number),
        u64::from_le_bytes(*published),
    ))
}

fn nanoseconds(time: Duration) -> u64 {
    // 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A panic ends the process, so that no lock is ever poisoned.
fn lock(ear: &Mutex<Ear>) -> MutexGuard<'_, Ear> {
    ear.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_counts_once_and_not_at_the_publisher() -> Result<()> {
        let recorder = Recorder::new(3)?;
        let start = recorder.begin(2);
        let payload = recorder.payload(1, 1024);
        assert_eq!(payload.len(), 1024);
        for node in [0, 1, 2, 2] {
            recorder.delivered(node, &payload);
        }
        let heard = recorder.heard(start)?;
        assert_eq!((heard.delivered, heard.repeated, heard.latencies.len()), (2, 1, 2));
        Ok(())
    }

    #[test]
    fn strangers_and_stragglers_are_ignored() -> Result<()> {
        let recorder = Recorder::new(2)?;
        recorder.begin(1);
        let straggler = recorder.payload(0, 16);
        recorder.begin(1);
        recorder.delivered(1, &straggler);
        recorder.delivered(1, b"short");
        recorder.delivered(1, &recorder.payload(1, 16));
        assert_eq!(recorder.count(), 0);
        Ok(())
    }

    #[test]
    fn long_latencies_are_not_cut() -> Result<()> {
        let mut latencies = histogram()?;
        latencies.saturating_record(30_000_000);
        assert!(latencies.max() >= 29_900_000);
        Ok(())
    }
}
