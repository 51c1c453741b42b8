//! `murmurate-sim run`: one scenario, measured.

use std::process::ExitCode;
use std::time::Duration;

use crate::experiment::Experiment;
use crate::experiment::runner::{self, Report};
use crate::experiment::scenario::{Document, Scenario, Share};
use crate::observe::memory::peak_rss_bytes;
use serde::Serialize;

use crate::cli::args::{self, Run};
use crate::cli::progress::Progress;
use crate::cli::{summary, values};

/// What is printed with `--json`.
#[derive(Serialize)]
pub(crate) struct Json<'a> {
    wall_seconds: f64,
    events_per_second: f64,
    peak_rss_bytes: Option<u64>,
    /// Whether every assertion holds.
    holds: bool,
    /// At the beginning.
    nodes: u32,
    membership: &'a str,
    broadcast: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(options: &Run) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut scenario = scenario(options)?;
    values::warn_of_more_threads_than_cores("--threads", options.threads.get());
    let outputs = options.outputs.open(&mut scenario)?;
    let live = live(options, &scenario)?;
    let bar = live.is_none().then(|| Progress::new(&scenario));
    let mut observers = ((bar, live), outputs);
    let (report, wall) =
        timed(|| runner::run_on_threads(options.threads, &scenario, &mut observers));
    let (progress, outputs) = observers;
    drop(progress);
    let report = report?;
    outputs.finish(&report)?;
    let speed = report.events as f64 / wall.as_secs_f64();
    if options.json {
        let json = Json {
            wall_seconds: wall.as_secs_f64(),
            events_per_second: speed,
            peak_rss_bytes: peak_rss_bytes(),
            holds: report.holds(),
            nodes: scenario.nodes.count,
            membership: scenario.membership.name(),
            broadcast: scenario.broadcast.name(),
            report: &report,
        };
        say!("{}", serde_json::to_string(&json)?);
    } else {
        summary::print(&scenario, &report, wall, peak_rss_bytes());
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The scenario of the options: a file, or one that is made from them.
pub(crate) fn scenario(options: &Run) -> Result<Scenario, Box<dyn std::error::Error>> {
    let mut scenario = match &options.scenario {
        Some(path) => Scenario::read(path, &options.set)?,
        None => {
            let scenario = experiment(&options.experiment)?
                .scenario()
                .map_err(|(key, message)| format!("{key}: {message}"))?;
            overridden(scenario, &options.set)?
        }
    };
    if let Some(seed) = options.seed {
        scenario.seed = seed;
    }
    if options.from.is_some() {
        scenario.from.clone_from(&options.from);
    }
    Ok(scenario)
}

fn overridden(
    scenario: Scenario,
    assignments: &[String],
) -> Result<Scenario, Box<dyn std::error::Error>> {
    if assignments.is_empty() {
        return Ok(scenario);
    }
    let mut document = Document::parse("the options", &scenario.to_toml()?)?;
    for assignment in assignments {
        document.set(assignment)?;
    }
    Ok(document.scenario()?)
}

fn experiment(options: &args::Experiment) -> Result<Experiment, Box<dyn std::error::Error>> {
    Ok(Experiment {
        nodes: u32::try_from(options.nodes)?,
        seed: 1,
        membership: options.membership.clone(),
        broadcast: options.broadcast.clone(),
        messages: u32::try_from(options.messages)?,
        fail: Share::new(options.fail / 100.0).unwrap_or_default(),
        latency: options.latency.0.clone(),
        loss: Share::new(options.loss).unwrap_or_default(),
    })
}

#[cfg(feature = "watch")]
fn live(options: &Run, scenario: &Scenario) -> Result<Option<crate::cli::live::Live>, String> {
    options.outputs.watch.then(|| crate::cli::live::Live::open(scenario)).transpose()
}

#[cfg(not(feature = "watch"))]
fn live(_: &Run, _: &Scenario) -> Result<Option<()>, String> {
    Ok(None)
}

#[expect(clippy::disallowed_methods, reason = "the time a run takes is no part of the run")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
