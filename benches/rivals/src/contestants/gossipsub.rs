//! libp2p's gossipsub at its best.
//!
//! Anonymous messages, since nobody else here signs each payload; ids that are a fast hash of the
//! content; queues and deadlines wide enough to drop nothing; no IDONTWANT, which at 1 KiB costs more
//! than the duplicates it saves. The rest, the mesh above all, is as libp2p ships it.

use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use foldhash::fast::FixedState;
use futures::StreamExt;
use libp2p::gossipsub::{
    AllowAllSubscriptionFilter, Behaviour, Config, ConfigBuilder, DataTransform, Event, IdentTopic,
    Message, MessageAuthenticity, MessageId, RawMessage, TopicHash, ValidationMode,
};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use rand::seq::SliceRandom;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::contestant::Contestant;
use crate::recorder::Recorder;

/// Connections of a node: enough for the mesh to choose from, as a peer exchange would give it.
const CONNECTIONS: usize = 11;
/// Neighbours in the mesh from which on a node grafts no more: libp2p's `mesh_n_low`.
const MESH: usize = 5;
/// How long the mesh may take to form.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any workload: nothing is dropped for being late, no connection for being idle.
const NEVER: Duration = Duration::from_secs(3600);

type Node = Swarm<Behaviour<Counting, AllowAllSubscriptionFilter>>;

/// The running nodes.
pub(crate) struct Gossipsub {
    nodes: Vec<mpsc::Sender<Command>>,
    arrived: Arc<AtomicU64>,
}

/// What a node's task is asked to do.
enum Command {
    Dial(Multiaddr),
    Publish(Bytes),
    MeshSize(oneshot::Sender<usize>),
}

impl Contestant for Gossipsub {
    async fn start(nodes: usize, recorder: Arc<Recorder>) -> Result<Self> {
        let arrived = Arc::new(AtomicU64::new(0));
        let mut handles = Vec::with_capacity(nodes);
        let mut addresses = Vec::with_capacity(nodes);
        for node in 0..nodes {
            let (mut swarm, address) = listening(&arrived).await?;
            swarm.behaviour_mut().subscribe(&topic())?;
            let (commands, inbox) = mpsc::channel(1024);
            tokio::spawn(drive(swarm, inbox, node, Arc::clone(&recorder)));
            handles.push(commands);
            addresses.push(address);
        }
        for (dialer, listener) in links(nodes) {
            handles[dialer].send(Command::Dial(addresses[listener].clone())).await?;
        }
        let this = Self { nodes: handles, arrived };
        timeout(TIMEOUT, this.mesh_stands()).await.context("the mesh did not form")??;
        Ok(this)
    }

    async fn publish(&self, payload: Bytes) -> Result<()> {
        Ok(self.nodes[0].send(Command::Publish(payload)).await?)
    }

    fn arrived(&self) -> Option<u64> {
        Some(self.arrived.load(Ordering::Relaxed))
    }
}

impl Gossipsub {
    /// Resolves when every node has its mesh: what is published before is lost.
    async fn mesh_stands(&self) -> Result<()> {
        for node in &self.nodes {
            loop {
                let (reply, size) = oneshot::channel();
                node.send(Command::MeshSize(reply)).await?;
                if size.await? >= MESH.min(self.nodes.len() - 1) {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

/// Runs one node until its handle is gone.
async fn drive(
    mut swarm: Node,
    mut inbox: mpsc::Receiver<Command>,
    node: usize,
    recorder: Arc<Recorder>,
) {
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(Event::Message { message, .. }) = event {
                    recorder.delivered(node, &message.data);
                }
            }
            command = inbox.recv() => {
                let Some(command) = command else { return };
                if let Err(error) = obey(&mut swarm, command) {
                    eprintln!("gossipsub, node {node}: {error:#}");
                }
            }
        }
    }
}

fn obey(swarm: &mut Node, command: Command) -> Result<()> {
    match command {
        Command::Dial(address) => swarm.dial(address)?,
        Command::Publish(payload) => {
            swarm.behaviour_mut().publish(topic(), payload)?;
        }
        Command::MeshSize(reply) => {
            // Whoever asked may have given up; then nobody minds.
            let _ = reply.send(swarm.behaviour().mesh_peers(&topic().hash()).count());
        }
    }
    Ok(())
}

/// A node and the address it listens on.
async fn listening(arrived: &Arc<AtomicU64>) -> Result<(Node, Multiaddr)> {
    let behaviour = Behaviour::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Anonymous,
        config()?,
        AllowAllSubscriptionFilter {},
        Counting(Arc::clone(arrived)),
    )
    .map_err(|error| anyhow!(error))?;
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(NEVER))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address));
        }
    }
}

fn config() -> Result<Config> {
    Ok(ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| {
            MessageId::from(FixedState::default().hash_one(&message.data).to_be_bytes())
        })
        .idontwant_message_size_threshold(usize::MAX)
        .connection_handler_queue_len(1 << 20)
        .publish_queue_duration(NEVER)
        .forward_queue_duration(NEVER)
        // Only the start is quicker for it.
        .heartbeat_initial_delay(Duration::from_secs(1))
        .build()?)
}

fn topic() -> IdentTopic {
    IdentTopic::new("bench")
}

/// Who dials whom: a ring, and random links until everyone has [`CONNECTIONS`].
fn links(nodes: usize) -> Vec<(usize, usize)> {
    let mut pairs: Vec<_> = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect();
    pairs.shuffle(&mut rand::rng());
    // The ring first, which keeps it all in one piece; the sort is stable.
    pairs.sort_by_key(|(a, b)| b - a != 1 && b - a != nodes - 1);
    let mut degrees = vec![0; nodes];
    pairs.retain(|&(a, b)| {
        let wanted = degrees[a] < CONNECTIONS && degrees[b] < CONNECTIONS;
        degrees[a] += usize::from(wanted);
        degrees[b] += usize::from(wanted);
        wanted
    });
    pairs
}

/// Leaves messages as they are, and counts those that arrive: cheaper than gossipsub's own metrics.
struct Counting(Arc<AtomicU64>);

impl DataTransform for Counting {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Message {
            source: raw.source,
            data: raw.data,
            sequence_number: raw.sequence_number,
            topic: raw.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_a_ring_and_nearly_regular() {
        let links = links(50);
        for node in 0..50 {
            let next = (node + 1) % 50;
            assert!(links.contains(&(node.min(next), node.max(next))));
            let degree = links.iter().filter(|(a, b)| *a == node || *b == node).count();
            assert!((MESH + 1..=CONNECTIONS).contains(&degree), "node {node}: {degree} links");
        }
    }

    #[test]
    fn few_nodes_are_all_linked() {
        assert_eq!(links(2), [(0, 1)]);
        assert_eq!(links(4).len(), 6);
    }
}
