//! `cargo run --release -p murmurate-benches --bin distance`: channels at a distance.
//!
//! The experiment of Partisan's paper: many senders on one node each send a payload to the other
//! node and wait until it is acknowledged, again and again; over one connection, and over many.
//!
//! Each node is a process in a network namespace of its own. Between the two is a relay in this
//! process, which holds every packet back for half the round trip. Linux only, as root.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod bed;
mod grid;
mod line;
#[path = "../../../simulator/twin/src/netns.rs"]
mod netns;
mod ping;
mod raw;
mod relay;
mod report;
mod work;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Stdio, exit};
use std::time::Duration;

use clap::{Parser, Subcommand};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::bed::{Bed, End};
use crate::grid::{Cell, Through};

type Error = Box<dyn std::error::Error + Send + Sync>;
/// What one run gave, by name: bytes and seconds.
type Figures = BTreeMap<String, f64>;
/// What all runs gave.
type Results = BTreeMap<Cell, Vec<Figures>>;

/// Measures channels between two network namespaces that are far from each other.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// KiB of a payload
    #[arg(long, value_delimiter = ',', default_value = "512,8192")]
    payload: Vec<usize>,
    /// Milliseconds of a round trip
    #[arg(long, value_delimiter = ',', default_value = "1,20")]
    rtt: Vec<f64>,
    /// Senders at a time
    #[arg(long, value_delimiter = ',', default_value = "16,32,64,128")]
    senders: Vec<usize>,
    /// Connections that they share; the first and the last are compared
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    parallelism: Vec<u16>,
    /// What the channel goes over
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Through,
    /// KiB of the largest send buffer that the kernel gives a TCP connection
    #[arg(long, default_value_t = 4096)]
    send_buffer: usize,
    /// Seconds that each cell is measured
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How often each cell is measured, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Worker>,
}

#[derive(Debug, Subcommand)]
enum Worker {
    /// Take payloads
    #[command(hide = true)]
    Receive {
        #[command(flatten)]
        cell: Cell,
    },
    /// Send payloads, and print JSON
    #[command(hide = true)]
    Send {
        #[command(flatten)]
        cell: Cell,
        seconds: f64,
        to: String,
    },
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    if let Some(worker) = options.command {
        return Builder::new_multi_thread().enable_all().build()?.block_on(work(worker));
    }
    netns::check(bed::PREFIX)?;
    let results = Builder::new_current_thread().enable_all().build()?.block_on(async {
        tokio::select! {
            results = rounds(&options) => results,
            stopped = stopped() => Err(stopped.err().unwrap_or("stopped".into())),
        }
    })?;
    if options.json {
        println!("{}", report::json(&results));
    } else {
        println!("{}", report::tables(&results));
    }
    Ok(())
}

/// Until somebody wants this process to end.
async fn stopped() -> Result<(), Error> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// A worker ends with whoever started it.
async fn work(worker: Worker) -> Result<(), Error> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        exit(1);
    });
    match worker {
        Worker::Receive { cell } => work::receive(cell, |address| println!("{address}")).await,
        Worker::Send { cell, seconds, to } => {
            let figures = work::send(cell, seconds, &to).await?;
            println!("{}", serde_json::to_string(&figures)?);
            // Two nodes have nothing left to say: no orderly farewell.
            std::io::stdout().flush()?;
            exit(0);
        }
    }
}

/// Every cell in each round, in turns.
async fn rounds(options: &Options) -> Result<Results, Error> {
    let mut cells = Cell::all(options);
    let mut results = Results::new();
    for round in 1..=options.rounds.max(1) {
        for (at, cell) in (1..).zip(&cells) {
            eprint!("round {round} of {}, {at} of {}: ", options.rounds, cells.len());
            match measure(*cell, options).await {
                Ok(figures) => {
                    eprintln!("{}", report::line(cell, &figures));
                    results.entry(*cell).or_default().push(figures);
                }
                Err(error) => eprintln!("{}: {error}", report::what(cell)),
            }
        }
        // Nobody is always the first.
        cells.reverse();
    }
    Ok(results)
}

/// One cell, in a bed of its own.
async fn measure(cell: Cell, options: &Options) -> Result<Figures, Error> {
    let before = cpu()?;
    let bed = Bed::make(Duration::from_micros(cell.round_trip), options.send_buffer << 10)?;
    let mut receiver = start(End::Receiver, "receive", &cell.arguments())?;
    let stdout = receiver.stdout.take().ok_or("no output")?;
    let address = BufReader::new(stdout).lines().next_line().await?;
    let address = address.ok_or("the receiver ended")?;
    let mut arguments = cell.arguments().to_vec();
    arguments.extend([options.seconds.to_string(), address]);
    let mut sender = start(End::Sender, "send", &arguments)?;
    // Closed, it would end.
    let _stdin = sender.stdin.take();
    let output = sender.wait_with_output().await?;
    receiver.kill().await?;
    if !output.status.success() {
        return Err(format!("the sender ended with {}", output.status).into());
    }
    let mut figures: Figures = serde_json::from_slice(&output.stdout)?;
    let all = figures.remove("all").ok_or("nothing was sent")?;
    figures.insert("cpu".into(), (cpu()? - before) / all);
    figures.insert("lost".into(), bed.lost()? as f64);
    Ok(figures)
}

/// This program at one end.
fn start(end: End, what: &str, arguments: &[String]) -> Result<Child, Error> {
    let child = Command::new("ip")
        .args(["netns", "exec", &end.name()])
        .arg(std::env::current_exe()?)
        .arg(what)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

/// Seconds of processor time that this process, with its relay, and those it started have used.
fn cpu() -> Result<f64, Error> {
    let mut seconds = 0.0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            seconds += time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        }
    }
    Ok(seconds)
}
