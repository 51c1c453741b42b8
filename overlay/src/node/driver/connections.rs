//! Connections set up, tied, retired.
//!
//! A connection is set up once its two streams stand and the remote has said hello. Of two
//! connections between the same two nodes one takes the traffic, see `rivals`. The other is
//! retired: it writes no more, and is read to its goodbye, so that nothing under way is lost.

use std::sync::Arc;

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use murmurate_membership::Membership as _;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Driver;
use super::dials::Dial;
use super::rivals::Dialled;
use crate::NodeId;
use crate::id::Incarnation;
use crate::node::event::Event;
use crate::node::link::outbox::{Outbox, Turn};
use crate::node::link::route::Via;
use crate::node::link::{self, LinkEnd, LinkError, OnConnection};
use crate::node::metrics::LINK_ENDS;
use crate::node::stack::Input;
use crate::node::transport::streams::Opened;
use crate::node::unreachable::DialFailure;
use crate::node::wire::{Hello, Order};

/// A connection the swarm made.
pub(super) struct Connection {
    pub(super) node: NodeId,
    pub(super) phase: Phase,
    /// When it entered the phase.
    pub(super) since: Instant,
    /// By this node.
    dialled: bool,
    /// What who dialled it says of that.
    order: Order,
    /// The contact it leads to, if this node wants to join through it.
    contact: Option<Multiaddr>,
    /// Where the other end is.
    pub(super) remote: Multiaddr,
    /// Which start of the node said hello.
    started: Option<u64>,
    /// The writer waits for its outbox.
    attach: Option<oneshot::Sender<(Arc<Outbox>, Turn)>>,
    reading: bool,
    writing: bool,
    /// Its tasks end once this is gone: with the connection.
    standing: Option<watch::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Streams or hello are still to come.
    SetUp,
    /// It takes the traffic of its node.
    Standing,
    /// It is read to its goodbye.
    Retiring,
}

impl Connection {
    /// Whether its node may not have heard everything yet. Written is not heard: a multiplexed stream
    /// takes bytes that its connection has yet to send. Who heard a goodbye says one too.
    pub(super) fn is_speaking(&self) -> bool {
        (self.writing || self.reading) && self.phase == Phase::Standing
    }

    pub(super) fn peer(&self) -> Option<Incarnation> {
        Some(Incarnation { node: self.node, started: self.started? })
    }

    /// Its streams stand, and it says nothing on them.
    pub(super) fn awaits_hello(&self) -> bool {
        self.phase == Phase::SetUp && self.reading && self.started.is_none()
    }

    fn has_tasks(&self) -> bool {
        self.reading || self.writing
    }

