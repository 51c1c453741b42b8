//! The sending end of a lane: what callers push, the session sends, and its task carries.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::AsyncRead;
use murmurate_membership::Time;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::counts::ChannelCounts;
use super::declare::{Channel, Overflow};
use super::error::{SendError, Undelivered};
use super::receipts::Receipts;
use super::shared::Shared;
use super::wire::{self, BATCH, Declared, FrameReader, Hello, Refusal};
use crate::NodeId;
use crate::channel::session::{End, Greeting, Half, Next, SenderSession, Want, Welcome};
use crate::channel::{Depth, Frame, Full, Nonsense, Outcome, Path, Ticket};
use crate::node::transport::Slot;
use crate::node::unreachable::Unreachable;

/// How long a failure is told to everybody before a lane tries again.
const REMEMBERED: Duration = Duration::from_millis(250);

/// One lane to one node.
#[derive(Debug)]
pub(crate) struct Lane {
    shared: Arc<Shared>,
    pub(crate) to: NodeId,
    /// Index of its channel.
    pub(crate) channel: usize,
    pub(crate) index: u16,
    pub(crate) slot: Slot,
    inner: Mutex<Inner>,
    /// Senders that wait for room, or for the first connection: whoever came first has it, and waits...
    turn: tokio::sync::Mutex<()>,
    /// ...for this.
    room: Notify,
}

#[derive(Debug)]
struct Inner {
    session: SenderSession,
    receipts: Receipts,
    /// Why it gave up last, and when.
    failed: Option<(SendError, Instant)>,
    /// A task serves the lane.
    running: bool,
    /// The task waits for something to send.
    writer: Option<Waker>,
    /// The time when the task last looked at it: not long ago while something waits.
    looked: Time,
    /// Frames sent again that are counted.
    retransmitted: u64,
    /// Senders that wait for room, or for the receiver to answer.
    waiting: usize,
}

/// Who wants to push.
#[derive(Debug, Clone, Copy)]
enum Caller {
    /// Does not wait: there is room, or not.
    Tries,
    /// Comes just now, and would wait.
    Comes,
    /// Has waited for longer than all others.
    First,
}

/// What a lane's task does next.
#[derive(Debug)]
pub(super) enum Task {
    /// Waits.
    Rest(Duration),
    /// Opens a path.
    Open,
    /// Ends: nothing is to be done.
    End,
}

/// What a lane's task carries next.
#[derive(Debug)]
pub(super) enum Said {
    Greeting(Greeting),
    /// Frames for this half, and whether others wait behind them.
    Frames(Half, bool),
    /// The node leaves, and everything has its outcome.
    Nothing,
}

impl Lane {
    pub(crate) fn new(
        shared: Arc<Shared>,
        to: NodeId,
        channel: usize,
        index: u16,
        slot: Slot,
        session: SenderSession,
        acknowledges: bool,
    ) -> Self {
        let receipts = Receipts::new(acknowledges);
        let inner = Inner {
            session,
            receipts,
            failed: None,
            running: false,
            writer: None,
            looked: Time::ZERO,
            retransmitted: 0,
            waiting: 0,
        };
        let inner = Mutex::new(inner);
        let (turn, room) = Default::default();
        Self { shared, to, channel, index, slot, inner, turn, room }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock; if it did, a lane would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn declared(&self) -> &Channel {
        &self.shared.declared[self.channel]
    }

    pub(super) fn reader<S: AsyncRead + Unpin>(&self, stream: S) -> FrameReader<S> {
        self.shared.reader(stream, self.channel)
    }

    fn counts(&self) -> &ChannelCounts {
        &self.shared.counts[self.channel]
    }

    /// What it says of itself first.
    pub(super) fn hello(&self, greeting: Greeting) -> Hello<'_> {
        let declared = self.declared();
        Hello {
            started: self.shared.me.started,
            channel: Cow::Borrowed(&declared.name),
            declared: Declared::of(declared),
            lane: self.index,
            greeting,
        }
    }

    /// What the sender is told of a node that it cannot speak to.
    pub(super) fn unreachable(&self, reason: Unreachable) -> SendError {
        SendError::Unreachable { node: self.to, reason: reason.into() }
    }

