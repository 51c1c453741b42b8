//! Who listens to what.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::Stream;
use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::wire::Publication;
use crate::id::{Incarnation, MessageId};

/// Items that a subscription takes out of its queue at a time.
const TAKEN_AT_ONCE: usize = 64;

/// A broadcast as it is delivered to subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

/// Messages that a subscriber will not get, told in their place. The enum is exhaustive, so that no
/// subscriber overlooks a kind of loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The subscriber fell behind by so many messages of its topic.
    #[error("the subscriber fell behind and lost {0} messages")]
    Lagged(u64),
    /// So many broadcasts of this origin never reached the node and can no longer be fetched. Their
    /// topics are unknown, so all subscriptions are told.
    #[error("{count} broadcasts of {origin} never arrived")]
    Missed {
        /// Who published them.
        origin: Incarnation,
        /// How many.
        count: u64,
    },
}

/// The messages of a topic from the moment of subscribing, in the order they arrived.
///
/// It holds a bounded number of them, and up to 64 more that the reader has begun to take. A subscriber
/// that falls behind is told how many it lost, in their place. The stream ends with the node. Dropping it
/// unsubscribes at once, and what it still holds is lost.
///
/// # Cancel safety
/// Dropping the future of `next` loses no message.
#[derive(Debug)]
pub struct Subscription {
    items: mpsc::Receiver<Result<Delivery, Lost>>,
    /// Taken out of `items`, the next one last.
    taken: Vec<Result<Delivery, Lost>>,
    lost: Arc<AtomicU64>,
    topics: Topics,
    topic: Box<str>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let gone = self.topics.forget(&self.topic, self.number);
        // Its channel is freed after the lock.
        drop(gone);
    }
}

impl Stream for Subscription {
    type Item = Result<Delivery, Lost>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(next) = self.taken.pop() {
            return Poll::Ready(Some(next));
        }
        // Many at a time: tokio ends a task's turn after so many single ones that a reader would fall
        // behind a driver that has its full turns.
        let Self { items, taken, .. } = &mut *self;
        match items.poll_recv_many(context, taken, TAKEN_AT_ONCE) {
            Poll::Ready(1..) => {
                taken.reverse();
                Poll::Ready(taken.pop())
            }
            none => match self.lost.swap(0, Ordering::Relaxed) {
                0 => none.map(|_ended| None),
                // All that was kept is read: what was lost since comes next.
                lost => Poll::Ready(Some(Err(Lost::Lagged(lost)))),
            },
        }
    }
}

/// The other end of a [`Subscription`].
#[derive(Debug)]
struct Subscriber {
    items: mpsc::Sender<Result<Delivery, Lost>>,
    lost: Arc<AtomicU64>,
}

impl Subscriber {
    /// Hands over an item if there is room; how many messages are newly lost because there was none.
    fn give(&self, item: Result<Delivery, Lost>) -> u64 {
        let messages = if let Err(Lost::Missed { count, .. }) = item { count } else { 1 };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let told = lost == 0 || self.items.try_send(Err(Lost::Lagged(lost))).is_ok();
        let given = told && self.items.try_send(item).is_ok();
        let still_lost = if told { 0 } else { lost };
        let newly_lost = if given { 0 } else { messages };
        self.lost.fetch_add(still_lost.saturating_add(newly_lost), Ordering::Relaxed);
        newly_lost
    }
}

/// The subscriptions of a node, shared by its handles and its driver.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    /// `None` once the node has ended.
    subscribers: Arc<Mutex<Option<Subscribers>>>,
    capacity: usize,
    /// Topics that also have what was published before the node's time.
    catch_up: Arc<BTreeSet<Box<str>>>,
    lagged: IntCounter,
}

/// Each has a number, which is in no other topic either.
#[derive(Debug, Default)]
struct Subscribers {
    by_topic: BTreeMap<Box<str>, BTreeMap<u64, Subscriber>>,
    numbers: u64,
    /// Of topics that catch up, until somebody subscribes.
    waiting: BTreeMap<Box<str>, Reader>,
}

