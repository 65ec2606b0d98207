//! Produce: a producer's batches into the logs that this broker leads.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future;
use host::{Elapsed, Host, buggify, timeout};
use model::{
    BatchError, BatchHeader, Event, KeySent, Offset, PartitionId, ProducerStamp, SequenceError, Timestamp, TopicId,
    batch_checksum, batches,
};
use protocol::messages::produce_request::TopicProduceData;
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{ProduceRequest, ProduceResponse, TopicName, string, topic_name};
use protocol::records::{Compression, DecodeError, DecompressError, batch_records, check_records, recompress};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::replica::{Acks, Refusal};

use crate::errors::{error_code, refusal_code};
use crate::node::Node;
use crate::partition::Answer as Waiting;
use crate::router::Answer;
use crate::topic_settings::TopicSettings;

/// One partition of the request, appended or refused.
struct Outcome {
    index: i32,
    waiting: Result<Waiting, Refused>,
    /// The leader's time, where the topic's records carry it.
    append_time: Option<Timestamp>,
}

struct Refused {
    code: i16,
    message: Option<String>,
}

impl Refused {
    fn new(error: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code: error.code(), message: Some(message.into()) }
    }
}

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: ProduceRequest) -> Answer {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let outcomes: Vec<(TopicName, Vec<Outcome>)> =
        request.topic_data.into_iter().map(|topic| append_topic(node, topic, acks)).collect();
    if acks == Some(Acks::None) {
        return Answer::Never;
    }
    let mut wait_max = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    if buggify!(node.host, "a produce request was given hardly any time", 0.02) {
        wait_max = wait_max.min(Duration::from_millis(1));
    }
    let host = node.host.clone();
    Answer::later(async move {
        let deadline = host.now() + wait_max;
        let mut topics = Vec::with_capacity(outcomes.len());
        for (name, outcomes) in outcomes {
            let waits = outcomes.into_iter().map(|outcome| {
                let rest = deadline.since(host.now());
                settle(&host, outcome, rest)
            });
            let partitions = future::join_all(waits).await;
            topics.push(TopicProduceResponse::default().with_name(name).with_partition_responses(partitions));
        }
        Response::Produce(ProduceResponse::default().with_responses(topics))
    })
}

fn append_topic<H: Host>(
    node: &Arc<Node<H>>,
    topic: TopicProduceData,
    acks: Option<Acks>,
) -> (TopicName, Vec<Outcome>) {
    let id = node.applied.borrow().topic_ids.get(topic.name.as_str()).copied();
    let append = |data: protocol::messages::produce_request::PartitionProduceData| {
        let appended = match (acks, id) {
            (None, _) => Err(Refused::new(ErrorCode::InvalidRequiredAcks, "acks must be 0, 1 or -1")),
            (Some(acks), topic) => append(node, topic, data.index, data.records, acks),
        };
        match appended {
            Ok((waiting, append_time)) => Outcome { index: data.index, waiting: Ok(waiting), append_time },
            Err(refused) => Outcome { index: data.index, waiting: Err(refused), append_time: None },
        }
    };
    let outcomes = topic.partition_data.into_iter().map(append).collect();
    // A copy: the name is a slice of the request, whose records would stay in memory until the answer.
    (topic_name(&topic.name), outcomes)
}

fn append<H: Host>(
    node: &Arc<Node<H>>,
    topic: Option<TopicId>,
    index: i32,
    records: Option<Bytes>,
    acks: Acks,
) -> Result<(Waiting, Option<Timestamp>), Refused> {
    let id = topic.map(|topic| PartitionId { topic, index });
    let partition = node.held(id).map_err(|code| Refused { code: code.code(), message: None })?;
    if buggify!(node.host, "a leader denied that it leads", 0.02) {
        return Err(Refused { code: ErrorCode::NotLeaderOrFollower.code(), message: None });
    }
    let records = records.unwrap_or_default();
    let settings = partition.settings();
    let stamp = validate(&records, settings.batch_bytes_max)?;
    let records = pack(records, settings, |sent, crc| {
        node.host.witness(Event::BatchRecompressed { partition: partition.id, sent, crc });
    })?;
    let keys = if settings.log.cleanup_policy.compacts() { keys_of(&records)? } else { Vec::new() };
    let append_time = settings.stamps_append_time.then(|| node.host.wall_clock());
    let waiting = partition.produce(&records, stamp, acks, append_time, &keys).map_err(|error| {
        node.note(partition.id, &error);
        Refused { code: error_code(&error), message: Some(error.to_string()) }
    })?;
    Ok((waiting, append_time))
}

