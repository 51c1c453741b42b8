//! Channels on the admin socket: send, request, listen.
//!
//! A listener has one message at a time and says when it is done with it. One that went away before
//! has taken nothing: its message waits for the next listener, and its sender for an outcome.

use std::io;

use murmurate::{Endpoint, NodeId, SendError, Undelivered};
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::agent::{Agent, Kept};
use super::client::Client;
use super::{Answer, Base64, Listening, Outcome, Received, Reply, Request, Sent, text};
use crate::config::channels::Kind;

/// A message that a listener has. Dropped before it was taken, it waits for the next.
struct Given<'a> {
    kept: &'a Kept,
    channel: &'a str,
    received: Option<murmurate::Received>,
}

impl Given<'_> {
    /// Says why, if it cannot be answered like this: then it waits for the next.
    fn done(mut self, answer: Option<Base64>) -> Result<(), String> {
        let Some(received) = self.received.take() else { return Ok(()) };
        let Some(answer) = answer else {
            received.ack();
            return Ok(());
        };
        received.answer(answer.0).map_err(|error| {
            let why = error.to_string();
            self.received = Some(error.request);
            why
        })
    }
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if let Some(received) = self.received.take() {
            self.kept.keep(self.channel, received);
        }
    }
}

/// A channel of a running agent, and its kind.
fn channel(agent: &Agent, name: &str) -> Result<(Endpoint, Kind), String> {
    if agent.channels.is_empty() {
        return Err("this node declares no channels: start it with --channel NAME=KIND, or with \
                    [channels.NAME] in its configuration"
            .into());
    }
    let endpoint = agent.node.channel(name).map_err(|error| error.to_string())?;
    let kind = agent.channels.get(name).and_then(|declared| declared.kind);
    Ok((endpoint, kind.ok_or("no such channel")?))
}

fn node(text: &str) -> Result<NodeId, String> {
    text.parse().map_err(|_| {
        format!(
            "to = {text:?} is not a node: write an id as `murmurate info` prints it, 12D3Koo..."
        )
    })
}

/// What became of a message that nobody knows to be delivered.
fn undelivered(error: &Undelivered) -> Outcome {
    match error {
        Undelivered::Dropped => Outcome::Dropped,
        Undelivered::Gone => Outcome::Gone,
        Undelivered::TimedOut => Outcome::TimedOut,
        Undelivered::Shed => Outcome::Shed,
        Undelivered::Failed(SendError::Unreachable { .. }) => Outcome::Unreachable,
        _ => Outcome::Refused,
    }
}

fn not_delivered(error: &Undelivered, since: Instant) -> Reply {
    Reply::Sent(Sent {
        outcome: undelivered(error),
        reason: Some(error.to_string()),
        seconds: since.elapsed().as_secs_f64(),
    })
}

/// Sends a message and says what became of it.
pub(super) async fn send(
    agent: &Agent,
    to: &str,
    name: &str,
    key: Option<String>,
    data: Vec<u8>,
) -> Result<Reply, String> {
    let (endpoint, kind) = channel(agent, name)?;
    if kind == Kind::Request {
        return Err(format!("channel {name:?} carries requests: use `murmurate request`"));
    }
    let (to, since) = (endpoint.to(node(to)?), Instant::now());
    let taken = match key {
        Some(key) => to.send_keyed(key, data).await,
        None => to.send(data).await,
    };
    let outcome = match taken {
        Ok(receipt) => receipt.await.map(drop),
        Err(error) => Err(Undelivered::Failed(error)),
    };
    Ok(match outcome {
        Err(error) => not_delivered(&error, since),
        Ok(()) => {
            let is_known = kind != Kind::BestEffort;
            let outcome = if is_known { Outcome::Delivered } else { Outcome::Sent };
            Reply::Sent(Sent { outcome, reason: None, seconds: since.elapsed().as_secs_f64() })
        }
    })
}

/// Sends a request and says what it is answered with.
pub(super) async fn request(
    agent: &Agent,
    to: &str,
    name: &str,
    data: Vec<u8>,
) -> Result<Reply, String> {
    let (endpoint, kind) = channel(agent, name)?;
    if kind != Kind::Request {
        let kind = kind.name();
        return Err(format!(
            "channel {name:?} has no answers, its kind is {kind}: use `murmurate send`"
        ));
    }
    let (to, since) = (node(to)?, Instant::now());
    Ok(match endpoint.request(to, data).await {
        Ok(answer) => Reply::Answer(Answer {
            text: text(&answer),
            data: Base64(answer.into()),
            seconds: since.elapsed().as_secs_f64(),
        }),
        Err(error) => not_delivered(&error, since),
    })
}

/// Gives a client what arrives on a channel until it closes its end, or the node ends.
pub(super) async fn listen(client: &mut Client, name: &str) -> io::Result<()> {
    let agent = client.agent.clone();
    let (endpoint, kind) = match channel(&agent, name) {
        Ok(known) => known,
        Err(error) => return client.say(&Reply::Error(error)).await,
    };
    let listening = Listening { channel: name.into(), kind: kind.name().into() };
    client.say(&Reply::Listening(listening)).await?;
    loop {
        let mut more = std::pin::pin!(agent.kept.more.notified());
        more.as_mut().enable();
        let received = match agent.kept.take(name) {
            Some(kept) => Some(kept),
            None => tokio::select! {
                received = endpoint.receive() => received,
                () = more => continue,
                // Whatever it says now: it no longer listens.
                _ = client.read.fill_buf() => return client.write.shutdown().await,
            },
        };
        let Some(received) = received else {
            return client.say(&Reply::Error("the node has ended".into())).await;
        };
        let said = Reply::Received(Received {
            from: received.from.to_string(),
            channel: name.into(),
            text: text(&received.data),
            data: Base64(received.data.to_vec()),
        });
        let given = Given { kept: &agent.kept, channel: name, received: Some(received) };
        client.say(&said).await?;
        match client.hear().await? {
            // It went away.
            None => return Ok(()),
            Some(Ok(Request::Taken { answer })) => {
                if let Err(error) = given.done(answer) {
                    return client.say(&Reply::Error(error)).await;
                }
            }
            Some(Ok(_)) => {
                let error = "a listener says taken, and nothing else, after each message";
                return client.say(&Reply::Error(error.into())).await;
            }
            Some(Err(error)) => return client.say(&Reply::Error(error)).await,
        }
    }
}
