//! Any bytes as the body of a hello.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| murmurate::fuzzing::hello(bytes));
