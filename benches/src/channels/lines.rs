//! What channels give.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use murmurate::{Channel, Destination, Endpoint, Node, SendError};

use crate::latency::{Latencies, rate, repeat};
use crate::nodes::{echo, pair};
use crate::raw::{MESSAGE, PING, bulk};
use crate::transport::Transport;
use crate::{Error, Figures};

/// Messages of 1 KiB one way, as many as go, from so many tasks.
pub(crate) async fn one_way(
    channel: Channel,
    tasks: usize,
    transport: Transport,
    seconds: f64,
) -> Result<Figures, Error> {
    let (one, two) = pair(transport, &[channel]).await?;
    let to = one.channel("c")?.to(two.id());
    // The first to arrive is waited for: connections stand then.
    drop(to.send("first").await?);
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(count_messages(two.channel("c")?, Arc::clone(&count)));
    for _ in 0..tasks {
        tokio::spawn(send_messages(to.clone()));
    }
    rate(&count, seconds).await
}

/// Receipts are dropped: the queue's bound is the window.
async fn send_messages(to: Destination) -> Result<(), SendError> {
    let message = Bytes::from(vec![7; MESSAGE]);
    loop {
        drop(to.send(message.clone()).await?);
    }
}

pub(crate) async fn count_messages(from: Endpoint, count: Arc<AtomicU64>) {
    while let Some(received) = from.receive().await {
        received.ack();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Requests of 64 bytes, one after the other.
pub(crate) async fn request(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let (one, two) = pair(transport, &[Channel::request("ask")]).await?;
    tokio::spawn(echo(two.channel("ask")?));
    let mut figures = Figures::new();
    asks(&one, &two, seconds, false).await?.note(&mut figures, "");
    Ok(figures)
}

/// How long requests take.
pub(crate) async fn asks(
    one: &Node,
    two: &Node,
    seconds: f64,
    paced: bool,
) -> Result<Latencies, Error> {
    let ask = one.channel("ask")?.to(two.id());
    let message = Bytes::from(vec![3; PING]);
    let once = || async {
        let answer = ask.request(message.clone()).await?;
        if answer == message { Ok(()) } else { Err("another answer".into()) }
    };
    repeat(seconds, paced, once).await
}

/// A stream of bytes one way.
pub(crate) async fn bytes(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let (one, two) = pair(transport, &[Channel::bytes("files")]).await?;
    let (opening, accepting) = (one.channel("files")?, two.channel("files")?);
    let (write, accepted) = tokio::join!(opening.open(two.id()), accepting.accept());
    let (_, read) = accepted.ok_or("the node ended")?;
    bulk(write?, read, seconds).await
}
