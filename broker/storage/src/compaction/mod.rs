//! Compaction: of the records of one key, the last one stays (`cleanup.policy=compact`).
//!
//! ```text
//!   start            first dirty                     bound            end
//!     │  compacted before │  read for its keys          │  not touched  │
//!     └──────── rewritten, oldest file first ───────────┘
//! ```
//! Files that are full, synced below the recovery point and wholly committed are read, and rewritten into new files, several small ones
//! into one. The log serves and is written meanwhile: only [`Log::swap`] needs its lock. Offsets never change, and no gap appears:
//! see `placeholder`.
//!
//! Fault model. A new file is synced before it takes, in one rename, the place of the first file that it stands for; the others are
//! then removed, oldest first. It has a batch border wherever one of those began. So after a crash or a loss of power at any
//! point a start finds either what was there, or what is new up to the next file that was not removed, as after a truncation. Which
//! part was compacted is known only once all of it was, and in the same directory later than the renames: `cleaner-offset-checkpoint`.
//!
//! What stays although its key goes on: the last batches of each producer, as empty ones, since they tell its sequence; control
//! batches, and those of transactions, whose outcome nothing here knows.

mod batch;
mod checkpoint;
mod due;
mod keys;
mod placeholder;
mod producers;
mod rewrite;
mod swap;

use std::collections::VecDeque;
use std::ops::Range;

use host::{Disk, File};
use model::{BatchHeader, Offset, Timestamp};

pub use checkpoint::KeptCompaction;
pub(crate) use checkpoint::{FILE_NAME as CHECKPOINT, read as read_checkpoint};
pub use due::Due;
pub use placeholder::fit_to_end;
pub use rewrite::RewrittenBatch;
pub(crate) use rewrite::SUFFIX as UNFINISHED;
pub use swap::{PendingSwap, Swap};

use self::keys::Keys;
use self::producers::LastBatches;
use self::rewrite::Rewrite;
use crate::error::Failure;
use crate::records::plain_records;
use crate::segment::Segment;
use crate::walk::{HEADER_CHUNK, WHOLE_CHUNK, Walk, refused};
use crate::{Log, LogConfig, StorageError};

/// Bytes that one step reads at least, if there are so many.
const STEP_BYTES: u64 = 1 << 20;

/// A file that a compaction reads.
struct Source<F> {
    base: Offset,
    end: Offset,
    path: String,
    file: F,
    length: u64,
    index_bytes: u64,
}

/// A compaction of one log, done step by step and outside its lock. Dropping it leaves a file that the next one, or the next start,
/// removes.
pub struct Compaction<D: Disk> {
    disk: D,
    directory: String,
    config: LogConfig,
    now: Timestamp,
    sources: Vec<Source<D::File>>,
    /// What was there before has been compacted.
    first_dirty: Offset,
    /// Where the part ends whose keys are known.
    end: Offset,
    keys: Keys,
    last_batches: LastBatches,
    /// Which source is being read for its keys, and from which byte on. None once all are known.
    reading: Option<(usize, u64)>,
    /// Sources that are to become one file each.
    groups: VecDeque<Range<usize>>,
    rewrite: Option<Box<Rewrite<D::File>>>,
    failure: Failure,
    truncations: u64,
}

/// What one step did.
pub enum Step<D: Disk> {
    /// It read so many bytes, and these batches will be others.
    Worked { bytes: u64, rewritten: Vec<RewrittenBatch> },
    /// A new file is written: [`PendingSwap::run`], then [`Log::swap`].
    Ready(Box<PendingSwap<D>>),
    /// All is done: [`Compaction::keep`], then [`Log::finish_compaction`].
    Done,
}

impl<D: Disk> Log<D> {
    /// Begins to compact what may be compacted: whole files below `below`, which lies at or below the high watermark. `now` is
    /// wall-clock time; keys take at most about `key_bytes_max` of memory. None if nothing may be.
    pub fn begin_compaction(&self, now: Timestamp, below: Offset, key_bytes_max: u64) -> Option<Compaction<D>> {
        let segments = self.compactable(now, below);
        let end = segments.last()?.end;
        let first_dirty = self.first_dirty();
        (first_dirty < end && self.failure.check().is_ok()).then(|| Compaction {
            disk: self.disk.clone(),
            directory: self.directory.clone(),
            config: self.config,
            now,
            sources: segments.iter().map(Source::of).collect(),
            first_dirty,
            end,
            keys: Keys::new(key_bytes_max),
            last_batches: LastBatches::default(),
            reading: Some((0, 0)),
            groups: VecDeque::new(),
            rewrite: None,
            failure: self.failure.clone(),
            truncations: self.truncations,
        })
    }

    /// Where the part begins that was never compacted.
    fn first_dirty(&self) -> Offset {
        self.compacted.unwrap_or(Offset::ZERO).max(self.start)
    }
}

impl<F: File> Source<F> {
    fn of(segment: &Segment<F>) -> Source<F> {
        Source {
            base: segment.base,
            end: segment.end,
            path: segment.path.clone(),
            file: segment.file.clone(),
            length: segment.length,
            index_bytes: segment.index.bytes(),
        }
    }
}

