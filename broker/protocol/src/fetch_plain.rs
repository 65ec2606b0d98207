//! Fetch as nearly all fetches are: by topic id, without tagged fields but the follower's own, without aborted transactions.
//!
//! The same bytes and messages as the message encoder's, in a fifth of its steps: of four messages that a produce request makes brokers
//! exchange, all are fetches. What is not plain is left to that one, errors too: nothing is refused here.

use bytes::Bytes;
use proto_kafka::messages::BrokerId;

use crate::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use crate::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::messages::{FetchRequest, FetchResponse, StrBytes, Uuid};

/// Versions with topic ids, and the follower's state in a tagged field.
const VERSIONS: std::ops::RangeInclusive<i16> = 15..=17;

/// Entries that all arrays of a plain message have together: whoever asks for more does not ask often.
const ENTRIES_MAX: usize = 4096;

/// `high_watermark` of a request that does not say it.
const NO_HIGH_WATERMARK: i64 = i64::MAX;

/// The tag of the follower's state, its length, and its own tagged fields, of which it has none.
const REPLICA_STATE: [u8; 2] = [1, 13];
const NO_TAGS: u8 = 0;

/// Writes a request, if it is plain.
pub(crate) fn encode_request(request: &FetchRequest, version: i16, out: &mut Vec<u8>) -> bool {
    let is_plain = VERSIONS.contains(&version)
        && request.replica_id == BrokerId(-1)
        && request.cluster_id.is_none()
        && request.rack_id.is_empty()
        && request.unknown_tagged_fields.is_empty()
        && request.replica_state.unknown_tagged_fields.is_empty()
        && request.topics.iter().all(is_plain_topic)
        && request.forgotten_topics_data.iter().all(|topic| topic.unknown_tagged_fields.is_empty());
    if !is_plain {
        return false;
    }
    out.extend_from_slice(&request.max_wait_ms.to_be_bytes());
    out.extend_from_slice(&request.min_bytes.to_be_bytes());
    out.extend_from_slice(&request.max_bytes.to_be_bytes());
    out.push(request.isolation_level as u8);
    out.extend_from_slice(&request.session_id.to_be_bytes());
    out.extend_from_slice(&request.session_epoch.to_be_bytes());
    put_length(out, request.topics.len());
    for topic in &request.topics {
        out.extend_from_slice(topic.topic_id.as_bytes());
        put_length(out, topic.partitions.len());
        for partition in &topic.partitions {
            out.extend_from_slice(&partition.partition.to_be_bytes());
            out.extend_from_slice(&partition.current_leader_epoch.to_be_bytes());
            out.extend_from_slice(&partition.fetch_offset.to_be_bytes());
            out.extend_from_slice(&partition.last_fetched_epoch.to_be_bytes());
            out.extend_from_slice(&partition.log_start_offset.to_be_bytes());
            out.extend_from_slice(&partition.partition_max_bytes.to_be_bytes());
            out.push(NO_TAGS);
        }
        out.push(NO_TAGS);
    }
    put_length(out, request.forgotten_topics_data.len());
    for topic in &request.forgotten_topics_data {
        out.extend_from_slice(topic.topic_id.as_bytes());
        put_length(out, topic.partitions.len());
        topic.partitions.iter().for_each(|partition| out.extend_from_slice(&partition.to_be_bytes()));
        out.push(NO_TAGS);
    }
    put_length(out, 0);
    let ReplicaState { replica_id, replica_epoch, .. } = request.replica_state;
    if (replica_id, replica_epoch) == (BrokerId(-1), -1) {
        out.push(NO_TAGS);
        return true;
    }
    out.push(1);
    out.extend_from_slice(&REPLICA_STATE);
    out.extend_from_slice(&replica_id.0.to_be_bytes());
    out.extend_from_slice(&replica_epoch.to_be_bytes());
    out.push(NO_TAGS);
    true
}

fn is_plain_topic(topic: &FetchTopic) -> bool {
    let is_plain = |partition: &FetchPartition| {
        partition.replica_directory_id.is_nil()
            && partition.high_watermark == NO_HIGH_WATERMARK
            && partition.unknown_tagged_fields.is_empty()
    };
    topic.unknown_tagged_fields.is_empty() && topic.partitions.iter().all(is_plain)
}

/// Reads a request's body, if it is plain.
pub(crate) fn decode_request(body: &Bytes, version: i16) -> Option<FetchRequest> {
    if !VERSIONS.contains(&version) {
        return None;
    }
    let mut fields = Fields::of(body);
    let mut request = FetchRequest::default();
    request.max_wait_ms = fields.i32()?;
    request.min_bytes = fields.i32()?;
    request.max_bytes = fields.i32()?;
    request.isolation_level = fields.byte()? as i8;
    request.session_id = fields.i32()?;
    request.session_epoch = fields.i32()?;
    request.topics = fields.array(|fields| {
        let mut topic = FetchTopic::default();
        topic.topic_id = fields.uuid()?;
        topic.partitions = fields.array(|fields| {
            let mut partition = FetchPartition::default();
            partition.partition = fields.i32()?;
            partition.current_leader_epoch = fields.i32()?;
            partition.fetch_offset = fields.i64()?;
            partition.last_fetched_epoch = fields.i32()?;
            partition.log_start_offset = fields.i64()?;
            partition.partition_max_bytes = fields.i32()?;
            fields.no_tags().then_some(partition)
        })?;
        fields.no_tags().then_some(topic)
    })?;
    request.forgotten_topics_data = fields.array(|fields| {
        let mut topic = ForgottenTopic::default();
        topic.topic_id = fields.uuid()?;
        topic.partitions = fields.array(Fields::i32)?;
        fields.no_tags().then_some(topic)
    })?;
    let rack = fields.bytes()?;
    if !rack.is_empty() {
        request.rack_id = StrBytes::try_from(rack).ok().filter(|rack| rack.len() <= i16::MAX as usize)?;
    }
    match fields.byte()? {
        NO_TAGS => Some(request),
        1 if [fields.byte()?, fields.byte()?] == REPLICA_STATE => {
            request.replica_state.replica_id = BrokerId(fields.i32()?);
            request.replica_state.replica_epoch = fields.i64()?;
            fields.no_tags().then_some(request)
        }
        _ => None,
    }
}

