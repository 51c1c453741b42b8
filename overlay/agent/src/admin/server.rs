//! The node's end of the admin socket.
//!
//! At most [`CLIENTS`] at a time. One that does not read what it asked for waits for itself: a
//! subscription holds so many messages and then counts those it loses.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::StreamExt as _;
use murmurate::{Delivery, Lost, discovery};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::agent::Agent;
use super::channels;
use super::client::Client;
use super::secrets;
use super::state;
use super::{Base64, Info, Members, Message, Neighbor, Reply, Request, StateRequest, Tree, Views};

/// Clients at a time.
const CLIENTS: usize = 32;

/// Serves clients until it is dropped.
pub(crate) async fn serve(listener: &UnixListener, agent: Arc<Agent>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin socket failed to accept");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let mut client = Client::new(stream, Arc::clone(&agent));
        tokio::spawn(async move {
            let served = if place.is_ok() {
                answer_all(&mut client).await
            } else {
                let error = format!("{CLIENTS} clients are connected already: try again later");
                client.say(&Reply::Error(error)).await
            };
            if let Err(error) = served {
                tracing::debug!(%error, "an admin client is gone");
            }
            drop(place);
        });
    }
}

/// Answers request after request.
async fn answer_all(client: &mut Client) -> std::io::Result<()> {
    while let Some(request) = client.hear().await? {
        match request {
            Ok(request) => answer(client, request).await?,
            Err(error) => client.say(&Reply::Error(error)).await?,
        }
    }
    Ok(())
}

async fn answer(client: &mut Client, request: Request) -> std::io::Result<()> {
    let reply = match request {
        Request::Info {} => info(&client.agent).await,
        Request::Members {} => members(&client.agent).await,
        Request::Broadcast { topic, data } => {
            match client.agent.node.broadcast(&topic, &data.0).await {
                Ok(id) => Ok(Reply::Published { id: name(id) }),
                Err(error) => Err(error.to_string()),
            }
        }
        Request::Subscribe { topic } => return subscribe(client, &topic).await,
        Request::Send { to, channel, key, data } => {
            let agent = Arc::clone(&client.agent);
            client.at_work(channels::send(&agent, &to, &channel, key, data.0)).await?
        }
        Request::Ask { to, channel, data } => {
            let agent = Arc::clone(&client.agent);
            client.at_work(channels::request(&agent, &to, &channel, data.0)).await?
        }
        Request::Listen { channel } => return channels::listen(client, &channel).await,
        Request::Taken { .. } => Err("there is nothing to take: listen first".into()),
        Request::Graph {} => return graph(client).await,
        Request::Join { contacts } => join(&client.agent, &contacts).await,
        Request::Secret(change) => {
            let node = client.agent.node.clone();
            client.at_work(secrets::change(&node, change)).await?
        }
        Request::State(StateRequest::Watch { prefix }) => {
            return state::watch(client, prefix).await;
        }
        Request::State(StateRequest::List { prefix }) => {
            return state::list(client, &prefix).await;
        }
        Request::State(request) => state::answer(&client.agent.node, request).await,
        Request::Leave {} => {
            client.agent.leave().await;
            let said = timeout(Duration::from_secs(1), client.say(&Reply::Done {})).await;
            client.agent.end();
            return said.unwrap_or(Ok(()));
        }
    };
    client.say(&reply.unwrap_or_else(Reply::Error)).await
}

async fn info(agent: &Agent) -> Result<Reply, String> {
    let info = agent.node.info().await.map_err(|error| error.to_string())?;
    Ok(Reply::Info(Info {
        node: info.me.node.to_string(),
        started: info.me.started,
        network: info.network,
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        addresses: info.addresses.iter().map(ToString::to_string).collect(),
        ready: agent.health.ready().is_ok(),
        active: info.active.len(),
        passive: info.passive.len(),
        connections: info.connections,
        outbox_bytes: info.outbox_bytes,
        metrics: agent.metrics.map(|address| address.to_string()),
        admin: agent.admin.display().to_string(),
    }))
}

async fn members(agent: &Agent) -> Result<Reply, String> {
    let info = agent.node.info().await.map_err(|error| error.to_string())?;
    Ok(Reply::Members(Members {
        active: info.active.iter().map(neighbor).collect(),
        passive: info.passive.iter().map(ToString::to_string).collect(),
    }))
}

async fn join(agent: &Agent, contacts: &[String]) -> Result<Reply, String> {
    let contacts = contacts.iter().map(|contact| discovery::parse_contact(contact));
    let contacts = contacts.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let joined = agent.node.join(contacts).await;
    joined.map(|()| Reply::Done {}).map_err(|error| error.to_string())
}

/// Messages until the client closes its end, or the node ends.
async fn subscribe(client: &mut Client, topic: &str) -> std::io::Result<()> {
    let mut messages = match client.agent.node.subscribe(topic) {
        Ok(messages) => messages,
        Err(error) => return client.say(&Reply::Error(error.to_string())).await,
    };
    client.say(&Reply::Subscribed { topic: topic.into() }).await?;
    loop {
        let next = tokio::select! {
            next = messages.next() => next,
            // Whatever it says now: it no longer listens.
            _ = client.read.fill_buf() => return client.write.shutdown().await,
        };
        let reply = match next {
            Some(Ok(delivery)) => Reply::Message(message(topic, &delivery)),
            Some(Err(Lost::Lagged(lost))) => Reply::Lagged(lost),
            Some(Err(Lost::Missed { origin, count })) => {
                Reply::Missed { origin: origin.node.to_string(), count }
            }
            None => Reply::Error("the node has ended".into()),
        };
        client.say(&reply).await?;
        if matches!(reply, Reply::Error(_)) {
            return Ok(());
        }
    }
}

async fn graph(client: &mut Client) -> std::io::Result<()> {
    let node = client.agent.node.clone();
    let graph = client.at_work(node.crawl()).await?;
    match graph {
        Err(error) => client.say(&Reply::Error(error.to_string())).await,
        Ok(graph) => {
            for (node, neighbors) in graph.nodes {
                let neighbors = neighbors.iter().map(neighbor).collect();
                client.say(&Reply::Node(Views { node: node.to_string(), neighbors })).await?;
            }
            for node in graph.silent {
                client.say(&Reply::Silent(node.to_string())).await?;
            }
            client.say(&Reply::Done {}).await
        }
    }
}

fn neighbor(of: &murmurate::Neighbor) -> Neighbor {
    Neighbor {
        node: of.node.to_string(),
        tree: if of.eager { Tree::Eager } else { Tree::Lazy },
        addresses: of.addresses.iter().map(ToString::to_string).collect(),
    }
}

fn name(id: murmurate::MessageId) -> String {
    format!("{}/{}", id.origin, id.sequence)
}

fn message(topic: &str, delivery: &Delivery) -> Message {
    let published = delivery.published.duration_since(UNIX_EPOCH).unwrap_or_default();
    Message {
        id: name(delivery.id),
        from: delivery.id.origin.node.to_string(),
        topic: topic.into(),
        hops: delivery.hops,
        published_seconds: published.as_secs_f64(),
        data: Base64(delivery.data.to_vec()),
        text: super::text(&delivery.data),
    }
}
