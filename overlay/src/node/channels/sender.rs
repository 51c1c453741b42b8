//! The task of a sending lane: makes connections, writes frames, reads what comes back.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::time::{Instant, sleep, timeout};

use super::error::SendError;
use super::hub::{Failed, Hub, Way};
use super::lane::Lane;
use super::relay::{self, RelayEnd};
use super::wire::{self, Answer, Declared, FrameReader, Hello, Refusal, WireError};
use crate::channel::{Frame, Path};

/// Bytes written at a time: a Yamux frame each, which small messages share.
pub(super) const BATCH: usize = 15 << 10;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Nothing comes back for so long although something must: the path is doubted.
const SILENCE: Duration = Duration::from_secs(3);
/// Pauses between connections.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Dials refused one after the other that prove that the process has ended. One may have met it between
/// two addresses.
const PROOF: u32 = 2;
/// How long what was not sent waits for the next start of a process that has ended.
const REVIVAL: Duration = Duration::from_secs(3);

/// Why a lane's path ended.
enum End {
    /// Nothing was sent for a while.
    Idle,
    Broken(WireError),
    /// The receiving node leaves.
    Left,
}

/// Serves a lane for as long as something waits in it.
pub(super) async fn run(lane: Arc<Lane>, hub: Arc<Hub>) {
    let ticks = async {
        loop {
            sleep(TICK).await;
            lane.expire(&hub);
            if lane.is_pointless(&hub) {
                return;
            }
        }
    };
    tokio::select! {
        () = serve(&lane, &hub) => {}
        () = ticks => {}
    }
    hub.forget_unused(&lane);
    hub.ends_to_send();
}

async fn serve(lane: &Lane, hub: &Arc<Hub>) {
    let mut pause = FIRST_PAUSE;
    let (mut refusals, mut heard_of) = (0, Instant::now());
    loop {
        let met = lane.met();
        let end = serve_once(lane, hub).await;
        lane.detach(hub);
        if matches!(&end, Err(failed) if failed.refused) {
            refusals += 1;
        } else {
            (refusals, heard_of) = (0, Instant::now());
        }
        match end {
            Ok(End::Idle) => pause = FIRST_PAUSE,
            Ok(End::Broken(error)) => {
                pause = FIRST_PAUSE;
                tracing::debug!(to = %lane.to, channel = lane.channel, %error, "lane broke");
            }
            Ok(End::Left) => lane.fail(hub, hub.refused(lane.to, lane.channel, Refusal::Leaving)),
            // Whom it has met may come back.
            Err(Failed { error: SendError::Unreachable { .. }, refused })
                if met && !(refused && heard_of.elapsed() > REVIVAL) =>
            {
                if refusals == PROOF {
                    lane.receiver_ended(hub);
                }
            }
            Err(Failed { error, .. }) => lane.fail(hub, error),
        }
        if lane.stop() {
            return;
        }
        // Not all at once after a failure that many lanes saw.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Asks for a way, introduces the lane, and exchanges frames until the way ends.
async fn serve_once(lane: &Lane, hub: &Arc<Hub>) -> Result<End, Failed> {
    let way = hub.open(lane.to, lane.slot).await?;
    let declared = &hub.declared[lane.channel];
    let hello = Hello {
        network: Cow::Borrowed(&hub.network),
        started: hub.me.started,
        channel: Cow::Borrowed(&declared.name),
        declared: Declared::of(declared),
        lane: lane.index,
        epoch: lane.epoch,
        base: lane.base(),
        met: lane.met_half(),
    };
    let mut stream = match way {
        Way::Stream(stream) => stream,
        Way::Relayed(to) => {
            return Ok(match relay::send(lane, hub, to, &hello).await? {
                RelayEnd::Idle => End::Idle,
                RelayEnd::Broken => End::Broken(WireError::Closed),
            });
        }
    };
    let unreachable = |error: &dyn std::fmt::Display| SendError::Unreachable {
        node: lane.to,
        reason: error.to_string(),
    };
    let introduced = timeout(hub.limits.handshake_wait, introduce(&mut stream, &hello)).await;
    let answer = introduced
        .map_err(|_| unreachable(&"it does not answer on the channel"))?
        .map_err(|error| unreachable(&error))?;
    let met = match answer {
        Answer::Welcome(met) => met,
        Answer::Refused(refusal) => {
            return Err(hub.refused(lane.to, lane.channel, refusal).into());
        }
    };
    lane.attach(hub, Path::Stream, met).map_err(|error| unreachable(&error))?;
    Ok(exchange(lane, hub, stream).await)
}

/// Says who sends what, and hears the answer.
pub(super) async fn introduce(stream: &mut Stream, hello: &Hello<'_>) -> Result<Answer, WireError> {
    wire::greet(stream, hello).await?;
    wire::decode(&wire::greeting(stream).await?)
}

/// Writes and reads until the path ends.
async fn exchange(lane: &Lane, hub: &Hub, stream: Stream) -> End {
    let (read, write) = stream.split();
    let progress = AtomicU64::new(0);
    tokio::select! {
        biased;
        Err(error) = write_frames(lane, hub, write, &progress) => End::Broken(error),
        ended = read_frames(lane, hub, read, &progress) => match ended {
            Ok(()) => End::Left,
            Err(error) => End::Broken(error),
        },
        end = watch(lane, hub, &progress) => end,
    }
}

async fn write_frames(
    lane: &Lane,
    hub: &Hub,
    mut stream: impl AsyncWrite + Unpin,
    progress: &AtomicU64,
) -> Result<Infallible, WireError> {
    let compressed = hub.declared[lane.channel].compressed;
    let mut batch = Batch::default();
    loop {
        let more = lane.take(hub, &mut batch.frames, BATCH).await;
        if batch.frames.is_empty() {
            // All is written. The other side ends the stream when it has read it.
            stream.close().await?;
            return std::future::pending().await;
        }
        batch.write(&mut stream, compressed).await?;
        if !more {
            stream.flush().await?;
        }
        progress.fetch_add(1, Ordering::Relaxed);
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
    progress: &AtomicU64,
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
            progress.fetch_add(1, Ordering::Relaxed);
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

/// Ends a path that nobody uses, and one that brings nothing back although it must.
async fn watch(lane: &Lane, hub: &Hub, progress: &AtomicU64) -> End {
    let mut last = (0, 0);
    let (mut used, mut moved) = (Instant::now(), Instant::now());
    loop {
        sleep(SILENCE / 6).await;
        let (pushed, waiting) = lane.pushed();
        let now = (pushed, progress.load(Ordering::Relaxed));
        if now.0 != last.0 || waiting > 0 {
            used = Instant::now();
        }
        if now.1 != last.1 || waiting == 0 {
            moved = Instant::now();
        }
        last = now;
        if used.elapsed() > hub.limits.idle_wait {
            return End::Idle;
        }
        if moved.elapsed() > SILENCE && lane.resumes() {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "nothing comes back");
            return End::Broken(silent.into());
        }
    }
}
