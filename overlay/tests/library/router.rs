//! What the router promises, one scenario each, on graphs small enough to follow by hand; and that
//! no input breaks it.

mod hostile;
mod net;

use std::time::Duration;

use murmurate::router::{Command, Message, Parameters};

use net::{Blob, Input, Net, Node, Said, found, lost, n, received};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn anybody_who_knows_the_node_answers() {
    let mut net = Net::chain(4);
    net.know(2, 9, n(9));
    net.look_up(0, 9, false);
    net.run_until_quiet();
    assert_eq!(net.said(), [(0, found(n(9), false))]);
    assert_eq!((net.carried("lookup"), net.carried("found")), (2, 2), "no further than the answer");
    assert_eq!(net.router(0).next_hop(n(9)), None, "an answer from hearsay is no way");
}

#[test]
fn a_neighbour_and_oneself_are_found_without_a_word() {
    let mut net = Net::chain(3);
    net.look_up(1, 2, true);
    net.look_up(1, 1, false);
    assert_eq!(net.said(), [(1, found(n(2), true)), (1, found(n(1), false))]);
    net.relay(1, 1, 7);
    assert_eq!(net.said(), [(1, received(n(1), n(1), Blob(7, 10)))]);
    assert_eq!(net.wires.len(), 0);
}

#[test]
fn who_becomes_a_neighbour_is_found() {
    let mut net = Net::new(10, &[(0, 1)], Parameters::default());
    net.look_up(0, 9, false);
    net.look_up(1, 9, true);
    net.run_until_quiet();
    net.link(0, 9);
    net.link(1, 9);
    net.look_up(0, 9, false);
    assert_eq!(net.said(), [(0, found(n(9), false))]);
    let before = net.carried("lookup");
    net.pass(20 * SECOND);
    assert_eq!(net.said(), [(1, found(n(9), true))], "and nothing more is said of the other");
    assert_eq!(net.carried("lookup"), before, "nobody need be asked");
}

#[test]
fn a_neighbour_of_who_is_looked_for_asks_nobody_else() {
    let links = [(0, 1), (1, 2), (1, 3), (1, 4), (1, 5)];
    let mut net = Net::new(6, &links, Parameters::default());
    net.look_up(0, 5, true);
    net.run_until_quiet();
    assert_eq!(net.said(), [(0, found(n(5), true))]);
    assert_eq!(net.carried("lookup"), 2);
}

#[test]
fn one_s_own_lookup_is_not_passed_on() {
    let mut net = Net::chain(3);
    let (origin, target, path) = (n(1), 99, false);
    net.forge(0, 1, Message::Lookup { origin, number: 0, target, path, hops_left: 9 });
    assert_eq!(net.wires.len(), 0);
}

#[test]
fn a_host_that_knows_somebody_else_is_no_help() {
    let mut net = Net::chain(2);
    let (origin, target, path, hops_left) = (n(0), 99, false, 0);
    let message = Message::Lookup { origin, number: 0, target, path, hops_left };
    net.know(1, 99, n(98));
    net.forge(0, 1, message);
    assert_eq!(net.wires.len(), 0);
}

#[test]
fn the_way_unused_for_longest_makes_room() {
    let parameters = Parameters { routes_capacity: 2, ..Parameters::default() };
    let mut net = Net::new(3, &[(0, 1), (0, 2)], parameters);
    // Each lays a way to the target, and none back: the origins are neighbours.
    for target in [97, 98, 99] {
        let (origin, number, path) = (n(1), target.into(), true);
        net.forge(1, 0, Message::Lookup { origin, number, target, path, hops_left: 0 });
        net.forge(2, 0, Message::Found { origin, number, peer: n(target) });
        net.pass(SECOND);
        if target == 98 {
            net.relay(0, 97, 1);
            net.wires.clear();
        }
    }
    let next = |target| net.router(0).next_hop(n(target));
    assert_eq!([97, 98, 99].map(next), [Some(n(2)), None, Some(n(2))]);
}

