//! The metadata log: records to batches and back, on the same storage as every partition's.

use bytes::{Bytes, BytesMut};
use host::Host;
use model::{BatchHeader, Event, LeaderEpoch, Offset, PartitionId, Timestamp, batches, patch_batch};
use protocol::records::{self, Compression, DecodeError, ProducerFields, batch_records};
use roles::controller::{Record, RecordError};
use storage::{Log, LogConfig, PendingSync, StorageError, SyncedTo};
use thiserror::Error;

use super::wire;

/// Bytes of one segment of the metadata log (`metadata.log.segment.bytes`).
const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes that are read at once, for a follower or to apply.
const READ_BYTES_MAX: usize = 1 << 20;

/// Why committed metadata cannot be applied. Final: this node cannot know what the others know.
#[derive(Debug, Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a batch of the metadata log cannot be read: {0}")]
    Batch(#[from] DecodeError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

pub(super) struct MetadataLog<H: Host> {
    host: H,
    log: Log<H::Disk>,
}

/// The records of one batch.
pub(super) struct CommittedBatch {
    pub(super) base: Offset,
    pub(super) records: Vec<Record>,
}

impl<H: Host> MetadataLog<H> {
    pub(super) async fn open(host: &H, log_directory: &str) -> Result<MetadataLog<H>, StorageError> {
        let directory = format!("{log_directory}/{}-{}", wire::TOPIC, PartitionId::METADATA.index);
        let config = LogConfig { segment_bytes: SEGMENT_BYTES, planted: host.planted(), ..LogConfig::default() };
        let (log, recovery) = Log::open(host.disk(), &directory, config).await?;
        host.witness(Event::Recovered {
            partition: PartitionId::METADATA,
            log_start: log.start(),
            log_end: log.end(),
            cut_bytes: recovery.cut_bytes,
        });
        Ok(MetadataLog { host: host.clone(), log })
    }

    pub(super) fn end(&self) -> Offset {
        self.log.end()
    }

    pub(super) fn epochs(&self) -> &model::Epochs {
        self.log.epochs()
    }

    /// Appends the records of one decision as one batch.
    pub(super) fn append(&mut self, epoch: LeaderEpoch, records: &[Record]) -> Result<(), StorageError> {
        let timestamp = self.host.wall_clock();
        let batch = encode(records, timestamp);
        let mut batch = BytesMut::from(batch);
        patch_batch(&mut batch, self.log.end(), epoch);
        self.append_fetched(&batch)
    }

    /// Appends batches as another leader made them.
    pub(super) fn append_fetched(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.log.append(bytes)?;
        for (header, _) in batches(bytes).flatten() {
            self.witness_append(&header);
        }
        Ok(())
    }

    fn witness_append(&self, header: &BatchHeader) {
        self.host.witness(Event::Appended {
            partition: PartitionId::METADATA,
            epoch: header.leader_epoch,
            base: header.base_offset,
            end: header.end_offset(),
            crc: header.crc,
        });
    }

    pub(super) fn truncate(&mut self, to: Offset) -> Result<(), StorageError> {
        let from = self.log.end();
        self.log.truncate_to(to)?;
        self.host.witness(Event::Truncated { partition: PartitionId::METADATA, from, to: self.log.end() });
        Ok(())
    }

    pub(super) fn begin_sync(&mut self) -> Option<PendingSync<H::Disk>> {
        self.log.begin_sync()
    }

    /// The end below which everything is safe now.
    pub(super) fn finish_sync(&mut self, done: SyncedTo) -> Offset {
        let end = self.log.finish_sync(done);
        self.host.witness(Event::Synced { partition: PartitionId::METADATA, end });
        end
    }

    /// What a follower gets: batches as they are.
    pub(super) fn read(&self, from: Offset) -> Result<Bytes, StorageError> {
        self.log.read(from, self.log.end(), READ_BYTES_MAX)
    }

    /// Some of the batches in `from..below`; at least one if there is one.
    pub(super) fn read_committed(&self, from: Offset, below: Offset) -> Result<Vec<CommittedBatch>, ReadError> {
        let bytes = self.log.read(from, below, READ_BYTES_MAX)?;
        let mut committed = Vec::new();
        let mut position = 0;
        while position < bytes.len() {
            let header = BatchHeader::parse(&bytes[position..]).map_err(StorageError::from)?;
            let mut stored = Vec::new();
            batch_records(&header, bytes.slice(position..position + header.size), &mut stored)?;
            let values = stored.into_iter().map(|stored| stored.record.value.unwrap_or_default());
            let records = values.map(|value| Record::decode(&value)).collect::<Result<Vec<_>, _>>()?;
            committed.push(CommittedBatch { base: header.base_offset, records });
            position += header.size;
        }
        Ok(committed)
    }
}

fn encode(records: &[Record], timestamp: Timestamp) -> Bytes {
    let encoded: Vec<records::Record> = records
        .iter()
        .map(|record| records::Record { timestamp, value: Some(record.encode().into()), ..records::Record::default() })
        .collect();
    records::encode_batch(&encoded, Compression::None, ProducerFields::default())
}
