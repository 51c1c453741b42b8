//! The receiving end of lanes, and the streams that come in.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::time::timeout;

use super::declare::Carries;
use super::hub::Hub;
use super::sender::{BATCH, Batch};
use super::wire::{self, Answer, Declared, FrameReader, Hello, Refusal, WireError};
use crate::NodeId;
use crate::channel::session::{Fit, Greeting, Half, Met, ReceiverSession};
use crate::channel::{Frame, Nonsense, Path, Receiving};
use crate::id::Incarnation;
use murmurate_membership::Time;

/// Frames handled together.
const TOGETHER: usize = 64;

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
    /// The writer waits for a frame to send back.
    writer: Option<Waker>,
}

impl InboundLane {
    pub(super) fn new(
        half: Half,
        max_message: usize,
        epoch: u64,
        receiving: Box<dyn Receiving>,
    ) -> Self {
        let silent = receiving.is_silent();
        let session = ReceiverSession::new(receiving, half, epoch);
        let inner = Mutex::new(Inner { session, turn: 0, writer: None });
        Self { max_message, silent, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock; if it did, a lane would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application is done with a message.
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
    pub(super) fn receive(
        &self,
        hub: &Hub,
        turn: u64,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Ended> {
        let mut inner = self.inner();
        if inner.turn != turn {
            return Err(Ended::Replaced);
        }
        let now = hub.now();
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

    /// Hands to the application what the inbox has room for. Whether that was all.
    pub(super) fn deliver(self: &Arc<Self>, hub: &Hub, channel: usize, from: NodeId) -> bool {
        let mut inner = self.inner();
        let mut delivered = 0;
        let all = hub.inboxes[channel].fill(from, self, || {
            let delivery = inner.session.next_delivery()?;
            delivered += 1;
            Some(delivery)
        });
        hub.counts[channel].delivered.inc_by(delivered);
        all
    }

    /// The next frames to send back, or waits for some; whether others wait behind them.
    pub(super) async fn take(
        &self,
        hub: &Hub,
        turn: u64,
        frames: &mut Vec<Frame>,
    ) -> Result<bool, Ended> {
        poll_fn(|context| {
            let mut inner = self.inner();
            if inner.turn != turn {
                return Poll::Ready(Err(Ended::Replaced));
            }
            let now = hub.now();
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
    pub(super) fn greet(&self, now: Time, greeting: Greeting, path: Path) -> (u64, Met) {
        let mut inner = self.inner();
        let met = inner.session.greet(now, greeting, path);
        (Self::next_turn(inner), met)
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

/// Serves a stream that `from` opened.
pub(crate) async fn serve(mut stream: Stream, from: NodeId, hub: Arc<Hub>) {
    let served = async {
        let limit = hub.limits.handshake_wait;
        let greeting = timeout(limit, wire::greeting(&mut stream)).await;
        let greeting =
            greeting.map_err(|_| WireError::Nonsense("no greeting in time".into()))??;
        let hello: Hello<'_> = wire::decode(&greeting)?;
        let channel = match hub.accepts(&hello) {
            Ok(channel) => channel,
            Err(refusal) => {
                hub.note_refusal(wire::HERE, from, &hello.channel, &refusal);
                let attempt = hello.greeting.attempt;
                wire::greet(&mut stream, &Answer::Refused { attempt, why: refusal }).await?;
                return Ok(stream.close().await.map_err(WireError::from)?);
            }
        };
        if matches!(hub.declared[channel].carries, Carries::Bytes) {
            return Ok(hub.accept_bytes(channel, from, hello.greeting.attempt, stream).await?);
        }
        serve_lane(stream, from, channel, &hello, &hub).await
    };
    match served.await {
        Ok(()) => {}
        Err(Ended::Replaced | Ended::Wire(WireError::Closed)) => {}
        Err(error) => {
            tracing::debug!(%from, %error, "a lane's stream ended");
            if !matches!(error, Ended::Wire(WireError::Io(_))) {
                hub.nonsense.inc();
            }
        }
    }
}

async fn serve_lane(
    mut stream: Stream,
    from: NodeId,
    channel: usize,
    hello: &Hello<'_>,
    hub: &Hub,
) -> Result<(), Ended> {
    let key =
        Key { from: Incarnation { node: from, started: hello.started }, channel, lane: hello.lane };
    let Ok((lane, turn, met)) = hub.inbound.attach(hub, key, hello, None) else {
        hub.note_refusal(wire::HERE, from, &hello.channel, &Refusal::Busy);
        let answer = Answer::Refused { attempt: hello.greeting.attempt, why: Refusal::Busy };
        return Ok(wire::greet(&mut stream, &answer).await?);
    };
    let _speaks = hub.speak();
    let served = async {
        wire::greet(&mut stream, &Answer::Welcome(met)).await?;
        let (read, write) = stream.split();
        tokio::select! {
            biased;
            Err(error) = write_frames(&lane, hub, channel, turn, from, write) => Err(error),
            ended = read_frames(&lane, hub, channel, turn, from, read) => ended,
        }
    };
    let ended = served.await;
    hub.inbound.release(hub.now(), key, &lane, turn);
    // What arrived whole is delivered, whatever became of its stream.
    while !lane.deliver(hub, channel, from) {
        hub.inboxes[channel].room().await;
    }
    hub.inbound.release(hub.now(), key, &lane, turn);
    ended
}

async fn read_frames(
    lane: &Arc<InboundLane>,
    hub: &Hub,
    channel: usize,
    turn: u64,
    from: NodeId,
    stream: impl AsyncRead + Unpin,
) -> Result<(), Ended> {
    let inbox = &hub.inboxes[channel];
    let mut reader = FrameReader::new(stream, hub.declared[channel].max_message);
    let mut frames = Vec::new();
    loop {
        // No more is taken from the stream than the application takes from the inbox.
        while !lane.deliver(hub, channel, from) {
            inbox.room().await;
        }
        let mut bytes = 0;
        while frames.len() < inbox.messages.min(TOGETHER)
            && bytes < inbox.bytes
            && let Some(frame) = reader.whole()?
        {
            bytes += frame.body.len();
            frames.push(frame);
        }
        if !frames.is_empty() {
            lane.receive(hub, turn, &mut frames)?;
        } else if !reader.more().await? {
            return Err(WireError::Closed.into());
        }
    }
}

async fn write_frames(
    lane: &Arc<InboundLane>,
    hub: &Hub,
    channel: usize,
    turn: u64,
    from: NodeId,
    mut stream: impl AsyncWrite + Unpin,
) -> Result<std::convert::Infallible, Ended> {
    let compressed = hub.declared[channel].compressed;
    let mut batch = Batch::default();
    // One for all answers: each registers with the hub.
    let mut leaving = std::pin::pin!(hub.leaving());
    loop {
        let more = tokio::select! {
            biased;
            () = &mut leaving => {
                let left = Frame { tag: wire::LEFT, number: 0, body: Bytes::new() };
                batch.frames.push(left);
                batch.write(&mut stream, false).await?;
                stream.close().await.map_err(WireError::from)?;
                // The other side ends the stream when it has read that. A connection that is closed
                // before might not have sent it.
                return std::future::pending().await;
            }
            more = lane.take(hub, turn, &mut batch.frames) => more?,
        };
        batch.write(&mut stream, compressed).await?;
        if !more {
            stream.flush().await.map_err(WireError::from)?;
        }
        // Answers that waited may have held back what came after their questions.
        while !lane.deliver(hub, channel, from) {
            hub.inboxes[channel].room().await;
        }
    }
}

impl Hub {
    /// Which channel a lane belongs to, or why it is refused.
    pub(super) fn accepts(&self, hello: &Hello<'_>) -> Result<usize, Refusal> {
        if self.has_ended() {
            return Err(Refusal::Leaving);
        }
        if hello.network != self.network {
            return Err(Refusal::Network(self.network.clone()));
        }
        let channel = self.declared.iter().position(|declared| declared.name == hello.channel);
        let channel = channel.ok_or(Refusal::UnknownChannel)?;
        let ours = Declared::of(&self.declared[channel]);
        if let Some(refusal) = hello.declared.differs(&ours) {
            return Err(refusal);
        }
        if hello.lane >= 2 * self.declared[channel].parallelism {
            return Err(Refusal::Busy);
        }
        Ok(channel)
    }
}
