//! Measured round trips between sites, from CSV.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// A square matrix of round-trip times. Cloning it is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    sites: usize,
    /// Their names, or none.
    names: Arc<[String]>,
    /// One-way nanoseconds, row by row.
    one_way: Arc<[u64]>,
}

/// Why a file is not a matrix of round trips. Lines and columns count from 1, as editors do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// The file cannot be read as CSV.
    #[error("the matrix is not valid CSV: {0}")]
    Csv(#[from] csv::Error),
    /// No rows, or more than any measurement has.
    #[error("{0} sites are out of range: 1 to 20000")]
    Sites(usize),
    /// A row whose length is not the number of sites.
    #[error("line {line} has {found} round trips, expected {expected}: the matrix has a hole")]
    Hole {
        /// Where.
        line: usize,
        /// Its round trips.
        found: usize,
        /// The number of sites.
        expected: usize,
    },
    /// A cell that is not a round-trip time.
    #[error("line {line}, column {column}: round trip {value:?} is not a number of 0 to 100000 ms")]
    Value {
        /// Where.
        line: usize,
        /// Where in the line.
        column: usize,
        /// What stands there.
        value: String,
    },
}

impl Matrix {
    /// Reads round trips in milliseconds, a row a site. A first row and first column of names, as
    /// spreadsheets have them, are the sites' names; lines that begin with # are passed over.
    ///
    /// # Errors
    /// If the matrix is not square, not whole, or a cell is not a time.
    pub fn from_csv(reader: impl Read) -> Result<Self, MatrixError> {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(reader)
            .into_records()
            .collect::<Result<Vec<_>, _>>()?;
        let is_name = |cell: Option<&str>| {
            cell.is_some_and(|cell| !cell.is_empty() && cell.parse::<f64>().is_err())
        };
        let named = rows.first().is_some_and(|row| is_name(row.get(0)) && is_name(row.get(1)));
        let names = usize::from(named);
        let header = named.then(|| rows.remove(0));
        let header = header.iter().flat_map(|row| row.iter().skip(1).map(ToOwned::to_owned));
        let site_names = header.collect();
        let sites = rows.len();
        if !(1..=20_000).contains(&sites) {
            return Err(MatrixError::Sites(sites));
        }
        let mut one_way = Vec::with_capacity(sites * sites);
        for (row, line) in rows.iter().zip(names + 1..) {
            let found = row.len().saturating_sub(names);
            if found != sites {
                return Err(MatrixError::Hole { line, found, expected: sites });
            }
            for (cell, column) in row.iter().zip(1..).skip(names) {
                let rtt = cell.parse::<f64>().ok().filter(|ms| (0.0..=100_000.0).contains(ms));
                let Some(rtt) = rtt else {
                    return Err(MatrixError::Value { line, column, value: cell.to_owned() });
                };
                one_way.push((rtt * 500_000.0) as u64);
            }
        }
        Ok(Self { sites, names: site_names, one_way: one_way.into() })
    }

    /// A matrix of round trips in milliseconds between named sites. `None` unless it is square.
    #[must_use]
    pub fn of_round_trips(names: &[String], milliseconds: &[Vec<f64>]) -> Option<Self> {
        let sites = names.len();
        let square =
            milliseconds.len() == sites && milliseconds.iter().all(|row| row.len() == sites);
        let one_way = milliseconds.iter().flatten().map(|rtt| (rtt * 500_000.0) as u64);
        square.then(|| Self { sites, names: names.into(), one_way: one_way.collect() })
    }

    /// The matrix of some of its sites, by name. `Err` with a name that is not there.
    ///
    /// # Errors
    /// The first name that no site has.
    pub fn only<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Self, &'n str> {
        let site = |name| self.names.iter().position(|site| site == name).ok_or(name);
        let chosen = names.into_iter().map(site).collect::<Result<Vec<_>, _>>()?;
        let row = |&from: &usize| chosen.iter().map(move |&to| self.one_way(from, to));
        Ok(Self {
            sites: chosen.len(),
            names: chosen.iter().map(|&site| self.names[site].clone()).collect(),
            one_way: chosen.iter().flat_map(row).collect(),
        })
    }

    /// The sites' names; none if they have none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many sites the matrix has.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.sites
    }

    /// The shortest ways in nanoseconds between all sites, row by row, over other sites where that
    /// is shorter (Floyd and Warshall); no link takes less than `least`. Within a site it is the way
    /// within the site.
    pub(crate) fn shortest(&self, least: u64) -> Vec<u64> {
        let sites = self.sites;
        let mut ways: Vec<u64> = self.one_way.iter().map(|way| (*way).max(least)).collect();
        for over in 0..sites {
            let onwards = ways[over * sites..][..sites].to_vec();
            for from in (0..sites).filter(|from| *from != over) {
                let there = ways[from * sites + over];
                for (way, onward) in ways[from * sites..][..sites].iter_mut().zip(&onwards) {
                    *way = (*way).min(there + onward);
                }
            }
        }
        ways
    }

    /// The shortest way between two sites or within one.
    pub(crate) fn least(&self) -> Duration {
        Duration::from_nanos(self.one_way.iter().copied().min().unwrap_or(0))
    }

    /// One-way nanoseconds between two sites.
    pub(crate) fn one_way(&self, from: usize, to: usize) -> u64 {
        self.one_way[from * self.sites + to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(csv: &str) -> String {
        Matrix::from_csv(csv.as_bytes()).expect_err("wrong").to_string()
    }

    #[test]
    fn plain_and_named_matrices_are_the_same() {
        let plain = Matrix::from_csv("1, 20\n22,2\n".as_bytes()).expect("plain");
        let named = Matrix::from_csv("rtt,a,b\na,1,20\nb,22,2\n".as_bytes()).expect("named");
        assert_eq!(plain.one_way, named.one_way);
        assert_eq!((plain.names().len(), named.names()), (0, &["a".into(), "b".into()][..]));
        assert_eq!(plain.one_way(0, 1), 10_000_000);
        assert_eq!(plain.one_way(1, 0), 11_000_000);
        assert_eq!(plain.least(), Duration::from_micros(500));
    }

    #[test]
    fn the_shortest_way_may_lead_over_another_site() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let rows = [vec![2.0, 100.0, 20.0], vec![100.0, 2.0, 30.0], vec![20.0, 30.0, 2.0]];
        let matrix = Matrix::of_round_trips(&names, &rows).expect("square");
        let ms = |way: u64| way as f64 / 1e6;
        let shortest: Vec<f64> = matrix.shortest(0).into_iter().map(ms).collect();
        assert_eq!(shortest, [1.0, 25.0, 10.0, 25.0, 1.0, 15.0, 10.0, 15.0, 1.0]);
        let pair = matrix.only(["c", "a"]).expect("both are there");
        assert_eq!((pair.one_way(0, 1), pair.sites()), (10_000_000, 2));
        assert_eq!(matrix.only(["a", "d"]), Err("d"));
        assert_eq!(Matrix::of_round_trips(&names, &rows[..2]), None);
    }

    #[test]
    fn a_wrong_matrix_is_located() {
        assert!(error("1,2\n3\n").starts_with("line 2 has 1 round trips, expected 2"));
        assert!(error("rtt,a,b\na,1,2\nb,,3\n").starts_with("line 3, column 2: round trip \"\""));
        assert!(error("1,-2\n3,4\n").starts_with("line 1, column 2: round trip \"-2\""));
        assert!(error("1,NaN\n3,4\n").starts_with("line 1, column 2"));
        assert!(error("").starts_with("0 sites"));
    }
}
