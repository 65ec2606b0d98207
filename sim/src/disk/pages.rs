//! The bytes of a file, in pages: one that grows is not copied, and what it gives back another can have at once.

use super::content::bounds;

/// Whole sectors.
const PAGE: usize = 64 << 10;

/// Every page is full but the last.
#[derive(Default)]
pub(super) struct Pages {
    pages: Vec<Vec<u8>>,
    length: usize,
}

impl Pages {
    pub(super) fn length(&self) -> u64 {
        self.length as u64
    }

    /// Reads what there is, at most a whole buffer, and says how much.
    pub(super) fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        let from = position.min(self.length()) as usize;
        let count = buffer.len().min(self.length - from);
        let mut rest = &mut buffer[..count];
        for piece in self.pieces(from, from + count) {
            let (taken, left) = rest.split_at_mut(piece.len());
            taken.copy_from_slice(piece);
            rest = left;
        }
        count
    }

    /// A copy of what lies between two positions, neither beyond the end.
    pub(super) fn copy(&self, from: usize, until: usize) -> Vec<u8> {
        let mut copy = Vec::with_capacity(until - from);
        self.pieces(from, until).for_each(|piece| copy.extend_from_slice(piece));
        copy
    }

    /// Writes over what is there, and goes on where it ends. What lies between the old end and `position` becomes zeros.
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) {
        let position = position as usize;
        if self.length < position {
            self.set_length(position);
        }
        let (over, beyond) = bytes.split_at(bytes.len().min(self.length - position));
        let (mut at, mut rest) = (position, over);
        while !rest.is_empty() {
            let from = at % PAGE;
            let (now, later) = rest.split_at(rest.len().min(PAGE - from));
            self.pages[at / PAGE][from..from + now.len()].copy_from_slice(now);
            (at, rest) = (at + now.len(), later);
        }
        self.extend(beyond.len(), |page, done, count| page.extend_from_slice(&beyond[done..done + count]));
    }

    pub(super) fn set_length(&mut self, length: usize) {
        if length < self.length {
            self.pages.truncate(length.div_ceil(PAGE));
            if let Some(last) = self.pages.last_mut() {
                last.truncate(length - (length - 1) / PAGE * PAGE);
            }
            self.length = length;
        }
        self.extend(length - self.length, |page, _, count| page.resize(page.len() + count, 0));
    }

    /// The bytes of a sector, as far as the file goes.
    pub(super) fn sector(&self, sector: u64) -> &[u8] {
        let (from, until) = bounds(sector, self.length());
        self.pages.get(from / PAGE).map_or(&[], |page| &page[from % PAGE..][..until - from])
    }

    pub(super) fn sector_mut(&mut self, sector: u64) -> &mut [u8] {
        let (from, until) = bounds(sector, self.length());
        self.pages.get_mut(from / PAGE).map_or(&mut [], |page| &mut page[from % PAGE..][..until - from])
    }

    /// What is there from one position to another, page by page.
    fn pieces(&self, from: usize, until: usize) -> impl Iterator<Item = &[u8]> {
        let pages = self.pages.iter().enumerate().take(until.div_ceil(PAGE)).skip(from / PAGE);
        pages.map(move |(number, page)| {
            let start = number * PAGE;
            &page[from.saturating_sub(start)..(until - start).min(PAGE)]
        })
    }

    /// Makes the file longer: `fill` adds so many of the new bytes to a page, after so many that were added before.
    fn extend(&mut self, bytes: usize, mut fill: impl FnMut(&mut Vec<u8>, usize, usize)) {
        let mut done = 0;
        while done < bytes {
            if self.length.is_multiple_of(PAGE) {
                self.pages.push(Vec::new());
            }
            let Some(page) = self.pages.last_mut() else { return };
            let count = (bytes - done).min(PAGE - page.len());
            let (capacity, needed) = (page.capacity(), page.len() + count);
            if capacity < needed {
                page.reserve_exact(needed.max(2 * capacity).min(PAGE) - page.len());
            }
            fill(page, done, count);
            (self.length, done) = (self.length + count, done + count);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::content::SECTOR;

    #[derive(Clone, Debug)]
    enum Step {
        Write { position: u64, length: usize },
        SetLength(usize),
        Flip(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let near = |most: u64| prop_oneof![0..most, (0..4_u64).prop_map(|pages| pages * PAGE as u64)];
        prop_oneof![
            (near(300_000), 0..150_000_usize).prop_map(|(position, length)| Step::Write { position, length }),
            near(300_000).prop_map(|length| Step::SetLength(length as usize)),
            (0..600_u64).prop_map(Step::Flip),
        ]
    }

    proptest! {
        #[test]
        fn pages_are_as_good_as_one_piece(
            steps in prop::collection::vec(step(), 1..12),
            reads in prop::collection::vec((0..400_000_u64, 0..200_000_usize), 4),
        ) {
            let (mut pages, mut plain) = (Pages::default(), Vec::<u8>::new());
            for (mark, step) in (1..).zip(steps) {
                match step {
                    Step::Write { position, length } => {
                        pages.write(position, &vec![mark; length]);
                        let end = position as usize + length;
                        plain.resize(plain.len().max(end).max(position as usize), 0);
                        plain[position as usize..end].fill(mark);
                    }
                    Step::SetLength(length) => {
                        pages.set_length(length);
                        plain.resize(length, 0);
                    }
                    Step::Flip(sector) => {
                        let (from, until) = bounds(sector, plain.len() as u64);
                        plain[from..until].fill(mark);
                        pages.sector_mut(sector).fill(mark);
                        prop_assert_eq!(pages.sector(sector), &plain[from..until]);
                    }
                }
                prop_assert_eq!(pages.length(), plain.len() as u64);
                prop_assert!(pages.copy(0, plain.len()) == plain);
            }
            for (position, length) in reads {
                let from = plain.len().min(position as usize);
                let until = plain.len().min(from + length);
                let mut buffer = vec![0; length];
                let count = pages.read(position, &mut buffer);
                prop_assert!(buffer[..count] == plain[from..until]);
                prop_assert!(pages.copy(from, until) == plain[from..until]);
            }
        }
    }

    #[test]
    fn a_page_is_whole_sectors() {
        assert_eq!(PAGE as u64 % SECTOR, 0);
    }
}
