//! Routers on a graph of the test's choosing, and every word between them in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::Flood;
use murmurate::membership::{self, Time, Wire as _};
use murmurate::router::{Command, Config, Data, Event, MessageOf, Parameters, Router};
use murmurate::stack;
use murmurate::testing::{self, Effect, Neighbors};

/// A peer as small as they come: node and incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(pub(crate) u16, pub(crate) u8);

impl membership::Peer for Node {
    type Node = u16;
    fn node(self) -> u16 {
        self.0
    }
}

/// A datagram: what it says, and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) u32, pub(crate) usize);

impl Data for Blob {
    fn size(&self) -> usize {
        self.1
    }
}

pub(crate) type Message = MessageOf<Node, Blob>;

/// What a router said to its host.
pub(crate) type Said = Event<Node, Blob>;
/// A router that floods nothing.
pub(crate) type Host = testing::Host<Neighbors<Node>, Flood<Node, u32, ()>, Router<Node, Blob>>;
pub(crate) type Input = stack::Input<Neighbors<Node>, Flood<Node, u32, ()>, Router<Node, Blob>>;
pub(crate) type Spoken = Effect<Neighbors<Node>, Flood<Node, u32, ()>, Router<Node, Blob>>;
type Timer = testing::Timer<Neighbors<Node>, Flood<Node, u32, ()>, Router<Node, Blob>>;

/// A router in the middle of nothing.
pub(crate) fn host(me: Node, config: &Arc<Config>) -> Host {
    let flood = Flood::new(Arc::default());
    let router = Router::new(me, Arc::clone(config));
    Host::new(Stack::new(Neighbors::of(me), flood).with_service(router))
}

/// A message arrives.
pub(crate) fn receive(from: Node, message: Message) -> Input {
    Input::Receive { from, message: stack::Message::Service(message) }
}

/// The message that is sent, and to whom.
pub(crate) fn sent(effect: &Spoken) -> Option<(Node, Message)> {
    match effect {
        Effect::Send(to, stack::Message::Service(message)) => Some((*to, message.clone())),
        _ => None,
    }
}

/// A node was found.
pub(crate) fn found(peer: Node, path: bool) -> Said {
    Event::Found { peer, path }
}

/// A datagram came, by this neighbour.
pub(crate) fn received(from: Node, by: Node, data: Blob) -> Said {
    Event::Received { from, by, data }
}

/// A datagram was lost.
pub(crate) fn lost(to: Node, number: u64) -> Said {
    Event::Lost { to, number }
}

/// Routers `n(0)`, `n(1)`, …; messages arrive in the order they were sent, at once.
pub(crate) struct Net {
    now: Time,
    hosts: Vec<Host>,
    pub(crate) wires: VecDeque<(Node, Node, Message)>,
    pub(crate) said: Vec<(usize, Said)>,
    /// Messages carried, by kind.
    pub(crate) carried: BTreeMap<&'static str, usize>,
}

pub(crate) fn n(node: u16) -> Node {
    Node(node, 0)
}

impl Net {
    pub(crate) fn new(nodes: u16, links: &[(u16, u16)], parameters: Parameters) -> Self {
        let config: Arc<Config> = Arc::new(parameters.check().expect("in range"));
        let mut net = Self {
            now: Time::ZERO,
            hosts: (0..nodes).map(|node| host(n(node), &config)).collect(),
            wires: VecDeque::new(),
            said: Vec::new(),
            carried: BTreeMap::new(),
        };
        for &(a, b) in links {
            net.link(a, b);
        }
        net
    }

    /// A chain of so many.
    pub(crate) fn chain(nodes: u16) -> Self {
        let links: Vec<_> = (1..nodes).map(|node| (node - 1, node)).collect();
        Self::new(nodes, &links, Parameters::default())
    }

    pub(crate) fn link(&mut self, a: u16, b: u16) {
        self.input(a.into(), Input::Join(vec![n(b)]));
        self.input(b.into(), Input::Join(vec![n(a)]));
    }

    pub(crate) fn unlink(&mut self, a: u16, b: u16) {
        self.input(a.into(), Input::LinkDown(n(b)));
        self.input(b.into(), Input::LinkDown(n(a)));
    }

    /// The host of one router knows this peer.
    pub(crate) fn know(&mut self, at: usize, node: u16, peer: Node) {
        self.hosts[at].know(node, Some(peer));
    }

    pub(crate) fn router(&self, at: usize) -> &Router<Node, Blob> {
        self.hosts[at].stack().service()
    }

    /// Gives one router an input, and holds it to its invariants.
    pub(crate) fn input(&mut self, at: usize, input: Input) {
        let host = &mut self.hosts[at];
        host.delay(self.now.since(host.now()));
        for effect in host.feed(input) {
            if let Some((to, message)) = sent(&effect) {
                self.wires.push_back((n(at as u16), to, message));
            } else if let Some(event) = effect.emitted() {
                self.said.push((at, event));
            }
        }
    }

    pub(crate) fn look_up(&mut self, at: usize, target: u16, path: bool) {
        self.input(at, Input::Command(Command::Lookup { target, path }));
    }

    pub(crate) fn relay(&mut self, at: usize, to: u16, number: u64) {
        let data = Blob(number as u32, 10);
        self.input(at, Input::Command(Command::Relay { to: n(to), number, data }));
    }

    /// Puts words into a router's mouth.
    pub(crate) fn forge(&mut self, from: u16, to: u16, message: Message) {
        self.input(to.into(), receive(n(from), message));
    }

    /// Carries the next message, if there is one.
    pub(crate) fn step(&mut self) -> bool {
        let Some((from, to, message)) = self.wires.pop_front() else { return false };
        *self.carried.entry(Message::KINDS[message.kind()]).or_default() += 1;
        let at = usize::from(to.0);
        if at < self.hosts.len() {
            self.input(at, receive(from, message));
        }
        true
    }

    /// Carries all messages there are.
    pub(crate) fn run_until_quiet(&mut self) {
        while self.step() {}
    }

    /// Lets time pass, timers and messages included.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.run_until_quiet();
        while let Some((due, at, timer)) = self.next_timer().filter(|(due, ..)| *due <= end) {
            self.now = self.now.max(due);
            self.input(at, Input::Expired(timer));
            self.run_until_quiet();
        }
        self.now = end;
    }

    fn next_timer(&self) -> Option<(Time, usize, Timer)> {
        let armed =
            self.hosts.iter().enumerate().flat_map(|(at, host)| {
                host.armed().iter().map(move |&(due, timer)| (due, at, timer))
            });
        armed.min_by_key(|(due, ..)| *due)
    }

    pub(crate) fn carried(&self, kind: &str) -> usize {
        self.carried.get(kind).copied().unwrap_or(0)
    }

    /// What was said since this was asked last.
    pub(crate) fn said(&mut self) -> Vec<(usize, Said)> {
        std::mem::take(&mut self.said)
    }
}
