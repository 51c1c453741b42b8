//! Routers on a graph of the test's choosing, and every word between them in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{self, DownReason, Time, Violation};
use murmurate::router::{Command, Config, Data, Event, MessageOf, Parameters, Router, Timer};
use murmurate::service::{self, Effects, Service as _};

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
/// What happens to it. Broadcasts are none of its business.
pub(crate) type Input = service::Input<'static, Node, (), Router<Node, Blob>>;

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

/// Takes down what a router says.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) sent: Vec<(Node, Message)>,
    pub(crate) armed: Vec<(Duration, Timer)>,
    pub(crate) said: Vec<Said>,
    /// Whom the host names, whoever is asked for.
    pub(crate) known: Option<Node>,
}

impl Effects<Node, (), Router<Node, Blob>> for Notes {
    fn me(&self) -> Node {
        unreachable!("a router knows")
    }
    fn send(&mut self, to: Node, message: Message) {
        self.sent.push((to, message));
    }
    fn broadcast(&mut self, (): ()) {}
    fn arm(&mut self, after: Duration, timer: Timer) {
        self.armed.push((after, timer));
    }
    fn emit(&mut self, event: Said) {
        self.said.push(event);
    }
    fn known(&self, _node: u16) -> Option<Node> {
        self.known
    }
}

/// Whether a router with these neighbours is in order.
pub(crate) fn check(
    router: &Router<Node, Blob>,
    neighbors: &BTreeSet<Node>,
) -> Result<(), Violation> {
    let neighbors: Vec<_> = neighbors.iter().copied().collect();
    service::Service::<Node, ()>::check(router, &neighbors)
}

/// Routers `n(0)`, `n(1)`, …; messages arrive in the order they were sent, at once.
pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) routers: Vec<Router<Node, Blob>>,
    neighbors: Vec<BTreeSet<Node>>,
    pub(crate) wires: VecDeque<(Node, Node, Message)>,
    timers: Vec<(Time, usize, Timer)>,
    pub(crate) said: Vec<(usize, Said)>,
    /// Messages carried, by kind.
    pub(crate) carried: BTreeMap<&'static str, usize>,
    /// What hosts know: who, and which peer.
    pub(crate) known: Vec<(usize, Node)>,
}

pub(crate) fn n(node: u16) -> Node {
    Node(node, 0)
}

impl Net {
    pub(crate) fn new(nodes: u16, links: &[(u16, u16)], parameters: Parameters) -> Self {
        let config: Arc<Config> = Arc::new(parameters.check().expect("in range"));
        let mut net = Self {
            now: Time::ZERO,
            routers: (0..nodes).map(|node| Router::new(n(node), Arc::clone(&config))).collect(),
            neighbors: (0..nodes).map(|_| BTreeSet::new()).collect(),
            wires: VecDeque::new(),
            timers: Vec::new(),
            said: Vec::new(),
            carried: BTreeMap::new(),
            known: Vec::new(),
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
        self.neighbors[usize::from(a)].insert(n(b));
        self.neighbors[usize::from(b)].insert(n(a));
        self.input(a.into(), Input::NeighborUp(n(b)));
        self.input(b.into(), Input::NeighborUp(n(a)));
    }

    pub(crate) fn unlink(&mut self, a: u16, b: u16) {
        self.neighbors[usize::from(a)].remove(&n(b));
        self.neighbors[usize::from(b)].remove(&n(a));
        self.input(a.into(), Input::NeighborDown(n(b), DownReason::Failed));
        self.input(b.into(), Input::NeighborDown(n(a), DownReason::Failed));
    }

    /// Gives one router an input, and holds it to its invariants.
    pub(crate) fn input(&mut self, at: usize, input: Input) {
        self.input_knowing(None, at, input);
    }

    /// The same while the host knows a node.
    pub(crate) fn input_knowing(&mut self, known: Option<Node>, at: usize, input: Input) {
        let mut notes = Notes { known, ..Notes::default() };
        self.routers[at].handle(self.now, input, &mut notes);
        check(&self.routers[at], &self.neighbors[at]).expect("no invariant is broken");
        for (to, message) in notes.sent {
            self.wires.push_back((n(at as u16), to, message));
        }
        for (after, timer) in notes.armed {
            self.timers.push((self.now.after(after), at, timer));
        }
        self.said.extend(notes.said.into_iter().map(|said| (at, said)));
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
        self.input(to.into(), Input::Receive { from: n(from), message });
    }

    /// Carries the next message, if there is one.
    pub(crate) fn step(&mut self) -> bool {
        use murmurate::membership::Wire;
        let Some((from, to, message)) = self.wires.pop_front() else { return false };
        *self.carried.entry(Message::KINDS[message.kind()]).or_default() += 1;
        let at = usize::from(to.0);
        let known = match &message {
            Message::Lookup { target, .. } => {
                self.known.iter().find(|(host, peer)| *host == at && peer.0 == *target)
            }
            _ => None,
        };
        let known = known.map(|(_, peer)| *peer);
        if at < self.routers.len() {
            self.input_knowing(known, at, Input::Receive { from, message });
        }
        true
    }

    /// Carries all messages there are.
    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    /// Lets time pass, timers and messages included.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.settle();
        while let Some(next) = (0..self.timers.len())
            .min_by_key(|&at| self.timers[at].0)
            .filter(|&at| self.timers[at].0 <= end)
        {
            let (due, at, timer) = self.timers.remove(next);
            self.now = due;
            self.input(at, Input::Expired(timer));
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn carried(&self, kind: &str) -> usize {
        self.carried.get(kind).copied().unwrap_or(0)
    }

    /// What was said since this was asked last.
    pub(crate) fn said(&mut self) -> Vec<(usize, Said)> {
        std::mem::take(&mut self.said)
    }
}
