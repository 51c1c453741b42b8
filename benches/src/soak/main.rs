//! `cargo run --release -p murmurate-benches --bin soak`: many broadcasts through real processes, some of
//! which are killed, leave and come back meanwhile.
//!
//! Each node is a process of its own on loopback, which publishes as fast as the overlay takes it and
//! counts what it gets. In the end every broadcast that the guarantees cover must have come or been
//! told as lost, none twice, and memory in use must not have grown.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod flock;
mod ledger;
mod node;
mod run;
mod talk;
mod verdict;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Counts the bytes in use: what the process keeps beside them is what the allocator has of bursts.
#[global_allocator]
static HEAP: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Broadcasts through real processes, some of which restart.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// Processes
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(3..=256))]
    nodes: u16,
    /// Broadcasts, over all nodes
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Bytes of a broadcast
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Restarts, spread over the run: in turns a node is killed or leaves, and starts again
    #[arg(long, default_value_t = 8)]
    restarts: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Worker>,
}

#[derive(Debug, Subcommand)]
enum Worker {
    /// Be a node
    #[command(hide = true)]
    Node { state: PathBuf },
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    if let Some(Worker::Node { state }) = options.command {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(node::run(&state));
    }
    let outcome = run::soak(&options)?;
    if options.json {
        println!("{}", outcome.json());
    } else {
        println!("{}", outcome.table());
    }
    if !outcome.holds() {
        return Err("something was lost, came twice, or memory grew: see above".into());
    }
    Ok(())
}
