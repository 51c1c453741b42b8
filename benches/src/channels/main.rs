//! `cargo run --release -p murmurate-benches --bin channels`: channels beside raw streams.
//!
//! Both ends are in one process on loopback. Every (case, transport, round) runs in a process of its
//! own: this binary starts itself as a `worker`, which prints one JSON object. Cases take turns, so
//! that whatever the machine does meanwhile falls on all of them alike.
//!
//! A raw stream is libp2p's, between two swarms that do nothing else: it is written in batches of
//! 16 KiB, and cut into messages again by whoever reads it. It is what a channel cannot beat.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod cases;
mod latency;
mod lines;
mod nodes;
mod pressure;
mod raw;
mod report;
mod swarm;
mod transport;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use clap::{Parser, Subcommand};

use crate::cases::Case;
use crate::transport::Transport;

type Error = Box<dyn std::error::Error + Send + Sync>;
/// What one run gave, by name.
type Figures = BTreeMap<String, f64>;
/// What all runs gave: by case and transport the rounds.
type Results = BTreeMap<(Case, Transport), Vec<Figures>>;

/// Measures channels beside raw streams, on loopback.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// How often each case is measured, in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that a rate or a latency is measured
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Threads of the runtime
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Tasks that a thread of the runtime runs before it looks at sockets and timers again; 61 is
    /// what the runtime does by itself
    #[arg(long, default_value_t = 61)]
    event_interval: u32,
    /// Which cases; all by default
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Case>,
    /// Which transports
    #[arg(long, value_delimiter = ',', value_enum, default_value = "tcp,quic")]
    transport: Vec<Transport>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Worker>,
}

#[derive(Debug, Subcommand)]
enum Worker {
    /// Measure one case once, in this process, and print JSON
    #[command(hide = true)]
    Worker {
        #[arg(value_enum)]
        case: Case,
        #[arg(value_enum)]
        transport: Transport,
        seconds: f64,
        threads: usize,
        event_interval: u32,
    },
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    if let Some(Worker::Worker { case, transport, seconds, threads, event_interval }) =
        options.command
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .event_interval(event_interval)
            .enable_all()
            .build()?;
        // As a task: the main thread would be one more worker.
        let figures = async { tokio::spawn(case.run(transport, seconds)).await? };
        let figures = runtime.block_on(figures)?;
        println!("{}", serde_json::to_string(&figures)?);
        // Two nodes have nothing left to say: no orderly farewell.
        std::io::stdout().flush()?;
        std::process::exit(0);
    }
    let results = rounds(&options)?;
    if options.json {
        println!("{}", report::json(&results));
    } else {
        println!("{}", report::table(&results));
    }
    Ok(())
}

/// Every case in each round, in turns.
fn rounds(options: &Options) -> Result<Results, Error> {
    let cases = if options.only.is_empty() { Case::all() } else { options.only.clone() };
    // What is compared follows each other.
    let turns: Vec<_> = options
        .transport
        .iter()
        .flat_map(|transport| cases.iter().map(move |case| (*case, *transport)))
        .collect();
    let mut results = Results::new();
    for round in 0..options.rounds.max(1) {
        for turn in 0..turns.len() {
            // Nobody always follows the same predecessor.
            let (case, transport) = turns[(round * 5 + turn) % turns.len()];
            match in_a_process(case, transport, options) {
                Ok(figures) => results.entry((case, transport)).or_default().push(figures),
                Err(error) => eprintln!("{case:?} on {transport:?} failed: {error}"),
            }
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    Ok(results)
}

fn in_a_process(case: Case, transport: Transport, options: &Options) -> Result<Figures, Error> {
    let (seconds, threads) = (options.seconds.to_string(), options.threads.to_string());
    let event_interval = options.event_interval.to_string();
    let (case, transport) = (cases::name(&case), cases::name(&transport));
    let output = Command::new(std::env::current_exe()?)
        .args(["worker", &case, &transport, &seconds, &threads, &event_interval])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the worker ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
