//! The streams of connections: the swarm's part of links and lanes.
//!
//! A connection is the overlay's or a channel's: whoever dials decides, and the other side learns it
//! from the first stream. On one of the overlay each side opens one stream and accepts one; a second
//! inbound stream is refused. On one for channels the dialler opens a stream for each lane. Streams
//! are handed out; nothing else passes through the swarm.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, DialFailure,
    FromSwarm, NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, StreamUpgradeError,
    SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::{Traffic, bulk};
use crate::node::wire;

const OVERLAY: StreamProtocol = StreamProtocol::new(wire::PROTOCOL);
/// In the order of [`Traffic`].
const LANES: [StreamProtocol; 3] = [
    StreamProtocol::new(Traffic::Small.protocol()),
    StreamProtocol::new(Traffic::Bulk.protocol()),
    StreamProtocol::new(Traffic::Bytes.protocol()),
];

type Upgrade = ReadyUpgrade<StreamProtocol>;
/// Who waits for a stream.
pub(crate) type Reply = oneshot::Sender<Result<Stream, String>>;

/// A stream of a connection, or why it has none.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The remote writes on it.
    Inbound(Stream),
    /// This node writes on it.
    Outbound(Stream),
    /// The remote does not speak the protocol, or not in time.
    Refused(StreamUpgradeError<Infallible>),
    /// A lane of the remote, on a connection for this traffic.
    Lane(Stream, Traffic),
}

/// What happened on which connection.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) connection: ConnectionId,
    pub(crate) opened: Opened,
}

/// Hands out the streams of all connections.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// At most a few for each connection.
    events: VecDeque<Event>,
    /// Connections being dialled for channels.
    for_channels: BTreeMap<ConnectionId, Traffic>,
    asked: VecDeque<(PeerId, ConnectionId, Reply)>,
}

impl Streams {
    /// This connection, about to be dialled, is for channels.
    pub(crate) fn is_for_channels(&mut self, connection: ConnectionId, traffic: Traffic) {
        self.for_channels.insert(connection, traffic);
    }

    /// Opens a stream for a lane. Dropping the reply says that the connection is gone.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId, reply: Reply) {
        self.asked.push_back((peer, connection, reply));
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Role::Unknown))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let traffic = self.for_channels.remove(&connection);
        Ok(Handler::new(traffic.map_or(Role::Overlay, Role::Channel)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::DialFailure(DialFailure { connection_id, .. }) = event {
            self.for_channels.remove(&connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        connection: ConnectionId,
        opened: THandlerOutEvent<Self>,
    ) {
        self.events.push_back(Event { connection, opened });
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // The swarm asks again after each event of a handler, and when its owner comes back to it.
        if let Some((peer_id, connection, event)) = self.asked.pop_front() {
            let handler = NotifyHandler::One(connection);
            return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
        }
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The remote dialled, and has opened no stream yet.
    Unknown,
    Overlay,
    Channel(Traffic),
}

/// One connection's part: asks for streams, takes some.
#[derive(Debug)]
pub(crate) struct Handler {
    role: Role,
    /// It runs where bulk does.
    moved: bool,
    /// The overlay's own stream was asked for.
    asked: bool,
    has_outbound: bool,
    has_inbound: bool,
    /// Lanes that wait to be asked for, and those on their way.
    wanted: VecDeque<Reply>,
    coming: usize,
    opened: VecDeque<Opened>,
    /// The remote's stream of the overlay, until this side's stands: whoever refuses what the remote
    /// says has said hello by then, and the remote knows why.
    held: Option<Stream>,
}

impl Handler {
    fn new(role: Role) -> Self {
        Self {
            role,
            moved: false,
            asked: false,
            has_outbound: false,
            has_inbound: false,
            wanted: VecDeque::new(),
            coming: 0,
            opened: VecDeque::new(),
            held: None,
        }
    }

    fn release(&mut self) {
        if self.has_outbound
            && let Some(stream) = self.held.take()
        {
            self.opened.push_back(Opened::Inbound(stream));
        }
    }

    fn on_inbound(&mut self, stream: Stream, protocol: &StreamProtocol) {
        let mut all = Traffic::ALL.into_iter();
        let traffic = all.find(|traffic| LANES[*traffic as usize] == *protocol);
        let role = traffic.map_or(Role::Overlay, Role::Channel);
        if self.role == Role::Unknown {
            self.role = role;
        }
        match role {
            Role::Channel(traffic) if self.role == role => {
                self.has_inbound = true;
                self.opened.push_back(Opened::Lane(stream, traffic));
            }
            Role::Overlay if self.role == role && !self.has_inbound => {
                self.has_inbound = true;
                self.held = Some(stream);
                self.release();
            }
            // Dropping a stream refuses it.
            _ => {}
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Reply;
    type ToBehaviour = Opened;
    type InboundProtocol = Accept;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Option<Reply>;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept, ())
    }

    /// Until its streams stand; from then on the streams themselves keep the connection.
    fn connection_keep_alive(&self) -> bool {
        match self.role {
            Role::Unknown => true,
            Role::Overlay => !(self.has_inbound && self.has_outbound),
            Role::Channel(_) => {
                let used = self.has_inbound || self.has_outbound;
                !used || self.coming > 0 || !self.wanted.is_empty()
            }
        }
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Option<Reply>, Opened>> {
        let ask = |protocol, reply| {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(protocol), reply);
            Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
        };
        if self.role == Role::Channel(Traffic::Bulk) && !self.moved {
            self.moved = true;
            bulk::move_task();
        }
        match self.role {
            Role::Overlay if !self.asked => {
                self.asked = true;
                return ask(OVERLAY, None);
            }
            Role::Channel(traffic) if let Some(reply) = self.wanted.pop_front() => {
                self.coming += 1;
                return ask(LANES[traffic as usize].clone(), Some(reply));
            }
            _ => {}
        }
        match self.opened.pop_front() {
            Some(opened) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, reply: Reply) {
        self.wanted.push_back(reply);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Accept, Upgrade, (), Option<Reply>>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => self.on_inbound(stream, &protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => {
                self.has_outbound = true;
                match info {
                    None => {
                        self.opened.push_back(Opened::Outbound(stream));
                        self.release();
                    }
                    Some(reply) => {
                        self.coming = self.coming.saturating_sub(1);
                        // A lane that gave up waiting drops it.
                        let _ = reply.send(Ok(stream));
                    }
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info }) => match info {
                None => self.opened.push_back(Opened::Refused(error)),
                Some(reply) => {
                    self.coming = self.coming.saturating_sub(1);
                    let _ = reply.send(Err(format!("no stream: {error}")));
                }
            },
            _ => {}
        }
    }
}

/// Takes streams of any of the protocols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accept;

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 4];

    fn protocol_info(&self) -> Self::InfoIter {
        let [small, bulk, bytes] = LANES;
        [OVERLAY, small, bulk, bytes]
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
