//! The cluster's secrets, changed through one of its nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use murmurate::admission::{Admission, Secrets};
use murmurate::{Graph, Node, NodeId};
use tokio::time::{Instant, sleep};

use super::{Reply, SecretChange, SecretsHeld};

/// How long all nodes may take to have what one of them has.
const SPREADS: Duration = Duration::from_secs(10);
/// How long until they are asked once more.
const AGAIN: Duration = Duration::from_millis(500);

/// Makes a change on all nodes, and says how many have made it.
pub(super) async fn change(node: &Node, change: SecretChange) -> Result<Reply, String> {
    secrets_of(node)?;
    // Who falls silent meanwhile is soon nobody's neighbour.
    let mut known: BTreeSet<NodeId> = everybody(&crawl(node).await?).collect();
    let only_tells = change == SecretChange::None {};
    let before = secrets_of(node)?;
    let mut secrets = before.clone();
    apply(&mut secrets, change)?;
    if secrets != before {
        let admission = Admission::Secret(secrets);
        node.set_admission(admission).await.map_err(|error| error.to_string())?;
    }
    let deadline = Instant::now() + SPREADS;
    loop {
        let graph = crawl(node).await?;
        known.extend(everybody(&graph));
        let held = held(node, &secrets_of(node)?, &known, &graph);
        if only_tells || held.without.is_empty() || Instant::now() >= deadline {
            return Ok(Reply::Secrets(held));
        }
        sleep(AGAIN).await;
    }
}

fn secrets_of(node: &Node) -> Result<Secrets, String> {
    match &*node.admission() {
        Admission::Secret(secrets) => Ok(secrets.clone()),
        other => {
            let mode = other.mode();
            Err(format!("there are no secrets: the node's admission.mode is {mode}"))
        }
    }
}

async fn crawl(node: &Node) -> Result<Graph, String> {
    node.crawl().await.map_err(|error| error.to_string())
}

fn everybody(graph: &Graph) -> impl Iterator<Item = NodeId> {
    graph.nodes.keys().chain(&graph.silent).copied()
}

/// What was made already changes nothing.
fn apply(secrets: &mut Secrets, change: SecretChange) -> Result<(), String> {
    let id = |id: &str| {
        id.parse().map_err(|error: murmurate::admission::SecretIdError| error.to_string())
    };
    match change {
        SecretChange::Install { secret } => {
            let secret = secret
                .trim()
                .parse()
                .map_err(|error: murmurate::admission::SecretError| error.to_string())?;
            secrets.install(secret)
        }
        SecretChange::Use { id: text } => secrets.prefer(id(&text)?),
        SecretChange::Remove { id: text } => {
            let id = id(&text)?;
            if secrets.ids().any(|held| held == id) { secrets.remove(id) } else { Ok(()) }
        }
        SecretChange::None {} => Ok(()),
    }
    .map_err(|error| error.to_string())
}

/// Which of those that are or were there have what this node has.
fn held(node: &Node, secrets: &Secrets, known: &BTreeSet<NodeId>, graph: &Graph) -> SecretsHeld {
    let ours = graph.notices.get(&node.id());
    let others = known.iter().filter(|node| graph.notices.get(node) != ours);
    let without: Vec<_> = others.map(ToString::to_string).collect();
    let ids = secrets.ids().map(|id| id.to_string()).collect();
    let (holding, nodes) = (known.len() - without.len(), known.len());
    SecretsHeld { secrets: ids, holding, nodes, without }
}
