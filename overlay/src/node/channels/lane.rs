//! The sending end of a lane: what callers push and its task sends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use murmurate_membership::Time;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::declare::{Channel, Overflow, Traffic};
use super::error::{SendError, Undelivered};
use super::hub::Hub;
use super::receipts::Receipts;
use super::sender;
use super::wire::{Half, Met};
use crate::NodeId;
use crate::channel::{Depth, Frame, Full, Nonsense, Outcome, Path, Sending, Ticket, Welcome};
use crate::node::bulk;

/// How long a failure is told to everybody before a lane tries again.
const REMEMBERED: Duration = Duration::from_millis(250);

/// Which connection between two nodes: by traffic and, for parallel lanes, a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) traffic: Traffic,
    pub(crate) index: u16,
}

/// One lane to one node.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) to: NodeId,
    /// Index of its channel.
    pub(crate) channel: usize,
    pub(crate) index: u16,
    pub(crate) slot: Slot,
    /// Tells this lane from others of its index before and after it.
    pub(crate) epoch: u64,
    inner: Mutex<Inner>,
    /// Senders that wait for room, or for the first connection: whoever came first has it, and waits...
    turn: tokio::sync::Mutex<()>,
    /// ...for this.
    room: Notify,
}

#[derive(Debug)]
struct Inner {
    sending: Box<dyn Sending>,
    receipts: Receipts,
    state: State,
    /// The receiving half it was attached to last.
    half: Option<Half>,
    /// The one that a stream led to last: whatever comes hop by hop any hop may have made up.
    met: Option<Half>,
    /// That half's process has ended, as far as dials tell.
    ended: bool,
    /// A task serves the lane.
    running: bool,
    /// The task waits for a frame to send.
    writer: Option<Waker>,
    /// The time when the task last looked at it: not long ago while something waits.
    looked: Time,
    /// Messages ever pushed.
    pushed: u64,
    /// Frames sent again that are counted.
    retransmitted: u64,
    /// Senders that wait for room, or for the receiver to be met.
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

#[derive(Debug, Clone)]
enum State {
    /// No connection was ever made, or the last one was given up.
    Fresh,
    /// A receiving half was there once.
    Met,
    Failed(SendError, Instant),
}

impl Lane {
    pub(crate) fn new(
        to: NodeId,
        channel: usize,
        index: u16,
        slot: Slot,
        epoch: u64,
        sending: Box<dyn Sending>,
        acknowledges: bool,
    ) -> Self {
        let receipts = Receipts::new(acknowledges);
        let inner = Inner {
            sending,
            receipts,
            state: State::Fresh,
            half: None,
            met: None,
            ended: false,
            running: false,
            writer: None,
            looked: Time::ZERO,
            pushed: 0,
            retransmitted: 0,
            waiting: 0,
        };
        let inner = Mutex::new(inner);
        let (turn, room) = Default::default();
        Self { to, channel, index, slot, epoch, inner, turn, room }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock; if it did, a lane would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes a message as soon as the receiver was met and there is room, after whoever has waited
    /// for longer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        message: Bytes,
    ) -> Result<Receipt, SendError> {
        // Mostly there is room at once.
        if let Some(done) = self.try_now(hub, &message, Caller::Comes) {
            return done;
        }
        let _waits = Waits::new(self);
        let _turn = self.turn.lock().await;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(done) = self.try_now(hub, &message, Caller::First) {
                return done;
            }
            room.await;
        }
    }

    /// Pushes a message if there is room.
    pub(crate) fn try_send(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        message: &Bytes,
    ) -> Result<Receipt, SendError> {
        self.try_now(hub, message, Caller::Tries).unwrap_or(Err(SendError::Full))
    }