    /// Whether the swarm has not said that it ended.
    pub(super) fn stands(&self) -> bool {
        self.standing.is_some()
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

impl Driver {
    fn is_setting_up(&self, node: NodeId) -> bool {
        self.connections.values().any(|c| c.node == node && c.phase == Phase::SetUp && c.stands())
    }

    /// Whether a connection with `node` is being made by either side.
    pub(super) fn is_coming(&self, node: NodeId) -> bool {
        let dialled = |dial: &Dial| matches!(dial, Dial::Node(to) if *to == node);
        self.is_setting_up(node) || self.dials.values().any(dialled)
    }

    /// Whether a connection with this contact is being made: a second one would not even be greeted.
    pub(super) fn is_reaching(&self, address: &Multiaddr) -> bool {
        let dialled = |dial: &Dial| matches!(dial, Dial::Contact(to) if to == address);
        let mut set_up =
            self.connections.values().filter(|c| c.phase == Phase::SetUp && c.stands());
        self.dials.values().any(dialled) || set_up.any(|c| c.contact.as_ref() == Some(address))
    }

    pub(super) fn on_established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let dialled = endpoint.is_dialer();
        let dial = self.dials.remove(&id);
        if dialled {
            self.host.metrics.dials.with_label_values(&["ok"]).inc();
        }
        let node = match NodeId::try_from(peer) {
            Ok(node) => node,
            Err(error) => {
                if let Some(Dial::Contact(address)) = dial {
                    let failure = DialFailure::Other(error.to_string());
                    self.contacts.failed(&address, &failure, Instant::now());
                }
                if !dialled {
                    self.host.metrics.inbound_failed.inc();
                }
                self.swarm.close_connection(id);
                return;
            }
        };
        if let Some(Dial::Lanes(node, slot)) = dial {
            return self.on_lanes_dialled(id, node, slot);
        }
        let mut contact = None;
        if let Some(Dial::Contact(address)) = dial {
            // The dialler knows what it has: a second connection of its own is not even greeted.
            let other = self.connections.values_mut().find(|other| {
                other.node == node && other.dialled && other.stands() && other.phase == Phase::SetUp
            });
            let redundant = if let Some(other) = other {
                other.contact.get_or_insert(address.clone());
                true
            } else {
                self.join_through(node, &address)
            };
            if redundant {
                self.swarm.close_connection(id);
                return;
            }
            contact = Some(address);
        }
        self.connections.insert(
            id,
            Connection {
                node,
                phase: Phase::SetUp,
                since: Instant::now(),
                dialled,
                order: Order::default(),
                contact,
                remote: endpoint.get_remote_address().clone(),
                started: None,
                attach: None,
                reading: false,
                writing: false,
                standing: Some(watch::Sender::new(())),
            },
        );
    }

    pub(super) fn on_opened(&mut self, id: ConnectionId, opened: Opened) {
        if let Opened::Lane(stream, traffic) = opened {
            return self.on_lane(id, stream, traffic);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // One that ended has no tasks to wait for.
        let Some(standing) = connection.standing.as_ref().map(watch::Sender::subscribe) else {
            return;
        };
        match opened {
            Opened::Inbound(stream) => {
                connection.reading = true;
                let stream = OnConnection::new(stream, standing);
                let reports = self.report_to.clone();
                tokio::spawn(link::read(stream, id, self.rules.clone(), reports));
            }
            Opened::Outbound(stream) => {
                connection.writing = true;
                let (attach, attached) = oneshot::channel();
                connection.attach = Some(attach);
                let mut order = Order::default();
                if connection.dialled {
                    self.greeted += 1;
                    let heard = self.host.book.last_dial(connection.node);
                    order = Order { number: self.greeted, heard };
                    connection.order = order;
                }
                let hello = Hello {
                    strategies: (*self.strategies).to_owned(),
                    signed: self.rules.authorship.signs(),
                    started: self.host.me.started,
                    max_frame: u32::try_from(self.limits.max_frame).unwrap_or(u32::MAX),
                    order,
                    addresses: self.host.addresses.clone(),
                };
                let reports = self.report_to.clone();
                let hello = hello.encode();
                tokio::spawn(link::write(stream, id, hello, attached, standing, reports));
                self.stand(id);
            }
            // Handled above: its connection is not the overlay's.
            Opened::Lane(..) => {}
            Opened::Refused(error) => {
                tracing::debug!(node = %connection.node, %error, "no overlay stream");
                self.end_link(id, LinkEnd::Unsupported, Some(error.to_string()));
            }
        }
    }

    pub(super) fn on_hello(&mut self, id: ConnectionId, hello: &Hello) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if *hello.strategies != *self.strategies {
            let (theirs, ours) = (&hello.strategies, &self.strategies);
            let why = format!("it runs {theirs:?}, not {ours:?}");
            return self.end_link(id, LinkEnd::Mismatch, Some(why));
        }
        if hello.signed != self.rules.authorship.signs() {
            let signs = |signed| if signed { "signs" } else { "does not sign" };
            let (theirs, ours) = (signs(hello.signed), signs(!hello.signed));
            let why = format!("it {theirs} broadcasts, and this node {ours} them");
            return self.end_link(id, LinkEnd::Mismatch, Some(why));
        }
        if hello.max_frame as usize != self.limits.max_frame {
            let (theirs, ours) = (hello.max_frame, self.limits.max_frame);
            let why = format!("its max_frame is {theirs}, not {ours}");
            return self.end_link(id, LinkEnd::Mismatch, Some(why));
        }
        connection.started = Some(hello.started);
        let node = connection.node;
        if !connection.dialled {
            connection.order = hello.order;
            self.host.book.hear_dial(node, hello.started, hello.order.number);
        }
        self.note_start(Incarnation { node, started: hello.started });
        self.host.book.hear_first_hand(node, &hello.addresses);
        self.stand(id);
    }

    /// Gives the traffic of its node to a connection that is set up, if it is the better one.
    fn stand(&mut self, id: ConnectionId) {
        let Some(new) = self.connections.get(&id) else { return };
        let (Some(peer), true, Phase::SetUp) = (new.peer(), new.attach.is_some(), new.phase) else {
            return;
        };
        let contact = new.contact.clone();
        self.reconcile(peer);
        let route = self.host.direct_route(peer);
        if let Via::Link(old) = route.via {
            if self.keeps(old, id) {
                self.retire(id, LinkEnd::Replaced);
                return self.join_if(contact, peer);
            }
            self.retire(old, LinkEnd::Replaced);
        }
        let Some(route) = self.host.routes.get_mut(&peer.node) else { return };
        route.via = Via::Link(id);
        route.used = Instant::now();
        route.flow.restart(route.used);
        let turn = route.outbox.attach();
        let outbox = Arc::clone(&route.outbox);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.enter(Phase::Standing);
            if let Some(attach) = connection.attach.take() {
                // A writer that is gone has reported why.
                let _ = attach.send((outbox, turn));
            }
        }
        self.join_if(contact, peer);
    }

