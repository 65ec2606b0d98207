//! This node's snapshots of the metadata (KIP-630): taken from its image, kept beside the log, given to others, received from its leader.
//!
//! What makes a crash safe at every step:
//! - a snapshot has its name only when all of it is on disk; the log's start follows, and what lies below goes last;
//! - a start takes the newest whole snapshot. Where the log does not go on from it, as after a crash in the middle of an installation,
//!   the snapshot holds: it stands for what is committed, and the log is begun anew behind it.

use std::io;

use bytes::{Bytes, BytesMut};
use host::{Host, buggify};
use model::{Bug, Event, LogStartReason, MetadataVersion, Offset, PartitionId, SnapshotId, Timestamp};
use roles::controller::Image;
use roles::quorum::{Body, Cadence, Keeping, Kept, Piece, Refusal};
use storage::{PendingStart, StartKept, StorageError, log_snapshot};

use super::OpenError;
use super::log::MetadataLog;
use super::snapshot::{self, Content};
use super::task::Work;
use crate::config::Config;

/// Bytes of a snapshot that are given at once.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// The same, and the bytes of the log between two snapshots, where a trial wants many.
const TINY_BYTES: usize = 1000;

pub(super) struct Snapshots<H: Host> {
    host: H,
    directory: String,
    /// What is on disk, oldest first.
    kept: Vec<Kept>,
    /// What this program knows.
    newest: MetadataVersion,
    cadence: Cadence,
    keeping: Keeping,
    /// The timestamp of the last record that was applied.
    latest: Timestamp,
    /// What has come of a snapshot that is on its way here.
    received: BytesMut,
}

/// Something that was done to the snapshots on disk.
pub(super) enum Done {
    Taken {
        kept: Kept,
        digest: u64,
        content: u32,
    },
    /// It may be that there is no room.
    NotTaken,
    /// The log may begin there: that is safe.
    StartKept {
        to: SnapshotId,
        start: StartKept,
    },
    /// It is on disk, and so is that the log begins there.
    Stored {
        kept: Kept,
        content: Content,
        checksum: u32,
        start: Option<StartKept>,
    },
    /// It is not whole, or there is no room for it.
    Refused(SnapshotId),
    /// A newer release wrote it.
    TooNew(String),
}

impl<H: Host> Snapshots<H> {
    /// Finds what an earlier life left, and brings the log in step with it: the image of the newest snapshot, if there is one.
    pub(super) async fn open(
        config: &Config,
        host: &H,
        log: &mut MetadataLog<H>,
    ) -> Result<(Snapshots<H>, Option<Content>), OpenError> {
        let are_many = buggify!(*host, "snapshots of the metadata were taken often", 0.5);
        let bytes_max = if are_many { TINY_BYTES as u64 } else { config.metadata_snapshot_bytes };
        let retention_bytes = if are_many { 0 } else { config.metadata_retention_bytes };
        let interval = config.metadata_snapshot_interval;
        let age_max = config.metadata_retention;
        let mut snapshots = Snapshots {
            host: host.clone(),
            directory: log.directory().to_owned(),
            kept: Vec::new(),
            newest: log.newest(),
            cadence: Cadence::new(bytes_max, (!interval.is_zero()).then_some(interval)),
            keeping: Keeping {
                bytes_max: u64::try_from(retention_bytes).ok(),
                age_max: (age_max < std::time::Duration::MAX).then_some(age_max),
            },
            latest: Timestamp(-1),
            received: BytesMut::new(),
        };
        let newest = snapshots.find()?;
        match (&newest, snapshots.kept.last()) {
            (Some((content, checksum)), Some(&Kept { snapshot, latest, .. })) if log.start() <= snapshot.end => {
                snapshots.latest = latest;
                if !log.goes_on_from(snapshot) {
                    model::reached!("a start found a snapshot that its log did not go on from");
                    snapshots.witness_installed(snapshot, *checksum);
                    log.begin_anew(snapshot.end).await?;
                }
                snapshots.forget_below(log.start());
                if let Some(first) = snapshots.kept.first().filter(|_| Offset::ZERO < log.start()) {
                    // The one that ended where the log begins may be the one that was damaged.
                    log.begin_at(first.snapshot.end).await?;
                }
                snapshots.witness_loaded(snapshot, content, *checksum);
            }
            _ if Offset::ZERO < log.start() => {
                host.witness(Event::LogDamaged { partition: PartitionId::METADATA });
                return Err(OpenError::SnapshotMissing { directory: log.directory().to_owned(), start: log.start() });
            }
            _ => {}
        }
        Ok((snapshots, newest.map(|(content, _)| content)))
    }

