//! `cargo run --release -p murmurate-benches`: events a second and bytes a node of the simulator.
//!
//! Real joins, one shuffle interval to settle, then broadcasts until every peer's window of 64
//! payloads is full. Each size runs in a process of its own, so that its peak memory is its own.

use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use murmurate::broadcast::plumtree;
use murmurate::membership::{Time, hyparview};
use murmurate_simulator::memory::peak_rss_bytes;
use murmurate_simulator::network::{Latency, Network};
use murmurate_simulator::strategy::hyparview_plumtree;
use murmurate_simulator::{Simulation, overlay};

/// Payloads, and ids, that a peer remembers.
const WINDOW: usize = 64;
/// Broadcasts, so that every window is filled.
const MESSAGES: usize = 80;

/// Measures the simulator: events a second on one core and peak bytes a node.
#[derive(Debug, Parser)]
struct Options {
    /// How many nodes; several sizes run one after the other
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    nodes: Vec<usize>,
    /// How often each size is run; sizes take turns, and the medians are printed
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Run one size in this process and print its figures
    #[arg(long, hide = true)]
    child: bool,
}

/// What one run gave.
#[derive(Debug, Clone, Copy)]
struct Measured {
    events_per_second: f64,
    bytes_per_node: f64,
    events: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    if options.child {
        for nodes in options.nodes {
            let Measured { events_per_second, bytes_per_node, events } = run(nodes)?;
            println!("{events_per_second} {bytes_per_node} {events}");
        }
        return Ok(());
    }
    println!("HyParView + Plumtree, window of {WINDOW} payloads, {MESSAGES} broadcasts, one core");
    println!("{:>9} {:>12} {:>18} {:>14}", "nodes", "events", "events a second", "bytes a node");
    let mut results = vec![Vec::new(); options.nodes.len()];
    for _ in 0..options.runs.max(1) {
        for (results, nodes) in results.iter_mut().zip(&options.nodes) {
            results.push(in_a_process(*nodes)?);
        }
    }
    for (results, nodes) in results.iter().zip(&options.nodes) {
        let speed = median(results.iter().map(|r| r.events_per_second).collect());
        let bytes = median(results.iter().map(|r| r.bytes_per_node).collect());
        let events = results.first().map_or(0.0, |r| r.events);
        println!("{nodes:>9} {events:>12} {:>16.2} M {bytes:>14.0}", speed / 1e6);
    }
    Ok(())
}

fn in_a_process(nodes: usize) -> Result<Measured, Box<dyn std::error::Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", "--nodes", &nodes.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    match figures[..] {
        [events_per_second, bytes_per_node, events] => {
            Ok(Measured { events_per_second, bytes_per_node, events })
        }
        _ => Err(format!("the run of {nodes} nodes failed: {}", output.status).into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn run(nodes: usize) -> Result<Measured, Box<dyn std::error::Error>> {
    let network = Network::new(1, Latency::Constant(Duration::from_millis(10)), 0.0)?;
    let broadcast = plumtree::Parameters {
        seen_capacity: WINDOW,
        payload_capacity: WINDOW,
        ..plumtree::Parameters::default()
    };
    let make = hyparview_plumtree(hyparview::Config::default(), broadcast.check()?);
    let start = Instant::now();
    let mut sim = Simulation::new(1, network, make);
    let joining = Duration::from_secs(10);
    for index in 0..nodes {
        sim.run_until(Time::ZERO.after(joining.mul_f64(index as f64 / nodes as f64)));
        // Deterministic, spread over all earlier nodes.
        let contact = index.wrapping_mul(0x9e37_79b1) % index.max(1);
        sim.start(if index == 0 { &[] } else { std::slice::from_ref(&contact) });
    }
    sim.run_until(Time::ZERO.after(joining * 3));
    for message in 0..MESSAGES {
        sim.publish(message.wrapping_mul(7_919) % nodes);
        sim.run_until(sim.now().after(Duration::from_millis(500)));
    }
    sim.run_until(sim.now().after(Duration::from_secs(5)));
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak_rss_bytes().ok_or("the peak memory is known on Linux only")?;
    let missed = sim.stats().broadcasts.iter().filter(|b| b.delivered != b.eligible).count();
    let components = overlay::graph(&sim).components().count;
    if missed > 0 || components != 1 {
        return Err(format!("{missed} broadcasts missed a node, {components} components").into());
    }
    let events = sim.stats().events as f64;
    Ok(Measured {
        events_per_second: events / seconds,
        bytes_per_node: peak as f64 / nodes as f64,
        events,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
