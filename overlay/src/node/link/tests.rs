//! What a link makes of a stream, however it is cut and wherever it ends.

use std::time::Duration;

use murmurate_broadcast::plumtree;

use super::check::{Pieces, read_all, read_pieces};
use super::*;
use crate::node::budget::Budget;
use crate::node::wire::check::{a_hello, codec, encode};
use crate::node::wire::{InnerMessage, PADDING, Publication};

const MAX_FRAME: usize = 1 << 20;
const STALL: Duration = Duration::from_secs(7);

fn gossip(length: usize) -> Frame {
    let node = crate::NodeId::from_bytes([1; 32]);
    let origin = crate::Incarnation { node, started: 1 };
    let payload = Publication::new("t", 1, &vec![b'x'; length]).expect("a short topic");
    let id = crate::MessageId { origin, sequence: 1 };
    let message = plumtree::Message::Gossip { id, round: 1, payload };
    Frame::Gossip(InnerMessage::of::<plumtree::Parameters>(message))
}

fn frames() -> Vec<Frame> {
    let views = super::super::wire::Views { active: Default::default(), passive: 3, notice: 0 };
    vec![Frame::AskViews, gossip(50_000), Frame::Views(views), gossip(0), Frame::AskViews]
}

fn stream(frames: &[Frame]) -> Vec<u8> {
    [a_hello()].into_iter().chain(frames.iter().map(encode)).flatten().collect()
}

/// The frames after the hello, and the end.
fn heard(bytes: &[u8], cut: u64) -> (Vec<Frame>, String) {
    let (frames, ended) = read_all(bytes, cut, MAX_FRAME);
    let ended = ended.map_or_else(|error| error.to_string(), |()| "goodbye".into());
    (frames.into_iter().skip(1).map(|(frame, _)| frame).collect(), ended)
}

#[test]
fn frames_come_out_the_same_however_the_stream_is_cut() {
    let mut bytes = stream(&frames());
    bytes.extend(encode(&Frame::Bye));
    let ends = bytes.len();
    // Whatever follows a goodbye is not even looked at.
    bytes.extend([0xff; 40]);
    for cut in 0..200 {
        let (frames, ended) = read_all(&bytes, cut, MAX_FRAME);
        assert!(ended.is_ok(), "{ended:?}");
        let taken: usize = frames[1..].iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(taken, ends - a_hello().len() - HEADER);
        assert!(frames.into_iter().skip(1).map(|(frame, _)| frame).eq(self::frames()));
    }
}

#[test]
fn a_stream_that_ends_without_a_goodbye_says_so() {
    let bytes = stream(&frames()[..1]);
    for end in 0..=bytes.len() {
        for cut in 0..4 {
            let (frames, ended) = heard(&bytes[..end], cut);
            assert_eq!(ended, "the peer closed the stream without saying goodbye");
            assert_eq!(frames.len(), usize::from(end == bytes.len()));
        }
    }
}

#[test]
fn the_first_frame_is_a_hello_and_no_other_is() {
    let first = "the peer sent an invalid message: a AskViews frame that is not allowed here";
    assert_eq!(heard(&encode(&Frame::AskViews), 0), (Vec::new(), first.into()));
    let padded = [encode_padding(), encode_empty(Kind::Padding).to_vec(), a_hello()].concat();
    let second = "the peer sent an invalid message: a Padding frame that is not allowed here";
    assert_eq!(heard(&padded, 0), (Vec::new(), second.into()));
    let (after_one, _) = heard(&[&padded[..PADDING], &stream(&frames()[..2])].concat(), 0);
    assert_eq!(after_one.len(), heard(&stream(&frames()[..2]), 0).0.len());
    let again = "the peer sent an invalid message: a Hello frame that is not allowed here";
    let twice = [stream(&frames()[..1]), a_hello()].concat();
    for cut in 0..20 {
        assert_eq!(heard(&twice, cut).1, again);
    }
}

