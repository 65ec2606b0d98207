//! A Fetch response as parts, so that large records are sent from where they lie.
//!
//! ```text
//! | structure … length | records | structure … length | records | structure |
//! ```
//! The structure is written by the message encoder with the large records left empty; then it is cut where they belong. Records that
//! are *apart* were never in the message: of these only the length is known here.

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

/// A piece of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Bytes(Bytes),
    /// The records of the how-many-th partition, which the caller has.
    Apart(usize),
}

/// Has the response records that are a part of their own?
pub(crate) fn has_shared(response: &FetchResponse) -> bool {
    response.responses.iter().flat_map(|topic| &topic.partitions).any(|partition| shared_records(partition).is_some())
}

/// By how much the records apart make the response longer than it says. Their lengths by partition; 0: it has none apart.
pub(crate) fn length_apart(apart: &[usize], version: i16) -> usize {
    let of_each = |length: &usize| length + length_size(*length, version) - length_size(0, version);
    apart.iter().filter(|length| 0 < **length).map(of_each).sum()
}

fn shared_records(partition: &PartitionData) -> Option<&Bytes> {
    partition.records.as_ref().filter(|records| SHARED_RECORDS_MIN <= records.len())
}

/// Appends the response's body to `out` and gives all of it back as pieces.
pub(crate) fn encode(
    response: &FetchResponse,
    apart: &[usize],
    version: i16,
    mut out: Vec<u8>,
) -> Result<Vec<Piece>, ProtoError> {
    let emptied = without_shared_records(response);
    let mut structure = Vec::with_capacity(emptied.compute_size(version)?);
    emptied.encode(&mut structure, version)?;

    let mut pieces = Vec::new();
    let mut copied = 0;
    let mut numbers = 0..;
    let mut topic_start = 4 + if version >= SESSIONS { 6 } else { 0 } + length_size(response.responses.len(), version);
    for (topic, emptied) in response.responses.iter().zip(&emptied.responses) {
        let name_size = if version >= TOPIC_IDS { 16 } else { name_size(topic.topic.len(), version) };
        let mut start = topic_start + name_size + length_size(topic.partitions.len(), version);
        for ((partition, emptied), number) in topic.partitions.iter().zip(&emptied.partitions).zip(&mut numbers) {
            let large = match (apart.get(number), shared_records(partition)) {
                (Some(&length), _) if 0 < length => Some((length, Piece::Apart(number))),
                (_, Some(records)) => Some((records.len(), Piece::Bytes(records.clone()))),
                (_, None) => None,
            };
            if let Some((length, large)) = large {
                let position = start + records_position(emptied, version)?;
                out.extend_from_slice(&structure[copied..position]);
                put_length(&mut out, length, version);
                pieces.extend([Piece::Bytes(std::mem::take(&mut out).into()), large]);
                copied = position + length_size(0, version);
            }
            start += emptied.compute_size(version)?;
        }
        topic_start += emptied.compute_size(version)?;
    }
    out.extend_from_slice(&structure[copied..]);
    pieces.push(Piece::Bytes(out.into()));
    Ok(pieces)
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
