//! The task of a sending lane: opens the paths that its session wants, and carries what that says.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::time::sleep;

use super::error::{Ended, SendError};
use super::hub::{Hub, OpenPath};
use super::lane::{Lane, Said, Task};
use super::lanes::Lanes;
use super::relay;
use super::wire::{self, Answer, Batch, Hello, Refusal, WireError};
use crate::channel::Path;
use crate::channel::session::End;
use crate::node::transport::bulk;
use crate::node::unreachable::Unreachable;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Starts a lane's task, where its traffic runs. It holds all lanes of the channel to the node, so that
/// whoever sends meanwhile finds the same ones.
pub(super) fn start(lane: &Arc<Lane>, lanes: &Arc<Lanes>, hub: &Arc<Hub>) {
    let served = run(Arc::clone(lane), Arc::clone(lanes), Arc::clone(hub));
    let _node = hub.runtime.enter();
    bulk::threads_for(lane.slot.traffic).spawn(served);
}

/// Serves a lane for as long as something waits in it.
async fn run(lane: Arc<Lane>, lanes: Arc<Lanes>, hub: Arc<Hub>) {
    loop {
        match lane.next() {
            Task::End => break,
            Task::Rest(time) => drop(in_time(&lane, sleep(time)).await),
            Task::Open => {
                if let Some((why, error)) = in_time(&lane, serve(&lane, &hub)).await {
                    tracing::debug!(to = %lane.to, channel = lane.channel, ?why, %error, "a path ended");
                    lane.end(why, error);
                }
            }
        }
        if lane.is_pointless() {
            lane.end(End::Refused, SendError::Ended);
        }
    }
    drop(lanes);
    hub.shared.ends_to_send();
}

/// Does something while the session does what is due. `None` if that ended the path, or the node leaves
/// and nobody waits.
async fn in_time<T>(lane: &Lane, work: impl Future<Output = T>) -> Option<T> {
    let ends = async {
        loop {
            sleep(TICK).await;
            if lane.expire() || lane.is_pointless() {
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
        Ok(OpenPath::Stream(stream)) => over_stream(lane, stream).await,
        Ok(OpenPath::Relayed(to)) => relay::send(lane, hub, to).await,
        Err(failed) => failed.ended(),
    }
}

async fn over_stream(lane: &Lane, mut stream: Stream) -> Ended {
    lane.opened(Path::Stream);
    let mut frames = Vec::new();
    let Said::Greeting(greeting) = lane.take(&mut frames).await else {
        return (End::Idle, SendError::Ended);
    };
    let welcome = match introduce(&mut stream, &lane.hello(greeting)).await {
        Ok(Answer::Welcome(welcome)) => welcome,
        Ok(Answer::Refused { why, .. }) => {
            return (End::Refused, lane.refused(why));
        }
        Err(error) => return (End::Silent, lane.unreachable(Unreachable::failed(&error))),
    };
    match lane.welcome(welcome) {
        Ok(true) => exchange(lane, stream).await,
        Ok(false) => {
            (End::Silent, lane.unreachable(Unreachable::failed("it answers to something else")))
        }
        Err(nonsense) => (End::Silent, lane.unreachable(Unreachable::failed(&nonsense))),
    }
}

/// Says who sends what, and hears the answer.
pub(super) async fn introduce(stream: &mut Stream, hello: &Hello<'_>) -> Result<Answer, WireError> {
    wire::greet(stream, hello).await?;
    wire::decode(&wire::greeting(stream).await?)
}

/// Writes and reads until the path ends.
async fn exchange(lane: &Lane, stream: Stream) -> Ended {
    let (read, write) = stream.split();
    tokio::select! {
        biased;
        Err(error) = write_frames(lane, write) => (End::Broken, lane.unreachable(Unreachable::failed(&error))),
        ended = read_frames(lane, read) => match ended {
            Ok(()) => (End::Refused, lane.refused(Refusal::Leaving)),
            Err(error) => (End::Broken, lane.unreachable(Unreachable::failed(&error))),
        },
    }
}

async fn write_frames(
    lane: &Lane,
    mut stream: impl AsyncWrite + Unpin,
) -> Result<Infallible, WireError> {
    let compressed = lane.declared().compressed;
    let mut batch = Batch::default();
    loop {
        let Said::Frames(_, more) = lane.take(&mut batch.frames).await else {
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

/// Reads what comes back, to the other side's goodbye.
async fn read_frames(lane: &Lane, stream: impl AsyncRead + Unpin) -> Result<(), WireError> {
    let mut reader = lane.reader(stream);
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
            lane.receive(frames.drain(..))
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
