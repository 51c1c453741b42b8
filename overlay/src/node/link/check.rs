//! Streams cut in any way, for tests and fuzzers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::AsyncRead;
use libp2p::swarm::ConnectionId;
use tokio::sync::mpsc;

use super::{LinkError, Report, Rules, read};
use crate::node::authorship::Authorship;
use crate::node::budget::Budget;
use crate::node::wire::check::codec;
use crate::node::wire::{Frame, HEADER};

/// Bytes that come in pieces.
pub(crate) struct Pieces<'a> {
    pub(crate) bytes: &'a [u8],
    /// Says how they are cut: 0 for not at all.
    pub(crate) cut: u64,
    /// Whether the stream stays open after them.
    pub(crate) stays: bool,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.bytes.is_empty() && this.stays {
            return Poll::Pending;
        }
        let piece = if this.cut == 0 {
            usize::MAX
        } else {
            this.cut = this.cut.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let most = [1, 3, 17, 1_000, 40_000][(this.cut >> 60) as usize % 5];
            1 + (this.cut >> 33) as usize % most
        };
        let length = piece.min(into.len()).min(this.bytes.len());
        let (now, later) = this.bytes.split_at(length);
        into[..length].copy_from_slice(now);
        this.bytes = later;
        Poll::Ready(Ok(length))
    }
}

/// All frames of a stream, each with its bytes on the wire, and how the stream ended.
pub(crate) async fn read_pieces(
    pieces: Pieces<'_>,
    max_frame: usize,
    stall_wait: Duration,
) -> (Vec<(Frame, usize)>, Result<(), LinkError>) {
    let (codec, authorship) = (codec(), Authorship::open());
    let budget = Budget::plenty();
    let rules = Rules { max_frame, stall_wait, codec, authorship, budget };
    // One report at a time, as a busy driver takes them.
    let (to, mut reports) = mpsc::channel(1);
    let id = ConnectionId::new_unchecked(1);
    let mut frames = Vec::new();
    let mut ended = Ok(());
    let collect = async {
        while let Some((_, report)) = reports.recv().await {
            match report {
                // What it took is not told.
                Report::Hello(hello) => frames.push((Frame::Hello(hello), HEADER + (1 << 16))),
                Report::Frames(more) => frames.extend(more),
                Report::ReadEnded(how) => ended = how,
                Report::WriteEnded(_) => {}
            }
        }
    };
    futures::join!(read(pieces, id, rules, to), collect);
    (frames, ended)
}

/// The same of a stream that closes, on a runtime of its own.
pub(crate) fn read_all(
    bytes: &[u8],
    cut: u64,
    max_frame: usize,
) -> (Vec<(Frame, usize)>, Result<(), LinkError>) {
    #[allow(clippy::expect_used, reason = "tests and fuzzers may")]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    let pieces = Pieces { bytes, cut, stays: false };
    runtime.block_on(read_pieces(pieces, max_frame, Duration::from_secs(30)))
}
