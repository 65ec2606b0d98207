//! Gathers the segments of a log that is being opened, from their index files where these can be trusted, else from the batches.

use host::{Disk, File};
use model::{BatchHeader, Bug, Epochs, Offset, Producers};

use crate::index::{Moment, Place};
use crate::index_files::{self, Told};
use crate::recovery::{Recovered, segment_path};
use crate::recovery_point::RecoveryPoint;
use crate::segment::Segment;
use crate::walk::{HEADER_CHUNK, WHOLE_CHUNK, Walk, WalkError};
use crate::{LogConfig, Recovery, StorageError};

/// What a start knows before it reads a segment.
pub(crate) struct Scan<'a, D: Disk> {
    pub(crate) disk: &'a D,
    pub(crate) directory: &'a str,
    pub(crate) config: &'a LogConfig,
    pub(crate) point: Option<RecoveryPoint>,
    pub(crate) start: Offset,
}

/// The leader epochs as the checkpoint has them, and the recovery point up to which it is true.
pub(crate) struct Known {
    pub(crate) epochs: Epochs,
    pub(crate) point: RecoveryPoint,
}

/// Why segments could not be gathered.
pub(crate) enum Damage {
    /// A batch has another epoch than the checkpoint says: one of them is wrong.
    Epochs,
    Final(StorageError),
}

impl Damage {
    pub(crate) fn into_error(self) -> StorageError {
        match self {
            Damage::Epochs => unreachable!("without a checkpoint there is nothing to disagree with"),
            Damage::Final(error) => error,
        }
    }
}

impl From<StorageError> for Damage {
    fn from(error: StorageError) -> Damage {
        Damage::Final(error)
    }
}

/// One segment's file, and what bounds it.
struct Bounds {
    file_length: u64,
    next_base: Option<Offset>,
    /// Bytes that are known to be synced.
    synced_bytes: u64,
    /// The epochs of its batches are known from the checkpoint.
    has_known_epochs: bool,
}

/// A segment with what its index files told of it: its batches up to `place`.
struct Kept<F: File> {
    indexed: Segment<F>,
    place: Place,
    /// The latest moment in them, which may lie behind that.
    latest: Option<Moment>,
}

