//! What waits to be written to one peer: two bounded lanes.
//!
//! Control never waits behind payloads. A payload that does not fit is shed and counted: whoever
//! misses it learns of it from its other neighbours' announcements. Control that does not fit
//! means that the peer takes nothing at all: the link is given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::node::budget::{Budget, Kept, Share};
use crate::node::wire::Head;

/// Bytes a writer takes at a time: a Yamux frame each, so small ones cost (one write per message is
/// five times slower over Noise).
pub(crate) const BATCH: usize = 16 << 10;
/// Bytes of control that may wait.
const CONTROL_LIMIT: usize = 1 << 20;

/// The queue between the driver, which never waits, and one link's writer.
#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: Mutex<Lanes>,
    /// Bytes of payloads that may wait.
    limit: usize,
}

#[derive(Debug)]
struct Lanes {
    control: VecDeque<Vec<u8>>,
    payloads: VecDeque<(Option<Head>, Bytes)>,
    control_bytes: usize,
    payload_bytes: usize,
    /// Of the node's budget: all of these.
    share: Share,
    /// Bytes ever taken.
    taken: u64,
    /// How often a writer found nothing left.
    emptied: u64,
    /// Whose turn it is: counts the writers.
    turn: u32,
    /// No more comes: the writer ends once all is taken.
    finished: bool,
    waker: Option<Waker>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// It waits for the writer.
    Queued,
    /// There was no room for it.
    Shed,
}

/// The right to take from an outbox, until somebody else gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(u32);

/// What a writer is told to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Write the batch, and flush it if nothing else waits.
    Batch { more: bool },
    /// Say goodbye and end: all is taken, or another link goes on.
    End,
}

/// What a writer writes at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Frames one after the other.
    pub(crate) bytes: Vec<u8>,
    /// The rest of the last frame, if copying it would cost too much.
    pub(crate) large: Option<Bytes>,
}

/// How an outbox stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    /// Bytes that wait.
    pub(crate) bytes: usize,
    /// Bytes ever taken.
    pub(crate) taken: u64,
    /// How often all was taken.
    pub(crate) emptied: u64,
}

