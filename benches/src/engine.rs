//! `cargo run --release -p murmurate-benches`: events a second and bytes a node of the simulator,
//! what a second thread gains, and what checking and tracing everything costs.
//!
//! Real joins, one shuffle interval to settle, then broadcasts; by default so many that every peer's
//! window of 64 payloads is full. Each run is a process of its own, so that its peak memory is its
//! own. What is compared runs one after the other, and ratios are those of the rounds: machines
//! change their pace. Processor time is that of the busiest thread, waiting for the others included:
//! where others use the machine too it tells more than time does.

use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use murmurate::broadcast::plumtree;
use murmurate::membership::{Time, hyparview};
use murmurate_simulator::Simulation;
use murmurate_simulator::engine::strategy::{self, Both};
use murmurate_simulator::engine::watch::Filter;
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::memory::peak_rss_bytes;
use murmurate_simulator::observe::{check, overlay};
use murmurate_simulator::present::trace::{TraceFormat, Tracer};

/// Payloads, and ids, that a peer remembers.
const WINDOW: usize = 64;
/// What a run on one thread must reach: events a second with as many nodes.
const SPEED: [(usize, f64); 3] = [(1_000, 5e6), (10_000, 5e6), (100_000, 2e6)];
/// What it may take: bytes a node with as many nodes.
const BYTES: (usize, f64) = (100_000, 1_024.0);
/// What two threads must gain, and from how many nodes on.
const GAIN: (usize, f64) = (100_000, 1.4);
/// Virtual time over which the nodes join.
const JOINING: Duration = Duration::from_secs(10);
/// Virtual time between two broadcasts.
const APART: Duration = Duration::from_millis(500);
/// Virtual time after which recorded events are written.
const TRACED: Duration = Duration::from_millis(50);

/// Measures the simulator: events a second, peak bytes a node, and what threads and checks change.
#[derive(Debug, Parser)]
struct Options {
    /// How many nodes, up to 10,000,000; several sizes run one after the other
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    nodes: Vec<usize>,
    /// Broadcasts
    #[arg(long, default_value_t = 80)]
    messages: usize,
    /// How often each way is run
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Ways to run it, beside the first
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "plain,threads,logged,checked,traced"
    )]
    ways: Vec<Way>,
    /// Threads of `threads`
    #[arg(long, default_value = "2")]
    threads: NonZeroUsize,
    /// Run each size once in this process, in the first way, and print its figures
    #[arg(long, hide = true)]
    child: bool,
}

/// A way to run the same simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// On one thread, with nothing switched on
    Plain,
    /// On several threads
    Threads,
    /// With every delivery noted, so that one made twice is found
    Logged,
    /// Logged, and with every node's invariants checked each virtual second
    Checked,
    /// With every event recorded and written as a line of JSON, to nowhere
    Traced,
}

/// What one run gave.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    seconds: f64,
    /// Processor seconds of the busiest thread.
    busiest: f64,
    bytes: f64,
    events: f64,
    digest: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if options.child {
        for nodes in &options.nodes {
            let Measured { seconds, busiest, bytes, events, digest } = run(&options, *nodes)?;
            println!("{seconds} {busiest} {bytes} {events} {digest}");
        }
        return Ok(());
    }
    println!(
        "HyParView + Plumtree, window of {WINDOW} payloads, {} broadcasts, {} runs of each",
        options.messages, options.runs
    );
    println!(
        "{:>9} {:>8} {:>12} {:>10} {:>13} {:>6} {:>6}",
        "nodes", "", "events", "M events/s", "bytes a node", "time", "cpu"
    );
    for nodes in &options.nodes {
        measure(&options, *nodes)?;
    }
    Ok(())
}

