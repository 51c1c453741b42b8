//! The swarm: it dials, listens, authenticates and limits, and no payload passes through it.
//!
//! | room | what |
//! |---|---|
//! | here | the swarm, set up |
//! | `streams` | the streams it hands out |
//! | `crowd` | how many connections, and who makes room |
//! | `bulk` | threads for connections that are kept full |
//! | `traffic` | which connection is for what |

pub(crate) mod bulk;
mod crowd;
pub(crate) mod streams;
mod traffic;

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, Transport as _, noise, quic, tcp, yamux};
use socket2::{Domain, Socket, Type};

use super::admission::{self, Gate, Side};
use super::limits::Limits;
use crate::channel::MAX_PARALLELISM;
use crowd::Crowd;
use streams::Streams;
pub(crate) use traffic::Slot;

pub use traffic::Traffic;

/// What the swarm runs: limits, and the two streams of every connection.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "streams::Event")]
pub(crate) struct Behaviour {
    /// First: nobody makes room for one that is refused.
    limits: connection_limits::Behaviour,
    pub(crate) crowd: Crowd,
    pub(crate) streams: Streams,
}

impl From<std::convert::Infallible> for streams::Event {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Streams a peer may open on a connection: two on the overlay's, one for each lane on others. Yamux
/// ends a connection on the 513th.
const MAX_STREAMS: usize = 128;
/// Bytes under way on a stream of QUIC: so much of one that is not read waits at each end. At a round
/// trip of 20 ms it carries 150 MB/s.
const QUIC_WINDOW: u32 = 3 << 20;
/// Connections between two nodes at a time: for the overlay simultaneous dials, and a new one beside
/// a dying one; for channels those of each kind of traffic, dialled by either side.
const MAX_PER_PEER: u32 = 4 + 2 * 3 * MAX_PARALLELISM as u32;

/// What the system or libp2p says, of whatever type.
type Cause = Box<dyn Error + Send + Sync>;

/// TCP with Noise and Yamux, QUIC, and names resolved; or why that cannot be set up. No connection comes to
/// the swarm that `gate` has not let pass.
pub(crate) fn swarm(
    identity: Keypair,
    limits: &Limits,
    gate: &Arc<Gate>,
) -> Result<Swarm<Behaviour>, Cause> {
    let max = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    let connections = ConnectionLimits::default()
        .with_max_established_per_peer(Some(MAX_PER_PEER))
        .with_max_pending_outgoing(Some(max.div_ceil(2)));
    let mut streams_capped = yamux::Config::default();
    streams_capped.set_max_num_streams(MAX_STREAMS);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&identity)?)
        .multiplex(streams_capped)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let mut config = quic::Config::new(&identity);
    config.max_concurrent_stream_limit = MAX_STREAMS as u32;
    config.max_stream_data = QUIC_WINDOW;
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let gate = Arc::clone(gate);
    let admitted = tcp.or_transport(quic).map(|either, _| either.into_inner()).and_then(
        move |authenticated, end| async move {
            let side = if end.is_dialer() { Side::Dialler } else { Side::Listener };
            let expected = match end.get_remote_address().iter().last() {
                Some(Protocol::P2p(peer)) if end.is_dialer() => Some(peer),
                _ => None,
            };
            admission::admit(&gate, authenticated, side, expected).await
        },
    );
    // Who is silent before it has proven anything takes a place that others need.
    let silence = limits.proof_wait.min(limits.handshake_wait);
    let admitted = TransportTimeout::with_ingoing_timeout(admitted, silence);
    let swarm = SwarmBuilder::with_existing_identity(identity)
        .with_tokio()
        .with_other_transport(|_| admitted)?
        .with_dns()?
        .with_behaviour(|_| Behaviour {
            limits: connection_limits::Behaviour::new(connections),
            crowd: Crowd::new(limits.max_connections),
            streams: Streams::default(),
        })?
        // Open streams keep a connection; without them it has nothing to do.
        .with_swarm_config(|_| {
            Config::with_executor(bulk::spawn)
                .with_idle_connection_timeout(Duration::from_millis(100))
        })
        .with_connection_timeout(limits.handshake_wait)
        .build();
    Ok(swarm)
}

/// Listens on an address, and waits until the listener has one of its own; or says why it cannot.
pub(crate) async fn listen(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<(), Cause> {
    let claim = claim(address)?;
    let listener = swarm.listen_on(address.clone())?;
    drop(claim);
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, .. } if listener_id == listener => break,
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => {
                return Err(reason.err().map_or_else(|| "closed".into(), Cause::from));
            }
            SwarmEvent::ListenerError { listener_id, error } if listener_id == listener => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    // One that listens on all interfaces learns of them together.
    while swarm.select_next_some().now_or_never().is_some() {}
    Ok(())
}

/// Holds a TCP address until the swarm listens there; fails if anybody else does.
///
/// libp2p marks its listeners with `SO_REUSEPORT`, so that dials may leave from their port. Without
/// more, the kernel lets a second node of the same user listen there too, and splits newcomers
/// between the two. This socket gets the mark only once it listens: two that claim the same address
/// at the same time do not both have it, and the swarm's own may join.
fn claim(address: &Multiaddr) -> io::Result<Option<Socket>> {
    let mut parts = address.iter();
    let (ip, port) = match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (IpAddr::from(ip), port),
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) => (IpAddr::from(ip), port),
        _ => return Ok(None),
    };
    if port == 0 {
        return Ok(None);
    }
    let socket = Socket::new(Domain::for_address((ip, port).into()), Type::STREAM, None)?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The closed connections of a node that was here a moment ago are nobody.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((ip, port)).into())?;
    socket.listen(1)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    Ok(Some(socket))
}
