//! Connections for channels: dialled when a lane asks for one, closed by the swarm when their last
//! stream is. Whom nobody knows is looked for through the overlay, and whom no dial reaches is spoken
//! to hop by hop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, Stream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use super::dials::Dial;
use crate::NodeId;
use crate::id::Incarnation;
use crate::node::channels;
use crate::node::command::{OpenError, Opened, Reply};
use crate::node::transport::{Slot, Traffic, bulk, streams};
use crate::node::unreachable::{DialFailure, Unreachable};

/// How long a node that no dial reached is taken to be out of reach: whoever wants to speak to it
/// does so hop by hop at once, while it is dialled again.
const UNREACHED: Duration = Duration::from_secs(60);
/// So many of them are remembered.
const UNREACHED_CAPACITY: usize = 1_024;

/// The connections for channels.
#[derive(Default)]
pub(super) struct Pool {
    /// Those this node dialled.
    connections: BTreeMap<(NodeId, Slot), Pooled>,
    /// What each connection is, once it stands.
    standing: BTreeMap<ConnectionId, Side>,
    /// Those of them that this node closes.
    closing: BTreeSet<ConnectionId>,
    /// When the last dial of a node ended in silence.
    unreached: BTreeMap<NodeId, Instant>,
}

enum Pooled {
    /// Lanes wait for it.
    Coming(Coming),
    Standing(ConnectionId),
}

#[derive(Default)]
struct Coming {
    waiting: Vec<Reply>,
    /// It waits for a dial. Otherwise for a lookup.
    dials: bool,
    /// Why the last dial failed.
    why: Option<DialFailure>,
}

enum Side {
    Dialled(NodeId, Slot),
    Accepted(NodeId),
}

impl Side {
    fn node(&self) -> NodeId {
        match self {
            Self::Dialled(node, _) | Self::Accepted(node) => *node,
        }
    }
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }

    /// The connections with a node, to be closed; not those that are being closed already.
    pub(super) fn end(&mut self, node: NodeId) -> Vec<ConnectionId> {
        let with = self.standing.iter().filter(|(_, side)| side.node() == node);
        with.map(|(id, _)| *id).filter(|id| self.closing.insert(*id)).collect()
    }

    /// The nodes that they lead to.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.standing.values().map(Side::node)
    }

    fn is_unreached(&self, node: NodeId) -> bool {
        self.unreached.get(&node).is_some_and(|since| since.elapsed() < UNREACHED)
    }

    fn note_unreached(&mut self, node: NodeId) {
        if self.unreached.len() >= UNREACHED_CAPACITY {
            self.unreached.retain(|_, since| since.elapsed() < UNREACHED);
        }
        // What finds no room is dialled first, as before.
        if self.unreached.len() < UNREACHED_CAPACITY {
            self.unreached.insert(node, Instant::now());
        }
    }

    /// Those to a node that wait for a lookup.
    fn looked_for(&self, node: NodeId) -> Vec<Slot> {
        let to_node = self.connections.iter().filter(|((to, _), _)| *to == node);
        let coming = to_node.filter(|(_, way)| matches!(way, Pooled::Coming(c) if !c.dials));
        coming.map(|((_, slot), _)| *slot).collect()
    }

    fn refuse(&mut self, node: NodeId, slot: Slot, why: &OpenError) {
        if let Some(Pooled::Coming(coming)) = self.connections.remove(&(node, slot)) {
            for reply in coming.waiting {
                let _ = reply.send(Err(why.clone()));
            }
        }
    }
}

impl Driver {
    /// Gives a lane a way to `node`, over the connection of this slot if there can be one.
    pub(super) fn open_lane(&mut self, node: NodeId, slot: Slot, reply: Reply) {
        let is_full = self.pool.connections.len() >= self.limits.max_channel_connections;
        match self.pool.connections.get_mut(&(node, slot)) {
            Some(Pooled::Coming(coming)) => {
                // Before it grows: callers may have given up.
                if coming.waiting.len() == coming.waiting.capacity() {
                    coming.waiting.retain(|waiting| !waiting.is_closed());
                }
                coming.waiting.push(reply);
            }
            Some(Pooled::Standing(id)) => {
                let id = *id;
                self.give_stream(node, id, reply);
            }
            None if is_full => {
                let max = self.limits.max_channel_connections;
                let reason = Unreachable::Busy(max);
                let _ = reply.send(Err(OpenError { reason, refused: false }));
            }
            None => {
                let coming = Coming { waiting: vec![reply], ..Coming::default() };
                self.pool.connections.insert((node, slot), Pooled::Coming(coming));
                if self.host.book.addresses(node).is_empty() {
                    self.look_up(node, false);
                } else {
                    self.dial_lanes(node, slot);
                }
            }
        }
    }

    fn give_stream(&mut self, node: NodeId, id: ConnectionId, reply: Reply) {
        let (give, stream) = oneshot::channel();
        let streams: &mut streams::Streams = &mut self.swarm.behaviour_mut().streams;
        streams.open(node.to_peer_id(), id, give);
        let _ = reply.send(Ok(Opened::Direct(stream)));
    }

