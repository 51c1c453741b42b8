//! What the bytes on a lane's stream mean.
//!
//! A greeting from each side, two bytes of length and postcard; then frames: a tag, three bytes of
//! length, eight of number (big endian), and so many bytes of body. A stream of bytes has greetings
//! and no frames.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::declare::Channel;
use crate::channel::Frame;
use crate::channel::session::{Greeting, Welcome};
use crate::node::budget::{Budget, Kept, Share};

/// Bytes before a body.
pub(crate) const HEADER: usize = 12;
/// Bytes of a greeting.
const GREETING: usize = 512;
/// In a tag: the body is compressed.
const COMPRESSED: u8 = 0x80;
/// A tag of no kind: the node leaves, and nothing follows.
pub(crate) const LEFT: u8 = 0x7f;
/// Bodies below this are not worth compressing.
const WORTH: usize = 128;

/// What a sending half says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello<'a> {
    /// Which start of the sending node this is.
    pub(crate) started: u64,
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) declared: Declared<'a>,
    pub(crate) lane: u16,
    pub(crate) greeting: Greeting,
}

/// What both ends must have declared alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared<'a> {
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) parallelism: u16,
    pub(crate) max_message: u32,
    pub(crate) compressed: bool,
    pub(crate) queue_messages: u32,
    pub(crate) queue_bytes: u32,
}

/// What a receiving node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Welcome(Welcome),
    Refused {
        /// The greeting that is answered.
        attempt: u64,
        why: Refusal,
    },
}

/// Why a node refuses a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It declares no channel with this name.
    #[error("it has no such channel")]
    UnknownChannel,
    /// It declares the channel differently.
    #[error("it declares {option} = {theirs}, but this node declares {ours}")]
    Differs {
        /// The option that differs.
        option: String,
        /// What it declares.
        theirs: String,
        /// What this node declares.
        ours: String,
    },
    /// It takes messages on this channel only from nodes whose certificates have this role.
    #[error("this node has not proven that it has the role {0:?}")]
    Role(String),
    /// It serves as many lanes, or streams, as it allows.
    #[error("it has reached its limit of lanes")]
    Busy,
    /// It is leaving.
    #[error("it is leaving")]
    Leaving,
}

/// Who refuses, as the metric labels it.
pub(crate) const HERE: &str = "here";
pub(crate) const THERE: &str = "there";

impl Refusal {
    /// The reasons, as the metric labels them.
    pub(crate) const REASONS: [&str; 5] = ["unknown_channel", "differs", "role", "busy", "leaving"];

    pub(crate) fn reason(&self) -> &'static str {
        let [unknown_channel, differs, role, busy, leaving] = Self::REASONS;
        match self {
            Self::UnknownChannel => unknown_channel,
            Self::Differs { .. } => differs,
            Self::Role(_) => role,
            Self::Busy => busy,
            Self::Leaving => leaving,
        }
    }

    /// Whether it will be the same again: somebody configured the two nodes differently.
    pub(crate) fn is_drift(&self) -> bool {
        !matches!(self, Self::Busy | Self::Leaving)
    }
}

impl<'a> Declared<'a> {
    pub(crate) fn of(channel: &'a Channel) -> Self {
        Self {
            kind: Cow::Borrowed(channel.kind_name()),
            parallelism: channel.options.parallelism,
            max_message: u32::try_from(channel.options.max_message).unwrap_or(u32::MAX),
            compressed: channel.compressed,
            queue_messages: u32::try_from(channel.options.queue_messages).unwrap_or(u32::MAX),
            queue_bytes: u32::try_from(channel.options.queue_bytes).unwrap_or(u32::MAX),
        }
    }

    /// The first difference, as the other side is told: `self` is what it said.
    pub(crate) fn differs(&self, ours: &Self) -> Option<Refusal> {
        let differs = |option: &str, theirs: String, ours: String| {
            // The one refused reads it: what is ours here is theirs there.
            let refusal = Refusal::Differs { option: option.into(), theirs: ours, ours: theirs };
            Some(refusal)
        };
        if self.kind != ours.kind {
            return differs("kind", self.kind.to_string(), ours.kind.to_string());
        }
        for (option, theirs, ours) in [
            ("parallelism", self.parallelism.into(), ours.parallelism.into()),
            ("max_message", self.max_message, ours.max_message),
            ("queue (messages)", self.queue_messages, ours.queue_messages),
            ("queue (bytes)", self.queue_bytes, ours.queue_bytes),
        ] {
            if theirs != ours {
                return differs(option, theirs.to_string(), ours.to_string());
            }
        }
        if self.compressed != ours.compressed {
            return differs("compressed", self.compressed.to_string(), ours.compressed.to_string());
        }
        None
    }
}

