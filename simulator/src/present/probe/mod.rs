//! Writes figures of nodes over time as a table: a row for each node and look.
//!
//! All formats have the same columns: `at` (seconds of virtual time), `node` (its index), and one for each
//! figure, in the order in which the scenario names them. A value that is not there is empty: null in
//! Parquet, an empty cell in CSV, and in JSON lines its key is left out. Rows are written as they come: at
//! most one group of rows is in memory.

#[cfg(feature = "parquet")]
mod parquet;
mod text;

use std::io::{self, Write};
use std::path::Path;

use murmurate::membership::Time;

use crate::engine::Count;
use crate::experiment::runner::{Observer, Probing, View};
use crate::experiment::scenario::{Column, Probe, Scenario, Who};
use crate::model::network::{Placement, mix};
use crate::observe::node::KEYS;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A Parquet table.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

/// A file whose format is not known; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// No format has this ending.
    #[error("{0} must end in .parquet, .csv or .jsonl")]
    Ending(String),
    /// The format is left out of this program.
    #[error("{0}: this program was built without Parquet support: write .csv or .jsonl")]
    LeftOut(String),
}

impl Format {
    /// By a file's ending.
    ///
    /// # Errors
    /// If there is no such format.
    pub fn of(path: &Path) -> Result<Self, FormatError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let shown = path.display().to_string();
        match ending.to_ascii_lowercase().as_str() {
            "parquet" if cfg!(feature = "parquet") => Ok(Self::Parquet),
            "parquet" => Err(FormatError::LeftOut(shown)),
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::JsonLines),
            _ => Err(FormatError::Ending(shown)),
        }
    }
}

/// A table that takes rows.
trait Sheet {
    /// A row; values that are not there are NaN.
    fn add(&mut self, at: f64, node: usize, values: &[f64]) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Looks at nodes while a run goes on, and writes what it sees.
pub struct Prober {
    probing: Probing,
    chosen: Chosen,
    /// By place in the order in which figures are visited: the name, and the column if it has one.
    visited: Vec<(String, Option<usize>)>,
    /// The columns of what is counted.
    counted: Vec<usize>,
    row: Vec<f64>,
    /// When it looked last: looks closer together than a bucket of the queue are one.
    looked: Option<Time>,
    sheet: Box<dyn Sheet>,
    /// Why nothing more is written.
    failed: Option<io::Error>,
}

impl Prober {
    /// Of what the scenario's probe says, or of all figures of all nodes every second.
    ///
    /// # Errors
    /// If it cannot be written. A scenario that [`Scenario::check`] finds nothing wrong with has the figures
    /// that it names.
    pub fn new(
        scenario: &Scenario,
        format: Format,
        to: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let probe = scenario.measure.probe.clone().unwrap_or_default();
        let columns = scenario.columns(&probe).map_err(|wrong| {
            let all: Vec<_> = wrong.into_iter().map(|(_, message)| message).collect();
            io::Error::other(all.join("; "))
        })?;
        let names: Vec<&str> =
            KEYS.into_iter().chain(columns.iter().map(|column| column.name.as_str())).collect();
        let sheet: Box<dyn Sheet> = match format {
            #[cfg(feature = "parquet")]
            Format::Parquet => Box::new(parquet::Table::new(&names, to)?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => return Err(io::Error::other("built without the feature parquet")),
            Format::Csv => Box::new(text::Csv::new(&names, to)?),
            Format::JsonLines => Box::new(text::JsonLines::new(&names, to)),
        };
        let place = |column: &Column| columns.iter().position(|one| one.name == column.name);
        let all = scenario.node_figures();
        let of_state = all.iter().filter(|column| column.count.is_none());
        let visited = of_state.map(|column| (column.name.clone(), place(column))).collect();
        let is_counted = |(at, column): (usize, &Column)| column.count.is_some().then_some(at);
        Ok(Self {
            probing: probing(&probe, &columns),
            chosen: Chosen::of(&probe.nodes, scenario)?,
            visited,
            counted: columns.iter().enumerate().filter_map(is_counted).collect(),
            row: vec![f64::NAN; columns.len()],
            looked: None,
            sheet,
            failed: None,
        })
    }

    /// Writes a row for each of its nodes that runs.
    fn look(&mut self, sim: &dyn View) -> io::Result<()> {
        if self.looked.replace(sim.now()) == Some(sim.now()) {
            return Ok(());
        }
        let at = sim.now().since(Time::ZERO).as_secs_f64();
        for node in sim.running().into_iter().filter(|node| self.chosen.has(*node)) {
            let (row, visited) = (&mut self.row, &self.visited);
            row.fill(f64::NAN);
            if visited.iter().any(|(_, column)| column.is_some()) {
                let mut place = 0;
                sim.each_figure(node, &mut |figure, value| {
                    if let Some((name, Some(column))) = visited.get(place)
                        && name == figure.name
                    {
                        row[*column] = value;
                    }
                    place += 1;
                });
            }
            for (place, column) in self.counted.iter().enumerate() {
                row[*column] = sim.count(node, place).map_or(f64::NAN, |count| count as f64);
            }
            // What is no number is not there, in whichever format.
            row.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = f64::NAN);
            self.sheet.add(at, node, row)?;
        }
        Ok(())
    }

