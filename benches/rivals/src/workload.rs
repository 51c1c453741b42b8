//! The workloads, and what is measured of each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::contestant::Contestant;
use crate::process;
use crate::recorder::Recorder;

/// Without a delivery for so long, what is missing is lost.
const LOST: Duration = Duration::from_secs(10);
/// A contestant that has not accepted its messages by then is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// Rest after a workload: duplicates still under way arrive, and belong to it.
const REST: Duration = Duration::from_secs(1);

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Workload {
    /// At a steady rate.
    Paced {
        /// Messages a second.
        rate: u32,
        /// How many.
        messages: u32,
    },
    /// As fast as the contestant accepts them.
    Burst {
        /// How many.
        messages: u32,
    },
}

/// One workload, measured once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) workload: Workload,
    /// Deliveries there should have been: every message at every node but the publisher.
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Messages an application got more than once: a fault.
    pub(crate) repeated: u64,
    /// From the first publication to the last delivery.
    pub(crate) seconds: f64,
    /// Processor time of the whole process, from the first publication to the last delivery.
    pub(crate) cpu_seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Payloads that arrived over the network, duplicates included.
    pub(crate) arrived: Option<u64>,
}

impl Workload {
    /// How many messages it publishes.
    pub(crate) fn messages(self) -> u32 {
        match self {
            Self::Paced { messages, .. } | Self::Burst { messages } => messages,
        }
    }

    /// Runs it and waits until everything is delivered, or lost.
    pub(crate) async fn run<C: Contestant>(
        self,
        contestant: &C,
        recorder: &Arc<Recorder>,
        nodes: u32,
        payload: u32,
    ) -> Result<Sample> {
        let expected = u64::from(self.messages()) * u64::from(nodes - 1);
        let arrived = contestant.arrived();
        let start = recorder.begin(self.messages());
        let cpu = process::cpu()?;
        match timeout(STUCK, self.publish(contestant, recorder, payload)).await {
            Ok(published) => published?,
            Err(_) => eprintln!("publishing is stuck: the rest is not published"),
        }
        let cpu = until_delivered(recorder, expected).await? - cpu;
        sleep(REST).await;
        let heard = recorder.heard(start)?;
        if heard.repeated > 0 {
            eprintln!("{} messages were handed over more than once", heard.repeated);
        }
        let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
        Ok(Sample {
            workload: self,
            expected,
            delivered: heard.delivered,
            repeated: heard.repeated,
            seconds: heard.lasted.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            p50_ms: milliseconds(heard.latencies.value_at_quantile(0.5)),
            p99_ms: milliseconds(heard.latencies.value_at_quantile(0.99)),
            max_ms: milliseconds(heard.latencies.max()),
            arrived: contestant.arrived().zip(arrived).map(|(after, before)| after - before),
        })
    }

    async fn publish<C: Contestant>(
        self,
        contestant: &C,
        recorder: &Recorder,
        payload: u32,
    ) -> Result<()> {
        let mut ticks = match self {
            Self::Paced { rate, .. } => Some(interval(Duration::from_secs(1) / rate)),
            Self::Burst { .. } => None,
        };
        for number in 0..self.messages() {
            if let Some(ticks) = &mut ticks {
                // Late ticks are caught up with, which is the default, so that the rate holds.
                ticks.tick().await;
            }
            contestant.publish(recorder.payload(number, payload)).await?;
        }
        Ok(())
    }
}

/// Waits for the last delivery; the processor time used until then.
async fn until_delivered(recorder: &Recorder, expected: u64) -> Result<Duration> {
    let mut seen = (recorder.count(), Instant::now(), process::cpu()?);
    while seen.0 < expected && seen.1.elapsed() < LOST {
        sleep(Duration::from_millis(2)).await;
        let count = recorder.count();
        if count > seen.0 {
            seen = (count, Instant::now(), process::cpu()?);
        }
    }
    Ok(seen.2)
}