    /// Reads what is on disk; what is not whole is passed over. The newest one's content, with the checksum of its bytes.
    fn find(&mut self) -> Result<Option<(Content, u32)>, OpenError> {
        let disk = self.host.disk();
        let failed = |error: io::Error| StorageError::of(&self.directory, &error);
        let mut newest = None;
        for snapshot in log_snapshot::list(disk, &self.directory).map_err(failed)? {
            let bytes = log_snapshot::read(disk, &self.directory, snapshot).map_err(failed)?;
            match snapshot::decode(&bytes, snapshot, self.newest) {
                Ok(content) => {
                    self.kept.push(Kept { snapshot, bytes: bytes.len() as u64, latest: content.latest });
                    newest = Some((content, snapshot::checksum(&bytes)));
                }
                Err(error) if error.is_of_a_newer_release() => {
                    return Err(OpenError::SnapshotTooNew(error.to_string()));
                }
                Err(error) => {
                    tracing::warn!(%snapshot, directory = self.directory, %error, "a snapshot of the metadata is of no use");
                }
            }
        }
        Ok(newest)
    }

    /// By rising end.
    pub(super) fn ids(&self) -> Vec<SnapshotId> {
        self.kept.iter().map(|kept| kept.snapshot).collect()
    }

    pub(super) fn newest_end(&self) -> Offset {
        self.kept.last().map_or(Offset::ZERO, |kept| kept.snapshot.end)
    }

    /// A batch of so many bytes was applied, whose last record has this timestamp.
    pub(super) fn applied(&mut self, bytes: u64, latest: Timestamp) {
        self.latest = latest;
        self.cadence.applied(self.host.now(), bytes);
    }

    /// When one is due if nothing else is applied.
    pub(super) fn deadline(&self) -> Option<model::Time> {
        self.cadence.deadline()
    }

    /// One is due now: the next start is to find no record of a level that is none any more.
    pub(super) fn hurry(&mut self) {
        self.cadence.hurry();
    }

    pub(super) fn is_due(&self) -> bool {
        self.cadence.is_due(self.host.now())
    }

    /// Takes a snapshot of `image`, which is all that `snapshot` says.
    pub(super) fn take(&mut self, image: &Image, snapshot: SnapshotId, log: &MetadataLog<H>) -> Work<Done> {
        self.cadence.begun();
        let planted = self.host.planted();
        let bytes = snapshot::encode(image, snapshot, self.latest, planted);
        let kept = Kept { snapshot, bytes: bytes.len() as u64, latest: self.latest };
        let (digest, content) = (image.digest(), snapshot::checksum(&bytes));
        let too_early = planted.has(Bug::LogCutBeforeSnapshot).then(|| log.begin_start(snapshot.end)).flatten();
        let (host, directory) = (self.host.clone(), self.directory.clone());
        Box::pin(async move {
            if let Some(start) = too_early {
                let (partition, from, to) = (PartitionId::METADATA, Offset::ZERO, start.to());
                let _kept = start.run().await?;
                host.witness(Event::LogStartAdvanced { partition, from, to, reason: LogStartReason::Snapshot });
            }
            let stored = log_snapshot::store(host.disk(), &directory, snapshot, &bytes, planted).await;
            match stored.map_err(|error| StorageError::of(&directory, &error)) {
                Ok(()) => Ok(Done::Taken { kept, digest, content }),
                Err(error @ StorageError::Full { .. }) => {
                    tracing::warn!(%error, "no snapshot of the metadata is taken");
                    Ok(Done::NotTaken)
                }
                Err(error) => Err(error),
            }
        })
    }

    /// A snapshot is on disk.
    pub(super) fn taken(&mut self, kept: Kept, digest: u64, content: u32) {
        let SnapshotId { end, epoch } = kept.snapshot;
        self.kept.push(kept);
        self.host.witness(Event::SnapshotTaken { end, epoch, digest, content });
    }

