//! `murmurate-sim sweep` and `merge`: a scenario over and over, into one table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use murmurate_simulator::scenario::Document;
use murmurate_simulator::sweep::estimate::Estimate;
use murmurate_simulator::sweep::{
    self, Cell, Layout, Ledger, MOST_RUNS, Outputs, Shard, SweepError,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::whole;
use crate::{progress, summary};

/// Cells that are printed; a file has room for more.
const MOST_PRINTED: usize = 200;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sweep {
    /// A scenario file, or the name of a scenario of the gallery
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// A key and its values: a list as in links.loss=0,0.05,0.2 or a range as in nodes.count=100..500:100,
    /// ends included; the end of a key will do if there is only one such. Several are combined
    #[arg(long, value_name = "KEY=VALUES")]
    vary: Vec<String>,
    /// Override a value of the scenario, as of run
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// With how many seeds each combination runs, from the scenario's seed on
    #[arg(long, default_value = "10", value_parser = |text: &str| whole(text, 1..=MOST_RUNS))]
    seeds: u64,
    /// How many runs at a time [default: as many as there are cores]
    #[arg(long, value_parser = |text: &str| whole(text, 1..=1024))]
    jobs: Option<u64>,
    /// Run only these of several shards, as in 2/8; merge puts their tables together
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Go on where a sweep ended before its time, and do nothing twice
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "Examples:
  murmurate-sim sweep quickstart --vary active_capacity=3..8 --vary loss=0,0.05,0.2 --seeds 10
  murmurate-sim sweep churn --vary nodes.count=100,1000 --out churn.csv --out churn.parquet
  murmurate-sim sweep churn --vary shuffle_interval=5s..20s:5s --summary means.csv --figures rmr,hops
  murmurate-sim sweep churn --vary loss=0..0.2:0.05 --shard 2/8 --resume

The table has a row a run: the values, the seed, the digest and the figures. docs/sweeps.md tells what
they are, and how job engines call shards.";

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The tables of all shards of one sweep
    #[arg(required = true, value_name = "TABLE")]
    tables: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Output {
    /// Where the table goes: a .csv or .parquet file; can be given for each [default: sweep.csv]
    #[arg(long, value_name = "TABLE")]
    out: Vec<PathBuf>,
    /// Where the means go with their 95 % intervals, a row a figure of a combination: .csv or .parquet
    #[arg(long, value_name = "TABLE")]
    summary: Option<PathBuf>,
    /// Figures that are printed, such as rmr,latency_p99,after.reliability
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    figures: Vec<String>,
    /// Write over tables that are there already
    #[arg(long)]
    overwrite: bool,
    /// Print one JSON object on standard output and nothing else there
    #[arg(long)]
    json: bool,
}

impl Output {
    fn outputs(&self, shard: Shard) -> Outputs {
        let name = match shard {
            Shard::WHOLE => "sweep.csv".to_owned(),
            Shard { index, count } => format!("sweep-{index}-of-{count}.csv"),
        };
        let tables = if self.out.is_empty() { vec![name.into()] } else { self.out.clone() };
        Outputs { tables, summary: self.summary.clone() }
    }
}

pub(crate) fn sweep(options: &Sweep) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (output, shard) = (&options.output, options.shard);
    if shard != Shard::WHOLE && output.summary.is_some() {
        return Err("--summary is of all shards: merge writes it when they are there".into());
    }
    let mut document = Document::read(&options.scenario)?;
    for assignment in &options.set {
        document.set(assignment)?;
    }
    let sweep = sweep::Sweep::new(document, &options.vary, options.seeds)?;
    if shard.count > sweep.runs() {
        return Err(format!("--shard {shard}: there are only {} runs", sweep.runs()).into());
    }
    let shown = shown(output, sweep.layout())?;
    let outputs = output.outputs(shard);
    outputs.check(output.overwrite || options.resume)?;
    let mut ledger = ledger(options, &sweep, &outputs)?;
    let missing = sweep.missing(shard, &ledger);
    let work = missing.iter().map(|run| sweep.weight(*run)).sum();
    let bar = progress::bar(work, &format!("{} runs", missing.len()));
    sweep.run(shard, jobs(options.jobs), &mut ledger, &|work| bar.inc(work))?;
    bar.finish_and_clear();
    if !output.json {
        let (rows, all, (first, last)) = (ledger.len(), sweep.runs(), sweep.seeds());
        let before = match rows - missing.len() as u64 {
            0 => String::new(),
            before => format!(", {before} of them before"),
        };
        println!("sweep {}: {rows} of {all} runs{before}; seeds {first} to {last}\n", sweep.id());
    }
    write(output, shard, &outputs, ledger, &shown)
}

pub(crate) fn merge(options: &Merge) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let output = &options.output;
    let outputs = output.outputs(Shard::WHOLE);
    outputs.check(output.overwrite)?;
    let mut scratch = outputs.tables[0].clone().into_os_string();
    scratch.push(".merging");
    let ledger = sweep::merge(&options.tables, Path::new(&scratch))?;
    let shown = match shown(output, ledger.layout()) {
        Ok(shown) => shown,
        Err(error) => {
            ledger.remove()?;
            return Err(error.into());
        }
    };
    if !output.json {
        println!("sweep {}: {} runs\n", ledger.sweep(), ledger.len());
    }
    write(output, Shard::WHOLE, &outputs, ledger, &shown)
}

