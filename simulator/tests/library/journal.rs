//! The journal of a run says all that was done to it from outside.

use murmurate::broadcast::plumtree;
use murmurate::membership::{Time, hyparview};
use murmurate_simulator::Simulation;
use murmurate_simulator::engine::strategy;
use murmurate_simulator::engine::{Journal, Operation};
use murmurate_simulator::experiment::runner;
use murmurate_simulator::experiment::scenario::Document;

use super::common::Sim;

const TROUBLE: &str = r#"
duration = "60s"
nodes = { count = 60, joining = "3s" }
links = { loss = 0.01 }
workload = [{ from = "5s", until = "55s", pace.rate = 5.0 }]
faults = [
  { at = "10s", do.crash.who.share = 0.1 },
  { at = "12s", do.crash = { who.count = 3, notice = "silent" } },
  { at = "14s", do.crash = { who.count = 3, notice = "reset" } },
  { at = "16s", do.leave.who.count = 3 },
  { at = "18s", do.restart = { who = "all", over = "5s" } },
  { at = "25s", do.partition = { who.share = 0.3, for = "10s" } },
  { at = "27s", do.stall = { who.count = 4, for = "3s" } },
  { at = "30s", do.join = { count = 10, over = "2s" } },
  { at = "36s", do.discover.who.count = 5 },
  { at = "38s", do.leave = { who.count = 2, linger = "3s" } },
  { at = "40s", do.churn = { for = "10s", how.poisson.share_per_minute = 1.0 } },
  { at = "52s", do = "calm" },
]
"#;

fn perform(sim: &mut Sim, operation: &Operation) {
    match operation {
        Operation::Start { index, contacts } if *index == sim.len() => {
            sim.start(contacts);
        }
        Operation::Start { index, contacts } => assert!(sim.restart(*index, contacts)),
        Operation::Join { index, contacts } => sim.join(*index, contacts),
        Operation::Kill(index) => sim.kill(*index),
        Operation::Crash(index) => sim.crash(*index),
        Operation::Leave(index) => sim.leave(*index),
        Operation::LeaveAndStay(index) => sim.leave_and_stay(*index),
        Operation::Stall(index, lasting) => sim.stall(*index, *lasting),
        Operation::Publish { index, bytes, id } => {
            assert_eq!(sim.publish_bytes(*index, *bytes), Some(*id));
        }
        Operation::Network(network) => sim.network_mut().clone_from(network),
        other => panic!("{other:?} was not done"),
    }
}

/// Done to another simulation, it comes to the same run.
#[test]
fn what_is_in_the_journal_makes_the_same_run() {
    let scenario = Document::parse("trouble", TROUBLE).expect("TOML").scenario();
    let scenario = scenario.expect("a scenario");
    let mut journal = Journal::new();
    let report = runner::run(&scenario, &mut journal).expect("it runs");
    let nodes = strategy::nodes(hyparview::Parameters::default(), plumtree::Parameters::default());
    let network = scenario.network().expect("a network");
    let mut sim = Simulation::new(scenario.seed, network, nodes.expect("valid parameters"));
    for (at, operation) in &journal {
        sim.run_until(*at);
        perform(&mut sim, operation);
    }
    sim.run_until(Time::ZERO.after(scenario.duration.0));
    assert_eq!(format!("{:016x}", sim.stats().digest), report.digest);
    assert_eq!(sim.stats().broadcasts.len(), report.phases[0].broadcasts);
    let of = |kind: fn(&Operation) -> bool| journal.iter().filter(|(_, o)| kind(o)).count();
    assert!(of(|o| matches!(o, Operation::Start { .. })) > 85, "60, 14 again, 10 and newcomers");
    assert!(of(|o| matches!(o, Operation::Network(_))) >= 6, "three dark, a cut, its end, calm");
}

/// Nothing is noted that nobody wants, and nothing twice.
#[test]
fn a_journal_is_kept_on_demand_and_taken_once() {
    let mut sim = super::common::simulation(1, 0.0);
    sim.start(&[]);
    assert!(sim.take_journal().is_empty());
    sim.keep_journal();
    sim.crash(7);
    sim.kill(0);
    sim.crash(0);
    let taken = sim.take_journal();
    assert!(matches!(taken[..], [(Time::ZERO, Operation::Kill(0))]), "{taken:?}");
    assert!(sim.take_journal().is_empty());
}
