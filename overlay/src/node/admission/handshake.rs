//! How two nodes prove to each other that they belong to the same overlay: three messages on a stream of its
//! own, before the swarm learns of the connection.
//!
//! The dialler claims; the listener claims, or refuses; the dialler agrees, or refuses. So both know why there
//! is no connection, and a listener says nothing of itself to who has proven nothing.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Denial;
use super::denial::{Cause, NotAdmitted};
use super::gate::{Gate, Pass, Side};
use crate::NodeId;

/// Bytes of the longest message: a certificate has some 400 at most.
const MAX_MESSAGE: usize = 1_024;
/// How long the other side may take until both are convinced.
const SILENCE: Duration = Duration::from_secs(3);
/// How long who is refused may take to read why.
const REFUSED: Duration = Duration::from_secs(1);
/// The version of these messages, in front of each.
const VERSION: u8 = 1;

/// What a node says once it has heard the other.
#[derive(Debug, Serialize, Deserialize)]
enum Answer<T> {
    Agreed(T),
    Refused(Denial),
}

/// Lets a connection pass if both sides prove that they belong to the same overlay.
pub(crate) async fn admit(
    gate: &Gate,
    (peer, mut muxer): (PeerId, StreamMuxerBox),
    side: Side,
    expected: Option<PeerId>,
) -> Result<(PeerId, StreamMuxerBox), Cause> {
    // Whoever is somewhere by chance learns nothing of this node.
    if expected.is_some_and(|expected| expected != peer) {
        return Err(NotAdmitted::Another(peer).into());
    }
    let node = NodeId::try_from(peer).map_err(|_| NotAdmitted::Identity)?;
    let proven = async {
        let mut stream = open(&mut muxer, side).await?;
        let talked = carried(&mut muxer, talk(gate, node, side, &mut stream)).await?;
        if let Err(NotAdmitted::Theirs { .. }) = talked {
            let read = carried(&mut muxer, until_closed(&mut stream));
            let _ = timeout(REFUSED, read).await;
        }
        talked
    };
    let proven = timeout(SILENCE, proven).await.map_err(|_| NotAdmitted::Silent(SILENCE))?;
    gate.note(node, proven?);
    Ok((peer, muxer))
}

/// The stream to talk on, which the dialler opens.
async fn open(muxer: &mut StreamMuxerBox, side: Side) -> io::Result<SubstreamBox> {
    let opened = poll_fn(|context| {
        let opened = match side {
            Side::Dialler => muxer.poll_outbound_unpin(context),
            Side::Listener => muxer.poll_inbound_unpin(context),
        };
        if opened.is_pending() {
            while let Poll::Ready(event) = muxer.poll_unpin(context) {
                event?;
            }
        }
        opened
    });
    opened.await
}

/// Talks, and keeps the connection below going.
async fn carried<T>(muxer: &mut StreamMuxerBox, talk: impl Future<Output = T>) -> io::Result<T> {
    let mut talk = pin!(talk);
    let said = poll_fn(|context| {
        let mut ended = None;
        while ended.is_none()
            && let Poll::Ready(event) = muxer.poll_unpin(context)
        {
            ended = event.err();
        }
        // What came before the end is read first.
        match (talk.as_mut().poll(context), ended) {
            (Poll::Ready(said), _) => Poll::Ready(Ok(said)),
            (Poll::Pending, Some(error)) => Poll::Ready(Err(error)),
            (Poll::Pending, None) => Poll::Pending,
        }
    });
    said.await
}

async fn talk(
    gate: &Gate,
    node: NodeId,
    side: Side,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Pass, NotAdmitted> {
    let ours = |denial| NotAdmitted::Ours { node, denial };
    let judged = match side {
        Side::Dialler => {
            say(stream, &gate.claim(node, side, None)).await?;
            match hear(stream).await? {
                Some(Answer::Refused(denial)) => return Err(ours(denial)),
                Some(Answer::Agreed(claim)) => gate.judge(&claim, node, side),
                None => Err(Denial::Malformed),
            }
        }
        Side::Listener => match hear(stream).await? {
            Some(claim) => gate.judge(&claim, node, side),
            None => Err(Denial::Malformed),
        },
    };
    let pass = match judged {
        Ok(pass) => pass,
        Err(denial) => {
            say(stream, &Answer::<()>::Refused(denial)).await?;
            return Err(NotAdmitted::Theirs { node, denial });
        }
    };
    match side {
        Side::Dialler => say(stream, &Answer::Agreed(())).await?,
        Side::Listener => {
            say(stream, &Answer::Agreed(gate.claim(node, side, Some(&pass)))).await?;
            match hear(stream).await? {
                Some(Answer::Agreed(())) => {}
                Some(Answer::Refused(denial)) => return Err(ours(denial)),
                None => return Err(NotAdmitted::Theirs { node, denial: Denial::Malformed }),
            }
        }
    }
    Ok(pass)
}

/// Two bytes of length, one of the version, and the message.
async fn say(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_extend(message, vec![0, 0, VERSION]);
    let mut bytes = bytes.map_err(io::Error::other)?;
    let length = bytes.len() - 2;
    debug_assert!(length <= MAX_MESSAGE, "{length} bytes");
    bytes[..2].copy_from_slice(&(length as u16).to_be_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// The next message, if it makes sense.
async fn hear<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > MAX_MESSAGE {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(read(&bytes))
}

/// A message without its length.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let message = bytes.strip_prefix(&[VERSION])?;
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

/// Reads to the end, which is the other side's to make.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = [0; 64];
    while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests;
