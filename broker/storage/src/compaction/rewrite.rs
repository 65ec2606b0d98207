//! Writing one new file for a group of old ones.

use std::io;
use std::ops::Range;

use host::{Disk, File};
use model::{BatchHeader, LeaderEpoch, Offset};

use super::batch::{Compacted, Rules, compact};
use super::placeholder::Placeholder;
use super::producers::LastBatches;
use super::{STEP_BYTES, Source, is_open_to_compaction, verified};
use crate::segment::Segment;
use crate::walk::{WHOLE_CHUNK, Walk, refused};
use crate::{LogConfig, StorageError};

/// What the name of a file ends with that is not in its place yet.
pub(crate) const SUFFIX: &str = ".cleaned";

/// A batch that is another one in the new file: some records are gone, or all, or it has a delete horizon now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrittenBatch {
    pub base: Offset,
    pub end: Offset,
    pub epoch: LeaderEpoch,
    /// Of the new batch; none of one without records.
    pub crc: Option<u32>,
    /// The offsets of the records that are left.
    pub kept: Vec<Offset>,
}

pub(super) struct Rewrite<F: File> {
    /// Sources that become one file.
    group: Range<usize>,
    /// Which one is read, and from where.
    source: usize,
    position: u64,
    /// The new file, as the log will have it.
    segment: Segment<F>,
    temporary: String,
    /// What is not written yet; the segment counts it.
    buffer: Vec<u8>,
    /// Goes in before whatever comes next.
    placeholder: Option<Placeholder>,
    is_changed: bool,
    rewritten: Vec<RewrittenBatch>,
}