impl<D: Disk> Scan<'_, D> {
    /// Takes the segments that begin at `bases`, up to the first damage above the recovery point.
    pub(crate) fn run(&self, bases: &[Offset], known: Option<&Known>) -> Result<Recovered<D::File>, Damage> {
        let mut recovered = Recovered {
            start: self.start,
            segments: Vec::new(),
            epochs: Epochs::default(),
            producers: Producers::default(),
            snapshots: Vec::new(),
            point: self.point,
            kept_epochs: None,
            compacted: None,
            recovery: Recovery::default(),
        };
        for (index, &base) in bases.iter().enumerate() {
            let path = segment_path(self.directory, base);
            let file = self.disk.open(&path).map_err(|error| StorageError::of(&path, &error))?;
            let file_length = file.length().map_err(|error| StorageError::of(&path, &error))?;
            let next_base = bases.get(index + 1).copied();
            let synced_bytes = self.point.map_or(0, |point| point.synced_bytes(base));
            let is_below_point = synced_bytes == u64::MAX || next_base.is_none() && synced_bytes == file_length;
            let bounds =
                Bounds { file_length, next_base, synced_bytes, has_known_epochs: known.is_some() && is_below_point };
            if index == 0
                && let Some(known) = known
            {
                recovered.epochs = known.epochs.clone();
            }
            let mut segment = Segment::new(base, path, file, self.config);
            let is_indexed = match next_base {
                Some(next) if bounds.has_known_epochs => {
                    self.take_index(&mut segment, &bounds, next, &recovered.epochs)?
                }
                _ => false,
            };
            let is_torn = !is_indexed && {
                if known.is_some_and(|known| known.point.segment == base) {
                    self.begin_from_index(&mut segment, &bounds, &recovered.epochs)?;
                    if !bounds.has_known_epochs {
                        recovered.epochs.truncate_to(segment.end);
                    }
                }
                self.walk(&mut segment, &bounds, &mut recovered)?
            };
            segment.synced_length = segment.length.min(synced_bytes);
            recovered.segments.push(segment);
            if is_torn {
                break;
            }
        }
        Ok(recovered)
    }

    /// Takes a segment that ends at `next` by its index files and the batches after their last entry. False if these do not tell a whole one.
    fn take_index(
        &self,
        segment: &mut Segment<D::File>,
        bounds: &Bounds,
        next: Offset,
        epochs: &Epochs,
    ) -> Result<bool, Damage> {
        let Some(Kept { mut indexed, place, latest }) = self.read_index(segment, bounds, bounds.file_length) else {
            return Ok(false);
        };
        indexed.go_on_from(place);
        let file = segment.file.clone();
        let mut walk = Walk::new(&file, place.position, bounds.file_length, HEADER_CHUNK);
        while indexed.end != next {
            let Ok(Some(header)) = walk.peek() else { break };
            if header.base_offset != indexed.end || next < header.end_offset() {
                break;
            }
            self.compare(epochs, &header)?;
            indexed.note(&header);
            walk.step(&header);
        }
        // Of headers whose checksums nobody looked at nothing stays that the index does not say as well.
        let agrees = indexed.end == next && indexed.index.latest_moment() == latest;
        if !agrees || !indexed.has_true_moments(1) {
            disagrees(segment);
            return Ok(false);
        }
        indexed.indexed_length = indexed.length;
        *segment = indexed;
        Ok(true)
    }

    /// Begins a segment with what its index files tell of the part that is known to be safe, if they can be trusted. A walk may go on there.
    fn begin_from_index(&self, segment: &mut Segment<D::File>, bounds: &Bounds, epochs: &Epochs) -> Result<(), Damage> {
        let safe_bytes = bounds.file_length.min(bounds.synced_bytes);
        let Some(Kept { mut indexed, place, latest }) = self.read_index(segment, bounds, safe_bytes) else {
            return Ok(());
        };
        // The walk will find the latest moment, too, if it is one.
        let has_true_entries = indexed.has_true_entries() && latest.is_none_or(|moment| indexed.is_true(moment));
        let mut walk = Walk::new(&segment.file, place.position, safe_bytes, HEADER_CHUNK);
        match walk.peek() {
            Ok(Some(header)) if has_true_entries && header.base_offset == place.offset => {
                self.compare(epochs, &header)?;
            }
            _ => {
                disagrees(segment);
                return Ok(());
            }
        }
        model::reached!("a start walked on from what an index of the last segment told");
        indexed.go_on_from(place);
        indexed.first_time = segment.read_first_time(bounds.file_length)?;
        indexed.indexed_length = indexed.length;
        *segment = indexed;
        Ok(())
    }

    /// What the index files tell of the first `length` bytes of a segment.
    fn read_index(&self, segment: &Segment<D::File>, bounds: &Bounds, length: u64) -> Option<Kept<D::File>> {
        let end = bounds.next_base.unwrap_or(Offset(i64::MAX));
        let Told { index, place, latest } =
            index_files::read(self.disk, self.directory, segment.base, end, length, self.config)?;
        let mut indexed = Segment::new(segment.base, segment.path.clone(), segment.file.clone(), self.config);
        (indexed.index, indexed.length) = (index, length);
        Some(Kept { indexed, place, latest })
    }

    /// Is the batch's epoch the one that the checkpoint has there?
    fn compare(&self, epochs: &Epochs, header: &BatchHeader) -> Result<(), Damage> {
        let known = epochs.epoch_at(header.base_offset.max(self.start));
        if known == Some(header.leader_epoch) || self.config.planted.has(Bug::StaleEpochCheckpoint) {
            Ok(())
        } else {
            Err(Damage::Epochs)
        }
    }

    /// Takes the whole batches of a segment's file, from what is known of it on, and says whether they end before they should. Each is
    /// verified, those that are known to be safe as well: what stays of them in an index would outlive rot.
    fn walk(
        &self,
        segment: &mut Segment<D::File>,
        bounds: &Bounds,
        recovered: &mut Recovered<D::File>,
    ) -> Result<bool, Damage> {
        let Bounds { file_length, next_base, synced_bytes, has_known_epochs } = *bounds;
        let verify = !self.config.planted.has(Bug::RecoveryTrustsTornTail);
        let mut expected = segment.end;
        let file = segment.file.clone();
        let mut walk = Walk::new(&file, segment.length, file_length, WHOLE_CHUNK);
        recovered.recovery.walked_segments += 1;
        let damage = loop {
            if next_base == Some(expected) {
                return Ok(false);
            }
            let position = walk.position();
            let header = match walk.peek() {
                Ok(Some(header)) => header,
                Ok(None) if next_base.is_some() => break format!("the file ends before offset {expected}"),
                Ok(None) if position < synced_bytes && synced_bytes != u64::MAX => {
                    break format!("the file ends before byte {synced_bytes}");
                }
                Ok(None) => return Ok(false),
                Err(WalkError::Damage(error)) => break error.to_string(),
                Err(error) => return Err(segment.refused(position, error).into()),
            };
            if header.base_offset != expected {
                break format!("the batch has offset {} in the place of {expected}", header.base_offset);
            }
            if next_base.is_some_and(|next| next < header.end_offset()) {
                break format!("the batch ends at {} and reaches into the next file", header.end_offset());
            }
            if has_known_epochs {
                self.compare(&recovered.epochs, &header)?;
            } else if recovered.epochs.last().is_some_and(|last| header.leader_epoch < last) {
                break format!("the batch at offset {expected} has an epoch before the last one");
            }
            if verify {
                let batch = walk.batch(&header).map_err(|error| segment.refused(position, error))?;
                if let Err(error) = BatchHeader::verify(batch) {
                    break error.to_string();
                }
                recovered.recovery.verified_bytes += header.size as u64;
            }
            if !has_known_epochs {
                recovered.epochs.assign(header.leader_epoch, header.base_offset);
            }
            segment.note(&header);
            walk.step(&header);
            expected = header.end_offset();
        };
        if walk.position() < synced_bytes {
            let (file, position) = (segment.path.clone(), walk.position());
            return Err(StorageError::Corrupt { file, position, reason: damage }.into());
        }
        model::reached!("a torn tail was cut");
        tracing::warn!(file = segment.path, position = walk.position(), damage, "a torn tail is cut");
        Ok(true)
    }
}

fn disagrees<F: File>(segment: &Segment<F>) {
    tracing::warn!(file = segment.path, "an index does not agree with its segment, and is made again");
}
