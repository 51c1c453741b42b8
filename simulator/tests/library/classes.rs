//! Classes of nodes, shared lines and latencies that change, beside what theory says of them.

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
use murmurate_simulator::model::network::{
    BandwidthModel, Class, Latency, LinkModel, Members, Nat, Network, Side, Swing,
};

type Sim = Simulation<Both<full_mesh::Parameters, flood::Parameters>>;

const MS: Duration = Duration::from_millis(1);
const DIALLING: Dialling =
    Dialling { round_trips: 3, timeout: Duration::from_secs(2), idle: Duration::from_secs(10) };

fn class(nodes: &[usize]) -> Class {
    let name = format!("{nodes:?}");
    let members = Members::Nodes(nodes.to_vec());
    Class { name, members, bandwidth: None, loss: None, shared: None, nat: None }
}

/// A full mesh that floods, of nodes that are 12 ms away from each other.
fn simulation(classes: Vec<Class>, links: &LinkModel) -> Sim {
    let network = Network::new(1, Latency::Constant(12 * MS), 0.0).expect("a network");
    let network = network.with(links).expect("links").classed(classes, 1).expect("classes");
    let make = strategy::nodes(full_mesh::Parameters::default(), flood::Parameters::default());
    let mut sim = Simulation::new(1, network, make.expect("defaults"));
    sim.watch_events(&Filter::default());
    sim
}

fn run(sim: &mut Sim, until: Duration) -> Vec<Record> {
    sim.run_until(Time::ZERO.after(until));
    sim.take_records()
}

/// When the first event of this kind happened at this node, in milliseconds.
fn first(records: &[Record], kind: EventKind, node: usize) -> Option<f64> {
    let mut there =
        records.iter().filter(|record| record.kind == kind && record.node.index() == node);
    there.next().map(|record| record.at.as_nanos() as f64 / 1e6)
}

/// So many nodes that know each other, and how long a broadcast of the first takes to each other one, in
/// milliseconds.
fn delivery(sim: &mut Sim, nodes: usize, bytes: u32) -> Vec<f64> {
    for node in 0..nodes {
        sim.start(&[0][..node.min(1)]);
    }
    run(sim, Duration::from_secs(20));
    let published = sim.now().as_nanos() as f64 / 1e6;
    sim.publish_bytes(0, bytes);
    let records = run(sim, Duration::from_secs(60));
    let taken = |node| first(&records, EventKind::Deliver, node).expect("it came") - published;
    (1..nodes).map(taken).collect()
}

#[test]
fn who_is_behind_a_nat_dials_and_is_not_dialled() {
    for (nat, noticed) in [(Nat::Reject, 24), (Nat::Drop, 2_000)] {
        let mut sim =
            simulation(vec![Class { nat: Some(nat), ..class(&[1]) }], &LinkModel::default());
        sim.equip(None, Some(DIALLING));
        sim.start(&[]);
        sim.start(&[]);
        sim.join(0, &[1]);
        // To the border of a bucket of 8.4 ms.
        run(&mut sim, noticed * MS - 8 * MS);
        assert_eq!((sim.stats().dials, sim.stats().failed_dials), (1, 0), "{nat:?}: it waits");
        let records = run(&mut sim, noticed * MS + 2 * MS);
        assert_eq!((sim.stats().dials, sim.stats().failed_dials), (1, 1), "{nat:?}: in vain");
        assert_eq!(first(&records, EventKind::Receive, 1), None, "node 1 hears nothing");
        // The other way it goes, and then both ways.
        sim.join(1, &[0]);
        let start = sim.now().as_nanos() as f64 / 1e6;
        let records = run(&mut sim, noticed * MS + 200 * MS);
        let up = first(&records, EventKind::NeighborUp, 0).expect("a link");
        assert!((up - start - 84.0).abs() < 9.0, "three round trips and a half: {}", up - start);
        sim.publish(0);
        let records = run(&mut sim, noticed * MS + 300 * MS);
        assert!(first(&records, EventKind::Deliver, 1).is_some(), "{nat:?}");
    }
}

