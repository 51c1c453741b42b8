//! One node of the routing simulation: its peer, its connections and what waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use murmurate::broadcast::Broadcast;
use murmurate::membership::{Membership, Peer as _, Time};
use murmurate::router::{self, Data, MessageOf};
use murmurate::{Effects, Routed};

use crate::engine::{SimMessage, SimTimer};
use crate::node::Peer;
use crate::strategy::{SimFlood, SimHyParView};

/// The application's message, or word that it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    pub(crate) mail: u32,
    pub(crate) receipt: bool,
    /// How often it was called lost.
    pub(crate) tries: u32,
}

impl Parcel {
    pub(crate) fn new(mail: u32) -> Self {
        Self { mail, receipt: false, tries: 0 }
    }

    /// Word that it came.
    pub(crate) fn receipt(self) -> Self {
        Self { receipt: true, tries: 0, ..self }
    }
}

impl Data for Parcel {
    fn size(&self) -> usize {
        if self.receipt { 8 } else { 1024 }
    }
}

/// A composed peer with a router.
pub type SimRouted = Routed<SimHyParView, SimFlood, Parcel>;

/// What the node says to other nodes' peers.
#[derive(Debug, Clone)]
pub(crate) enum Talk {
    Overlay(SimMessage<SimHyParView, SimFlood>),
    Router(MessageOf<Peer, Parcel>),
}

/// What the node wants to be woken for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wake {
    Overlay(SimTimer<SimHyParView, SimFlood>),
    Router(router::Timer),
    /// Look after the connections.
    Sweep,
    /// There may be room for a connection now.
    Retry(u32),
    /// The sender of this message waited long enough.
    Overdue(u32),
}

/// What a router tells its host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    Found(Peer, bool),
    NotFound(u32),
    Deliver(Peer, Parcel),
    Lost(Peer, u64),
}

/// Everything a peer said while it handled one input.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) talk: Vec<(Peer, Talk)>,
    pub(crate) wakes: Vec<(Duration, Wake)>,
    pub(crate) news: Vec<News>,
}

impl Effects<SimHyParView, SimFlood> for Words {
    fn send(&mut self, to: Peer, message: SimMessage<SimHyParView, SimFlood>) {
        self.talk.push((to, Talk::Overlay(message)));
    }

    fn arm(&mut self, after: Duration, timer: SimTimer<SimHyParView, SimFlood>) {
        self.wakes.push((after, Wake::Overlay(timer)));
    }

    fn deliver(&mut self, _: <SimFlood as Broadcast>::Id, _: u16, (): ()) {}
}

impl router::Effects<Peer, Parcel> for Words {
    fn send(&mut self, to: Peer, message: MessageOf<Peer, Parcel>) {
        self.talk.push((to, Talk::Router(message)));
    }

    fn arm(&mut self, after: Duration, timer: router::Timer) {
        self.wakes.push((after, Wake::Router(timer)));
    }

    fn found(&mut self, peer: Peer, path: bool) {
        self.news.push(News::Found(peer, path));
    }

    fn not_found(&mut self, target: u32) {
        self.news.push(News::NotFound(target));
    }

    fn deliver(&mut self, from: Peer, _by: Peer, data: Parcel) {
        self.news.push(News::Deliver(from, data));
    }

    fn lost(&mut self, to: Peer, number: u64) {
        self.news.push(News::Lost(to, number));
    }
}

/// A direct connection, or one being dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) open: bool,
    pub(crate) used: Time,
}

/// How long a list of hearsay may get.
const FAILED: usize = 64;

/// A node.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) me: Peer,
    pub(crate) routed: SimRouted,
    pub(crate) up: bool,
    pub(crate) dialable: bool,
    pub(crate) sequence: u32,
    pub(crate) connections: BTreeMap<Peer, Connection>,
    pub(crate) sweeping: bool,
    /// What waits for a connection or a way, by the node it is for.
    pub(crate) waiting: BTreeMap<u32, Vec<Parcel>>,
    /// Numbers of datagrams given out, and those that may still come back as lost.
    pub(crate) relayed: VecDeque<(u64, Parcel)>,
    pub(crate) numbers: u64,
    /// Peers to whom a way was laid; the router knows whether it still is.
    pub(crate) ways: BTreeMap<u32, Peer>,
    book: VecDeque<Peer>,
    /// Who could not be dialled.
    failed: VecDeque<Peer>,
}

impl Site {
    pub(crate) fn new(me: Peer, routed: SimRouted, dialable: bool) -> Self {
        Self {
            me,
            routed,
            up: true,
            dialable,
            sequence: 0,
            connections: BTreeMap::new(),
            sweeping: false,
            waiting: BTreeMap::new(),
            relayed: VecDeque::new(),
            numbers: 0,
            ways: BTreeMap::new(),
            book: VecDeque::new(),
            failed: VecDeque::new(),
        }
    }

    /// What it knows of a node: from its views, and from what it heard.
    pub(crate) fn known(&self, node: u32) -> Option<Peer> {
        let membership = self.routed.peer().membership();
        let views = membership.active().chain(membership.passive());
        views.chain(self.book.iter().copied()).filter(|peer| peer.node() == node).max()
    }

    pub(crate) fn neighbor(&self, node: u32) -> Option<Peer> {
        self.routed.router().neighbors().find(|peer| peer.node() == node)
    }

    /// The peer at the end of a way to this node. Forgets the way if it is no more.
    pub(crate) fn way(&mut self, node: u32) -> Option<Peer> {
        let peer = self.ways.get(&node).copied()?;
        if self.routed.router().next_hop(peer).is_none() {
            self.ways.remove(&node);
            return None;
        }
        Some(peer)
    }

    /// An open connection to this node.
    pub(crate) fn connection(&self, node: u32) -> Option<Peer> {
        let open = |(peer, connection): (&Peer, &Connection)| {
            (connection.open && peer.node() == node).then_some(*peer)
        };
        self.connections.iter().find_map(open)
    }

    /// Writes down where a peer can be dialled.
    pub(crate) fn hear_of(&mut self, peer: Peer, capacity: usize) {
        if capacity == 0 || peer.is_same_node(self.me) || self.has_failed(peer) {
            return;
        }
        self.book.retain(|known| !known.is_same_node(peer));
        while self.book.len() >= capacity {
            self.book.pop_front();
        }
        self.book.push_back(peer);
    }

    pub(crate) fn has_failed(&self, peer: Peer) -> bool {
        self.failed.contains(&peer)
    }

    /// It could not be dialled.
    pub(crate) fn fail(&mut self, peer: Peer) {
        self.connections.remove(&peer);
        self.book.retain(|known| *known != peer);
        if !self.has_failed(peer) {
            while self.failed.len() >= FAILED {
                self.failed.pop_front();
            }
            self.failed.push_back(peer);
        }
    }

    /// The connection that is unused for longest, if it is for `wait` or longer.
    pub(crate) fn idlest(&self, now: Time, wait: Duration) -> Option<Peer> {
        let idle = self.connections.iter().filter(|(_, connection)| connection.open);
        let (peer, connection) = idle.min_by_key(|(_, connection)| connection.used)?;
        (now.since(connection.used) >= wait).then_some(*peer)
    }
}
