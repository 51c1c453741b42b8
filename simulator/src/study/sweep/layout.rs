//! The columns of a sweep's tables.

use csv::StringRecord;

use super::SweepError;
use super::figures::{self, Values};

/// Columns in front of the varied keys.
const BEFORE: [&str; 3] = ["sweep", "runs", "run"];
/// Columns between the varied keys and the figures.
const BETWEEN: [&str; 2] = ["seed", "digest"];
/// Columns of a summary behind the varied keys.
const SUMMARY: [&str; 8] =
    ["figure", "n", "mean", "median", "ci_low", "ci_high", "least", "greatest"];

/// The columns of a table: `sweep`, `runs`, `run`, the varied keys, `seed`, `digest`, the figures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    columns: Vec<String>,
    axes: usize,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
}

impl Layout {
    pub(super) fn new(axes: Vec<String>, figures: Vec<String>) -> Result<Self, SweepError> {
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let count = axes.len();
        let columns = [owned(&BEFORE), axes, owned(&BETWEEN), figures].concat();
        let mut sorted: Vec<&String> = columns.iter().collect();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!(
                "two columns would be called {}: give phases or metrics other names",
                twice[0]
            );
            return Err(SweepError::Wrong(message));
        }
        if let Some(name) = columns.iter().find(|name| name.contains(char::is_control)) {
            return Err(SweepError::Wrong(format!("{name:?} has a line break in it")));
        }
        Ok(Self { columns, axes: count })
    }

    /// Of a table that says what its columns are.
    pub(super) fn of_columns(columns: &StringRecord) -> Result<Self, String> {
        let columns: Vec<String> = columns.iter().map(ToOwned::to_owned).collect();
        let axes = columns.windows(2).position(|pair| pair == BETWEEN);
        match axes.and_then(|at| at.checked_sub(BEFORE.len())) {
            Some(axes) if columns.starts_with(&BEFORE.map(ToOwned::to_owned)) => {
                Ok(Self { columns, axes })
            }
            _ => {
                Err("is not a table of a sweep: its columns must be sweep, runs, run, the varied \
                keys, seed, digest and figures"
                    .into())
            }
        }
    }

    /// All of them.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The varied keys.
    #[must_use]
    pub fn axes(&self) -> &[String] {
        &self.columns[BEFORE.len()..][..self.axes]
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self) -> &[String] {
        &self.columns[BEFORE.len() + self.axes + BETWEEN.len()..]
    }

    /// The places of these figures. A name without a phase stands for that figure in every phase.
    ///
    /// # Errors
    /// The nearest name, if there is no such figure.
    pub fn select(&self, names: &[String]) -> Result<Vec<usize>, SweepError> {
        figures::select(self.figures(), names)
    }

    pub(super) fn sweep_of<'r>(&self, row: &'r StringRecord) -> &'r str {
        &row[0]
    }

    pub(super) fn runs_of(&self, row: &StringRecord) -> Option<u64> {
        row[1].parse().ok()
    }

    pub(super) fn run_of(&self, row: &StringRecord) -> Option<u64> {
        row[2].parse().ok()
    }

    pub(super) fn values_of<'r>(&self, row: &'r StringRecord) -> impl Iterator<Item = &'r str> {
        row.iter().skip(BEFORE.len()).take(self.axes)
    }

    pub(super) fn figures_of(&self, row: &StringRecord) -> impl Iterator<Item = Option<f64>> {
        row.iter().skip(BEFORE.len() + self.axes + BETWEEN.len()).map(|figure| figure.parse().ok())
    }

    /// What stands in each column, given what stands in those of the varied keys.
    pub(super) fn kinds(&self, axes: &[Kind]) -> Vec<Kind> {
        let before = [Kind::Text, Kind::Whole, Kind::Whole];
        let between = [Kind::Whole, Kind::Text];
        let figures = self.figures().iter().map(|name| match figures::values_of(name) {
            Values::YesNo | Values::Counts => Kind::Whole,
            Values::Numbers => Kind::Number,
        });
        [&before, axes, &between, &figures.collect::<Vec<_>>()[..]].concat()
    }

    pub(super) fn summary_columns(&self) -> Vec<String> {
        let (first, last) = (std::iter::once(BEFORE[0]), SUMMARY);
        let axes = self.axes().iter().map(String::as_str);
        first.chain(axes).chain(last).map(ToOwned::to_owned).collect()
    }
}