    /// What the sender is told of a node that refuses the lane.
    pub(super) fn refused(&self, refusal: Refusal) -> SendError {
        self.shared.refused(self.to, self.channel, refusal)
    }

    /// Pushes a message as soon as the receiver has answered and there is room, after whoever has waited
    /// for longer. If no task serves the lane, this starts one.
    pub(super) async fn send(
        self: &Arc<Self>,
        message: Bytes,
        start: impl Fn(),
    ) -> Result<Receipt, SendError> {
        // Mostly there is room at once.
        if let Some(done) = self.try_now(&message, Caller::Comes, &start) {
            return done;
        }
        let _waits = Waits::new(self);
        let _turn = self.turn.lock().await;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(done) = self.try_now(&message, Caller::First, &start) {
                return done;
            }
            room.await;
        }
    }

    /// Pushes a message if there is room. If no task serves the lane, this starts one.
    pub(super) fn try_send(
        self: &Arc<Self>,
        message: &Bytes,
        start: impl FnOnce(),
    ) -> Result<Receipt, SendError> {
        self.try_now(message, Caller::Tries, start).unwrap_or(Err(SendError::Full))
    }

    /// `None`: not now.
    fn try_now(
        self: &Arc<Self>,
        message: &Bytes,
        caller: Caller,
        start: impl FnOnce(),
    ) -> Option<Result<Receipt, SendError>> {
        let declared = self.declared();
        let mut inner = self.inner();
        if self.shared.has_ended() {
            return Some(Err(SendError::Ended));
        }
        if let Some((error, since)) = &inner.failed {
            if since.elapsed() < REMEMBERED {
                return Some(Err(error.clone()));
            }
            inner.failed = None;
        }
        if !inner.running {
            inner.running = true;
            self.shared.begins_to_send();
            start();
        }
        let must_wait = match caller {
            Caller::Tries => false,
            Caller::First => !inner.session.knows(),
            Caller::Comes => !inner.session.knows() || inner.goes_in_turn(),
        };
        if must_wait {
            return None;
        }
        let counts = self.counts();
        let now = inner.push_time(&self.shared);
        let pushed = match (inner.session.push(now, message.clone()), declared.overflow) {
            (Ok(ticket), _) => Ok(ticket),
            (Err(Full), Overflow::Wait) => return None,
            (Err(Full), Overflow::DropNewest) => Err(Full),
            (Err(Full), Overflow::DropOldest) => inner.make_room(&self.shared, declared, message),
        };
        let Ok(ticket) = pushed else {
            counts.shed.inc();
            return Some(Ok(Receipt { lane: None, ticket: 0, shed: inner.receipts.kept }));
        };
        counts.sent.inc();
        let kept = inner.receipts.kept;
        if kept {
            inner.receipts.add(now);
        }
        let writer = inner.writer.take();
        // Replaced or shed at once.
        let reported = inner.report_outcomes(&self.shared, self.channel);
        drop(inner);
        self.note_outcomes(reported);
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(Ok(Receipt { lane: kept.then(|| Arc::clone(self)), ticket, shed: false }))
    }

    /// What its task does next, while it has no path.
    pub(super) fn next(&self) -> Task {
        let mut inner = self.inner();
        let now = self.shared.now();
        let wanted =
            inner.waiting > 0 && inner.failed.is_none() && !inner.is_pointless(&self.shared);
        let want = inner.session.wants_path(now, wanted);
        match want {
            Want::Path => Task::Open,
            Want::Later(at) => Task::Rest(at.since(now)),
            Want::Nothing => {
                inner.running = false;
                Task::End
            }
        }
    }

    /// The path that was asked for is open.
    pub(super) fn opened(&self, path: Path) {
        self.inner().session.opened(self.shared.now(), path);
    }

    /// What to say next on the path, as much as is written at a time, or waits for something.
    pub(super) async fn take(&self, frames: &mut Vec<Frame>) -> Said {
        poll_fn(|context| {
            let mut inner = self.inner();
            if let Some(greeting) = inner.session.greeting() {
                return Poll::Ready(Said::Greeting(greeting));
            }
            let now = self.shared.now();
            inner.looked = now;
            let mut taken = 0;
            while taken < BATCH
                && let Some(frame) = inner.session.next_frame(now)
            {
                taken += frame.body.len() + wire::HEADER;
                frames.push(frame);
            }
            let Some(half) = inner.session.attached().filter(|_| !frames.is_empty()) else {
                if inner.is_done(&self.shared) {
                    return Poll::Ready(Said::Nothing);
                }
                inner.writer = Some(context.waker().clone());
                return Poll::Pending;
            };
            let more = inner.session.half().has_frame();
            let reported = inner.report_outcomes(&self.shared, self.channel);
            drop(inner);
            self.note_outcomes(reported);
            Poll::Ready(Said::Frames(half, more))
        })
        .await
    }

    /// Takes what came back from the half that the path leads to.
    pub(super) fn receive(&self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Nonsense> {
        let mut inner = self.inner();
        let now = self.shared.now();
        let received = frames.into_iter().try_for_each(|frame| inner.session.receive(now, frame));
        self.finish(inner);
        received
    }

    /// Does what is due. Whether the path ended by that.
    pub(super) fn expire(&self) -> bool {
        let mut inner = self.inner();
        let now = self.shared.now();
        inner.looked = now;
        if inner.session.deadline().is_none_or(|due| due > now) {
            return false;
        }
        let ended = inner.session.expire(now);
        let silent = self.unreachable(Unreachable::Silent);
        match ended {
            Some((_, next)) => self.ended(inner, next, silent),
            None => self.finish(inner),
        }
        ended.is_some()
    }

    /// The other end answers a greeting. Whether the path stands: answers may come late.
    pub(super) fn welcome(&self, welcome: Welcome) -> Result<bool, Nonsense> {
        let mut inner = self.inner();
        let stands = inner.session.welcome(self.shared.now(), welcome)?;
        self.finish(inner);
        self.room.notify_waiters();
        Ok(stands)
    }

    /// The path is no more, or there is none. If that is the end of all that waits, this is why.
    pub(super) fn end(&self, why: End, error: SendError) {
        let mut inner = self.inner();
        let next = inner.session.end(self.shared.now(), why);
        self.ended(inner, next, error);
    }

    fn ended(&self, inner: MutexGuard<'_, Inner>, next: Next, error: SendError) {
        match next {
            Next::Retries => self.finish(inner),
            Next::GaveUp => self.failed(inner, error),
        }
    }

    /// Gives all up, and says why for a while.
    pub(super) fn fail(&self, error: SendError) {
        let mut inner = self.inner();
        inner.session.give_up();
        self.failed(inner, error);
    }

    fn failed(&self, mut inner: MutexGuard<'_, Inner>, error: SendError) {
        inner.receipts.because = Some(error.clone());
        let reported = inner.report_outcomes(&self.shared, self.channel);
        inner.receipts.because = None;
        inner.failed = Some((error, Instant::now()));
        drop(inner);
        self.note_outcomes(reported);
        self.room.notify_waiters();
    }

    /// The node leaves: nothing more is taken, and the task ends what was.
    pub(super) fn leave(&self) {
        let writer = self.inner().writer.take();
        self.room.notify_waiters();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Whether the node leaves, and nobody waits for the receiver to answer.
    pub(super) fn is_pointless(&self) -> bool {
        self.inner().is_pointless(&self.shared)
    }

    /// Messages that have no outcome.
    pub(super) fn waiting(&self) -> usize {
        self.inner().session.half().depth().messages
    }

    /// The receiving half that the path leads to.
    pub(super) fn attached(&self) -> Option<Half> {
        self.inner().session.attached()
    }

    /// Whether an answer to this greeting is still waited for.
    pub(super) fn awaits(&self, attempt: u64) -> bool {
        self.inner().session.awaits(attempt)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.inner().session.epoch()
    }

    /// Hands out outcomes and wakes whoever waits for what changed.
    fn finish(&self, mut inner: MutexGuard<'_, Inner>) {
        let reported = inner.report_outcomes(&self.shared, self.channel);
        let again = inner.session.half().retransmitted();
        self.counts().retransmitted.inc_by(again - inner.retransmitted);
        inner.retransmitted = again;
        let wakes = inner.session.has_something_to_say() || inner.is_done(&self.shared);
        let writer = if wakes { inner.writer.take() } else { None };
        drop(inner);
        self.note_outcomes(reported);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Wakes whoever waits first, if there may be room: the others follow.
    fn note_outcomes(&self, roomy: bool) {
        if roomy {
            self.room.notify_one();
        }
    }
}

impl Inner {
    /// Whether the node leaves, and everything has its outcome.
    fn is_done(&self, shared: &Shared) -> bool {
        shared.has_ended() && self.session.half().depth().messages == 0
    }

    /// Whether the node leaves, and nobody waits for the receiver to answer.
    fn is_pointless(&self, shared: &Shared) -> bool {
        !self.session.knows() && self.is_done(shared)
    }

    /// When a message was pushed: exactly if its latency is told. Reading the clock takes longer than
    /// pushing, and a deadline is looked at as often as `looked` is set.
    fn push_time(&mut self, shared: &Shared) -> Time {
        if self.receipts.kept || self.session.half().depth().messages == 0 {
            self.looked = shared.now();
        }
        self.looked
    }

    fn make_room(
        &mut self,
        shared: &Shared,
        declared: &Channel,
        message: &Bytes,
    ) -> Result<Ticket, Full> {
        debug_assert_eq!(declared.overflow, Overflow::DropOldest);
        while self.session.half_mut().shed_oldest() {
            if let Ok(ticket) = self.session.push(shared.now(), message.clone()) {
                return Ok(ticket);
            }
        }
        // All of it is under way.
        Err(Full)
    }

    /// Whether whoever comes now waits behind those who wait. Otherwise the one that had a receipt
    /// just now would take the place that this left, again and again. Where there are no receipts,
    /// places come many at a time, and taking turns for each would be slow.
    fn goes_in_turn(&self) -> bool {
        self.receipts.kept && self.waiting > 0
    }

    /// Counts and hands out outcomes; whether a sender that waits may try again.
    fn report_outcomes(&mut self, shared: &Shared, channel: usize) -> bool {
        let counts = &shared.counts[channel];
        let mut any = false;
        while let Some((ticket, outcome)) = self.session.half_mut().settled() {
            any = true;
            match outcome {
                Outcome::Delivered | Outcome::Answered(_) => counts.acknowledged.inc(),
                Outcome::Dropped => counts.dropped.inc(),
                Outcome::Gone | Outcome::TimedOut => counts.lost.inc(),
                Outcome::Shed => counts.shed.inc(),
                Outcome::Sent => {}
            }
            if self.receipts.kept
                && let Some(took) = self.receipts.resolve(ticket, outcome, || shared.now())
            {
                counts.latency.observe(took.as_secs_f64());
            }
        }
        if !any || self.waiting == 0 {
            return false;
        }
        if self.receipts.kept {
            return true;
        }
        // What only has to be written goes on by itself: nobody is woken for one place alone.
        let Depth { messages, bytes } = self.session.half().depth();
        let declared = &shared.declared[channel];
        4 * messages <= 3 * declared.options.queue_messages
            && 4 * bytes <= 3 * declared.options.queue_bytes
    }
}

/// Somebody waits for room for as long as this lives.
struct Waits<'a>(&'a Lane);

impl<'a> Waits<'a> {
    fn new(lane: &'a Lane) -> Self {
        lane.inner().waiting += 1;
        Self(lane)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.inner().waiting -= 1;
    }
}

/// A future that tells what became of a message. On a channel whose kind does not acknowledge messages
/// it is ready at once.
///
/// # Errors
/// [`Undelivered`] says why the message is not known to be delivered.
///
/// # Cancel safety
/// It can be polled by reference, as in `select!`, and loses nothing. Dropping it changes nothing for the
/// message.
#[derive(Debug)]
#[must_use = "tells what became of the message; drop it if nobody wants to know"]
pub struct Receipt {
    lane: Option<Arc<Lane>>,
    ticket: Ticket,
    /// There was no room for it.
    shed: bool,
}

impl Future for Receipt {
    /// The answer, empty for kinds without answers.
    type Output = Result<Bytes, Undelivered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(lane) = self.lane.clone() else {
            return Poll::Ready(if self.shed { Err(Undelivered::Shed) } else { Ok(Bytes::new()) });
        };
        let ended = ready!(lane.inner().receipts.poll(self.ticket, context));
        self.lane = None;
        Poll::Ready(ended)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            lane.inner().receipts.forget(self.ticket);
        }
    }
}
