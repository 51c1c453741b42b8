//! Messages from any node to any other, in overlays as they grow by themselves.

#![allow(clippy::expect_used, clippy::panic, reason = "a scenario fails by panicking")]

use std::time::Duration;

use murmurate_simulator::network::{Latency, Network};
use murmurate_simulator::routing::{Outcome, Setup, World};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An overlay of so many nodes that has settled.
fn grown(seed: u64, nodes: usize, setup: &Setup) -> World {
    let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(50));
    let network = Network::new(seed, latency, 0.0).expect("valid");
    let mut world = World::new(seed, network, setup.clone());
    world.grow(nodes, secs(if nodes > 100 { 60 } else { 20 }));
    world
}

/// A random node that is neither `from` nor its neighbour.
fn far(world: &World, from: usize, salt: u64) -> Option<usize> {
    let near: Vec<usize> = world.neighbors(from).collect();
    let far: Vec<_> = (0..world.len()).filter(|to| *to != from && !near.contains(to)).collect();
    let draw = world.draw(from as u64, 1_000 + salt) as usize;
    (!far.is_empty()).then(|| far[draw % far.len()])
}

/// Every node sends to a random node that is not its neighbour. Returns how many messages.
fn everybody_sends(world: &mut World, salt: u64) -> usize {
    let pairs: Vec<_> =
        (0..world.len()).filter_map(|from| Some((from, far(world, from, salt)?))).collect();
    for &(from, to) in &pairs {
        world.send(from, to);
    }
    pairs.len()
}

fn summary(world: &World) -> String {
    let ledger = world.ledger();
    let outcomes = [Outcome::Acknowledged, Outcome::Lost, Outcome::NotFound, Outcome::TimedOut]
        .map(|outcome| format!("{} {outcome:?}", ledger.count(outcome)));
    let mut took: Vec<_> = ledger
        .mail
        .iter()
        .filter_map(|mail| mail.outcome.map(|(_, at)| at.since(mail.sent).as_millis()))
        .collect();
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(0);
    format!(
        "{}; {} dials, at most {} connections; lookups: {} messages in {} rings, with a way {} in \
         {}; {} found, {} not; hops {:.1} in the mean, {} at most; took p50 {} p99 {} ms; {:?}",
        outcomes.join(", "),
        ledger.dials,
        ledger.most_connections,
        ledger.lookup_messages(false),
        ledger.lookup_rings(false),
        ledger.lookup_messages(true),
        ledger.lookup_rings(true),
        ledger.found,
        ledger.not_found,
        ledger.mean_hops(),
        ledger.most_hops(),
        at(0.5),
        at(0.99),
        ledger.sent,
    )
}

/// HyParView, 1,000 nodes: everybody reaches a random node that is not its neighbour.
#[test]
fn everybody_reaches_anybody_among_a_thousand() {
    let setup = Setup::default();
    let mut world = grown(1, 1_000, &setup);
    let sent = everybody_sends(&mut world, 0);
    world.run_for(secs(30));
    println!("a thousand, all dialable: {}", summary(&world));
    world.check_over().expect("all is well");
    assert_eq!((sent, world.ledger().count(Outcome::Acknowledged)), (1_000, 1_000));
    assert!(world.ledger().mail.iter().all(|mail| mail.dialled), "over direct connections");
    let per_lookup = world.ledger().lookup_messages(false) as f64 / world.ledger().found as f64;
    println!("{per_lookup:.1} messages a lookup");
    assert!(per_lookup < 100.0, "{per_lookup}");
}

/// The same with few connections allowed, and many messages at once.
#[test]
fn connections_stay_within_their_bound_among_a_thousand() {
    let setup = Setup { connections: 4, ..Setup::default() };
    let mut world = grown(2, 1_000, &setup);
    let mut sent = 0;
    for salt in 0..10 {
        sent += everybody_sends(&mut world, salt);
    }
    world.run_for(secs(61));
    println!("ten messages each, 4 connections: {}", summary(&world));
    world.check_over().expect("all is well");
    assert_eq!(world.ledger().count(Outcome::Acknowledged), sent);
    assert_eq!(world.ledger().most_connections, 4, "used, and not exceeded");
}

