//! Networks cut, split and lossy.

use std::time::Duration;

use crate::bed::Bed;
use crate::flock::{Flock, lasts};
use crate::talk::{Heard, Setup, View};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One of twenty is cut off for 25 s, and comes back by itself. What was broadcast meanwhile it has
/// afterwards, once.
fn cut(name: &'static str, cut_off: impl FnOnce(&Bed)) {
    let mut flock = Flock::new(name, 20, seconds(150));
    flock.gather(20, &Setup::default());
    cut_off(&flock.bed);
    let others: Vec<_> = flock.living().into_iter().filter(|at| *at != 5).collect();
    lasts(seconds(5));
    let took = flock.one_overlay(&others, seconds(15));
    flock.tell(&format!("19 without the one cut off: {took}"));
    let (senders, messages) = ([0, 8, 16], 400);
    let mark = flock.broadcast(&senders, messages, 1_024, Duration::from_millis(50));
    lasts(seconds(20));
    flock.bed.heal();
    let all = flock.living();
    let took = flock.one_overlay(&all, seconds(60));
    flock.tell(&format!("healed after 25 s: {took}"));
    let took = flock.until(seconds(30), |flock| flock.has_all(&all, &senders, (mark, messages)));
    flock.tell(&format!("what was broadcast meanwhile is everywhere {took:.1?} later"));
}

/// Nothing from it arrives anywhere, while all that is said to it does.
pub(crate) fn a_one_way_cut() {
    cut("cutfrom", |bed| bed.drop_from(5, ""));
}

/// It hears nothing, while all that it says is heard.
pub(crate) fn a_one_way_cut_the_other_way() {
    cut("cutto", |bed| bed.drop_to(5));
}

pub(crate) fn a_cable_pulled() {
    cut("cutboth", |bed| {
        bed.drop_from(5, "");
        bed.drop_to(5);
    });
}

/// A path that takes keep-alives and no payload is no link: whoever has no other is isolated.
pub(crate) fn a_path_on_which_large_packets_vanish() {
    let mut flock = Flock::new("cutmtu", 2, seconds(90));
    flock.gather(2, &Setup::default());
    flock.bed.drop_from(0, "meta length > 1200");
    flock.broadcast(&[0], 1, 20_000, Duration::ZERO);
    let isolated = |flock: &mut Flock| {
        let linked = |(at, view): (&usize, &View)| (!view.active.is_empty()).then_some(*at);
        match flock.reports(&[0, 1], 0).iter().find_map(linked) {
            Some(at) => Err(format!("#{at} has a neighbour, to whom nothing large gets")),
            None => Ok(()),
        }
    };
    let noticed = flock.until(seconds(15), isolated);
    for _ in 0..15 {
        assert_eq!(isolated(&mut flock), Ok(()));
        lasts(Duration::from_millis(200));
    }
    flock.bed.heal();
    let took = flock.one_overlay(&[0, 1], seconds(60));
    flock.tell(&format!("isolated after {noticed:.1?}, healed: {took}"));
}

/// Each has four bridges before the network that all share, and listens everywhere.
pub(crate) fn nodes_with_more_addresses_than_they_tell() {
    let mut flock = Flock::with_bridges("bridges", 3, 4, seconds(60));
    let setup = Setup { listen: "/ip4/0.0.0.0/tcp/7400".into(), ..Setup::default() };
    for home in 0..3 {
        flock.start(home, &setup);
    }
    flock.ready(0);
    // Through what the nodes say of themselves, and nothing else.
    flock.join(1, 0);
    flock.join(2, 1);
    let took = flock.one_overlay(&[0, 1, 2], seconds(20));
    flock.tell(&format!("behind four bridges each: {took}"));
}

/// Three packets of ten are lost everywhere while broadcasts flow. All arrive all the same.
fn lossy(name: &'static str, listen: &str) {
    let mut flock = Flock::new(name, 20, seconds(160));
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
    // 20 nodes, and none is delivered its own.
    let expected = messages * 4 * 19;
    let mut heard = 0;
    let mut looks = 0;
    let late = flock.until(seconds(30), |flock| {
        let views = flock.reports(&all, mark);
        heard = views.values().flat_map(|view| view.heard.from.values()).sum::<u32>();
        looks += 1;
        let is_enough = heard == expected || looks > 75;
        if is_enough { Ok(()) } else { Err(format!("{heard} of {expected} deliveries")) }
    });
    let views = flock.reports(&all, mark);
    let worst = |which: fn(&Heard) -> u32| views.values().map(|view| which(&view.heard)).max();
    let died = views.values().flat_map(|view| &view.events);
    let died = died.filter(|(_, event)| event.contains("reason: Silent")).count();
    flock.tell(&format!(
        "30 % loss: {heard} of {expected} deliveries {late:.1?} after the last; {died} links \
         given up as silent; worst node p50 {:?} p99 {:?} µs",
        worst(|heard| heard.p50_micros),
        worst(|heard| heard.p99_micros),
    ));
    assert_eq!(heard, expected, "deliveries");
    flock.bed.heal();
    let took = flock.one_overlay(&all, seconds(45));
    flock.tell(&format!("30 % loss ended: {took}"));
}

/// Links that are silent for too long are given up. What only such a link carried is fetched again.
pub(crate) fn a_lossy_network_over_tcp() {
    lossy("losstcp", "");
}

/// QUIC waits longer after each loss in a row.
pub(crate) fn a_lossy_network_over_quic() {
    lossy("lossquic", "/ip4/ADDRESS/udp/0/quic-v1");
}

/// Two halves, each an overlay of its own, find together again.
pub(crate) fn a_partition_into_halves() {
    let mut flock = Flock::new("halves", 20, seconds(280));
    flock.gather(20, &Setup::default());
    flock.bed.split(10);
    let halves: [Vec<usize>; 2] = [(0..10).collect(), (10..20).collect()];
    for half in &halves {
        let took = flock.one_overlay(half, seconds(30));
        flock.tell(&format!("one half: {took}"));
    }
    lasts(seconds(50));
    for half in &halves {
        flock.one_overlay(half, seconds(5));
    }
    flock.bed.heal();
    // Two reunion intervals.
    let took = flock.one_overlay(&flock.living(), seconds(60));
    flock.tell(&format!("halves healed: {took}"));
}
