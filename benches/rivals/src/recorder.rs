//! Who heard what, and when: stamps payloads and counts deliveries, the same way for everyone.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
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
        let ear = || {
            let latencies = Histogram::new(3).context("a histogram")?;
            Ok(Mutex::new(Ear { heard: Vec::new(), repeated: 0, latencies }))
        };
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
            ear.latencies.clear();
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
            latencies: Histogram::new(3)?,
        };
        for ear in &self.ears {
            let ear = lock(ear);
            heard.repeated += ear.repeated;
            heard.latencies.add(&ear.latencies)?;
        }
        Ok(heard)
    }
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
