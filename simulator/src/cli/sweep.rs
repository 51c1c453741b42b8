//! `murmurate-sim sweep`: runs a scenario many times, and writes a table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::experiment::scenario::Document;
use crate::study::sweep::{self, Jobs, MOST_RUNS, Outputs, PartialTable, Shard};
use clap::Args;

use crate::cli::progress;
use crate::cli::tables::{Output, shown, write};
use crate::cli::values::{threads, warn_of_more_threads_than_cores, whole};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sweep {
    /// A scenario file, or the name of a scenario from the gallery
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// A key and its values: a list such as links.loss=0,0.05,0.2, or a range such as
    /// nodes.count=100..500:100, with both ends included. The last part of a key is enough if it is
    /// unique. Can be repeated; all combinations are run
    #[arg(long, value_name = "KEY=VALUES")]
    vary: Vec<String>,
    /// Override a value of the scenario, as in run
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How many seeds to run each combination with, starting with the scenario's seed
    #[arg(long, default_value = "10", value_parser = |text: &str| whole(text, 1..=MOST_RUNS))]
    seeds: u64,
    /// Start every run from the overlay in this file, which `run --save` has written
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// Run only one of several shards, such as 2/8; `merge` merges their tables
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Continue a sweep that was interrupted, without repeating any run
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "Examples:
  murmurate-sim sweep quickstart --vary active_capacity=3..8 --seeds 10
  murmurate-sim sweep churn --vary loss=0,0.2 --vary active_capacity=3..8
  murmurate-sim sweep churn --vary nodes.count=100,1000 --out churn.parquet
  murmurate-sim sweep churn --vary shuffle_interval=5s..20s:5s --figures rmr
  murmurate-sim sweep churn --vary loss=0..0.2:0.05 --shard 2/8 --resume

The table has one row per run, with the values, the seed, the digest and the figures. docs/sweeps.md \
explains them, and how to run shards with job engines.";

/// The resources to use. They do not change the result.
#[derive(Debug, Args)]
pub(crate) struct Force {
    /// How many runs at a time [default: as many as the cores allow]
    #[arg(long, value_parser = threads)]
    jobs: Option<NonZeroUsize>,
    /// How many threads each run uses; useful for a few large runs
    #[arg(long, default_value = "1", value_parser = threads)]
    threads: NonZeroUsize,
}

impl Force {
    pub(crate) fn jobs(&self) -> Jobs {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let fitting = NonZeroUsize::new(cores.get() / self.threads).unwrap_or(NonZeroUsize::MIN);
        let jobs = Jobs { runs: self.jobs.unwrap_or(fitting), threads: self.threads };
        warn_of_more_threads_than_cores("--jobs", jobs.runs.get() * jobs.threads.get());
        jobs
    }
}

pub(crate) fn sweep(options: &Sweep) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (output, shard) = (&options.output, options.shard);
    if shard != Shard::WHOLE && output.summary.is_some() {
        return Err("--summary needs all shards: use it with merge".into());
    }
    let mut document = Document::read(&options.scenario)?;
    for assignment in &options.set {
        document.set(assignment)?;
    }
    start_from(&mut document, options.from.as_deref())?;
    let sweep = sweep::Sweep::new(document, &options.vary, options.seeds)?;
    if shard.count > sweep.runs() {
        return Err(format!("--shard {shard}: there are only {} runs", sweep.runs()).into());
    }
    let shown = shown(output, sweep.layout())?;
    let outputs = output.outputs(shard);
    outputs.check(output.overwrite || options.resume)?;
    let mut partial = partial(options, &sweep, &outputs)?;
    let missing = sweep.missing(shard, &partial);
    let work = missing.iter().map(|run| sweep.weight(*run)).sum();
    let bar = progress::bar(work, &format!("{} runs", missing.len()));
    sweep.run(shard, options.force.jobs(), &mut partial, &|work| bar.inc(work))?;
    bar.finish_and_clear();
    if !output.json {
        let (rows, all, (first, last)) = (partial.len(), sweep.runs(), sweep.seeds());
        let before = match rows - missing.len() as u64 {
            0 => String::new(),
            before => format!(", {before} of them before"),
        };
        say!("sweep {}: {rows} of {all} runs{before}; seeds {first} to {last}\n", sweep.id());
    }
    write(output, shard, &outputs, partial, &shown)
}

/// Has a scenario start from this file, named from here and not from the scenario's folder.
pub(crate) fn start_from(
    document: &mut Document,
    file: Option<&Path>,
) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(file) = file {
        let file = std::path::absolute(file)?;
        let quoted = toml::Value::from(file.display().to_string());
        document.assign("--from", &format!("from={quoted}"))?;
    }
    Ok(())
}

/// The rows of an interrupted sweep with `--resume`, or else an empty table.
fn partial(
    options: &Sweep,
    sweep: &sweep::Sweep,
    outputs: &Outputs,
) -> Result<PartialTable, Box<dyn std::error::Error>> {
    let path = PartialTable::path_for(&outputs.tables[0]);
    let part = sweep.part(options.shard);
    if !options.resume {
        if path.exists() && !options.output.overwrite {
            let path = path.display();
            return Err(format!(
                "{path}: an interrupted sweep left it: continue with --resume, or start again with \
                --overwrite"
            )
            .into());
        }
        return Ok(PartialTable::create(&path, part)?);
    }
    let was_there = path.exists();
    let mut partial = PartialTable::resume(&path, part)?;
    for table in outputs.tables.iter().filter(|table| table.exists()) {
        if let Err(error) = sweep::adopt(&mut partial, table) {
            if !was_there {
                partial.remove()?;
            }
            return Err(error.into());
        }
    }
    Ok(partial)
}
