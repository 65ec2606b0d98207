//! Record batches as a consumer reads them: as they are, and once more with length, magic and checksum made right.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::records::decode_batches;

fuzz_target!(|data: &[u8]| {
    let _ = decode_batches(Bytes::copy_from_slice(data));
    if data.len() < 61 {
        return;
    }
    let mut batch = data.to_vec();
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    let _ = decode_batches(batch.into());
});
