//! Figures of nodes over time: they are those that the nodes have then, and looking at them changes
//! nothing.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use murmurate::Stack;
use murmurate::broadcast::{Broadcast as _, Plumtree, plumtree};
use murmurate::membership::Time;
use murmurate::stack;
use murmurate::testing::{Host, Neighbors};
use murmurate_simulator::SimPeer;
use murmurate_simulator::experiment::runner::{self, Observer, Report, View};
use murmurate_simulator::experiment::scenario::{Scenario, Span};
use murmurate_simulator::present::probe::{Format, Prober};

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn scenario(name: &str, set: &[&str]) -> Scenario {
    let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
    Scenario::read(Path::new(name), &set).expect("a scenario")
}

/// By moment in nanoseconds and node, the figures of a row that are there.
type Rows = BTreeMap<(u64, usize), BTreeMap<String, f64>>;

/// The rows of JSON lines.
fn rows(text: &[u8]) -> Rows {
    let text = std::str::from_utf8(text).expect("text");
    let row = |line: &str| {
        let mut row: BTreeMap<String, f64> = serde_json::from_str(line).expect("an object a line");
        let (at, node) = (row.remove("at").expect("a time"), row.remove("node").expect("a node"));
        (((at * 1e9).round() as u64, node as usize), row)
    };
    let all: Vec<_> = text.lines().map(row).collect();
    let rows: Rows = all.iter().cloned().collect();
    assert_eq!(rows.len(), all.len(), "a node has a row a look");
    assert!(all.iter().map(|(key, _)| *key).is_sorted(), "in the order of time, then node");
    rows
}

/// Runs a scenario with its probe, and with somebody who looks for himself.
fn probed(scenario: &Scenario, threads: usize, also: &mut dyn Observer) -> (Report, Rows) {
    struct Both<'a>(Prober, &'a mut dyn Observer);

    impl Observer for Both<'_> {
        fn looks_at(&self) -> Vec<Span> {
            self.1.looks_at()
        }

        fn look(&mut self, sim: &dyn View, at: Time) {
            self.1.look(sim, at);
        }

        fn wants_probes(&self) -> Option<runner::Probing> {
            self.0.wants_probes()
        }

        fn probe(&mut self, sim: &dyn View) {
            self.0.probe(sim);
        }
    }

    let file = Memory::default();
    let prober = Prober::new(scenario, Format::JsonLines, file.clone()).expect("written");
    let mut both = Both(prober, also);
    let threads = NonZeroUsize::new(threads).expect("some");
    let report = runner::run_on_threads(threads, scenario, &mut both).expect("it runs");
    both.0.finish().expect("written");
    let text = file.0.lock().expect("nobody panicked").clone();
    (report, rows(&text))
}

/// What nodes had at some moments, by ways that have nothing to do with probes.
#[derive(Default)]
struct Recorder {
    moments: Vec<Span>,
    seen: Rows,
}

impl Observer for Recorder {
    fn looks_at(&self) -> Vec<Span> {
        self.moments.clone()
    }

    fn look(&mut self, sim: &dyn View, _at: Time) {
        let topology = sim.topology();
        for (place, node) in topology.nodes.iter().enumerate() {
            let pushes = |link: &&murmurate_simulator::observe::topology::Link| {
                (0..2).any(|end| link.ends[end] as usize == place && link.eager[end])
            };
            let eager = topology.links.iter().filter(pushes).count() as f64;
            let load = node.load.expect("it is counted");
            let index = node.index as usize;
            let mut figures = BTreeMap::from([
                ("incarnation".to_owned(), f64::from(node.incarnation)),
                ("active".to_owned(), sim.degree(index).expect("it runs") as f64),
                ("sent".to_owned(), load.sent as f64),
                ("bytes_sent".to_owned(), load.bytes_sent as f64),
                ("received".to_owned(), load.received as f64),
            ]);
            // Links to nodes that do not run are not in the topology.
            if figures["active"] == f64::from(node.degree) {
                figures.insert("eager".to_owned(), eager);
            }
            self.seen.insert((sim.now().as_nanos(), index), figures);
        }
    }
}

const CHURN: [&str; 6] = [
    "nodes.count=60",
    "duration=30s",
    "measure.load=true",
    "assertions=[]",
    "faults=[{ at='12s', do.crash.who.share='30%' }, { at='15s', do.restart.who='all' }]",
    "workload=[{ from='11s', pace.rate=4.0 }]",
];

fn churn(probe: &str) -> Scenario {
    scenario("quickstart", &[&CHURN[..], &[&format!("measure.probe={probe}")]].concat())
}

