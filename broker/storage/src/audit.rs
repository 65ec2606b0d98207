//! Compares what a log knows of its batches, from files or as they came, with the batches themselves.

use host::Disk;
use model::{BatchHeader, Epochs, Timestamp};

use crate::index::{Moment, Place};
use crate::segment::Segment;
use crate::walk::{WHOLE_CHUNK, Walk};
use crate::{Log, StorageError};

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
    let mut places = segment.index.places().iter().peekable();
    let mut moments = segment.index.moments().peekable();
    let mut latest = Timestamp(i64::MIN);
    let mut walk = Walk::new(&segment.file, 0, segment.length, WHOLE_CHUNK);
    while let Some(header) = walk.peek().map_err(|error| segment.refused(walk.position(), error))? {
        let position = walk.position();
        let batch = walk.batch(&header).map_err(|error| segment.refused(position, error))?;
        if BatchHeader::verify(batch).is_err() {
            return Ok(false);
        }
        places.next_if_eq(&&Place { offset: header.base_offset, position });
        if latest < header.max_timestamp {
            latest = header.max_timestamp;
            moments.next_if_eq(&Moment { latest, offset: header.base_offset });
        }
        epochs.assign(header.leader_epoch, header.base_offset);
        walk.step(&header);
    }
    // Each is in order, so what no batch matched is left over.
    Ok(places.next().is_none() && moments.next().is_none() && latest == segment.index.latest())
}
