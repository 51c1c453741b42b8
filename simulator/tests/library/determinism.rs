//! A run is a function of its seed, whichever binary runs it.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use murmurate::broadcast::{AntiEntropy, plumtree};
use murmurate::membership::hyparview;
use murmurate_simulator::engine::strategy;
use murmurate_simulator::experiment::Experiment;
use murmurate_simulator::experiment::runner::{self, Report};
use murmurate_simulator::experiment::scenario::{
    Broadcast, Document, LatencyModel, Membership, Share, Span,
};
use murmurate_simulator::model::network::Latency;

fn outcome(seed: u64) -> Report {
    let experiment = Experiment {
        nodes: 300,
        seed,
        membership: Membership::default(),
        broadcast: Broadcast::default(),
        messages: 20,
        fail: Share::new(0.3).expect("a share"),
        latency: LatencyModel::Uniform { from: Span::millis(10), to: Span::millis(100) },
        loss: Share::new(0.01).expect("a share"),
    };
    runner::run(&experiment.scenario().expect("valid"), &mut ()).expect("a valid scenario")
}

/// The digest of the default run. Changes to it are changes to what every published figure was
/// measured on.
#[test]
fn the_default_run_is_what_it_was() {
    let output = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
        .args(["run", "--json"])
        .output()
        .expect("the binary runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["digest"], "466e5cdaaa9aec70");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let first = outcome(7);
    assert_eq!(first, outcome(7), "everything measured is the same");
    assert_ne!(first.digest, outcome(8).digest);
    assert!(first.events > 50_000, "{} events: did anything run?", first.events);
}

#[test]
fn another_binary_of_the_same_commit_gives_the_same_digest_on_more_threads() {
    let output = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
        .args("run --nodes 300 --seed 7 --messages 20 --fail 30 --loss 0.01 --json".split(' '))
        .args(["--latency", "uniform:10ms,100ms", "--threads", "3"])
        .output()
        .expect("the binary runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["digest"], outcome(7).digest);
}

#[test]
fn a_clone_lives_the_same_life() {
    use murmurate_simulator::Simulation;
    use murmurate_simulator::model::network::Network;
    let ms = Duration::from_millis;
    let latency = Latency::Uniform(ms(10), ms(100));
    let network = Network::new(3, latency, 0.05).expect("valid");
    let make = strategy::nodes(hyparview::Parameters::default(), plumtree::Parameters::default())
        .expect("defaults");
    let mut sim = Simulation::new(3, network, make);
    for index in 0..50 {
        sim.start(&[index / 2]);
        sim.run_until(sim.now().after(Duration::from_millis(100)));
    }
    let mut twin = sim.clone();
    for sim in [&mut sim, &mut twin] {
        sim.publish(4);
        sim.run_until(sim.now().after(Duration::from_secs(20)));
    }
    assert_eq!(sim.stats().digest, twin.stats().digest);
    assert_eq!(sim.stats().broadcasts, twin.stats().broadcasts);
}

/// Strategies that are compiled together do what they do when they are not: only the numbers of messages'
/// kinds differ, and so the digest.
#[test]
fn boxed_strategies_come_to_the_same() {
    let text = "duration = '60s'\nnodes = { count = 120, joining = '5s' }\n\
        links = { loss = 0.02, latency = { model = 'log-normal', median = '20ms', sigma = 0.5 } }\n\
        [[workload]]\nfrom = '10s'\npace.rate = 2.0\n\
        [[faults]]\nat = '20s'\ndo.crash.who.share = '30%'\n";
    for exchanges in ["", "[anti_entropy]\nexchange_interval = '1s'\n"] {
        let text = format!("{text}{exchanges}");
        let document = Document::parse("it", &text).expect("TOML");
        let scenario = document.scenario().expect("a scenario");
        let together = runner::run(&scenario, &mut ()).expect("it runs");
        let membership = scenario.membership.make().expect("valid");
        let membership = move |me, seed| membership(me, seed);
        let boxed = match scenario.anti_entropy.clone() {
            None => {
                let broadcast = scenario.broadcast.make().expect("valid");
                let make = strategy::compose(membership, move |seed| broadcast(seed));
                runner::run_with(NonZeroUsize::MIN, &scenario, make, &mut ())
            }
            Some(around) => {
                let broadcast = scenario.broadcast.make_named().expect("valid");
                let around = Arc::new(around.check().expect("valid"));
                let broadcast = move |seed| AntiEntropy::new(broadcast(seed), Arc::clone(&around));
                let make = strategy::compose(membership, broadcast);
                runner::run_with(NonZeroUsize::MIN, &scenario, make, &mut ())
            }
        };
        let mut boxed = boxed.expect("it runs");
        assert_ne!(boxed.digest, together.digest);
        boxed.digest = together.digest.clone();
        assert_eq!(boxed, together);
    }
}
