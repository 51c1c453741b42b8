//! The same service, simulated: two hundred nodes, messages that are lost, and nodes that restart.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murmurate::Stack;
use murmurate::broadcast::{Plumtree, plumtree};
use murmurate::membership::{HyParView, hyparview};
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::check;
use murmurate_simulator::{SimPeer, Simulation};
use own_service::{Command, Event, Tally};

type Node = Stack<HyParView<SimPeer>, Plumtree<SimPeer, u32, Bytes>, Tally<SimPeer>>;

const NODES: usize = 200;

/// An overlay on which so many messages in a hundred are lost.
fn overlay(seed: u64, lost: f64) -> Simulation<Node> {
    let (membership, broadcast) =
        (Arc::new(hyparview::Config::default()), Arc::new(plumtree::Config::default()));
    let make = Arc::new(move |me: SimPeer, seed| {
        let membership = HyParView::new(me, Arc::clone(&membership), seed);
        Stack::new(membership, Plumtree::new(Arc::clone(&broadcast))).with_service(Tally::default())
    });
    let latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(50));
    let network = Network::new(seed, latency, lost).expect("valid");
    let mut sim = Simulation::new(seed, network, make);
    sim.check_every_event();
    for index in 0..NODES {
        sim.start(if index == 0 { &[] } else { &[0] });
        run(&mut sim, Duration::from_millis(20));
    }
    run(&mut sim, Duration::from_secs(20));
    sim
}

fn run(sim: &mut Simulation<Node>, time: Duration) {
    sim.run_until(sim.now().after(time));
}

#[test]
fn all_count_the_same_although_messages_are_lost() {
    for seed in 0..5 {
        let mut sim = overlay(seed, 0.05);
        for index in 0..NODES {
            assert!(sim.command(index, Command::Add(index as u64)));
            run(&mut sim, Duration::from_millis(10));
        }
        run(&mut sim, Duration::from_secs(5));
        // What it counted before it restarts the others remember.
        sim.crash(7);
        assert!(sim.restart(7, &[0]) && sim.command(7, Command::Add(1_000)));
        run(&mut sim, Duration::from_secs(90));
        check::safety(&sim).expect("all is in order");
        let all = (0..NODES as u64).sum::<u64>() + 1_000;
        for index in 0..NODES {
            let counted = sim.stack(index).expect("it runs").service().total();
            assert_eq!(counted, all, "node {index} of seed {seed}");
        }
        let ends = sim.take_events().into_iter().filter(|(.., event)| *event == Event::Total(all));
        assert_eq!(ends.count(), NODES, "each is told the last total once");
    }
}