    /// Lets older snapshots go, if they are to, with the log before the next one.
    pub(super) fn let_go(&self, log: &MetadataLog<H>) -> Option<Work<Done>> {
        let to = self.keeping.log_start(&self.kept, log.bytes(), self.host.wall_clock())?;
        let start = log.begin_start(to.end)?;
        Some(Box::pin(async move {
            match start.run().await {
                Ok(start) => Ok(Done::StartKept { to, start }),
                Err(StorageError::Full { .. }) => Ok(Done::NotTaken),
                Err(error) => Err(error),
            }
        }))
    }

    /// Older ones stand for nothing that the log still needs.
    pub(super) fn forget_below(&mut self, start: Offset) {
        let gone = self.kept.partition_point(|kept| kept.snapshot.end < start);
        for kept in self.kept.drain(..gone) {
            if let Err(error) = log_snapshot::remove(self.host.disk(), &self.directory, kept.snapshot) {
                tracing::warn!(snapshot = %kept.snapshot, %error, "cannot remove an old snapshot of the metadata: the next start will");
            }
        }
    }

    /// Bytes of a snapshot, for a node that fetches it.
    pub(super) fn piece(&self, snapshot: SnapshotId, position: u64) -> Result<Body, StorageError> {
        let is_small = buggify!(self.host, "a snapshot went in small pieces", 0.8);
        let bytes_max = if is_small { TINY_BYTES } else { PIECE_BYTES_MAX };
        let read = log_snapshot::read_piece(self.host.disk(), &self.directory, snapshot, position, bytes_max);
        let (bytes, size) = read.map_err(|error| StorageError::of(&self.directory, &error))?;
        if bytes.is_empty() {
            return Ok(Body::Refused(Refusal::PositionOutOfRange));
        }
        Ok(Body::Piece(Piece { snapshot, size, position, bytes }))
    }

    /// Some of a snapshot has come.
    pub(super) fn receive(&mut self, position: u64, bytes: &Bytes) {
        if position == 0 {
            self.received.clear();
        }
        assert!(self.received.len() as u64 == position, "pieces come in order");
        self.received.extend_from_slice(bytes);
    }

    /// All of it has come: proves that it is whole, and makes it and the log's start behind it outlive a loss of power.
    pub(super) fn install(&mut self, snapshot: SnapshotId, start: Option<PendingStart<H::Disk>>) -> Work<Done> {
        let bytes = std::mem::take(&mut self.received).freeze();
        let (host, directory, newest) = (self.host.clone(), self.directory.clone(), self.newest);
        Box::pin(async move {
            let content = match snapshot::decode(&bytes, snapshot, newest) {
                Ok(content) => content,
                Err(error) if error.is_of_a_newer_release() => return Ok(Done::TooNew(error.to_string())),
                Err(error) => {
                    tracing::warn!(%snapshot, %error, "the leader's snapshot of the metadata is refused");
                    return Ok(Done::Refused(snapshot));
                }
            };
            let refused = |error: StorageError| match error {
                StorageError::Full { .. } => {
                    tracing::warn!(%error, "there is no room for the leader's snapshot of the metadata");
                    Ok(Done::Refused(snapshot))
                }
                error => Err(error),
            };
            let stored = log_snapshot::store(host.disk(), &directory, snapshot, &bytes, host.planted()).await;
            if let Err(error) = stored {
                return refused(StorageError::of(&directory, &error));
            }
            let start = match start {
                Some(start) => match start.run().await {
                    Ok(start) => Some(start),
                    Err(error) => return refused(error),
                },
                None => None,
            };
            let kept = Kept { snapshot, bytes: bytes.len() as u64, latest: content.latest };
            Ok(Done::Stored { kept, content, checksum: snapshot::checksum(&bytes), start })
        })
    }

    /// The log begins behind this snapshot, and has nothing else.
    pub(super) fn installed(&mut self, kept: Kept, content: &Content, checksum: u32) {
        self.witness_installed(kept.snapshot, checksum);
        self.cadence.begun();
        self.latest = kept.latest;
        self.kept.push(kept);
        self.forget_below(kept.snapshot.end);
        self.witness_loaded(kept.snapshot, content, checksum);
    }

    fn witness_installed(&self, SnapshotId { end, epoch }: SnapshotId, content: u32) {
        self.host.witness(Event::SnapshotInstalled { end, epoch, content });
    }

    fn witness_loaded(&self, SnapshotId { end, epoch }: SnapshotId, content: &Content, checksum: u32) {
        let digest = content.image.digest();
        self.host.witness(Event::SnapshotLoaded { end, epoch, digest, content: checksum });
    }
}
