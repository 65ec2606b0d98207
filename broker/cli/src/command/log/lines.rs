//! What is in a log's files, as lines: text for people, or one JSON object each.

use protocol::records::{Compression, StoredRecord};
use serde_json::{Value, json};
use storage::inspect::{Content, FoundBatch, LogFile};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

/// What stands above the lines of a file, for people.
pub(super) fn title(name: &str, file: LogFile) -> String {
    let what = match file {
        LogFile::Segment(base) => format!("segment from offset {base}"),
        LogFile::OffsetIndex(base) => format!("where the batches stand in the segment from offset {base}"),
        LogFile::TimeIndex(base) => format!("latest timestamps in the segment from offset {base}"),
        LogFile::Producers(offset) => format!("producers of what lies before offset {offset}"),
        LogFile::LeaderEpochs => "leader epochs".into(),
        LogFile::RecoveryPoint => "what is known to be synced".into(),
        LogFile::LogStart => "where the log begins".into(),
        LogFile::Compacted => "up to where the log is compacted".into(),
        LogFile::Snapshot(snapshot) => format!("what stands for all before offset {}", snapshot.end),
    };
    format!("{name}: {what}")
}

pub(super) fn of_batch(form: Form, name: &str, batch: &FoundBatch) -> String {
    let FoundBatch { position, header, has_valid_checksum } = batch;
    let compression = match Compression::from_number(header.compression()) {
        Some(codec) => format!("{codec:?}").to_lowercase(),
        None => format!("unknown ({})", header.compression()),
    };
    if form == Form::Json {
        return json!({
            "file": name, "kind": "batch", "position": position, "size": header.size,
            "base_offset": header.base_offset.0, "last_offset": header.last_offset().0, "count": header.record_count,
            "leader_epoch": header.leader_epoch.0, "producer_id": header.producer_id,
            "producer_epoch": header.producer_epoch, "base_sequence": header.base_sequence,
            "last_sequence": header.stamp().map_or(-1, |stamp| stamp.last_sequence),
            "base_timestamp": header.base_timestamp.0, "max_timestamp": header.max_timestamp.0,
            "timestamp_type": if header.has_log_append_time() { "LogAppendTime" } else { "CreateTime" },
            "compression": compression, "transactional": header.is_transactional(), "control": header.is_control(),
            "crc": header.crc, "crc_valid": has_valid_checksum,
        })
        .to_string();
    }
    let producer = match header.stamp() {
        Some(stamp) => format!(
            "  producer {} epoch {} sequences {}..={}",
            stamp.id, stamp.epoch, stamp.first_sequence, stamp.last_sequence
        ),
        None if 0 <= header.producer_id => format!("  producer {} epoch {}", header.producer_id, header.producer_epoch),
        None => String::new(),
    };
    let marks = [
        (header.has_log_append_time(), "  time of append"),
        (header.is_transactional(), "  transactional"),
        (header.is_control(), "  control"),
        (!has_valid_checksum, "  CHECKSUM WRONG"),
    ];
    let marks: String = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect();
    format!(
        "  offsets {}..={}  records {}  position {position}  bytes {}  leader epoch {}  timestamps {}..={}  {compression}{producer}{marks}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.size,
        header.leader_epoch,
        header.base_timestamp.0,
        header.max_timestamp.0,
    )
}

pub(super) fn of_record(form: Form, name: &str, batch: &FoundBatch, stored: &StoredRecord) -> String {
    let record = &stored.record;
    let is_control = batch.header.is_control();
    if form == Form::Json {
        let headers: Vec<Value> = record
            .headers
            .iter()
            .map(|header| json!({"key": bytes(Some(&header.key)), "value": bytes(header.value.as_deref())}))
            .collect();
        return json!({
            "file": name, "kind": "record", "offset": stored.offset.0, "timestamp": record.timestamp.0, "control": is_control,
            "key": bytes(record.key.as_deref()), "value": bytes(record.value.as_deref()), "headers": headers,
        })
        .to_string();
    }
    let headers: String = record
        .headers
        .iter()
        .map(|header| format!("  {} = {}", shown(Some(&header.key)), shown(header.value.as_deref())))
        .collect();
    let (key, value) = (shown(record.key.as_deref()), shown(record.value.as_deref()));
    format!("    offset {}  timestamp {}  key {key}  value {value}{headers}", stored.offset, record.timestamp.0)
}

/// Text as text; other bytes as an object with their hexadecimal digits.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => Value::from(text),
        Some((bytes, Err(_))) => json!({ "hex": hexadecimal(bytes) }),
    }
}

fn shown(bytes: Option<&[u8]>) -> String {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => "null".into(),
        Some((_, Ok(text))) => format!("{text:?}"),
        Some((bytes, Err(_))) => format!("0x{}", hexadecimal(bytes)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn of_content(form: Form, name: &str, content: &Content) -> Vec<String> {
    let is_json = form == Form::Json;
    let line = |text: String, json: Value| if is_json { with_file(name, json) } else { format!("  {text}") };
    match content {
        Content::OffsetIndex(places) => {
            let places = places.iter();
            places
                .map(|(offset, position)| {
                    let json = json!({"kind": "offset_index", "offset": offset.0, "position": position});
                    line(format!("offset {offset}  position {position}"), json)
                })
                .collect()
        }
        Content::TimeIndex(moments) => {
            let moments = moments.iter();
            moments
                .map(|(timestamp, offset)| {
                    let json = json!({"kind": "time_index", "timestamp": timestamp.0, "offset": offset.0});
                    line(format!("timestamp {}  offset {offset}", timestamp.0), json)
                })
                .collect()
        }
        Content::Producers(producers) => {
            let lines = producers.iter().flat_map(|(id, producer)| {
                let epoch = producer.epoch;
                producer.batches.iter().map(move |batch| {
                    let model::ProducerBatch { first_sequence, last_sequence, base, end } = *batch;
                    let json = json!({
                        "kind": "producer", "producer_id": id.0, "producer_epoch": epoch, "base_sequence": first_sequence,
                        "last_sequence": last_sequence, "base_offset": base.0, "last_offset": end.0 - 1,
                    });
                    let sequences = format!("sequences {first_sequence}..={last_sequence}");
                    line(format!("producer {id} epoch {epoch}  {sequences}  offsets {base}..={}", end.plus(-1)), json)
                })
            });
            lines.collect()
        }
        Content::LeaderEpochs(epochs) => {
            let entries = epochs.entries().iter();
            entries
                .map(|entry| {
                    let json =
                        json!({"kind": "leader_epoch", "leader_epoch": entry.epoch.0, "start_offset": entry.start.0});
                    line(format!("leader epoch {}  from offset {}", entry.epoch, entry.start), json)
                })
                .collect()
        }
        Content::RecoveryPoint(segment, position) => {
            let json = json!({"kind": "recovery_point", "segment": segment.0, "position": position});
            vec![line(format!("up to position {position} of the segment from offset {segment}"), json)]
        }
        Content::LogStart(offset) => {
            vec![line(format!("offset {offset}"), json!({"kind": "log_start", "offset": offset.0}))]
        }
        Content::Compacted(offset) => {
            vec![line(format!("offset {offset}"), json!({"kind": "compacted", "offset": offset.0}))]
        }
    }
}

fn with_file(name: &str, mut json: Value) -> String {
    json["file"] = Value::from(name);
    json.to_string()
}
