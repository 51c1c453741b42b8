//! Who listens to what.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::id::MessageId;
use super::wire::Publication;

/// A broadcast as its subscribers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name; `id.origin.node` published it.
    pub id: MessageId,
    /// Links it crossed.
    pub hops: u16,
    /// When it was published, by the publisher's clock.
    pub published: SystemTime,
    /// Its content.
    pub data: Bytes,
}

/// The subscriber fell behind by so many messages, which it will not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber fell behind and lost {0} messages")]
pub struct Lagged(pub u64);

/// The messages of a topic from the moment of subscribing, in the order they arrived.
///
/// It holds a bounded number of them: a subscriber that falls behind is told how many it lost. The
/// stream ends with the node.
#[derive(Debug)]
pub struct Subscription(BroadcastStream<Delivery>);

impl Stream for Subscription {
    type Item = Result<Delivery, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context).map(|next| {
            next.map(|got| got.map_err(|BroadcastStreamRecvError::Lagged(lost)| Lagged(lost)))
        })
    }
}

/// The subscriptions of a node, shared by its handles and its driver.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    senders: Arc<Mutex<Option<Senders>>>,
    capacity: usize,
}

type Senders = BTreeMap<Box<str>, broadcast::Sender<Delivery>>;

impl Topics {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { senders: Arc::new(Mutex::new(Some(BTreeMap::new()))), capacity }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Option<Senders>) -> T) -> T {
        f(&mut self.senders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn subscribe(&self, topic: &str) -> Subscription {
        let receiver = self.with(|senders| match senders {
            Some(senders) => senders
                .entry(topic.into())
                .or_insert_with(|| broadcast::Sender::new(self.capacity))
                .subscribe(),
            // The node has ended: so does the stream.
            None => broadcast::channel(1).1,
        });
        Subscription(BroadcastStream::new(receiver))
    }

    pub(crate) fn deliver(&self, id: MessageId, hops: u16, publication: &Publication) {
        let topic = publication.topic();
        self.with(|senders| {
            let Some(senders) = senders else { return };
            let Some(sender) = senders.get(topic) else { return };
            let published = UNIX_EPOCH
                .checked_add(Duration::from_micros(publication.published()))
                .unwrap_or(UNIX_EPOCH);
            let delivery = Delivery { id, hops, published, data: publication.data() };
            if sender.send(delivery).is_err() {
                senders.remove(topic);
            }
        });
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&self) {
        self.with(Option::take);
    }
}
