//! The metadata log: records to batches and back, on the same storage as every partition's.

use bytes::{Bytes, BytesMut};
use host::Host;
use model::{
    BatchHeader, Bug, Event, LeaderEpoch, LogStartReason, MetadataVersion, Offset, PartitionId, SnapshotId, Timestamp,
    batches, mark_control, patch_batch,
};
use protocol::records::{self, Compression, DecodeError, ProducerFields, batch_records};
use roles::controller::{Record, RecordError};
use roles::quorum::VoterSet;
use storage::{Log, LogConfig, PendingStart, PendingSync, Recovery, StartKept, StorageError, SyncedTo};
use thiserror::Error;

use super::wire::{self, VotersError};
use crate::config::Config;

/// Bytes that are read at once, for a follower or to apply.
const READ_BYTES_MAX: usize = 1 << 20;

/// Why committed metadata cannot be applied. Final: this node cannot know what the others know.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a batch of the metadata log cannot be read: {0}")]
    Batch(#[from] DecodeError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("who votes cannot be read from the metadata log: {0}")]
    Voters(#[from] VotersError),
}

pub(super) struct MetadataLog<H: Host> {
    host: H,
    directory: String,
    log: Log<H::Disk>,
    /// What this program knows.
    newest: MetadataVersion,
}

/// The records of one batch.
pub(super) struct CommittedBatch {
    pub(super) base: Offset,
    pub(super) records: Vec<Record>,
    pub(super) bytes: u64,
    /// Of the last record.
    pub(super) timestamp: Timestamp,
}

impl<H: Host> MetadataLog<H> {
    /// What was found must be told once it is in step with the snapshots.
    pub(super) async fn open(host: &H, config: &Config) -> Result<(MetadataLog<H>, Recovery), StorageError> {
        let directory = format!("{}/{}-{}", config.metadata_directory(), wire::TOPIC, PartitionId::METADATA.index);
        let newest = config.metadata_version_max;
        let segment_bytes = config.metadata_segment_bytes;
        let config = LogConfig { segment_bytes, planted: host.planted(), ..LogConfig::default() };
        let (log, recovery) = Log::open(host.disk(), &directory, config).await?;
        Ok((MetadataLog { host: host.clone(), directory, log, newest }, recovery))
    }

    pub(super) fn witness_recovered(&self, recovery: Recovery) {
        self.host.witness(Event::Recovered {
            partition: PartitionId::METADATA,
            log_start: self.log.start(),
            log_end: self.log.end(),
            cut_bytes: recovery.cut_bytes,
        });
    }

    /// What this program knows.
    pub(super) fn newest(&self) -> MetadataVersion {
        self.newest
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    pub(super) fn start(&self) -> Offset {
        self.log.start()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.log.bytes()
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

    /// Appends the record that says who votes from here on: a control batch, so that it is found without reading every other.
    pub(super) fn append_voters(&mut self, epoch: LeaderEpoch, voters: VoterSet) -> Result<(), StorageError> {
        let mut batch = BytesMut::from(encode(&[Record::Voters(voters)], self.host.wall_clock()));
        patch_batch(&mut batch, self.log.end(), epoch);
        mark_control(&mut batch);
        self.append_fetched(&batch)
    }

    /// What the log says of who votes, from `from` on: each record's offset, and the voters.
    pub(super) fn voters_from(&self, from: Offset) -> Result<Vec<(Offset, VoterSet)>, ReadError> {
        let mut position = from.max(self.log.start());
        let mut changes = Vec::new();
        while position < self.log.end() {
            let bytes = self.log.read(position, self.log.end(), READ_BYTES_MAX)?;
            assert!(!bytes.is_empty(), "a log has no gap");
            for batch in batches(&bytes) {
                let (header, batch) = batch.map_err(StorageError::from)?;
                position = header.end_offset();
                if from <= header.base_offset {
                    let voters = wire::voters_of(&header, bytes.slice_ref(batch), self.newest)?;
                    changes.extend(voters.map(|voters| (header.base_offset, voters)));
                }
            }
        }
        Ok(changes)
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

    /// Does this log have what follows the records that `snapshot` stands for, and not the tail of another history?
    pub(super) fn goes_on_from(&self, snapshot: SnapshotId) -> bool {
        let epochs = self.log.epochs();
        let agrees = if self.log.start() < snapshot.end {
            epochs.epoch_at(snapshot.end.plus(-1)) == Some(snapshot.epoch)
        } else {
            epochs.entries().first().is_none_or(|first| snapshot.epoch <= first.epoch)
        };
        self.log.start() <= snapshot.end && snapshot.end <= self.log.end() && agrees
    }

    /// Begins to move the log's start up to `to`. None if it is there already.
    pub(super) fn begin_start(&self, to: Offset) -> Option<PendingStart<H::Disk>> {
        self.log.begin_start(to)
    }

    /// A snapshot stands for what lies below.
    pub(super) fn finish_start(&mut self, kept: StartKept) -> Result<(), StorageError> {
        let from = self.log.start();
        self.log.finish_start(kept)?;
        let (partition, to, reason) = (PartitionId::METADATA, self.log.start(), LogStartReason::Snapshot);
        self.host.witness(Event::LogStartAdvanced { partition, from, to, reason });
        Ok(())
    }

    /// Moves the log's start up to `to`, and waits for it.
    pub(super) async fn begin_at(&mut self, to: Offset) -> Result<(), StorageError> {
        match self.begin_start(to) {
            Some(start) => {
                let kept = start.run().await?;
                self.finish_start(kept)
            }
            None => Ok(()),
        }
    }

    /// The log has nothing, and begins at `to`: what it had belongs to another history, or lies below.
    pub(super) async fn begin_anew(&mut self, to: Offset) -> Result<(), StorageError> {
        let kept = match self.begin_start(to) {
            Some(start) => Some(start.run().await?),
            None => None,
        };
        self.finish_anew(kept)
    }

    /// The same, where it is safe already that the log begins there.
    pub(super) fn finish_anew(&mut self, kept: Option<StartKept>) -> Result<(), StorageError> {
        if !self.host.planted().has(Bug::InstallKeepsTail) {
            self.log.truncate_to(self.log.start())?;
        }
        kept.map_or(Ok(()), |kept| self.log.finish_start(kept))
    }

    /// The snapshot that stands for all below `end`.
    pub(super) fn snapshot_at(&self, end: Offset) -> Option<SnapshotId> {
        let epoch = self.log.epochs().epoch_at(end.plus(-1)).filter(|_| self.log.start() < end)?;
        Some(SnapshotId { end, epoch })
    }

    pub(super) fn begin_sync(&mut self) -> Option<PendingSync<H::Disk>> {
        self.log.begin_sync()
    }

    /// Begins the last sync, after which nothing changes any more.
    pub(super) fn begin_close(&mut self) -> PendingSync<H::Disk> {
        self.log.begin_close()
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
            let records = values.map(|value| Record::decode(&value, self.newest)).collect::<Result<Vec<_>, _>>()?;
            let (bytes, timestamp) = (header.size as u64, header.max_timestamp);
            committed.push(CommittedBatch { base: header.base_offset, records, bytes, timestamp });
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
