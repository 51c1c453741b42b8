//! Whom a broadcast had to reach: exactly those who could.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of a test for production code"
)]

mod common;

use common::{Sim, grown, run, secs};
use murmurate_simulator::reach::Reach;

fn judged(reach: Reach, sim: &Sim) -> (usize, usize, Vec<usize>) {
    let reached = Reach::judge(&[reach], sim).pop().expect("one");
    (reached.running, reached.reachable, reached.missed)
}

#[test]
fn who_stopped_started_again_or_came_later_need_not_get_it() {
    let mut sim = grown(40, 3);
    sim.crash(5);
    let reach = Reach::publish(&mut sim, 7).expect("7 runs");
    sim.crash(8);
    sim.crash(9);
    sim.restart(9, &[0]);
    sim.start(&[0]);
    run(&mut sim, secs(20));
    assert_eq!(judged(reach, &sim), (39, 37, vec![]));
}

#[test]
fn who_could_get_it_and_did_not_is_named() {
    let mut sim = grown(40, 4);
    let cut = sim.len();
    // For a moment: nobody notices, and the broadcast, which is announced once, is lost.
    sim.network_mut().cut(cut, |index| index == 11, false);
    let reach = Reach::publish(&mut sim, 7).expect("7 runs");
    run(&mut sim, secs(1));
    assert!(!sim.has_delivered(11, reach.id()));
    sim.network_mut().heal();
    run(&mut sim, secs(20));
    assert_eq!(judged(reach, &sim), (40, 40, vec![11]));
}

#[test]
fn who_is_cut_off_is_not_reachable() {
    let mut sim = grown(40, 5);
    let nodes = sim.len();
    sim.network_mut().cut(nodes, |index| index == 11, false);
    let reach = Reach::publish(&mut sim, 7).expect("7 runs");
    run(&mut sim, secs(20));
    assert_eq!(judged(reach, &sim), (40, 39, vec![]));
}