/// Runs one size in all ways, round by round, and prints a line for each way.
fn measure(options: &Options, nodes: usize) -> Result<(), Box<dyn Error>> {
    let mut rounds = Vec::new();
    for _ in 0..options.runs.max(1) {
        let run = |way| in_a_process(options, way, nodes);
        rounds.push(options.ways.iter().copied().map(run).collect::<Result<Vec<_>, _>>()?);
    }
    let digest = &rounds[0][0].digest;
    if let Some(other) = rounds.iter().flatten().find(|run| run.digest != *digest) {
        return Err(format!("{nodes} nodes ran differently: {other:?}, expected {digest}").into());
    }
    for (at, way) in options.ways.iter().enumerate() {
        let of = |figure: fn(&Measured) -> f64| {
            median(rounds.iter().map(|round| figure(&round[at])).collect())
        };
        let beside_first = |figure: fn(&Measured) -> f64| {
            let ratio = |round: &Vec<Measured>| figure(&round[at]) / figure(&round[0]);
            median(rounds.iter().map(ratio).collect())
        };
        let (speed, bytes) =
            (of(|run| run.events / run.seconds), of(|run| run.bytes) / nodes as f64);
        let (time, cpu) = (beside_first(|run| run.seconds), beside_first(|run| run.busiest));
        println!(
            "{nodes:>9} {:>8} {:>12} {:>10.2} {bytes:>13.0} {time:>6.2} {cpu:>6.2}  {}",
            name(*way)?,
            of(|run| run.events),
            speed / 1e6,
            verdict(options, *way, nodes, (speed, bytes, time)),
        );
    }
    Ok(())
}

/// The limits that apply, and whether they are kept.
fn verdict(
    options: &Options,
    way: Way,
    nodes: usize,
    (speed, bytes, time): (f64, f64, f64),
) -> String {
    let mut limits = Vec::new();
    if way == Way::Plain {
        let least = SPEED.iter().find(|(size, _)| *size == nodes);
        limits.extend(least.map(|(_, least)| (speed >= *least, format!(">= {} M", least / 1e6))));
        if nodes == BYTES.0 {
            limits.push((bytes <= BYTES.1, format!("<= {} bytes", BYTES.1)));
        }
    }
    let threads = options.threads.get() == 2 && options.ways[0] == Way::Plain;
    if way == Way::Threads && threads && nodes >= GAIN.0 {
        limits.push((time <= 1.0 / GAIN.1, format!("<= 1/{} of the time", GAIN.1)));
    }
    let word = |(met, limit)| format!("{limit}: {}", if met { "met" } else { "short" });
    limits.into_iter().map(word).collect::<Vec<_>>().join(", ")
}

fn name(way: Way) -> Result<String, &'static str> {
    Ok(way.to_possible_value().ok_or("every way has a name")?.get_name().to_owned())
}

fn in_a_process(options: &Options, way: Way, nodes: usize) -> Result<Measured, Box<dyn Error>> {
    let way = name(way)?;
    let [nodes, messages, threads] =
        [nodes, options.messages, options.threads.get()].map(|number| number.to_string());
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", "--nodes", &nodes, "--messages", &messages])
        .args(["--threads", &threads, "--ways", &way])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<&str> = text.split_whitespace().collect();
    let [seconds, busiest, bytes, events, digest] = figures[..] else {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the run of {nodes} nodes failed: {}: {error}", output.status).into());
    };
    let [seconds, busiest] = [seconds.parse()?, busiest.parse()?];
    let [bytes, events] = [bytes.parse()?, events.parse()?];
    Ok(Measured { seconds, busiest, bytes, events, digest: digest.to_owned() })
}