/// What there is of the sweep already, if it may be gone on with; otherwise nothing.
fn ledger(
    options: &Sweep,
    sweep: &sweep::Sweep,
    outputs: &Outputs,
) -> Result<Ledger, Box<dyn std::error::Error>> {
    let path = Ledger::path_for(&outputs.tables[0]);
    let part = sweep.part(options.shard);
    if !options.resume {
        if path.exists() && !options.output.overwrite {
            let path = path.display();
            return Err(format!(
                "{path}: an interrupted sweep left it: go on with --resume, or begin anew with \
                --overwrite"
            )
            .into());
        }
        return Ok(Ledger::create(&path, part)?);
    }
    let was_there = path.exists();
    let mut ledger = Ledger::resume(&path, part)?;
    for table in outputs.tables.iter().filter(|table| table.exists()) {
        if let Err(error) = sweep::adopt(&mut ledger, table) {
            if !was_there {
                ledger.remove()?;
            }
            return Err(error.into());
        }
    }
    Ok(ledger)
}

pub(crate) fn jobs(asked: Option<u64>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or(cores)
}

/// The places of the figures that are printed: the telling ones of the last phase, unless others are
/// asked for.
fn shown(output: &Output, layout: &Layout) -> Result<Vec<usize>, SweepError> {
    if !output.figures.is_empty() {
        return layout.select(&output.figures);
    }
    let figures = layout.figures();
    let place = |name: &str| {
        let is_it = |known: &String| known == name || known.ends_with(&format!(".{name}"));
        figures.iter().rposition(is_it)
    };
    let has_assertions = figures.iter().any(|name| name.starts_with("assertions."));
    let holds = figures.iter().position(|name| has_assertions && name == "holds");
    let telling = ["reliability", "rmr", "latency_p50", "latency_p99"];
    Ok(holds.into_iter().chain(telling.into_iter().filter_map(place)).collect())
}

#[derive(Serialize)]
struct Json<'a> {
    sweep: &'a str,
    runs: u64,
    shard: String,
    tables: &'a [PathBuf],
    summary: Option<&'a PathBuf>,
    /// Of a whole sweep.
    cells: Vec<JsonCell>,
}

#[derive(Serialize)]
struct JsonCell {
    values: Map<String, Value>,
    figures: Map<String, Value>,
}

/// Writes the tables, and says what came out.
fn write(
    output: &Output,
    shard: Shard,
    outputs: &Outputs,
    ledger: Ledger,
    shown: &[usize],
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let is_whole = shard == Shard::WHOLE;
    let (mut cells, mut more) = (Vec::new(), 0);
    outputs.write(&ledger, |cell| match cells.len() < MOST_PRINTED || output.json {
        true if is_whole => cells.push(cell.clone()),
        _ => more += 1,
    })?;
    let layout = ledger.layout();
    if output.json {
        let all: Vec<usize> = (0..layout.figures().len()).collect();
        let shown = if output.figures.is_empty() { &all } else { shown };
        let json = Json {
            sweep: ledger.sweep(),
            runs: ledger.runs(),
            shard: shard.to_string(),
            tables: &outputs.tables,
            summary: outputs.summary.as_ref(),
            cells: cells
                .iter()
                .map(|cell| json_cell(layout, cell, shown))
                .collect::<Result<_, _>>()?,
        };
        println!("{}", serde_json::to_string(&json)?);
    } else {
        if is_whole {
            print(layout, &cells, shown);
            if more > 0 {
                println!("... and {more} more: --summary writes all of them");
            }
            println!();
        }
        for path in outputs.tables.iter().chain(&outputs.summary) {
            println!("written: {}", path.display());
        }
    }
    ledger.remove()?;
    Ok(ExitCode::SUCCESS)
}

fn json_cell(layout: &Layout, cell: &Cell, shown: &[usize]) -> serde_json::Result<JsonCell> {
    // Numbers are numbers.
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
    let values = layout.axes().iter().zip(&cell.values).map(|(k, v)| (k.clone(), value(v)));
    let figure =
        |at: &usize| Ok((layout.figures()[*at].clone(), serde_json::to_value(cell.figures[*at])?));
    Ok(JsonCell {
        values: values.collect(),
        figures: shown.iter().map(figure).collect::<serde_json::Result<_>>()?,
    })
}

fn print(layout: &Layout, cells: &[Cell], shown: &[usize]) {
    let figures = shown.iter().map(|at| layout.figures()[*at].clone());
    let head: Vec<String> = layout.axes().iter().cloned().chain(figures).collect();
    let row = |cell: &Cell| {
        let figures = shown.iter().map(|at| estimate(&cell.figures[*at]));
        cell.values.iter().cloned().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(cells.iter().map(row)).collect();
    summary::columns(&rows, layout.axes().len());
    println!("\nmean ± half of its 95 % interval");
}

/// A mean with what it may be off by.
pub(crate) fn estimate(estimate: &Estimate) -> String {
    match (estimate.mean, estimate.half_width()) {
        (None, _) => "-".to_owned(),
        (Some(mean), None) => summary::precise(mean, 0.0),
        (Some(mean), Some(half)) => {
            format!("{} ± {}", summary::precise(mean, half), summary::precise(half, half))
        }
    }
}
