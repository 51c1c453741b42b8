//! The node's end of the admin socket.
//!
//! At most [`CLIENTS`] at a time; a request is bounded by what the node would broadcast, and has to
//! arrive within [`PATIENCE`]. A client that does not read what it asked for waits for itself: a
//! subscription holds so many messages and then counts those it loses.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::StreamExt as _;
use murmurate::{Delivery, Lost, discovery};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::channels::{self, at_work};
use super::{Base64, Info, Members, Message, Neighbor, Reply, Request, Tree, Views};
use crate::agent::Agent;

/// Clients at a time.
const CLIENTS: usize = 32;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(60);

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
        let (read, write) = stream.into_split();
        let mut client = Client { read: BufReader::new(read), write, agent: Arc::clone(&agent) };
        tokio::spawn(async move {
            let served = if place.is_ok() {
                client.serve().await
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

pub(super) struct Client {
    pub(super) read: BufReader<OwnedReadHalf>,
    pub(super) write: OwnedWriteHalf,
    pub(super) agent: Arc<Agent>,
}

impl Client {
    pub(super) async fn say(&mut self, reply: &Reply) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.write.write_all(&line).await
    }

    /// Answers request after request.
    async fn serve(&mut self) -> std::io::Result<()> {
        while let Some(request) = self.hear().await? {
            match request {
                Ok(request) => self.answer(request).await?,
                Err(error) => self.say(&Reply::Error(error)).await?,
            }
        }
        Ok(())
    }

    /// The next request, or what is wrong with it; `None` when there can be no other.
    pub(super) async fn hear(&mut self) -> std::io::Result<Option<Result<Request, String>>> {
        // The longest that can be of use: data in base64, a topic or a key in escapes.
        let channels = self.agent.channels.values().map(|channel| channel.max_message);
        // A frame without any topic.
        let data = channels.fold(self.agent.node.max_data("").unwrap_or(0), usize::max);
        let longest = data as u64 / 3 * 4 + 4_096;
        let mut line = Vec::new();
        let mut bounded = (&mut self.read).take(longest);
        let Ok(read) = timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await else {
            let error = format!("no request for {} s", PATIENCE.as_secs());
            self.say(&Reply::Error(error)).await?;
            return Ok(None);
        };
        if read? == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == longest {
            self.say(&Reply::Error(format!("a request of more than {longest} bytes"))).await?;
            return Ok(None);
        }
        let request = serde_json::from_slice(&line);
        Ok(Some(request.map_err(|error| format!("no request: {error}"))))
    }

    async fn answer(&mut self, request: Request) -> std::io::Result<()> {
        let reply = match request {
            Request::Info {} => self.info().await,
            Request::Members {} => self.members().await,
            Request::Broadcast { topic, data } => {
                match self.agent.node.broadcast(&topic, &data.0).await {
                    Ok(id) => Ok(Reply::Published { id: name(id) }),
                    Err(error) => Err(error.to_string()),
                }
            }
            Request::Subscribe { topic } => return self.subscribe(&topic).await,
            Request::Send { to, channel, key, data } => {
                let agent = Arc::clone(&self.agent);
                at_work(self, channels::send(&agent, &to, &channel, key, data.0)).await?
            }
            Request::Ask { to, channel, data } => {
                let agent = Arc::clone(&self.agent);
                at_work(self, channels::request(&agent, &to, &channel, data.0)).await?
            }
            Request::Listen { channel } => return channels::listen(self, &channel).await,
            Request::Taken { .. } => Err("there is nothing to take: listen first".into()),
            Request::Graph {} => return self.graph().await,
            Request::Join { contacts } => self.join(&contacts).await,
            Request::Leave {} => {
                self.agent.leave().await;
                let said = timeout(Duration::from_secs(1), self.say(&Reply::Done {})).await;
                self.agent.end();
                return said.unwrap_or(Ok(()));
            }
        };
        self.say(&reply.unwrap_or_else(Reply::Error)).await
    }

    async fn info(&self) -> Result<Reply, String> {
        let agent = &self.agent;
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

    async fn members(&self) -> Result<Reply, String> {
        let info = self.agent.node.info().await.map_err(|error| error.to_string())?;
        Ok(Reply::Members(Members {
            active: info.active.iter().map(neighbor).collect(),
            passive: info.passive.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn join(&self, contacts: &[String]) -> Result<Reply, String> {
        let contacts = contacts.iter().map(|contact| discovery::parse_contact(contact));
        let contacts =
            contacts.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let joined = self.agent.node.join(contacts).await;
        joined.map(|()| Reply::Done {}).map_err(|error| error.to_string())
    }

    /// Messages until the client closes its end, or the node ends.
    async fn subscribe(&mut self, topic: &str) -> std::io::Result<()> {
        let mut messages = match self.agent.node.subscribe(topic) {
            Ok(messages) => messages,
            Err(error) => return self.say(&Reply::Error(error.to_string())).await,
        };
        self.say(&Reply::Subscribed { topic: topic.into() }).await?;
        loop {
            let next = tokio::select! {
                next = messages.next() => next,
                // Whatever it says now: it no longer listens.
                _ = self.read.fill_buf() => return self.write.shutdown().await,
            };
            let reply = match next {
                Some(Ok(delivery)) => Reply::Message(message(topic, &delivery)),
                Some(Err(Lost::Lagged(lost))) => Reply::Lagged(lost),
                Some(Err(Lost::Missed { origin, count })) => {
                    Reply::Missed { origin: origin.node.to_string(), count }
                }
                None => Reply::Error("the node has ended".into()),
            };
            self.say(&reply).await?;
            if matches!(reply, Reply::Error(_)) {
                return Ok(());
            }
        }
    }

    async fn graph(&mut self) -> std::io::Result<()> {
        let node = self.agent.node.clone();
        let graph = at_work(self, node.crawl()).await?;
        match graph {
            Err(error) => self.say(&Reply::Error(error.to_string())).await,
            Ok(graph) => {
                for (node, neighbors) in graph.nodes {
                    let neighbors = neighbors.iter().map(neighbor).collect();
                    self.say(&Reply::Node(Views { node: node.to_string(), neighbors })).await?;
                }
                for node in graph.silent {
                    self.say(&Reply::Silent(node.to_string())).await?;
                }
                self.say(&Reply::Done {}).await
            }
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