#[test]
fn a_row_has_what_the_node_has_then() {
    let figures = "['received', 'active', 'eager', 'incarnation', 'bytes_sent', 'sent']";
    let scenario = churn(&format!("{{ figures={figures}, every='500ms', from='9s' }}"));
    let moments = (18..=60).map(|half| Span::millis(half * 500)).collect();
    let mut recorder = Recorder { moments, seen: Rows::new() };
    let (_, rows) = probed(&scenario, 1, &mut recorder);
    let moments: std::collections::BTreeSet<u64> = rows.keys().map(|(at, _)| *at).collect();
    assert_eq!(moments.len(), 43, "every half second from 9 s to the end");
    // A time that was written and read again is a nanosecond off at most.
    for (((at, node), row), (key, seen)) in rows.iter().zip(&recorder.seen) {
        assert!(at.abs_diff(key.0) <= 1 && *node == key.1, "{at} {node} {key:?}");
        for (name, value) in seen {
            assert_eq!(row[name], *value, "{name} of node {node} at {at}");
        }
        assert_eq!(row.len(), 6);
    }
    let eager = recorder.seen.values().filter(|seen| seen.contains_key("eager")).count();
    assert!(eager > rows.len() * 9 / 10, "{eager} of {}", rows.len());
    assert_eq!(rows.len(), recorder.seen.len());
    let restarted = rows.values().filter(|row| row["incarnation"] == 1.0).count();
    assert!(restarted > 18 * 20, "{restarted}");
}

#[test]
fn counts_by_kind_add_up_to_those_of_the_run() {
    let set = [
        "nodes.count=30",
        "duration=40s",
        "assertions=[]",
        "faults=[]",
        "workload=[{ from='20s', until='35s', pace.rate=5.0, send.channel='orders' }, \
                   { from='21s', pace.rate=2.0 }]",
    ];
    let scenario = scenario("channels", &set);
    let of_kind = |column: &&murmurate_simulator::experiment::scenario::Column| column.is_of_kind();
    let names: Vec<String> =
        scenario.node_figures().iter().filter(of_kind).map(|column| column.name.clone()).collect();
    assert!(names.len() > 40, "{names:?}");
    let mut scenario = scenario;
    let probe = scenario.measure.probe.get_or_insert_default();
    probe.figures = [&names[..], &["deliveries".to_owned(), "sent".to_owned()]].concat();
    (probe.every, probe.from) = (Span::secs(40), Span::secs(40));
    let (report, rows) = probed(&scenario, 1, &mut ());
    let sum = |name: &str| rows.values().map(|row| row[name]).sum::<f64>();
    // Faults that stop nodes are over: whoever was ever started runs at the end.
    assert_eq!(rows.len(), report.started_nodes);
    let mut sent = BTreeMap::<&str, u64>::new();
    for of in &report.messages {
        *sent.entry(of.kind).or_default() += of.count;
    }
    for (kind, count) in &sent {
        assert_eq!(sum(&format!("sent.{kind}")), *count as f64, "{kind}");
        assert!(sum(&format!("received.{kind}")) <= *count as f64 + report.duplicated as f64);
    }
    assert_eq!(names.len(), 2 * sent.len(), "every kind has its two columns");
    assert_eq!(sum("sent"), sent.values().sum::<u64>() as f64);
    let deliveries = report.series.iter().map(|point| point.deliveries).sum::<u64>();
    assert_eq!(sum("deliveries"), deliveries as f64);
}

#[test]
fn looks_change_nothing_on_any_threads() {
    let plain = churn("{ every='1s' }");
    let unprobed = runner::run(&plain, &mut ()).expect("it runs");
    let (often, first) = probed(&churn("{ every='7ms', from='11s', until='17s' }"), 1, &mut ());
    assert!(first.len() > 25_000, "{}", first.len());
    assert_eq!(often.digest, unprobed.digest);
    assert_eq!(often, unprobed, "the whole report");
    for threads in [2, 3] {
        let (report, rows) =
            probed(&churn("{ every='7ms', from='11s', until='17s' }"), threads, &mut ());
        assert_eq!(report.digest, unprobed.digest);
        assert!(rows == first, "rows of {threads} threads");
    }
}

#[test]
fn machines_and_lines_have_figures() {
    let at = |rows: &Rows, second: u64, node: usize, name: &str| {
        // A look is taken at the next border of the queue.
        let from = (second * 1_000_000_000, 0);
        let row = rows.range(from..).find(|((_, of), _)| *of == node).expect("a row");
        row.1[name]
    };
    let set = [
        "nodes.count=12",
        "duration=30s",
        "assertions=[]",
        "faults=[{ at='10s', do.clock-drift={ who.nodes=[3], rate=1.5 } }, \
                 { at='12s', do.stall={ who.nodes=[4], for='6s' } }]",
        "links.bandwidth={ up='1 Mbit/s', down='1 Mbit/s', queue='8 MiB' }",
        "workload=[{ from='14s', until='20s', pace.rate=4.0, payload='64 KiB' }]",
        "measure.probe={ figures=['clock_offset', 'waiting', 'outbox_bytes'] }",
    ];
    let (_, rows) = probed(&scenario("quickstart", &set), 1, &mut ());
    let offset = at(&rows, 20, 3, "clock_offset");
    assert!((4.95..=5.05).contains(&offset), "ten seconds at half more: {offset}");
    assert_eq!(at(&rows, 20, 2, "clock_offset"), 0.0);
    assert!(at(&rows, 17, 4, "waiting") > 3.0, "it is stalled, and others talk to it");
    assert!(at(&rows, 11, 4, "waiting") <= 1.0, "but for what is on its line");
    let queued = (0..12).map(|node| at(&rows, 18, node, "outbox_bytes")).sum::<f64>();
    assert!(queued > 20_000.0, "more is said than the lines carry: {queued}");
    assert_eq!(at(&rows, 9, 0, "outbox_bytes"), 0.0);
}

