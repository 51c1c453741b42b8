//! What connections and processors take.

use std::num::NonZeroUsize;
use std::time::Duration;

use murmurate::broadcast::flood;
use murmurate::membership::{Time, full_mesh};
use murmurate_simulator::Simulation;
use murmurate_simulator::engine::Dialling;
use murmurate_simulator::engine::strategy::{self, Both};
use murmurate_simulator::engine::watch::{EventKind, Filter, Record};
use murmurate_simulator::experiment::runner::{self, Report};
use murmurate_simulator::experiment::scenario::Document;
use murmurate_simulator::model::machine::ProcessorModel;
use murmurate_simulator::model::network::{Latency, Network};

type Sim = Simulation<Both<full_mesh::Parameters, flood::Parameters>>;

const MS: Duration = Duration::from_millis(1);
const DIALLING: Dialling =
    Dialling { round_trips: 3, timeout: Duration::from_secs(2), idle: Duration::from_secs(10) };

/// Nodes that are 10 ms away from each other, and take down all events.
fn simulation(processor: Option<ProcessorModel>, dialling: Option<Dialling>) -> Sim {
    let network = Network::new(1, Latency::Constant(10 * MS), 0.0).expect("a network");
    let make = strategy::nodes(full_mesh::Parameters::default(), flood::Parameters::default());
    let mut sim = Simulation::new(1, network, make.expect("defaults"));
    sim.equip(processor, dialling);
    sim.watch_events(&Filter::default());
    sim
}

/// When an event of this kind happened at this node, in milliseconds.
fn times(records: &[Record], kind: EventKind, node: usize) -> Vec<u64> {
    let there = records.iter().filter(|record| record.kind == kind && record.node.index() == node);
    there.map(|record| record.at.as_nanos() / 1_000_000).collect()
}

fn run(sim: &mut Sim, until: Duration) -> Vec<Record> {
    sim.run_until(Time::ZERO.after(until));
    sim.take_records()
}

#[test]
fn a_connection_takes_its_round_trips_once() {
    let mut sim = simulation(None, Some(DIALLING));
    sim.start(&[]);
    sim.start(&[0]);
    let records = run(&mut sim, 150 * MS);
    // Three round trips, and the request itself.
    assert_eq!(times(&records, EventKind::NeighborUp, 0), [70]);
    assert_eq!(times(&records, EventKind::NeighborUp, 1), [80], "the answer needs no connection");
    assert_eq!(sim.stats().dials, 1);
    sim.publish(0);
    let published = sim.now();
    let records = run(&mut sim, 300 * MS);
    let delivered = times(&records, EventKind::Deliver, 1);
    assert_eq!(delivered, [published.as_nanos() / 1_000_000 + 10], "one latency");
    assert_eq!(sim.stats().dials, 1);
}

#[test]
fn a_dead_process_refuses_and_a_dead_host_is_waited_for() {
    for (dark, noticed) in [(false, 20), (true, 2_000)] {
        let mut sim = simulation(None, Some(DIALLING));
        sim.start(&[]);
        sim.crash(0);
        sim.network_mut().set_dark(0, dark);
        sim.start(&[0]);
        let start = sim.now().as_nanos() / 1_000_000;
        let lost = sim.stats().lost;
        run(&mut sim, Duration::from_millis(start + noticed - 5));
        assert_eq!(sim.stats().lost, lost, "it waits");
        run(&mut sim, Duration::from_millis(start + noticed + 5));
        assert!(sim.stats().lost > lost, "the request that waited is lost");
    }
}

#[test]
fn who_dial_each_other_at_once_have_one_link() {
    let mut sim = simulation(None, Some(DIALLING));
    sim.start(&[]);
    sim.start(&[]);
    sim.join(0, &[1]);
    sim.join(1, &[0]);
    let records = run(&mut sim, Duration::from_secs(5));
    for node in 0..2 {
        assert_eq!(times(&records, EventKind::NeighborUp, node).len(), 1, "node {node}");
        assert!(times(&records, EventKind::NeighborDown, node).is_empty(), "node {node}");
    }
}

#[test]
fn a_processor_does_one_thing_after_the_other() {
    let message = 4 * MS;
    let mut sim = simulation(Some(ProcessorModel { message, rate: None }), None);
    sim.start(&[]);
    for _ in 0..4 {
        sim.start(&[0]);
    }
    run(&mut sim, Duration::from_secs(5));
    let published = sim.now().as_nanos() / 1_000_000;
    sim.publish(0);
    let records = run(&mut sim, Duration::from_secs(6));
    let mut first: Vec<u64> =
        (1..5).map(|node| times(&records, EventKind::Deliver, node)[0] - published).collect();
    first.sort_unstable();
    // Written one after the other, and read once each.
    for (at, time) in first.iter().enumerate() {
        let least = 4 * (at as u64 + 1) + 10 + 4;
        assert!((least..least + 3).contains(time), "{first:?}");
    }
}

fn report(text: &str, threads: usize) -> Report {
    let scenario = Document::parse("f", text).expect("TOML").scenario().expect("right");
    let threads = NonZeroUsize::new(threads).expect("some");
    runner::run_on_threads(threads, &scenario, &mut ()).expect("it runs")
}

const LOSSY: &str = "duration = '30s'\nnodes = { count = 60, joining = '1s' }\n\
    workload = [{ from = '10s', pace.rate = 5.0 }]\nlinks.loss = '20%'\n";

/// Everything at once is the same on any number of threads.
#[test]
fn threads_change_nothing() {
    let text = format!(
        "{LOSSY}links.transport = 'streams'\nlinks.connections = {{ round_trips = 4 }}\n\
         links.bandwidth = {{ up = '10 Mbit/s', down = '20 Mbit/s' }}\n\
         nodes.processor = {{ message = '50us', rate = '1 Gbit/s' }}\n\
         faults = [{{ at = '15s', do.crash.who.share = '30%' }}]\n"
    )
    .replace(
        "nodes = { count = 60, joining = '1s' }\n",
        "nodes.count = 400\nnodes.joining = '1s'\n",
    );
    let one = report(&text, 1);
    for threads in 2..=3 {
        assert_eq!(report(&text, threads).digest, one.digest, "{threads} threads");
    }
}
