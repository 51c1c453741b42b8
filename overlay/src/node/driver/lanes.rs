//! Connections for channels: dialled when a lane asks for one, closed by the swarm when their last
//! stream is.

use std::collections::BTreeMap;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, Stream};
use std::sync::Arc;

use super::Driver;
use super::dials::Dial;
use crate::NodeId;
use crate::node::channels::{self, Slot};
use crate::node::streams::Reply;

/// The connections for channels.
#[derive(Default)]
pub(super) struct Pool {
    /// Those this node dialled.
    ways: BTreeMap<(NodeId, Slot), Way>,
    /// What each connection is, once it stands.
    standing: BTreeMap<ConnectionId, Side>,
}

enum Way {
    /// Lanes wait for it.
    Coming(Vec<Reply>),
    Standing(ConnectionId),
}

enum Side {
    Dialled(NodeId, Slot),
    Accepted(NodeId),
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }
}

impl Driver {
    /// Gives a lane a stream to `node`, on the connection of this slot.
    pub(super) fn open_lane(&mut self, node: NodeId, slot: Slot, reply: Reply) {
        if let Some(way) = self.pool.ways.get_mut(&(node, slot)) {
            match way {
                Way::Coming(waiting) => waiting.push(reply),
                Way::Standing(id) => {
                    let (peer, id) = (node.to_peer_id(), *id);
                    self.swarm.behaviour_mut().streams.open(peer, id, reply);
                }
            }
            return;
        }
        let refuse = |reply: Reply, why: &str| drop(reply.send(Err(why.into())));
        if self.pool.ways.len() >= self.limits.max_channel_connections {
            let max = self.limits.max_channel_connections;
            return refuse(reply, &format!("max_channel_connections = {max} are in use"));
        }
        let addresses = self.host.book.addresses(node);
        if addresses.is_empty() {
            return refuse(reply, "no address is known");
        }
        let options = DialOpts::peer_id(node.to_peer_id())
            .condition(PeerCondition::Always)
            .addresses(addresses.iter().cloned().collect())
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        self.swarm.behaviour_mut().streams.is_for_channels(connection);
        self.pool.ways.insert((node, slot), Way::Coming(vec![reply]));
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(connection, Dial::Lanes(node, slot))),
            Err(error) => self.dial_failed(Dial::Lanes(node, slot), &error),
        }
    }

    /// A connection that was dialled for lanes stands.
    pub(super) fn on_lanes_dialled(&mut self, id: ConnectionId, node: NodeId, slot: Slot) {
        let before = self.pool.ways.insert((node, slot), Way::Standing(id));
        self.pool.standing.insert(id, Side::Dialled(node, slot));
        if let Some(Way::Coming(waiting)) = before {
            for reply in waiting {
                self.swarm.behaviour_mut().streams.open(node.to_peer_id(), id, reply);
            }
        }
    }

    /// Nobody could be reached for these lanes.
    pub(super) fn on_lanes_undialled(&mut self, node: NodeId, slot: Slot, reason: &str) {
        if let Some(Way::Coming(waiting)) = self.pool.ways.remove(&(node, slot)) {
            for reply in waiting {
                let _ = reply.send(Err(reason.into()));
            }
        }
    }

    /// A lane came in: the connection is one for channels.
    pub(super) fn on_lane(&mut self, id: ConnectionId, stream: Stream) {
        let node = match self.pool.standing.get(&id) {
            Some(Side::Dialled(node, _) | Side::Accepted(node)) => *node,
            None => {
                let Some(connection) = self.connections.remove(&id) else { return };
                self.pool.standing.insert(id, Side::Accepted(connection.node));
                connection.node
            }
        };
        tokio::spawn(channels::serve(stream, node, Arc::clone(&self.hub)));
    }

    /// Whether it was a connection for channels that closed.
    pub(super) fn on_lanes_closed(&mut self, id: ConnectionId) -> bool {
        match self.pool.standing.remove(&id) {
            Some(Side::Dialled(node, slot)) => {
                self.pool.ways.remove(&(node, slot));
                true
            }
            Some(Side::Accepted(_)) => true,
            None => false,
        }
    }
}