#[test]
fn some_nodes_are_looked_at_and_some_times() {
    let nodes = |probe: &str| {
        let (_, rows) = probed(&churn(probe), 1, &mut ());
        let nodes: Vec<usize> = rows.keys().map(|(_, node)| *node).collect();
        let moments: std::collections::BTreeSet<u64> = rows.keys().map(|(at, _)| *at).collect();
        (nodes, moments.len())
    };
    let one = "figures=['active'], from='29s', every='1s'";
    assert_eq!(nodes(&format!("{{ {one}, nodes={{ nodes=[7, 3] }} }}")), (vec![3, 7, 3, 7], 2));
    assert_eq!(nodes(&format!("{{ {one}, until='29s', nodes.count=5 }}")).0.len(), 5);
    let (all, moments) = nodes("{ figures=['active'], from='20s', until='21s', every='250ms' }");
    assert_eq!((all.len(), moments), (5 * 60, 5));
    let share = nodes(&format!("{{ {one}, until='29s', nodes.share='25%' }}")).0.len();
    assert!((5..=30).contains(&share), "{share}");
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_table_has_the_rows_of_the_lines_in_groups() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    let scenario = churn("{ figures=['active', 'round_trip', 'missing'], every='20ms' }");
    let (_, expected) = probed(&scenario, 1, &mut ());
    let file = Memory::default();
    let mut prober = Prober::new(&scenario, Format::Parquet, file.clone()).expect("written");
    runner::run(&scenario, &mut prober).expect("it runs");
    prober.finish().expect("written");
    let bytes = file.0.lock().expect("nobody panicked").clone();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a table");
    assert!(reader.num_row_groups() > 1, "rows are written as they come");
    let schema = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let names: Vec<_> = schema.iter().map(|field| field.name().to_owned()).collect();
    assert_eq!(names, ["at", "node", "active", "round_trip", "missing"]);
    let mut found = Rows::new();
    for row in reader.get_row_iter(None).expect("rows") {
        let row = row.expect("a row");
        let (mut at, mut node, mut figures) = (0, 0, BTreeMap::new());
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field) {
                ("at", Field::Double(seconds)) => at = (seconds * 1e9).round() as u64,
                ("node", Field::Long(index)) => node = *index as usize,
                (name, Field::Double(value)) => {
                    figures.insert(name.to_owned(), *value);
                }
                (name, field) => assert!(name == "round_trip" && *field == Field::Null, "{name}"),
            }
        }
        found.insert((at, node), figures);
    }
    assert!(found.len() > 1 << 16 && found == expected, "{} rows", found.len());
}

/// A strategy's own figures, of one that is told what is missing.
#[test]
fn a_strategy_shows_what_it_waits_for_and_what_it_keeps() {
    let strategy = Plumtree::<SimPeer, u32, ()>::new(Arc::new(plumtree::Config::default()));
    let mut host = Host::new(Stack::new(Neighbors::of(SimPeer::new(0, 0)), strategy));
    let neighbor = SimPeer::new(1, 0);
    host.feed(stack::Input::Join(vec![neighbor]));
    let figures = |host: &Host<Neighbors<SimPeer>, Plumtree<SimPeer, u32, ()>>| {
        let mut found = BTreeMap::new();
        host.stack().broadcast().each_figure(&mut |figure, value| {
            assert!(found.insert(figure.name, value).is_none(), "{} is there twice", figure.name);
        });
        ["missing", "cached", "cached_bytes"].map(|name| found[name])
    };
    let say = |message| stack::Message::Broadcast(message);
    assert_eq!(figures(&host), [0.0, 0.0, 0.0]);
    for (id, missing) in [(5, 1.0), (6, 2.0)] {
        let announced = [plumtree::Announcement { id, round: 1 }].into_iter().collect();
        host.receive(neighbor, say(plumtree::Message::IHave(announced)));
        assert_eq!(figures(&host), [missing, 0.0, 0.0]);
    }
    host.receive(neighbor, say(plumtree::Message::Gossip { id: 5, round: 1, payload: () }));
    assert_eq!(figures(&host), [1.0, 1.0, 0.0]);
}
