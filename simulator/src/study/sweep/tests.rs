//! Sweeps of few small runs: their tables, shards and means.

use super::*;
use crate::SimPeer;
use crate::model::network::{Packet, Transmission};

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

/// What `compare` rests on, together with the same faults and workload.
#[test]
fn messages_of_two_configurations_with_the_same_seed_fare_alike() {
    let text =
        "links = { loss = 0.1, latency = { model = 'log-normal', median = '20ms', sigma = 0.5 } }";
    let scenario = |set: &str| {
        let mut document = Document::parse("f", text).unwrap();
        document.set(set).unwrap();
        document.scenario().unwrap()
    };
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
    let first = transmissions(&scenario("active_capacity=3"));
    assert_eq!(first, transmissions(&scenario("active_capacity=8")));
    assert_ne!(first, transmissions(&scenario("seed=2")));
}