#[test]
fn a_lookup_widens_until_somebody_answers() {
    let mut net = Net::chain(8);
    net.look_up(0, 5, false);
    net.run_until_quiet();
    assert_eq!(net.carried("lookup"), 2, "the first ring");
    net.pass(SECOND / 2);
    assert_eq!(net.carried("lookup"), 2 + 3, "the second");
    net.pass(SECOND);
    assert_eq!(net.said(), [(0, found(n(5), false))]);
    // A neighbour of the node knows it: four hops of the third ring.
    assert_eq!(net.carried("lookup"), 2 + 3 + 4);
    net.pass(20 * SECOND);
    assert_eq!(net.said(), [], "one outcome");
}

#[test]
fn who_is_nowhere_is_not_found_within_the_stated_time() {
    let mut net = Net::chain(30);
    let wait = Parameters::default().check().expect("in range").lookup_wait();
    net.look_up(0, 99, true);
    net.look_up(0, 99, false);
    net.pass(wait - Duration::from_millis(500));
    assert_eq!(net.said(), []);
    assert_eq!(net.carried("lookup"), 2 + 3 + 5 + 16, "no further than the last ring");
    net.pass(Duration::from_millis(500));
    assert_eq!(net.said(), [(0, Said::NotFound(99))], "one outcome for one lookup");
}

#[test]
fn too_many_lookups_are_not_even_begun() {
    let parameters = Parameters { lookups_capacity: 2, ..Parameters::default() };
    let mut net = Net::new(2, &[(0, 1)], parameters);
    for target in 10..13 {
        net.look_up(0, target, false);
    }
    assert_eq!(net.said(), [(0, Said::NotFound(12))]);
}

#[test]
fn a_way_is_laid_in_both_directions() {
    let mut net = Net::chain(6);
    net.know(1, 5, n(5));
    net.look_up(0, 5, true);
    net.pass(2 * SECOND);
    assert_eq!(net.said(), [(0, found(n(5), true))]);
    net.relay(0, 5, 1);
    net.relay(5, 0, 1);
    net.run_until_quiet();
    let said = net.said();
    assert_eq!(
        said,
        [(5, received(n(0), n(4), Blob(1, 10))), (0, received(n(5), n(1), Blob(1, 10)))]
    );
    assert_eq!(net.carried("relay"), 10, "five hops each way");
}

#[test]
fn a_path_asked_for_later_is_asked_for() {
    let mut net = Net::chain(5);
    net.look_up(0, 4, false);
    net.look_up(0, 4, true);
    net.pass(5 * SECOND);
    assert_eq!(net.said(), [(0, found(n(4), true))]);
    assert_eq!(net.router(0).next_hop(n(4)), Some(n(1)));
}

#[test]
fn each_passes_a_lookup_on_once() {
    // Everybody with everybody: without a memory each lookup would branch at every hop.
    let links: Vec<_> = (0..6).flat_map(|a| (0..a).map(move |b| (b, a))).collect();
    let mut net = Net::new(6, &links, Parameters::default());
    net.look_up(0, 99, false);
    net.pass(20 * SECOND);
    // Five from the origin and four from each of the others, in each of four rings.
    assert_eq!(net.carried("lookup"), 4 * (5 + 5 * 4));
}

/// To forget one that is still under way would let it come round again.
#[test]
fn a_full_memory_passes_no_lookup_on() {
    let parameters = Parameters { seen_capacity: 1, ..Parameters::default() };
    let mut net = Net::new(3, &[(0, 1), (1, 2)], parameters);
    net.look_up(0, 98, false);
    net.look_up(0, 99, false);
    net.run_until_quiet();
    assert_eq!(net.carried("lookup"), 3, "two to the middle, of which one goes on");
    net.pass(60 * SECOND);
    let before = net.carried("lookup");
    net.look_up(0, 97, false);
    net.run_until_quiet();
    assert_eq!(net.carried("lookup"), before + 2, "forgotten, and there is room again");
}