#[test]
fn nonsense_ends_the_stream() {
    for (bytes, why) in [
        (&[99, 0, 0, 0][..], "no frame begins with 99"),
        (&[9, 0, 0, 0], "a Padding frame that is not allowed here"),
        (&[1, 1, 0, 1], "a Membership frame of 65537 bytes: at most 65536 are allowed"),
        (&[3, 0x10, 0, 1], "a Gossip frame of 1048577 bytes: at most 1048576 are allowed"),
        (&[4, 0, 0, 1, 0], "a AskViews frame with an invalid body"),
    ] {
        for cut in 0..8 {
            let bytes = [a_hello(), bytes.to_vec()].concat();
            assert_eq!(
                heard(&bytes, cut),
                (Vec::new(), format!("the peer sent an invalid message: {why}"))
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stops_stalls_and_silence_between_frames_does_not() {
    let bytes = stream(&frames()[..2]);
    let begun = tokio::time::Instant::now();
    for end in [a_hello().len() - 1, a_hello().len() + HEADER + 1, bytes.len() - 1] {
        let pieces = Pieces { bytes: &bytes[..end], cut: 3, stays: true };
        let before = begun.elapsed();
        let (_, ended) = read_pieces(pieces, MAX_FRAME, STALL).await;
        assert!(matches!(ended, Err(LinkError::Stalled(STALL))), "{ended:?}");
        assert_eq!((begun.elapsed() - before).as_secs(), STALL.as_secs());
    }
    for end in [0, a_hello().len(), bytes.len()] {
        let pieces = Pieces { bytes: &bytes[..end], cut: 3, stays: true };
        let silent = timeout(STALL * 1_000, read_pieces(pieces, MAX_FRAME, STALL)).await;
        assert!(silent.is_err(), "{silent:?}");
    }
}

/// What reading these bytes takes, at its peak.
fn spent(bytes: &[u8], max_frame: usize) -> usize {
    // The runtime's own share comes first.
    let empty = allocation_counter::measure(|| drop(read_all(&[], 0, max_frame)));
    let spent = allocation_counter::measure(|| drop(read_all(bytes, 0, max_frame)));
    (spent.bytes_max - empty.bytes_max) as usize
}

#[test]
fn an_announced_length_alone_buys_no_room() {
    let mut bytes = a_hello();
    bytes.extend([3, 0xff, 0xff, 0xff]);
    bytes.extend([0; 100]);
    let spent = spent(&bytes, (1 << 24) - 1);
    assert!(spent < 64 << 10, "{spent} bytes");
}

#[test]
fn tiny_frames_are_told_in_small_parts() {
    // A large frame first, for a large buffer.
    let mut bytes = stream(&[gossip(1_000_000)]);
    for _ in 0..250_000 {
        bytes.extend(encode(&Frame::AskViews));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let most = runtime.expect("a runtime").block_on(async {
        let (to, mut reports) = mpsc::channel(1);
        let pieces = Pieces { bytes: &bytes, cut: 0, stays: false };
        let mut most = 0;
        let collect = async {
            while let Some((_, report)) = reports.recv().await {
                if let Report::Frames(frames) = report {
                    most = most.max(frames.len());
                }
            }
        };
        let id = ConnectionId::new_unchecked(1);
        let (codec, authorship) = (codec(), Authorship::open());
        let budget = Budget::plenty();
        let rules = Rules { max_frame: MAX_FRAME, stall_wait: STALL, codec, authorship, budget };
        futures::join!(read(pieces, id, rules, to), collect);
        most
    });
    assert_eq!(most, TOGETHER);
}

#[test]
fn spoiled_streams_end_and_nothing_breaks() {
    let good = stream(&frames()[2..]);
    let mut seed = 1_u64;
    let mut draw = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for cut in 0..20_000 {
        let mut bytes = good.clone();
        let at = draw(bytes.len());
        match draw(4) {
            0 => bytes[at] = draw(256) as u8,
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(..at)),
            _ => bytes.splice(at..at, good.iter().copied().skip(draw(good.len()))).for_each(drop),
        }
        let (_, ended) = heard(&bytes, cut);
        let ended = ended.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default().to_owned();
        *ends.entry(ended).or_default() += 1;
    }
    for why in ["the peer closed", "no frame begins", "with an invalid body", "not allowed here"] {
        let seen: usize = ends.iter().filter(|(end, _)| end.contains(why)).map(|(_, n)| n).sum();
        assert!(seen >= 300, "{why}: {seen} of {ends:#?}");
    }
}

/// What arrives of a stream while somebody else holds all memory, for this long.
async fn read_beside(held: Duration, frames: &[Frame]) -> (usize, Result<(), LinkError>) {
    let budget = Budget::limited(MAX_FRAME * 5);
    let mut others = Share::of(&budget, Kept::Frame);
    others.set(MAX_FRAME * 4);
    let (codec, authorship) = (codec(), Authorship::open());
    let own = Arc::clone(&budget);
    let rules = Rules { max_frame: MAX_FRAME, stall_wait: STALL, codec, authorship, budget: own };
    let (to, mut reports) = mpsc::channel(1);
    let bytes = stream(frames);
    let pieces = Pieces { bytes: &bytes, cut: 1, stays: true };
    let (mut came, mut ended) = (0, Ok(()));
    let collect = async {
        while let Some((_, report)) = reports.recv().await {
            match report {
                Report::Hello(_) | Report::WriteEnded(_) => {}
                Report::Frames(frames) => came += frames.len(),
                Report::ReadEnded(how) => ended = how,
            }
        }
    };
    let release = async {
        tokio::time::sleep(held).await;
        drop(others);
    };
    futures::join!(read(pieces, ConnectionId::new_unchecked(1), rules, to), collect, release);
    assert_eq!(budget.used(), 0, "all is given back");
    (came, ended)
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_waits_for_memory_and_small_ones_do_not() {
    let small = || Frame::AskViews;
    let frames = [small(), small(), gossip(MAX_FRAME / 2), small(), Frame::Bye];
    let (came, ended) = read_beside(STALL / 2, &frames).await;
    assert!(matches!((came, &ended), (4, Ok(()))), "{came} {ended:?}");
    let (came, ended) = read_beside(2 * STALL, &frames).await;
    assert!(matches!((came, &ended), (2, Err(LinkError::NoMemory(STALL)))), "{came} {ended:?}");
}
