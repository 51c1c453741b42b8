//! Gossip alone: to whom, how often, and how far.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id(u32);

impl Peer for Id {
    type Node = u32;
    fn node(self) -> u32 {
        self.0
    }
}

/// Notes what is said.
#[derive(Default)]
struct Host {
    sent: Vec<(Id, Message<u32, ()>)>,
    delivered: Vec<(u32, u16)>,
    marks: Vec<Mark>,
}

impl Effects<Gossip<Id, u32, ()>> for Host {
    fn send(&mut self, to: Id, message: Message<u32, ()>) {
        self.sent.push((to, message));
    }
    fn arm(&mut self, _: Duration, timer: Timer) {
        match timer {}
    }
    fn deliver(&mut self, id: u32, hops: u16, (): ()) {
        self.delivered.push((id, hops));
    }
    fn mark(&mut self, mark: Mark) {
        self.marks.push(mark);
    }
}

fn peer(parameters: Parameters, seed: u64, neighbors: u32) -> (Gossip<Id, u32, ()>, Host) {
    let config = Arc::new(parameters.check().expect("in range"));
    let (mut gossip, mut host) = (Gossip::new(config, seed), Host::default());
    for peer in 1..=neighbors {
        gossip.handle(Time::ZERO, Input::NeighborUp(Id(peer)), &mut host);
    }
    (gossip, host)
}

fn receive(gossip: &mut Gossip<Id, u32, ()>, host: &mut Host, from: u32, id: u32, round: u16) {
    let message = Message { id, round, payload: () };
    gossip.handle(Time::ZERO, Input::Receive { from: Id(from), message }, host);
    gossip.check().expect("invariants");
}

fn whom(host: &mut Host) -> Vec<u32> {
    core::mem::take(&mut host.sent).into_iter().map(|(to, _)| to.0).collect()
}

#[test]
fn a_broadcast_goes_to_as_many_as_the_fanout_once_and_never_back() {
    let (mut gossip, mut host) = peer(Parameters::default(), 1, 20);
    for id in 0..200 {
        receive(&mut gossip, &mut host, 7, id, 3);
        assert!(host.sent.iter().all(|(_, message)| message.round == 4));
        let to = whom(&mut host);
        let distinct: BTreeSet<u32> = to.iter().copied().collect();
        assert_eq!((to.len(), distinct.len()), (4, 4), "{to:?}");
        assert!(!distinct.contains(&7), "back to whom it came from");
        receive(&mut gossip, &mut host, 8, id, 3);
        assert_eq!(whom(&mut host), [], "infect and die");
    }
    assert_eq!(host.delivered.len(), 200);
}

#[test]
fn all_get_it_if_there_are_few() {
    let (mut gossip, mut host) = peer(Parameters::default(), 1, 3);
    gossip.handle(Time::ZERO, Input::Publish { id: 5, payload: () }, &mut host);
    assert_eq!(whom(&mut host), [1, 2, 3]);
    assert_eq!(host.delivered, [], "not to its publisher");
    receive(&mut gossip, &mut host, 2, 5, 2);
    assert_eq!((whom(&mut host), host.delivered.len()), (Vec::new(), 0), "its own came back");
    receive(&mut gossip, &mut host, 2, 6, 1);
    assert_eq!(whom(&mut host), [1, 3]);
    gossip.handle(Time::ZERO, Input::NeighborDown(Id(1)), &mut host);
    receive(&mut gossip, &mut host, 9, 7, 1);
    assert_eq!(whom(&mut host), [2, 3]);
}

#[test]
fn each_neighbor_is_as_likely_and_the_choice_follows_from_the_seed() {
    let choices = |seed| {
        let (mut gossip, mut host) = peer(Parameters::default(), seed, 16);
        for id in 0..8_000 {
            gossip.handle(Time::ZERO, Input::Publish { id, payload: () }, &mut host);
        }
        whom(&mut host)
    };
    let mut hits = [0; 17];
    choices(1).into_iter().for_each(|peer| hits[peer as usize] += 1);
    // 2,000 expected each, standard deviation 39.
    assert!(hits[1..].iter().all(|count| (1_840..2_160).contains(count)), "{hits:?}");
    assert_eq!(choices(2), choices(2));
    assert_ne!(choices(2), choices(3));
}

#[test]
fn what_crossed_too_many_links_goes_no_further() {
    let few = Parameters { hop_limit: 3, ..Parameters::default() };
    let (mut gossip, mut host) = peer(few, 1, 5);
    receive(&mut gossip, &mut host, 1, 1, 4);
    assert_eq!((whom(&mut host), host.delivered.len()), (Vec::new(), 0));
    assert_eq!(host.marks, [shared::TOO_MANY_HOPS]);
    receive(&mut gossip, &mut host, 1, 1, 3);
    assert_eq!(host.delivered, [(1, 3)], "it was not seen yet");
}

#[test]
fn the_past_is_delivered_and_not_passed_on() {
    let (mut gossip, mut host) = peer(Parameters::default(), 1, 5);
    for (id, is_past, sent) in [(1, true, 0), (2, false, 4)] {
        let recovered = Input::Recover { from: Id(1), id, round: 2, payload: (), is_past };
        gossip.handle(Time::ZERO, recovered, &mut host);
        assert_eq!(whom(&mut host).len(), sent);
    }
    assert_eq!(host.delivered, [(1, 2), (2, 2)]);
}
