//! Peers under a virtual clock and a network between them, for unit tests of strategies.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::{DownReason, Effects, Input, Mark, Membership, Notice, Peer, Time};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) node: u16,
    pub(crate) incarnation: u8,
}

impl Peer for Id {
    type Node = u16;
    fn node(self) -> u16 {
        self.node
    }
}

pub(crate) const fn id(node: u16) -> Id {
    Id { node, incarnation: 0 }
}

pub(crate) fn ids(nodes: impl IntoIterator<Item = u16>) -> Vec<Id> {
    nodes.into_iter().map(id).collect()
}

/// One peer, held to its invariants after every input, and what it said.
#[derive(Debug)]
pub(crate) struct Hosted<M: Membership> {
    pub(crate) peer: M,
    pub(crate) said: Said<M>,
}

/// What a peer said.
#[derive(Debug)]
pub(crate) struct Said<M: Membership> {
    pub(crate) sent: Vec<(M::Peer, M::Message)>,
    pub(crate) armed: Vec<(Duration, M::Timer)>,
    pub(crate) downs: Vec<(M::Peer, DownReason)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) marks: Vec<Mark>,
    /// Who is a neighbour, as announced.
    neighbors: BTreeSet<M::Peer>,
}

impl<M: Membership> Effects<M> for Said<M> {
    fn send(&mut self, to: M::Peer, message: M::Message) {
        self.sent.push((to, message));
    }
    fn arm(&mut self, after: Duration, timer: M::Timer) {
        self.armed.push((after, timer));
    }
    fn neighbor_up(&mut self, peer: M::Peer) {
        assert!(self.neighbors.insert(peer), "{peer:?} is a neighbour already");
    }
    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason) {
        assert!(self.neighbors.remove(&peer), "{peer:?} is no neighbour");
        self.downs.push((peer, reason));
    }
    fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
    fn mark(&mut self, mark: Mark) {
        self.marks.push(mark);
    }
}

impl<M: Membership> Hosted<M> {
    pub(crate) fn new(peer: M) -> Self {
        let said = Said {
            sent: Vec::new(),
            armed: Vec::new(),
            downs: Vec::new(),
            notices: Vec::new(),
            marks: Vec::new(),
            neighbors: BTreeSet::new(),
        };
        Self { peer, said }
    }

    /// One that has neighbours already.
    pub(crate) fn of(peer: M) -> Self {
        let neighbors = peer.active().collect();
        let hosted = Self::new(peer);
        Self { said: Said { neighbors, ..hosted.said }, ..hosted }
    }

    #[track_caller]
    pub(crate) fn feed(&mut self, now: Time, input: Input<M::Peer, M::Message, M::Timer>) {
        self.peer.handle(now, input, &mut self.said);
        if let Err(violation) = self.peer.check() {
            panic!("{violation}");
        }
        let active: BTreeSet<M::Peer> = self.peer.active().collect();
        assert_eq!(active, self.said.neighbors, "every change is announced once");
    }

    /// What it sends in answer to a message.
    #[track_caller]
    pub(crate) fn receive(
        &mut self,
        from: M::Peer,
        message: M::Message,
    ) -> Vec<(M::Peer, M::Message)> {
        self.said.sent.clear();
        self.feed(Time::ZERO, Input::Receive { from, message });
        core::mem::take(&mut self.said.sent)
    }

    /// What it sends when a timer is due.
    #[track_caller]
    pub(crate) fn expire(&mut self, timer: M::Timer) -> Vec<(M::Peer, M::Message)> {
        self.said.sent.clear();
        self.feed(Time::ZERO, Input::Expired(timer));
        core::mem::take(&mut self.said.sent)
    }

    /// The nodes of the active view.
    pub(crate) fn active(&self) -> Vec<<M::Peer as Peer>::Node> {
        let mut nodes: Vec<_> = self.peer.active().map(Peer::node).collect();
        nodes.sort_unstable();
        nodes
    }
}

type Queued<M> = (Id, Input<Id, <M as Membership>::Message, <M as Membership>::Timer>);
type Start<M> = Box<dyn Fn(Id) -> M>;

/// Many peers. Messages take a few milliseconds, in order between any two.
pub(crate) struct World<M: Membership<Peer = Id>> {
    pub(crate) now: Time,
    pub(crate) peers: BTreeMap<u16, Hosted<M>>,
    /// Messages sent.
    pub(crate) sent: usize,
    start: Start<M>,
    queue: BTreeMap<(Time, u64), Queued<M>>,
    sequence: u64,
}

impl<M: Membership<Peer = Id>> World<M> {
    pub(crate) fn new(start: impl Fn(Id) -> M + 'static) -> Self {
        Self {
            now: Time::ZERO,
            peers: BTreeMap::new(),
            sent: 0,
            start: Box::new(start),
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Nodes 0 to `nodes`, which join one by one through the first.
    pub(crate) fn of(nodes: u16, start: impl Fn(Id) -> M + 'static) -> Self {
        let mut world = Self::new(start);
        for node in 0..nodes {
            world.join(id(node), &ids(0..node.min(1)));
            world.run(Duration::from_millis(500));
        }
        world
    }

    pub(crate) fn join(&mut self, me: Id, contacts: &[Id]) {
        self.peers.insert(me.node, Hosted::new((self.start)(me)));
        self.feed(me, Input::Join(contacts.to_vec()));
    }

    pub(crate) fn kill(&mut self, node: u16) {
        self.peers.remove(&node);
    }

    #[track_caller]
    pub(crate) fn feed(&mut self, to: Id, input: Input<Id, M::Message, M::Timer>) {
        let running = self.peers.get_mut(&to.node).filter(|hosted| hosted.peer.me() == to);
        let Some(hosted) = running else {
            if let Input::Receive { from, .. } = input {
                self.push(Duration::from_millis(20), from, Input::LinkDown(to));
            }
            return;
        };
        hosted.feed(self.now, input);
        let sent = core::mem::take(&mut hosted.said.sent);
        let armed = core::mem::take(&mut hosted.said.armed);
        for (after, timer) in armed {
            self.push(after, to, Input::Expired(timer));
        }
        for (peer, message) in sent {
            self.sent += 1;
            let latency = 1 + u64::from((to.node * 7 + peer.node * 13) % 5);
            let arrives = Duration::from_millis(latency);
            self.push(arrives, peer, Input::Receive { from: to, message });
        }
    }

    fn push(&mut self, after: Duration, to: Id, input: Input<Id, M::Message, M::Timer>) {
        self.sequence += 1;
        self.queue.insert((self.now.after(after), self.sequence), (to, input));
    }

    #[track_caller]
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), (to, input)) = entry.remove_entry();
            self.now = at;
            self.feed(to, input);
        }
        self.now = end;
    }

    /// Nodes that a path of views leads to from this one, with it.
    pub(crate) fn reached(&self, node: u16) -> usize {
        let (mut seen, mut pending) = (BTreeSet::from([node]), Vec::from([node]));
        while let Some(at) = pending.pop() {
            let next = self.peers.get(&at).map(Hosted::active).unwrap_or_default();
            pending.extend(next.into_iter().filter(|next| seen.insert(*next)));
        }
        seen.iter().filter(|node| self.peers.contains_key(node)).count()
    }

    /// How many views hold each node that runs.
    pub(crate) fn in_degrees(&self) -> Vec<usize> {
        let holds = |node: &u16| {
            self.peers.values().filter(|hosted| hosted.active().contains(node)).count()
        };
        self.peers.keys().map(holds).collect()
    }
}