/// Three in ten cannot be dialled: to them messages go hop by hop.
#[test]
fn who_cannot_be_dialled_is_reached_over_the_overlay() {
    let setup = Setup { undialable: 0.3, ..Setup::default() };
    let mut world = grown(3, 1_000, &setup);
    let sent = everybody_sends(&mut world, 0);
    world.run_for(secs(61));
    println!("a thousand, 30 % undialable: {}", summary(&world));
    world.check_over().expect("all is well");
    assert_eq!(world.ledger().count(Outcome::Acknowledged), sent);
    for mail in &world.ledger().mail {
        assert_eq!(mail.dialled, world.is_dialable(mail.to), "{mail:?}");
        assert_eq!(mail.relayed > 0, !world.is_dialable(mail.to), "{mail:?}");
    }
    let ledger = world.ledger();
    let relayed = ledger.mail.iter().filter(|mail| mail.relayed > 0).count();
    let per_way = ledger.lookup_messages(true) as f64 / relayed as f64;
    println!("{per_way:.1} messages a way");
}

/// Small overlays, a thousand of them, each with its own faults.
#[test]
fn small_overlays_survive_their_faults() {
    let seeds: u64 =
        std::env::var("ROUTER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let (mut acknowledged, mut all) = (0, 0);
    for seed in 0..seeds {
        let world = faulty(seed);
        world.check_over().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        acknowledged += world.ledger().count(Outcome::Acknowledged);
        all += world.ledger().mail.len();
        if seed % 50 == 0 {
            let again = faulty(seed);
            assert_eq!(summary(&again), summary(&world), "seed {seed} gave another run");
        }
    }
    println!("{acknowledged} of {all} acknowledged");
    assert!(acknowledged * 10 > all * 7, "{acknowledged} of {all}: most get through anyway");
}

/// Loss, a partition, crashes, departures and restarts while everybody sends.
fn faulty(seed: u64) -> World {
    let mut setup = Setup {
        connections: 4 + seed as usize % 5,
        undialable: (seed % 4) as f64 / 4.0,
        book: (seed % 3) as usize * 16,
        ..Setup::default()
    };
    setup.idle_wait = secs(3);
    let mut world = grown(seed, 30, &setup);
    let nodes = world.len();
    for round in 0..4 {
        match world.draw(round, 50) % 6 {
            0 => world.set_shed(0.1),
            1 => world.network_mut().set_loss(0.05).expect("valid"),
            2 => world.network_mut().cut(nodes, |index| index < 10, seed.is_multiple_of(2)),
            3 => world.crash(world.draw(round, 51) as usize % nodes),
            4 => {
                let who = world.draw(round, 52) as usize % nodes;
                world.leave(who);
                world.run_for(secs(1));
                world.restart(who, (who + 1) % nodes);
            }
            _ => {}
        }
        everybody_sends(&mut world, round);
        world.run_for(secs(2));
        world.network_mut().heal();
        world.set_shed(0.0);
        world.network_mut().set_loss(0.0).expect("valid");
        world.check().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    world.run_for(secs(61));
    world
}

/// Words of the routers that are lost cost time, or the sender's patience: never the rules.
#[test]
fn lost_words_end_in_an_outcome() {
    for seed in 0..20 {
        let setup = Setup { undialable: 0.5, ..Setup::default() };
        let mut world = grown(seed, 60, &setup);
        world.set_shed(0.2);
        let sent = everybody_sends(&mut world, 0);
        world.run_for(secs(61));
        world.check_over().expect("all is well");
        let through = world.ledger().count(Outcome::Acknowledged);
        assert!(through * 3 > sent, "seed {seed}: {}", summary(&world));
    }
}

/// Across a partition nobody is found, within the stated time; after it everybody is.
#[test]
fn a_partition_heals() {
    for seed in 0..20 {
        let setup = Setup { undialable: 0.5, book: 0, ..Setup::default() };
        let mut world = grown(seed, 40, &setup);
        world.network_mut().cut(40, |index| index < 20, false);
        // Long enough for the overlay to notice, not for the halves to forget each other.
        world.run_for(secs(30));
        for from in 0..40 {
            world.send(from, (from + 20) % 40);
        }
        world.run_for(secs(61));
        world.check_over().expect("all is well");
        assert_eq!(world.ledger().count(Outcome::Acknowledged), 0, "seed {seed}");
        world.network_mut().heal();
        world.run_for(secs(600));
        world.clear_ledger();
        for from in 0..40 {
            world.send(from, (from + 20) % 40);
        }
        world.run_for(secs(61));
        world.check_over().expect("all is well");
        let through = world.ledger().count(Outcome::Acknowledged);
        assert_eq!(through, 40, "seed {seed}: {}", summary(&world));
    }
}

/// A node that left is not found, within the time the configuration states.
#[test]
fn who_left_is_not_found_in_time() {
    for seed in 0..20 {
        let setup = Setup::default();
        let mut world = grown(seed, 50, &setup);
        world.leave(7);
        world.run_for(secs(1));
        let ids: Vec<_> =
            (0..50).filter(|from| *from != 7).map(|from| world.send(from, 7)).collect();
        // Those that still know it dial in vain first; those that do not may be told of it by others,
        // and dial in vain then: two lookups at most, and a dial between them.
        let in_time = setup.router.seek_wait() * 2 + setup.dial_wait + secs(1);
        world.run_for(in_time);
        world.check_over().expect("all is well");
        for id in ids {
            let mail = &world.ledger().mail[id as usize];
            assert_eq!(
                mail.outcome.map(|(outcome, _)| outcome),
                Some(Outcome::NotFound),
                "{mail:?}"
            );
        }
    }
}

/// A hop of a way dies: word of the loss comes back, and a new lookup finds another way.
#[test]
fn a_hop_that_dies_is_gone_round() {
    let (mut died, mut lost) = (0, 0);
    for seed in 0..40 {
        let setup = Setup { undialable: 1.0, ..Setup::default() };
        let mut world = grown(seed, 60, &setup);
        let Some(to) = (1..60).find(|to| hops(&world, 0, *to) >= 3) else { continue };
        let first = world.send(0, to);
        world.run_for(secs(20));
        assert_eq!(outcome(&world, first), Some(Outcome::Acknowledged), "seed {seed}");
        // The hop before the last: the first hop does not notice by itself.
        let way = way(&world, 0, to);
        let hop = way[way.len() - 2];
        world.crash(hop);
        // Until whoever is before it in the way has noticed.
        world.run_for(secs(40));
        died += 1;
        let before = world.ledger().lost;
        let second = world.send(0, to);
        world.run_for(secs(61));
        world.check_over().expect("all is well");
        assert_eq!(outcome(&world, second), Some(Outcome::Acknowledged), "seed {seed}");
        lost += world.ledger().lost - before;
    }
    assert!(died >= 20 && lost >= 20, "{died} ways broke, {lost} datagrams came back as lost");
}

fn outcome(world: &World, id: u32) -> Option<Outcome> {
    world.ledger().mail[id as usize].outcome.map(|(outcome, _)| outcome)
}

/// The nodes on the way from one node to another, the last one included.
fn way(world: &World, from: usize, to: usize) -> Vec<usize> {
    let mut way = Vec::new();
    let mut at = from;
    while at != to && way.len() < 20 {
        let next = world.routed(at).router().next_hop(world.peer(to)).expect("a way was laid");
        at = next.index();
        way.push(at);
    }
    way
}

/// How many links two nodes are apart.
fn hops(world: &World, from: usize, to: usize) -> usize {
    let mut seen = vec![from];
    let mut border = vec![from];
    for hops in 0.. {
        if border.contains(&to) || border.is_empty() {
            return hops;
        }
        let next: Vec<usize> = border.iter().flat_map(|at| world.neighbors(*at)).collect();
        border = next.into_iter().filter(|node| !seen.contains(node)).collect();
        seen.extend(&border);
    }
    0
}
