//! A stream of bytes as a broker reads it: frames, then requests.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = protocol::next_frame(&mut buffer, 1 << 20) {
        let _ = protocol::decode_request(frame);
    }
    // The same bytes as one frame, so that the fuzzer need not learn to write lengths first.
    let _ = protocol::decode_request(bytes::Bytes::copy_from_slice(data));
});
