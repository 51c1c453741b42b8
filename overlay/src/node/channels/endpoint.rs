//! What embedders hold of a channel.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use libp2p::swarm::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::declare::{Carries, Channel};
use super::error::{SendError, Undelivered};
use super::hub::{Hub, OpenPath};
use super::inbox::Received;
use super::lane::Receipt;
use super::lanes::Lanes;
use super::sender::{introduce, start};
use super::wire::{Answer, Declared, Hello};
use crate::NodeId;
use crate::channel::session::Greeting;
use crate::node::command::Command;
use crate::node::transport::Slot;
use crate::node::unreachable::Unreachable;

/// A channel at this node. It sends to any node of the overlay and receives from all. Cheap to clone.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use murmurate::{Channel, Node};
///
/// let anywhere: murmurate::Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
/// let orders = Channel::acknowledged("orders");
/// let one = Node::builder().listen(anywhere.clone()).channel(orders.clone()).spawn().await?;
/// let two = Node::builder().listen(anywhere).channel(orders).spawn().await?;
/// two.join(one.addresses()).await?;
///
/// assert_eq!(one.channel("orders")?.kind(), "acknowledged");
/// let receipt = one.channel("orders")?.send(two.id(), "a dozen eggs").await?;
/// let order = two.channel("orders")?.receive().await.ok_or("the node ended")?;
/// assert_eq!(order.data, "a dozen eggs");
/// order.ack(); // Now it is delivered.
/// receipt.await?;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct Endpoint {
    hub: Arc<Hub>,
    channel: usize,
    /// A node runs for as long as somebody holds this.
    alive: mpsc::Sender<Command>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("channel", self.declared()).finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn new(hub: Arc<Hub>, channel: usize, alive: mpsc::Sender<Command>) -> Self {
        Self { hub, channel, alive }
    }

    /// As it is declared.
    pub fn declared(&self) -> &Channel {
        &self.hub.shared.declared[self.channel]
    }

    /// The name of its kind, the same at both ends: `best-effort`, `acknowledged`, `latest`, `request`,
    /// `bytes`, or that of a kind of your own.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.declared().kind_name()
    }

    /// A node to send to. Keep it if you send much to that node.
    #[must_use]
    pub fn to(&self, node: NodeId) -> Destination {
        let lanes = self.hub.outbound.to(node, self.channel);
        Destination { endpoint: self.clone(), lanes }
    }

    /// Sends a message to a node; returns when it waits to be sent. See [`Destination::send`].
    ///
    /// # Errors
    /// As for [`Destination::send`].
    ///
    /// # Cancel safety
    /// As for [`Destination::send`].
    pub async fn send(&self, to: NodeId, message: impl Into<Bytes>) -> Result<Receipt, SendError> {
        self.to(to).send(message).await
    }

    /// Sends a request to a node and waits for its answer.
    ///
    /// # Errors
    /// As for [`Destination::request`].
    ///
    /// # Cancel safety
    /// As for [`Destination::request`]: the request may be carried out all the same.
    pub async fn request(
        &self,
        to: NodeId,
        message: impl Into<Bytes>,
    ) -> Result<Bytes, Undelivered> {
        self.to(to).request(message).await
    }

    /// Waits for the next message from any node. `None` once the node has ended and all messages are
    /// taken. With several callers, each message goes to one of them.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub async fn receive(&self) -> Option<Received> {
        self.hub.inboxes[self.channel].next().await
    }

    /// The next message, if one has arrived.
    #[must_use]
    pub fn try_receive(&self) -> Option<Received> {
        self.hub.inboxes[self.channel].try_next().flatten()
    }

    /// Opens a stream of bytes to a node.
    ///
    /// # Errors
    /// [`SendError::Carries`] if the channel carries messages, [`SendError::Unreachable`] or
    /// [`SendError::Refused`] if the other node cannot be reached or refuses the stream, and others as
    /// [`SendError`] lists them. No stream is left open.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future gives the stream up. The other node may accept it all the same, and then sees
    /// it end.
    pub async fn open(&self, to: NodeId) -> Result<ByteStream, SendError> {
        let (hub, declared) = (&self.hub, self.declared());
        if !matches!(declared.carries, Carries::Bytes) {
            return Err(self.carries("messages"));
        }
        self.check(to)?;
        let unreachable =
            |reason: Unreachable| SendError::Unreachable { node: to, reason: reason.into() };
        let lane = rand::random_range(0..declared.options.parallelism);
        let slot = Slot { traffic: declared.traffic, index: lane };
        let OpenPath::Stream(mut stream) =
            hub.open(to, slot).await.map_err(|failed| failed.error)?
        else {
            return Err(unreachable(Unreachable::OnlyRelayed));
        };
        let hello = Hello {
            started: hub.shared.me.started,
            channel: (&declared.name).into(),
            declared: Declared::of(declared),
            lane,
            greeting: Greeting { epoch: 0, attempt: 0, base: 0, proof: None },
        };
        let answer =
            timeout(hub.shared.limits.handshake_wait, introduce(&mut stream, &hello)).await;
        match answer {
            Err(_) => Err(unreachable(Unreachable::Silent)),
            Ok(Err(error)) => Err(unreachable(Unreachable::failed(&error))),
            Ok(Ok(Answer::Welcome(_))) => Ok(ByteStream(stream)),
            Ok(Ok(Answer::Refused { why, .. })) => Err(hub.shared.refused(to, self.channel, why)),
        }
    }

    /// Waits for the next stream of bytes that another node opens. `None` once the node has ended. Up to
    /// 64 streams wait to be accepted; more are refused.
    ///
    /// # Cancel safety
    /// Dropping the future loses no stream.
    pub async fn accept(&self) -> Option<(NodeId, ByteStream)> {
        let (from, stream) = self.hub.accepted(self.channel).await?;
        Some((from, ByteStream(stream)))
    }

    fn check(&self, to: NodeId) -> Result<(), SendError> {
        if to == self.hub.shared.me.node {
            return Err(SendError::Itself);
        }
        if self.hub.shared.has_ended() || self.alive.is_closed() {
            return Err(SendError::Ended);
        }
        Ok(())
    }

    fn carries(&self, carries: &'static str) -> SendError {
        SendError::Carries { channel: self.declared().name.clone(), carries }
    }
}

