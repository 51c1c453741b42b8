//! `mutants`: whether the swarm and the tests find deliberate bugs. For those who work on the protocols or on
//! what judges them: it builds what is in the repository, once for each bug.

mod args;
mod mutant;
mod scratch;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use murmurate_simulator::experiment::runner;
use murmurate_simulator::experiment::scenario::Scenario;
use murmurate_simulator::study::swarm::{self, Focus, Plan};

use args::Args;
use mutant::{Finder, Mutant};
use scratch::Scratch;
use table::{Broken, Caught, Failed, Found, Table};

/// A bug could not be tried: it does not apply, or cannot be built.
const BROKEN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BROKEN)
        }
    }
}

fn run(args: &Args) -> Result<u8, Box<dyn std::error::Error>> {
    let root = root()?;
    let chosen = mutant::select(Mutant::all(&root.join(mutant::FOLDER))?, &args.names)?;
    if args.list {
        print!("{}", table::list(&chosen, args.json)?);
        return Ok(0);
    }
    let folder = args.scratch.clone().unwrap_or_else(|| default_scratch(&root));
    let scratch = Scratch::of(&root, &folder)?;
    let mut table = Table::of(args.seeds);
    if !args.json {
        println!("{}", table::head());
    }
    for (at, mutant) in chosen.iter().enumerate() {
        eprint!("[{}/{}] {}: ", at + 1, chosen.len(), mutant.name);
        let caught = try_mutant(args, &scratch, mutant);
        // Whatever came of it, the next one begins with what is in the repository.
        scratch.restore(&mutant.files)?;
        match &caught {
            Ok(Some(caught)) => {
                eprintln!("{}", caught.by());
                // At once: it may be long until the next one, and nobody may wait for the last.
                if !args.json && caught.without().is_none() {
                    println!("{caught}");
                }
            }
            Ok(None) => eprintln!("not caught"),
            Err(broken) => eprintln!("{broken}"),
        }
        table.add(&mutant.name, caught);
    }
    print!("{}", if args.json { table.to_json()? } else { table.to_string() });
    Ok(table.status())
}

/// The repository of the current directory.
fn root() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join(mutant::FOLDER).is_dir());
    let none = || format!("no {} here or above: call it in the repository", mutant::FOLDER);
    Ok(root.ok_or_else(none)?.to_owned())
}

/// Where all else that is built goes.
fn default_scratch(root: &Path) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root.join(target).join("mutants")
}

/// Applies a bug, and runs what must find it.
fn try_mutant(args: &Args, scratch: &Scratch, mutant: &Mutant) -> Result<Option<Caught>, Broken> {
    scratch.apply(mutant)?;
    match &mutant.finder {
        Finder::Swarm(with) => Ok(by_swarm(args, scratch, mutant, with)?.map(Caught::Swarm)),
        Finder::Tests(arguments) => {
            let (failed, took) = timed(|| scratch.test(arguments));
            eprint!("built and run in {} s, ", took.as_secs());
            let failed = failed?.map(|test| Failed { mutant: mutant.name.clone(), test });
            Ok(failed.map(Caught::Test))
        }
    }
}

/// Builds the simulator with this bug and runs its swarm. The same seed must pass without the bug, in this
/// program itself.
fn by_swarm(
    args: &Args,
    scratch: &Scratch,
    mutant: &Mutant,
    with: &[Focus],
) -> Result<Option<Found>, Broken> {
    let (program, built) = timed(|| scratch.build());
    let program = program?;
    let (found, run) = timed(|| scratch.swarm(&program, args, mutant, with));
    eprint!("built in {} s, run in {} s, ", built.as_secs(), run.as_secs());
    let Some(mut found) = found? else { return Ok(None) };
    scratch.shows(&program, &found.file)?;
    let real = swarm::try_plan(&Plan::draw(found.seed, with)).failure;
    found.without = real.map(|real| format!("{}: {}", real.rule, real.detail));
    if found.without.is_none() && fails(&found.file)?.is_some() {
        // Made so small that it goes wrong by itself: as it was drawn it does not.
        let as_drawn =
            scratch.swarm(&program, &Args { shrink: 0, ..args.clone() }, mutant, with)?;
        found = as_drawn.unwrap_or(found);
        found.without = fails(&found.file)?;
    }
    if let Some(out) = &args.out {
        found.file = scratch.keep(&found, mutant, out)?;
    }
    Ok(Some(found))
}

#[expect(clippy::disallowed_methods, reason = "how long a build takes is no part of a run")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// What does not hold in a scenario, without the bug.
fn fails(file: &Path) -> Result<Option<String>, Broken> {
    let scenario = Scenario::read(file, &[]).map_err(|error| Broken::Run(error.to_string()))?;
    let report = runner::run(&scenario, &mut ()).map_err(|error| Broken::Run(error.to_string()))?;
    Ok((!report.holds()).then(|| format!("{} does not hold", file.display())))
}
