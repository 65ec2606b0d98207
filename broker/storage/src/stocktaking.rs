//! Takes stock of a log as its files lie on a disk: which batches they hold, and what in them contradicts the rest. Nothing is opened
//! as a log, cut or mended: for a trial, which asks at its end whether disks hold what logs say.
//!
//! A file may say less than the batches do, since it lags behind (see the fault models of each), and never anything else:
//! ```text
//! segments          batches in order, each whole and with its checksum, up to where the next file begins
//! indexes           each entry is of a batch that begins there; none is of a segment that is gone
//! leader epochs     below the recovery point, each batch has the epoch that the checkpoint says
//! producers         what the batches before it tell, on top of the snapshot before; unless compaction took some of them
//! recovery point, log start, compacted    within what the segments hold
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use host::{Disk, File};
use model::{BatchHeader, Epochs, LeaderEpoch, Offset, ProducerId, Producers};

use crate::audit::Waiting;
use crate::index::{Moment, Place};
use crate::inspect::{Content, InspectError, LogFile, content};
use crate::recovery_point::RecoveryPoint;
use crate::walk::{WHOLE_CHUNK, Walk, WalkError};
use crate::{anew, checkpoint, epoch_checkpoint, index_files, log_start, producer_snapshot, recovery, recovery_point};

/// What the files of one log hold.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub start: Offset,
    pub end: Offset,
    /// In their order. The first ones may lie below the start, and one may span it.
    pub batches: Vec<BatchHeader>,
    /// In the order in which they were found.
    pub flaws: Vec<Flaw>,
}

/// Something in a file that contradicts the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub file: String,
    /// In bytes, of a segment; zero of any other file.
    pub position: u64,
    pub reason: String,
    /// Of which producer a snapshot tells something else. One that was forgotten is in none.
    pub producer: Option<ProducerId>,
}

/// Takes stock of the log in `directory`. None while it is being given up, or put behind a start that lies beyond its end.
///
/// # Errors
/// Those of the disk.
pub fn take_stock<D: Disk>(disk: &D, directory: &str) -> io::Result<Option<Stock>> {
    let names = disk.list(directory)?;
    if names.iter().any(|name| name == anew::FILE_NAME) {
        return Ok(None);
    }
    let mut taking = Taking::new(directory);
    for name in &names {
        match LogFile::of(name) {
            None | Some(LogFile::Snapshot(_)) => {}
            Some(LogFile::Segment(base)) => taking.bases.push(base),
            Some(file) => {
                let path = format!("{directory}/{name}");
                let bytes = checkpoint::read_file(disk, &path)?.unwrap_or_default();
                taking.read(path, file, &bytes);
            }
        }
    }
    taking.judge_names();
    for (number, &base) in taking.bases.clone().iter().enumerate() {
        let file = disk.open(&recovery::segment_path(directory, base))?;
        taking.walk(base, taking.bases.get(number + 1).copied(), &file)?;
    }
    taking.judge_ends();
    Ok((taking.stock.start <= taking.stock.end).then_some(taking.stock))
}

struct Taking<'a> {
    directory: &'a str,
    stock: Stock,
    /// Where segments begin, in order.
    bases: Vec<Offset>,
    places: BTreeMap<Offset, Vec<Place>>,
    moments: BTreeMap<Offset, Vec<Moment>>,
    snapshots: BTreeMap<Offset, Producers>,
    kept_epochs: Option<Epochs>,
    point: Option<RecoveryPoint>,
    compacted: Option<Offset>,
    last_epoch: LeaderEpoch,
    /// What the batches so far tell; none where it takes what is not there any more.
    producers: Option<Producers>,
}

