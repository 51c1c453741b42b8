//! Neighbours that miss things and find them again.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::anti_entropy::{
    AntiEntropy, Message, MessageOf, Parameters, Part, Span, Summary,
};
use murmurate::broadcast::{Flood, MessageId, Payload, flood};
use murmurate::membership::{self, Sizes, Time, Wire};
use murmurate::stack::{self, Input};
use murmurate::testing::{self, Effect, Host, Neighbors};
use thin_vec::ThinVec;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node(u32);
impl membership::Peer for Node {
    type Node = u32;
    fn node(self) -> u32 {
        self.0
    }
}

/// Content of eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blob;
impl Payload for Blob {
    fn size(&self) -> usize {
        8
    }
}

type Id = MessageId<Node>;
type Inside = Flood<Node, Id, Blob>;
type Strategy = AntiEntropy<Inside>;
type Said = MessageOf<Inside>;
type Due = testing::Timer<Neighbors<Node>, Strategy>;

/// As real nodes encode them, but for the content.
const SIZES: Sizes = Sizes { peer: 48, id: 48, payload: 0 };

/// A message arrives.
fn receive(from: Node, message: Said) -> Input<Neighbors<Node>, Strategy> {
    Input::Receive { from, message: stack::Message::Broadcast(message) }
}

/// Some peers and the links between them, without latency.
struct Net {
    now: Time,
    peers: Vec<Host<Neighbors<Node>, Strategy>>,
    cut: BTreeSet<(u32, u32)>,
    under_way: VecDeque<(Node, Node, Said)>,
    timers: BTreeMap<(Time, u32), Due>,
    delivered: Vec<Vec<Id>>,
    /// Delivered as of before a peer's time.
    past: Vec<Vec<Id>>,
    missed: Vec<BTreeMap<Node, u64>>,
    /// Bytes of everything but the content.
    bytes: usize,
    next: Vec<u64>,
}

impl Net {
    fn new() -> Self {
        Self {
            now: Time::ZERO,
            peers: Vec::new(),
            cut: BTreeSet::new(),
            under_way: VecDeque::new(),
            timers: BTreeMap::new(),
            delivered: Vec::new(),
            past: Vec::new(),
            missed: Vec::new(),
            bytes: 0,
            next: Vec::new(),
        }
    }

    fn add(&mut self, parameters: Parameters) -> u32 {
        let config = Arc::new(parameters.check().expect("in range"));
        let me = self.peers.len() as u32;
        let strategy = AntiEntropy::new(Flood::new(Arc::default()), config);
        self.peers.push(Host::new(Stack::new(Neighbors::of(Node(me)), strategy)));
        self.delivered.push(Vec::new());
        self.past.push(Vec::new());
        self.missed.push(BTreeMap::new());
        self.next.push(0);
        me
    }

    fn feed(&mut self, to: u32, input: Input<Neighbors<Node>, Strategy>) {
        let at = to as usize;
        let peer = &mut self.peers[at];
        peer.delay(self.now.since(peer.now()));
        // A check looks at all that is kept.
        let few = self.delivered[at].len() < 10_000;
        let effects = if few { peer.feed(input) } else { peer.handle(input) };
        for effect in effects {
            match effect {
                Effect::Send(other, stack::Message::Broadcast(message)) => {
                    self.bytes += message.wire_len(&SIZES);
                    self.under_way.push_back((Node(to), other, message));
                }
                Effect::Arm(after, timer) => {
                    self.timers.insert((self.now.after(after), to), timer);
                }
                Effect::Deliver { id, past, .. } => {
                    self.delivered[at].push(id);
                    if past {
                        self.past[at].push(id);
                    }
                }
                Effect::Missed(origin, count) => {
                    *self.missed[at].entry(origin).or_default() += count;
                }
                _ => {}
            }
        }
    }

    /// The time of a peer without neighbours begins.
    fn begin(&mut self, peer: u32) {
        self.feed(peer, Input::Join(vec![Node(99)]));
        self.feed(peer, Input::LinkDown(Node(99)));
        self.under_way.clear();
    }

    /// A link comes or goes, at both ends.
    fn link(&mut self, a: u32, b: u32, up: bool) {
        for (me, other) in [(a, b), (b, a)] {
            let other = Node(other);
            let input = if up { Input::Join(vec![other]) } else { Input::LinkDown(other) };
            self.feed(me, input);
        }
        self.run_until_quiet();
    }