impl<F: File> Rewrite<F> {
    /// Makes the file. On an error its path comes too.
    pub(super) fn begin<D: Disk<File = F>>(
        disk: &D,
        sources: &[Source<F>],
        group: Range<usize>,
        config: &LogConfig,
    ) -> Result<Rewrite<F>, (String, io::Error)> {
        let Source { base, path, .. } = &sources[group.start];
        let temporary = format!("{path}{SUFFIX}");
        let made = match disk.create(&temporary) {
            // One that was given up left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&temporary).and_then(|()| disk.create(&temporary))
            }
            made => made,
        };
        let file = match made {
            Ok(file) => file,
            Err(error) => return Err((temporary, error)),
        };
        Ok(Rewrite {
            source: group.start,
            group,
            position: 0,
            segment: Segment::new(*base, path.clone(), file, config),
            temporary,
            buffer: Vec::new(),
            placeholder: None,
            is_changed: false,
            rewritten: Vec::new(),
        })
    }

    /// Reads on, and says how much it read and whether that was all. Batches at or after `end` stay as they are.
    pub(super) fn advance(
        &mut self,
        sources: &[Source<F>],
        end: Offset,
        rules: &Rules<'_>,
        last_batches: &LastBatches,
    ) -> Result<(u64, bool), StorageError> {
        if self.source == self.group.end {
            return Ok((0, true));
        }
        let Source { path, file, length, .. } = &sources[self.source];
        let from = self.position;
        let mut walk = Walk::new(file, from, *length, WHOLE_CHUNK);
        while let Some(header) = walk.peek().map_err(|error| refused(path, walk.position(), error))? {
            let position = walk.position();
            if STEP_BYTES <= position - from {
                self.position = position;
                return Ok((position - from, false));
            }
            let batch = walk.batch(&header).map_err(|error| refused(path, position, error))?;
            verified(path, position, batch)?;
            // Offsets are not under the checksum.
            let next = self.next_offset();
            if header.base_offset != next {
                let reason = format!("the batch has offset {} in the place of {next}", header.base_offset);
                return Err(StorageError::Corrupt { file: path.clone(), position, reason });
            }
            if header.base_offset < end && is_open_to_compaction(&header) {
                let unreadable = |reason| StorageError::Uncompactable { file: path.clone(), position, reason };
                self.take(&header, batch, rules, last_batches).map_err(unreadable)?;
            } else {
                self.put(&header, batch);
            }
            walk.step(&header);
        }
        let read = walk.position() - from;
        // The new file has a border wherever an old one begins.
        self.put_placeholder();
        (self.source, self.position) = (self.source + 1, 0);
        Ok((read, self.source == self.group.end))
    }

    fn take(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        rules: &Rules<'_>,
        last_batches: &LastBatches,
    ) -> Result<(), String> {
        let is_of_producer = last_batches.holds(header);
        if header.record_count == 0 && is_of_producer {
            self.put(header, batch);
            return Ok(());
        }
        let compacted = if header.record_count == 0 { Compacted::Emptied } else { compact(header, batch, rules)? };
        match compacted {
            Compacted::AsItWas => self.put(header, batch),
            Compacted::Rewritten { bytes, kept } => self.put_changed(header, &bytes, kept),
            Compacted::Emptied if is_of_producer => {
                model::reached!("an empty batch was kept for its producer's sequence");
                self.put_changed(header, &header.emptied().encode(&[]), Vec::new());
            }
            Compacted::Emptied => self.hold(header),
        }
        Ok(())
    }

    /// Lets a placeholder stand for a batch.
    fn hold(&mut self, header: &BatchHeader) {
        let own = Placeholder::of(header);
        self.is_changed |= !header.is_placeholder();
        self.placeholder = match self.placeholder.take() {
            None => Some(own),
            Some(before) => match before.joined(&own) {
                Some(joined) => {
                    self.is_changed = true;
                    Some(joined)
                }
                None => {
                    self.placeholder = Some(before);
                    self.put_placeholder();
                    Some(own)
                }
            },
        };
    }

    /// Where the next batch begins, if the log has no gap.
    fn next_offset(&self) -> Offset {
        self.placeholder.as_ref().map_or(self.segment.end, |held| held.end)
    }

    fn put_placeholder(&mut self) {
        let Some(placeholder) = self.placeholder.take() else { return };
        let Placeholder { base, end, epoch, .. } = placeholder;
        self.rewritten.push(RewrittenBatch { base, end, epoch, crc: None, kept: Vec::new() });
        self.append(&placeholder.encode());
    }

    fn put(&mut self, header: &BatchHeader, batch: &[u8]) {
        self.put_placeholder();
        assert!(header.base_offset == self.segment.end, "batches follow each other without a gap");
        self.append(batch);
    }

    fn put_changed(&mut self, header: &BatchHeader, bytes: &[u8], kept: Vec<Offset>) {
        self.put_placeholder();
        self.is_changed = true;
        let new = self.append(bytes);
        assert!((new.base_offset, new.end_offset()) == (header.base_offset, header.end_offset()), "offsets stay");
        let crc = Some(new.crc).filter(|_| !kept.is_empty());
        self.rewritten.push(RewrittenBatch {
            base: new.base_offset,
            end: new.end_offset(),
            epoch: new.leader_epoch,
            crc,
            kept,
        });
    }

    fn append(&mut self, batch: &[u8]) -> BatchHeader {
        let Ok(header) = BatchHeader::parse(batch) else { unreachable!("it was read, or made here") };
        self.buffer.extend_from_slice(batch);
        self.segment.note(&header);
        header
    }

    /// What was rewritten since this was last asked.
    pub(super) fn take_rewritten(&mut self) -> Vec<RewrittenBatch> {
        std::mem::take(&mut self.rewritten)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let position = self.segment.length - self.buffer.len() as u64;
        self.segment.file.write_at(position, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn temporary(&self) -> &str {
        &self.temporary
    }

    /// True if the new file is not the same as the old one.
    pub(super) fn is_worth_it(&self) -> bool {
        self.is_changed || 1 < self.group.len()
    }

    /// The new file, the name that it has, and the sources that it stands for.
    pub(super) fn into_parts(self) -> (Segment<F>, String, Range<usize>) {
        (self.segment, self.temporary, self.group)
    }
}