/// 1 MB over 8 Mbit/s takes a second.
#[test]
fn the_lines_of_classes_are_their_own() {
    let line = |up: u64, down: u64| {
        Some(BandwidthModel { up: up * 1_000_000, down: down * 1_000_000, queue: 1 << 30 })
    };
    let fast = LinkModel { bandwidth: line(80, 80), ..LinkModel::default() };
    let slow = vec![Class { bandwidth: line(80, 8), ..class(&[2]) }];
    let mut sim = simulation(slow, &fast);
    let [one, two, three] = delivery(&mut sim, 4, 1_000_000)[..] else { panic!("three") };
    // The sender's copies leave one after the other, in a tenth of a second each; the second goes in while
    // they do.
    assert!(one < 350.0 && three < 350.0, "{one} {three}");
    assert!((1_012.0..1_250.0).contains(&two), "{two}");
}

#[test]
fn the_processors_of_classes_are_their_own() {
    let mut sim = simulation(vec![class(&[2])], &LinkModel::default());
    sim.equip_classes(&[Some(ProcessorModel { message: 5 * MS, rate: None })]);
    let [one, two, three] = delivery(&mut sim, 4, 1_000)[..] else { panic!("three") };
    assert!((12.0..13.0).contains(&one) && (12.0..13.0).contains(&three), "{one} {three}");
    assert!((17.0..18.0).contains(&two), "{two}");
}

/// Four copies of a megabyte over a line of 8 Mbit/s take four seconds, all of them, since they share it.
/// What is for nodes of the same class does not go over it.
#[test]
fn flows_over_a_shared_line_are_done_together() {
    let line = |up: u64, down: u64| {
        Some(BandwidthModel { up: up * 1_000_000, down: down * 1_000_000, queue: 1 << 30 })
    };
    let cases = [
        // The uplink of the sender, the downlink of the receivers, and both.
        (vec![Class { shared: line(8, 800), ..class(&[0, 9]) }], vec![4_000.0; 4]),
        (vec![Class { shared: line(800, 8), ..class(&[1, 2]) }], vec![2_000.0; 2]),
        (
            vec![
                Class { shared: line(32, 800), ..class(&[0]) },
                Class { shared: line(800, 8), ..class(&[1, 2]) },
            ],
            vec![2_000.0; 2],
        ),
    ];
    for (classes, expected) in cases {
        let mut sim = simulation(classes, &LinkModel::default());
        let taken = delivery(&mut sim, 1 + expected.len(), 1_000_000);
        for (taken, expected) in taken.iter().zip(expected) {
            // Beside it there is what else they say.
            let left = taken - expected - 12.0;
            assert!((-0.1..8.0).contains(&left), "{taken} ms, {expected} expected");
        }
    }
}

#[test]
fn links_take_longer_while_they_are_to() {
    let links = LinkModel { fifo: true, changing: true, ..LinkModel::default() };
    let mut sim = simulation(vec![class(&[2])], &links);
    for node in 0..3 {
        sim.start(&[0][..node.min(1)]);
    }
    run(&mut sim, Duration::from_secs(10));
    let seconds = Duration::from_secs;
    let swing = Swing {
        from: Time::ZERO.after(seconds(20)),
        times: 5.0,
        over: seconds(20),
        lasting: Some(seconds(60)),
        every: None,
    };
    let number =
        sim.network_mut().lengthen(Side::Class(0), Some(Side::of(3, |node| node < 2)), swing);
    for (second, times) in [(15, 1.0), (30, 3.0), (50, 5.0), (70, 3.0), (85, 1.0), (50 + 60, 1.0)] {
        run(&mut sim, seconds(second));
        sim.publish(0);
        let published = sim.now().as_nanos() as f64 / 1e6;
        let records = run(&mut sim, seconds(second) + 500 * MS);
        let taken = |node| first(&records, EventKind::Deliver, node).expect("it came") - published;
        assert!((taken(2) - 12.0 * times).abs() < 0.1, "at {second} s: {}", taken(2));
        assert!((taken(1) - 12.0).abs() < 0.1, "at {second} s: {}", taken(1));
    }
    sim.network_mut().mend(number);
}