impl<D: Disk> Compaction<D> {
    /// Does a little. Never waits.
    ///
    /// # Errors
    /// `Uncompactable` if records cannot be read that are as they were written; `Full` if there is no room for the new file; others
    /// are final. After any, this compaction is over.
    pub fn step(&mut self) -> Result<Step<D>, StorageError> {
        self.failure.check()?;
        if let Some((source, position)) = self.reading {
            let bytes = self.read_keys(source, position)?;
            return Ok(Step::Worked { bytes, rewritten: Vec::new() });
        }
        let mut rewrite = match self.rewrite.take() {
            Some(rewrite) => rewrite,
            None => {
                let Some(group) = self.groups.pop_front() else { return Ok(Step::Done) };
                let begun = Rewrite::begin(&self.disk, &self.sources, group, &self.config);
                Box::new(begun.map_err(|(path, error)| self.write_failed(&path, &error))?)
            }
        };
        let rules = batch::Rules {
            keys: &self.keys,
            now: self.now,
            delete_retention_ms: i64::try_from(self.config.delete_retention.as_millis()).unwrap_or(i64::MAX),
            planted: self.config.planted,
        };
        let (bytes, is_done) = rewrite.advance(&self.sources, self.end, &rules, &self.last_batches)?;
        rewrite.flush().map_err(|error| self.write_failed(rewrite.temporary(), &error))?;
        let rewritten = rewrite.take_rewritten();
        if !is_done || !rewritten.is_empty() {
            self.rewrite = Some(rewrite);
            return Ok(Step::Worked { bytes, rewritten });
        }
        if !rewrite.is_worth_it() {
            let path = rewrite.temporary();
            self.disk.remove(path).map_err(|error| self.failure.note(path, &error))?;
            return Ok(Step::Worked { bytes, rewritten });
        }
        let pending = swap::pending(*rewrite, &self.sources, self.failure.clone(), self.truncations);
        Ok(Step::Ready(Box::new(pending.planted(self.config.planted))))
    }

    /// The offset up to which the log is compacted when all is done.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// By when: wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Reads on from a place, and says how much it read.
    fn read_keys(&mut self, source: usize, from: u64) -> Result<u64, StorageError> {
        let Source { path, file, length, end, .. } = &self.sources[source];
        let is_dirty = self.first_dirty < *end;
        let mut walk = Walk::new(file, from, *length, if is_dirty { WHOLE_CHUNK } else { HEADER_CHUNK });
        while let Some(header) = walk.peek().map_err(|error| refused(path, walk.position(), error))? {
            let position = walk.position();
            if STEP_BYTES <= position - from {
                self.reading = Some((source, position));
                return Ok(position - from);
            }
            if self.first_dirty <= header.base_offset && is_open_to_compaction(&header) {
                let batch = walk.batch(&header).map_err(|error| refused(path, position, error))?;
                verified(path, position, batch)?;
                let unreadable = |reason| StorageError::Uncompactable { file: path.clone(), position, reason };
                let plain = plain_records(&header, batch).map_err(unreadable)?;
                if !self.keys.take(batch::keys_of(&header, &plain).map_err(unreadable)?) {
                    model::reached!("the keys of a log did not fit into memory at once");
                    self.end = header.base_offset;
                    self.begin_groups();
                    return Ok(position - from);
                }
            }
            self.last_batches.note(&header);
            walk.step(&header);
        }
        let read = walk.position() - from;
        if source + 1 == self.sources.len() {
            self.begin_groups();
        } else {
            self.reading = Some((source + 1, 0));
        }
        Ok(read)
    }

    /// All keys are known: from now on, files are rewritten.
    fn begin_groups(&mut self) {
        let end = self.end;
        self.sources.retain(|source| source.base < end);
        self.reading = None;
        self.groups = groups(&self.sources, &self.config).into();
    }

    /// A new file could not be written: final, unless only the disk was full.
    fn write_failed(&self, path: &str, error: &std::io::Error) -> StorageError {
        match StorageError::of(path, error) {
            full @ StorageError::Full { .. } => {
                // What there is of it takes the room that others need.
                let _is_left_for_the_next_start = self.disk.remove(path);
                full
            }
            _ => self.failure.note(path, error),
        }
    }
}

/// Control records and those of transactions stay: what becomes of them is not known here.
fn is_open_to_compaction(header: &BatchHeader) -> bool {
    !header.is_control() && !header.is_transactional()
}

/// What is read is checked before anybody goes by it.
fn verified(path: &str, position: u64, batch: &[u8]) -> Result<(), StorageError> {
    BatchHeader::verify(batch).map_err(|error| refused(path, position, crate::walk::WalkError::Damage(error)))?;
    Ok(())
}

/// Which files become one: neighbours that together are no larger than one may be.
fn groups<F>(sources: &[Source<F>], config: &LogConfig) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let joined = groups.last_mut().filter(|group| {
            let all = &sources[group.start..=at];
            let length: u64 = all.iter().map(|source| source.length).sum();
            let index_bytes: u64 = all.iter().map(|source| source.index_bytes).sum();
            let most = i64::from(i32::MAX);
            length <= config.segment_bytes
                && length as i64 <= most
                && index_bytes <= config.segment_index_bytes
                && source.end.0 - all[0].base.0 <= most
        });
        match joined {
            Some(group) => group.end = at + 1,
            None => groups.push(at..at + 1),
        }
    }
    groups
}
