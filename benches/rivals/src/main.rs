//! Broadcast side by side: murmurate and its rivals, interleaved, by one command.
//!
//! Every (contestant, round) runs in a process of its own: this binary starts itself as a `worker`,
//! which prints one JSON array. Contestants take turns, so that whatever the machine does meanwhile
//! falls on all of them alike.
//!
//! All get the same: the nodes in one process on loopback, encrypted connections, one publisher, one
//! runtime with as many threads, the same payloads, a warm-up. A latency is the time from the call to
//! `publish` to the payload in the application's hands; a delivery counts once, and not at the
//! publisher. Processor time is that of the whole process until the last delivery.

mod contestant;
mod contestants;
mod process;
mod recorder;
mod report;
mod tournament;
mod worker;
mod workload;

use std::io::Write;

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::contestants::Name;

/// Measures broadcast: murmurate and its rivals, each at its best, on loopback.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    /// Which contestants; all by default
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Name>,
    /// How often each contestant is measured, in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    load: Load,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure one contestant once, in this process, and print JSON
    #[command(hide = true)]
    Worker {
        #[arg(value_enum)]
        contestant: Name,
        /// The load, as JSON
        load: String,
    },
}

/// What every contestant has to carry, the same for all.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
struct Load {
    /// How many nodes, all in one process; the first one publishes
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..))]
    nodes: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=4000))]
    payload: u32,
    /// Bursts of so many messages, each published as fast as the contestant accepts it; 0 for none
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    burst: Vec<u32>,
    /// Messages a second of the paced workload
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Seconds of the paced workload; 0 for none
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Messages sent before anything is measured, at the same rate, so that trees and meshes stand
    #[arg(long, default_value_t = 200)]
    warm_up: u32,
    /// Threads of the runtime
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(Command::Worker { contestant, load }) = options.command {
        let samples = worker::run(contestant, &serde_json::from_str(&load)?)?;
        println!("{}", serde_json::to_string(&samples)?);
        // 50 nodes with open connections have nothing left to say: no orderly farewell.
        std::io::stdout().flush()?;
        std::process::exit(0);
    }
    let names = if options.only.is_empty() { Name::all() } else { options.only };
    let results = tournament::run(&names, options.rounds.max(1), &options.load)?;
    if options.json {
        println!("{}", report::json(&options.load, &results)?);
    } else {
        print!("{}", report::tables(&options.load, &results));
    }
    Ok(())
}
