//! Defects that other implementations of partial views shipped, one scenario each, run against
//! HyParView in the simulator (virtual time) or on a recorder where the order of messages matters.
//!
//! Scenarios about joins, splits and churn are here; those about single messages are in
//! `defects_links.rs`.

use std::time::Duration;

use crate::common::*;
use murmurate::membership::{DownReason, hyparview};
use murmurate_simulator::SimPeer;
use murmurate_simulator::model::network::Latency;
use murmurate_simulator::observe::check;

const LATENCY: Latency = Latency::Constant(Duration::from_millis(20));

/// Partisan: simultaneous joins through one contact left an island of 3 out of 9 nodes.
#[test]
fn simultaneous_joins_through_one_contact_leave_no_island() {
    for (nodes, seeds, loss) in [(9, 20, 0.0), (9, 20, 0.1), (200, 3, 0.0), (200, 3, 0.1)] {
        for seed in 0..seeds {
            let what = format!("{nodes} joins at once, loss {loss}, seed {seed}");
            let mut sim = simulation(seed, loss);
            sim.start(&[]);
            for _ in 1..nodes {
                sim.start(&[0]);
            }
            run(&mut sim, secs(30));
            if loss > 0.0 {
                assert_eq!(components(&sim), 1, "{what}");
                sim.network_mut().set_loss(0.0).expect("valid");
            }
            quiet_within(&mut sim, secs(10), &what);
            check::reaches_everyone(&mut sim, 0, secs(5)).expect(&what);
        }
    }
}

/// HyParView as printed: a joiner whose contact is dead stays outside, and one whose contact is
/// itself isolated founds an island with it.
#[test]
fn a_joiner_whose_contact_is_dead_or_alone_tries_the_others() {
    for seed in 0..10 {
        let mut sim = grown(12, seed);
        let dead = sim.start(&[0]).expect("room");
        let alone = sim.start(&[]).expect("room");
        sim.crash(dead);
        // Cut off: silence instead of a reset.
        let silent = sim.start(&[0]).expect("room");
        sim.network_mut().cut(20, |index| index == silent, false);
        sim.crash(silent);
        let joiner = sim.start(&[dead, silent, alone, 5]).expect("room");
        run(&mut sim, secs(5));
        assert!(!active(&sim, joiner).is_empty(), "in after 5 s, seed {seed}");
        let end = sim.now().after(secs(120));
        while !active(&sim, joiner).iter().any(|peer| peer.index() < 12) {
            assert!(sim.now() < end, "an island with the lone contact, seed {seed}");
            run(&mut sim, secs(1));
        }
    }
}

/// Partisan: two peers that ask each other at the same moment disconnect each other's links.
#[test]
fn peers_that_join_through_each_other_link_once() {
    for seed in 0..20 {
        // Of one latency, so that no message overtakes another.
        let mut sim = simulation_of(seed, LATENCY, 0.0, hyparview::Parameters::default());
        for _ in 0..3 {
            sim.start(&[]);
        }
        for index in 0..3 {
            sim.join(index, &[0, 1, 2]);
        }
        run(&mut sim, secs(5));
        quiet_within(&mut sim, secs(20), &format!("three mutual contacts, seed {seed}"));
        assert_eq!(sim.stats().neighbor_downs, [0; 8], "links lost, seed {seed}");
    }
}