/// A subscription's end of the channel.
#[derive(Debug)]
struct Reader {
    items: mpsc::Receiver<Result<Delivery, Lost>>,
    lost: Arc<AtomicU64>,
    number: u64,
}

impl Subscribers {
    fn add(&mut self, topic: &str, capacity: usize) -> Reader {
        let (items, receive) = mpsc::channel(capacity);
        let lost = Arc::new(AtomicU64::new(0));
        self.numbers += 1;
        let subscriber = Subscriber { items, lost: Arc::clone(&lost) };
        self.by_topic.entry(topic.into()).or_default().insert(self.numbers, subscriber);
        Reader { items: receive, lost, number: self.numbers }
    }
}

impl Topics {
    /// For subscriptions that hold so many messages each. `lagged` counts those they lose.
    pub(crate) fn new(capacity: usize, catch_up: BTreeSet<Box<str>>, lagged: IntCounter) -> Self {
        let mut subscribers = Subscribers::default();
        for topic in &catch_up {
            let reader = subscribers.add(topic, capacity);
            subscribers.waiting.insert(topic.clone(), reader);
        }
        let subscribers = Arc::new(Mutex::new(Some(subscribers)));
        Self { subscribers, capacity, catch_up: Arc::new(catch_up), lagged }
    }

    /// Whether a topic also has what was published before the node's time.
    pub(crate) fn catches_up(&self, topic: &str) -> bool {
        self.catch_up.contains(topic)
    }

