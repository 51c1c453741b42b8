//! Whom a broadcast had to reach: exactly those who could.

use crate::common::{Sim, grown, run, secs};
use murmurate_simulator::observe::reach::Reach;

fn published(sim: &mut Sim, index: usize) -> Reach {
    let reach = Reach::note(sim, index).expect("it runs");
    assert_eq!(sim.publish(index), Some(reach.id()));
    reach
}

fn judged(reach: &Reach, sim: &Sim) -> (usize, Vec<usize>) {
    let reached = reach.judge(sim);
    (reached.reachable, reached.missed)
}

#[test]
fn who_stopped_started_again_or_came_later_need_not_get_it() {
    let mut sim = grown(40, 3);
    sim.crash(5);
    let reach = published(&mut sim, 7);
    sim.crash(8);
    sim.crash(9);
    sim.restart(9, &[0]);
    sim.start(&[0]);
    run(&mut sim, secs(20));
    assert_eq!(judged(&reach, &sim), (40 - 1 - 2 - 1, vec![]), "without its publisher");
    assert!(Reach::note(&sim, 5).is_none(), "5 does not run");
}

#[test]
fn who_could_get_it_and_did_not_is_named() {
    let mut sim = grown(40, 4);
    let cut = sim.len();
    // For a moment: nobody notices, and the broadcast, which is announced once, is lost.
    sim.network_mut().cut(cut, |index| index == 11, false);
    let reach = published(&mut sim, 7);
    run(&mut sim, secs(1));
    assert!(!sim.has_delivered(11, reach.id()));
    sim.network_mut().heal();
    run(&mut sim, secs(20));
    assert_eq!(judged(&reach, &sim), (39, vec![11]));
    assert_eq!(reach.judge(&sim).share(), 1.0 - 1.0 / 39.0);
}

#[test]
fn who_is_cut_off_is_not_reachable() {
    let mut sim = grown(40, 5);
    let nodes = sim.len();
    sim.network_mut().cut(nodes, |index| index == 11, false);
    run(&mut sim, secs(60));
    let (reach, own) = (published(&mut sim, 7), published(&mut sim, 11));
    run(&mut sim, secs(20));
    assert_eq!(judged(&reach, &sim), (38, vec![]));
    assert_eq!(judged(&own, &sim), (0, vec![]), "11 reaches nobody");
    assert_eq!(own.judge(&sim).share(), 1.0);
}
