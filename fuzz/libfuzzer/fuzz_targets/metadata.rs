//! See `fuzz::PARSERS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::parse("metadata", data));
