//! iroh-gossip as it ships, without what loopback does not need: relays, discovery, port mapping.
//!
//! Its default overlay has murmurate's shape: HyParView with five neighbours, Plumtree on top.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::StreamExt;
use iroh::address_lookup::memory::MemoryLookup;
use iroh::endpoint::presets;
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, RelayMode};
use iroh_gossip::api::{Event, GossipReceiver, GossipSender, JoinOptions};
use iroh_gossip::net::{GOSSIP_ALPN, Gossip};
use iroh_gossip::proto::TopicId;
use rand::seq::IndexedRandom;
use tokio::time::timeout;

use crate::contestant::Contestant;
use crate::recorder::Recorder;

const TOPIC: [u8; 32] = [7; 32];
/// Events that may wait for a receiver: more than any burst, so that none waits for room.
const BACKLOG: usize = 1 << 16;
/// How long a node may take to find its first neighbour.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The running nodes.
pub(crate) struct Iroh {
    nodes: Vec<Node>,
    publisher: GossipSender,
}

/// What keeps a node alive.
struct Node {
    gossip: Gossip,
    /// Accepts connections as long as it is held.
    router: Router,
    /// The topic is left when its last handle is dropped.
    sender: GossipSender,
}

impl Contestant for Iroh {
    async fn start(nodes: usize, recorder: Arc<Recorder>) -> Result<Self> {
        let addresses = MemoryLookup::new();
        let mut started: Vec<Node> = Vec::with_capacity(nodes);
        for node in 0..nodes {
            let endpoint = Endpoint::builder(presets::Minimal)
                .relay_mode(RelayMode::Disabled)
                .clear_ip_transports()
                .bind_addr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?
                .address_lookup(addresses.clone())
                .bind()
                .await?;
            let mut address = EndpointAddr::new(endpoint.id());
            for socket in endpoint.bound_sockets() {
                address = address.with_ip_addr(socket);
            }
            addresses.add_endpoint_info(address);
            let gossip = Gossip::builder().spawn(endpoint.clone());
            let router = Router::builder(endpoint).accept(GOSSIP_ALPN, gossip.clone()).spawn();
            let contact = started.choose(&mut rand::rng()).map(|node| node.router.endpoint().id());
            let options = JoinOptions {
                bootstrap: contact.into_iter().collect(),
                subscription_capacity: BACKLOG,
            };
            let topic = gossip.subscribe_with_opts(TopicId::from_bytes(TOPIC), options).await?;
            let (sender, mut receiver) = topic.split();
            if contact.is_some() {
                timeout(TIMEOUT, receiver.joined()).await.context("no neighbour")??;
            }
            tokio::spawn(listen(receiver, node, Arc::clone(&recorder)));
            started.push(Node { gossip, router, sender });
        }
        let publisher = started.first().context("no nodes")?.sender.clone();
        Ok(Self { nodes: started, publisher })
    }

    async fn publish(&self, payload: Bytes) -> Result<()> {
        Ok(self.publisher.broadcast(payload).await?)
    }

    fn arrived(&self) -> Option<u64> {
        Some(self.nodes.iter().map(|node| node.gossip.metrics().msgs_data_recv.get()).sum())
    }
}

/// Drains what one node hears.
async fn listen(mut receiver: GossipReceiver, node: usize, recorder: Arc<Recorder>) {
    while let Some(event) = receiver.next().await {
        match event {
            Ok(Event::Received(message)) => recorder.delivered(node, &message.content),
            // Its own queue, 256 events and not ours to widen, overflowed: the delivered share tells.
            Ok(Event::Lagged | Event::NeighborUp(_) | Event::NeighborDown(_)) => {}
            Err(error) => eprintln!("iroh, node {node}: {error:#}"),
        }
    }
}
