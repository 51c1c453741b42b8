//! Networks cut, split and lossy.

use std::thread::sleep;
use std::time::Duration;

use crate::bed::Bed;
use crate::flock::Flock;
use crate::talk::Setup;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One of twenty is cut off for 25 s, and comes back by itself.
fn cut(name: &'static str, cut_off: impl FnOnce(&Bed)) {
    let Some(mut flock) = Flock::new(name, 20, seconds(150)) else { return };
    flock.gather(20, &Setup::default());
    cut_off(&flock.bed);
    let others: Vec<_> = flock.living().into_iter().filter(|at| *at != 5).collect();
    sleep(seconds(5));
    let took = flock.one_overlay(&others, seconds(15));
    flock.tell(&format!("19 without the one cut off: {took}"));
    sleep(seconds(20));
    flock.bed.heal();
    let took = flock.one_overlay(&flock.living(), seconds(60));
    flock.tell(&format!("healed after 25 s: {took}"));
}

/// Nothing from it arrives anywhere, while all that is said to it does.
#[test]
fn a_one_way_cut() {
    cut("cutfrom", |bed| bed.drop_from(5, ""));
}

/// It hears nothing, while all that it says is heard.
#[test]
fn a_one_way_cut_the_other_way() {
    cut("cutto", |bed| bed.drop_to(5));
}

#[test]
fn a_cable_pulled() {
    cut("cutboth", |bed| {
        bed.drop_from(5, "");
        bed.drop_to(5);
    });
}

/// Three packets of ten are lost everywhere while broadcasts flow; none of those is.
fn lossy(name: &'static str, listen: &str) {
    let Some(mut flock) = Flock::new(name, 20, seconds(200)) else { return };
    // Neighbours may be silent for 8 s, as by default: a lost packet is no lost neighbour.
    let setup = Setup { listen: listen.into(), keepalive_millis: 2_000, ..Setup::default() };
    flock.gather(20, &setup);
    let (senders, messages) = ([0, 6, 12, 18], 30 * 5);
    flock.bed.lose(30);
    let mark = flock.broadcast(&senders, messages, 1_024, Duration::from_millis(200));
    for at in senders {
        assert_eq!(flock.published(at, mark), [""; 0], "#{at} could not broadcast");
    }
    let all = flock.living();
    let late = flock.until(seconds(40), |flock| flock.has_all(&all, &senders, (mark, messages)));
    let views = flock.reports(&all, mark);
    let heard = views.values().map(|view| &view.heard);
    let worst = |which: fn(&crate::talk::Heard) -> u32| heard.clone().map(which).max();
    flock.tell(&format!(
        "30 % loss: all {} delivered {late:.1?} after the last; worst node p50 {:?} p99 {:?} µs",
        messages * 4,
        worst(|heard| heard.p50_micros),
        worst(|heard| heard.p99_micros),
    ));
    flock.bed.heal();
    let took = flock.one_overlay(&all, seconds(45));
    flock.tell(&format!("30 % loss ended: {took}"));
}

#[test]
fn a_lossy_network_over_tcp() {
    lossy("losstcp", "");
}

#[test]
fn a_lossy_network_over_quic() {
    lossy("lossquic", "/ip4/ADDRESS/udp/0/quic-v1");
}

/// Two halves, each an overlay of its own, find together again.
#[test]
fn a_partition_into_halves() {
    let Some(mut flock) = Flock::new("halves", 20, seconds(280)) else { return };
    let promotion_millis = 20_000;
    flock.gather(20, &Setup { promotion_millis, ..Setup::default() });
    flock.bed.split(10);
    let halves: [Vec<usize>; 2] = [(0..10).collect(), (10..20).collect()];
    for half in &halves {
        let took = flock.one_overlay(half, seconds(30));
        flock.tell(&format!("one half: {took}"));
    }
    sleep(seconds(50));
    for half in &halves {
        flock.one_overlay(half, seconds(5));
    }
    flock.bed.heal();
    let took = flock.one_overlay(&flock.living(), seconds(90));
    flock.tell(&format!("halves healed, a promotion each 20 s: {took}"));
}
