//! The node: the stack on real connections.
//!
//! | room | what |
//! |---|---|
//! | here | the handle that embedders hold |
//! | `spawn` | how it starts |
//! | `crawl` | the overlay, node by node |
//! | `driver` | the task that owns the peer |
//! | `host` | what the peer says, performed |
//! | `config` | set-up, checked |
//! | `metrics` | what is counted |
//! | `channels` | messages between two nodes |
//! | `stack` | which membership, which broadcast, and what else the peer runs |
//! | `services` | what an application builds on the overlay |
//! | `command` | what handles ask of the driver |
//! | `admission`, `bulletin` | who may speak, and how all nodes learn of changes |
//! | `authorship` | who said it |
//! | `link` | the way to one node: what waits for it, and the tasks that read and write streams |
//! | `transport` | the swarm, and the streams it hands out |
//! | `topics` | who listens to what |
//! | `book`, `contacts` | where nodes can be dialled, and whom to dial first |
//! | `reach` | where others are told to dial this one |
//! | `state` | what is kept over a restart |
//! | `heard` | how far broadcasts got, over a restart |
//! | `limits`, `budget` | what it allows itself and others |
//! | `wire` | the bytes |
//! | `pressure` | how fast it publishes |
//! | `event`, `clock` | what it tells its owner, and what time it is |
//!
//! Each stands on those below it: a module imports from none above its own.

pub mod admission;
mod authorship;
mod book;
mod budget;
mod bulletin;
mod channels;
mod clock;
mod command;
mod config;
mod contacts;
mod crawl;
mod driver;
mod event;
#[cfg(fuzzing)]
pub mod fuzzing;
mod heard;
mod host;
mod limits;
mod link;
mod metrics;
mod pressure;
mod reach;
mod services;
mod spawn;
#[cfg(test)]
mod spoil;
mod stack;
pub mod state;
mod topics;
mod transport;
mod unreachable;
mod wire;

use std::sync::Arc;

use libp2p::Multiaddr;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

pub use channels::{
    AnswerError, ByteStream, Channel, DeclarationError, Destination, Endpoint, Overflow, Receipt,
    Received, Refusal, SendError, Undelivered, UnknownChannel,
};
pub use command::{BroadcastError, Ended};
pub use config::{Builder, ConfigError, SpawnError};
pub use contacts::JoinError;
pub use crawl::Graph;
pub use event::Event;
pub use limits::Limits;
pub use metrics::{BroadcastCounts, Metrics};
pub use services::{NodeService, ServiceError, ServiceHandle, UnknownService};
pub use topics::{Delivery, Lost, Subscription};
pub use transport::Traffic;
pub use unreachable::{DialFailure, Unreachable};
pub use wire::{NodeBroadcast, NodeMembership, TopicError};

use crate::id::{Incarnation, MessageId, NodeId};
use admission::{Admission, AdmissionError, Gate};
use bulletin::{Bulletin, Spread};
use channels::Hub;
use command::{Command, Look, Publish};
use driver::End;
use services::Handles;
use topics::Topics;
use wire::{Contact, Publication, Views, topic_length};

/// A node of the overlay: a handle, cheap to clone. The node ends with [`Node::leave`],
/// [`Node::shutdown`], or its last handle.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::StreamExt;
/// use murmurate::Node;
///
/// let anywhere: murmurate::Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
/// let one = Node::builder().listen(anywhere.clone()).spawn().await?;
/// let two = Node::builder().listen(anywhere).spawn().await?;
/// let mut heard = two.subscribe("news")?;
/// two.join(one.addresses()).await?;
/// one.broadcast("news", "hello, flock").await?;
/// let message = heard.next().await.ok_or("the node ended")??;
/// assert_eq!(message.data, "hello, flock");
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Node {
    me: Incarnation,
    network: String,
    gate: Arc<Gate>,
    limits: Limits,
    commands: mpsc::Sender<Command>,
    publishes: mpsc::Sender<Publish>,
    topics: Topics,
    events: broadcast::Sender<Event>,
    active: watch::Receiver<Vec<NodeId>>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    end: watch::Receiver<Option<End>>,
    metrics: Metrics,
    services: Handles,
    hub: Arc<Hub>,
}

/// A node as it sees itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// Its identity, and which of its starts this is.
    pub me: Incarnation,
    /// Which overlay it belongs to.
    pub network: String,
    /// Where others can dial it.
    pub addresses: Vec<Multiaddr>,
    /// Its neighbours.
    pub active: Vec<Neighbor>,
    /// The nodes it knows besides its neighbours.
    pub passive: Vec<NodeId>,
    /// Bytes that are waiting to be sent.
    pub outbox_bytes: usize,
    /// Connections, including those to nodes that are not neighbours.
    pub connections: usize,
}

