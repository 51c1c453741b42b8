//! What the fuzzers in `overlay/fuzz` feed: there only with `--cfg fuzzing`, and no part of the API.

use super::link;
use super::wire::{HEADER, Kind, MAX_BODY, check};

/// Any bytes as one frame.
pub fn frame(bytes: &[u8]) {
    for codec in [check::codec(), check::other_codec(), check::static_codec()] {
        if let Some(Ok((frame, taken))) = check::take(bytes, MAX_BODY, &codec) {
            check::hold(&frame, taken, &codec);
        }
    }
}

/// Any bytes as the body of a hello.
pub fn hello(body: &[u8]) {
    if let Ok(frame) = super::wire::Frame::decode(Kind::Hello, body, &check::codec()) {
        check::hold(&frame, HEADER + body.len(), &check::codec());
    }
}

/// Any bytes as what a stream brings; the first says how it is cut.
pub fn stream(bytes: &[u8]) {
    if let Some((&cut, bytes)) = bytes.split_first() {
        let hello = check::a_hello();
        // Most streams that begin with noise end with the first frame.
        let bytes = if cut & 1 == 0 { bytes.to_vec() } else { [&hello, bytes].concat() };
        let (frames, _) = link::check::read_all(&bytes, u64::from(cut >> 1), 1 << 20);
        for (frame, taken) in frames {
            check::hold(&frame, taken, &check::codec());
        }
    }
}
