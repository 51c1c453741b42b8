//! Murmurate as it ships.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::StreamExt;
use murmurate::{Limits, Metrics, Node, Subscription};
use rand::seq::IndexedRandom;

use crate::contestant::Contestant;
use crate::recorder::Recorder;

const TOPIC: &str = "bench";
/// Messages that may wait for a receiver: as many as iroh-gossip is given.
const BACKLOG: usize = 1 << 16;

/// The running nodes.
pub(crate) struct Murmurate {
    nodes: Vec<Node>,
    metrics: Metrics,
}

impl Contestant for Murmurate {
    async fn start(nodes: usize, recorder: Arc<Recorder>) -> Result<Self> {
        let metrics = Metrics::default();
        let limits = Limits { subscription_capacity: BACKLOG, ..Limits::default() };
        let mut started: Vec<Node> = Vec::with_capacity(nodes);
        for index in 0..nodes {
            let node = Node::builder()
                .network("bench")
                .limits(limits.clone())
                .metrics(metrics.clone())
                .listen("/ip4/127.0.0.1/tcp/0".parse()?)
                .spawn()
                .await?;
            tokio::spawn(listen(node.subscribe(TOPIC)?, index, Arc::clone(&recorder)));
            let contact = started.choose(&mut rand::rng()).map(Node::addresses);
            node.join(contact.unwrap_or_default()).await?;
            started.push(node);
        }
        Ok(Self { nodes: started, metrics })
    }

    async fn publish(&self, payload: Bytes) -> Result<()> {
        let publisher = self.nodes.first().context("no nodes")?;
        publisher.broadcast(TOPIC, payload).await?;
        Ok(())
    }

    fn arrived(&self) -> Option<u64> {
        let counts = self.metrics.broadcasts();
        Some(counts.delivered + counts.duplicate)
    }
}

/// Drains what one node hears.
async fn listen(mut heard: Subscription, node: usize, recorder: Arc<Recorder>) {
    while let Some(delivery) = heard.next().await {
        // What it lagged behind by is not recorded: the delivered share tells.
        if let Ok(delivery) = delivery {
            recorder.delivered(node, &delivery.data);
        }
    }
}