    fn subscribers(&self) -> MutexGuard<'_, Option<Subscribers>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self, topic: &str) -> Subscription {
        let reader = match &mut *self.subscribers() {
            Some(subscribers) => match subscribers.waiting.remove(topic) {
                Some(waiting) => waiting,
                None => subscribers.add(topic, self.capacity),
            },
            // Nothing comes any more.
            None => Subscribers::default().add(topic, self.capacity),
        };
        let Reader { items, lost, number } = reader;
        Subscription {
            items,
            taken: Vec::new(),
            lost,
            topics: self.clone(),
            topic: topic.into(),
            number,
        }
    }

    /// Nobody listens there any more.
    fn forget(&self, topic: &str, number: u64) -> Option<Subscriber> {
        let mut subscribers = self.subscribers();
        let by_topic = &mut subscribers.as_mut()?.by_topic;
        let of_topic = by_topic.get_mut(topic)?;
        let gone = of_topic.remove(&number);
        if of_topic.is_empty() {
            by_topic.remove(topic);
        }
        gone
    }

    pub(crate) fn deliver(&self, id: MessageId, hops: u16, publication: &Publication) {
        let subscribers = self.subscribers();
        let Some(all) = &*subscribers else { return };
        let Some(of_topic) = all.by_topic.get(publication.topic()) else { return };
        let published = UNIX_EPOCH
            .checked_add(Duration::from_micros(publication.published()))
            .unwrap_or(UNIX_EPOCH);
        let delivery = Delivery { id, hops, published, data: publication.data() };
        for subscriber in of_topic.values() {
            self.lagged.inc_by(subscriber.give(Ok(delivery.clone())));
        }
    }

    /// Tells all subscriptions what none of them will get.
    pub(crate) fn missed(&self, origin: Incarnation, count: u64) {
        let subscribers = self.subscribers();
        for subscriber in
            subscribers.iter().flat_map(|all| all.by_topic.values().flat_map(BTreeMap::values))
        {
            self.lagged.inc_by(subscriber.give(Err(Lost::Missed { origin, count })));
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
    use crate::id::{Incarnation, NodeId};

    fn topics() -> Topics {
        catching_up(BTreeSet::new())
    }

    fn catching_up(topics: BTreeSet<Box<str>>) -> Topics {
        Topics::new(3, topics, IntCounter::new("lagged", "lost").expect("a valid name"))
    }

    /// Topics somebody listens to, and who.
    fn listeners(topics: &Topics) -> (usize, usize) {
        let subscribers = topics.subscribers();
        let by_topic = subscribers.as_ref().map(|all| &all.by_topic).expect("the node runs");
        (by_topic.len(), by_topic.values().map(BTreeMap::len).sum())
    }

    fn deliver(topics: &Topics, sequence: u64) {
        let origin = Incarnation { node: NodeId::from_bytes([1; 32]), started: 1 };
        let publication = Publication::new("news", 0, b"x").expect("a short topic");
        topics.deliver(MessageId { origin, sequence }, 1, &publication);
    }

    /// What the subscription has at once: sequences, and losses as negative numbers.
    fn read(subscription: &mut Subscription) -> Vec<i64> {
        let next = || subscription.next().now_or_never().flatten();
        std::iter::from_fn(next)
            .map(|item| match item {
                Ok(delivery) => delivery.id.sequence as i64,
                Err(Lost::Lagged(lost)) => -(lost as i64),
                Err(Lost::Missed { count, .. }) => -1_000 - count as i64,
            })
            .collect()
    }

    #[test]
    fn a_subscriber_that_falls_behind_learns_where_and_how_much_it_lost() {
        let topics = topics();
        let mut subscription = topics.subscribe("news");
        let mut other = topics.subscribe("weather");
        (0..10).for_each(|sequence| deliver(&topics, sequence));
        assert_eq!(read(&mut subscription), [0, 1, 2, -7]);
        (10..12).for_each(|sequence| deliver(&topics, sequence));
        assert_eq!(subscription.next().now_or_never().flatten().map(|i| i.is_ok()), Some(true));
        (12..20).for_each(|sequence| deliver(&topics, sequence));
        // What the reader has begun to take is not in the queue any more.
        assert_eq!(read(&mut subscription), [11, 12, 13, 14, -5]);
        assert!(read(&mut other).is_empty());
        assert_eq!(topics.lagged.get(), 7 + 5, "each that is lost is counted once");
    }

    #[test]
    fn a_subscription_that_is_dropped_is_gone_at_once() {
        let topics = topics();
        let (kept, other) = (topics.subscribe("news"), topics.subscribe("other"));
        for number in 0..1_000 {
            drop(topics.subscribe("news"));
            drop(topics.subscribe(&number.to_string()));
        }
        assert_eq!(listeners(&topics), (2, 2), "nothing was delivered meanwhile");
        drop(kept);
        assert_eq!(listeners(&topics), (1, 1));
        drop(other);
        assert_eq!(listeners(&topics), (0, 0));
    }

    #[test]
    fn a_topic_that_catches_up_waits_for_its_first_subscription() {
        let topics = catching_up(BTreeSet::from(["past".into()]));
        assert!(topics.catches_up("past") && !topics.catches_up("news"));
        let origin = Incarnation { node: NodeId::from_bytes([1; 32]), started: 1 };
        let publication = Publication::new("past", 0, b"x").expect("a short topic");
        for sequence in 0..5 {
            topics.deliver(MessageId { origin, sequence }, 1, &publication);
        }
        let mut first = topics.subscribe("past");
        assert_eq!(read(&mut first), [0, 1, 2, -2]);
        assert!(read(&mut topics.subscribe("past")).is_empty());
        drop(first);
        assert!(read(&mut topics.subscribe("past")).is_empty());
    }

    #[test]
    fn the_end_is_the_end() {
        let topics = topics();
        let mut subscription = topics.subscribe("news");
        deliver(&topics, 2);
        topics.end();
        assert_eq!(read(&mut subscription), [2]);
        assert!(subscription.next().now_or_never() == Some(None));
        assert!(topics.subscribe("news").next().now_or_never() == Some(None));
    }
}