/// A node to send to on a channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Destination {
    endpoint: Endpoint,
    lanes: Arc<Lanes>,
}

impl Destination {
    /// Queues a message to be sent. Returns a receipt, which tells what becomes of it. The first message
    /// to a node waits until a connection to it stands. When the queue is full, the call waits for room,
    /// or the channel's [`Overflow`](super::Overflow) policy applies.
    ///
    /// Messages of up to 64 KiB keep their order on a channel without parallelism. Use a key where
    /// order matters on other channels, or among larger messages.
    ///
    /// # Errors
    /// [`SendError`] says why the message was not queued. Nothing was sent.
    ///
    /// # Cancel safety
    /// Once the future is dropped, the message is not queued, and the call has lost its place among
    /// those that wait. Keep the message if you mean to send it again.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<Receipt, SendError> {
        self.send_to_lane(None, message.into()).await
    }

    /// Sends a message with a key: messages with the same key keep their order, those with different
    /// keys do not wait for each other, as far as the channel's parallelism goes.
    ///
    /// # Errors
    /// As for [`Destination::send`].
    ///
    /// # Cancel safety
    /// As for [`Destination::send`].
    pub async fn send_keyed(
        &self,
        key: impl Hash,
        message: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        self.send_to_lane(Some(hash(key)), message.into()).await
    }

    async fn send_to_lane(&self, key: Option<u64>, message: Bytes) -> Result<Receipt, SendError> {
        self.check(&message)?;
        let lane = self.lanes.lane(key, message.len());
        lane.send(message, || start(lane, &self.lanes, &self.endpoint.hub)).await
    }

    /// Queues a message if there is room now. The receipt, or the next call, tells whether the receiver
    /// can be reached at all. It may be called from any thread.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room, and others as for [`Destination::send`]. Nothing was
    /// sent.
    pub fn try_send(&self, message: impl Into<Bytes>) -> Result<Receipt, SendError> {
        self.try_send_to_lane(None, &message.into())
    }

    /// As [`Destination::try_send`], with a key.
    ///
    /// # Errors
    /// As for [`Destination::try_send`].
    pub fn try_send_keyed(
        &self,
        key: impl Hash,
        message: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        self.try_send_to_lane(Some(hash(key)), &message.into())
    }

    fn try_send_to_lane(&self, key: Option<u64>, message: &Bytes) -> Result<Receipt, SendError> {
        self.check(message)?;
        let lane = self.lanes.lane(key, message.len());
        lane.try_send(message, || start(lane, &self.lanes, &self.endpoint.hub))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`Undelivered::Failed`] if the request was not sent. With any other error it may or may not have
    /// been carried out, except that [`Undelivered::Shed`] says it was not sent.
    ///
    /// # Cancel safety
    /// Dropping the future discards the answer. The request may be carried out all the same.
    pub async fn request(&self, message: impl Into<Bytes>) -> Result<Bytes, Undelivered> {
        self.send(message).await.map_err(Undelivered::Failed)?.await
    }

    fn check(&self, message: &Bytes) -> Result<(), SendError> {
        let declared = self.endpoint.declared();
        if message.len() > declared.options.max_message {
            return Err(SendError::TooLarge {
                size: message.len(),
                max: declared.options.max_message,
            });
        }
        if matches!(declared.carries, Carries::Bytes) {
            return Err(self.endpoint.carries("streams of bytes"));
        }
        self.endpoint.check(self.lanes.to)
    }
}

fn hash(key: impl Hash) -> u64 {
    // Without random state: a key keeps its lane.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A stream of bytes between two nodes, in both directions. Dropping it ends it. Close it first, so that
/// everything you wrote arrives.
#[derive(Debug)]
pub struct ByteStream(Stream);

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
