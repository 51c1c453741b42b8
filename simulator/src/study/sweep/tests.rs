//! Sweeps of few small runs: their tables, shards and means.

use std::collections::BTreeSet;
use std::path::Path;

use murmurate::membership::Time;

use super::*;
use crate::SimPeer;
use crate::experiment::runner;
use crate::experiment::runner::Observer;
use crate::experiment::scenario::Span;
use crate::model::network::{Packet, Transmission};

const fn jobs(runs: usize, threads: usize) -> Jobs {
    Jobs { runs: NonZeroUsize::new(runs).unwrap(), threads: NonZeroUsize::new(threads).unwrap() }
}

fn sweep(text: &str, axes: &[&str], seeds: u64) -> Result<Sweep, String> {
    let axes: Vec<_> = axes.iter().map(|axis| (*axis).to_owned()).collect();
    let document = Document::parse("f", text).map_err(|error| error.to_string())?;
    Sweep::new(document, &axes, seeds).map_err(|error| error.to_string())
}

#[test]
fn runs_are_numbered_with_seeds_fastest_and_the_first_axis_slowest() {
    let sweep = sweep("seed = 7", &["nodes.count=5,6", "loss=0,10%"], 2).unwrap();
    let runs: Vec<_> = (0..sweep.runs())
        .map(|run| sweep.scenario(run).unwrap())
        .map(|scenario| (scenario.nodes.count, scenario.links.loss.get(), scenario.seed))
        .collect();
    let expected = [
        (5, 0.0, 7),
        (5, 0.0, 8),
        (5, 0.1, 7),
        (5, 0.1, 8),
        (6, 0.0, 7),
        (6, 0.0, 8),
        (6, 0.1, 7),
        (6, 0.1, 8),
    ];
    assert_eq!(runs, expected);
    assert_eq!(sweep.layout().axes(), ["nodes.count", "links.loss"]);
    assert_eq!((sweep.weight(0), sweep.weight(7)), (5 * 60_000, 6 * 60_000));
}

#[test]
fn the_rows_are_free_as_soon_as_they_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let part = || sweep("seed = 7", &["nodes.count=5,6"], 1).unwrap().part(Shard::WHOLE);
    let partial = PartialTable::create(&path, part()).unwrap();
    assert!(PartialTable::resume(&path, part()).is_err(), "another one writes it");
    // As a process has it that is being started elsewhere meanwhile.
    let _copy = partial.file.try_clone().unwrap();
    drop(partial);
    PartialTable::resume(&path, part()).unwrap();
}

#[test]
fn the_id_tells_what_was_swept_and_not_how_it_was_written() {
    let id = |text: &str, axes: &[&str], seeds| sweep(text, axes, seeds).unwrap().id().to_owned();
    let first = id("[nodes]\ncount = 20", &["loss=0,0.1"], 2);
    assert_eq!(first, id("# the same\nnodes = { count = 20 }", &["links.loss=0, 0.10"], 2));
    for other in [
        id("[nodes]\ncount = 21", &["loss=0,0.1"], 2),
        id("[nodes]\ncount = 20", &["loss=0,0.2"], 2),
        id("[nodes]\ncount = 20", &["loss=0,0.1"], 3),
        id("[nodes]\ncount = 20\n[links]\nloss = 0.1", &["duplicate=0,0.1"], 2),
    ] {
        assert_ne!(first, other);
    }
    let folder = tempfile::tempdir().unwrap();
    let matrix = folder.path().join("m.csv");
    let of_file = |content: &str| {
        std::fs::write(&matrix, content).unwrap();
        let text = "links.latency = { model = 'matrix', file = 'm.csv' }";
        std::fs::write(folder.path().join("f.toml"), text).unwrap();
        let document = Document::read(&folder.path().join("f.toml")).unwrap();
        Sweep::new(document, &[], 1).unwrap().id().to_owned()
    };
    assert_ne!(of_file("0,10\n10,0\n"), of_file("0,20\n20,0\n"), "what it names is part of it");
}