impl<'a> Taking<'a> {
    fn new(directory: &'a str) -> Taking<'a> {
        Taking {
            directory,
            stock: Stock::default(),
            bases: Vec::new(),
            places: BTreeMap::new(),
            moments: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            kept_epochs: None,
            point: None,
            compacted: None,
            last_epoch: LeaderEpoch(i32::MIN),
            producers: None,
        }
    }

    fn flaw(&mut self, file: String, position: u64, reason: String) {
        self.stock.flaws.push(Flaw { file, position, reason, producer: None });
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    fn read(&mut self, path: String, file: LogFile, bytes: &[u8]) {
        match (content(file, bytes), file) {
            (Err(InspectError::Damaged { position, reason }), _) => self.flaw(path, position, reason),
            (Err(InspectError::Unreadable { position, error }), _) => self.flaw(path, position, error.to_string()),
            (Ok(None), _) => {}
            (Ok(Some(content)), file) => match (content, file) {
                (Content::OffsetIndex(places), LogFile::OffsetIndex(base)) => {
                    let places = places.into_iter().map(|(offset, position)| Place { offset, position });
                    self.places.insert(base, places.collect());
                }
                (Content::TimeIndex(moments), LogFile::TimeIndex(base)) => {
                    let moments = moments.into_iter().map(|(latest, offset)| Moment { latest, offset });
                    self.moments.insert(base, moments.collect());
                }
                (Content::Producers(producers), LogFile::Producers(offset)) => {
                    self.snapshots.insert(offset, producers);
                }
                (Content::LeaderEpochs(epochs), _) => self.kept_epochs = Some(epochs),
                (Content::RecoveryPoint(segment, position), _) => {
                    self.point = Some(RecoveryPoint { segment, position });
                }
                (Content::LogStart(start), _) => self.stock.start = start,
                (Content::Compacted(compacted), _) => self.compacted = Some(compacted),
                (Content::OffsetIndex(_) | Content::TimeIndex(_) | Content::Producers(_), other) => {
                    unreachable!("{other:?} is read as what it is")
                }
            },
        }
    }

    /// What the names of files must agree on, before any segment is read.
    fn judge_names(&mut self) {
        // What lies wholly below the start is about to go, and may be cut within a batch.
        let dead = self.bases.partition_point(|&base| base <= self.stock.start).saturating_sub(1);
        for base in self.bases.drain(..dead) {
            self.places.remove(&base);
            self.moments.remove(&base);
        }
        let first = self.bases.first().copied();
        self.stock.end = first.unwrap_or(self.stock.start);
        match first {
            Some(first) if self.stock.start < first => {
                let reason = format!("the log begins at {}, and its first segment at {first}", self.stock.start);
                self.flaw(self.path(log_start::FILE_NAME), 0, reason);
            }
            Some(first) if first != Offset::ZERO => self.snapshots.retain(|offset, _| first <= *offset),
            Some(_) => self.producers = Some(Producers::default()),
            None => {}
        }
        let indexed: BTreeSet<Offset> = self.places.keys().chain(self.moments.keys()).copied().collect();
        let orphans = indexed.into_iter().filter(|base| self.bases.binary_search(base).is_err());
        for base in orphans.collect::<Vec<_>>() {
            let path = index_files::index_path(self.directory, base);
            self.flaw(path, 0, "it is the index of a segment that is not there".into());
        }
        // What retention took may have had it.
        if let Some(point) = self.point
            && first.is_none_or(|first| first <= point.segment)
            && !self.bases.contains(&point.segment)
        {
            let reason = format!("it names the segment at {}, which is not there", point.segment);
            self.flaw(self.path(recovery_point::FILE_NAME), 0, reason);
        }
    }

    /// Takes the batches of the segment at `base`, which ends where the next one begins.
    fn walk<F: File>(&mut self, base: Offset, next: Option<Offset>, file: &F) -> io::Result<()> {
        let path = recovery::segment_path(self.directory, base);
        let length = file.length()?;
        let synced_bytes = self.point.map_or(0, |point| point.synced_bytes(base));
        if synced_bytes != u64::MAX && length < synced_bytes {
            let reason = format!("the segment at {base} is said to have {synced_bytes} bytes, and has {length}");
            self.flaw(self.path(recovery_point::FILE_NAME), 0, reason);
        }
        // What a truncation left beyond the next segment's base is no part of the log.
        let is_within = |offset: &Offset| next.is_none_or(|next| *offset < next);
        let mut places = self.places.remove(&base).unwrap_or_default();
        let mut moments = self.moments.remove(&base).unwrap_or_default();
        places.retain(|place| is_within(&place.offset));
        moments.retain(|moment| is_within(&moment.offset));
        let mut waiting = Waiting::new(places, moments);
        let mut walk = Walk::new(file, 0, length, WHOLE_CHUNK);
        self.stock.end = base;
        while next != Some(self.stock.end) {
            let position = walk.position();
            let expected = self.stock.end;
            let header = match walk.peek() {
                Ok(Some(header)) => header,
                Ok(None) => {
                    if let Some(next) = next {
                        let reason = format!("it ends at offset {expected}, and the next one begins at {next}");
                        self.flaw(path.clone(), position, reason);
                    }
                    break;
                }
                Err(WalkError::Read(error)) => return Err(error),
                Err(WalkError::Damage(error)) => {
                    self.flaw(path.clone(), position, error.to_string());
                    break;
                }
            };
            let reason = match walk.batch(&header) {
                Err(WalkError::Read(error)) => return Err(error),
                Err(WalkError::Damage(error)) => Some(error.to_string()),
                Ok(batch) => BatchHeader::verify(batch).err().map(|error| error.to_string()),
            };
            if let Some(reason) = reason.or_else(|| self.misfit(&header, next)) {
                self.flaw(path.clone(), position, reason);
                break;
            }
            if position + header.size as u64 <= synced_bytes {
                self.compare_epoch(&header);
            }
            waiting.note(&header, position);
            self.note(&header);
            walk.step(&header);
        }
        self.judge_index(base, waiting.left_over());
        Ok(())
    }

    /// Why a batch may not come next, if it may not.
    fn misfit(&self, header: &BatchHeader, next: Option<Offset>) -> Option<String> {
        let (expected, end) = (self.stock.end, header.end_offset());
        if header.base_offset != expected {
            return Some(format!("the batch has offset {} in the place of {expected}", header.base_offset));
        }
        if header.leader_epoch < self.last_epoch {
            return Some(format!("the batch has epoch {} after {}", header.leader_epoch, self.last_epoch));
        }
        let next = next.filter(|next| *next < end)?;
        Some(format!("the batch ends at {end}, and the next segment begins at {next}"))
    }

    fn compare_epoch(&mut self, header: &BatchHeader) {
        let Some(kept) = &self.kept_epochs else { return };
        let at = header.base_offset.max(self.stock.start);
        let said = kept.epoch_at(at);
        if self.stock.start < header.end_offset() && said != Some(header.leader_epoch) {
            let said = said.map_or("none".into(), |epoch| epoch.to_string());
            let reason = format!("the batch at {at} has epoch {}, and the checkpoint says {said}", header.leader_epoch);
            self.flaw(self.path(epoch_checkpoint::FILE_NAME), 0, reason);
            // Once is enough.
            self.kept_epochs = None;
        }
    }

    fn note(&mut self, header: &BatchHeader) {
        self.compare_producers_before(header.base_offset.plus(1));
        if header.is_placeholder() {
            // It may stand for batches that told something, which whoever saw them knows; a snapshot from before it was made may lie within.
            self.producers = None;
            self.snapshots = self.snapshots.split_off(&header.end_offset());
        }
        self.compare_producers_before(header.end_offset());
        if let (Some(producers), Some(stamp)) = (&mut self.producers, header.stamp()) {
            producers.note(&stamp, header.base_offset, header.end_offset());
        }
        self.last_epoch = header.leader_epoch;
        self.stock.end = header.end_offset();
        self.stock.batches.push(*header);
    }

    /// Each snapshot before `end` against what the batches told until there. The first of them is believed, if they cannot tell.
    fn compare_producers_before(&mut self, end: Offset) {
        while let Some(entry) = self.snapshots.first_entry().filter(|entry| *entry.key() < end) {
            let (offset, kept) = entry.remove_entry();
            let Some(told) = &self.producers else {
                self.producers = Some(kept);
                continue;
            };
            let of = |producers: &Producers| -> BTreeMap<_, _> {
                producers.iter().map(|(id, known)| (id, (known.epoch, known.batches.clone()))).collect()
            };
            let (told, kept) = (of(told), of(&kept));
            let ids: BTreeSet<ProducerId> = told.keys().chain(kept.keys()).copied().collect();
            for id in ids.into_iter().filter(|id| told.get(id) != kept.get(id)) {
                let file = producer_snapshot::path(self.directory, offset);
                let reason = format!("of producer {id} it has {:?}, the batches {:?}", kept.get(&id), told.get(&id));
                self.stock.flaws.push(Flaw { file, position: 0, reason, producer: Some(id) });
            }
        }
    }

    fn judge_index(&mut self, base: Offset, left_over: (Option<Place>, Option<Moment>)) {
        let (place, moment) = left_over;
        if let Some(Place { offset, position }) = place {
            let reason = format!("no batch at offset {offset} begins at byte {position}");
            self.flaw(index_files::index_path(self.directory, base), 0, reason);
        }
        if let Some(Moment { latest, offset }) = moment {
            let reason = format!("the batch at offset {offset} is not the first that has timestamp {}", latest.0);
            self.flaw(index_files::time_index_path(self.directory, base), 0, reason);
        }
    }

    /// What must lie within the log, once its end is known.
    fn judge_ends(&mut self) {
        let end = self.stock.end;
        self.compare_producers_before(end.plus(1));
        for offset in std::mem::take(&mut self.snapshots).into_keys() {
            let path = producer_snapshot::path(self.directory, offset);
            self.flaw(path, 0, format!("it tells of batches up to {offset}, and the log ends at {end}"));
        }
        if let Some(compacted) = self.compacted.filter(|compacted| end < *compacted) {
            let reason = format!("it says {compacted}, and the log ends at {end}");
            self.flaw(self.path(crate::compaction::CHECKPOINT), 0, reason);
        }
    }
}
