//! Merges the shards of a sweep.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use csv::{Reader, StringRecord};

use super::layout::Layout;
use super::partial_table::{PartialTable, SweepPart};
use super::rows::Rows;
use super::table::TableFormat;
use super::{MOST_RUNS, Shard, SweepError, parquet};

/// Merges the tables of all shards of a sweep, in any order. The tables written from the result are equal
/// to those of an unsharded sweep, to the byte. The rows are kept in a file at `scratch`; one table is open
/// at a time.
///
/// # Errors
/// If a table cannot be read, is of another sweep than the first, or has runs that another one has; or
/// if runs are missing.
pub fn merge(tables: &[PathBuf], scratch: &Path) -> Result<PartialTable, SweepError> {
    let first = tables.first().ok_or_else(|| SweepError::Wrong("no table is given".into()))?;
    let part = part(first)?;
    // The table that each run is from.
    let mut from = vec![0; usize::try_from(part.runs).unwrap_or(0)];
    let mut partial = PartialTable::create(scratch, part)?;
    let mut merge = || {
        let mut counts = BTreeSet::new();
        for (number, table) in tables.iter().enumerate() {
            let mut last = None;
            for_each(&mut partial, table, |partial, run, row| {
                let from = &mut from[run as usize];
                if partial.has(run) {
                    let other = tables[*from].display();
                    return Err(format!("has run {run}, as has {other}: is a shard given twice?"));
                }
                *from = number;
                counts.extend(last.replace(run).map(|last| run.abs_diff(last)));
                partial.add(run, row).map_err(|error| error.to_string())
            })?;
        }
        missing(&partial, &counts).map_or(Ok(()), |message| Err(SweepError::Wrong(message)))
    };
    match merge() {
        Ok(()) => Ok(partial),
        Err(error) => {
            partial.remove()?;
            Err(error)
        }
    }
}

/// Takes over the rows of a table that the partial table does not have.
///
/// # Errors
/// If the table cannot be read, or is of another sweep or shard.
pub fn adopt(partial: &mut PartialTable, table: &Path) -> Result<(), SweepError> {
    for_each(partial, table, |partial, run, row| match partial.has(run) {
        true => Ok(()),
        false => partial.add(run, row).map_err(|error| error.to_string()),
    })
}

/// What the rows of a table say that they are of.
fn part(path: &Path) -> Result<SweepPart, SweepError> {
    let wrong = |error: &dyn std::fmt::Display| SweepError::file(path, error);
    let (columns, mut rows) = read(path)?;
    let layout = Layout::of_columns(&columns).map_err(|error| wrong(&error))?;
    let row = rows.next().ok_or_else(|| wrong(&"has no rows"))?.map_err(|error| wrong(&error))?;
    let runs = layout.runs_of(&row).filter(|runs| (1..=MOST_RUNS).contains(runs));
    let runs = runs.ok_or_else(|| wrong(&"does not say how many runs there are"))?;
    let sweep = layout.sweep_of(&row).to_owned();
    Ok(SweepPart { layout, sweep, runs, shard: Shard::WHOLE })
}

fn for_each(
    partial: &mut PartialTable,
    path: &Path,
    mut take: impl FnMut(&mut PartialTable, u64, &StringRecord) -> Result<(), String>,
) -> Result<(), SweepError> {
    let wrong = |error: &dyn std::fmt::Display| SweepError::file(path, error);
    let (columns, rows) = read(path)?;
    Layout::of_columns(&columns).map_err(|error| wrong(&error))?;
    for row in rows {
        let row = row.map_err(|error| wrong(&error))?;
        let run = partial.check(&columns, &row).map_err(|error| wrong(&error))?;
        take(partial, run, &row).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<(StringRecord, Rows), SweepError> {
    let wrong = |error: &dyn std::fmt::Display| SweepError::file(path, error);
    if TableFormat::of(path)? == TableFormat::Parquet {
        return parquet::read(path).map_err(|error| wrong(&error));
    }
    let mut reader = Reader::from_path(path).map_err(|error| wrong(&error))?;
    let columns = reader.headers().map_err(|error| wrong(&error))?.clone();
    Ok((columns, Box::new(reader.into_records().map(|row| Ok(row?)))))
}

/// What is missing, if anything is. `counts` are the distances between the runs of a table.
fn missing(partial: &PartialTable, counts: &BTreeSet<u64>) -> Option<String> {
    let missing: Vec<u64> = partial.missing().collect();
    let first = missing.first()?;
    let shards = match counts.first() {
        Some(&count) if counts.len() == 1 => missing_shards(partial, count, missing.len()),
        _ => Vec::new(),
    };
    let which = match shards[..] {
        [] => format!("the first is {first}"),
        _ => {
            let names: Vec<_> = shards.iter().map(Shard::to_string).collect();
            format!("those of shard {}", names.join(", "))
        }
    };
    Some(format!("{} of {} runs are missing: {which}", missing.len(), partial.runs()))
}

/// Which of this many shards are missing, if whole shards are.
fn missing_shards(partial: &PartialTable, count: u64, missing: usize) -> Vec<Shard> {
    let runs = partial.runs();
    let shards = (1..=count).map(|index| Shard { index, count });
    let gone: Vec<_> = shards.filter(|s| s.runs(runs).all(|run| !partial.has(run))).collect();
    let of_them: usize = gone.iter().map(|shard| shard.runs(runs).count()).sum();
    if of_them == missing { gone } else { Vec::new() }
}
