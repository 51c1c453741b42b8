//! `murmurate-sim swarm`: configurations drawn from seeds, and what fails made small.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use murmurate_simulator::marks;
use murmurate_simulator::mutants::{self, Mutant};
use murmurate_simulator::swarm::{self, Plan, Shrunk, Summary};
use serde::Serialize;

use crate::args::Swarm;
use crate::progress;
use crate::run::timed;

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
    mutant: Option<&'static str>,
    seed: u64,
    rule: String,
    detail: String,
    nodes: u32,
    faults: usize,
    runs: u32,
    file: PathBuf,
}

pub(crate) fn swarm(options: &Swarm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let wanted = options.mutants || options.mutant.is_some();
    if wanted && !mutants::BUILT_IN {
        return Err("this program has no mutants in it: build it with --features mutants".into());
    }
    // A panic ends the program: nobody would know which seed it was.
    std::panic::set_hook(Box::new(|panic| {
        let seed = swarm::current_seed().map_or_else(String::new, |seed| format!("seed {seed}: "));
        eprintln!("{seed}{panic}");
    }));
    if options.mutants {
        return all_mutants(options);
    }
    let mutant = options.mutant.as_deref().map(find).transpose()?;
    let bar = progress::bar(options.seeds, "seeds");
    let seeds = options.first..options.first.saturating_add(options.seeds);
    let (summary, wall) = timed(|| swarm::run(seeds, jobs(options), mutant, || bar.inc(1)));
    bar.finish_and_clear();
    let found = found(&summary, mutant, options)?;
    let status = ExitCode::from(u8::from(found.is_some()));
    if options.json {
        let reached = |(mark, seeds): &_| Reached {
            mark: marks::name(*mark),
            about: marks::about(*mark),
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
        println!("{}", serde_json::to_string(&json)?);
        return Ok(status);
    }
    println!(
        "{} seeds from {} in {:.1} s: {} million events, {:.0} hours of virtual time",
        summary.seeds,
        options.first,
        wall.as_secs_f64(),
        summary.events / 1_000_000,
        summary.hours
    );
    print_marks(&summary);
    match found {
        None => println!("\nno violation"),
        Some(found) => print_found(&found),
    }
    Ok(status)
}

fn find(name: &str) -> Result<Mutant, String> {
    Mutant::find(name).ok_or_else(|| format!("{name:?} is no mutant: {}", mutants::hint(name)))
}

fn jobs(options: &Swarm) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    options.jobs.and_then(|jobs| NonZeroUsize::new(jobs as usize)).unwrap_or(cores)
}

/// Shrinks what was found and writes it to a file.
fn found(
    summary: &Summary,
    mutant: Option<Mutant>,
    options: &Swarm,
) -> Result<Option<Found>, Box<dyn std::error::Error>> {
    let Some((seed, failure)) = summary.failed.clone() else { return Ok(None) };
    let runs = u32::try_from(options.shrink)?;
    let shrunk = swarm::shrink(Plan::draw(seed, mutant), failure, runs);
    Ok(Some(write(seed, &shrunk, mutant, &options.out)?))
}

fn write(
    seed: u64,
    shrunk: &Shrunk,
    mutant: Option<Mutant>,
    folder: &Path,
) -> Result<Found, Box<dyn std::error::Error>> {
    let name = mutant.map_or_else(|| format!("seed-{seed}"), |mutant| mutant.name().to_owned());
    let file = folder.join(format!("swarm-{name}.toml"));
    let cannot = |error: std::io::Error| format!("{}: {error}", file.display());
    std::fs::create_dir_all(folder).map_err(cannot)?;
    std::fs::write(&file, shrunk.to_file()?).map_err(cannot)?;
    Ok(Found {
        mutant: mutant.map(Mutant::name),
        seed,
        rule: shrunk.failure.rule.clone(),
        detail: shrunk.failure.detail.clone(),
        nodes: shrunk.plan.nodes(),
        faults: shrunk.plan.faults(),
        runs: shrunk.runs,
        file,
    })
}

fn print_marks(summary: &Summary) {
    let unreached: Vec<_> = summary.unreached().collect();
    println!("{} of {} marks reached", summary.marks.len() - unreached.len(), summary.marks.len());
    if !unreached.is_empty() {
        println!("\nrarely taken branches that no seed reached");
        for mark in unreached {
            println!("  {:<26} {}", marks::name(mark), marks::about(mark));
        }
    }
}

fn print_found(found: &Found) {
    let detail: String = found.detail.chars().take(400).collect();
    println!("\nVIOLATION at seed {}: {}: {detail}", found.seed, found.rule);
    println!(
        "shrunk in {} runs to {} nodes and {} faults; see it with\n  murmurate-sim run {}",
        found.runs,
        found.nodes,
        found.faults,
        found.file.display()
    );
}

/// Every mutant, several at a time.
fn all_mutants(options: &Swarm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let all: Vec<Mutant> = Mutant::all().collect();
    let bar = progress::bar(all.len() as u64, "mutants");
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let worker = || {
        while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one_mutant(options, *mutant, &bar);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((*mutant, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs(options).get() {
            scope.spawn(worker);
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(mutant, _)| all.iter().position(|other| other == mutant));
    let mut found = Vec::new();
    let mut survived = Vec::new();
    for (mutant, result) in results {
        match result.map_err(|message| -> Box<dyn std::error::Error> { message.into() })? {
            Some(one) => found.push(one),
            None => survived.push(mutant.name()),
        }
    }
    let status = ExitCode::from(u8::from(!survived.is_empty()));
    let mean =
        |of: fn(&Found) -> f64| found.iter().map(of).sum::<f64>() / found.len().max(1) as f64;
    let (nodes, faults) = (mean(|one| f64::from(one.nodes)), mean(|one| one.faults as f64));
    if options.json {
        let json = Mutants {
            caught: found.len(),
            survived,
            mean_nodes: nodes,
            mean_faults: faults,
            mutants: found,
        };
        println!("{}", serde_json::to_string(&json)?);
        return Ok(status);
    }
    println!("{:<24}{:>6}{:>7}{:>8}{:>6}  caught by", "mutant", "seed", "nodes", "faults", "runs");
    for one in &found {
        let name = one.mutant.unwrap_or_default();
        let Found { seed, nodes, faults, runs, rule, .. } = one;
        println!("{name:<24}{seed:>6}{nodes:>7}{faults:>8}{runs:>6}  {rule}");
    }
    println!("{:<30}{nodes:>7.1}{faults:>8.1}", "mean");
    println!("\n{} of {} mutants caught within {} seeds", found.len(), all.len(), options.seeds);
    for name in survived {
        println!("  SURVIVED {name}");
    }
    Ok(status)
}

/// What is printed of all mutants with `--json`.
#[derive(Serialize)]
struct Mutants {
    caught: usize,
    survived: Vec<&'static str>,
    mean_nodes: f64,
    mean_faults: f64,
    mutants: Vec<Found>,
}

fn one_mutant(options: &Swarm, mutant: Mutant, bar: &ProgressBar) -> Result<Option<Found>, String> {
    let seeds = options.first..options.first.saturating_add(options.seeds);
    let summary = swarm::run(seeds, NonZeroUsize::MIN, Some(mutant), || {});
    let found = found(&summary, Some(mutant), options).map_err(|error| error.to_string());
    bar.inc(1);
    found
}