/// Refuses what no log may hold, and gives the stamp of an idempotent producer's batch. The records themselves stay opaque.
fn validate(records: &[u8], batch_bytes_max: usize) -> Result<Option<ProducerStamp>, Refused> {
    let mut stamp = None;
    if records.is_empty() {
        return Err(Refused::new(ErrorCode::InvalidRecord, "the request holds no batch for this partition"));
    }
    // Checksums are the log's to verify, as it takes the batches.
    for item in batches(records) {
        let (header, batch) = item.map_err(corrupt)?;
        if batch_bytes_max < header.size {
            let message = format!("a batch of {} bytes exceeds max.message.bytes, {batch_bytes_max}", header.size);
            return Err(Refused::new(ErrorCode::MessageTooLarge, message));
        }
        if Compression::from_number(header.compression()).is_none() {
            let message = format!("compression type {} is unknown", header.compression());
            return Err(Refused::new(ErrorCode::UnsupportedCompressionType, message));
        }
        if header.record_count == 0 || header.record_count != header.last_offset_delta + 1 {
            return Err(Refused::new(ErrorCode::InvalidRecord, "a producer's offsets must have no holes"));
        }
        if header.has_log_append_time() {
            return Err(Refused::new(
                ErrorCode::InvalidTimestamp,
                "a producer may not say when its leader took a batch",
            ));
        }
        if header.has_delete_horizon() {
            return Err(Refused::new(ErrorCode::InvalidRecord, "only compaction says when a tombstone may go"));
        }
        if header.is_control() {
            return Err(Refused::new(ErrorCode::InvalidRecord, "a producer may not write control records"));
        }
        if header.is_transactional() {
            let message = "transactions are not served: configure no transactional.id";
            return Err(Refused::new(ErrorCode::InvalidRecord, message));
        }
        if 0 <= header.producer_id {
            stamp = Some(stamp_of_only(&header, batch.len() == records.len())?);
        }
    }
    Ok(stamp)
}

/// Proves that what is compressed can be read, and compresses otherwise what the topic wants otherwise. What is neither is left as it is:
/// its records stay opaque. `repacked` hears of each batch that is packed anew its checksum before and after.
fn pack(records: Bytes, settings: TopicSettings, repacked: impl Fn(u32, u32)) -> Result<Bytes, Refused> {
    let is_plain = |header: &BatchHeader| header.compression() == Compression::None as i16;
    let wanted =
        |header: &BatchHeader| settings.recompression.filter(|wanted| wanted.codec as i16 != header.compression());
    let (mut rest, mut taken, mut has_changed) = (records.clone(), BytesMut::new(), false);
    while !rest.is_empty() {
        let header = BatchHeader::parse(&rest).map_err(corrupt)?;
        let mut batch = rest.split_to(header.size);
        let wanted = wanted(&header);
        if wanted.is_some() || !is_plain(&header) {
            // Damage on the way is told as such: it may be sent again.
            BatchHeader::verify(&batch).map_err(corrupt)?;
            check_records(&header, &batch).map_err(unreadable)?;
        }
        if let Some(wanted) = wanted {
            batch = recompress(&header, &batch, wanted).map_err(unreadable)?;
            model::reached!("a leader packed a batch as its topic wants it");
            repacked(header.crc, batch_checksum(&batch));
            has_changed = true;
        }
        if settings.batch_bytes_max < batch.len() {
            let (has, may) = (batch.len(), settings.batch_bytes_max);
            let message =
                format!("with the topic's compression.type a batch has {has} bytes, max.message.bytes is {may}");
            return Err(Refused::new(ErrorCode::MessageTooLarge, message));
        }
        if settings.recompression.is_some() {
            taken.extend_from_slice(&batch);
        }
    }
    Ok(if has_changed { taken.freeze() } else { records })
}

