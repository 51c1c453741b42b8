//! Parts of an overlay that were cut from each other are one again in time, whatever restarted; and what
//! that costs.

use std::time::Duration;

use crate::common::{Sim, components, quiet_within, run, secs, simulation_of};
use murmurate::membership::Membership;
use murmurate::membership::hyparview::Parameters;
use murmurate_simulator::experiment::runner;
use murmurate_simulator::experiment::scenario::Document;
use murmurate_simulator::model::network::Latency;

const LATENCY: Latency = Latency::Constant(Duration::from_millis(20));
/// Two reunion intervals by default.
const IN_TIME: Duration = Duration::from_secs(60);

/// Without random exchanges, which would find the other side sooner or later.
fn parameters(reunion: bool) -> Parameters {
    let defaults = Parameters::default();
    let reunion_interval = defaults.reunion_interval.filter(|_| reunion);
    Parameters { promotion_interval: None, reunion_interval, ..defaults }
}

/// `nodes` that joined one after the other, each through all before it that fit.
fn grown(nodes: usize, seed: u64, parameters: Parameters) -> Sim {
    let mut sim = simulation_of(seed, LATENCY, 0.0, parameters);
    let all: Vec<usize> = (0..nodes).collect();
    for index in 0..nodes {
        sim.start(&all[index.saturating_sub(8)..index]);
        run(&mut sim, Duration::from_millis(200));
    }
    run(&mut sim, secs(60));
    quiet_within(&mut sim, secs(60), "grown");
    sim
}

/// Whom a node that stops has written down.
fn written_down(sim: &Sim, index: usize) -> Vec<usize> {
    let membership = sim.stack(index).expect("a node").membership();
    let known = membership.active().chain(membership.lost()).chain(membership.passive());
    known.map(murmurate_simulator::SimPeer::index).collect()
}

/// Cuts `nodes` in two, restarts those of the first `again`, one by one, and mends it after `cut`.
fn healed(sim: &mut Sim, nodes: usize, again: usize, cut: Duration) {
    sim.network_mut().cut(nodes, |index| index < nodes / 2, false);
    run(sim, secs(20));
    for index in 0..again {
        let known = written_down(sim, index);
        sim.kill(index);
        run(sim, Duration::from_millis(500));
        assert!(sim.restart(index, &known));
        run(sim, secs(2));
    }
    run(sim, cut);
    assert_eq!(components(sim), 2, "two overlays");
    sim.network_mut().heal();
}

/// Six nodes, cut in two, of which one side or both restart one by one with what they had written down.
#[test]
fn a_side_that_restarted_is_found_again() {
    for again in [0, 3, 6] {
        for seed in 0..20 {
            let mut sim = grown(6, seed, parameters(true));
            healed(&mut sim, 6, again, secs(40));
            run(&mut sim, IN_TIME);
            assert_eq!(components(&sim), 1, "{again} restarted, seed {seed}");
        }
    }
}

/// What it would be without.
#[test]
fn two_sides_with_full_views_do_not_meet_by_themselves() {
    let mut sim = grown(40, 1, parameters(false));
    healed(&mut sim, 40, 20, secs(40));
    run(&mut sim, secs(600));
    assert_eq!(components(&sim), 2);
}

#[test]
fn halves_of_three_hundred_meet_after_hours_in_time() {
    let mut sim = grown(300, 5, parameters(true));
    healed(&mut sim, 300, 20, secs(2 * 3_600));
    run(&mut sim, IN_TIME);
    assert_eq!(components(&sim), 1);
    quiet_within(&mut sim, secs(60), "merged");
}

const APART: &str = r#"
duration = "100s"
nodes = { count = 30, joining = "5s" }
links.latency = { model = "constant", time = "20ms" }
membership = { strategy = "hyparview", promotion_interval = "off" }
anti_entropy = { exchange_interval = "10m" }
workload = [{ from = "21s", until = "39s", pace.rate = 5.0 }]
faults = [
  { name = "cut", at = "20s", do.partition.who.share = 0.5 },
  { at = "40s", do = "heal" },
]
measure.overlay_every = "50ms"
assertions = ["components == 2 at 40s", "components == 1 at 99s", "least_reliability == 1 from 21s until 39s"]
"#;

/// Neighbours compare at intervals, but over a new link at once: nobody waits for the next interval.
#[test]
fn what_a_cut_kept_away_comes_over_the_first_link() {
    let scenario = Document::parse("apart", APART).expect("TOML").scenario();
    let report = runner::run(&scenario.expect("a scenario"), &mut ()).expect("it runs");
    assert!(report.verdicts.iter().all(|verdict| verdict.holds), "{:?}", report.verdicts);
}

/// The dead are tried for a day, and then no more.
#[test]
fn who_died_is_given_up_after_a_day() {
    let mut sim = grown(3, 2, parameters(true));
    sim.kill(2);
    run(&mut sim, secs(20 * 3_600));
    assert_eq!(lost(&sim), 2, "both try it");
    run(&mut sim, secs(6 * 3_600));
    assert_eq!(lost(&sim), 0, "nobody tries it");
}

/// Lost peers that running nodes try, all in all.
fn lost(sim: &Sim) -> usize {
    let of = |index| sim.stack(index).expect("a node").membership().lost().count();
    sim.live_nodes().map(of).sum()
}

/// `cargo test --release -p murmurate-simulator --test library reunion -- --ignored --nocapture`: messages of
/// 10,000 nodes that all joined through the same two seeds in half a minute, without random exchanges.
#[test]
#[ignore = "a measurement, which takes a minute"]
fn what_it_costs() {
    const NODES: usize = 10_000;
    for reunion in [false, true] {
        let mut sim = simulation_of(1, LATENCY, 0.0, parameters(reunion));
        sim.watch_loads();
        for index in 0..NODES {
            sim.start(&[0, 1][..index.min(2)]);
            sim.run_until(sim.now().after(Duration::from_millis(3)));
        }
        let measured = |sim: &mut Sim, what: &str| {
            let before =
                (sim.stats().messages.iter().map(|kind| kind.count).sum::<u64>(), seeds(sim));
            sim.run_until(sim.now().after(secs(60)));
            let after =
                (sim.stats().messages.iter().map(|kind| kind.count).sum::<u64>(), seeds(sim));
            let each = (after.0 - before.0) as f64 / sim.live() as f64;
            eprintln!(
                "reunion {reunion}, {what}: {each:.1} messages a node a minute, {} at a seed, {} lost",
                (after.1 - before.1) / 2,
                lost(sim),
            );
        };
        measured(&mut sim, "first minute");
        measured(&mut sim, "second minute");
        sim.run_until(sim.now().after(secs(180)));
        measured(&mut sim, "at rest");
        // One of a hundred dies: five neighbours each try it.
        (2..NODES).step_by(100).for_each(|index| sim.kill(index));
        sim.run_until(sim.now().after(secs(120)));
        measured(&mut sim, "a hundred have died");
    }
}

/// Messages that the two seeds sent and got.
fn seeds(sim: &Sim) -> u64 {
    [0, 1].into_iter().filter_map(|seed| sim.load(seed)).map(|load| load.messages()).sum()
}