#[test]
fn a_hop_without_a_way_on_says_so() {
    let mut net = Net::chain(6);
    net.look_up(0, 5, true);
    net.pass(2 * SECOND);
    net.said();
    net.unlink(3, 4);
    net.relay(0, 5, 7);
    net.run_until_quiet();
    assert_eq!(net.said(), [(0, lost(n(5), 7))]);
    assert_eq!((net.carried("relay"), net.carried("lost")), (3, 3));
    for hop in 0..4 {
        assert_eq!(net.router(hop).next_hop(n(5)), None, "hop {hop} knows better now");
    }
    net.relay(0, 5, 8);
    assert_eq!(net.said(), [(0, lost(n(5), 8))], "without a word");
    // Another way.
    net.link(1, 4);
    net.look_up(0, 5, true);
    net.pass(2 * SECOND);
    net.relay(0, 5, 9);
    net.run_until_quiet();
    assert_eq!(net.said(), [(0, found(n(5), true)), (5, received(n(0), n(4), Blob(9, 10)))]);
}

#[test]
fn a_datagram_for_another_incarnation_is_lost() {
    let mut net = Net::chain(3);
    net.look_up(0, 2, true);
    net.run_until_quiet();
    net.said();
    net.input(0, Input::Command(Command::Relay { to: Node(2, 1), number: 1, data: Blob(1, 10) }));
    assert_eq!(net.said(), [(0, lost(Node(2, 1), 1))]);
    let (origin, to, data) = (n(0), Node(2, 1), Blob(1, 10));
    net.forge(1, 2, Message::Relay { origin, to, number: 2, hops_left: 9, data });
    assert_eq!(net.wires.pop_front(), Some((n(2), n(1), Message::Lost { origin, number: 2 })));
    assert_eq!(net.said(), []);
}

#[test]
fn what_is_too_large_is_lost() {
    let parameters = Parameters { datagram_bytes: 9, ..Parameters::default() };
    let mut net = Net::new(2, &[(0, 1)], parameters);
    net.relay(0, 1, 1);
    assert_eq!(net.said(), [(0, lost(n(1), 1))]);
}

#[test]
fn an_unused_way_is_forgotten_and_a_used_one_kept() {
    let mut net = Net::chain(4);
    net.look_up(0, 3, true);
    net.pass(SECOND);
    for number in 0..10 {
        net.pass(30 * SECOND);
        net.relay(0, 3, number);
    }
    net.run_until_quiet();
    assert_eq!(net.router(3).next_hop(n(0)), Some(n(2)), "the way back is kept with it");
    assert_eq!(net.router(2).next_hop(n(0)), Some(n(1)), "at every hop");
    net.pass(80 * SECOND);
    for (from, to) in [(0, 3), (1, 3), (2, 0), (3, 0)] {
        assert_eq!(net.router(from).next_hop(n(to)), None, "{from} to {to}");
    }
}

/// Feeds the middle router a lookup and its answer, so that it believes in a way.
fn lay(net: &mut Net, number: u64, at: u16, target: u16, next: u16, back: u16) {
    let (origin, path) = (n(900), true);
    let lookup = Message::Lookup { origin, number, target, path, hops_left: 0 };
    net.forge(back, at, lookup);
    net.forge(next, at, Message::Found { origin, number, peer: n(target) });
    net.wires.clear();
    assert_eq!(net.router(at.into()).next_hop(n(target)), Some(n(next)));
}

/// Ways that form a circle: a triangle in which each believes the next one knows.
fn forged_circle(relays_capacity: usize) -> Net {
    let parameters = Parameters { relays_capacity, ..Parameters::default() };
    let mut net = Net::new(4, &[(0, 1), (1, 2), (2, 3), (3, 1)], parameters);
    lay(&mut net, 1, 1, 99, 2, 3);
    lay(&mut net, 2, 2, 99, 3, 1);
    lay(&mut net, 3, 3, 99, 1, 2);
    // Node 0's first hop is into the circle.
    net.link(0, 2);
    lay(&mut net, 4, 0, 99, 1, 2);
    net.unlink(0, 2);
    net
}

#[test]
fn a_circle_of_ways_ends_a_datagram_where_it_comes_round() {
    let mut net = forged_circle(8_192);
    net.relay(0, 99, 5);
    net.run_until_quiet();
    assert_eq!(net.said(), [(0, lost(n(99), 5))]);
    assert_eq!((net.carried("relay"), net.carried("lost")), (4, 4));
    for hop in 0..4 {
        assert_eq!(net.router(hop).next_hop(n(99)), None, "the circle is broken at {hop}");
    }
}