#[test]
fn wrong_sweeps_are_told_before_anything_runs() {
    for (axes, seeds, expected) in [
        (
            &["nodes.cuont=5"][..],
            1,
            "--vary nodes.cuont=5: nodes.cuont is not a key: did you mean count?",
        ),
        (
            &["contacts=60..70"],
            1,
            "--vary nodes.contacts=65: nodes.contacts = 65: allowed is a whole \
                number from 1 to 64",
        ),
        (
            &["broadcast.strategy=1..2"],
            1,
            "--vary broadcast.strategy=1: broadcast.strategy = 1: allowed are plumtree, flood",
        ),
        (&["loss=0", "links.loss=0.1"], 1, "--vary links.loss: it is varied already"),
        (&["loss=0", "links={loss=0.1}"], 1, "--vary links: it is varied already"),
        (
            &["nodes.count=1..1000", "contacts=1..64"],
            100,
            "1000 x 64 values x 100 seeds: allowed are 1000000 runs",
        ),
        (&[], 1_000_001, "1 values x 1000001 seeds: allowed are 1000000 runs"),
        (
            &["measure.phases=[],[{name=\"late\",from=\"9s\"}]"],
            1,
            "--vary measure.phases=[{name=\"late\",from=\"9s\"}]: every run must have the same phases",
        ),
        (
            &["measure.phases=[{name=\"a\",from=\"1s\"},{name=\"a\",from=\"2s\"}]"],
            1,
            "two columns would be called a.",
        ),
    ] {
        let error = sweep("", axes, seeds).map(|_| ()).expect_err("wrong");
        assert!(error.starts_with(expected), "{error}");
    }
    let error = sweep("seed = 9223372036854775800", &[], 9).map(|_| ()).unwrap_err();
    assert_eq!(
        error,
        "9 seeds from 9223372036854775800 on: the last allowed is 9223372036854775807"
    );
    assert!(sweep("seed = 9223372036854775800", &[], 8).is_ok());
}

/// Who runs, and who broadcast when.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    running: Vec<Vec<usize>>,
    broadcasts: Vec<(usize, Time)>,
}

impl Observer for Seen {
    fn looks_at(&self) -> Vec<Span> {
        vec![Span::secs(16), Span::secs(25), Span::secs(29)]
    }

    fn look(&mut self, sim: &dyn runner::View, _: Time) {
        self.running.push(sim.running());
        self.broadcasts = sim.stats().broadcasts.iter().map(|b| (b.origin, b.sent)).collect();
    }
}

/// What `compare` rests on.
#[test]
fn two_configurations_with_the_same_seed_have_the_same_noise() {
    let text = "duration = '30s'\nnodes = { count = 60, joining = '5s' }\n\
        links = { loss = 0.1, latency = { model = 'log-normal', median = '20ms', sigma = 0.5 } }\n\
        [[workload]]\nfrom = '12s'\npace.poisson = 3.0\n\
        [[faults]]\nat = '15s'\ndo.crash.who.share = '30%'\n\
        [[faults]]\nat = '17s'\ndo.churn = { for = '5s', how.poisson.share_per_minute = 3.0 }\n\
        [[faults]]\nat = '26s'\ndo.restart.who.count = 5\n";
    let scenario = |set: &[&str]| {
        let mut document = Document::parse("f", text).unwrap();
        set.iter().for_each(|set| document.set(set).unwrap());
        document.scenario().unwrap()
    };
    let seen = |scenario: &Scenario| {
        let mut seen = Seen::default();
        let report = runner::run(scenario, &mut seen).unwrap();
        (seen, report.digest)
    };
    let one = scenario(&["active_capacity=3"]);
    let other =
        scenario(&["active_capacity=8", "broadcast.strategy=flood", "keepalive_interval=1s"]);
    assert_eq!(compare::unlike(&one, &other), Vec::<&str>::new());
    let ((seen_one, digest_one), (seen_other, digest_other)) = (seen(&one), seen(&other));
    assert_ne!(digest_one, digest_other, "they are not the same");
    assert_eq!(
        seen_one, seen_other,
        "the same victims, newcomers and publishers at the same times"
    );
    let sizes: BTreeSet<usize> = seen_one.running.iter().map(Vec::len).collect();
    assert!(sizes.len() > 1 && !seen_one.broadcasts.is_empty(), "{seen_one:?}");
    let reseeded = Scenario { seed: 2, ..one.clone() };
    assert_ne!(seen(&reseeded).0, seen_one, "another seed is other noise");
    // The ways of messages.
    let transmissions = |scenario: &Scenario| -> Vec<Transmission> {
        let network = scenario.network().unwrap();
        let packet = |sequence| Packet {
            from: SimPeer::new(3, 0),
            to: SimPeer::new(9, 0),
            sequence,
            bytes: 100,
            now: 0,
        };
        (0..200).map(|sequence| network.send(&packet(sequence), network.port().as_mut())).collect()
    };
    assert_eq!(transmissions(&one), transmissions(&other));
    assert_ne!(transmissions(&one), transmissions(&reseeded));
    assert_eq!(
        compare::unlike(
            &one,
            &scenario(&["graph={model='ring'}", "classes=[{name='a',who.share=0.5}]"])
        ),
        ["classes", "graph"]
    );
    assert_eq!(
        compare::unlike(&one, &scenario(&["loss=0.2", "nodes.count=50"])),
        ["nodes", "links"]
    );
}