    /// `None`: not now.
    fn try_now(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        message: &Bytes,
        caller: Caller,
    ) -> Option<Result<Receipt, SendError>> {
        let declared = &hub.declared[self.channel];
        let mut inner = self.inner();
        if hub.has_ended() {
            return Some(Err(SendError::Ended));
        }
        if let State::Failed(error, since) = &inner.state {
            if since.elapsed() < REMEMBERED {
                return Some(Err(error.clone()));
            }
            inner.state = State::Fresh;
        }
        if !inner.running {
            inner.running = true;
            hub.begins_to_send();
            let served = sender::run(Arc::clone(self), Arc::clone(hub));
            bulk::threads_for(self.slot.traffic).spawn(served);
        }
        let must_wait = match caller {
            Caller::Tries => false,
            Caller::First => matches!(inner.state, State::Fresh),
            Caller::Comes => matches!(inner.state, State::Fresh) || inner.goes_in_turn(),
        };
        if must_wait {
            return None;
        }
        let counts = &hub.counts[self.channel];
        let now = inner.push_time(hub);
        let pushed = match (inner.sending.push(now, message.clone()), declared.overflow) {
            (Ok(ticket), _) => Ok(ticket),
            (Err(Full), Overflow::Wait) => return None,
            (Err(Full), Overflow::DropNewest) => Err(Full),
            (Err(Full), Overflow::DropOldest) => inner.make_room(hub, declared, message),
        };
        let Ok(ticket) = pushed else {
            counts.shed.inc();
            return Some(Ok(Receipt { lane: None, ticket: 0, shed: inner.receipts.kept }));
        };
        counts.sent.inc();
        inner.pushed += 1;
        let kept = inner.receipts.kept;
        if kept {
            inner.receipts.add(now);
        }
        let writer = inner.writer.take();
        // Replaced or shed at once.
        let settled = inner.settle(hub, self.channel);
        drop(inner);
        self.note_settled(settled);
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(Ok(Receipt { lane: kept.then(|| Arc::clone(self)), ticket, shed: false }))
    }