    fn dial_lanes(&mut self, node: NodeId, slot: Slot) {
        let unreached = self.pool.is_unreached(node);
        let Some(Pooled::Coming(coming)) = self.pool.connections.get_mut(&(node, slot)) else {
            return;
        };
        coming.dials = !unreached;
        if unreached {
            self.look_up(node, true);
        }
        if self.is_dialling(node, slot) {
            return;
        }
        let addresses = self.host.book.addresses(node);
        let options = DialOpts::peer_id(node.to_peer_id())
            .condition(PeerCondition::Always)
            .addresses(addresses.iter().cloned().collect())
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        self.swarm.behaviour_mut().streams.is_for_channels(connection, slot.traffic);
        let dialled = {
            let threads = bulk::threads_for(slot.traffic);
            // What the dial starts runs there.
            let _there = threads.enter();
            self.swarm.dial(options)
        };
        match dialled {
            Ok(()) => drop(self.dials.insert(connection, Dial::Lanes(node, slot))),
            Err(error) => self.dial_failed(Dial::Lanes(node, slot), &error),
        }
    }

    fn is_dialling(&self, node: NodeId, slot: Slot) -> bool {
        let is_this =
            |dial: &Dial| matches!(dial, Dial::Lanes(to, of) if (*to, *of) == (node, slot));
        self.dials.values().any(is_this)
    }

    /// A connection that was dialled for lanes stands.
    pub(super) fn on_lanes_dialled(&mut self, id: ConnectionId, node: NodeId, slot: Slot) {
        self.pool.unreached.remove(&node);
        let before = self.pool.connections.insert((node, slot), Pooled::Standing(id));
        self.pool.standing.insert(id, Side::Dialled(node, slot));
        if let Some(Pooled::Coming(coming)) = before {
            for reply in coming.waiting {
                self.give_stream(node, id, reply);
            }
        }
    }

    /// A dial for lanes failed. Where somebody said that nobody is there, nobody is; otherwise there
    /// may be a way through the overlay.
    pub(super) fn on_lanes_undialled(&mut self, node: NodeId, slot: Slot, reason: DialFailure) {
        if reason.is_answer() {
            self.pool.unreached.remove(&node);
            self.pool.refuse(node, slot, &OpenError { reason: reason.into(), refused: true });
            // It may be somewhere else by now: the next try knows.
            return self.look_up(node, false);
        }
        if let DialFailure::NotAdmitted(_) = reason {
            // Nor would it take anything hop by hop.
            let reason = reason.into();
            return self.pool.refuse(node, slot, &OpenError { reason, refused: false });
        }
        self.pool.note_unreached(node);
        if let Some(Pooled::Coming(coming)) = self.pool.connections.get_mut(&(node, slot)) {
            coming.dials = false;
            coming.why = Some(reason);
            self.look_up(node, true);
        }
    }

    /// A lookup came to something.
    pub(super) fn on_found_node(&mut self, peer: Incarnation, path: bool) {
        for slot in self.pool.looked_for(peer.node) {
            if !path {
                if self.host.book.addresses(peer.node).is_empty() {
                    self.look_up(peer.node, true);
                } else {
                    self.dial_lanes(peer.node, slot);
                }
            } else if let Some(Pooled::Coming(coming)) =
                self.pool.connections.remove(&(peer.node, slot))
            {
                for reply in coming.waiting {
                    let _ = reply.send(Ok(Opened::Relayed(peer)));
                }
            }
        }
    }

    pub(super) fn on_nobody_found(&mut self, node: NodeId) {
        for slot in self.pool.looked_for(node) {
            if self.is_dialling(node, slot)
                && let Some(Pooled::Coming(coming)) = self.pool.connections.get_mut(&(node, slot))
            {
                // That may still reach it.
                coming.dials = true;
                continue;
            }
            let reason = match self.pool.connections.get(&(node, slot)) {
                Some(Pooled::Coming(Coming { why: Some(why), .. })) => {
                    Unreachable::NoWay(why.clone())
                }
                _ => Unreachable::Unknown,
            };
            self.pool.refuse(node, slot, &OpenError { reason, refused: false });
        }
    }

    /// A lane came in: the connection is one for channels.
    pub(super) fn on_lane(&mut self, id: ConnectionId, stream: Stream, traffic: Traffic) {
        let node = match self.pool.standing.get(&id) {
            Some(side) => side.node(),
            None => {
                let Some(connection) = self.connections.remove(&id) else { return };
                self.pool.standing.insert(id, Side::Accepted(connection.node));
                connection.node
            }
        };
        let served = channels::serve(stream, node, Arc::clone(&self.hub));
        bulk::threads_for(traffic).spawn(served);
    }

    /// Whether it was a connection for channels that closed.
    pub(super) fn on_lanes_closed(&mut self, id: ConnectionId) -> bool {
        self.pool.closing.remove(&id);
        match self.pool.standing.remove(&id) {
            Some(Side::Dialled(node, slot)) => {
                self.pool.connections.remove(&(node, slot));
                true
            }
            Some(Side::Accepted(_)) => true,
            None => false,
        }
    }
}
