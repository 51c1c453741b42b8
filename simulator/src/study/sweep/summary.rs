//! Summaries of the runs of a cell.

use csv::StringRecord;

use super::estimate::Summary;
use super::figures::{self, Values};
use super::layout::Layout;

/// All runs with the same values.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The value of each axis.
    pub values: Vec<String>,
    /// Each figure over the seeds.
    pub figures: Vec<Summary>,
}

/// Sums up rows that come in the order of their runs.
#[derive(Debug)]
pub(super) struct Summing {
    layout: Layout,
    values: Option<Vec<String>>,
    /// By figure.
    columns: Vec<Vec<f64>>,
}

impl Summing {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), values: None, columns: Vec::new() }
    }

    /// One more row. Returns the cell before, if this is the first row of another one.
    pub(super) fn add(&mut self, row: &StringRecord) -> Option<Cell> {
        let is_same = self.values.as_ref().is_some_and(|v| v.iter().eq(self.layout.values_of(row)));
        let done = if is_same { None } else { self.end() };
        if !is_same {
            self.values = Some(self.layout.values_of(row).map(ToOwned::to_owned).collect());
            self.columns = vec![Vec::new(); self.layout.figures().len()];
        }
        for (column, figure) in self.columns.iter_mut().zip(self.layout.figures_of(row)) {
            column.extend(figure);
        }
        done
    }

    /// The last cell.
    pub(super) fn end(&mut self) -> Option<Cell> {
        let values = self.values.take()?;
        let columns = std::mem::take(&mut self.columns).into_iter().zip(self.layout.figures());
        let summary = |(column, name): (Vec<f64>, &String)| match figures::values_of(name) {
            Values::YesNo => Summary::of_share(column),
            Values::Counts | Values::Numbers => Summary::of(column),
        };
        Some(Cell { values, figures: columns.map(summary).collect() })
    }
}