    fn join_if(&mut self, contact: Option<Multiaddr>, peer: Incarnation) {
        if let Some(address) = contact {
            self.contacts.answered(&address);
            self.feed(Input::Join(vec![peer]));
        }
    }

    /// What waits for another incarnation of the node will never arrive: this one runs.
    fn reconcile(&mut self, peer: Incarnation) {
        let Some(route) = self.host.routes.get(&peer.node) else { return };
        if route.peer != peer {
            let stale = route.peer;
            if let Via::Link(old) = route.via {
                self.retire(old, LinkEnd::Replaced);
            }
            self.abandon(stale, "another incarnation runs");
            self.host.correct(stale, peer);
        }
    }

    /// Whether the `old` of two connections goes on. Both sides come to the same answer.
    fn keeps(&self, old: ConnectionId, new: ConnectionId) -> bool {
        let dialled = |id| {
            let connection: &Connection = self.connections.get(id)?;
            let by = if connection.dialled { self.host.me } else { connection.peer()? };
            Some(Dialled { by, order: connection.order })
        };
        let (old, new) = (dialled(&old), dialled(&new));
        old.zip(new).is_some_and(|(old, new)| old.outlasts(&new))
    }

    /// Lets a connection say goodbye and be read to its end.
    pub(super) fn retire(&mut self, id: ConnectionId, end: LinkEnd) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.phase == Phase::Retiring {
            return;
        }
        self.host.metrics.links_ended.with_label_values(&[LINK_ENDS[end as usize]]).inc();
        connection.enter(Phase::Retiring);
        connection.attach = None;
        if let Some(route) = self.host.routes.get_mut(&connection.node)
            && route.via == Via::Link(id)
        {
            route.via = Via::Pending;
            // The next writer's turn, whoever that is: this one ends.
            route.outbox.attach();
        }
    }

    pub(super) fn on_read_ended(&mut self, id: ConnectionId, ended: Result<(), LinkError>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.reading = false;
        if let Err(LinkError::Forged(forged)) = &ended {
            let by = connection.node;
            self.put_out(by, *forged);
        }
        match ended {
            Ok(()) => self.end_link(id, LinkEnd::Goodbye, None),
            Err(error) => {
                self.end_link(id, LinkEnd::from(&error), Some(error.to_string()));
            }
        }
        self.forget_ended(id);
    }

    pub(super) fn on_write_ended(&mut self, id: ConnectionId, ended: Result<(), LinkError>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.writing = false;
        if let Err(error) = ended {
            self.end_link(id, LinkEnd::Failed, Some(error.to_string()));
        }
        self.forget_ended(id);
    }

    pub(super) fn on_closed(&mut self, id: ConnectionId, cause: Option<String>) {
        if self.on_lanes_closed(id) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.standing = None;
        // What the tasks have read is still to come, and they tell better why it ended.
        if !connection.has_tasks() {
            let why = cause.unwrap_or_else(|| "the connection was closed".into());
            self.end_link(id, LinkEnd::Closed, Some(why));
        }
        self.forget_ended(id);
    }

    /// Ends a link: its node is reached another way, or lost.
    pub(super) fn end_link(&mut self, id: ConnectionId, end: LinkEnd, why: Option<String>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (node, phase, dialled) = (connection.node, connection.phase, connection.dialled);
        let contact = connection.contact.take();
        if why.is_some() {
            self.swarm.close_connection(id);
        }
        if phase == Phase::Retiring {
            return;
        }
        self.retire(id, end);
        if let Some(why) = &why {
            tracing::debug!(%node, why, "link ended");
            if phase == Phase::Standing || end != LinkEnd::Closed {
                self.host.tell(Event::LinkFailed { node, reason: why.clone() });
            }
            if let (Some(contact), Phase::SetUp) = (contact, phase) {
                let failure = match end {
                    LinkEnd::Mismatch => DialFailure::Mismatch(why.clone()),
                    _ => DialFailure::LinkFailed(why.clone()),
                };
                self.contacts.failed(&contact, &failure, Instant::now());
            }
        }
        let Some(route) = self.host.routes.get(&node) else { return };
        // Whoever ends a link may have another for us, or be on the way to make one.
        if route.is_linked() || self.is_coming(node) {
            return;
        }
        let peer = route.peer;
        let is_neighbor = self.stack.membership().active().any(|neighbor| neighbor == peer);
        let waits = !route.outbox.is_empty();
        match why {
            // It has no use for the connection, which a neighbour would have.
            None if !is_neighbor && waits => self.host.wanted.push(node),
            None if !is_neighbor => drop(self.host.routes.remove(&node)),
            // It could not get through to us; maybe we can get through to it.
            Some(_) if phase == Phase::SetUp && !dialled && end != LinkEnd::Forged => {
                self.host.wanted.push(node);
            }
            why => self.lose(peer, &why.unwrap_or_else(|| "the peer said goodbye".into())),
        }
    }

    /// A peer that does not even take control messages, or is silent.
    pub(super) fn give_up(&mut self, node: NodeId) {
        let Some(route) = self.host.routes.get(&node) else { return };
        match route.via {
            Via::Link(id) => {
                self.end_link(id, LinkEnd::Stalled, Some("it takes or says nothing".into()));
            }
            Via::Pending => {
                let peer = route.peer;
                self.lose(peer, "too much waits for a connection");
            }
        }
    }

    /// The swarm knows all connections that stand here, and nothing is kept of one that ended but
    /// what its tasks have yet to report.
    pub(super) fn check_connections(&self) -> Result<(), String> {
        let known = self.swarm.network_info().connection_counters().num_established() as usize;
        let stand = self.connections.values().filter(|connection| connection.stands()).count();
        // The swarm's may be more: those that are closed before anything is said.
        if stand + self.pool.len() > known {
            let lanes = self.pool.len();
            return Err(format!(
                "{stand} links and {lanes} for lanes stand, the swarm has {known}"
            ));
        }
        let idle = |connection: &&Connection| !connection.stands() && !connection.has_tasks();
        match self.connections.values().find(idle) {
            Some(connection) => Err(format!("{} is kept for nothing", connection.node)),
            None => Ok(()),
        }
    }

    fn forget_ended(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(&id)
            && !connection.stands()
            && !connection.has_tasks()
        {
            self.connections.remove(&id);
        }
    }
}
