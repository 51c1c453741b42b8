//! What raw streams give.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::latency::{rate, repeat};
use crate::swarm::streams;
use crate::transport::Transport;
use crate::{Error, Figures};

/// Bytes written at a time.
const BATCH: usize = 16 << 10;
/// Bytes before a message: a length, and as many more as a channel's frame has.
const HEADER: usize = 12;
/// Bytes of a message.
pub(crate) const MESSAGE: usize = 1 << 10;
/// Bytes of a request, and of its answer.
pub(crate) const PING: usize = 64;

pub(crate) async fn messages(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let mut pairs = streams(transport, 1).await?;
    let (write, read) = pairs.pop().ok_or("no stream")?;
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(write_messages(write));
    tokio::spawn(read_messages(read, Arc::clone(&count)));
    rate(&count, seconds).await
}

async fn write_messages(mut stream: impl AsyncWrite + Unpin) -> Result<(), Error> {
    let message = Bytes::from(vec![7; MESSAGE]);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        while batch.len() + HEADER + MESSAGE <= BATCH {
            batch.extend_from_slice(&(MESSAGE as u32).to_be_bytes());
            batch.extend_from_slice(&[0; HEADER - 4]);
            batch.extend_from_slice(&message);
        }
        stream.write_all(&batch).await?;
        batch.clear();
    }
}

async fn read_messages(
    mut stream: impl AsyncRead + Unpin,
    count: Arc<AtomicU64>,
) -> Result<(), Error> {
    let mut chunk = vec![0; 64 << 10];
    let mut buffer = BytesMut::new();
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..read]);
        while let Some(header) = buffer.first_chunk::<4>() {
            let length = u32::from_be_bytes(*header) as usize;
            if buffer.len() < HEADER + length {
                break;
            }
            buffer.advance(HEADER);
            drop(buffer.split_to(length).freeze());
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) async fn bytes(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let mut pairs = streams(transport, 1).await?;
    let (write, read) = pairs.pop().ok_or("no stream")?;
    bulk(write, read, seconds).await
}

/// Bytes a second, one way.
pub(crate) async fn bulk(
    write: impl AsyncWrite + Unpin + Send + 'static,
    read: impl AsyncRead + Unpin + Send + 'static,
    seconds: f64,
) -> Result<Figures, Error> {
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(write_bytes(write));
    tokio::spawn(read_bytes(read, Arc::clone(&count)));
    rate(&count, seconds).await
}

async fn write_bytes(mut stream: impl AsyncWrite + Unpin) -> Result<(), Error> {
    let batch = [7; BATCH];
    loop {
        stream.write_all(&batch).await?;
    }
}

async fn read_bytes(
    mut stream: impl AsyncRead + Unpin,
    count: Arc<AtomicU64>,
) -> Result<(), Error> {
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

pub(crate) async fn ping_pong(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let mut pairs = streams(transport, 1).await?;
    let (ask, answer) = pairs.pop().ok_or("no stream")?;
    tokio::spawn(echo(answer));
    let mut figures = Figures::new();
    pings(ask, seconds, false, "", &mut figures).await?;
    Ok(figures)
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
    let mut ping = [0; PING];
    loop {
        stream.read_exact(&mut ping).await?;
        stream.write_all(&ping).await?;
        stream.flush().await?;
    }
}

async fn pings<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    seconds: f64,
    paced: bool,
    of: &str,
    figures: &mut Figures,
) -> Result<S, Error> {
    let stream = Mutex::new(stream);
    let once = || async {
        let mut stream = stream.lock().await;
        let mut ping = [3; PING];
        stream.write_all(&ping).await?;
        stream.flush().await?;
        Ok(stream.read_exact(&mut ping).await?)
    };
    repeat(seconds, paced, once).await?.note(figures, of);
    Ok(stream.into_inner())
}

/// Pings on one connection, alone and while another one is kept full.
pub(crate) async fn isolation(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let mut pairs = streams(transport, 2).await?;
    let (ask, answer) = pairs.pop().ok_or("no stream")?;
    let (write, read) = pairs.pop().ok_or("no stream")?;
    tokio::spawn(echo(answer));
    let mut figures = Figures::new();
    let ask = pings(ask, seconds, true, "idle ", &mut figures).await?;
    let full = tokio::spawn(bulk(write, read, seconds));
    pings(ask, seconds, true, "beside ", &mut figures).await?;
    let full = full.await??;
    figures.extend(full.into_iter().map(|(name, value)| (format!("bulk {name}"), value)));
    Ok(figures)
}
