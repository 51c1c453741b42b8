//! A connection to a node's admin socket.

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::admin::{Reply, Request, socket};
use crate::args;

/// A connection on which one request is made.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    limit: Duration,
}

impl Connection {
    pub(super) async fn open(options: &args::Client) -> Result<Self, Box<dyn Error>> {
        let path = options.admin.clone().or_else(socket::default_for_client);
        let path = path.ok_or("no node runs here: start one, or say where with --admin PATH")?;
        let stream = UnixStream::connect(&path).await;
        let stream =
            stream.map_err(|error| format!("no node answers on {}: {error}", path.display()))?;
        Ok(Self { stream: BufReader::new(stream), limit: options.timeout })
    }

    /// Asks, and waits for the first answer.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Reply, Box<dyn Error>> {
        // A node that refuses the request unread says why.
        let written = timeout(self.limit, self.say(request)).await;
        let answer = self.answer().await;
        match (written, answer) {
            (_, Ok(answer)) => Ok(answer),
            (Ok(Err(error)), Err(_)) => Err(format!("the node hung up: {error}").into()),
            (_, Err(error)) => Err(error),
        }
    }

    /// Asks, and waits for what it comes to, all in all for as long as a node may take. `None`: it
    /// took longer.
    pub(super) async fn ask_for_outcome(
        &mut self,
        request: &Request,
    ) -> Result<Option<Reply>, Box<dyn Error>> {
        let limit = self.limit;
        let exchange = async {
            let written = self.say(request).await;
            loop {
                match self.next().await {
                    Ok(Reply::Working(_)) => {}
                    Ok(reply) => return Ok(reply),
                    Err(error) => {
                        written.map_err(|error| format!("the node hung up: {error}"))?;
                        return Err(error);
                    }
                }
            }
        };
        timeout(limit, exchange).await.map_or(Ok(None), |reply| reply.map(Some))
    }

    /// Says something that need not be answered.
    pub(super) async fn say(&mut self, request: &Request) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.write_all(&line).await
    }

    /// The next line, if it comes in time.
    pub(super) async fn answer(&mut self) -> Result<Reply, Box<dyn Error>> {
        let limit = self.limit;
        match timeout(limit, self.next()).await {
            Ok(next) => next,
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Err(format!("the node did not answer within {limit}").into())
            }
        }
    }

    /// The next line, whenever it comes.
    pub(super) async fn next(&mut self) -> Result<Reply, Box<dyn Error>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Err("the node hung up".into());
        }
        let reply = serde_json::from_slice(&line);
        reply.map_err(|error| format!("the node's answer is not understood: {error}").into())
    }
}
