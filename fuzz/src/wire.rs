//! What comes over the wire: requests, answers, record batches.

use bytes::{Bytes, BytesMut};
use model::{BATCH_HEADER_LENGTH, BatchHeader};
use protocol::decode_response;
use protocol::messages::*;
use protocol::records::{
    Compression, DecodeError, Level, Recompression, StoredRecord, check_records, decode_batches, recompress,
};

/// More than any input has.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A stream of bytes as a broker reads it: frames, then requests.
pub(crate) fn requests(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = protocol::next_frame(&mut buffer, FRAME_BYTES_MAX) {
        let _read = protocol::decode_request(frame);
    }
    // The same bytes as one frame, so that a fuzzer need not learn to write lengths first.
    let _read = protocol::decode_request(Bytes::copy_from_slice(data));
}

/// An answer as a client or a peer reads it: the first byte chooses the API, the second the version.
pub(crate) fn answers(data: &[u8]) {
    let [api, version, frame @ ..] = data else { return };
    let (version, frame) = (i16::from(version % 20), Bytes::copy_from_slice(frame));
    let _id = protocol::correlation_id(&frame);
    match api % 15 {
        0 => drop(decode_response::<ProduceRequest>(version, frame)),
        1 => drop(decode_response::<FetchRequest>(version, frame)),
        2 => drop(decode_response::<ListOffsetsRequest>(version, frame)),
        3 => drop(decode_response::<MetadataRequest>(version, frame)),
        4 => drop(decode_response::<ApiVersionsRequest>(version, frame)),
        5 => drop(decode_response::<CreateTopicsRequest>(version, frame)),
        6 => drop(decode_response::<VoteRequest>(version, frame)),
        7 => drop(decode_response::<BeginQuorumEpochRequest>(version, frame)),
        8 => drop(decode_response::<EndQuorumEpochRequest>(version, frame)),
        9 => drop(decode_response::<DescribeQuorumRequest>(version, frame)),
        10 => drop(decode_response::<AlterPartitionRequest>(version, frame)),
        11 => drop(decode_response::<DescribeClusterRequest>(version, frame)),
        12 => drop(decode_response::<BrokerRegistrationRequest>(version, frame)),
        13 => drop(decode_response::<FetchSnapshotRequest>(version, frame)),
        _ => drop(decode_response::<BrokerHeartbeatRequest>(version, frame)),
    }
}

/// Record batches as a consumer reads them: as they are, and once more as one batch with its length, magic and checksum made right.
pub(crate) fn records(data: &[u8]) {
    let _read = decode_batches(Bytes::copy_from_slice(data));
    if let Some(batch) = made_right(data) {
        let batch = Bytes::from(batch);
        let read = decode_batches(batch.clone());
        if let Ok(header) = BatchHeader::verify(&batch) {
            taken(&header, &batch, &read);
        }
    }
}

/// The batch as a leader takes it from a producer: what passes can be read, and reads the same under another codec.
fn taken(header: &BatchHeader, batch: &Bytes, read: &Result<Vec<StoredRecord>, DecodeError>) {
    if check_records(header, batch).is_ok() && !header.is_control() {
        assert!(read.is_ok(), "what passes can be read: {read:?}");
    }
    let to = Recompression { codec: Compression::Zstd, level: Level::Of(1) };
    if let (Ok(other), Ok(read)) = (recompress(header, batch, to), read) {
        assert_eq!(decode_batches(other).as_ref(), Ok(read));
    }
}

/// The bytes as one batch that passes every check of its header.
pub(crate) fn made_right(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() < BATCH_HEADER_LENGTH {
        return None;
    }
    let mut batch = data.to_vec();
    let length = i32::try_from(batch.len() - 12).ok()?;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    Some(batch)
}
