//! Compares what a log knows of its batches, from files or as they came, with the batches themselves.

use std::iter::Peekable;
use std::vec::IntoIter;

use host::Disk;
use model::{BatchHeader, Epochs, Timestamp};

use crate::index::{Moment, Place};
use crate::segment::Segment;
use crate::walk::{WHOLE_CHUNK, Walk};
use crate::{Log, StorageError};

/// The entries of a segment's indexes, each of which waits for its batch.
pub(crate) struct Waiting {
    places: Peekable<IntoIter<Place>>,
    moments: Peekable<IntoIter<Moment>>,
    /// Of the batches that came.
    latest: Timestamp,
}

impl Waiting {
    pub(crate) fn new(places: Vec<Place>, moments: Vec<Moment>) -> Waiting {
        let latest = Timestamp(i64::MIN);
        Waiting { places: places.into_iter().peekable(), moments: moments.into_iter().peekable(), latest }
    }

    /// Takes the next batch of the segment.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64) {
        self.places.next_if_eq(&Place { offset: header.base_offset, position });
        if self.latest < header.max_timestamp {
            self.latest = header.max_timestamp;
            self.moments.next_if_eq(&Moment { latest: self.latest, offset: header.base_offset });
        }
    }

    /// Each kind is in order, so what no batch matched is left over: the first of either.
    pub(crate) fn left_over(&mut self) -> (Option<Place>, Option<Moment>) {
        (self.places.next(), self.moments.next())
    }
}

impl<D: Disk> Log<D> {
    /// Walks every batch: is each whole, and do the indexes and the leader epochs say the same? A look-up never needs this, a trial does.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn indexes_equal_a_scan(&self) -> Result<bool, StorageError> {
        self.failure.check()?;
        let mut epochs = Epochs::default();
        for segment in &self.segments {
            if !index_equals_a_scan(segment, &mut epochs)? {
                return Ok(false);
            }
        }
        epochs.start_at(self.start);
        epochs.truncate_to(self.end());
        Ok(epochs == self.epochs)
    }
}

fn index_equals_a_scan<F: host::File>(segment: &Segment<F>, epochs: &mut Epochs) -> Result<bool, StorageError> {
    let mut waiting = Waiting::new(segment.index.places().to_vec(), segment.index.moments().collect());
    let mut walk = Walk::new(&segment.file, 0, segment.length, WHOLE_CHUNK);
    while let Some(header) = walk.peek().map_err(|error| segment.refused(walk.position(), error))? {
        let position = walk.position();
        let batch = walk.batch(&header).map_err(|error| segment.refused(position, error))?;
        if BatchHeader::verify(batch).is_err() {
            return Ok(false);
        }
        waiting.note(&header, position);
        epochs.assign(header.leader_epoch, header.base_offset);
        walk.step(&header);
    }
    Ok(waiting.left_over() == (None, None) && waiting.latest == segment.index.latest())
}