/// A comparison finds what there is, and nothing where there is nothing.
#[test]
fn a_comparison_tells_what_differs_from_what_does_not() {
    let read = |set: &[&str]| {
        let base = [
            "nodes.count=60",
            "duration=25s",
            "workload.0.from=12s",
            "workload.0.count=20",
            "nodes.joining=3s",
            "assertions=[]",
        ];
        let set: Vec<String> = base.iter().chain(set).map(|set| (*set).to_owned()).collect();
        Scenario::read(Path::new("quickstart"), &set).unwrap()
    };
    let find = |comparison: &compare::Comparison, name: &str| {
        comparison.figures.iter().find(|figure| figure.figure == name).cloned().unwrap()
    };
    let (plumtree, flood) = (read(&[]), read(&["broadcast.strategy=flood"]));
    let found = compare::compare(&plumtree, &flood, 12, &[], jobs(2, 1), &|_| {}).unwrap();
    let rmr = find(&found, "rmr");
    assert!(rmr.significant && rmr.difference.unwrap().ci_low.unwrap() > 1.0, "{rmr:?}");
    let latency = find(&found, "latency_p50");
    assert!(latency.significant && latency.relative.unwrap() <= 0.0, "{latency:?}");
    let reliability = find(&found, "reliability");
    assert_eq!(
        (reliability.p, reliability.significant),
        (Some(1.0), false),
        "both reach everybody"
    );
    assert!(find(&found, "rmr").p_holm.unwrap() > find(&found, "rmr").p.unwrap());
    assert_eq!(found, compare::compare(&plumtree, &flood, 12, &[], jobs(1, 2), &|_| {}).unwrap());
    // The time after which a member is forgotten does not matter where nobody fails.
    let patient = read(&["payload_capacity=2048"]);
    let found = compare::compare(&plumtree, &patient, 4, &[], jobs(2, 1), &|_| {}).unwrap();
    assert!(found.figures.iter().all(|f| f.test == Some(estimate::Test::Equal)), "{found:?}");
    let few = ["rmr".to_owned(), "hops".to_owned()];
    let found = compare::compare(&plumtree, &flood, 3, &few, jobs(2, 1), &|_| {}).unwrap();
    assert_eq!(found.figures.len(), 2);
}

/// Phases and assertions that only one side has are said.
#[test]
fn what_is_on_one_side_only_is_not_compared() {
    let read = |set: &str| {
        let set = ["nodes.count=20", "duration=15s", "workload=[]", "nodes.joining=3s", set];
        Scenario::read(Path::new("quickstart"), &set.map(str::to_owned)).unwrap()
    };
    let (one, other) = (read("assertions=[]"), read("assertions=['components == 1']"));
    let found = compare::compare(&one, &other, 2, &[], jobs(1, 1), &|_| {}).unwrap();
    assert_eq!(found.not_compared, ["assertions.0.holds", "assertions.0.found", "assertions.0.at"]);
    let reliability = found.figures.iter().find(|figure| figure.figure == "reliability").unwrap();
    assert_eq!((reliability.pairs, reliability.difference), (0, None), "nobody broadcasts");
}
