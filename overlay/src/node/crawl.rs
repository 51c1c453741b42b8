//! The overlay, node by node.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::command::{Command, Ended};
use super::wire::{Addresses, Contact, Views};
use super::{Neighbor, Node, neighbors};
use crate::NodeId;

/// The overlay as its nodes describe it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Graph {
    /// Each node that answered, with its neighbours.
    pub nodes: BTreeMap<NodeId, Vec<Neighbor>>,
    /// Of each node that answered, a digest of the secrets or revocations that it has: the same if they are
    /// the same. 0 for none.
    pub notices: BTreeMap<NodeId, u64>,
    /// Nodes that others name but that did not answer.
    pub silent: Vec<NodeId>,
}

/// Nodes asked for their views at a time.
const CRAWLERS: usize = 32;
/// Nodes a crawl visits.
const CRAWLED: usize = 100_000;

impl Node {
    /// Asks all nodes that can be found, neighbour by neighbour, for their views. Nodes that do not
    /// answer are listed as silent. At most 100,000 are visited.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended. What was found until then is lost.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future is safe, but what it has found is lost.
    pub async fn crawl(&self) -> Result<Graph, Ended> {
        let mut graph = Graph::default();
        let mut seen = BTreeMap::from([(self.me.node, ())]);
        let mut asked = FuturesUnordered::new();
        let me = Contact { peer: self.me, addresses: Addresses::default() };
        let mut next = vec![me];
        loop {
            while asked.len() < CRAWLERS
                && let Some(contact) = next.pop()
            {
                asked.push(self.ask_views(contact));
            }
            let Some((node, answer)) = asked.next().await else { return Ok(graph) };
            let Some(views) = answer? else {
                graph.silent.push(node);
                continue;
            };
            graph.notices.insert(node, views.notice);
            graph.nodes.insert(node, neighbors(&views));
            for (contact, _) in views.active {
                if seen.len() < CRAWLED && seen.insert(contact.peer.node, ()).is_none() {
                    next.push(contact);
                }
            }
        }
    }

    async fn ask_views(&self, of: Contact) -> (NodeId, Result<Option<Views>, Ended>) {
        let node = of.peer.node;
        let (reply, views) = oneshot::channel();
        let asked = self.commands.send(Command::AskViews { of, reply }).await;
        let limit = self.limits.handshake_wait;
        match asked {
            Err(_) => (node, Err(Ended)),
            Ok(()) => (node, Ok(timeout(limit, views).await.ok().and_then(Result::ok))),
        }
    }
}