type Sim = Simulation<Both<hyparview::Parameters, plumtree::Parameters>>;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn run(options: &Options, nodes: usize) -> Result<Measured, Box<dyn Error>> {
    let way = options.ways[0];
    let network = Network::new(1, Latency::Constant(Duration::from_millis(10)), 0.0)?;
    let broadcast = plumtree::Parameters {
        seen_capacity: WINDOW,
        payload_capacity: WINDOW,
        ..plumtree::Parameters::default()
    };
    let make = strategy::nodes(hyparview::Parameters::default(), broadcast)?;
    let threads = if way == Way::Threads { options.threads } else { NonZeroUsize::MIN };
    let start = Instant::now();
    let mut sim = Simulation::on_threads(threads, 1, network, make);
    if matches!(way, Way::Logged | Way::Checked) {
        sim.log_deliveries();
    }
    let watcher = Watcher::new(&mut sim, way)?;
    live(&mut sim, watcher, nodes, options.messages)?;
    let seconds = start.elapsed().as_secs_f64();
    let busiest = busiest_thread()?;
    let bytes = peak_rss_bytes().ok_or("the peak memory is known on Linux only")? as f64;
    let missed = sim.stats().broadcasts.iter().filter(|b| b.delivered != b.eligible).count();
    let components = overlay::graph(&sim).components().count;
    if missed > 0 || components != 1 {
        return Err(format!("{missed} broadcasts missed a node, {components} components").into());
    }
    let (events, digest) = (sim.stats().events as f64, format!("{:016x}", sim.stats().digest));
    Ok(Measured { seconds, busiest, bytes, events, digest })
}

/// Processor seconds of that thread of this process which has used most.
fn busiest_thread() -> Result<f64, Box<dyn Error>> {
    let mut most: u64 = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = times.split_whitespace().next().ok_or("no times of a thread")?;
        most = most.max(running.parse()?);
    }
    Ok(most as f64 / 1e9)
}

/// Looks at a simulation while it runs.
enum Watcher {
    /// Not at all.
    Away,
    /// At every node's invariants, from this time on.
    Checks { next: Time },
    /// At every event.
    Traces(Box<Tracer<io::Sink>>),
}

impl Watcher {
    fn new(sim: &mut Sim, way: Way) -> io::Result<Self> {
        match way {
            Way::Plain | Way::Threads | Way::Logged => Ok(Self::Away),
            Way::Checked => Ok(Self::Checks { next: Time::ZERO }),
            Way::Traced => {
                sim.watch_events(&Filter::default());
                let placement = sim.network().placement();
                let tracer = Tracer::new(io::sink(), TraceFormat::Jsonl, placement)?;
                Ok(Self::Traces(Box::new(tracer)))
            }
        }
    }

    /// Runs the simulation, and stops to look as often as needed.
    fn run_until(&mut self, sim: &mut Sim, until: Time) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Away => sim.run_until(until),
            Self::Checks { next } => {
                while *next < until {
                    sim.run_until(*next);
                    check::safety(sim)?;
                    *next = next.after(Duration::from_secs(1));
                }
                sim.run_until(until);
            }
            Self::Traces(tracer) => {
                while sim.now() < until {
                    sim.run_until(until.min(sim.now().after(TRACED)));
                    tracer.records(&sim.take_records())?;
                }
            }
        }
        Ok(())
    }
}

/// The nodes join, settle and broadcast.
fn live(
    sim: &mut Sim,
    mut watcher: Watcher,
    nodes: usize,
    messages: usize,
) -> Result<(), Box<dyn Error>> {
    for index in 0..nodes {
        let joins = JOINING.mul_f64(index as f64 / nodes as f64);
        watcher.run_until(sim, Time::ZERO.after(joins))?;
        // Deterministic, spread over all earlier nodes.
        let contact = index.wrapping_mul(0x9e37_79b1) % index.max(1);
        sim.start(if index == 0 { &[] } else { std::slice::from_ref(&contact) });
    }
    watcher.run_until(sim, Time::ZERO.after(JOINING * 3))?;
    for message in 0..messages {
        sim.publish(message.wrapping_mul(7_919) % nodes);
        watcher.run_until(sim, sim.now().after(APART))?;
    }
    watcher.run_until(sim, sim.now().after(Duration::from_secs(5)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