impl Outbox {
    pub(crate) fn new(limit: usize, budget: &Arc<Budget>) -> Self {
        let lanes = Lanes {
            control: VecDeque::new(),
            payloads: VecDeque::new(),
            control_bytes: 0,
            payload_bytes: 0,
            share: Share::of(budget, Kept::Payload),
            taken: 0,
            emptied: 0,
            turn: 0,
            finished: false,
            waker: None,
        };
        Self { lanes: Mutex::new(lanes), limit }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics while it holds the lock; if it did, the queue would still be whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_control(&self, frame: Vec<u8>) -> Pushed {
        let mut lanes = self.lanes();
        if lanes.control_bytes + frame.len() > CONTROL_LIMIT {
            return Pushed::Shed;
        }
        lanes.control_bytes += frame.len();
        lanes.count();
        lanes.control.push_back(frame);
        Pushed::Queued
    }

    /// A frame that may be shed: its head, unless the body holds it all, and its body.
    pub(crate) fn push_payload(&self, head: Option<Head>, body: Bytes) -> Pushed {
        let mut lanes = self.lanes();
        let length = head.as_ref().map_or(0, |head| head.len()) + body.len();
        // One payload always fits, however small the limit.
        if lanes.payload_bytes > 0
            && (lanes.payload_bytes + length > self.limit || !lanes.share.grow(length))
        {
            return Pushed::Shed;
        }
        lanes.payload_bytes += length;
        lanes.count();
        lanes.payloads.push_back((head, body));
        Pushed::Queued
    }

    /// A frame that stays behind all payloads before it, and is never shed: there is one at a time.
    pub(crate) fn push_probe(&self, frame: Vec<u8>) {
        let mut lanes = self.lanes();
        lanes.payload_bytes += frame.len();
        lanes.count();
        lanes.payloads.push_back((None, frame.into()));
    }

    /// Wakes the writer: after all that one input caused was pushed.
    pub(crate) fn wake(&self) {
        let waker = self.lanes().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives a new writer the turn; the one before ends.
    pub(crate) fn attach(&self) -> Turn {
        let mut lanes = self.lanes();
        lanes.turn = lanes.turn.wrapping_add(1);
        let turn = Turn(lanes.turn);
        let waker = lanes.waker.take();
        drop(lanes);
        if let Some(waker) = waker {
            waker.wake();
        }
        turn
    }

    /// So much of a large payload is written: it is taken bit by bit.
    pub(crate) fn took(&self, bytes: usize) {
        self.lanes().taken += bytes as u64;
    }

    /// Lets the writer end once all is taken.
    pub(crate) fn finish(&self) {
        self.lanes().finished = true;
        self.wake();
    }

    pub(crate) fn is_empty(&self) -> bool {
        let lanes = self.lanes();
        lanes.control.is_empty() && lanes.payloads.is_empty()
    }

    pub(crate) fn depth(&self) -> Depth {
        let lanes = self.lanes();
        Depth {
            bytes: lanes.control_bytes + lanes.payload_bytes,
            taken: lanes.taken,
            emptied: lanes.emptied,
        }
    }

    /// Fills `batch` with what waits, or waits for something.
    pub(crate) fn poll_take(
        &self,
        turn: Turn,
        batch: &mut Batch,
        context: &mut Context<'_>,
    ) -> Poll<Taken> {
        let mut lanes = self.lanes();
        if lanes.turn != turn.0 {
            return Poll::Ready(Taken::End);
        }
        lanes.fill(batch);
        if !batch.is_empty() {
            let more = !lanes.control.is_empty() || !lanes.payloads.is_empty();
            return Poll::Ready(Taken::Batch { more });
        }
        if lanes.finished {
            return Poll::Ready(Taken::End);
        }
        lanes.emptied += 1;
        // Bursts are rare: an idle outbox keeps no room for them.
        lanes.control.shrink_to(16);
        lanes.payloads.shrink_to(16);
        lanes.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.large.is_none()
    }
}

impl Lanes {
    fn count(&mut self) {
        self.share.set(self.control_bytes + self.payload_bytes);
    }

    fn fill(&mut self, batch: &mut Batch) {
        batch.bytes.clear();
        batch.large = None;
        while batch.bytes.len() < BATCH
            && let Some(frame) = self.control.pop_front()
        {
            self.control_bytes -= frame.len();
            batch.bytes.extend_from_slice(&frame);
        }
        while batch.bytes.len() < BATCH
            && let Some((head, body)) = self.payloads.pop_front()
        {
            let head = head.as_deref().unwrap_or_default();
            self.payload_bytes -= head.len() + body.len();
            batch.bytes.extend_from_slice(head);
            if body.len() > BATCH {
                batch.large = Some(body);
                break;
            }
            batch.bytes.extend_from_slice(&body);
        }
        self.taken += batch.bytes.len() as u64;
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbox: &Outbox, turn: Turn) -> (Poll<Taken>, Batch) {
        let mut batch = Batch::default();
        let mut context = Context::from_waker(Waker::noop());
        (outbox.poll_take(turn, &mut batch, &mut context), batch)
    }

    #[test]
    fn control_overtakes_payloads_and_small_frames_share_a_batch() {
        let outbox = Outbox::new(1 << 20, &Budget::plenty());
        let turn = outbox.attach();
        assert_eq!(
            outbox.push_payload(Some(Head::any()), Bytes::from_static(b"x")),
            Pushed::Queued
        );
        assert_eq!(outbox.push_control(vec![2; 3]), Pushed::Queued);
        let (taken, batch) = take(&outbox, turn);
        assert_eq!(taken, Poll::Ready(Taken::Batch { more: false }));
        assert_eq!(batch.bytes[..3], [2; 3]);
        assert_eq!(batch.bytes.len(), 3 + Head::LENGTH + 1);
        assert_eq!(take(&outbox, turn).0, Poll::Pending);
    }

    #[test]
    fn a_large_payload_is_not_copied_and_ends_its_batch() {
        let outbox = Outbox::new(1 << 20, &Budget::plenty());
        let turn = outbox.attach();
        let large = Bytes::from(vec![7; BATCH + 1]);
        assert_eq!(outbox.push_payload(Some(Head::any()), large.clone()), Pushed::Queued);
        assert_eq!(outbox.push_payload(Some(Head::any()), Bytes::new()), Pushed::Queued);
        let (taken, batch) = take(&outbox, turn);
        assert_eq!(taken, Poll::Ready(Taken::Batch { more: true }));
        assert_eq!(batch.large.map(|l| l.as_ptr()), Some(large.as_ptr()));
        assert_eq!(outbox.depth().bytes, Head::LENGTH);
        outbox.took(BATCH + 1);
        assert_eq!(outbox.depth().taken, (Head::LENGTH + BATCH + 1) as u64);
    }

    #[test]
    fn a_large_frame_without_a_head_is_a_batch_too() {
        let outbox = Outbox::new(1 << 20, &Budget::plenty());
        let turn = outbox.attach();
        let large = Bytes::from(vec![7; BATCH + 1]);
        assert_eq!(outbox.push_payload(None, large.clone()), Pushed::Queued);
        let (taken, batch) = take(&outbox, turn);
        assert_eq!(taken, Poll::Ready(Taken::Batch { more: false }));
        assert_eq!((batch.bytes.len(), batch.large), (0, Some(large)));
    }

    #[test]
    fn both_lanes_are_bounded() {
        let outbox = Outbox::new(1000, &Budget::plenty());
        let body = Bytes::from(vec![0; 400]);
        assert_eq!(outbox.push_payload(Some(Head::any()), body.clone()), Pushed::Queued);
        assert_eq!(outbox.push_payload(Some(Head::any()), body.clone()), Pushed::Queued);
        assert_eq!(outbox.push_payload(Some(Head::any()), body), Pushed::Shed);
        assert_eq!(outbox.push_control(vec![0; CONTROL_LIMIT]), Pushed::Queued);
        assert_eq!(outbox.push_control(vec![0]), Pushed::Shed);
        let tiny = Outbox::new(1, &Budget::plenty());
        assert_eq!(tiny.push_payload(Some(Head::any()), Bytes::new()), Pushed::Queued);
        assert_eq!(tiny.push_payload(Some(Head::any()), Bytes::new()), Pushed::Shed);
    }

    #[test]
    fn a_new_writer_takes_over_what_waits() {
        let outbox = Outbox::new(1000, &Budget::plenty());
        let first = outbox.attach();
        assert_eq!(outbox.push_control(vec![9]), Pushed::Queued);
        let second = outbox.attach();
        assert_eq!(take(&outbox, first).0, Poll::Ready(Taken::End));
        assert_eq!(take(&outbox, second).1.bytes, [9]);
        outbox.finish();
        assert_eq!(take(&outbox, second).0, Poll::Ready(Taken::End));
    }

    #[test]
    fn payloads_are_shed_for_want_of_memory_and_control_is_not() {
        let budget = Budget::limited(1_000);
        let [one, other] = [(); 2].map(|()| Outbox::new(1 << 20, &budget));
        let payload = || Bytes::from(vec![0; 300]);
        assert_eq!(one.push_payload(None, payload()), Pushed::Queued);
        assert_eq!(one.push_payload(None, payload()), Pushed::Queued);
        assert_eq!(one.push_payload(None, payload()), Pushed::Shed);
        assert_eq!(other.push_payload(None, payload()), Pushed::Queued, "one always fits");
        assert_eq!(other.push_payload(None, payload()), Pushed::Shed);
        assert_eq!(other.push_control(vec![0; 50]), Pushed::Queued);
        assert_eq!(budget.used(), 950);
        let turn = one.attach();
        let (_, batch) = take(&one, turn);
        assert_eq!((batch.bytes.len(), budget.used()), (600, 350));
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
