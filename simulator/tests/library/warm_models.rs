//! Runs that start from a saved overlay whose nodes differ: classes, lines that they share, NATs, and a given
//! graph. And what is looked at in such runs.

use std::fs;

use murmurate_simulator::engine::Count;
use murmurate_simulator::experiment::runner::{Observer, Probing, View, run};
use murmurate_simulator::experiment::scenario::{Document, Scenario, Span};
use serde_json::Value;

use super::warm::{Folder, from, report, save, scenario};

/// Everybody joins and broadcasts, and then some fail.
const BUSY: &str = "duration = '24s'
    nodes = { count = 60, joining = '3s', contacts = 6 }
    assertions = ['reliability > 0 from 5s', 'components >= 1 at 9s']
    [[workload]]
    from = '4s'
    until = '20s'
    pace.rate = 20.0
    [[faults]]
    at = '14s'
    do.crash.who.share = '20%'
    [measure]
    overlay_every = '2s'
    phases = [{ name = 'joining', from = '0s' }, { name = 'calm', from = '5s' },
        { name = 'failure', from = '14s' }]
    ";

const CLASSES: &str = "[links]
    latency = { model = 'uniform', from = '5ms', to = '60ms' }
    [[classes]]
    name = 'listed'
    who.nodes = [1, 5, 40]
    processor = { message = '2ms' }
    [[classes]]
    name = 'slow'
    who.share = '30%'
    bandwidth = { up = '2Mbit/s', down = '4Mbit/s', queue = '64KiB' }
    loss = 0.03
    ";

/// Lines so narrow that something waits on both of them whenever it is saved.
const SHARED: &str = "[links]
    latency = { model = 'constant', time = '15ms' }
    transport = 'streams'
    [[regions]]
    name = 'site'
    [[regions]]
    name = 'branch'
    [[regions]]
    name = 'world'
    weight = 2
    [[classes]]
    name = 'site'
    who.region = 'site'
    shared = { up = '2500kbit/s', down = '2500kbit/s', queue = '64KiB' }
    [[classes]]
    name = 'branch'
    who.region = 'branch'
    shared = { up = '2Mbit/s', down = '2Mbit/s', queue = '32KiB' }
    ";

fn nat(how: &str) -> String {
    format!(
        "[links]
        latency = {{ model = 'uniform', from = '10ms', to = '40ms' }}
        transport = 'streams'
        connections = {{ round_trips = 2, timeout = '2s', idle = '10s' }}
        [[classes]]
        name = 'first'
        who.nodes = [0, 1, 2, 3, 4, 5]
        [[classes]]
        name = 'NAT'
        who.share = '30%'
        nat = '{how}'"
    )
}

const GRAPH: &str = "[membership]
    strategy = 'static'
    [graph]
    model = 'random-regular'
    degree = 5";

fn with(more: &str) -> Scenario {
    scenario(&format!("{BUSY}\n{more}"))
}

/// The report of the run that was never saved, on any number of threads before and after.
fn goes_on(what: &str, one: &Scenario, at: &str) -> Value {
    let folder = Folder::new();
    let expected = report(1, one).expect(what);
    let files: Vec<_> = (1..=3).map(|threads| save(threads, one, at).expect(what)).collect();
    assert!(files.iter().all(|file| *file == files[0]), "{what}: one file");
    let saved = folder.file(&files[0]);
    for threads in 1..=3 {
        let found = report(threads, &from(&saved, one)).expect(what);
        assert_eq!(found["digest"], expected["digest"], "{what}, on {threads} threads");
        assert_eq!(found, expected, "{what}, on {threads} threads");
    }
    expected
}

#[test]
fn classes_go_on() {
    let report = goes_on("classes", &with(CLASSES), "9s");
    assert!(report["classes"].as_array().is_some_and(|all| all.len() >= 2), "{report}");
}

#[test]
fn shared_lines_go_on() {
    for at in ["6s", "9.137s", "12.001s"] {
        let report = goes_on("shared lines", &with(SHARED), at);
        let p99 = &report["phases"][1]["latency_seconds"]["p99"];
        assert!(p99.as_f64() > Some(0.2), "something waits on the lines: {p99}");
    }
    let datagrams = SHARED.replace("transport = 'streams'", "loss = 0.02\nduplicate = 0.05");
    let report = goes_on("shared lines and datagrams", &with(&datagrams), "9s");
    assert!(report["shed"].as_u64() > Some(0), "and not everything finds room");
}