    /// The table is complete.
    ///
    /// # Errors
    /// If it could not be written, on the way or now.
    pub fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)?;
        self.sheet.finish()
    }
}

impl Observer for Prober {
    fn wants_probes(&self) -> Option<Probing> {
        Some(self.probing.clone())
    }

    fn probe(&mut self, sim: &dyn View) {
        if self.failed.is_none() {
            self.failed = self.look(sim).err();
        }
    }
}

fn probing(probe: &Probe, columns: &[Column]) -> Probing {
    let counts: Vec<Count> = columns.iter().filter_map(|column| column.count.clone()).collect();
    Probing { from: probe.from, every: probe.every, until: probe.until, counts }
}

/// Which nodes are looked at. That draws nothing from the run's own random numbers.
#[derive(Debug)]
enum Chosen {
    All,
    /// Those whose draw is below it.
    Share(f64, u64),
    /// In order.
    Listed(Vec<usize>),
    Region(Placement, Option<usize>),
    Class(Placement, Option<usize>),
}

/// So that nodes are drawn by numbers of their own.
const SALT: u64 = 0x7072_6f62;

impl Chosen {
    fn of(who: &Who, scenario: &Scenario) -> io::Result<Self> {
        Ok(match who {
            Who::All => Self::All,
            Who::Share(share) => Self::Share(share.get(), scenario.seed),
            Who::Count(count) => {
                let mut all: Vec<usize> = (0..scenario.nodes.count as usize).collect();
                all.sort_by_key(|node| drawn(scenario.seed, *node));
                all.truncate(*count as usize);
                all.sort_unstable();
                Self::Listed(all)
            }
            Who::Nodes(nodes) => {
                let mut nodes: Vec<usize> = nodes.iter().map(|node| *node as usize).collect();
                nodes.sort_unstable();
                Self::Listed(nodes)
            }
            Who::Region(name) => {
                let placement = placement(scenario)?;
                let region = placement.find(name);
                Self::Region(placement, region)
            }
            Who::Class(name) => {
                let placement = placement(scenario)?;
                let class = placement.find_class(name);
                Self::Class(placement, class)
            }
        })
    }

    fn has(&self, node: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(share, seed) => {
                // The 53 bits that a number has room for, as a number from 0 to below 1.
                ((drawn(*seed, node) >> 11) as f64) < share * (1_u64 << 53) as f64
            }
            Self::Listed(nodes) => nodes.binary_search(&node).is_ok(),
            Self::Region(placement, region) => Some(placement.of(node)) == *region,
            Self::Class(placement, class) => placement.class(node) == *class,
        }
    }
}

fn placement(scenario: &Scenario) -> io::Result<Placement> {
    let network = scenario.network();
    let network = network.map_err(|(key, what)| io::Error::other(format!("{key}: {what}")))?;
    Ok(network.placement().clone())
}

fn drawn(seed: u64, node: usize) -> u64 {
    mix(mix(seed ^ SALT) ^ node as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::scenario::Share;

    #[test]
    fn endings_name_formats() {
        assert_eq!(Format::of(Path::new("a.b/c.JSONL")), Ok(Format::JsonLines));
        assert_eq!(Format::of(Path::new("c.csv")), Ok(Format::Csv));
        assert_eq!(Format::of(Path::new("c.parquet")).is_ok(), cfg!(feature = "parquet"));
        let error = Format::of(Path::new("c.json")).expect_err("no format").to_string();
        assert_eq!(error, "c.json must end in .parquet, .csv or .jsonl");
    }

    #[test]
    fn nodes_are_drawn_by_the_seed() {
        let chosen = |who: Who, seed| {
            let chosen =
                Chosen::of(&who, &Scenario { seed, ..Scenario::default() }).expect("nodes");
            (0..20_000).filter(|node| chosen.has(*node)).collect::<Vec<_>>()
        };
        let share = |share| Who::Share(Share::new(share).expect("a share"));
        let tenth = chosen(share(0.1), 1);
        assert!((1_900..2_100).contains(&tenth.len()), "{}", tenth.len());
        assert_ne!(tenth, chosen(share(0.1), 2));
        assert_eq!((chosen(share(0.0), 1).len(), chosen(share(1.0), 1).len()), (0, 20_000));
        let ten = chosen(Who::Count(10), 1);
        assert!(ten.len() == 10 && ten.iter().all(|node| *node < 1_000), "{ten:?}");
        assert_eq!(chosen(Who::Nodes(vec![7, 3]), 1), [3, 7]);
    }
}