/// A neighbour of a node.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Neighbor {
    /// Its identity.
    pub node: NodeId,
    /// Where it can be dialled, as far as this node knows.
    pub addresses: Vec<Multiaddr>,
    /// Whether it is in the broadcast tree. Payloads are pushed to it then, and announcements otherwise.
    pub eager: bool,
}

impl Node {
    /// Sets up a node.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Who this node is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.me.node
    }

    /// Which overlay it belongs to.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Where others can dial it, with its id: contacts for their [`Node::join`].
    #[must_use]
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses.borrow().clone()
    }

    /// Its neighbours at this moment.
    #[must_use]
    pub fn active_view(&self) -> Vec<NodeId> {
        self.active.borrow().clone()
    }

    /// Its neighbours as they change.
    #[must_use]
    pub fn watch_active_view(&self) -> watch::Receiver<Vec<NodeId>> {
        self.active.clone()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Joins the overlay through any of these contacts; returns with the first neighbour. Without
    /// contacts, or with none but the node itself, it waits for others to join through it. A contact
    /// that does not answer is tried again for as long as the node's `join_wait`, so that nodes may
    /// start in any order.
    ///
    /// A node that has neighbours returns once one of the contacts answers. If that belongs to another
    /// part of the overlay, the two become one.
    ///
    /// # Errors
    /// [`JoinError::Unreachable`] and [`JoinError::TimedOut`] if no contact accepted the node in time,
    /// and [`JoinError::Busy`] if too many calls are waiting. The contacts are remembered all the same:
    /// each is tried until it answers, or for a day. [`JoinError::Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future ends only the wait: the contacts are tried all the same. They are lost only if
    /// the node was too busy to be told of them before.
    pub async fn join(
        &self,
        contacts: impl IntoIterator<Item = Multiaddr>,
    ) -> Result<(), JoinError> {
        let contacts = contacts.into_iter().collect();
        let (reply, joined) = oneshot::channel();
        let command = Command::Join { contacts, reply };
        self.commands.send(command).await.map_err(|_| JoinError::Ended)?;
        joined.await.map_err(|_| JoinError::Ended)?
    }

    /// How many bytes of data a broadcast on `topic` may have.
    ///
    /// # Errors
    /// [`TopicError`] if the topic is too long.
    pub fn max_data(&self, topic: &str) -> Result<usize, TopicError> {
        self.limits.max_data(topic)
    }

    /// Publishes `data` to all other nodes that subscribe to `topic`. Returns when the node has taken it:
    /// it is on its way at once, or, in a [signed](Builder::signed) overlay, with what is published in the next
    /// moments. [`Node::leave`] sends what was taken, [`Node::shutdown`] does not. It is not delivered to the publisher's own subscriptions.
    ///
    /// While there is no neighbour, or the overlay cannot take more, it waits for as long as the node's
    /// `publish_wait`.
    ///
    /// # Errors
    /// [`BroadcastError::TooLarge`] and [`BroadcastError::Topic`] at once,
    /// [`BroadcastError::NoNeighbor`] and [`BroadcastError::Congested`] after `publish_wait`, and
    /// [`BroadcastError::Ended`] if the node has ended. Nothing was published.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws a broadcast that is still waiting. It may already have been
    /// published, but never in part.
    pub async fn broadcast(
        &self,
        topic: &str,
        data: impl AsRef<[u8]>,
    ) -> Result<MessageId, BroadcastError> {
        let published = self.publish(topic, data.as_ref()).await;
        if published.is_err() {
            self.metrics.counters().refused.inc();
        }
        published
    }

    async fn publish(&self, topic: &str, data: &[u8]) -> Result<MessageId, BroadcastError> {
        let (size, max) = (data.len(), self.max_data(topic)?);
        if size > max {
            return Err(BroadcastError::TooLarge { size, max });
        }
        let publication = Publication::new(topic, clock::micros_since_1970(), data)?;
        let deadline = Instant::now() + self.limits.publish_wait;
        let (reply, published) = oneshot::channel();
        match timeout_at(deadline, self.publishes.reserve()).await {
            Ok(Ok(permit)) => {
                let reply = Some(reply);
                permit.send(Publish { publication, deadline, waited: false, reply });
            }
            Ok(Err(_)) => return Err(BroadcastError::Ended),
            Err(_) if self.active.borrow().is_empty() => return Err(BroadcastError::NoNeighbor),
            Err(_) => return Err(BroadcastError::Congested),
        }
        published.await.map_err(|_| BroadcastError::Ended)?
    }

    /// The broadcasts of others on `topic`, from now on. If the topic [catches up](Builder::catch_up),
    /// the first subscription also has those since the node's start, and earlier ones.
    ///
    /// # Errors
    /// [`TopicError`] if the topic is too long. Nothing can be published on it.
    pub fn subscribe(&self, topic: &str) -> Result<Subscription, TopicError> {
        topic_length(topic)?;
        Ok(self.topics.subscribe(topic))
    }

    /// A channel that was declared when the node was set up.
    ///
    /// # Errors
    /// [`UnknownChannel`] if none has this name.
    pub fn channel(&self, name: &str) -> Result<Endpoint, UnknownChannel> {
        let declared = &self.hub.shared.declared;
        match declared.iter().position(|channel| channel.name == name) {
            Some(channel) => {
                Ok(Endpoint::new(Arc::clone(&self.hub), channel, self.commands.clone()))
            }
            None => {
                let declared = declared.iter().map(|channel| channel.name.clone()).collect();
                Err(UnknownChannel { name: name.into(), declared })
            }
        }
    }

    /// A service that was given when the node was set up.
    ///
    /// # Errors
    /// [`UnknownService`] if none has this name, or it has another type.
    pub fn service<S: NodeService>(&self, name: &str) -> Result<ServiceHandle<S>, UnknownService> {
        self.services.get(name, &self.commands)
    }

    /// Whom the node admits now.
    #[must_use]
    pub fn admission(&self) -> Arc<Admission> {
        self.gate.admission()
    }

    /// Admits others from now on, and proves something else to them. Nodes that are connected are judged
    /// anew within a second: those that prove enough stay, others are hung up on.
    ///
    /// Whether the node [signs](Builder::signed) stays as it was.
    ///
    /// Other secrets are told to all nodes, which accept and prove the same from then on; so are more
    /// revocations. A node that changes what another one told it emits [`Event::AdmissionChanged`].
    ///
    /// # Errors
    /// [`AdmissionError`] if others with this admission would not admit the node. Nothing was changed.
    ///
    /// # Cancel safety
    /// Once the future was polled, the node judges by it, but may not tell others.
    pub async fn set_admission(&self, admission: Admission) -> Result<(), AdmissionError> {
        admission.check(self.me.node, &self.network)?;
        if self.gate.replace(admission)
            && let Ok(bulletin) = self.services.get::<Bulletin>(bulletin::NAME, &self.commands)
        {
            // A node that has ended tells nobody.
            let _ = bulletin.command(Spread).await;
        }
        Ok(())
    }

    /// What happens to the node, from now on. A receiver that falls behind by more than 256 events is
    /// told how many it missed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Who the node is and what it sees. An answer also shows that its task is running.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe: it only reads.
    pub async fn info(&self) -> Result<Info, Ended> {
        let look = self.look().await?;
        Ok(Info {
            me: self.me,
            network: self.network.clone(),
            addresses: self.addresses(),
            active: neighbors(&look.views),
            passive: look.passive.iter().map(|contact| contact.peer.node).collect(),
            outbox_bytes: look.waiting,
            connections: look.connections,
        })
    }

    async fn look(&self) -> Result<Look, Ended> {
        let (reply, look) = oneshot::channel();
        self.commands.send(Command::Look(reply)).await.map_err(|_| Ended)?;
        look.await.map_err(|_| Ended)
    }

    /// Takes nothing more to send, waits until what channels have taken is delivered (`leave_wait` at
    /// most), says goodbye to all neighbours, waits until that is written (3 s at most), and ends the
    /// node. What is not delivered by then gets its outcome.
    ///
    /// A call while the node is leaving waits for the same end.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended already, or is shut down in the meantime.
    ///
    /// # Cancel safety
    /// Dropping the future ends only the wait: the node leaves all the same, unless it was too busy to be
    /// told before. A future that was never polled does nothing.
    pub async fn leave(&self) -> Result<(), Ended> {
        match self.end(Command::Leave).await? {
            End::Left => Ok(()),
            End::ShutDown => Err(Ended),
        }
    }

    /// Ends the node at once, without a goodbye: neighbours see its connections close.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended already.
    ///
    /// # Cancel safety
    /// As for [`Node::leave`]: the node ends all the same.
    pub async fn shutdown(&self) -> Result<(), Ended> {
        self.end(Command::Shutdown).await.map(|_| ())
    }

    /// Tells the node to end, and waits until it has.
    async fn end(&self, how: Command) -> Result<End, Ended> {
        let taken = self.commands.send(how).await;
        let mut end = self.end.clone();
        let ended = *end.wait_for(Option::is_some).await.map_err(|_| Ended)?;
        taken.map_err(|_| Ended).and(ended.ok_or(Ended))
    }
}

fn neighbors(views: &Views) -> Vec<Neighbor> {
    let neighbor = |(contact, eager): &(Contact, bool)| Neighbor {
        node: contact.peer.node,
        addresses: contact.addresses.full(contact.peer.node),
        eager: *eager,
    };
    views.active.iter().map(neighbor).collect()
}