fn corrupt(error: BatchError) -> Refused {
    Refused::new(ErrorCode::CorruptMessage, format!("cannot take the batch: {error}"))
}

/// Smaller batches of the same records may be below the limit; nothing else helps what cannot be read.
fn unreadable(error: DecodeError) -> Refused {
    let code = match error {
        DecodeError::Decompress(DecompressError::Bomb { .. }) => ErrorCode::MessageTooLarge,
        _ => ErrorCode::InvalidRecord,
    };
    Refused::new(code, format!("cannot take the batch: {error}"))
}

/// An idempotent producer's batch comes alone: of several, some could be repeated and others not.
fn stamp_of_only(header: &BatchHeader, is_alone: bool) -> Result<ProducerStamp, Refused> {
    let stamp = header.stamp().filter(|stamp| 0 <= stamp.epoch);
    let Some(stamp) = stamp else {
        return Err(Refused::new(ErrorCode::InvalidRecord, "a batch with a producer id has an epoch and a sequence"));
    };
    if !is_alone {
        return Err(Refused::new(
            ErrorCode::InvalidRecord,
            "a request has one batch a partition of an idempotent producer",
        ));
    }
    Ok(stamp)
}

/// The keys of all records, each of which needs one where the log is compacted.
fn keys_of(records: &Bytes) -> Result<Vec<KeySent>, Refused> {
    let mut keys = Vec::new();
    let mut rest = records.clone();
    while !rest.is_empty() {
        let header = BatchHeader::verify(&rest).map_err(corrupt)?;
        let mut decoded = Vec::new();
        batch_records(&header, rest.split_to(header.size), &mut decoded).map_err(unreadable)?;
        for stored in decoded {
            let Some(key) = &stored.record.key else {
                let message = "a record has no key, and the topic's cleanup.policy is compact";
                return Err(Refused::new(ErrorCode::InvalidRecord, message));
            };
            keys.push(KeySent::new(key, stored.record.value.is_none()));
        }
    }
    Ok(keys)
}

async fn settle<H: Host>(host: &H, outcome: Outcome, wait_max: Duration) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default().with_index(outcome.index).with_base_offset(-1);
    let result = match outcome.waiting {
        Ok(waiting) => match timeout(host, wait_max, waiting).await {
            Ok(Ok(Ok(base))) => Ok(base),
            Ok(Ok(Err(refusal))) => {
                if let Refusal::OutOfSequence(SequenceError::UnknownProducer { log_start, .. }) = refusal {
                    // By this the Java client sees that what it wrote was deleted, and goes on under a new epoch.
                    response.log_start_offset = log_start.0;
                }
                Err(Refused { code: refusal_code(refusal), message: Some(refusal.to_string()) })
            }
            // The partition dropped the right to answer: the node is stopping.
            Ok(Err(_)) => Err(Refused { code: refusal_code(Refusal::NotLeaderOrFollower), message: None }),
            Err(Elapsed) => {
                model::reached!("a produce request's time was up before its records were committed");
                Err(Refused::new(ErrorCode::RequestTimedOut, "not every in-sync replica has the batch yet"))
            }
        },
        Err(refused) => Err(refused),
    };
    match result {
        Ok(Offset(base)) => response
            .with_base_offset(base)
            .with_log_append_time_ms(outcome.append_time.map_or(-1, |time| time.0))
            .with_error_code(NO_ERROR),
        Err(refused) => {
            response.with_error_code(refused.code).with_error_message(refused.message.as_deref().map(string))
        }
    }
}