    fn run_until_quiet(&mut self) {
        while let Some((from, to, message)) = self.under_way.pop_front() {
            let link = (from.0.min(to.0), from.0.max(to.0));
            if !self.cut.contains(&link) {
                self.feed(to.0, receive(from, message));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((due, to), timer) = entry.remove_entry();
            self.now = due;
            self.feed(to, Input::Expired(timer));
            self.run_until_quiet();
        }
        self.now = end;
    }

    fn publish(&mut self, from: u32, count: usize) {
        for _ in 0..count {
            let id = MessageId { origin: Node(from), sequence: self.next[from as usize] };
            self.next[from as usize] += 1;
            self.feed(from, Input::Publish { id, payload: Blob });
            self.run_until_quiet();
        }
    }

    fn of(&self, peer: u32, origin: u32) -> Vec<u64> {
        let of = self.delivered[peer as usize].iter().filter(|id| id.origin.0 == origin);
        let mut all: Vec<u64> = of.map(|id| id.sequence).collect();
        all.sort_unstable();
        all
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_a_cut_lost_comes_after_it_once_on_both_sides() {
    let mut net = Net::new();
    let [a, b] = [0; 2].map(|_| net.add(Parameters::default()));
    net.link(a, b, true);
    net.publish(a, 3);
    // Nobody notices this cut, and it loses the last ones.
    net.cut.insert((a, b));
    net.publish(a, 50);
    net.publish(b, 30);
    net.run(5 * SECOND);
    net.cut.clear();
    net.run(5 * SECOND);
    assert_eq!(net.of(b, a), (0..53).collect::<Vec<_>>());
    assert_eq!(net.of(a, b), (0..30).collect::<Vec<_>>());
    // This one ends the link, and a new one brings all at once.
    net.link(a, b, false);
    net.publish(a, 2_000);
    net.link(a, b, true);
    assert_eq!(net.of(b, a), (0..2_053).collect::<Vec<_>>());
    assert!(net.missed.iter().all(BTreeMap::is_empty));
}

#[test]
fn what_is_kept_no_more_is_told_and_exactly() {
    let mut net = Net::new();
    let parameters = Parameters { retained: 10, ..Parameters::default() };
    let [a, b] = [0; 2].map(|_| net.add(parameters.clone()));
    net.link(a, b, true);
    net.publish(a, 3);
    net.link(a, b, false);
    net.publish(a, 50);
    net.link(a, b, true);
    net.run(5 * SECOND);
    assert_eq!(net.of(b, a), (0..3).chain(43..53).collect::<Vec<_>>());
    assert!(net.missed[b as usize].is_empty(), "it may still come from somebody else");
    net.run(60 * SECOND);
    assert_eq!(net.missed[b as usize], BTreeMap::from([(Node(a), 40)]));
}

#[test]
fn a_newcomer_starts_at_now_unless_it_catches_up() {
    let mut net = Net::new();
    let [a, b] = [0; 2].map(|_| net.add(Parameters::default()));
    net.link(a, b, true);
    net.publish(a, 7);
    net.run(10 * SECOND);
    let new = net.add(Parameters::default());
    let late = net.add(Parameters { catch_up: true, ..Parameters::default() });
    net.begin(new);
    net.publish(a, 2);
    net.link(a, new, true);
    net.link(b, late, true);
    net.publish(a, 1);
    net.run(60 * SECOND);
    assert_eq!(net.of(new, a), [7, 8, 9], "what was published in its time");
    assert_eq!(net.of(late, a), (0..10).collect::<Vec<_>>());
    assert!(net.missed.iter().all(BTreeMap::is_empty));
}

/// What is caught up with is told apart from what is of a peer's time, also by one who gets it of
/// another who caught up; and it is pushed to nobody.
#[test]
fn what_a_newcomer_catches_up_with_goes_no_further() {
    let mut net = Net::new();
    let [a, old] = [0; 2].map(|_| net.add(Parameters::default()));
    let catch_up = || Parameters { catch_up: true, ..Parameters::default() };
    let [late, later] = [0; 2].map(|_| net.add(catch_up()));
    let plain = net.add(Parameters::default());
    net.link(a, old, true);
    net.publish(a, 7);
    net.run(10 * SECOND);
    net.link(plain, late, true);
    net.publish(a, 2);
    net.link(late, old, true);
    net.publish(a, 1);
    net.run(10 * SECOND);
    net.link(late, later, true);
    net.publish(a, 1);
    net.run(10 * SECOND);
    let past = |peer: u32| net.past[peer as usize].iter().map(|id| id.sequence).collect::<Vec<_>>();
    assert_eq!(net.of(plain, a), [7, 8, 9, 10]);
    assert_eq!((net.of(late, a), past(late)), ((0..11).collect(), (0..7).collect()));
    assert_eq!((net.of(later, a), past(later)), ((0..11).collect(), (0..10).collect()));
    assert!(net.missed.iter().all(BTreeMap::is_empty));
}

/// A peer's word on how long it has been there is under way for longer than it had been there when
/// something was published.
#[test]
fn what_is_published_right_after_a_newcomer_came_is_for_it() {
    const WAY: Duration = Duration::from_millis(100);
    let mut net = Net::new();
    let [a, b, new] = [0; 3].map(|_| net.add(Parameters::default()));
    net.now = net.now.after(20 * SECOND);
    net.link(b, new, true);
    net.now = net.now.after(WAY / 2);
    net.publish(a, 1);
    for (me, other) in [(new, a), (a, new)] {
        net.feed(me, Input::Join(vec![Node(other)]));
    }
    net.under_way.retain(|(from, ..)| *from == Node(new));
    net.now = net.now.after(WAY);
    net.run_until_quiet();
    assert_eq!(net.of(new, a), [0]);
}

/// What began before a peer's own time, it cannot tell one that came earlier.
#[test]
fn where_an_origin_begins_is_told_by_who_was_there() {
    let mut net = Net::new();
    let [a, old, young, between] = [0; 4].map(|_| net.add(Parameters::default()));
    net.link(a, old, true);
    net.publish(a, 1);
    net.run(10 * SECOND);
    net.begin(between);
    net.run(10 * SECOND);
    net.publish(a, 1);
    net.run(10 * SECOND);
    net.link(old, young, true);
    net.publish(a, 1);
    net.run(10 * SECOND);
    net.link(old, young, false);
    net.link(young, between, true);
    net.run(10 * SECOND);
    assert_eq!((net.of(young, a), net.of(between, a)), (vec![2], vec![2]));
    net.link(old, between, true);
    net.run(10 * SECOND);
    assert_eq!(net.of(between, a), [1, 2]);
    assert!(net.missed.iter().all(BTreeMap::is_empty));
}

#[test]
fn a_line_of_peers_passes_on_what_was_fetched() {
    let mut net = Net::new();
    let peers = [0; 5].map(|_| net.add(Parameters::default()));
    for pair in [[0, 1], [2, 3], [3, 4]] {
        net.link(peers[pair[0]], peers[pair[1]], true);
    }
    net.publish(0, 20);
    net.publish(4, 10);
    net.link(peers[1], peers[2], true);
    assert_eq!(net.of(4, 0), (0..20).collect::<Vec<_>>());
    assert_eq!(net.of(0, 4), (0..10).collect::<Vec<_>>());
}

/// Two peers with so many broadcasts, of which the second lacks 1,000: bytes until it has all.
fn cost(origins: u32, each: u64) -> usize {
    let mut net = Net::new();
    let (retained, reply_bytes) = (1 << 20, 1 << 30);
    let parameters = Parameters { retained, reply_bytes, ..Parameters::default() };
    let [a, b] = [0; 2].map(|_| net.add(parameters.clone()));
    let every = u64::from(origins) * each / 1_000;
    for number in 0..u64::from(origins) * each {
        let (origin, sequence) = (Node(100 + (number / each) as u32), number % each);
        let (id, round, payload) = (MessageId { origin, sequence }, 1, Blob);
        let message = Message::Inner(flood::Message { id, round, payload });
        for to in [a, b] {
            if to == a || number % every != every / 2 {
                net.feed(to, receive(origin, message.clone()));
            }
        }
    }
    net.run(2 * SECOND);
    net.bytes = 0;
    net.link(a, b, true);
    net.run(10 * SECOND);
    assert_eq!(net.delivered[b as usize].len(), net.delivered[a as usize].len());
    net.bytes
        - 1_000
            * Said::wire_len(
                &Message::Reply {
                    id: MessageId { origin: Node(0), sequence: 0 },
                    round: 0,
                    age: 0,
                    payload: Blob,
                },
                &Sizes { id: 48, peer: 48, payload: 0 },
            )
}

#[test]
fn in_sync_an_exchange_costs_at_most_64_bytes() {
    let mut net = Net::new();
    let [a, b] = [0; 2].map(|_| net.add(Parameters::default()));
    net.link(a, b, true);
    net.publish(a, 500);
    net.publish(b, 500);
    net.bytes = 0;
    net.run(20 * SECOND);
    // Each compares ten times.
    assert!(net.bytes > 0 && net.bytes <= 20 * 64, "{} bytes", net.bytes);
}

#[test]
fn what_is_missed_costs_its_names_whatever_else_there_is() {
    let ids = 1_000 * SIZES.id;
    let [few, many] = [10, 1_000].map(|each| cost(1_000, each));
    assert!(2 * many <= 3 * ids, "{many} bytes for {ids} bytes of names");
    assert!(10 * many <= 11 * few, "{many} bytes where a hundredth cost {few}");
    println!("1,000 missing of 10,000: {few} bytes; of 1,000,000: {many} bytes");
}

#[test]
fn a_liar_costs_a_bounded_amount() {
    let mut net = Net::new();
    let parameters = Parameters { reply_bytes: 800, ..Parameters::default() };
    let [a, b] = [0; 2].map(|_| net.add(parameters.clone()));
    net.link(a, b, true);
    net.publish(a, 500);
    net.run(3 * SECOND);
    let all: ThinVec<_> =
        (0..256).map(|_| Span { origin: Node(a), from: 0, to: u64::MAX }).collect();
    let summary = Summary { part: Part::ALL, digest: [1; 8] };
    let (mut replies, mut others) = (0, 0);
    for turn in 0..1_000u64 {
        let origins =
            (0..256).map(|n| Span { origin: Node(n), from: turn, to: u64::MAX }).collect();
        let (uptime, parts) = (u32::MAX, ThinVec::from([Part::ALL]));
        for message in [
            Message::Want(all.clone()),
            Message::Compare { uptime, parts: (0..256).map(|_| summary).collect() },
            Message::Have { uptime, parts, origins, sure: 256, answer: false },
        ] {
            net.feed(a, receive(Node(b), message));
        }
        for (_, _, message) in net.under_way.drain(..) {
            match message {
                Message::Reply { .. } => replies += 1,
                _ => others += 1,
            }
        }
    }
    assert_eq!(replies, 100, "8 bytes each, 800 in all");
    assert!(others <= 4 * 64, "{others} answers");
    // What it made up is forgotten, and nobody is told of losses that never were.
    net.run(60 * SECOND);
    assert!(net.missed[a as usize].is_empty());
}

/// What a liar says of origins that nobody has heard decides nothing of them, and takes none of their room.
#[test]
fn hearsay_begins_no_origin() {
    let mut net = Net::new();
    let [a, b, liar] = [0; 3].map(|_| net.add(Parameters::default()));
    net.link(a, b, true);
    net.link(b, liar, true);
    let far = 1 << 40;
    let lie = |origins: std::ops::Range<u32>| {
        let ahead = |n| Span { origin: Node(n), from: far, to: far + 1 };
        let (parts, origins) = (ThinVec::from([Part::ALL]), origins.map(ahead).collect());
        Message::Have { uptime: u32::MAX, parts, origins, sure: 256, answer: false }
    };
    net.feed(b, receive(Node(liar), lie(a..a + 1)));
    for turn in 1..1_000 {
        net.feed(b, receive(Node(liar), lie(turn * 256..(turn + 1) * 256)));
        if turn % 64 == 0 {
            net.run(3 * SECOND);
        }
    }
    net.publish(a, 3);
    net.run(10 * SECOND);
    assert_eq!(net.of(b, a), [0, 1, 2]);
    assert_eq!(net.of(liar, a), [0, 1, 2], "they are passed on");
    net.run(60 * SECOND);
    assert!(net.missed.iter().all(BTreeMap::is_empty));
}

/// `b` is linked with `a`, and with a third peer that has nothing.
fn three() -> (Net, [u32; 3]) {
    let mut net = Net::new();
    let parameters = Parameters { batch: 100, ..Parameters::default() };
    let [_, a, b, c] = [0; 4].map(|_| net.add(parameters.clone()));
    net.link(a, b, true);
    net.link(b, c, true);
    net.publish(a, 1);
    net.run(3 * SECOND);
    (net, [a, b, c])
}

/// `b` misses 50 broadcasts of `a`, within its numbers.
fn lose_some(net: &mut Net, [a, b, _]: [u32; 3]) {
    net.cut.insert((a, b));
    net.publish(a, 50);
    net.cut.clear();
    net.publish(a, 1);
    assert_eq!(net.of(b, a).len(), 2);
}

fn have(span: Span<Node>) -> Said {
    let (uptime, parts) = (u32::MAX, ThinVec::from([Part::ALL]));
    Message::Have { uptime, parts, origins: ThinVec::from([span]), sure: 0, answer: true }
}

#[test]
fn an_origin_that_nobody_has_keeps_no_room_from_others() {
    let (mut net, all @ [a, b, c]) = three();
    // More than a batch, of an origin that comes first by its name.
    net.feed(b, receive(Node(c), have(Span { origin: Node(0), from: 0, to: 5_000 })));
    net.run(5 * SECOND);
    lose_some(&mut net, all);
    net.run(10 * SECOND);
    assert_eq!(net.of(b, a).len(), 52);
}

#[test]
fn who_does_not_answer_keeps_nobody_from_asking_others() {
    let (mut net, all @ [a, b, c]) = three();
    lose_some(&mut net, all);
    for _ in 0..200 {
        net.feed(b, receive(Node(c), have(Span { origin: Node(a), from: 0, to: 52 })));
        net.run_until_quiet();
        net.run(Duration::from_millis(50));
    }
    assert_eq!(net.of(b, a).len(), 52);
}
