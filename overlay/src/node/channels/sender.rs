//! The task of a sending lane: opens the paths that its session wants, and carries what that says.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::time::sleep;

use super::error::SendError;
use super::hub::{Hub, Way};
use super::lane::{Lane, Said, Task};
use super::relay;
use super::wire::{self, Answer, Declared, FrameReader, Hello, Refusal, WireError};
use crate::channel::session::{End, Greeting};
use crate::channel::{Frame, Path};

/// Bytes written at a time: a Yamux frame each, which small messages share.
pub(super) const BATCH: usize = 15 << 10;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Why a path ended, or there is none; and what is told of messages if the lane gives up by that.
pub(super) type Ended = (End, SendError);

/// Serves a lane for as long as something waits in it.
pub(super) async fn run(lane: Arc<Lane>, hub: Arc<Hub>) {
    loop {
        match lane.next(&hub) {
            Task::End => break,
            Task::Rest(time) => drop(in_time(&lane, &hub, sleep(time)).await),
            Task::Open => {
                if let Some((why, error)) = in_time(&lane, &hub, serve(&lane, &hub)).await {
                    tracing::debug!(to = %lane.to, channel = lane.channel, ?why, %error, "a path ended");
                    lane.end(&hub, why, error);
                }
            }
        }
        if lane.is_pointless(&hub) {
            lane.end(&hub, End::Refused, SendError::Ended);
        }
    }
    hub.forget_unused(&lane);
    hub.ends_to_send();
}

/// Does something while the session does what is due. `None` if that ended the path, or the node leaves
/// and nobody waits.
async fn in_time<T>(lane: &Lane, hub: &Hub, work: impl Future<Output = T>) -> Option<T> {
    let ends = async {
        loop {
            sleep(TICK).await;
            if lane.expire(hub) || lane.is_pointless(hub) {
                return;
            }
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = ends => None,
    }
}

/// Opens a path, introduces the lane, and exchanges frames until the path ends.
async fn serve(lane: &Lane, hub: &Hub) -> Ended {
    match hub.open(lane.to, lane.slot).await {
        Ok(Way::Stream(stream)) => over_stream(lane, hub, stream).await,
        Ok(Way::Relayed(to)) => relay::send(lane, hub, to).await,
        Err(failed) => failed.ended(),
    }
}

/// What a lane says of itself first.
pub(super) fn hello<'a>(lane: &Lane, hub: &'a Hub, greeting: Greeting) -> Hello<'a> {
    let declared = &hub.declared[lane.channel];
    Hello {
        network: Cow::Borrowed(&hub.network),
        started: hub.me.started,
        channel: Cow::Borrowed(&declared.name),
        declared: Declared::of(declared),
        lane: lane.index,
        greeting,
    }
}

/// What the sender is told of a node that it cannot speak to.
pub(super) fn unreachable(lane: &Lane, reason: &dyn std::fmt::Display) -> SendError {
    SendError::Unreachable { node: lane.to, reason: reason.to_string() }
}

async fn over_stream(lane: &Lane, hub: &Hub, mut stream: Stream) -> Ended {
    lane.opened(hub, Path::Stream);
    let mut frames = Vec::new();
    let Said::Greeting(greeting) = lane.take(hub, &mut frames, BATCH).await else {
        return (End::Idle, SendError::Ended);
    };
    let met = match introduce(&mut stream, &hello(lane, hub, greeting)).await {
        Ok(Answer::Welcome(met)) => met,
        Ok(Answer::Refused { why, .. }) => {
            return (End::Refused, hub.refused(lane.to, lane.channel, why));
        }
        Err(error) => return (End::Silent, unreachable(lane, &error)),
    };
    match lane.welcome(hub, met) {
        Ok(true) => exchange(lane, hub, stream).await,
        Ok(false) => (End::Silent, unreachable(lane, &"it answers to something else")),
        Err(nonsense) => (End::Silent, unreachable(lane, &nonsense)),
    }
}

/// Says who sends what, and hears the answer.
pub(super) async fn introduce(stream: &mut Stream, hello: &Hello<'_>) -> Result<Answer, WireError> {
    wire::greet(stream, hello).await?;
    wire::decode(&wire::greeting(stream).await?)
}

/// Writes and reads until the path ends.
async fn exchange(lane: &Lane, hub: &Hub, stream: Stream) -> Ended {
    let (read, write) = stream.split();
    tokio::select! {
        biased;
        Err(error) = write_frames(lane, hub, write) => (End::Broken, unreachable(lane, &error)),
        ended = read_frames(lane, hub, read) => match ended {
            Ok(()) => (End::Refused, hub.refused(lane.to, lane.channel, Refusal::Leaving)),
            Err(error) => (End::Broken, unreachable(lane, &error)),
        },
    }
}

async fn write_frames(
    lane: &Lane,
    hub: &Hub,
    mut stream: impl AsyncWrite + Unpin,
) -> Result<Infallible, WireError> {
    let compressed = hub.declared[lane.channel].compressed;
    let mut batch = Batch::default();
    loop {
        let Said::Frames(_, more) = lane.take(hub, &mut batch.frames, BATCH).await else {
            // All is written. The other side ends the stream when it has read it.
            stream.close().await?;
            return std::future::pending().await;
        };
        batch.write(&mut stream, compressed).await?;
        if !more {
            stream.flush().await?;
        }
    }
}

/// Frames to be written together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Writes all of it: small bodies copied together, large ones as they are.
    pub(super) async fn write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        compressed: bool,
    ) -> Result<(), WireError> {
        for frame in self.frames.drain(..) {
            let (header, body) = wire::encode(frame, compressed);
            self.bytes.extend_from_slice(&header);
            if body.len() <= BATCH {
                self.bytes.extend_from_slice(&body);
            } else {
                stream.write_all(&self.bytes).await?;
                self.bytes.clear();
                stream.write_all(&body).await?;
            }
        }
        stream.write_all(&self.bytes).await?;
        self.bytes.clear();
        Ok(())
    }
}

/// Reads what comes back, to the other side's goodbye.
async fn read_frames(
    lane: &Lane,
    hub: &Hub,
    stream: impl AsyncRead + Unpin,
) -> Result<(), WireError> {
    let mut reader = FrameReader::new(stream, hub.declared[lane.channel].max_message);
    let mut frames = Vec::new();
    loop {
        let mut left = false;
        while let Some(frame) = reader.whole()? {
            left |= frame.tag == wire::LEFT;
            if !left {
                frames.push(frame);
            }
        }
        if !frames.is_empty() {
            lane.receive(hub, frames.drain(..))
                .map_err(|nonsense| WireError::Nonsense(nonsense.to_string()))?;
        }
        if left {
            return Ok(());
        }
        if !reader.more().await? {
            return Err(WireError::Closed);
        }
    }
}
