//! Traces of churn, from CSV.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::gallery;

/// A node that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When, since the beginning of the churn.
    pub at: Duration,
    /// Its index.
    pub node: usize,
    /// Whether it came.
    pub up: bool,
}

/// Why a file is not a trace of churn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It is not there.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A line that is not a change; the message says which.
    #[error("{0}")]
    Line(#[from] csv::Error),
    /// An invalid time.
    #[error("line {line}: time {time} is not a number of seconds, which starts at 0")]
    Time {
        /// Where.
        line: usize,
        /// What stands there.
        time: f64,
    },
}

#[derive(Deserialize)]
struct Row {
    time: f64,
    node: usize,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Up,
    Down,
}

/// Reads a trace: the columns time, node and state.
///
/// # Errors
/// If the file is not there, or a line is wrong.
pub fn read(path: &Path) -> Result<Vec<Change>, TraceError> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(gallery::open(path)?);
    let mut changes = Vec::new();
    for (row, line) in reader.deserialize().zip(2..) {
        let Row { time, node, state } = row?;
        let at = Duration::try_from_secs_f64(time).map_err(|_| TraceError::Time { line, time })?;
        changes.push(Change { at, node, up: matches!(state, State::Up) });
    }
    Ok(changes)
}