/// Where latencies fall faster than time passes, messages of a link still arrive in their order.
#[test]
fn order_is_kept_while_latencies_fall() {
    let run = |order: &str| {
        let text = format!(
            "duration = '30s'\nnodes = {{ count = 2, joining = '1s' }}\nmembership.strategy = 'full-mesh'\n\
             broadcast.strategy = 'flood'\nlinks.order = '{order}'\n\
             workload = [{{ from = '10s', pace.rate = 100.0, sender.node = 0, until = '14s' }}]\n\
             faults = [{{ at = '12s', do.latency = {{ who = 'all', times = 100.0, for = '20ms' }} }}]\n"
        );
        let scenario = Document::parse("f", &text).expect("TOML").scenario().expect("right");
        let mut seen = Order(Vec::new());
        runner::run(&scenario, &mut seen).expect("it runs");
        seen.0
    };
    assert!(run("fifo").is_sorted());
    assert!(!run("any").is_sorted(), "they would overtake");
}

struct Order(Vec<u32>);

impl runner::Observer for Order {
    fn wants_events(&self) -> Option<Filter> {
        Some(Filter::default())
    }

    fn events(&mut self, records: &[Record]) {
        let delivered = records.iter().filter(|record| record.kind == EventKind::Deliver);
        self.0.extend(delivered.filter_map(|record| record.broadcast));
    }
}

fn report(text: &str, threads: usize) -> Report {
    let scenario = Document::parse("f", text).expect("TOML").scenario().expect("right");
    let threads = NonZeroUsize::new(threads).expect("some");
    runner::run_on_threads(threads, &scenario, &mut ()).expect("it runs")
}

/// What a report says of classes follows from the nodes and the broadcasts.
#[test]
fn reports_tell_classes_apart() {
    let text = "duration = '40s'\nnodes = { count = 200, joining = '5s' }\n\
        links.connections = {}\n\
        workload = [{ from = '20s', pace.rate = 2.0, until = '30s' }]\n\
        faults = [{ at = '35s', do.crash.who.class = 'few' }]\n\
        [[classes]]\nname = 'slow'\nwho.nodes = [0, 1, 2]\nprocessor.message = '30ms'\n\
        [[classes]]\nname = 'few'\nwho.share = '10%'\nnat = 'drop'\n";
    let report = report(text, 2);
    let [slow, few, none] = &report.classes[..] else { panic!("{:?}", report.classes) };
    assert_eq!((few.running_nodes, slow.running_nodes), (0, 3), "all of a class crashed");
    let reached: u64 = report.classes.iter().map(|class| class.deliveries).sum();
    let phase = &report.phases[0];
    let expected = phase.reliability.expect("broadcasts") * 200.0 * phase.broadcasts as f64;
    assert_eq!(
        reached + phase.broadcasts as u64,
        expected.round() as u64,
        "and publishers have it"
    );
    for class in &report.classes {
        assert!(class.reliability.is_some_and(|share| (0.9..=1.0).contains(&share)), "{class:?}");
    }
    let median = |class: &runner::ClassReport| class.latency_seconds.expect("deliveries").p50;
    assert!(median(slow) > median(none) + 0.02, "{slow:?} {none:?}");
    let dials = report.dials.expect("they take time");
    assert!(dials.begun > 500 && dials.failed > 10 && dials.failed < dials.begun, "{dials:?}");
}

/// Whom no stream reaches is reached hop by hop, where messages overtake each other: that breaks no promise of
/// a channel. Found by the swarm.
#[test]
fn channels_promise_no_order_to_those_behind_nats() {
    let text = "duration = '30s'\nnodes = { count = 20, joining = '5s' }\n\
        links.order = 'any'\nlinks.connections = {}\n\
        links.latency = { model = 'uniform', from = '10ms', to = '100ms' }\n\
        channels = [{ name = 'news', kind = 'best-effort' }]\n\
        workload = [{ from = '10s', until = '20s', pace.rate = 100.0, send = { channel = 'news' } }]\n\
        [[classes]]\nname = 'hidden'\nwho.share = '50%'\nnat = 'reject'\n";
    let report = report(text, 1);
    assert!(report.violation.is_none(), "{:?}", report.violation);
}
