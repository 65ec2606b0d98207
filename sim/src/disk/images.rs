//! Sectors as they were: what a file had, kept when it is written over.
//!
//! Neighbours are kept in one piece, since what is written over is nearly always a stretch: a log's tail that a start writes again.

use std::collections::BTreeMap;

use super::content::{SECTOR, bounds};
use super::pages::Pages;

#[derive(Default)]
pub(super) struct Images {
    /// The bytes of sectors that follow each other, by the first of them. The last one may be short, or empty: so far the file went.
    stretches: BTreeMap<u64, Vec<u8>>,
}

impl Images {
    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.stretches.values().map(|bytes| sectors_in(bytes)).sum()
    }

    /// What a sector was, if it is kept.
    pub(super) fn get(&self, sector: u64) -> Option<&[u8]> {
        let (first, bytes) = self.stretches.range(..=sector).next_back()?;
        let (from, until) = bounds(sector - first, bytes.len() as u64);
        (sector - first < sectors_in(bytes)).then(|| &bytes[from..until])
    }

    pub(super) fn contains(&self, sector: u64) -> bool {
        self.get(sector).is_some()
    }

    /// All that are kept, in order.
    pub(super) fn sectors(&self) -> impl Iterator<Item = u64> {
        self.stretches.iter().flat_map(|(&first, bytes)| first..first + sectors_in(bytes))
    }

    /// Keeps what the first `length` of the bytes have in `first..end`, but for sectors that are kept already.
    pub(super) fn keep(&mut self, bytes: &Pages, length: u64, first: u64, end: u64) {
        let length = length.min(bytes.length());
        let before = self.stretches.range(..first).next_back();
        let mut next = before.map_or(first, |(before, kept)| first.max(before + sectors_in(kept)));
        while next < end {
            let known = self.stretches.range(next..end).next().map(|(&known, kept)| known..known + sectors_in(kept));
            let known = known.unwrap_or(end..end);
            if next < known.start {
                let (from, until) = (bounds(next, length).0, bounds(known.start - 1, length).1);
                self.stretches.insert(next, bytes.copy(from, until));
            }
            next = known.end;
        }
    }

    /// Keeps a sector as it is given, unless it is kept already.
    pub(super) fn keep_one(&mut self, sector: u64, image: &[u8]) {
        if !self.contains(sector) {
            self.stretches.insert(sector, image.to_vec());
        }
    }
}

/// How many sectors a stretch has, of which there is one at least.
fn sectors_in(stretch: &[u8]) -> u64 {
    (stretch.len() as u64).div_ceil(SECTOR).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_sector_is_kept_as_it_was_first(
            length in 1..9000_usize,
            kept in prop::collection::vec((0..20_u64, 0..8_u64), 1..12),
            short in prop::collection::btree_map(0..20_u64, 0..512_usize, 0..4),
        ) {
            let sectors = (length as u64).div_ceil(SECTOR);
            let (mut images, mut plain) = (Images::default(), BTreeMap::<u64, Vec<u8>>::new());
            for (sector, length) in short {
                images.keep_one(sector, &vec![0; length]);
                plain.insert(sector, vec![0; length]);
            }
            for (mark, (first, count)) in (1..).zip(kept) {
                let mut bytes = Pages::default();
                // It has grown since.
                bytes.write(0, &vec![mark; length + 700]);
                let (first, end) = (first.min(sectors), (first + count).min(sectors));
                images.keep(&bytes, length as u64, first, end);
                for sector in first..end {
                    let (from, until) = bounds(sector, length as u64);
                    plain.entry(sector).or_insert_with(|| bytes.copy(from, until));
                }
            }
            prop_assert_eq!(images.count(), plain.len() as u64);
            prop_assert_eq!(images.is_empty(), plain.is_empty());
            prop_assert_eq!(images.sectors().collect::<Vec<_>>(), plain.keys().copied().collect::<Vec<_>>());
            for sector in 0..30 {
                prop_assert_eq!(images.get(sector), plain.get(&sector).map(Vec::as_slice));
            }
        }
    }
}
