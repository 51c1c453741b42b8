//! Processes killed, stopped and started again.

use std::time::Duration;

use crate::flock::{Flock, lasts};
use crate::talk::{Said, Setup};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A third of the nodes, the contact of all others among them, end without a word.
pub(crate) fn six_of_twenty_are_killed() {
    let mut flock = Flock::new("killed", 20, seconds(90));
    // Silence would tell only after 8 s: it is the closed connections that do.
    flock.gather(20, &Setup { keepalive_millis: 2_000, ..Setup::default() });
    for at in [0, 3, 7, 8, 13, 19] {
        flock.kill(at);
    }
    let noticed = flock.until(seconds(4), |flock| {
        // Who is not whole for another reason is judged below.
        flock
            .is_whole(&flock.living())
            .or_else(|why| if why.contains("holds") { Err(why) } else { Ok(()) })
    });
    flock.tell(&format!("the living hold none of the dead after {noticed:.1?}"));
    let took = flock.one_overlay(&flock.living(), seconds(15));
    flock.tell(&format!("after kill -9 of 6 of 20: {took}"));
}

/// A publisher cannot know yet that its only neighbour has died: what it publishes goes to the next one.
pub(crate) fn what_only_a_dead_neighbour_was_sent_goes_to_the_next_one() {
    let mut flock = Flock::new("onlyone", 4, seconds(60));
    for home in 0..4 {
        flock.start(home, &Setup::default());
    }
    flock.ready(0);
    for pair in [[0, 1], [2, 3]] {
        flock.join(pair[1], pair[0]);
        flock.until(seconds(10), |flock| flock.is_whole(&pair));
    }
    // A power cut: no connection is closed.
    flock.bed.drop_from(1, "");
    flock.bed.drop_to(1);
    flock.kill(1);
    let mark = flock.broadcast(&[0], 5, 100, Duration::ZERO);
    assert_eq!(flock.published(0, mark), [""; 0], "it is accepted");
    assert_eq!(flock.reports(&[0], 0)[&0].active, [flock.id(1)], "nobody knows yet");
    flock.join(0, 2);
    let took = flock.until(seconds(20), |flock| flock.has_all(&[2, 3], &[0], (mark, 5)));
    flock.tell(&format!("what only a dead neighbour was sent has come to others after {took:.1?}"));
}

/// A stopped process keeps its connections, and its kernel goes on to accept more.
pub(crate) fn one_of_twenty_is_stopped_and_goes_on() {
    let mut flock = Flock::new("stopped", 20, seconds(120));
    flock.gather(20, &Setup::default());
    flock.stop(7);
    // The last keep-alive may just have come; three may be missed, and the fourth tick drops it.
    let bound = Duration::from_millis(500) * 5 + Duration::from_millis(500);
    let stopped = flock.id(7).to_owned();
    let dropped = flock.until(bound, |flock| {
        let views = flock.reports(&flock.living(), 0);
        let holds = views.iter().find(|(_, view)| view.active.contains(&stopped));
        holds.map_or(Ok(()), |(at, _)| Err(format!("#{at} holds the stopped node")))
    });
    flock.tell(&format!("a stopped node is dropped after {dropped:.1?}"));
    let took = flock.one_overlay(&flock.living(), seconds(15));
    flock.tell(&format!("the others: {took}"));
    lasts(seconds(10));
    flock.go_on(7);
    let took = flock.one_overlay(&flock.living(), seconds(15));
    flock.tell(&format!("it goes on: {took}"));
}

/// Who comes back at an address is not who was there before.
pub(crate) fn restarts_and_recycled_addresses() {
    let mut flock = Flock::new("restart", 12, seconds(180));
    let at_port = |port: u16| format!("/ip4/ADDRESS/tcp/{port}");
    for home in 0..12 {
        let setup = Setup { listen: at_port(7_400), key: home as u8 + 1, ..Setup::default() };
        flock.start(home, &setup);
    }
    flock.ready(0);
    for at in 1..12 {
        flock.join(at, 0);
    }
    flock.one_overlay(&flock.living(), seconds(30));

    // The same node, started again at once at the same address; nobody has missed it yet.
    flock.kill(5);
    let again = Setup { listen: at_port(7_400), key: 6, ..Setup::default() };
    let again = flock.start(5, &again);
    flock.ready(again);
    flock.join(again, 0);
    let took = flock.one_overlay(&flock.living(), seconds(20));
    flock.tell(&format!("the same node at the same address: {took}"));

    // The same after a power cut: no connection of the old process was closed.
    flock.bed.drop_from(6, "");
    flock.bed.drop_to(6);
    flock.kill(6);
    flock.bed.heal();
    let again = Setup { listen: at_port(7_400), key: 7, ..Setup::default() };
    let again = flock.start(6, &again);
    flock.ready(again);
    flock.join(again, 1);
    let took = flock.one_overlay(&flock.living(), seconds(20));
    flock.tell(&format!("the same node after a power cut: {took}"));

    // Another node at the address of one that is gone: the contact of all others.
    flock.kill(0);
    let other = Setup { listen: at_port(7_400), key: 101, ..Setup::default() };
    let other = flock.start(0, &other);
    flock.ready(other);
    flock.join(other, 1);
    let took = flock.one_overlay(&flock.living(), seconds(20));
    flock.tell(&format!("another node at a recycled address: {took}"));

    // A node of another network, once with a new identity and once with that of the node before.
    for (home, key) in [(3, 103), (4, 5)] {
        flock.kill(home);
        let listen = at_port(7_400);
        let foreign = Setup { network: "other".into(), listen, key, ..Setup::default() };
        let foreign = flock.start(home, &foreign);
        flock.ready(foreign);
        flock.join(foreign, 1);
        let failed = flock.wait(foreign, |said| match said {
            Said::Joined { failed } => Some(failed),
            _ => None,
        });
        let failed = failed.expect("it belongs to another network");
        flock.tell(&format!("another network: {failed}"));
        let ours: Vec<_> = flock.living().into_iter().filter(|at| *at < foreign).collect();
        let took = flock.one_overlay(&ours, seconds(20));
        flock.tell(&format!("a node of another network at a recycled address: {took}"));
        flock.kill(foreign);
    }
}
