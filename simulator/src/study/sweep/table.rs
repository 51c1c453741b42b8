//! Tables as files: where they go, and how they are written.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{StringRecord, Writer};

use super::SweepError;
use super::estimate::Summary;
use super::layout::Kind;
use super::parquet;
use super::partial_table::PartialTable;
use super::rows::Sheet;
use super::summary::{Cell, Summing};
use crate::study::draft::Draft;

/// The files of tables. The extension of each says its format.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// A row a run.
    pub tables: Vec<PathBuf>,
    /// A row a figure of a cell: what it comes to over the seeds.
    pub summary: Option<PathBuf>,
}

impl Outputs {
    /// Checks that all of them can be written, before anything runs. Existing files are an error, unless
    /// they may be overwritten.
    ///
    /// # Errors
    /// The file that cannot be written, and why.
    pub fn check(&self, overwrite: bool) -> Result<(), SweepError> {
        let all: Vec<&PathBuf> = self.tables.iter().chain(&self.summary).collect();
        for (at, path) in all.iter().enumerate() {
            TableFormat::of(path)?;
            if all[..at].contains(path) {
                return Err(SweepError::file(path, &"is to be two tables"));
            }
            if path.exists() && !overwrite {
                let message = "exists already: choose another file, or use --overwrite";
                return Err(SweepError::file(path, &message));
            }
            Draft::create(path)
                .map_err(|error| SweepError::file(path, &format!("cannot be written: {error}")))?;
        }
        Ok(())
    }

    /// Writes all tables from the rows of a partial table, in the order of their runs, and calls `seen`
    /// with every cell on the way. At most a cell is in memory.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn write(
        &self,
        partial: &PartialTable,
        mut seen: impl FnMut(&Cell),
    ) -> Result<(), SweepError> {
        let layout = partial.layout();
        let axes = kinds_of_axes(partial)?;
        let kinds = layout.kinds(&axes);
        let mut tables = self
            .tables
            .iter()
            .map(|path| Table::create(path, layout.columns(), &kinds))
            .collect::<Result<Vec<_>, _>>()?;
        let columns = layout.summary_columns();
        let numbers = [&[Kind::Text, Kind::Whole], &[Kind::Number; 6][..]].concat();
        let kinds = [&[Kind::Text], &axes[..], &numbers].concat();
        let path = self.summary.as_ref();
        let mut summary = path.map(|path| Table::create(path, &columns, &kinds)).transpose()?;
        let mut sum = |cell: Option<Cell>| {
            let Some(cell) = cell else { return Ok(()) };
            seen(&cell);
            let Some(table) = &mut summary else { return Ok(()) };
            summary_rows(partial, &cell).try_for_each(|row| table.add(&row))
        };
        let mut summing = Summing::new(layout);
        for row in partial.rows()? {
            let row = row?;
            tables.iter_mut().try_for_each(|table| table.add(&row))?;
            sum(summing.add(&row))?;
        }
        sum(summing.end())?;
        tables.into_iter().chain(summary).try_for_each(Table::finish)
    }
}

fn summary_rows(partial: &PartialTable, cell: &Cell) -> impl Iterator<Item = StringRecord> {
    let number = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
    let figures = partial.layout().figures().iter().zip(&cell.figures);
    figures.map(move |(name, figure)| {
        let mut row = StringRecord::from(vec![partial.sweep()]);
        row.extend(&cell.values);
        row.extend([name, &figure.n.to_string()]);
        let Summary { mean, median, ci_low, ci_high, least, greatest, .. } = *figure;
        row.extend([mean, median, ci_low, ci_high, least, greatest].map(number));
        row
    })
}

/// The kinds of the columns of varied keys: numbers if all values are numbers.
fn kinds_of_axes(partial: &PartialTable) -> Result<Vec<Kind>, SweepError> {
    let layout = partial.layout();
    let mut kinds = vec![Kind::Whole; layout.axes().len()];
    for row in partial.rows()? {
        for (kind, value) in kinds.iter_mut().zip(layout.values_of(&row?)) {
            if *kind == Kind::Whole && value.parse::<i64>().is_err() {
                *kind = Kind::Number;
            }
            // As it was written, so that tables can be read again.
            let is_number = value.parse::<f64>().is_ok_and(|number| number.to_string() == value);
            if *kind == Kind::Number && !is_number {
                *kind = Kind::Text;
            }
        }
    }
    Ok(kinds)
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableFormat {
    Csv,
    Parquet,
}

impl TableFormat {
    pub(super) fn of(path: &Path) -> Result<Self, SweepError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => {
                parquet::built_in().map_err(|error| SweepError::file(path, &error))?;
                Ok(Self::Parquet)
            }
            _ => {
                let message = "must end in .csv or .parquet";
                Err(SweepError::file(path, &message))
            }
        }
    }
}

impl Sheet for Writer<File> {
    fn add(&mut self, row: &StringRecord) -> Result<(), Box<dyn Error>> {
        Ok(self.write_record(row)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), Box<dyn Error>> {
        Ok(self.flush()?)
    }
}

/// A table that is being written.
struct Table<'a> {
    path: &'a Path,
    draft: Draft,
    sheet: Box<dyn Sheet>,
}

impl<'a> Table<'a> {
    fn create(path: &'a Path, columns: &[String], kinds: &[Kind]) -> Result<Self, SweepError> {
        let format = TableFormat::of(path)?;
        let (draft, file) = Draft::create(path).map_err(|error| SweepError::file(path, &error))?;
        let write = || -> Result<Box<dyn Sheet>, Box<dyn Error>> {
            if format == TableFormat::Parquet {
                return parquet::write(file, columns, kinds);
            }
            let mut writer = Writer::from_writer(file);
            writer.write_record(columns)?;
            Ok(Box::new(writer))
        };
        let sheet = write().map_err(|error| SweepError::file(path, &error))?;
        Ok(Self { path, draft, sheet })
    }

    fn add(&mut self, row: &StringRecord) -> Result<(), SweepError> {
        self.sheet.add(row).map_err(|error| SweepError::file(self.path, &error))
    }

    fn finish(self) -> Result<(), SweepError> {
        let wrong = |error: &dyn std::fmt::Display| SweepError::file(self.path, error);
        self.sheet.finish().map_err(|error| wrong(&error))?;
        self.draft.finish().map_err(|error| wrong(&error))
    }
}
