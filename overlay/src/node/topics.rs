//! Who listens to what.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

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
/// It holds a bounded number of them: a subscriber that falls behind is told how many it lost, in
/// their place. The stream ends with the node.
#[derive(Debug)]
pub struct Subscription {
    items: mpsc::Receiver<Result<Delivery, Lagged>>,
    lost: Arc<AtomicU64>,
}

impl Stream for Subscription {
    type Item = Result<Delivery, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.items.poll_recv(context);
        if let Poll::Ready(Some(_)) = next {
            return next;
        }
        // All that was kept is read: what was lost since comes next.
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => next,
            lost => Poll::Ready(Some(Err(Lagged(lost)))),
        }
    }
}

/// The other end of a [`Subscription`].
#[derive(Debug)]
struct Subscriber {
    items: mpsc::Sender<Result<Delivery, Lagged>>,
    lost: Arc<AtomicU64>,
}

impl Subscriber {
    /// Hands over a delivery if there is room; whether anybody is still there.
    fn give(&self, delivery: Delivery) -> bool {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && self.items.try_send(Err(Lagged(lost))).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        } else if self.items.try_send(Ok(delivery)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        !self.items.is_closed()
    }
}

/// The subscriptions of a node, shared by its handles and its driver.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    /// `None` once the node has ended.
    subscribers: Arc<Mutex<Option<Subscribers>>>,
    capacity: usize,
}

type Subscribers = BTreeMap<Box<str>, Vec<Subscriber>>;

impl Topics {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { subscribers: Arc::new(Mutex::new(Some(BTreeMap::new()))), capacity }
    }

    fn subscribers(&self) -> MutexGuard<'_, Option<Subscribers>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self, topic: &str) -> Subscription {
        let (items, receive) = mpsc::channel(self.capacity);
        let lost = Arc::new(AtomicU64::new(0));
        if let Some(subscribers) = &mut *self.subscribers() {
            let subscriber = Subscriber { items, lost: Arc::clone(&lost) };
            subscribers.entry(topic.into()).or_default().push(subscriber);
        }
        Subscription { items: receive, lost }
    }

    pub(crate) fn deliver(&self, id: MessageId, hops: u16, publication: &Publication) {
        let mut subscribers = self.subscribers();
        let Some(all) = &mut *subscribers else { return };
        let topic = publication.topic();
        let Some(some) = all.get_mut(topic) else { return };
        let published = UNIX_EPOCH
            .checked_add(Duration::from_micros(publication.published()))
            .unwrap_or(UNIX_EPOCH);
        let delivery = Delivery { id, hops, published, data: publication.data() };
        some.retain(|subscriber| subscriber.give(delivery.clone()));
        if some.is_empty() {
            all.remove(topic);
        }
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&self) {
        self.subscribers().take();
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::node::id::{Incarnation, NodeId};

    fn deliver(topics: &Topics, sequence: u64) {
        let origin = Incarnation { node: NodeId::from_bytes([1; 32]), started: 1 };
        let publication = Publication::new("news", 0, b"x").expect("a short topic");
        topics.deliver(MessageId { origin, sequence }, 1, &publication);
    }

    /// What the subscription has at once: sequences, and losses as negative numbers.
    fn read(subscription: &mut Subscription) -> Vec<i64> {
        let next = || subscription.next().now_or_never().flatten();
        std::iter::from_fn(next)
            .map(|item| item.map_or_else(|Lagged(n)| -(n as i64), |d| d.id.sequence as i64))
            .collect()
    }

    #[test]
    fn a_subscriber_that_falls_behind_learns_where_and_how_much_it_lost() {
        let topics = Topics::new(3);
        let mut subscription = topics.subscribe("news");
        let mut other = topics.subscribe("weather");
        (0..10).for_each(|sequence| deliver(&topics, sequence));
        assert_eq!(read(&mut subscription), [0, 1, 2, -7]);
        (10..12).for_each(|sequence| deliver(&topics, sequence));
        assert_eq!(subscription.next().now_or_never().flatten().map(|i| i.is_ok()), Some(true));
        (12..20).for_each(|sequence| deliver(&topics, sequence));
        assert_eq!(read(&mut subscription), [11, 12, 13, -6]);
        assert!(read(&mut other).is_empty());
    }

    #[test]
    fn what_nobody_listens_to_is_forgotten_and_the_end_is_the_end() {
        let topics = Topics::new(3);
        drop(topics.subscribe("news"));
        deliver(&topics, 1);
        assert_eq!(topics.subscribers().as_ref().map(BTreeMap::len), Some(0));
        let mut subscription = topics.subscribe("news");
        deliver(&topics, 2);
        topics.end();
        assert_eq!(read(&mut subscription), [2]);
        assert!(subscription.next().now_or_never() == Some(None));
        assert!(topics.subscribe("news").next().now_or_never() == Some(None));
    }
}
