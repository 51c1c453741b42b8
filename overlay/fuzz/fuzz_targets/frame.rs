//! Any bytes as one frame: header, then body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| murmurate::fuzzing::frame(bytes));
