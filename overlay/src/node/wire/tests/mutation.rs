//! A million frames that nobody should send: none makes the decoder panic or spend much.

use std::collections::BTreeMap;
use std::mem::discriminant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::check::{codec, encode, hold, other_codec, take};
use super::super::*;
use super::any_frame;

const FRAMES: usize = 1_000_000;
const MAX_FRAME: usize = 1 << 20;

/// SplitMix64: the same frames everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Frames of every kind and shape, most of them small.
fn corpus() -> Vec<Vec<u8>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let frames = any_frame();
    let mut all = Vec::new();
    while all.len() < 1_000 {
        let frame = frames.new_tree(&mut runner).expect("nothing is refused").current();
        let bytes = encode(&frame);
        if bytes.len() < 400 || all.len() % 10 == 0 {
            all.push(bytes);
        }
    }
    all
}

const WAYS: usize = 9;

/// Spoils a frame in one of the [`WAYS`].
fn spoil(way: usize, frame: &mut Vec<u8>, other: &[u8], draw: &mut Draw) {
    let at = draw.below(frame.len());
    match way {
        0 => {
            for _ in 0..=draw.below(8) {
                let at = draw.below(frame.len());
                frame[at] ^= 1 << draw.below(8);
            }
        }
        1 => frame.truncate(at),
        2 => {
            let length = [draw.next() as u32, (frame.len() as u32).wrapping_sub(5), 0xff_ffff, 0];
            let length = length[draw.below(4)].to_be_bytes();
            frame[1..HEADER].copy_from_slice(&length[1..]);
        }
        3 => {
            // A number that is far too large, or too long for its type.
            let bytes = [0xff; 10];
            let length = [1, 2, 3, 4, 9][draw.below(5)];
            let last = [0x01, 0x0f, 0x7f][draw.below(3)];
            let at = at.max(HEADER.min(frame.len()));
            let end = frame.len().min(at + draw.below(3));
            frame.splice(at..end, bytes[..length].iter().copied().chain([last]));
        }
        4 => {
            frame.truncate(at.max(HEADER));
            frame.extend_from_slice(&other[draw.below(other.len())..]);
        }
        5 => {
            *frame = [&[draw.below(9) as u8, 0, 0, 0][..], &draw.bytes(120)].concat();
        }
        6 => frame[0] = draw.below(11) as u8,
        7 => {
            let end = frame.len().min(at + draw.below(40));
            let again = frame[at..end].to_vec();
            let into = draw.below(frame.len());
            frame.splice(into..into, again);
        }
        _ => frame.extend(draw.bytes(20)),
    }
}

/// Lets the header announce what follows.
fn mend_length(frame: &mut [u8]) {
    if frame.len() >= HEADER {
        let length = ((frame.len() - HEADER) as u32).to_be_bytes();
        frame[1..HEADER].copy_from_slice(&length[1..]);
    }
}

#[test]
fn a_million_spoiled_frames_are_refused_or_harmless() {
    let corpus = corpus();
    let mut draw = Draw(2_007);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut still_frames = [0; WAYS];
    for _ in 0..FRAMES {
        let mut frame = corpus[draw.below(corpus.len())].clone();
        let ways = 1 + draw.below(3);
        let mut way = 0;
        for _ in 0..ways {
            way = draw.below(WAYS);
            if frame.len() >= HEADER {
                spoil(way, &mut frame, &corpus[draw.below(corpus.len())], &mut draw);
            }
        }
        if draw.below(4) > 0 {
            mend_length(&mut frame);
        }
        let mut taken = None;
        let codec = if draw.below(5) == 0 { other_codec() } else { codec() };
        let spent = allocation_counter::measure(|| taken = take(&frame, MAX_FRAME, &codec));
        // What a frame costs is told by what arrived, not by what it says.
        let most = 4 * frame.len() as u64 + 1_024;
        assert!(spent.bytes_max <= most, "{spent:?} for {} bytes: {frame:02x?}", frame.len());
        let outcome = match &taken {
            None => "incomplete".into(),
            Some(Ok((decoded, bytes))) => {
                hold(decoded, *bytes, &codec);
                still_frames[way] += 1;
                format!("{:?}", discriminant(decoded))
            }
            Some(Err(FrameError::UnknownKind(_))) => "unknown kind".into(),
            Some(Err(FrameError::TooLong { .. })) => "too long".into(),
            Some(Err(error)) => format!("{error:?}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    // Fifteen kinds of frames decoded, fourteen malformed, and the rest: the million gets around.
    assert_eq!(outcomes.len(), 15 + 14 + 3, "{outcomes:#?}");
    assert!(outcomes.values().all(|seen| *seen >= 500), "{outcomes:#?}");
    assert!(still_frames.iter().all(|seen| *seen >= 1_000), "{still_frames:?}");
}
