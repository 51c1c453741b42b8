//! What the runs of a cell come to.

use csv::StringRecord;

use super::estimate::{Estimate, Moments};
use super::layout::Layout;

/// All runs with the same values.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The value of each axis.
    pub values: Vec<String>,
    /// Each figure over the seeds.
    pub figures: Vec<Estimate>,
}

/// Sums up rows that come in the order of their runs.
#[derive(Debug)]
pub(super) struct Summing {
    layout: Layout,
    values: Option<Vec<String>>,
    moments: Vec<Moments>,
}

impl Summing {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), values: None, moments: Vec::new() }
    }

    /// One more row. Returns the cell before, if this is the first row of another one.
    pub(super) fn add(&mut self, row: &StringRecord) -> Option<Cell> {
        let is_same = self.values.as_ref().is_some_and(|v| v.iter().eq(self.layout.values_of(row)));
        let done = if is_same { None } else { self.end() };
        if !is_same {
            self.values = Some(self.layout.values_of(row).map(ToOwned::to_owned).collect());
            self.moments = vec![Moments::default(); self.layout.figures().len()];
        }
        for (moments, figure) in self.moments.iter_mut().zip(self.layout.figures_of(row)) {
            if let Some(figure) = figure {
                moments.add(figure);
            }
        }
        done
    }

    /// The last cell.
    pub(super) fn end(&mut self) -> Option<Cell> {
        let values = self.values.take()?;
        Some(Cell { values, figures: self.moments.iter().map(Moments::estimate).collect() })
    }
}
