//! Any bytes as what a link reads, cut in any way.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| murmurate::fuzzing::stream(bytes));
