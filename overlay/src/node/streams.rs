//! Two streams for every connection: the swarm's part of a link.
//!
//! As soon as a connection stands, each side opens one stream and accepts one. They are handed out
//! as events; nothing else of the overlay passes through the swarm. A second inbound stream is
//! refused, so a peer cannot make this node hold more than two.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::wire::PROTOCOL;

type Upgrade = ReadyUpgrade<StreamProtocol>;

/// A stream of a connection, or why it has none.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The remote writes on it.
    Inbound(Stream),
    /// This node writes on it.
    Outbound(Stream),
    /// The remote does not speak the protocol, or not in time.
    Refused(StreamUpgradeError<std::convert::Infallible>),
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
    /// At most three for each connection.
    events: VecDeque<Event>,
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
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _event: FromSwarm<'_>) {}

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
        // The swarm asks again after each event of a handler.
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

/// One connection's part: asks for a stream, takes one.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    asked: bool,
    has_outbound: bool,
    has_inbound: bool,
    opened: VecDeque<Opened>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = Opened;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL)), ())
    }

    /// Until both streams stand; from then on the streams themselves keep the connection.
    fn connection_keep_alive(&self) -> bool {
        !(self.has_inbound && self.has_outbound)
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, (), Opened>> {
        if !self.asked {
            self.asked = true;
            let protocol = self.listen_protocol();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        match self.opened.pop_front() {
            Some(opened) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if !self.has_inbound => {
                self.has_inbound = true;
                self.opened.push_back(Opened::Inbound(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => {
                self.has_outbound = true;
                self.opened.push_back(Opened::Outbound(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.opened.push_back(Opened::Refused(error));
            }
            _ => {}
        }
    }
}
