//! The receiving end of a lane: what its path brings, and what goes back.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use murmurate_membership::Time;

use super::shared::Shared;
use super::wire::{self, BATCH, WireError};
use crate::channel::session::{Fit, Greeting, Half, ReceiverSession, Welcome};
use crate::channel::{Frame, Incoming, Nonsense, Path, Receiving};
use crate::id::Incarnation;
use crate::node::budget::Share;

/// Which lane of which start of which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) from: Incarnation,
    pub(super) channel: usize,
    pub(super) lane: u16,
}

/// The receiving end of a lane; it outlives its streams.
#[derive(Debug)]
pub(crate) struct InboundLane {
    shared: Arc<Shared>,
    /// Of the node's budget.
    _share: Share,
    /// Bytes of the largest answer.
    pub(super) max_message: usize,
    /// Nothing goes back.
    silent: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    session: ReceiverSession,
    /// Counts the paths: only the last one serves.
    turn: u64,
    /// Any of its paths was hop by hop.
    relayed: bool,
    /// The writer waits for a frame to send back.
    writer: Option<Waker>,
}

impl InboundLane {
    pub(super) fn new(
        (shared, share): (Arc<Shared>, Share),
        half: Half,
        max_message: usize,
        epoch: u64,
        receiving: Box<dyn Receiving>,
    ) -> Self {
        let silent = receiving.is_silent();
        let session = ReceiverSession::new(receiving, half, epoch);
        let inner = Mutex::new(Inner { session, turn: 0, relayed: false, writer: None });
        Self { shared, _share: share, max_message, silent, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock; if it did, a lane would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application is done with a message; see [`Receiving::done`].
    pub(super) fn done(&self, number: u64, answer: Option<Bytes>) {
        let mut inner = self.inner();
        inner.session.done(number, answer);
        let writer = if inner.session.has_frame() { inner.writer.take() } else { None };
        drop(inner);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Takes frames of the sending half, if the path still serves.
    pub(super) fn receive(&self, turn: u64, frames: &mut Vec<Frame>) -> Result<(), Ended> {
        let mut inner = self.inner();
        if inner.turn != turn {
            return Err(Ended::Replaced);
        }
        let now = self.shared.now();
        let received = frames.drain(..).try_for_each(|frame| inner.session.receive(now, frame));
        // What came again is acknowledged again. A wake-up in vain would send the reader's task to
        // another thread.
        let writer = if inner.session.has_frame() { inner.writer.take() } else { None };
        drop(inner);
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(received?)
    }

    /// Whoever has to hear that the application is done with a message.
    pub(super) fn hearer(self: &Arc<Self>) -> Option<Arc<Self>> {
        (!self.silent).then(|| Arc::clone(self))
    }

    /// The messages that are next for the application. Nothing else happens to the lane meanwhile.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = Incoming> {
        let mut inner = self.inner();
        std::iter::from_fn(move || inner.session.next_delivery())
    }

    /// The next frames to send back, or waits for some; whether others wait behind them.
    pub(super) async fn take(&self, turn: u64, frames: &mut Vec<Frame>) -> Result<bool, Ended> {
        poll_fn(|context| {
            let mut inner = self.inner();
            if inner.turn != turn {
                return Poll::Ready(Err(Ended::Replaced));
            }
            let now = self.shared.now();
            let mut taken = 0;
            while taken < BATCH
                && let Some(frame) = inner.session.next_frame(now)
            {
                taken += frame.body.len() + wire::HEADER;
                frames.push(frame);
            }
            if frames.is_empty() {
                inner.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(taken >= BATCH))
        })
        .await
    }

    /// Whether a greeting is for it.
    pub(super) fn fit(&self, greeting: Greeting, path: Path) -> Fit {
        self.inner().session.fit(greeting, path)
    }

    /// Another path serves from now on; its turn, and what its sending half must know.
    pub(super) fn greet(&self, now: Time, greeting: Greeting, path: Path) -> (u64, Welcome) {
        let mut inner = self.inner();
        let welcome = inner.session.greet(now, greeting, path);
        inner.relayed |= path == Path::Relay;
        (Self::next_turn(inner), welcome)
    }

    /// Its path serves no more, whichever it is.
    pub(super) fn end(&self, now: Time) {
        let mut inner = self.inner();
        inner.session.detach(now);
        Self::next_turn(inner);
    }

    /// Another lane took its place. A stream is read to its end, a way that was laid has none.
    pub(super) fn end_relay(&self, now: Time) {
        if self.is_relayed() {
            self.end(now);
        }
    }

    /// The path before ends.
    fn next_turn(mut inner: MutexGuard<'_, Inner>) -> u64 {
        inner.turn += 1;
        let (turn, writer) = (inner.turn, inner.writer.take());
        drop(inner);
        if let Some(writer) = writer {
            writer.wake();
        }
        turn
    }

    pub(super) fn detach(&self, now: Time, turn: u64) {
        let mut inner = self.inner();
        if inner.turn == turn {
            inner.session.detach(now);
        }
    }

    /// Whether it is served hop by hop.
    pub(super) fn is_relayed(&self) -> bool {
        self.inner().session.path() == Some(Path::Relay)
    }

    /// Whether anything of it may have come hop by hop.
    pub(super) fn was_relayed(&self) -> bool {
        self.inner().relayed
    }

    /// Since when it has no path.
    pub(super) fn detached(&self) -> Option<Time> {
        self.inner().session.detached()
    }

    /// Whether nothing is lost by forgetting it.
    pub(super) fn is_forgettable(&self, now: Time) -> bool {
        self.inner().session.is_forgettable(now)
    }
}

/// Why a receiving end stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the lane goes on over another stream")]
    Replaced,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
}