/// Partisan: an isolated node with an empty passive view had no way back to the bootstrap contacts;
/// others hammer them without a pause.
#[test]
fn an_isolated_node_goes_back_to_its_contacts_for_ever() {
    for restarted in [false, true] {
        let mut sim = simulation(1, 0.0);
        sim.start(&[]);
        sim.start(&[0]);
        run(&mut sim, secs(5));
        assert_eq!(active(&sim, 1), [peer(0)]);
        if restarted {
            sim.crash(0);
        } else {
            sim.network_mut().cut(2, |index| index == 0, false);
        }
        let before = sim.stats().sent("join");
        run(&mut sim, secs(600));
        assert!(active(&sim, 1).is_empty() && passive(&sim, 1).is_empty());
        let tries = sim.stats().sent("join") - before;
        // Pauses of 2, 4, 8, 16 and then 30 s, give or take a half: 24 in ten minutes.
        assert!((15..=40).contains(&tries), "{tries} tries in ten minutes");
        if restarted {
            // As a new incarnation, of which discovery tells.
            assert!(sim.restart(0, &[]));
            sim.join(1, &[0]);
        } else {
            sim.network_mut().heal();
        }
        quiet_within(&mut sim, secs(60), "the contact is back");
        assert_eq!(active(&sim, 1).len(), 1);
    }
}

/// Rejoining on every neighbour loss, and promotion that is always high priority, turn a failure
/// into a storm of evictions (seen in Partisan's HyParView and its derivatives).
#[test]
fn no_eviction_storm_after_a_mass_failure_and_a_mass_rejoin() {
    let evicted = |sim: &Sim| downs(sim, DownReason::Evicted) + downs(sim, DownReason::Dropped);
    for seed in 0..3 {
        // Former neighbours of those that come back exchange links with them, once: not looked at here.
        let (promotion_interval, reunion_interval) = (None, None);
        let calm =
            hyparview::Parameters { promotion_interval, reunion_interval, ..Default::default() };
        let mut sim = grown_of(200, simulation_of(seed, LATENCY, 0.0, calm));
        let (joins, evictions) = (sim.stats().sent("join"), evicted(&sim));
        let crashed: Vec<usize> = (10..200).step_by(3).take(60).collect();
        for &index in &crashed {
            sim.crash(index);
        }
        quiet_within(&mut sim, secs(10), "30 % crashed");
        run(&mut sim, secs(10));
        let joins = sim.stats().sent("join") - joins;
        assert!(joins <= 5, "{joins} went back to a contact, seed {seed}");
        let storm = evicted(&sim) - evictions;
        assert!(storm <= 140, "{storm} evictions among 140 survivors, seed {seed}");

        let evictions = evicted(&sim);
        for &index in &crashed {
            assert!(sim.restart(index, &CONTACTS));
        }
        quiet_within(&mut sim, secs(10), "all rejoined");
        run(&mut sim, secs(10));
        let storm = evicted(&sim) - evictions;
        assert!(storm <= 60 * 8, "{storm} views disturbed by 60 joins, seed {seed}");
        let ups = sim.stats().neighbor_ups;
        run(&mut sim, secs(30));
        let late = sim.stats().neighbor_ups - ups;
        assert!(late <= 20, "{late} ups although all is quiet, seed {seed}");
    }
}

/// Partisan, Serf: departed nodes come back as ghosts through late gossip; left members are never
/// reaped.
#[test]
fn departed_nodes_do_not_come_back_as_ghosts() {
    for (nodes, seed) in [(60, 0), (60, 1), (200, 2)] {
        let mut sim = grown(nodes, seed);
        run(&mut sim, secs(120));
        let staying = nodes - 20;
        let departed = |peer: &SimPeer| peer.index() >= staying;
        let known = |sim: &Sim| {
            let ghosts = |index| passive(sim, index).iter().filter(|peer| departed(peer)).count();
            (0..staying).map(ghosts).sum::<usize>()
        };
        for index in staying..nodes - 10 {
            sim.leave(index);
        }
        for index in nodes - 10..nodes {
            sim.leave_and_stay(index);
        }
        assert!(known(&sim) > 100, "{} entries to fade", known(&sim));
        run(&mut sim, secs(2));
        for step in 0..900 {
            run(&mut sim, secs(1));
            for index in 0..staying {
                assert!(!active(&sim, index).iter().any(departed), "{index} after {step} s");
            }
            for index in nodes - 10..nodes {
                assert!(active(&sim, index).is_empty(), "{index} left, after {step} s");
            }
        }
        let ghosts = known(&sim);
        // In small overlays passive views have too little to forget them for.
        assert!(nodes < 200 || ghosts <= 20, "{ghosts} ghosts in passive views, seed {seed}");
        assert!(components(&sim) <= 1 + 10, "those who stay are one, the ten that left alone");
    }
}

