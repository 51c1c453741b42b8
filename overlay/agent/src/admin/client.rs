//! A client of the admin socket: what it asks, and what it is told.
//!
//! A request is bounded by what the node would broadcast, and has to arrive within [`TIMEOUT`].

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::agent::Agent;
use super::{Reply, Request};

/// How long a client may take to ask.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Client {
    pub(super) read: BufReader<OwnedReadHalf>,
    pub(super) write: OwnedWriteHalf,
    pub(super) agent: Arc<Agent>,
}

impl Client {
    pub(super) fn new(stream: UnixStream, agent: Arc<Agent>) -> Self {
        let (read, write) = stream.into_split();
        Self { read: BufReader::new(read), write, agent }
    }

    pub(super) async fn say(&mut self, reply: &Reply) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.write.write_all(&line).await
    }

    /// The next request, or what is wrong with it; `None` when there can be no other.
    pub(super) async fn hear(&mut self) -> std::io::Result<Option<Result<Request, String>>> {
        // The longest that can be of use: data in base64, a topic or a key in escapes.
        let channels = self.agent.channels.values().map(|channel| channel.options.max_message);
        // A frame without any topic.
        let data = channels.fold(self.agent.node.max_data("").unwrap_or(0), usize::max);
        let longest = data as u64 / 3 * 4 + 4_096;
        let mut line = Vec::new();
        let mut bounded = (&mut self.read).take(longest);
        let Ok(read) = timeout(TIMEOUT, bounded.read_until(b'\n', &mut line)).await else {
            let error = format!("no request for {} s", TIMEOUT.as_secs());
            self.say(&Reply::Error(error)).await?;
            return Ok(None);
        };
        if read? == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == longest {
            self.say(&Reply::Error(format!("a request of more than {longest} bytes"))).await?;
            return Ok(None);
        }
        let request = serde_json::from_slice(&line);
        Ok(Some(request.map_err(|error| format!("no request: {error}"))))
    }

    /// Waits for `work` and says each second that it is still at it: that also finds out whether the
    /// client is still there.
    pub(super) async fn at_work<T>(&mut self, work: impl Future<Output = T>) -> std::io::Result<T> {
        let mut work = std::pin::pin!(work);
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut seconds = interval_at(begun + second, second);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                _ = seconds.tick() => self.say(&Reply::Working(begun.elapsed().as_secs())).await?,
            }
        }
    }
}
