//! Sweeps: a scenario run with every combination of some values, and with several seeds each.
//!
//! A [`Sweep`] numbers its runs: the last axis and, within it, the seeds change fastest. Every run is
//! a row of a table; rows are collected in a [`PartialTable`] as they come, on any number of threads and in
//! any number of shards, and written in the order of their numbers. So a table depends on nothing but
//! the sweep.

mod axis;
pub mod compare;
pub mod estimate;
pub mod figures;
mod jobs;
mod layout;
mod merge;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;
mod partial_table;
mod rows;
mod shard;
mod summary;
mod table;
mod work;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub use axis::{Axis, Value};
pub use jobs::Jobs;
pub use layout::Layout;
pub use merge::{adopt, merge};
pub use partial_table::{PartialTable, SweepPart};
pub use shard::Shard;
pub use summary::Cell;
pub use table::Outputs;
use work::{Ticks, weight};

use crate::experiment::runner::{self, RunError};
use crate::experiment::scenario::{Document, Scenario, ScenarioError, gallery};
use crate::model::network::mix;

/// The most runs of a sweep.
pub const MOST_RUNS: u64 = 1_000_000;

/// Why a sweep cannot be made, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A value that is not allowed, and what is.
    #[error("{0}")]
    Wrong(String),
    /// A wrong scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A scenario that could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file that cannot be read or written, or does not belong to a sweep.
    #[error("{}: {message}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What about it.
        message: String,
    },
}

impl SweepError {
    fn file(path: &Path, message: &dyn std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string() }
    }
}

/// A scenario, what is varied of it, and with how many seeds.
#[derive(Debug)]
pub struct Sweep {
    document: Document,
    axes: Vec<Axis>,
    seeds: u64,
    first_seed: u64,
    layout: Layout,
    id: String,
    /// Nodes times milliseconds of virtual time of a run, by cell.
    weights: Vec<u64>,
}

impl Sweep {
    /// Checks every combination of the values of the axes, each `key=values` as [`Axis::parse`]
    /// reads them. Every combination runs with the same seeds, from the scenario's on.
    ///
    /// # Errors
    /// What is wrong with an axis, or with the scenario where a value of one stands in it. Nothing
    /// was run.
    pub fn new(document: Document, axes: &[String], seeds: u64) -> Result<Self, SweepError> {
        let axes =
            axes.iter().map(|axis| Axis::parse(axis, &document)).collect::<Result<Vec<_>, _>>()?;
        for (at, axis) in axes.iter().enumerate() {
            let key = &axis.key;
            if axes[..at].iter().any(|other| is_part(key, &other.key) || is_part(&other.key, key)) {
                return Err(SweepError::Wrong(format!("--vary {key}: it is varied already")));
            }
        }
        let cells = axes
            .iter()
            .try_fold(1, |cells: u64, axis| cells.checked_mul(axis.values.len() as u64))
            .filter(|cells| cells.checked_mul(seeds).is_some_and(|runs| runs <= MOST_RUNS))
            .ok_or_else(|| {
                let sizes: Vec<_> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
                let sizes = if sizes.is_empty() { "1".into() } else { sizes.join(" x ") };
                let message =
                    format!("{sizes} values x {seeds} seeds: allowed are {MOST_RUNS} runs");
                SweepError::Wrong(message)
            })?;
        let mut sweep = Self {
            document,
            axes,
            seeds,
            first_seed: 0,
            layout: Layout::default(),
            id: String::new(),
            weights: Vec::new(),
        };
        sweep.check(cells)?;
        Ok(sweep)
    }

    /// Reads the scenario of every cell once.
    fn check(&mut self, cells: u64) -> Result<(), SweepError> {
        let mut figures: Option<Vec<String>> = None;
        let mut files = BTreeMap::new();
        for cell in 0..cells {
            let scenario = self.cell(cell)?;
            let names = figures::names(&scenario);
            if *figures.get_or_insert_with(|| names.clone()) != names {
                let message = "every run must have the same phases and as many assertions as the \
                    others: they are columns of the table";
                return Err(SweepError::Wrong(format!("{}: {message}", self.place(cell))));
            }
            for file in scenario.files() {
                if let Entry::Vacant(place) = files.entry(file) {
                    let hash = hash_of_file(place.key());
                    let hash = hash.map_err(|error| SweepError::file(place.key(), &error))?;
                    place.insert(hash);
                }
            }
            self.first_seed = scenario.seed;
            self.weights.push(weight(&scenario));
        }
        last_seed(self.first_seed, self.seeds)?;
        let keys = self.axes.iter().map(|axis| axis.key.clone());
        self.layout = Layout::new(keys.collect(), figures.unwrap_or_default())?;
        let hashes: Vec<u64> = files.into_values().collect();
        let axes: Vec<(&str, Vec<&str>)> = self.axes.iter().map(Axis::labels).collect();
        let what = (env!("CARGO_PKG_VERSION"), self.document.canonical(), axes, self.seeds, hashes);
        self.id = format!("{:016x}", hash(format!("{what:?}").as_bytes()));
        Ok(())
    }

