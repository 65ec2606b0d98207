//! Where batches stand in a segment: a sparse index by offset and one by time, made from the batch headers as they come.
//!
//! A place is true for ever: no position of a file is written twice. What a truncation takes is simply left out.

use model::{BatchHeader, Bug, Offset, Planted, Timestamp};

use crate::LogConfig;

/// Bytes of an entry of the offset index, as Kafka counts them.
pub(crate) const PLACE_BYTES: usize = 8;
/// Bytes of an entry of the time index.
pub(crate) const MOMENT_BYTES: usize = 12;

/// A batch and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its base offset.
    pub(crate) offset: Offset,
    pub(crate) position: u64,
}

/// The latest timestamp of a segment up to and with the batch at `offset`, the first one that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) latest: Timestamp,
    pub(crate) offset: Offset,
}

/// The indexes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    interval_bytes: u64,
    /// Offsets and positions rise.
    places: Vec<Place>,
    /// Timestamps and offsets rise.
    moments: Vec<Moment>,
    latest: Option<Moment>,
    /// Its older entries were not made from batches, but read from files.
    is_from_files: bool,
    planted: Planted,
}

impl Index {
    pub(crate) fn new(config: &LogConfig) -> Index {
        Index::with(config, Vec::new(), Vec::new())
    }

    fn with(config: &LogConfig, places: Vec<Place>, moments: Vec<Moment>) -> Index {
        let (interval_bytes, planted) = (config.index_interval_bytes, config.planted);
        Index { interval_bytes, places, moments, latest: None, is_from_files: false, planted }
    }

    /// An index that was kept in files, up to its last place: from there on batches must be noted again.
    pub(crate) fn from_entries(config: &LogConfig, places: Vec<Place>, moments: Vec<Moment>) -> Option<(Index, Place)> {
        let mut index = Index { is_from_files: true, ..Index::with(config, places, moments) };
        let last = index.forget_from(u64::MAX)?;
        Some((index, last))
    }

    pub(crate) fn is_from_files(&self) -> bool {
        self.is_from_files
    }

    /// One that knows nothing yet.
    pub(crate) fn anew(&self) -> Index {
        Index { places: Vec::new(), moments: Vec::new(), latest: None, is_from_files: false, ..*self }
    }

    /// The newest places of those that were read from files: whether they are true is for the batches to say.
    pub(crate) fn places_to_prove(&self, most: usize) -> &[Place] {
        if self.is_from_files { &self.places[self.places.len().saturating_sub(most)..] } else { &[] }
    }

    /// The newest moments, in the same way.
    pub(crate) fn moments_to_prove(&self, most: usize) -> &[Moment] {
        if self.is_from_files { &self.moments[self.moments.len().saturating_sub(most)..] } else { &[] }
    }

    /// Takes note of the batch at `position`, the last one of the segment.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64) {
        if self.places.last().is_none_or(|last| last.position + self.interval_bytes <= position) {
            let told = self.moments.last().map(|moment| moment.latest);
            self.moments.extend(self.latest.filter(|moment| told < Some(moment.latest)));
            self.places.push(Place { offset: header.base_offset, position });
        }
        let is_later = self.latest.is_none_or(|moment| moment.latest < header.max_timestamp);
        if is_later || self.planted.has(Bug::TimeIndexOfLastBatch) {
            self.latest = Some(Moment { latest: header.max_timestamp, offset: header.base_offset });
        }
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Every moment that is known, the latest of all included.
    pub(crate) fn moments(&self) -> impl Iterator<Item = Moment> {
        let told = self.moments.last().map(|moment| moment.latest);
        self.moments.iter().copied().chain(self.latest.filter(move |moment| told < Some(moment.latest)))
    }

    /// The latest timestamp of the segment; the smallest there is if it has no batch.
    pub(crate) fn latest(&self) -> Timestamp {
        self.latest.map_or(Timestamp(i64::MIN), |moment| moment.latest)
    }

    /// Where that is, if there is any.
    pub(crate) fn latest_moment(&self) -> Option<Moment> {
        self.latest
    }

    /// Bytes of the offset index in its file.
    pub(crate) fn bytes(&self) -> u64 {
        (self.places.len() * PLACE_BYTES) as u64
    }

    /// A batch at or before the one that holds `offset`, to walk from. None: the first one.
    pub(crate) fn before(&self, offset: Offset) -> Option<Place> {
        let after = self.places.partition_point(|place| place.offset <= offset);
        after.checked_sub(1).map(|last| self.places[last])
    }

    /// The last batch that is known to begin at or before `position`. None: the first one.
    pub(crate) fn before_position(&self, position: u64) -> Option<Place> {
        let after = self.places.partition_point(|place| place.position <= position);
        after.checked_sub(1).map(|last| self.places[last])
    }

    /// The last moment that is known to come before `at`.
    pub(crate) fn moment_before(&self, at: Timestamp) -> Option<Moment> {
        let after = self.moments.partition_point(|moment| moment.latest < at);
        after.checked_sub(1).map(|last| self.moments[last])
    }

    /// Forgets all entries from `position` on, and gives the place from which batches must be noted again. None: from the first.
    pub(crate) fn forget_from(&mut self, position: u64) -> Option<Place> {
        let keep = self.places.partition_point(|place| place.position < position);
        self.places.truncate(keep);
        let last = self.places.pop();
        let from = last.map_or(Offset(i64::MIN), |place| place.offset);
        self.moments.retain(|moment| moment.offset < from);
        self.latest = self.moments.last().copied();
        last
    }
}
