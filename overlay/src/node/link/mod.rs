//! The two tasks of a link: one reads its inbound stream, one writes its outbound stream.
//!
//! They own the streams and wait for the peer so that the driver never does.

#[cfg(any(test, fuzzing))]
pub(crate) mod check;
pub(crate) mod outbox;
pub(crate) mod route;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, FutureExt};
use libp2p::swarm::{ConnectionId, Stream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::authorship::{Authorship, Forged};
use super::budget::{Budget, Kept, Share};
use super::wire::{
    Codec, Frame, FrameError, HEADER, Head, Hello, Kind, encode_empty, encode_padding, header,
};
use outbox::{BATCH, Batch, Outbox, Taken, Turn};

/// Bytes read at a time.
const READ: usize = 16 << 10;
/// Bytes of a frame, and of the start of the next one, for which there is always room.
const FIRST: usize = 2 * READ;
/// Bytes an idle link has room for.
const IDLE: usize = 1 << 10;
/// Frames reported together: decoded, a small frame is twenty times as large.
const TOGETHER: usize = 1 << 10;
/// How long a goodbye may take to be written.
const GOODBYE: Duration = Duration::from_secs(5);

/// What a link's tasks tell the driver.
#[derive(Debug)]
pub(crate) enum Report {
    /// The first frame.
    Hello(Hello),
    /// Whatever arrived together, in order, each with its bytes on the wire.
    Frames(Vec<(Frame, usize)>),
    /// Nothing more will be read.
    ReadEnded(Result<(), LinkError>),
    /// Nothing more will be written.
    WriteEnded(Result<(), LinkError>),
}

/// Why a link ended other than by a goodbye.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("the peer closed the stream without saying goodbye")]
    NoGoodbye,
    #[error("the peer sent an invalid message: {0}")]
    Frame(#[from] FrameError),
    #[error("the peer paused in the middle of a message for {0:?}")]
    Stalled(Duration),
    #[error("the peer passed on a forgery: {0}")]
    Forged(#[from] Forged),
    #[error("there was no memory for a message of the peer for {0:?}")]
    NoMemory(Duration),
}

/// Why a link ends. Its word in the metrics stands in `metrics::LINK_ENDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    Goodbye,
    /// Another connection with the same peer takes its place.
    Replaced,
    Idle,
    Closed,
    Failed,
    Nonsense,
    Stalled,
    /// The peer runs other strategies, or has another limit of frames.
    Mismatch,
    Unsupported,
    /// The peer no longer proves that it belongs to the overlay.
    NotAdmitted,
    /// The peer passed on what its origin did not sign.
    Forged,
    /// There was no memory for a message of the peer.
    NoMemory,
}

impl From<&LinkError> for LinkEnd {
    fn from(error: &LinkError) -> Self {
        match error {
            LinkError::Io(_) => Self::Failed,
            LinkError::NoGoodbye => Self::Closed,
            LinkError::Frame(_) => Self::Nonsense,
            LinkError::Stalled(_) => Self::Stalled,
            LinkError::Forged(_) => Self::Forged,
            LinkError::NoMemory(_) => Self::NoMemory,
        }
    }
}

/// The way from a link's tasks to the driver. It is bounded: a driver that falls behind lets the
/// peers wait.
pub(crate) type Reports = mpsc::Sender<(ConnectionId, Report)>;

/// Ends when a connection does: the driver, who knows, drops the other half.
pub(crate) type Standing = watch::Receiver<()>;

async fn closed(mut standing: Standing) {
    // Nothing is ever sent.
    let _ = standing.changed().await;
}

/// A stream that ends with its connection. Yamux does not wake whoever reads or writes on a
/// connection that this side closes.
pub(crate) struct OnConnection<S> {
    stream: S,
    /// `None` once it is closed.
    closed: Option<BoxFuture<'static, ()>>,
}

impl<S> OnConnection<S> {
    pub(crate) fn new(stream: S, standing: Standing) -> Self {
        Self { stream, closed: Some(closed(standing).boxed()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OnConnection<S> {
    /// What has arrived is read first.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, into) {
            return Poll::Ready(read);
        }
        if let Some(closed) = &mut self.closed {
            ready!(closed.poll_unpin(context));
            self.closed = None;
        }
        Poll::Ready(Ok(0))
    }
}

/// What a reader takes, and what it believes.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The largest body of a payload.
    pub(crate) max_frame: usize,
    /// A frame that began must go on within this.
    pub(crate) stall_wait: Duration,
    pub(crate) codec: Codec,
    pub(crate) authorship: Arc<Authorship>,
    pub(crate) budget: Arc<Budget>,
}

impl Rules {
    /// A broadcast must be one that this node can pass on: the next head may be longer than the one it came with.
    fn check(&self, kind: Kind, frame: &Frame) -> Result<(), FrameError> {
        let is_broadcast = matches!(kind, Kind::Gossip | Kind::Reply);
        let room = self.max_frame - (Head::MAX - HEADER);
        let fits = frame.broadcast().is_some_and(|(_, content)| content.bytes().len() <= room);
        if is_broadcast && !fits { Err(FrameError::Malformed(kind)) } else { Ok(()) }
    }
}

/// Reads a stream to its end and reports what arrives.
pub(crate) async fn read(
    stream: impl AsyncRead + Unpin,
    connection: ConnectionId,
    rules: Rules,
    reports: Reports,
) {
    let share = Share::of(&rules.budget, Kept::Frame);
    let mut reader = Reader { stream, rules, buffer: Vec::new(), share, start: 0, end: 0 };
    let ended = reader.run(connection, &reports).await;
    // The driver is gone only when the node is.
    let _ = reports.send((connection, Report::ReadEnded(ended))).await;
}

struct Reader<S> {
    stream: S,
    rules: Rules,
    /// Read and not decoded yet: from `start` to `end`.
    buffer: Vec<u8>,
    /// Of the node's budget: the buffer.
    share: Share,
    start: usize,
    end: usize,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    async fn run(&mut self, connection: ConnectionId, reports: &Reports) -> Result<(), LinkError> {
        let mut first = self.next_header().await?;
        if let Some((kind @ Kind::Padding, length)) = first {
            self.body(kind, length).await?;
            first = self.next_header().await?;
        }
        let Some((kind, length)) = first else { return Err(LinkError::NoGoodbye) };
        if kind != Kind::Hello {
            return Err(FrameError::OutOfPlace(kind).into());
        }
        let Frame::Hello(hello) = self.body(kind, length).await? else {
            return Err(FrameError::OutOfPlace(kind).into());
        };
        if reports.send((connection, Report::Hello(hello))).await.is_err() {
            return Ok(());
        }
        loop {
            let Some((kind, length)) = self.next_header().await? else {
                return Err(LinkError::NoGoodbye);
            };
            let mut frames = Vec::with_capacity(16);
            let mut next = Some((kind, length));
            let mut handled = 0;
            while let Some((kind, length)) = next {
                let frame = self.body(kind, length).await?;
                if matches!(frame, Frame::Hello(_) | Frame::Padding) {
                    return Err(FrameError::OutOfPlace(kind).into());
                }
                self.rules.check(kind, &frame)?;
                // What is not believed and proves no lie is dropped.
                if self.rules.authorship.verify(&frame)? {
                    frames.push((frame, HEADER + length));
                }
                // Signatures take a while, and other links wait, too.
                consume_budget().await;
                handled += 1;
                let enough = kind == Kind::Bye || handled == TOGETHER;
                next = if enough { None } else { self.whole_frame()? };
            }
            let bye = frames.pop_if(|(frame, _)| *frame == Frame::Bye).is_some();
            let ended = !frames.is_empty()
                && reports.send((connection, Report::Frames(frames))).await.is_err();
            if ended || bye {
                return Ok(());
            }
        }
    }

    fn unread(&self) -> usize {
        self.end - self.start
    }

    /// The next frame's header, consumed; `None` if the stream ends before it.
    async fn next_header(&mut self) -> Result<Option<(Kind, usize)>, LinkError> {
        while self.unread() < HEADER {
            let more = if self.unread() == 0 {
                // An idle link keeps no buffer; whether it is alive is the membership's to judge.
                self.read_when_idle().await?
            } else {
                self.read_more(READ).await?
            };
            if !more {
                return if self.unread() == 0 { Ok(None) } else { Err(LinkError::NoGoodbye) };
            }
        }
        let announced = self.peek_header()?;
        self.start += HEADER;
        Ok(Some(announced))
    }

    /// The next frame's header, consumed, if the buffer holds all of the frame.
    fn whole_frame(&mut self) -> Result<Option<(Kind, usize)>, LinkError> {
        if self.unread() < HEADER {
            return Ok(None);
        }
        let (kind, length) = self.peek_header()?;
        if self.unread() < HEADER + length {
            return Ok(None);
        }
        self.start += HEADER;
        Ok(Some((kind, length)))
    }

    fn peek_header(&self) -> Result<(Kind, usize), FrameError> {
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(&self.buffer[self.start..self.start + HEADER]);
        header(bytes, self.rules.max_frame)
    }

    /// The body that follows a header.
    async fn body(&mut self, kind: Kind, length: usize) -> Result<Frame, LinkError> {
        while self.unread() < length {
            // Room grows with what really arrived: an announced length alone buys none.
            let room = (length - self.unread()).min(self.unread().max(READ));
            if !self.read_more(room).await? {
                return Err(LinkError::NoGoodbye);
            }
        }
        let body = &self.buffer[self.start..self.start + length];
        let frame = Frame::decode(kind, body, &self.rules.codec)?;
        self.start += length;
        Ok(frame)
    }

    /// Reads at the start of an empty buffer, which a wait makes small.
    async fn read_when_idle(&mut self) -> Result<bool, LinkError> {
        (self.start, self.end) = (0, 0);
        self.buffer.resize(self.buffer.len().max(IDLE), 0);
        let Self { stream, buffer, share, .. } = self;
        share.set(buffer.capacity());
        let read = poll_fn(|context| {
            let read = Pin::new(&mut *stream).poll_read(context, buffer);
            if read.is_pending() && buffer.len() > IDLE {
                buffer.truncate(IDLE);
                buffer.shrink_to_fit();
                share.set(buffer.capacity());
            }
            read
        });
        self.end = read.await?;
        Ok(self.end > 0)
    }

    /// Reads once, at most `room` bytes; whether the stream goes on.
    async fn read_more(&mut self, room: usize) -> Result<bool, LinkError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let wanted = self.end + room;
        if self.buffer.len() < wanted {
            let limit = self.rules.stall_wait;
            // Without the first part nothing would come, not even control.
            if wanted > self.buffer.capacity().max(FIRST)
                && !self.share.grow_to(wanted, limit).await
            {
                return Err(LinkError::NoMemory(limit));
            }
            self.buffer.resize(wanted, 0);
            self.share.set(self.buffer.capacity());
        }
        let into = &mut self.buffer[self.end..];
        let read = timeout(self.rules.stall_wait, self.stream.read(into)).await;
        let read = read.map_err(|_| LinkError::Stalled(self.rules.stall_wait))??;
        self.end += read;
        Ok(read > 0)
    }
}

/// Greets, waits to be told which outbox to drain, and drains it to its end.
pub(crate) async fn write(
    mut stream: Stream,
    connection: ConnectionId,
    hello: Vec<u8>,
    attached: oneshot::Receiver<(Arc<Outbox>, Turn)>,
    standing: Standing,
    reports: Reports,
) {
    let ended = tokio::select! {
        biased;
        ended = drain(&mut stream, hello, attached) => ended,
        // The reader tells why.
        () = closed(standing) => Ok(()),
    };
    let _ = reports.send((connection, Report::WriteEnded(ended))).await;
}

async fn drain(
    stream: &mut Stream,
    hello: Vec<u8>,
    attached: oneshot::Receiver<(Arc<Outbox>, Turn)>,
) -> Result<(), LinkError> {
    stream.write_all(&encode_padding()).await?;
    stream.write_all(&hello).await?;
    stream.flush().await?;
    drop(hello);
    if let Ok((outbox, turn)) = attached.await {
        let mut batch = Batch::default();
        while let Taken::Batch { more } =
            poll_fn(|context| outbox.poll_take(turn, &mut batch, context)).await
        {
            stream.write_all(&batch.bytes).await?;
            if let Some(large) = batch.large.take() {
                for part in large.chunks(BATCH) {
                    stream.write_all(part).await?;
                    outbox.took(part.len());
                }
            }
            if !more {
                stream.flush().await?;
                // An idle link keeps no buffer.
                batch = Batch::default();
            }
        }
    }
    let goodbye = async {
        stream.write_all(&encode_empty(Kind::Bye)).await?;
        stream.close().await
    };
    timeout(GOODBYE, goodbye).await.map_err(|_| LinkError::Stalled(GOODBYE))??;
    Ok(())
}