    /// The id of the sweep. Everything that can change a row changes it; blanks in the file and the machine
    /// do not.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is varied.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The first seed and the last.
    #[must_use]
    pub fn seeds(&self) -> (u64, u64) {
        (self.first_seed, self.first_seed + self.seeds - 1)
    }

    /// How many runs there are.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.weights.len() as u64 * self.seeds
    }

    /// The columns of its table.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the rows of a shard of it are of.
    #[must_use]
    pub fn part(&self, shard: Shard) -> SweepPart {
        SweepPart { layout: self.layout.clone(), sweep: self.id.clone(), runs: self.runs(), shard }
    }

    /// How much work a run is: nodes times milliseconds of virtual time.
    #[must_use]
    pub fn weight(&self, run: u64) -> u64 {
        let cell = usize::try_from(run / self.seeds).unwrap_or(usize::MAX);
        self.weights.get(cell).copied().unwrap_or(0)
    }

    /// The scenario of a run.
    ///
    /// # Errors
    /// If a file that it names is gone.
    pub fn scenario(&self, run: u64) -> Result<Scenario, SweepError> {
        let mut scenario = self.cell(run / self.seeds)?;
        scenario.seed += run % self.seeds;
        Ok(scenario)
    }

    /// Runs the runs of the shard that the partial table does not have, and adds their rows to it. `worked`
    /// is called with the work done, in the unit of [`Sweep::weight`].
    ///
    /// # Errors
    /// If a row cannot be written.
    pub fn run(
        &self,
        shard: Shard,
        jobs: Jobs,
        partial: &mut PartialTable,
        worked: &(impl Fn(u64) + Sync),
    ) -> Result<(), SweepError> {
        let missing = self.missing(shard, partial);
        let row = |run| self.row(run, jobs.threads, worked).map(|row| (run, row));
        jobs::each(missing.into_iter(), jobs.runs, row, |row| {
            let (run, row) = row?;
            partial.add(run, &row)
        })
    }

    /// The runs of a shard that the partial table does not have.
    #[must_use]
    pub fn missing(&self, shard: Shard, partial: &PartialTable) -> Vec<u64> {
        shard.runs(self.runs()).filter(|run| !partial.has(*run)).collect()
    }

    fn row(
        &self,
        run: u64,
        threads: NonZeroUsize,
        worked: &(impl Fn(u64) + Sync),
    ) -> Result<Vec<String>, SweepError> {
        let scenario = self.scenario(run)?;
        let mut ticks = Ticks::new(&scenario, worked);
        let report = runner::run_on_threads(threads, &scenario, &mut ticks)?;
        let mut row = vec![self.id.clone(), self.runs().to_string(), run.to_string()];
        row.extend(self.values(run / self.seeds).map(|(_, value)| value.label.clone()));
        row.extend([scenario.seed.to_string(), report.digest.clone()]);
        let figures = figures::values(&scenario, &report).into_iter();
        row.extend(figures.map(|figure| figure.map_or_else(String::new, |f| f.to_string())));
        Ok(row)
    }

    /// The value of each axis in a cell.
    fn values(&self, cell: u64) -> impl Iterator<Item = (&Axis, &Value)> {
        let mut below: u64 = self.axes.iter().map(|axis| axis.values.len() as u64).product();
        self.axes.iter().filter_map(move |axis| {
            let count = axis.values.len() as u64;
            below /= count;
            let at = usize::try_from(cell / below % count).ok()?;
            Some((axis, axis.values.get(at)?))
        })
    }

    fn cell(&self, cell: u64) -> Result<Scenario, SweepError> {
        let mut document = self.document.clone();
        for (axis, value) in self.values(cell) {
            document.assign("--vary", &format!("{}={}", axis.key, value.written))?;
        }
        Ok(document.scenario()?)
    }

    fn place(&self, cell: u64) -> String {
        let values = self.values(cell).map(|(axis, value)| format!("{}={}", axis.key, value.label));
        format!("--vary {}", values.collect::<Vec<_>>().join(" --vary "))
    }
}

/// The last of this many seeds. It must be a seed that a scenario can have.
fn last_seed(first: u64, seeds: u64) -> Result<u64, SweepError> {
    let most = i64::MAX.unsigned_abs();
    first.checked_add(seeds - 1).filter(|last| *last <= most).ok_or_else(|| {
        SweepError::Wrong(format!("{seeds} seeds from {first} on: the last allowed is {most}"))
    })
}

/// Whether one key is the other, or a table that the other is in.
fn is_part(whole: &str, part: &str) -> bool {
    part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |hash, byte| mix(hash ^ u64::from(*byte)))
}

fn hash_of_file(path: &Path) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    gallery::open(path)?.read_to_end(&mut bytes)?;
    Ok(hash(&bytes))
}

#[cfg(test)]
mod tests;
