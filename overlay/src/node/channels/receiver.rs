//! The streams that come in: greets whoever opened one, and serves a lane until the stream ends.

use std::sync::Arc;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::time::timeout;

use super::declare::Carries;
use super::hub::Hub;
use super::inbound::{Ended, InboundLane, Key};
use super::wire::{self, Answer, Batch, Hello, Refusal, WireError};
use crate::NodeId;
use crate::channel::Frame;
use crate::id::Incarnation;
use crate::node::budget::{Kept, Share};

/// Frames handled together.
const TOGETHER: usize = 64;

/// Serves a stream that `from` opened.
pub(crate) async fn serve(mut stream: Stream, from: NodeId, hub: Arc<Hub>) {
    let shared = &hub.shared;
    let served = async {
        let limit = shared.limits.handshake_wait;
        let greeting = timeout(limit, wire::greeting(&mut stream)).await;
        let greeting = greeting
            .map_err(|_| WireError::Nonsense("a greeting did not arrive in time".into()))??;
        let hello: Hello<'_> = wire::decode(&greeting)?;
        let channel = match shared.accepts(Some(from), &hello) {
            Ok(channel) => channel,
            Err(refusal) => {
                shared.note_refusal(wire::HERE, from, &hello.channel, &refusal);
                let attempt = hello.greeting.attempt;
                wire::greet(&mut stream, &Answer::Refused { attempt, why: refusal }).await?;
                return Ok(stream.close().await.map_err(WireError::from)?);
            }
        };
        if matches!(shared.declared[channel].carries, Carries::Bytes) {
            return Ok(hub.accept_bytes(channel, from, hello.greeting.attempt, stream).await?);
        }
        serve_lane(stream, from, channel, &hello, &hub).await
    };
    match served.await {
        Ok(()) => {}
        Err(Ended::Replaced | Ended::Wire(WireError::Closed)) => {}
        Err(error) => {
            tracing::debug!(%from, %error, "a lane's stream ended");
            use WireError::{Io, NoMemory, Stalled};
            if !matches!(error, Ended::Wire(Io(_) | NoMemory(_) | Stalled(_))) {
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
    let Ok((lane, turn, welcome)) = hub.inbound.attach(key, hello, None) else {
        hub.shared.note_refusal(wire::HERE, from, &hello.channel, &Refusal::Busy);
        let answer = Answer::Refused { attempt: hello.greeting.attempt, why: Refusal::Busy };
        return Ok(wire::greet(&mut stream, &answer).await?);
    };
    let _speaks = hub.shared.speak();
    let served = async {
        wire::greet(&mut stream, &Answer::Welcome(welcome)).await?;
        let (read, write) = stream.split();
        tokio::select! {
            biased;
            Err(error) = write_frames(&lane, hub, key, turn, write) => Err(error),
            ended = read_frames(&lane, hub, key, turn, read) => ended,
        }
    };
    let ended = served.await;
    hub.inbound.release(key, &lane, turn);
    // What arrived whole is delivered, whatever became of its stream.
    hub.inboxes[channel].take_all(from, &lane).await;
    hub.inbound.release(key, &lane, turn);
    ended
}

async fn read_frames(
    lane: &Arc<InboundLane>,
    hub: &Hub,
    key: Key,
    turn: u64,
    stream: impl AsyncRead + Unpin,
) -> Result<(), Ended> {
    let inbox = &hub.inboxes[key.channel];
    let mut reader = hub.shared.reader(stream, key.channel);
    // What is not in the inbox yet.
    let mut held = Share::of(&hub.shared.budget, Kept::Message);
    let mut frames = Vec::new();
    loop {
        // No more is taken from the stream than the application takes from the inbox.
        inbox.take_all(key.from.node, lane).await;
        held.set(0);
        let mut bytes = 0;
        while frames.len() < inbox.messages.min(TOGETHER)
            && bytes < inbox.bytes
            && let Some(frame) = reader.whole()?
        {
            bytes += frame.body.len();
            frames.push(frame);
        }
        if !frames.is_empty() {
            held.set(bytes);
            lane.receive(turn, &mut frames)?;
        } else if !reader.more().await? {
            return Err(WireError::Closed.into());
        }
    }
}

async fn write_frames(
    lane: &Arc<InboundLane>,
    hub: &Hub,
    key: Key,
    turn: u64,
    mut stream: impl AsyncWrite + Unpin,
) -> Result<std::convert::Infallible, Ended> {
    let compressed = hub.shared.declared[key.channel].compressed;
    let mut batch = Batch::default();
    // One for all answers: each registers with the hub.
    let mut leaving = std::pin::pin!(hub.shared.leaving());
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
            more = lane.take(turn, &mut batch.frames) => more?,
        };
        batch.write(&mut stream, compressed).await?;
        if !more {
            stream.flush().await.map_err(WireError::from)?;
        }
        // Answers that waited may have held back what came after their questions.
        hub.inboxes[key.channel].take_all(key.from.node, lane).await;
    }
}
