//! Random lives of one router among liars, and of a few honest ones whose ways were forged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{Membership as _, Peer as _};
use murmurate::router::{Command, Message as Talk, Parameters};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::net::{
    self, Blob, Host, Input, Message, Net, Node, Said, Spoken, lost, n, receive, sent,
};

/// The router under test, in the middle of all names.
const ME: Node = Node(4, 1);

#[derive(Debug, Clone)]
enum Act {
    Up(Node),
    Down(Node),
    Receive(Node, Message, Option<Node>),
    Expire(bool),
    Lookup(u16, bool),
    Relay(Node),
    Pass(u16),
}

fn any_node() -> impl Strategy<Value = Node> {
    let any = (0..7u16, 0..2u8).prop_map(|(node, incarnation)| Node(node, incarnation));
    prop_oneof![1 => Just(ME), 7 => any]
}

fn any_message() -> impl Strategy<Value = Message> {
    let number = || prop_oneof![20 => 0..40u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    prop_oneof![
        3 => (any_node(), number(), 0..7u16, any::<bool>(), any::<u8>()).prop_map(
            |(origin, number, target, path, hops_left)| {
                Talk::Lookup { origin, number, target, path, hops_left }
            }
        ),
        3 => (any_node(), number(), any_node())
            .prop_map(|(origin, number, peer)| Talk::Found { origin, number, peer }),
        3 => (any_node(), any_node(), number(), any::<u8>(), 0..40usize).prop_map(
            |(origin, to, number, hops_left, size)| {
                Talk::Relay { origin, to, number, hops_left, data: Blob(0, size) }
            }
        ),
        2 => (any_node(), number()).prop_map(|(origin, number)| Talk::Lost { origin, number }),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any_node().prop_map(Act::Up),
        1 => any_node().prop_map(Act::Down),
        12 => (any_node(), any_message(), proptest::option::of(any_node()))
            .prop_map(|(from, message, known)| Act::Receive(from, message, known)),
        2 => any::<bool>().prop_map(Act::Expire),
        2 => (0..7u16, any::<bool>()).prop_map(|(target, path)| Act::Lookup(target, path)),
        2 => any_node().prop_map(Act::Relay),
        1 => any::<u16>().prop_map(Act::Pass),
    ]
}

/// One router and its host, who knows what may be said.
struct Life {
    host: Host,
    sought: BTreeSet<u16>,
    numbers: u64,
    /// Own datagrams under way.
    relayed: BTreeSet<u64>,
    delivered: BTreeSet<(Node, u64)>,
    outcomes: usize,
}

const PARAMETERS: Parameters = Parameters {
    max_hops: 6,
    hop_wait: Duration::from_millis(10),
    lookups_capacity: 3,
    seen_capacity: 8,
    routes_capacity: 4,
    route_wait: Duration::from_millis(500),
    relays_capacity: 8,
    datagram_bytes: 30,
};

impl Life {
    fn perform(&mut self, act: Act) -> Result<(), TestCaseError> {
        let mut received = None;
        let input = match act {
            Act::Up(peer) => {
                // As membership does: one incarnation of a node at a time.
                let mut active = self.host.stack().membership().active();
                if peer.0 == ME.0 || active.any(|held| held.is_same_node(peer)) {
                    return Ok(());
                }
                Input::Join(vec![peer])
            }
            Act::Down(peer) => Input::LinkDown(peer),
            Act::Receive(from, message, known) => {
                if let Talk::Lookup { target, .. } = message {
                    self.host.know(target, known);
                }
                received = Some((from, message.clone()));
                receive(from, message)
            }
            Act::Expire(last) => {
                let armed = self.host.armed();
                let next = if last { armed.last() } else { armed.first() };
                let Some(&(due, timer)) = next else { return Ok(()) };
                self.host.delay(due.since(self.host.now()));
                Input::Expired(timer)
            }
            Act::Lookup(target, path) => {
                self.sought.insert(target);
                Input::Command(Command::Lookup { target, path })
            }
            Act::Relay(to) => {
                let number = self.numbers;
                self.numbers += 1;
                self.relayed.insert(number);
                Input::Command(Command::Relay { to, number, data: Blob(1, 20) })
            }
            Act::Pass(millis) => {
                self.host.delay(Duration::from_millis(millis.into()));
                return Ok(());
            }
        };
        let said = self.host.feed(input);
        self.judge(received.as_ref(), said)
    }

    fn judge(
        &mut self,
        came: Option<&(Node, Message)>,
        said: Vec<Spoken>,
    ) -> Result<(), TestCaseError> {
        for (to, message) in said.iter().filter_map(sent) {
            let mut neighbors = self.host.stack().service().neighbors();
            prop_assert!(neighbors.any(|peer| peer == to), "{to:?} is a stranger");
            self.judge_sent(came, to, &message)?;
        }
        for event in said.into_iter().filter_map(Spoken::emitted) {
            match event {
                Said::Found { peer: Node(target, _), .. } | Said::NotFound(target) => {
                    self.outcomes += 1;
                    prop_assert!(self.sought.remove(&target), "{target} is not sought");
                }
                Said::Lost { number, .. } => {
                    self.outcomes += 1;
                    prop_assert!(self.relayed.remove(&number), "{number} has an outcome");
                }
                Said::Received { from, .. } => {
                    let Some((_, Talk::Relay { origin, to, number, .. })) = came else {
                        prop_assert_eq!(from, ME);
                        continue;
                    };
                    prop_assert_eq!((from, *to), (*origin, ME));
                    self.delivered.insert((from, *number));
                }
            }
        }
        Ok(())
    }

    /// What goes on goes less far than it could have when it came, and not back.
    fn judge_sent(
        &self,
        came: Option<&(Node, Message)>,
        to: Node,
        message: &Message,
    ) -> Result<(), TestCaseError> {
        let (Talk::Lookup { hops_left, .. } | Talk::Relay { hops_left, .. }) = message else {
            return Ok(());
        };
        match came {
            Some((
                from,
                Talk::Lookup { hops_left: had, .. } | Talk::Relay { hops_left: had, .. },
            )) => {
                prop_assert!(hops_left < had && *hops_left < PARAMETERS.max_hops - 1);
                prop_assert!(to != *from, "sent back to {from:?}");
            }
            Some(other) => prop_assert!(false, "{other:?} starts {message:?}"),
            None => prop_assert!(*hops_left < PARAMETERS.max_hops),
        }
        Ok(())
    }
}

fn runner(cases: u32) -> TestRunner {
    let drawn = ProptestConfig::default();
    let rng_seed = match drawn.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if chosen { drawn.cases } else { cases };
    TestRunner::new(ProptestConfig { cases, rng_seed, failure_persistence: None, ..drawn })
}

#[test]
fn a_router_survives_anything() {
    let outcomes = std::cell::Cell::new((0, 0));
    let result = runner(5_000).run(&proptest::collection::vec(any_act(), 0..150), |acts| {
        let config = Arc::new(PARAMETERS.check().expect("in range"));
        let mut life = Life {
            host: net::host(ME, &config),
            sought: BTreeSet::new(),
            numbers: 0,
            relayed: BTreeSet::new(),
            delivered: BTreeSet::new(),
            outcomes: 0,
        };
        for act in acts {
            life.perform(act)?;
        }
        let (all, delivered) = outcomes.get();
        outcomes.set((all + life.outcomes, delivered + life.delivered.len()));
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.expect_err("just seen"));
    let (all, delivered) = outcomes.get();
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    assert!(chosen || all > 20_000 && delivered > 500, "{all} outcomes, {delivered} delivered");
}

/// Whatever ways honest routers were made to believe in, a datagram goes no further than it may, and
/// its sender hears that it is lost or nobody hears of it twice.
#[test]
fn forged_ways_never_make_a_datagram_circle() {
    const NODES: u16 = 7;
    let links: Vec<_> = (0..NODES).flat_map(|a| (0..a).map(move |b| (b, a))).collect();
    // For each node, its way to the node that does not exist; and how short memories are.
    let ways = proptest::collection::vec(0..NODES, usize::from(NODES));
    let result = runner(500).run(&(ways, 0..3usize), |(ways, memory)| {
        let relays_capacity = [1, 3, 100][memory];
        let mut net =
            Net::new(NODES, &links, Parameters { relays_capacity, ..Parameters::default() });
        for (at, &next) in (0..NODES).zip(&ways) {
            let back = (0..NODES).find(|back| *back != at && *back != next);
            if let (true, Some(back)) = (next != at, back) {
                super::lay(&mut net, u64::from(at), at, 99, next, back);
            }
        }
        for at in 0..NODES {
            net.relay(at.into(), 99, 50);
        }
        net.run_until_quiet();
        let most = usize::from(Parameters::default().max_hops) * usize::from(NODES);
        prop_assert!(net.carried("relay") <= most, "{:?}", net.carried);
        let said = net.said();
        for at in 0..usize::from(NODES) {
            let lost = said.iter().filter(|said| **said == (at, lost(n(99), 50))).count();
            prop_assert!(lost <= 1 && (memory < 2 || lost == 1), "{at}: {lost} outcomes");
        }
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.expect_err("just seen"));
}