/// Where nobody remembers, the hops left end it.
#[test]
fn a_circle_of_ways_ends_a_datagram_that_nobody_remembers() {
    let mut net = forged_circle(1);
    net.relay(0, 99, 5);
    for number in 0..100 {
        // Another datagram pushes it out of the memory of whoever passed it on.
        for hop in 1..4 {
            net.relay(hop, (hop as u16) % 3 + 1, 1_000 + number);
        }
        for _ in 0..net.wires.len() {
            net.step();
        }
    }
    net.run_until_quiet();
    let most = usize::from(Parameters::default().max_hops);
    assert!(net.carried("relay") - 300 <= most, "{:?}", net.carried);
}

#[test]
fn an_answer_counts_only_on_the_way_back_and_once() {
    let mut net = Net::new(5, &[(0, 1), (1, 2), (1, 3)], Parameters::default());
    let (origin, target, path) = (n(0), 99, true);
    let lookup = |number| Message::Lookup { origin, number, target, path, hops_left: 5 };
    let found = |number, node| Message::Found { origin, number, peer: n(node) };
    net.forge(0, 1, lookup(1));
    net.wires.clear();
    net.forge(2, 1, found(2, 99));
    net.forge(2, 1, found(1, 98));
    net.forge(0, 1, found(1, 99));
    net.forge(4, 1, found(1, 99));
    assert_eq!(net.wires.len(), 0, "another number, another node, from the asker, a stranger");
    net.forge(3, 1, found(1, 99));
    assert_eq!(net.wires.pop_front(), Some((n(1), n(0), found(1, 99))));
    net.forge(2, 1, found(1, 99));
    assert_eq!(net.wires.len(), 0, "the first answer counts");
    assert_eq!(net.router(1).next_hop(n(99)), Some(n(3)));
}

#[test]
fn word_of_a_loss_counts_only_from_where_the_datagram_went() {
    let mut net = Net::new(4, &[(0, 1), (1, 2), (1, 3)], Parameters::default());
    let (origin, to, data) = (n(0), n(2), Blob(1, 10));
    net.forge(0, 1, Message::Relay { origin, to, number: 5, hops_left: 5, data });
    net.wires.clear();
    let lost = || Message::Lost { origin, number: 5 };
    net.forge(3, 1, lost());
    net.forge(0, 1, lost());
    assert_eq!(net.wires.len(), 0);
    net.forge(2, 1, lost());
    assert_eq!(net.wires.pop_front(), Some((n(1), n(0), lost())));
    net.forge(2, 1, lost());
    assert_eq!(net.wires.len(), 0, "once");
}

#[test]
fn a_datagram_is_delivered_once() {
    let mut net = Net::new(2, &[(0, 1)], Parameters::default());
    let (origin, to, data) = (n(7), n(1), Blob(1, 10));
    let relay = Message::Relay { origin, to, number: 5, hops_left: 0, data };
    net.forge(0, 1, relay.clone());
    net.forge(0, 1, relay);
    assert_eq!(net.said(), [(1, received(n(7), n(0), Blob(1, 10)))]);
    assert_eq!(net.wires.len(), 0, "and is not called lost");
}

#[test]
fn a_stranger_is_not_listened_to() {
    let mut net = Net::chain(2);
    let (origin, to, data) = (n(5), n(1), Blob(1, 10));
    net.forge(5, 1, Message::Relay { origin, to, number: 5, hops_left: 9, data });
    let (target, path) = (1, true);
    net.forge(5, 1, Message::Lookup { origin, number: 1, target, path, hops_left: 9 });
    assert_eq!((net.said(), net.wires.len()), (vec![], 0));
}

/// A number from the wire that would send a message on for ever.
#[test]
fn hops_from_the_wire_are_cut_to_what_is_allowed() {
    let mut net = Net::chain(30);
    let (origin, target, path) = (n(900), 99, false);
    net.forge(0, 1, Message::Lookup { origin, number: 1, target, path, hops_left: 255 });
    net.run_until_quiet();
    assert_eq!(net.carried("lookup"), 15);
}
