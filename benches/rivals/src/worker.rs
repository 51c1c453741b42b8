//! One contestant, measured once, in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::Load;
use crate::contestant::Contestant;
use crate::contestants::Name;
use crate::process;
use crate::recorder::Recorder;
use crate::workload::{Sample, Workload};

/// How long the nodes may take to start and to find each other.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures one contestant under a load, on a runtime that is the same for all.
pub(crate) fn run(contestant: Name, load: &Load) -> Result<Vec<Sample>> {
    process::raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(load.threads)
        .enable_all()
        .build()?;
    let load = load.clone();
    // As a task: the main thread would be one more worker, for the publisher alone.
    runtime.block_on(async { tokio::spawn(contestant.measure(load)).await? })
}

/// Starts the contestant, warms it up, and runs the workloads.
///
/// The paced one comes first: a burst may disturb the trees that it is to measure.
pub(crate) async fn measure<C: Contestant>(load: Load) -> Result<Vec<Sample>> {
    let Load { nodes, payload, rate, seconds, warm_up, .. } = load;
    let recorder = Arc::new(Recorder::new(nodes as usize)?);
    let contestant = timeout(TIMEOUT, C::start(nodes as usize, Arc::clone(&recorder)))
        .await
        .context("the nodes did not find each other")??;
    let warm_up = Workload::Paced { rate, messages: warm_up };
    warm_up.run(&contestant, &recorder, nodes, payload).await?;
    let paced = Workload::Paced { rate, messages: rate.saturating_mul(seconds) };
    let bursts = load.burst.iter().map(|&messages| Workload::Burst { messages });
    let workloads = std::iter::once(paced).chain(bursts).filter(|workload| workload.messages() > 0);
    let mut samples = Vec::new();
    for workload in workloads {
        samples.push(workload.run(&contestant, &recorder, nodes, payload).await?);
    }
    Ok(samples)
}
