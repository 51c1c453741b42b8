//! `murmurate-sim swarm`: draws configurations from seeds, and shrinks those that fail.

use murmurate::Mark;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::study::swarm::{self, Focus, Plan, Shrunk, SwarmSummary};
use serde::Serialize;

use crate::cli::args::Swarm;
use crate::cli::progress;
use crate::cli::run::timed;

/// What is printed with `--json`.
#[derive(Serialize)]
struct Json<'a> {
    first: u64,
    seeds: u64,
    events: u64,
    simulated_hours: f64,
    wall_seconds: f64,
    violation: Option<Found>,
    marks: Vec<Reached<'a>>,
}

/// How often a rarely taken branch was taken.
#[derive(Serialize)]
struct Reached<'a> {
    mark: &'a str,
    about: &'a str,
    seeds: u64,
}

/// A seed that fails, and the smallest scenario that fails like it.
#[derive(Serialize)]
struct Found {
    seed: u64,
    rule: String,
    detail: String,
    nodes: u32,
    faults: usize,
    runs: u32,
    file: PathBuf,
}

pub(crate) fn swarm(options: &Swarm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some((kind, [one, other])) = Focus::contradiction(&options.with) {
        return Err(format!("--with {one},{other}: a run has one {kind} strategy").into());
    }
    // A panic ends the program: nobody would know which seed it was.
    std::panic::set_hook(Box::new(|panic| {
        let seed = swarm::current_seed().map_or_else(String::new, |seed| format!("seed {seed}: "));
        eprintln!("{seed}{panic}");
    }));
    let bar = progress::bar(options.seeds, "seeds");
    let seeds = options.first..options.first.saturating_add(options.seeds);
    let (summary, wall) = timed(|| swarm::run(seeds, jobs(options), &options.with, || bar.inc(1)));
    bar.finish_and_clear();
    let found = found(&summary, options)?;
    let status = ExitCode::from(u8::from(found.is_some()));
    if options.json {
        let reached = |(mark, seeds): &(Mark, u64)| Reached {
            mark: mark.name(),
            about: mark.about(),
            seeds: *seeds,
        };
        let json = Json {
            first: options.first,
            seeds: summary.seeds,
            events: summary.events,
            simulated_hours: summary.hours,
            wall_seconds: wall.as_secs_f64(),
            violation: found,
            marks: summary.marks.iter().map(reached).collect(),
        };
        say!("{}", serde_json::to_string(&json)?);
        return Ok(status);
    }
    say!(
        "{} seeds from {} in {:.1} s: {} million events, {:.0} hours of virtual time",
        summary.seeds,
        options.first,
        wall.as_secs_f64(),
        summary.events / 1_000_000,
        summary.hours
    );
    print_marks(&summary);
    match found {
        None => say!("\nno violation"),
        Some(found) => print_found(&found),
    }
    Ok(status)
}

fn jobs(options: &Swarm) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    options.jobs.and_then(|jobs| NonZeroUsize::new(jobs as usize)).unwrap_or(cores)
}

/// Shrinks what was found and writes it to a file.
fn found(
    summary: &SwarmSummary,
    options: &Swarm,
) -> Result<Option<Found>, Box<dyn std::error::Error>> {
    let Some((seed, failure)) = summary.failed.clone() else { return Ok(None) };
    let runs = u32::try_from(options.shrink)?;
    let shrunk = swarm::shrink(Plan::draw(seed, &options.with), failure, runs);
    Ok(Some(write(seed, &shrunk, &options.out)?))
}

fn write(seed: u64, shrunk: &Shrunk, folder: &Path) -> Result<Found, Box<dyn std::error::Error>> {
    let file = folder.join(format!("swarm-seed-{seed}.toml"));
    let cannot = |error: std::io::Error| format!("{}: {error}", file.display());
    std::fs::create_dir_all(folder).map_err(cannot)?;
    std::fs::write(&file, shrunk.to_file()?).map_err(cannot)?;
    Ok(Found {
        seed,
        rule: shrunk.failure.rule.clone(),
        detail: shrunk.failure.detail.clone(),
        nodes: shrunk.plan.nodes(),
        faults: shrunk.plan.faults(),
        runs: shrunk.runs,
        file,
    })
}

fn print_marks(summary: &SwarmSummary) {
    let unreached: Vec<_> = summary.unreached().collect();
    say!("{} of {} marks reached", summary.marks.len() - unreached.len(), summary.marks.len());
    if !unreached.is_empty() {
        say!("\nrarely taken branches that no seed reached");
        for mark in unreached {
            say!("  {:<26} {}", mark.name(), mark.about());
        }
    }
}

fn print_found(found: &Found) {
    let detail: String = found.detail.chars().take(400).collect();
    say!("\nVIOLATION at seed {}: {}: {detail}", found.seed, found.rule);
    say!(
        "shrunk in {} runs to {} nodes and {} faults; see it with\n  murmurate-sim run {}",
        found.runs,
        found.nodes,
        found.faults,
        found.file.display()
    );
}
