//! The output of a sweep: tables as files, and a printed summary.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::study::sweep::estimate::Summary;
use crate::study::sweep::figures::{self, Values};
use crate::study::sweep::{Cell, Layout, Outputs, PartialTable, Shard, SweepError};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::summary;

/// The most cells that are printed; files contain all.
const MOST_PRINTED: usize = 200;

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Write the table to this .csv or .parquet file; can be repeated [default: sweep.csv]. A shard adds
    /// which one it is: sweep-2-of-8.csv
    #[arg(long, value_name = "TABLE")]
    out: Vec<PathBuf>,
    /// Write medians and means with their 95 % intervals to this .csv or .parquet file, one row per figure
    /// and combination
    #[arg(long, value_name = "TABLE")]
    pub(crate) summary: Option<PathBuf>,
    /// The figures to print, such as rmr,latency_p99,after.reliability
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) figures: Vec<String>,
    /// Overwrite tables that exist already
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print only one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    pub(crate) fn outputs(&self, shard: Shard) -> Outputs {
        let default = [PathBuf::from("sweep.csv")];
        let tables = if self.out.is_empty() { &default[..] } else { &self.out };
        let tables = tables.iter().map(|table| of_shard(table, shard)).collect();
        Outputs { tables, summary: self.summary.clone() }
    }
}

/// The file of a shard's table, such as `sweep-2-of-8.csv`: shards in one folder have different files.
fn of_shard(table: &Path, shard: Shard) -> PathBuf {
    let Shard { index, count } = shard;
    let stem = table.file_stem().map(|stem| stem.to_string_lossy());
    let ending = table.extension().map(|ending| ending.to_string_lossy());
    match (shard, stem, ending) {
        (Shard::WHOLE, ..) | (_, None, _) | (_, _, None) => table.to_owned(),
        (_, Some(stem), Some(ending)) => {
            table.with_file_name(format!("{stem}-{index}-of-{count}.{ending}"))
        }
    }
}

/// The indices of the figures that are printed: the most important ones of the last phase, unless others
/// are asked for.
pub(crate) fn shown(output: &Output, layout: &Layout) -> Result<Vec<usize>, SweepError> {
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

/// Writes the tables, and prints a summary.
pub(crate) fn write(
    output: &Output,
    shard: Shard,
    outputs: &Outputs,
    partial: PartialTable,
    shown: &[usize],
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let is_whole = shard == Shard::WHOLE;
    let (mut cells, mut more) = (Vec::new(), 0);
    outputs.write(&partial, |cell| match cells.len() < MOST_PRINTED || output.json {
        true if is_whole => cells.push(cell.clone()),
        _ => more += 1,
    })?;
    let layout = partial.layout();
    if output.json {
        let all: Vec<usize> = (0..layout.figures().len()).collect();
        let shown = if output.figures.is_empty() { &all } else { shown };
        let json = Json {
            sweep: partial.sweep(),
            runs: partial.runs(),
            shard: shard.to_string(),
            tables: &outputs.tables,
            summary: outputs.summary.as_ref(),
            cells: cells
                .iter()
                .map(|cell| json_cell(layout, cell, shown))
                .collect::<Result<_, _>>()?,
        };
        say!("{}", serde_json::to_string(&json)?);
    } else {
        if is_whole {
            print(layout, &cells, shown);
            if more > 0 {
                say!("... and {more} more: --summary writes all of them");
            }
            say!("");
        }
        for path in outputs.tables.iter().chain(&outputs.summary) {
            say!("written: {}", path.display());
        }
    }
    partial.remove()?;
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
        let figures = shown.iter().map(|at| over_seeds(&layout.figures()[*at], &cell.figures[*at]));
        cell.values.iter().cloned().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(cells.iter().map(row)).collect();
    summary::columns(&rows, layout.axes().len());
    say!("\nmedian [95 % interval], or (least to greatest) where too few values differ for one");
}

/// A figure over the seeds.
fn over_seeds(name: &str, summary: &Summary) -> String {
    let Summary { n, mean, median, ci_low, ci_high, least, greatest } = *summary;
    let (Some(mean), Some(median), Some((least, greatest))) = (mean, median, least.zip(greatest))
    else {
        return "-".to_owned();
    };
    let interval = ci_low.zip(ci_high);
    if figures::values_of(name) == Values::YesNo {
        let share = |share: f64| format!("{:.0}", 100.0 * share);
        let (low, high) = interval.unwrap_or((0.0, 1.0));
        return format!(
            "{} of {n} [{} to {} %]",
            (mean * n as f64).round(),
            share(low),
            share(high)
        );
    }
    let (low, high) = interval.unwrap_or((least, greatest));
    let number = |value: f64| summary::precise(value, (high - low) / 2.0);
    match interval {
        None if least == greatest => number(median),
        None => format!("{} ({} to {})", number(median), number(low), number(high)),
        Some(_) => format!("{} [{} to {}]", number(median), number(low), number(high)),
    }
}