/// libp2p's gossip, Partisan, memberlist: halves that were split for long never merge again.
#[test]
fn a_split_of_ten_minutes_merges_again() {
    let halves: fn(usize) -> bool = |index| index % 2 == 1;
    // All contacts on the near side: nobody there knows a way to the far side.
    let far_end: fn(usize) -> bool = |index| index >= 30;
    for (is_far, one_way) in [(halves, false), (halves, true), (far_end, false), (far_end, true)] {
        for seed in 0..3 {
            let what =
                format!("far end {}, one way {one_way}, seed {seed}", is_far(59) && !is_far(1));
            let mut sim = grown(60, seed);
            sim.network_mut().cut(60, is_far, one_way);
            run(&mut sim, secs(600));
            // One way, a request that is not answered yet looks like a link for a second.
            for _ in 0..50 {
                if components(&sim) < 2 {
                    run(&mut sim, Duration::from_millis(100));
                }
            }
            assert_eq!(components(&sim), 2, "split, {what}");
            sim.network_mut().heal();
            quiet_within(&mut sim, secs(900), &what);
            check::reaches_everyone(&mut sim, 7, secs(5)).expect(&what);
        }
    }
}

/// The same when nobody remembers anybody of the other side any more: then only the contacts lead
/// there.
#[test]
fn a_split_that_outlives_all_memory_of_the_other_side_merges_again() {
    let mut sim = grown(300, 11);
    let is_far = |index: usize| index >= 150;
    sim.network_mut().cut(300, is_far, false);
    run(&mut sim, secs(3_600));
    for index in 0..300 {
        let strangers =
            passive(&sim, index).into_iter().filter(|p| is_far(p.index()) != is_far(index));
        assert_eq!(strangers.count(), 0, "{index} remembers the other side");
    }
    sim.network_mut().heal();
    run(&mut sim, secs(240));
    assert_eq!(components(&sim), 1, "contacts lead to the other side");
    quiet_within(&mut sim, secs(60), "merged");
}

/// Partisan at 40 nodes: 3 to 29 one-sided links, unhealed after 15 s.
#[test]
fn one_sided_links_heal_when_the_loss_stops() {
    for seed in 0..3 {
        let mut sim = grown(100, seed);
        sim.network_mut().set_loss(0.3).expect("valid");
        for _ in 0..120 {
            run(&mut sim, secs(1));
            check::safety(&sim).expect("safe under loss");
        }
        sim.network_mut().set_loss(0.0).expect("valid");
        quiet_within(&mut sim, secs(15), &format!("30 % loss over, seed {seed}"));
        let lone = (0..100).filter(|index| active(&sim, *index).len() < 3).count();
        assert!(lone <= 2, "{lone} nodes with fewer than 3 neighbours, seed {seed}");
    }
}

/// memberlist, Partisan: a node that restarts under its old name is taken for the dead one.
#[test]
fn restarted_nodes_are_taken_back_at_once() {
    let mut sim = grown(40, 5);
    for round in 0..20 {
        let index = 3 + round % 30;
        let neighbor = active(&sim, index)[0];
        sim.crash(index);
        // Through a neighbour that has not noticed: a round trip takes 100 ms at most.
        assert!(sim.restart(index, &[neighbor.index()]));
        run(&mut sim, Duration::from_millis(150));
        assert!(active(&sim, index).contains(&neighbor), "{index} is back");
        run(&mut sim, secs(3));
        check::safety(&sim).expect("safe");
    }
    quiet_within(&mut sim, secs(20), "twenty restarts");
    let old = |peer: &SimPeer| sim.peer(peer.index()) != Some(*peer);
    assert!((0..40).all(|index| !active(&sim, index).iter().any(old)));
}
