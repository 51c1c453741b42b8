//! The rounds: every contestant in each, in turns, each in a process of its own.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Load;
use crate::contestants::Name;
use crate::workload::Sample;

/// What one contestant showed: by round, the samples of its workloads. `None` is a round that failed.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) name: Name,
    pub(crate) rounds: Vec<Option<Vec<Sample>>>,
}

/// Runs all rounds. A failed run is told on the standard error and leaves a gap.
pub(crate) fn run(names: &[Name], rounds: usize, load: &Load) -> Result<Vec<Results>> {
    let mut results: Vec<_> =
        names.iter().map(|&name| Results { name, rounds: Vec::new() }).collect();
    for round in 0..rounds {
        // Each round begins with another one: nobody always follows the same predecessor.
        for turn in 0..results.len() {
            let index = (round + turn) % results.len();
            let Results { name, rounds: own } = &mut results[index];
            eprintln!("round {} of {rounds}: {}", round + 1, name.as_str());
            let samples = in_a_process(*name, load)
                .inspect_err(|error| eprintln!("{} failed: {error:#}", name.as_str()));
            own.push(samples.ok());
        }
    }
    ensure!(
        results.iter().flat_map(|result| &result.rounds).any(Option::is_some),
        "not a single run succeeded"
    );
    Ok(results)
}

fn in_a_process(name: Name, load: &Load) -> Result<Vec<Sample>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["worker", name.as_str(), &serde_json::to_string(load)?])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the worker ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the worker's answer")
}
