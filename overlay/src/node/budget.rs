//! One budget for what others can make a node keep.
//!
//! | what | when there is no room |
//! |---|---|
//! | a frame that arrives, beyond a first part | it waits, and its link ends if that takes longer than a message may pause |
//! | a payload for a neighbour | it is shed, as from a full outbox |
//! | a lane of a channel | it is refused, as if there were too many |
//! | a message on a channel | it waits in its stream, as before a full inbox |
//! | control, first parts of frames, one payload for each neighbour | it is taken: a fifth of the budget is left for them |
//!
//! What anti-entropy keeps for others is taken at the start. What the operating system and libp2p hold for a
//! connection is bounded by `max_connections`, and not counted here. Nor is what subscriptions hold, which is
//! bounded by `subscription_capacity`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use prometheus::IntCounterVec;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Where it is refused to take more: at four fifths.
const REFUSED: (usize, usize) = (4, 5);

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A part of one that arrives.
    Frame,
    /// What waits for a neighbour.
    Payload,
    /// The receiving end of one.
    Lane,
    /// What waits for the application.
    Message,
}

impl Kept {
    /// As the metric labels what is refused, or has to wait. Messages wait in their streams.
    pub(crate) const LABELS: [&str; 3] = ["frame", "payload", "lane"];
}

/// A node's budget, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    /// What can be refused fits below this.
    limit: usize,
    refused: IntCounterVec,
    /// Whoever waits for room.
    waiting: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// Of which so much is taken for good.
    pub(crate) fn new(bytes: usize, taken: usize, refused: IntCounterVec) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(taken),
            limit: bytes / REFUSED.1 * REFUSED.0,
            refused,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// More than any test needs.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn plenty() -> Arc<Self> {
        Self::limited(usize::MAX)
    }

    #[cfg(any(test, fuzzing))]
    #[allow(clippy::expect_used, reason = "tests and fuzzers may")]
    pub(crate) fn limited(bytes: usize) -> Arc<Self> {
        let name = prometheus::Opts::new("refused", "Refused.");
        let refused = IntCounterVec::new(name, &["what"]);
        Self::new(bytes, 0, refused.expect("a valid name"))
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Whether nothing more is taken that can be refused.
    pub(crate) fn is_short(&self) -> bool {
        self.used() >= self.limit
    }

    fn fits(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(SeqCst, SeqCst, fits).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }

    /// Waits until so many bytes fit, and takes them.
    async fn wait(&self, bytes: usize) {
        let _waits = Waits::new(&self.waiting);
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.fits(bytes) {
                return;
            }
            freed.await;
        }
    }
}

/// Counted as one that waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, SeqCst);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// What one thing has of a budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Budget>,
    kept: Kept,
    bytes: usize,
}

impl Share {
    pub(crate) fn of(budget: &Arc<Budget>, kept: Kept) -> Self {
        Self { of: Arc::clone(budget), kept, bytes: 0 }
    }

    fn refused(&self) {
        if let Some(label) = Kept::LABELS.get(self.kept as usize) {
            self.of.refused.with_label_values(&[*label]).inc();
        }
    }

    /// Takes or gives back what it is more or less than before, also if there is no room.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.of.used.fetch_add(bytes - before, SeqCst);
        } else if bytes < before {
            self.of.give_back(before - bytes);
        }
    }

    /// Takes so many more, if there is room.
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let fits = self.of.fits(by);
        if fits {
            self.bytes += by;
        } else {
            self.refused();
        }
        fits
    }

    /// Takes up to so many as soon as there is room; whether there was within this time. Nothing is taken
    /// if this is cancelled.
    pub(crate) async fn grow_to(&mut self, bytes: usize, within: Duration) -> bool {
        let by = bytes.saturating_sub(self.bytes);
        if by > 0 && !self.of.fits(by) {
            self.refused();
            if timeout(within, self.of.wait(by)).await.is_err() {
                return false;
            }
        }
        self.bytes += by;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which were refused.
    fn refused(memory: &Budget, what: &str) -> u64 {
        memory.refused.with_label_values(&[what]).get()
    }

    #[test]
    fn what_can_be_refused_is_at_four_fifths_and_the_rest_is_taken() {
        let memory = Budget::limited(100);
        let [mut one, mut other] = [Kept::Payload, Kept::Lane].map(|kept| Share::of(&memory, kept));
        assert!(one.grow(50) && !other.grow(31) && other.grow(30));
        assert_eq!((memory.used(), memory.is_short(), refused(&memory, "lane")), (80, true, 1));
        other.set(40);
        assert_eq!((memory.used(), one.grow(0)), (90, false), "control is taken all the same");
        other.set(10);
        assert!(one.grow(20) && !one.grow(1) && !one.grow(usize::MAX));
        drop(one);
        assert_eq!(memory.used(), 10);
        drop(other);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_has_room_once_there_is_any() {
        let memory = Budget::limited(100);
        let [mut one, mut other] = [(); 2].map(|()| Share::of(&memory, Kept::Frame));
        let soon = Duration::from_secs(1);
        assert!(one.grow_to(70, soon).await && one.grow_to(60, soon).await);
        assert_eq!(memory.used(), 70, "it is no less than it was");
        assert!(!other.grow_to(11, soon).await);
        assert_eq!((memory.used(), refused(&memory, "frame")), (70, 1));
        let (grown, ()) = tokio::join!(other.grow_to(11, soon), async {
            tokio::task::yield_now().await;
            one.set(69);
        });
        assert!(grown);
        assert_eq!((memory.used(), memory.waiting.load(SeqCst)), (80, 0));
    }
}
