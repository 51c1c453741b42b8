//! Raw streams between two swarms that do nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, SwarmEvent, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};

use crate::Error;
use crate::transport::Transport;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/raw/1");

/// So many connections between two swarms, and a stream on each: the dialler's end, the other end.
pub(crate) async fn streams(
    transport: Transport,
    connections: usize,
) -> Result<Vec<(Stream, Stream)>, Error> {
    let (mut one, mut two) = (swarm()?, swarm()?);
    two.listen_on(transport.anywhere().parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = two.select_next_some().await {
            break address;
        }
    };
    let mut pairs = Vec::new();
    for _ in 0..connections {
        let dial = DialOpts::peer_id(*two.local_peer_id())
            .condition(PeerCondition::Always)
            .addresses(vec![address.clone()]);
        one.dial(dial.build())?;
        let (mut ours, mut theirs) = (None, None);
        while ours.is_none() || theirs.is_none() {
            tokio::select! {
                event = one.select_next_some() => match event {
                    SwarmEvent::Behaviour(mut stream) => {
                        // Only now the other side learns of it.
                        stream.write_all(b"!").await?;
                        stream.flush().await?;
                        ours = Some(stream);
                    }
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                    _ => {}
                },
                event = two.select_next_some() => if let SwarmEvent::Behaviour(stream) = event {
                    theirs = Some(stream);
                },
            }
        }
        pairs.extend(ours.zip(theirs));
    }
    for mut swarm in [one, two] {
        tokio::spawn(async move { while swarm.next().await.is_some() {} });
    }
    for (_, theirs) in &mut pairs {
        theirs.read_exact(&mut [0]).await?;
    }
    Ok(pairs)
}

/// As a node makes its own.
fn swarm() -> Result<Swarm<OneStream>, Error> {
    let tcp = tcp::Config::default().nodelay(true);
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_behaviour(|_| OneStream::default())?
        .build())
}

/// Opens a stream on each connection that it dials, and hands out all there are.
#[derive(Debug, Default)]
struct OneStream(VecDeque<Stream>);

impl NetworkBehaviour for OneStream {
    type ConnectionHandler = Handler;
    type ToSwarm = Stream;

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { asks: false, opened: VecDeque::new() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { asks: true, opened: VecDeque::new() })
    }

    fn on_swarm_event(&mut self, _event: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        stream: THandlerOutEvent<Self>,
    ) {
        self.0.push_back(stream);
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.0
            .pop_front()
            .map_or(Poll::Pending, |stream| Poll::Ready(ToSwarm::GenerateEvent(stream)))
    }
}

#[derive(Debug)]
struct Handler {
    asks: bool,
    opened: VecDeque<Stream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Stream;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Stream>> {
        if std::mem::take(&mut self.asks) {
            let protocol = self.listen_protocol();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.opened.pop_front().map_or(Poll::Pending, |stream| {
            Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(stream))
        })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(opened) => {
                self.opened.push_back(opened.protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(opened) => {
                self.opened.push_back(opened.protocol);
            }
            _ => {}
        }
    }
}
