//! Putting a new file in the place of old ones.

use host::{Disk, File};
use model::{Bug, Offset, Planted};

use super::Source;
use super::rewrite::Rewrite;
use crate::error::Failure;
use crate::segment::Segment;
use crate::{Log, StorageError};

/// A new file that is written, and not safe yet.
#[must_use = "it takes no place before it has run"]
pub struct PendingSwap<D: Disk> {
    swap: Swap<D::File>,
    failure: Failure,
    is_planted: bool,
}

/// A new file that is safe, for [`Log::swap`].
#[must_use = "the log must hear of it"]
pub struct Swap<F: File> {
    segment: Segment<F>,
    temporary: String,
    /// Base and length of the files that it stands for.
    replaced: Vec<(Offset, u64)>,
    truncations: u64,
}

pub(super) fn pending<D: Disk>(
    rewrite: Rewrite<D::File>,
    sources: &[Source<D::File>],
    failure: Failure,
    truncations: u64,
) -> PendingSwap<D> {
    let (segment, temporary, group) = rewrite.into_parts();
    let replaced = sources[group].iter().map(|source| (source.base, source.length)).collect();
    PendingSwap { swap: Swap { segment, temporary, replaced, truncations }, failure, is_planted: false }
}

impl<D: Disk> PendingSwap<D> {
    pub(super) fn planted(self, planted: Planted) -> PendingSwap<D> {
        PendingSwap { is_planted: planted.has(Bug::SwapUnsynced), ..self }
    }

    /// Waits for the device.
    ///
    /// # Errors
    /// `Failed`, for good.
    pub async fn run(self) -> Result<Swap<D::File>, StorageError> {
        self.failure.check()?;
        let mut swap = self.swap;
        if !self.is_planted {
            swap.segment.file.sync().await.map_err(|error| self.failure.note(&swap.temporary, &error))?;
        }
        swap.segment.synced_length = swap.segment.length;
        Ok(swap)
    }
}

impl<F: File> Swap<F> {
    /// The offsets that the new file has.
    pub fn offsets(&self) -> (Offset, Offset) {
        (self.segment.base, self.segment.end)
    }
}

impl<D: Disk> Log<D> {
    /// Puts a new file in the place of those that it was made from. False if the log has changed there meanwhile: nothing is then
    /// done, and the compaction is over.
    ///
    /// # Errors
    /// Those of the disk, final.
    pub fn swap(&mut self, swap: Swap<D::File>) -> Result<bool, StorageError> {
        self.may_change()?;
        let Swap { segment, temporary, replaced, truncations } = swap;
        let first = self.segments.partition_point(|known| known.base < segment.base);
        let range = first..first + replaced.len();
        let is_as_read = self.segments.get(range.clone()).is_some_and(|segments| {
            segments.iter().zip(&replaced).all(|(known, &(base, length))| (known.base, known.length) == (base, length))
        });
        if truncations != self.truncations || !is_as_read || self.segments.len() == range.end {
            model::reached!("a log had changed when its compacted file was to take its place");
            self.remove(&temporary)?;
            return Ok(false);
        }
        assert!(segment.end == self.segments[range.end].base, "what was compacted ends where it did");
        self.remove_indexes_of(range.clone())?;
        self.directory_changes += 1;
        self.rewrites += 1;
        let path = segment.path.clone();
        self.disk.rename(&temporary, &path).map_err(|error| self.failure.note(&path, &error))?;
        // Oldest first: the new file ends where the first begins that is still there.
        let old: Vec<Segment<D::File>> = self.segments.splice(range, [segment]).collect();
        for gone in &old[1..] {
            self.remove(&gone.path)?;
        }
        self.assert_invariants();
        Ok(true)
    }
}
