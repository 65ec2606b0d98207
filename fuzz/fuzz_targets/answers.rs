//! An answer as a client reads it: the first byte chooses the API, the second the version.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::decode_response;
use protocol::messages::*;

fuzz_target!(|data: &[u8]| {
    let [api, version, frame @ ..] = data else { return };
    let version = i16::from(version % 20);
    let frame = Bytes::copy_from_slice(frame);
    match api % 6 {
        0 => drop(decode_response::<ProduceRequest>(version, frame)),
        1 => drop(decode_response::<FetchRequest>(version, frame)),
        2 => drop(decode_response::<ListOffsetsRequest>(version, frame)),
        3 => drop(decode_response::<MetadataRequest>(version, frame)),
        4 => drop(decode_response::<ApiVersionsRequest>(version, frame)),
        _ => drop(decode_response::<CreateTopicsRequest>(version, frame)),
    }
});
