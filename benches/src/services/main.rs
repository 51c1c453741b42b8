//! `cargo run --release -p murmurate-benches --bin services -- roster`: how soon all nodes of a cluster know that one
//! was killed, and what knowing costs while nothing happens. `-- state`: how soon all see what one wrote, and how
//! soon a node that joins has everything.
//!
//! All nodes run in this process, on loopback over TCP, and share two cores or whatever there is.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod flock;
mod roster;
mod state;

use clap::{Parser, Subcommand};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the state that a cluster shares costs, and how soon all know of a change.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Kill nodes, one after the other, and see when all others know
    Roster(roster::Options),
    /// Write values and see when all have them
    State(state::Options),
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    match Options::parse().what {
        What::Roster(options) => roster::run(&options).await,
        What::State(options) => state::run(&options).await,
    }
}

/// The value that this share of all is below or at.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(at.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