    /// The next frames to send, or waits for some; whether others wait behind them. None once the
    /// node leaves and all is sent.
    pub(super) async fn take(&self, hub: &Hub, frames: &mut Vec<Frame>, bytes: usize) -> bool {
        poll_fn(|context| {
            let mut inner = self.inner();
            let now = hub.now();
            inner.looked = now;
            let mut taken = 0;
            while taken < bytes
                && let Some(frame) = inner.sending.next_frame(now)
            {
                taken += frame.body.len() + super::wire::HEADER;
                frames.push(frame);
            }
            if frames.is_empty() {
                if inner.is_done(hub) {
                    return Poll::Ready(false);
                }
                inner.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let more = inner.sending.has_frame();
            let settled = inner.settle(hub, self.channel);
            drop(inner);
            self.note_settled(settled);
            Poll::Ready(more)
        })
        .await
    }

    /// Takes what came back.
    pub(super) fn receive(
        &self,
        hub: &Hub,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), Nonsense> {
        let mut inner = self.inner();
        let now = hub.now();
        let received = frames.into_iter().try_for_each(|frame| inner.sending.receive(now, frame));
        self.finish(inner, hub);
        received
    }

    /// Does what is due.
    pub(super) fn expire(&self, hub: &Hub) {
        let mut inner = self.inner();
        let now = hub.now();
        inner.looked = now;
        if inner.sending.deadline().is_some_and(|due| due <= now) {
            inner.sending.expire(now);
            self.finish(inner, hub);
        }
    }

    /// The receiver was met.
    pub(super) fn attach(&self, hub: &Hub, path: Path, met: Met) -> Result<(), Nonsense> {
        let mut inner = self.inner();
        let resumed = inner.half == Some(met.half) && !inner.ended;
        inner.sending.attach(hub.now(), path, Welcome { resumed, heard: met.heard })?;
        (inner.half, inner.ended) = (Some(met.half), false);
        if path == Path::Stream {
            inner.met = inner.half;
        }
        inner.state = State::Met;
        self.finish(inner, hub);
        self.room.notify_waiters();
        Ok(())
    }

    pub(super) fn detach(&self, hub: &Hub) {
        let mut inner = self.inner();
        inner.sending.detach();
        self.finish(inner, hub);
    }

    /// The receiving process has ended. What was not sent waits, as if the next start had come and gone.
    pub(super) fn receiver_ended(&self, hub: &Hub) {
        let mut inner = self.inner();
        let welcome = Welcome { resumed: false, heard: 0 };
        let _ = inner.sending.attach(hub.now(), Path::Stream, welcome);
        inner.sending.detach();
        inner.ended = true;
        self.finish(inner, hub);
    }

    /// Gives all up, and says why for a while.
    pub(super) fn fail(&self, hub: &Hub, error: SendError) {
        let mut inner = self.inner();
        inner.sending.abandon();
        inner.receipts.because = Some(error.clone());
        let settled = inner.settle(hub, self.channel);
        inner.receipts.because = None;
        inner.state = State::Failed(error, Instant::now());
        drop(inner);
        self.note_settled(settled);
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

    /// Whether the node leaves, and nobody waits for the receiver to be met.
    pub(super) fn is_pointless(&self, hub: &Hub) -> bool {
        let inner = self.inner();
        !matches!(inner.state, State::Met) && inner.is_done(hub)
    }

    /// Lets the task end if nothing waits any more. Whether it may.
    pub(super) fn stop(&self) -> bool {
        let mut inner = self.inner();
        let nothing = inner.sending.depth().messages == 0 && inner.waiting == 0;
        let failed = matches!(inner.state, State::Failed(..));
        inner.running = !(nothing || failed);
        !inner.running
    }

    /// Whether nothing waits, and nobody uses it.
    pub(super) fn is_unused(&self) -> bool {
        !self.inner().running
    }

    /// Messages pushed so far, and how many have no outcome.
    pub(super) fn pushed(&self) -> (u64, usize) {
        let inner = self.inner();
        (inner.pushed, inner.sending.depth().messages)
    }

    pub(super) fn met(&self) -> bool {
        matches!(self.inner().state, State::Met)
    }

    /// The receiving half that a stream led to last.
    pub(super) fn met_half(&self) -> Option<Half> {
        self.inner().met
    }

    pub(super) fn base(&self) -> u64 {
        self.inner().sending.base()
    }

    pub(super) fn resumes(&self) -> bool {
        self.inner().sending.resumes()
    }

    /// Hands out outcomes and wakes whoever waits for what changed.
    fn finish(&self, mut inner: MutexGuard<'_, Inner>, hub: &Hub) {
        let settled = inner.settle(hub, self.channel);
        let again = inner.sending.retransmitted();
        hub.counts[self.channel].retransmitted.inc_by(again - inner.retransmitted);
        inner.retransmitted = again;
        let wakes = inner.sending.has_frame() || inner.is_done(hub);
        let writer = if wakes { inner.writer.take() } else { None };
        drop(inner);
        self.note_settled(settled);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Wakes whoever waits first, if there may be room: the others follow.
    fn note_settled(&self, roomy: bool) {
        if roomy {
            self.room.notify_one();
        }
    }
}

impl Inner {
    /// Whether the node leaves, and everything has its outcome.
    fn is_done(&self, hub: &Hub) -> bool {
        hub.has_ended() && self.sending.depth().messages == 0
    }

    /// When a message was pushed: exactly if its latency is told. Reading the clock takes longer than
    /// pushing, and a deadline is looked at as often as `looked` is set.
    fn push_time(&mut self, hub: &Hub) -> Time {
        if self.receipts.kept || self.sending.depth().messages == 0 {
            self.looked = hub.now();
        }
        self.looked
    }

    fn make_room(
        &mut self,
        hub: &Hub,
        declared: &Channel,
        message: &Bytes,
    ) -> Result<Ticket, Full> {
        debug_assert_eq!(declared.overflow, Overflow::DropOldest);
        while self.sending.shed_oldest() {
            if let Ok(ticket) = self.sending.push(hub.now(), message.clone()) {
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
    fn settle(&mut self, hub: &Hub, channel: usize) -> bool {
        let counts = &hub.counts[channel];
        let mut any = false;
        while let Some((ticket, outcome)) = self.sending.settled() {
            any = true;
            match outcome {
                Outcome::Delivered | Outcome::Answered(_) => counts.acknowledged.inc(),
                Outcome::Gone | Outcome::TimedOut => counts.lost.inc(),
                Outcome::Shed => counts.shed.inc(),
                Outcome::Sent => {}
            }
            if self.receipts.kept
                && let Some(took) = self.receipts.resolve(ticket, outcome, || hub.now())
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
        let Depth { messages, bytes } = self.sending.depth();
        let declared = &hub.declared[channel];
        4 * messages <= 3 * declared.queue_messages && 4 * bytes <= 3 * declared.queue_bytes
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

/// What will become of a message: a future. Dropping it changes nothing but that nobody is told.
///
/// Of a kind that does not acknowledge, it is ready at once.
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
