//! A Fetch response as parts, so that large records are sent from where they lie.
//!
//! ```text
//! | structure … length | records | structure … length | records | structure |
//! ```
//! The structure is written by the message encoder with the large records left empty; then it is cut where they belong.

use bytes::{BufMut, Bytes};
use proto_kafka::ProtoError;
use proto_kafka::protocol::Encodable;

use crate::limits::SHARED_RECORDS_MIN;
use crate::messages::FetchResponse;
use crate::messages::fetch_response::PartitionData;

/// First version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 12;
/// First version with the error and the session of the whole response.
const SESSIONS: i16 = 7;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// Bytes that [`encode`] will not copy.
pub(crate) fn shared_bytes(response: &FetchResponse) -> usize {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(shared_records).map(Bytes::len).sum()
}

fn shared_records(partition: &PartitionData) -> Option<&Bytes> {
    partition.records.as_ref().filter(|records| SHARED_RECORDS_MIN <= records.len())
}

/// Appends the response's body to `out` and gives all of it back as parts.
pub(crate) fn encode(response: &FetchResponse, version: i16, mut out: Vec<u8>) -> Result<Vec<Bytes>, ProtoError> {
    let emptied = without_shared_records(response);
    let mut structure = Vec::with_capacity(emptied.compute_size(version)?);
    emptied.encode(&mut structure, version)?;

    let mut parts = Vec::new();
    let mut copied = 0;
    let mut topic_start = 4 + if version >= SESSIONS { 6 } else { 0 } + length_size(response.responses.len(), version);
    for (topic, emptied) in response.responses.iter().zip(&emptied.responses) {
        let name_size = if version >= TOPIC_IDS { 16 } else { name_size(topic.topic.len(), version) };
        let mut start = topic_start + name_size + length_size(topic.partitions.len(), version);
        for (partition, emptied) in topic.partitions.iter().zip(&emptied.partitions) {
            if let Some(records) = shared_records(partition) {
                let position = start + records_position(emptied, version)?;
                out.extend_from_slice(&structure[copied..position]);
                put_length(&mut out, records.len(), version);
                parts.extend([std::mem::take(&mut out).into(), records.clone()]);
                copied = position + length_size(0, version);
            }
            start += emptied.compute_size(version)?;
        }
        topic_start += emptied.compute_size(version)?;
    }
    out.extend_from_slice(&structure[copied..]);
    parts.push(out.into());
    Ok(parts)
}

fn without_shared_records(response: &FetchResponse) -> FetchResponse {
    let mut emptied = response.clone();
    for partition in emptied.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if shared_records(partition).is_some() {
            partition.records = Some(Bytes::new());
        }
    }
    emptied
}

/// Where in a partition the length of its records stands: absent and empty records differ there first.
fn records_position(emptied: &PartitionData, version: i16) -> Result<usize, ProtoError> {
    let (mut empty, mut absent) = (Vec::new(), Vec::new());
    emptied.encode(&mut empty, version)?;
    emptied.clone().with_records(None).encode(&mut absent, version)?;
    Ok(empty.iter().zip(&absent).take_while(|(left, right)| left == right).count())
}

fn length_size(length: usize, version: i16) -> usize {
    if version >= FLEXIBLE { compact_length_size(length) } else { 4 }
}

fn name_size(length: usize, version: i16) -> usize {
    length + if version >= FLEXIBLE { compact_length_size(length) } else { 2 }
}

/// Compact lengths are one more than they say, seven bits a byte (KIP-482).
fn compact_length_size(length: usize) -> usize {
    let bits = (usize::BITS - (length + 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

fn put_length(out: &mut Vec<u8>, length: usize, version: i16) {
    if version < FLEXIBLE {
        out.put_u32(length as u32);
        return;
    }
    let mut rest = length + 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
