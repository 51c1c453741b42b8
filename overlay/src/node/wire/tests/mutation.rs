//! A million frames that nobody should send: none makes the decoder panic or spend much.

use std::collections::BTreeMap;
use std::mem::discriminant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::check::{codec, encode, hold, other_codec, take};
use super::super::*;
use super::any_frame;
use crate::node::spoil::{Draw, Header, WAYS, how_many};

/// In all, unless the environment says otherwise.
const FRAMES: usize = 1_000_000;
const MAX_FRAME: usize = 1 << 20;

/// Of a frame.
const FRAME: Header = Header { bytes: HEADER, length: 1..HEADER, rest: HEADER, kind: (0, 11) };

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

#[test]
fn a_million_spoiled_frames_are_refused_or_harmless() {
    let corpus = corpus();
    let mut draw = Draw(2_007);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut still_frames = [0; WAYS];
    let frames = how_many(FRAMES);
    for _ in 0..frames {
        let mut frame = draw.of(&corpus).clone();
        let way = FRAME.spoil(&mut frame, &corpus, &mut draw);
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
