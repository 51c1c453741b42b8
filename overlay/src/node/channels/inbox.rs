//! What arrived on a channel and waits for the application.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::declare::Channel;
use super::inbound::InboundLane;
use crate::NodeId;
use crate::channel::Incoming;
use crate::node::budget::{Budget, Kept, Share};

/// A message as the application gets it. It is delivered once it is [acknowledged](Self::ack) or
/// [answered](Self::answer).
///
/// A message that is dropped before that, by an early return, a panic or an aborted task, is not
/// delivered: its sender is told [`Undelivered::Dropped`](super::Undelivered::Dropped) at once. It is not
/// sent again, and the messages after it go on. On a best-effort channel nobody is told.
///
/// ```
/// # use murmurate::Endpoint;
/// # async fn carry_out(_: &[u8]) -> std::io::Result<()> { Ok(()) }
/// async fn serve(orders: Endpoint) -> std::io::Result<()> {
///     while let Some(order) = orders.receive().await {
///         carry_out(&order.data).await?; // An error is no acknowledgement.
///         order.ack();
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Received {
    /// Who sent it.
    pub from: NodeId,
    /// Its content.
    pub data: Bytes,
    /// Whether it, or any before it on its lane, came hop by hop. Then `from` is proven only if the overlay is
    /// [signed](crate::Builder::signed).
    pub relayed: bool,
    number: u64,
    lane: Option<Arc<InboundLane>>,
}

impl Received {
    /// The application has done what the message asked for: its sender is told that it was delivered.
    /// A request is answered with nothing. On a best-effort channel it has no effect.
    pub fn ack(mut self) {
        self.done(Some(Bytes::new()));
    }

    fn done(&mut self, answer: Option<Bytes>) {
        if let Some(lane) = self.lane.take() {
            lane.done(self.number, answer);
        }
    }

    /// Answers a request. On channels without answers this acknowledges the message.
    ///
    /// # Errors
    /// [`AnswerError`] if the answer is larger than the channel's `max_message`. Nothing was sent. The
    /// error holds the request, which can still be answered.
    pub fn answer(mut self, answer: impl Into<Bytes>) -> Result<(), AnswerError> {
        let answer = answer.into();
        if let Some(lane) = &self.lane {
            let (size, max) = (answer.len(), lane.max_message);
            if size > max {
                return Err(AnswerError { request: self, size, max });
            }
        }
        self.done(Some(answer));
        Ok(())
    }
}

/// An answer that is too large for the channel. Nothing was sent, and the sender of the request is still
/// waiting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("an answer of {size} bytes is out of range: 0 to {max} on this channel")]
pub struct AnswerError {
    /// The request: answer it shorter, or drop it.
    pub request: Received,
    /// Bytes given.
    pub size: usize,
    /// Bytes allowed.
    pub max: usize,
}

impl Drop for Received {
    fn drop(&mut self) {
        self.done(None);
    }
}

/// A bounded queue between the lanes of a channel and whoever receives on it.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    budget: Arc<Budget>,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Messages that went through.
    delivered: IntCounter,
    ready: Notify,
    room: Notify,
}

#[derive(Debug)]
struct Queue {
    items: VecDeque<Received>,
    bytes: usize,
    /// Of the node's budget: these bytes.
    share: Share,
    /// Somebody waits for room.
    awaited: bool,
    ended: bool,
}

impl Queue {
    fn count(&mut self) {
        self.share.set(self.bytes);
    }
}

impl Inbox {
    pub(crate) fn new(channel: &Channel, budget: &Arc<Budget>, delivered: IntCounter) -> Self {
        let queue = Queue {
            items: VecDeque::new(),
            bytes: 0,
            share: Share::of(budget, Kept::Message),
            awaited: false,
            ended: false,
        };
        Self {
            queue: Mutex::new(queue),
            budget: Arc::clone(budget),
            messages: channel.options.queue_messages,
            bytes: channel.options.queue_bytes,
            delivered,
            ready: Notify::new(),
            room: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock; if it did, the queue would still be whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, queue: &Queue) -> bool {
        queue.items.len() >= self.messages || queue.bytes >= self.bytes || self.is_short(queue)
    }

    /// Whether the node has no memory for more than one message here.
    fn is_short(&self, queue: &Queue) -> bool {
        !queue.items.is_empty() && self.budget.is_short()
    }

    /// Whether it is worth waking whoever waits for room: for one place alone it is not.
    fn has_room(&self, queue: &Queue) -> bool {
        let fits = 4 * queue.items.len() <= 3 * self.messages && 4 * queue.bytes <= 3 * self.bytes;
        fits && !self.is_short(queue)
    }

    /// Takes messages from a lane for as long as there are any and room for them. Whether there was
    /// room for all.
    pub(crate) fn fill(&self, from: NodeId, lane: &Arc<InboundLane>) -> bool {
        let relayed = lane.was_relayed();
        let mut deliveries = lane.deliveries();
        let mut queue = self.queue();
        let before = queue.items.len();
        let all = loop {
            if self.is_full(&queue) {
                break false;
            }
            let Some(Incoming { number, message: data }) = deliveries.next() else { break true };
            queue.bytes += data.len();
            queue.count();
            let lane = lane.hearer();
            queue.items.push_back(Received { from, data, relayed, number, lane });
        };
        let came = queue.items.len() - before;
        drop(queue);
        if came > 0 {
            self.ready.notify_one();
        }
        self.delivered.inc_by(came as u64);
        all
    }

    /// Takes all messages that a lane has now, as there is room for them.
    pub(super) async fn take_all(&self, from: NodeId, lane: &Arc<InboundLane>) {
        while !self.fill(from, lane) {
            self.room().await;
        }
    }

    /// Waits until there is room: for more than one message, if it takes more.
    pub(crate) async fn room(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            {
                let mut queue = self.queue();
                if self.has_room(&queue) {
                    return;
                }
                queue.awaited = true;
            }
            room.await;
        }
    }

    /// The next message; `None` once the node has ended.
    pub(crate) async fn next(&self) -> Option<Received> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            let mut ready = std::pin::pin!(self.ready.notified());
            ready.as_mut().enable();
            if let Some(next) = self.try_next() {
                return next;
            }
            ready.await;
        }
    }

    /// The next message if there is one; `None` inside once the node has ended.
    pub(crate) fn try_next(&self) -> Option<Option<Received>> {
        let mut queue = self.queue();
        let Some(next) = queue.items.pop_front() else { return queue.ended.then_some(None) };
        queue.bytes -= next.data.len();
        queue.count();
        let has_room = queue.awaited && self.has_room(&queue);
        queue.awaited &= !has_room;
        let others = !queue.items.is_empty();
        if !others {
            // Bursts are rare: an idle inbox keeps no room for them.
            queue.items.shrink_to(64);
        }
        drop(queue);
        if has_room {
            self.room.notify_waiters();
        }
        if others {
            // Somebody else may wait too.
            self.ready.notify_one();
        }
        Some(Some(next))
    }

    /// Messages and bytes that wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.items.len(), queue.bytes)
    }

    /// No more comes.
    pub(crate) fn end(&self) {
        self.queue().ended = true;
        self.ready.notify_waiters();
        // And for whoever is about to wait.
        self.ready.notify_one();
    }
}
