//! What compaction makes of one batch.
//!
//! A record is kept if no later one has its key, and, if it is a tombstone, until its batch's *delete horizon* has passed. The horizon is
//! the time of the compaction that first kept a tombstone of the batch, and `delete.retention.ms` more; it stands in the place of the
//! base timestamp, with bit 6 of the attributes (KIP-534). What is kept keeps its bytes, its offset and its timestamp. A batch from
//! which nothing goes keeps its own bytes, and is not compressed again.

use compression::{Compression, Level};
use model::{BatchHeader, Bug, Offset, Planted, Timestamp};

use super::keys::Keys;
use crate::records::{RawRecord, plain_records, records};

/// What a compaction goes by.
pub(super) struct Rules<'a> {
    pub(super) keys: &'a Keys,
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
    pub(super) planted: Planted,
}

/// A batch after compaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compacted {
    AsItWas,
    /// Some of its records are left, those at these offsets, or it has a delete horizon now.
    Rewritten {
        bytes: Vec<u8>,
        kept: Vec<Offset>,
    },
    /// No record is left.
    Emptied,
}

/// Compacts one whole batch of user records.
///
/// # Errors
/// Why its records cannot be read.
pub(super) fn compact(header: &BatchHeader, batch: &[u8], rules: &Rules<'_>) -> Result<Compacted, String> {
    let plain = plain_records(header, batch)?;
    let all = all_records(header, &plain)?;
    let horizon_has_passed = header.has_delete_horizon() && header.base_timestamp <= rules.now
        || rules.planted.has(Bug::TombstoneDroppedEarly);
    let kept: Vec<&RawRecord<'_>> = all
        .iter()
        .filter(|record| {
            let offset = header.base_offset.plus(record.offset_delta);
            let is_latest = record.key.is_some_and(|key| !rules.keys.supersede(key, offset));
            is_latest && (record.has_value || !horizon_has_passed)
        })
        .collect();
    let needs_horizon = !header.has_delete_horizon() && kept.iter().any(|record| !record.has_value);
    if kept.len() == all.len() && !needs_horizon {
        return Ok(Compacted::AsItWas);
    }
    if kept.is_empty() {
        return Ok(Compacted::Emptied);
    }
    let horizon = needs_horizon.then(|| Timestamp(rules.now.0.saturating_add(rules.delete_retention_ms)));
    let offsets = kept.iter().map(|record| header.base_offset.plus(record.offset_delta)).collect();
    Ok(Compacted::Rewritten { bytes: encode(header, &kept, horizon), kept: offsets })
}

/// The keys of a batch's records, with their offsets.
///
/// # Errors
/// Why its records cannot be read.
pub(super) fn keys_of<'a>(
    header: &BatchHeader,
    plain: &'a [u8],
) -> Result<impl Iterator<Item = (&'a [u8], Offset)> + Clone, String> {
    let base = header.base_offset;
    let all = all_records(header, plain)?;
    let keys: Vec<_> =
        all.into_iter().filter_map(|record| Some((record.key?, base.plus(record.offset_delta)))).collect();
    Ok(keys.into_iter())
}

fn all_records<'a>(header: &BatchHeader, plain: &'a [u8]) -> Result<Vec<RawRecord<'a>>, String> {
    let all: Option<Vec<RawRecord<'a>>> = records(plain).collect();
    let all = all.ok_or("a record is malformed")?;
    let within = 0..=i64::from(header.last_offset_delta);
    if all.len() as i64 != i64::from(header.record_count) || !all.iter().all(|one| within.contains(&one.offset_delta)) {
        return Err("its records are not those that its header counts".into());
    }
    Ok(all)
}

fn encode(header: &BatchHeader, kept: &[&RawRecord<'_>], horizon: Option<Timestamp>) -> Vec<u8> {
    let base_timestamp = horizon.unwrap_or(header.base_timestamp);
    let mut plain = Vec::new();
    let mut latest = i64::MIN;
    for record in kept {
        let timestamp = header.base_timestamp.0.wrapping_add(record.timestamp_delta);
        latest = latest.max(timestamp);
        match horizon {
            Some(horizon) => record.put_at(timestamp.wrapping_sub(horizon.0), &mut plain),
            None => plain.extend(record.bytes),
        }
    }
    let changed = BatchHeader {
        attributes: if horizon.is_some() { header.attributes_with_delete_horizon() } else { header.attributes },
        base_timestamp,
        max_timestamp: if header.has_log_append_time() { header.max_timestamp } else { Timestamp(latest) },
        record_count: kept.len() as i32,
        ..*header
    };
    match Compression::from_number(header.compression()) {
        None | Some(Compression::None) => changed.encode(&plain),
        Some(codec) => {
            let mut packed = Vec::new();
            compression::compress(codec, Level::Usual, &plain, &mut packed);
            changed.encode(&packed)
        }
    }
}