#[test]
fn nats_go_on() {
    for how in ["reject", "drop"] {
        let report = goes_on(how, &with(&nat(how)), "7s");
        assert!(report["dials"]["failed"].as_u64() > Some(0), "{how}: {}", report["dials"]);
    }
}

#[test]
fn a_graph_goes_on() {
    let report = goes_on("a static overlay", &with(GRAPH), "9s");
    assert_eq!(report["overlay_series"][3]["missing_links"], 0);
    let view = GRAPH.replace("'static'", "'hyparview'");
    goes_on("a graph that nodes join through", &with(&view), "9s");
    let around = format!("{GRAPH}\n[anti_entropy]\nexchange_interval = '1s'\n[links]\nloss = 0.1");
    goes_on("a static overlay with anti-entropy", &with(&around), "9s");
}

/// Networks with such a fault remember what others need not, from the beginning on.
#[test]
fn an_overlay_of_before_latencies_change_goes_on() {
    let folder = Folder::new();
    let calm = with("");
    let saved = folder.file(&save(2, &calm, "9s").expect("saved"));
    let change = "[[faults]]\nat = '10s'\n\
                  do.latency = { who.share = '50%', times = 8.0, every = '3s', for = '2s' }";
    let changing = with(change);
    let expected = report(1, &changing).expect("it runs");
    assert_ne!(expected["digest"], report(1, &calm).expect("it runs")["digest"]);
    for threads in 1..=3 {
        let found = report(threads, &from(&saved, &changing)).expect("it runs");
        assert_eq!(found, expected, "on {threads} threads");
    }
    goes_on("latencies that change", &changing, "9.5s");
}

/// With another seed nodes are of the same classes, and the graph is the same.
#[test]
fn what_was_drawn_for_an_overlay_stays() {
    let folder = Folder::new();
    for (what, text) in [("classes", CLASSES), ("graph", GRAPH)] {
        let one = with(text);
        let saved = folder.file(&save(1, &one, "9s").expect("saved"));
        let other = Scenario { seed: 2, ..one.clone() };
        let forked = from(&saved, &other);
        let network = |scenario: &Scenario| scenario.network().expect("valid").placement().clone();
        let graph = |scenario: &Scenario| scenario.contact_graph().expect("valid");
        assert_eq!(network(&forked), network(&one), "{what}");
        assert!(graph(&forked) == graph(&one), "{what}");
        assert!(network(&other) != network(&one) || graph(&other) != graph(&one), "{what}");
        let found = report(2, &forked).expect("it runs");
        assert_ne!(found["digest"], report(1, &one).expect("it runs")["digest"], "{what}");
        if what == "graph" {
            assert_eq!(found["overlay_series"][5]["missing_links"], 0, "{found}");
        }
    }
}

#[test]
fn an_overlay_of_other_classes_or_another_graph_is_refused() {
    let folder = Folder::new();
    let says = |base: &str, change: &[&str]| {
        let mut document = Document::parse("test", base).expect("TOML");
        for change in change {
            document.set(change).expect(change);
        }
        let saved = folder.path("overlay");
        document.set(&format!("from={}", saved.display())).expect("from");
        let said = document.scenario().map(drop).map_err(|error| error.to_string());
        let said = said.err().unwrap_or_default();
        said.replace(&saved.display().to_string(), "FILE").replace("test: ", "")
    };
    let classes = format!("{BUSY}\n{CLASSES}");
    folder.file(&save(1, &scenario(&classes), "9s").expect("saved"));
    assert_eq!(says(&classes, &[]), "");
    for (change, whole) in [
        ("classes.1.loss=0.04", "classes.1.loss: 0.04 here, but FILE was made with 0.03"),
        ("classes.1.who.share=20%", "classes.1.who.share: "),
        ("classes.0.processor.message=1ms", "classes.0.processor.message: "),
        ("classes.1.name=other", "classes.1.name: "),
    ] {
        let said = says(&classes, &[change]);
        assert!(said.contains(whole), "{change}: {said}");
    }
    let more = format!("{classes}\n[[classes]]\nname = 'more'\nwho.share = '1%'");
    assert!(says(&more, &[]).contains("classes.2: a table here, but FILE was made with nothing"));

    let graph = format!("{BUSY}\n{GRAPH}");
    folder.file(&save(1, &scenario(&graph), "9s").expect("saved"));
    assert_eq!(says(&graph, &[]), "");
    for (change, whole) in [
        ("graph.degree=4", "graph.degree: 4 here, but FILE was made with 5"),
        ("graph={model='ring'}", "graph.model: \"ring\" here, but FILE was made with"),
    ] {
        let said = says(&graph, &[change]);
        assert!(said.contains(whole), "{change}: {said}");
    }
    let none = format!("{BUSY}\n[membership]\nstrategy = 'static'");
    assert!(says(&none, &[]).contains("graph: nothing here, but FILE was made with a table"));
}