/// Writes a response, if it is plain.
pub(crate) fn encode_response(response: &FetchResponse, version: i16, out: &mut Vec<u8>) -> bool {
    let is_plain = VERSIONS.contains(&version)
        && response.node_endpoints.is_empty()
        && response.unknown_tagged_fields.is_empty()
        && response
            .responses
            .iter()
            .all(|topic| topic.unknown_tagged_fields.is_empty() && topic.partitions.iter().all(is_plain_answer));
    if !is_plain {
        return false;
    }
    out.extend_from_slice(&response.throttle_time_ms.to_be_bytes());
    out.extend_from_slice(&response.error_code.to_be_bytes());
    out.extend_from_slice(&response.session_id.to_be_bytes());
    put_length(out, response.responses.len());
    for topic in &response.responses {
        out.extend_from_slice(topic.topic_id.as_bytes());
        put_length(out, topic.partitions.len());
        for partition in &topic.partitions {
            out.extend_from_slice(&partition.partition_index.to_be_bytes());
            out.extend_from_slice(&partition.error_code.to_be_bytes());
            out.extend_from_slice(&partition.high_watermark.to_be_bytes());
            out.extend_from_slice(&partition.last_stable_offset.to_be_bytes());
            out.extend_from_slice(&partition.log_start_offset.to_be_bytes());
            put_length(out, 0);
            out.extend_from_slice(&partition.preferred_read_replica.0.to_be_bytes());
            let records = partition.records.as_ref().map_or(&[][..], |records| records);
            put_length(out, records.len());
            out.extend_from_slice(records);
            out.push(NO_TAGS);
        }
        out.push(NO_TAGS);
    }
    out.push(NO_TAGS);
    true
}

fn is_plain_answer(partition: &PartitionData) -> bool {
    let PartitionData { diverging_epoch, current_leader, snapshot_id, .. } = partition;
    partition.unknown_tagged_fields.is_empty()
        && partition.records.is_some()
        && partition.aborted_transactions.as_ref().is_some_and(Vec::is_empty)
        && (diverging_epoch.epoch, diverging_epoch.end_offset) == (-1, -1)
        && diverging_epoch.unknown_tagged_fields.is_empty()
        && (current_leader.leader_id, current_leader.leader_epoch) == (BrokerId(-1), -1)
        && current_leader.unknown_tagged_fields.is_empty()
        && (snapshot_id.end_offset, snapshot_id.epoch) == (-1, -1)
        && snapshot_id.unknown_tagged_fields.is_empty()
}

/// Reads a response's body, if it is plain and nothing follows it. Records are slices of it.
pub(crate) fn decode_response(body: &Bytes, version: i16) -> Option<FetchResponse> {
    if !VERSIONS.contains(&version) {
        return None;
    }
    let mut fields = Fields::of(body);
    let mut response = FetchResponse::default();
    response.throttle_time_ms = fields.i32()?;
    response.error_code = fields.i16()?;
    response.session_id = fields.i32()?;
    response.responses = fields.array(|fields| {
        let mut topic = FetchableTopicResponse::default();
        topic.topic_id = fields.uuid()?;
        topic.partitions = fields.array(|fields| {
            let mut partition = PartitionData::default();
            partition.partition_index = fields.i32()?;
            partition.error_code = fields.i16()?;
            partition.high_watermark = fields.i64()?;
            partition.last_stable_offset = fields.i64()?;
            partition.log_start_offset = fields.i64()?;
            let has_no_aborted_transactions = fields.length()? == 0;
            partition.preferred_read_replica = BrokerId(fields.i32()?);
            partition.records = Some(fields.bytes()?);
            (has_no_aborted_transactions && fields.no_tags()).then_some(partition)
        })?;
        fields.no_tags().then_some(topic)
    })?;
    (fields.no_tags() && fields.is_over()).then_some(response)
}

/// Compact lengths are one more than they say, seven bits a byte (KIP-482).
fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length + 1;
    while 0x80 <= rest {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What is left of a message, field by field; none where it ends too soon, or is not plain.
struct Fields<'a> {
    message: &'a Bytes,
    position: usize,
    /// How many entries its arrays may still have.
    entries: usize,
}

impl Fields<'_> {
    fn of(message: &Bytes) -> Fields<'_> {
        Fields { message, position: 0, entries: ENTRIES_MAX }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.message.get(self.position..)?.first_chunk::<N>()?;
        self.position += N;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.take().map(Uuid::from_bytes)
    }

    /// Of what is there: a null has none. Four bytes say more than a message holds.
    fn length(&mut self) -> Option<usize> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return length.checked_sub(1);
            }
        }
        None
    }

    fn array<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.length()?;
        self.entries = self.entries.checked_sub(count)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(entry(self)?);
        }
        Some(entries)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.length()?;
        let end = self.position.checked_add(length).filter(|end| *end <= self.message.len())?;
        let bytes = self.message.slice(self.position..end);
        self.position = end;
        Some(bytes)
    }

    fn no_tags(&mut self) -> bool {
        self.byte() == Some(NO_TAGS)
    }

    fn is_over(&self) -> bool {
        self.position == self.message.len()
    }
}

#[cfg(test)]
mod tests;
