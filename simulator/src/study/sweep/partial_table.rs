//! The rows of an unfinished table, in a file beside it. They survive an interruption of the program.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use csv::{Position, Reader, ReaderBuilder, StringRecord, Writer};

use super::layout::Layout;
use super::{Shard, SweepError};

/// No row yet.
const MISSING: u64 = u64::MAX;

/// What the rows belong to: a sweep, or a shard of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepPart {
    /// Their columns.
    pub layout: Layout,
    /// The id of the sweep.
    pub sweep: String,
    /// Runs of the whole sweep.
    pub runs: u64,
    /// The part of it.
    pub shard: Shard,
}

impl SweepPart {
    /// The run that a row is of, or why it is no row of this part.
    pub(super) fn run_of(&self, row: &StringRecord) -> Result<u64, String> {
        let Self { layout, sweep, runs, shard } = self;
        let other = layout.sweep_of(row);
        if other != sweep {
            return Err(format!(
                "belongs to sweep {other}, not to {sweep}: shards of one sweep have the same file, \
                --set, --vary and --seeds"
            ));
        }
        let run = layout.run_of(row).filter(|run| run < runs && layout.runs_of(row) == Some(*runs));
        let run =
            run.ok_or_else(|| format!("has a row that is not one of {runs} runs: {row:?}"))?;
        if run % shard.count != shard.index - 1 {
            return Err(format!("has run {run}, which is not of shard {shard}"));
        }
        Ok(run)
    }
}

/// The rows of a sweep so far, in a CSV file in the order in which they came. Only their positions are in
/// memory.
#[derive(Debug)]
pub struct PartialTable {
    path: PathBuf,
    pub(super) file: File,
    part: SweepPart,
    /// Where the row of each run begins.
    rows: Vec<u64>,
    end: u64,
}

impl PartialTable {
    /// The path of the partial table for a table.
    #[must_use]
    pub fn path_for(table: &Path) -> PathBuf {
        let mut name = table.as_os_str().to_owned();
        name.push(".partial");
        name.into()
    }

    /// Creates one without rows, and overwrites the file.
    ///
    /// # Errors
    /// If the file cannot be written, or another process writes it.
    pub fn create(path: &Path, part: SweepPart) -> Result<Self, SweepError> {
        let mut partial = Self::open(path, part)?;
        partial.begin()?;
        Ok(partial)
    }

    /// Opens one that was left behind, without a row that was written incompletely. If there is none,
    /// creates one.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is of another sweep, or another process writes it.
    pub fn resume(path: &Path, part: SweepPart) -> Result<Self, SweepError> {
        let wrong = |error: &dyn std::fmt::Display| SweepError::file(path, error);
        let mut partial = Self::open(path, part)?;
        partial.end = whole_lines(&mut partial.file).map_err(|error| wrong(&error))?;
        if partial.end == 0 {
            partial.begin()?;
            return Ok(partial);
        }
        partial.file.rewind().map_err(|error| wrong(&error))?;
        let whole = partial.file.try_clone().map_err(|error| wrong(&error))?.take(partial.end);
        let mut reader = Reader::from_reader(whole);
        let columns = reader.headers().map_err(|error| wrong(&error))?.clone();
        for record in reader.into_records() {
            let record = record.map_err(|error| wrong(&error))?;
            let run = partial.check(&columns, &record).map_err(|error| wrong(&error))?;
            partial.note(run, record.position().map_or(MISSING, Position::byte));
        }
        partial.file.set_len(partial.end).map_err(|error| wrong(&error))?;
        partial.file.seek(SeekFrom::End(0)).map_err(|error| wrong(&error))?;
        Ok(partial)
    }

    fn open(path: &Path, part: SweepPart) -> Result<Self, SweepError> {
        let wrong = |error: &dyn std::fmt::Display| SweepError::file(path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(|error| wrong(&error))?;
        // Not every file system has locks.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let message = "another process writes it: every sweep and shard needs its own --out";
            return Err(wrong(&message));
        }
        let rows = vec![MISSING; usize::try_from(part.runs).unwrap_or(usize::MAX)];
        Ok(Self { path: path.to_owned(), file, part, rows, end: 0 })
    }

    fn begin(&mut self) -> Result<(), SweepError> {
        self.file.set_len(0).map_err(|error| SweepError::file(&self.path, &error))?;
        self.write(self.part.layout.columns().to_vec())
    }

    /// The run of a row of a file with these columns, if both are as here.
    pub(super) fn check(&self, columns: &StringRecord, row: &StringRecord) -> Result<u64, String> {
        let run = self.part.run_of(row)?;
        match columns == self.part.layout.columns() {
            true => Ok(run),
            false => Err("has other columns".to_owned()),
        }
    }

    /// The columns of its rows.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.part.layout
    }

    /// What its rows are of.
    #[must_use]
    pub fn sweep(&self) -> &str {
        &self.part.sweep
    }

    /// Runs of the whole sweep.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.part.runs
    }

    /// Whether it has the row of this run.
    #[must_use]
    pub fn has(&self, run: u64) -> bool {
        let run = usize::try_from(run).unwrap_or(usize::MAX);
        self.rows.get(run).is_some_and(|row| *row != MISSING)
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows.iter().filter(|row| **row != MISSING).count() as u64
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs that it has no row of.
    pub(super) fn missing(&self) -> impl Iterator<Item = u64> {
        (0..).zip(&self.rows).filter(|(_, row)| **row == MISSING).map(|(run, _)| run)
    }

    /// Writes a row down for good.
    pub(super) fn add(
        &mut self,
        run: u64,
        row: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), SweepError> {
        let at = self.end;
        self.write(row)?;
        self.note(run, at);
        Ok(())
    }

    fn note(&mut self, run: u64, at: u64) {
        if let Some(place) = usize::try_from(run).ok().and_then(|run| self.rows.get_mut(run)) {
            *place = at;
        }
    }

    fn write(&mut self, row: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<(), SweepError> {
        let line = line(row).map_err(|error| SweepError::file(&self.path, &error))?;
        // In one piece, so that at most the last line of a file is not whole.
        self.file.write_all(&line).map_err(|error| SweepError::file(&self.path, &error))?;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Its rows in the order of their runs.
    pub(super) fn rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<StringRecord, SweepError>> + '_, SweepError> {
        let wrong = |error: csv::Error| SweepError::file(&self.path, &error);
        let mut reader =
            ReaderBuilder::new().has_headers(false).from_path(&self.path).map_err(wrong)?;
        let places = self.rows.iter().filter(|row| **row != MISSING);
        Ok(places.map(move |place| {
            let mut position = Position::new();
            position.set_byte(*place);
            reader.seek(position).map_err(wrong)?;
            let mut record = StringRecord::new();
            reader.read_record(&mut record).map_err(wrong)?;
            Ok(record)
        }))
    }

    /// The table is written: this is not needed any more.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove(self) -> Result<(), SweepError> {
        std::fs::remove_file(&self.path).map_err(|error| SweepError::file(&self.path, &error))
    }
}

fn line(row: impl IntoIterator<Item: AsRef<[u8]>>) -> csv::Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(row)?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

impl Drop for PartialTable {
    fn drop(&mut self) {
        // By dropping the file alone it would go on as long as a copy of it: a process that another thread
        // is about to start has one until it runs its program.
        let _ = self.file.unlock();
    }
}

/// Where the last whole line of a file ends.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut piece = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(piece.len() as u64);
        let piece = &mut piece[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