/// What counts is what the file says, and not where it lies.
#[test]
fn an_overlay_of_a_graph_that_changed_is_refused() {
    let folder = Folder::new();
    let ring = |skip: usize| -> String {
        (0..60).filter(|n| *n != skip).map(|n| format!("{n},{}\n", (n + 1) % 60)).collect()
    };
    let (file, moved) = (folder.path("graph.csv"), folder.path("moved.csv"));
    fs::write(&file, ring(60)).expect("room");
    let of = |file: &std::path::Path| {
        let path = file.display();
        let text = format!(
            "{BUSY}\n[membership]\nstrategy = 'static'\n[graph]\nmodel = 'file'\nfile = '{path}'"
        );
        Document::parse("test", &text).expect("TOML").scenario().expect("valid")
    };
    let one = of(&file);
    goes_on("a graph of a file", &one, "9s");
    let saved = folder.file(&save(1, &one, "9s").expect("saved"));
    fs::copy(&file, &moved).expect("room");
    let expected = report(1, &one).expect("it runs");
    let found = report(2, &from(&saved, &of(&moved))).expect("the same graph");
    assert_eq!(found["digest"], expected["digest"]);
    fs::write(&file, ring(7)).expect("room");
    let error = report(1, &from(&saved, &one)).expect_err("another graph").to_string();
    let error = error.replace(&saved.display().to_string(), "FILE");
    assert!(error.contains("graph.file: \"a file with hash "), "{error}");
    assert!(error.contains(" here, but FILE was made with \"a file with hash "), "{error}");
}

/// Looks at what was counted of all nodes.
#[derive(Default)]
struct Looking {
    counts: Vec<Count>,
    looks: Vec<(Span, Vec<Option<u64>>)>,
}

impl Looking {
    fn at(counts: &[Count]) -> Self {
        Self { counts: counts.to_vec(), looks: Vec::new() }
    }
}

impl Observer for Looking {
    fn wants_probes(&self) -> Option<Probing> {
        let (from, every) = (Span::millis(500), Span::millis(1_500));
        Some(Probing { from, every, until: None, counts: self.counts.clone() })
    }

    fn probe(&mut self, sim: &dyn View) {
        let at = Span(sim.now().since(murmurate::membership::Time::ZERO));
        let places = 0..self.counts.len();
        let nodes = (0..sim.started()).flat_map(|node| places.clone().map(move |at| (node, at)));
        self.looks.push((at, nodes.map(|(node, at)| sim.count(node, at)).collect()));
    }
}

#[test]
fn figures_of_nodes_go_on() {
    let folder = Folder::new();
    let one = with("");
    let saved = folder.file(&save(1, &one, "9s").expect("saved"));
    let all = [Count::Sent, Count::BytesSent, Count::Received, Count::Deliveries];
    let looks = |scenario: &Scenario| {
        let mut looking = Looking::at(&all);
        let report = run(scenario, &mut looking).expect("it runs");
        (looking.looks, serde_json::to_value(&report).expect("JSON"))
    };
    let ((mut expected, unforked), (found, forked)) = (looks(&one), looks(&from(&saved, &one)));
    assert_eq!(expected.len(), 16, "from 0.5 s to 23 s");
    expected.retain(|(at, _)| *at >= Span::secs(9));
    assert_eq!(found.len(), 10);
    assert!(found == expected, "what was counted before is in it");
    assert_eq!(forked, unforked);
    assert_eq!(forked.get("load"), unforked.get("load"), "nobody asked for that");
    assert!(forked.get("load").is_none_or(Value::is_null));
    let kind = [Count::Sent, Count::SentOf("gossip".into())];
    let error = run(&from(&saved, &one), &mut Looking::at(&kind)).expect_err("it was not counted");
    let expected =
        "measure.probe.figures: sent.gossip was not counted before 9s, when FILE was saved";
    assert_eq!(error.to_string().replace(&saved.display().to_string(), "FILE"), expected);
}

/// Whatever the run that was saved measured.
#[test]
fn loads_go_on() {
    let folder = Folder::new();
    let one = with("");
    let saved = folder.file(&save(2, &one, "9s").expect("saved"));
    let mut loaded = one.clone();
    loaded.measure.load = true;
    let expected = report(1, &loaded).expect("it runs");
    assert_eq!(report(2, &from(&saved, &loaded)).expect("it runs"), expected);
}