/// Why a lane's stream ended other than as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the other side closed the stream")]
    Closed,
    #[error("the other side paused in the middle of a message for {0:?}")]
    Stalled(Duration),
    #[error("there was no memory for a message of the other side for {0:?}")]
    NoMemory(Duration),
    #[error("the other side sent an invalid message: {0}")]
    Nonsense(String),
}

/// Writes a greeting.
pub(crate) async fn greet<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    greeting: &T,
) -> Result<(), WireError> {
    #[allow(clippy::expect_used, reason = "a vector takes anything")]
    let mut bytes = postcard::to_extend(greeting, vec![0; 2]).expect("plain data serializes");
    let length = u16::try_from(bytes.len() - 2).unwrap_or(u16::MAX);
    bytes[..2].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads a greeting's bytes.
pub(crate) async fn greeting(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, WireError> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > GREETING {
        return Err(WireError::Nonsense(format!("a greeting of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Decodes a greeting.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(WireError::Nonsense("an invalid greeting".into())),
    }
}

/// A frame's header, and its body, compressed if that helps.
pub(crate) fn encode(frame: Frame, compress: bool) -> ([u8; HEADER], Bytes) {
    let Frame { mut tag, number, mut body } = frame;
    if compress && body.len() >= WORTH {
        let smaller = lz4_flex::compress_prepend_size(&body);
        if smaller.len() < body.len() {
            tag |= COMPRESSED;
            body = smaller.into();
        }
    }
    debug_assert!(body.len() < 1 << 24, "{} bytes", body.len());
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&(body.len() as u32).to_be_bytes());
    header[0] = tag;
    header[4..].copy_from_slice(&number.to_be_bytes());
    (header, body)
}

/// What a header announces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    tag: u8,
    pub(crate) length: usize,
    number: u64,
}

impl Head {
    pub(crate) fn decode(header: [u8; HEADER], max_message: usize) -> Result<Self, WireError> {
        let [tag, a, b, c, number @ ..] = header;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > max_message {
            let what = format!("a message of {length} bytes: at most {max_message} are allowed");
            return Err(WireError::Nonsense(what));
        }
        Ok(Self { tag, length, number: u64::from_be_bytes(number) })
    }

    /// The frame with this body.
    pub(crate) fn frame(self, body: Bytes, max_message: usize) -> Result<Frame, WireError> {
        let Self { tag, number, .. } = self;
        if tag & COMPRESSED == 0 {
            return Ok(Frame { tag, number, body });
        }
        let tag = tag & !COMPRESSED;
        Ok(Frame { tag, number, body: decompress(&body, max_message)? })
    }
}

fn decompress(body: &[u8], max_message: usize) -> Result<Bytes, WireError> {
    let nonsense = |what: &dyn std::fmt::Display| WireError::Nonsense(format!("LZ4: {what}"));
    let (size, rest) =
        lz4_flex::block::uncompressed_size(body).map_err(|error| nonsense(&error))?;
    if size > max_message {
        return Err(nonsense(&format_args!("{size} bytes: at most {max_message} are allowed")));
    }
    let plain = lz4_flex::decompress(rest, size).map_err(|error| nonsense(&error))?;
    Ok(plain.into())
}

/// Bytes written at a time: a Yamux frame each, which small messages share.
pub(crate) const BATCH: usize = 15 << 10;

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
            let (header, body) = encode(frame, compressed);
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

/// Bytes read at a time.
const READ: usize = 64 << 10;
/// Bodies up to this are copied: sharing would keep all that was read with them alive.
const COPIED: usize = 256;

/// Cuts what a stream brings into frames, sharing the bytes.
pub(crate) struct FrameReader<S> {
    stream: S,
    max_message: usize,
    buffer: BytesMut,
    /// Bytes of the buffer that were read.
    end: usize,
    /// A frame that began must go on within this.
    stall_wait: Duration,
    /// Of the node's budget: the buffer.
    share: Share,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub(crate) fn new(
        stream: S,
        max_message: usize,
        stall_wait: Duration,
        budget: &Arc<Budget>,
    ) -> Self {
        let share = Share::of(budget, Kept::Frame);
        Self { stream, max_message, buffer: BytesMut::new(), end: 0, stall_wait, share }
    }

    /// The next frame that is there whole.
    pub(crate) fn whole(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(header) = self.buffer[..self.end].first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let head = Head::decode(*header, self.max_message)?;
        let whole = HEADER + head.length;
        if self.end < whole {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        self.end -= whole;
        let body = if head.length <= COPIED {
            let body = Bytes::copy_from_slice(&self.buffer[..head.length]);
            self.buffer.advance(head.length);
            body
        } else {
            self.buffer.split_to(head.length).freeze()
        };
        head.frame(body, self.max_message).map(Some)
    }

    /// Reads more; whether the stream goes on.
    pub(crate) async fn more(&mut self) -> Result<bool, WireError> {
        self.make_room().await?;
        let read = self.stream.read(&mut self.buffer[self.end..]);
        let read = if self.end == 0 {
            read.await?
        } else {
            let read = timeout(self.stall_wait, read).await;
            read.map_err(|_| WireError::Stalled(self.stall_wait))??
        };
        self.end += read;
        if read == 0 && self.end > 0 {
            return Err(WireError::Closed);
        }
        Ok(read > 0)
    }

    /// Room for the rest of a frame that began, or for a few frames. It grows with what really
    /// arrived: an announced length alone buys none.
    async fn make_room(&mut self) -> Result<(), WireError> {
        if self.buffer.len() - self.end >= READ / 4 {
            return Ok(());
        }
        let wanted = match self.buffer[..self.end].first_chunk::<HEADER>() {
            Some(header) => HEADER + Head::decode(*header, self.max_message)?.length,
            None => 0,
        };
        let wanted = wanted.min(4 * self.end).max(self.end + READ / 4);
        let wanted = wanted.max(READ);
        if wanted > READ && !self.share.grow_to(wanted, self.stall_wait).await {
            return Err(WireError::NoMemory(self.stall_wait));
        }
        self.share.set(wanted);
        let mut larger = BytesMut::zeroed(wanted);
        larger[..self.end].copy_from_slice(&self.buffer[..self.end]);
        self.buffer = larger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    const MAX: usize = 1 << 20;
    const STALL: Duration = Duration::from_secs(30);

    fn bytes(frames: &[Frame], compress: bool) -> Vec<u8> {
        let mut all = Vec::new();
        for frame in frames {
            let (header, body) = encode(frame.clone(), compress);
            all.extend_from_slice(&header);
            all.extend_from_slice(&body);
        }
        all
    }

    async fn read(bytes: Vec<u8>) -> Result<Vec<Frame>, WireError> {
        let mut reader = FrameReader::new(Cursor::new(bytes), MAX, STALL, &Budget::plenty());
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = reader.whole()? {
                frames.push(frame);
            }
            if !reader.more().await? {
                return Ok(frames);
            }
        }
    }

    #[tokio::test]
    async fn frames_of_all_sizes_come_out_as_they_went_in() {
        let sizes = [0, 1, 255, 256, 257, 5_000, READ - HEADER, READ, 300_000, MAX];
        let frames: Vec<Frame> = (1..)
            .zip(sizes)
            .map(|(number, size)| Frame {
                tag: number as u8,
                number: u64::MAX - number,
                body: (0..size).map(|at| (at / 7) as u8).collect::<Vec<u8>>().into(),
            })
            .collect();
        let (plain, smaller) = (bytes(&frames, false), bytes(&frames, true));
        assert!(smaller.len() < plain.len() / 2, "{} bytes", smaller.len());
        assert_eq!(read(plain).await.expect("frames"), frames);
        assert_eq!(read(smaller).await.expect("frames"), frames);
    }

    #[tokio::test]
    async fn lengths_that_lie_buy_nothing() {
        let too_long = [1, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(read(too_long.to_vec()).await, Err(WireError::Nonsense(_))));
        // A compressed body that says it is a terabyte.
        let mut bomb = vec![COMPRESSED | 1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        bomb.extend_from_slice(&[0xff; 8]);
        assert!(matches!(read(bomb).await, Err(WireError::Nonsense(_))));
        let half = [1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        assert!(matches!(read(half.to_vec()).await, Err(WireError::Closed)));
    }

    #[test]
    fn what_differs_is_named() {
        let ours = Channel::acknowledged("a");
        let theirs = Channel::acknowledged("a").parallelism(2);
        let refusal = Declared::of(&theirs).differs(&Declared::of(&ours)).expect("a difference");
        assert_eq!(refusal.to_string(), "it declares parallelism = 1, but this node declares 2");
        assert_eq!(Declared::of(&ours).differs(&Declared::of(&ours.clone())), None);
    }
}
