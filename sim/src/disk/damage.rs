//! What is wrong with the stored bytes of one file, kept apart from the bytes, so that it can be undone.
//!
//! Fault model. *Rot* changes a byte of a sector that was safe. A *latent error* makes a sector unreadable until it is written
//! again, whole; a write of a part of it fails, since the rest must be read first. A device that *lies* calls a sector written
//! that it has left as it was (a lost write), or has put where another one belongs (a misdirected write: both are wrong then).
//! The page cache hides a lie until it forgets the sector: at the loss of power at the latest. Any sector is right again once
//! it is written again.
//!
//! No disk tells of any of this but the latent error; a broker finds the rest by its checksums, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use evidence::Harm;

use super::content::{SECTOR, bounds, replace};
use super::pages::Pages;
use crate::streams::Stream;

#[derive(Default)]
pub(super) struct Damage {
    /// Sectors that read as something else than they should, and what they should be.
    pristine: BTreeMap<u64, Vec<u8>>,
    unreadable: BTreeSet<u64>,
    /// What the device has of sectors that it said it wrote. The page cache still shows them as they should be.
    lies: BTreeMap<u64, Vec<u8>>,
}

/// A device that lies about a share of what it writes.
pub(super) struct Lying {
    pub(super) harm: Harm,
    pub(super) chance: f64,
    pub(super) stream: Stream,
}

impl Damage {
    pub(super) fn is_there(&self) -> bool {
        !self.pristine.is_empty() || !self.unreadable.is_empty() || !self.lies.is_empty()
    }

    /// Is anything wrong with this sector?
    pub(super) fn is_at(&self, sector: u64) -> bool {
        self.pristine.contains_key(&sector) || self.unreadable.contains(&sector) || self.lies.contains_key(&sector)
    }

    /// Changes one bit of a sector; says at which position.
    pub(super) fn rot(&mut self, seen: &mut Pages, sector: u64, stream: &mut Stream) -> u64 {
        let bytes = seen.sector_mut(sector);
        self.pristine.insert(sector, bytes.to_vec());
        let at = stream.below(bytes.len() as u64);
        bytes[at as usize] ^= 1 << stream.below(8);
        sector * SECTOR + at
    }

    pub(super) fn make_unreadable(&mut self, sector: u64) {
        self.unreadable.insert(sector);
    }

    pub(super) fn can_be_read(&self, from: u64, until: u64) -> bool {
        until <= from || self.unreadable.range(from / SECTOR..until.div_ceil(SECTOR)).next().is_none()
    }

    /// True if the sectors that this write covers in part can be read.
    pub(super) fn can_be_written(&self, from: u64, until: u64, length: u64) -> bool {
        let is_whole = |sector: u64| from <= sector * SECTOR && ((sector + 1) * SECTOR).min(length) <= until;
        until <= from || self.unreadable.range(from / SECTOR..until.div_ceil(SECTOR)).all(|&sector| is_whole(sector))
    }

    pub(super) fn lie(&mut self, sector: u64, image: Vec<u8>) {
        self.lies.insert(sector, image);
    }

    pub(super) fn has_lies(&self) -> bool {
        !self.lies.is_empty()
    }

    /// What the device really has of a sector that it lied about.
    pub(super) fn lie_about(&self, sector: u64) -> Option<&Vec<u8>> {
        self.lies.get(&sector)
    }

    /// The sector was written again, and is there.
    pub(super) fn make_true(&mut self, sector: u64) {
        self.lies.remove(&sector);
    }

    /// What was written to the sector since is lost, and the lie about it shows: it should be `pristine`.
    pub(super) fn reveal(&mut self, sector: u64, pristine: Vec<u8>) {
        if self.lies.remove(&sector).is_some() {
            self.pristine.entry(sector).or_insert(pristine);
        }
    }

    /// `bytes` were written at `position` of a file that is now `length` long.
    pub(super) fn written(&mut self, position: u64, bytes: &[u8], length: u64) {
        if !self.is_there() {
            return;
        }
        let end = position + bytes.len() as u64;
        let is_whole = |sector: u64| position <= sector * SECTOR && ((sector + 1) * SECTOR).min(length) <= end;
        self.unreadable.retain(|&sector| !is_whole(sector));
        self.pristine.retain(|&sector, _| !is_whole(sector));
        for (&sector, pristine) in self.pristine.range_mut(position / SECTOR..end.div_ceil(SECTOR)) {
            let start = sector * SECTOR;
            let (from, until) = bounds(sector, length);
            pristine.resize(pristine.len().max(until - from), 0);
            for (at, byte) in (start..).zip(pristine.iter_mut()).filter(|(at, _)| (position..end).contains(at)) {
                *byte = bytes[(at - position) as usize];
            }
        }
    }

    /// The file is `length` long from now on.
    pub(super) fn cut(&mut self, length: u64) {
        let is_inside = |sector: u64| sector * SECTOR < length;
        self.unreadable.retain(|&sector| is_inside(sector));
        self.lies.retain(|&sector, _| is_inside(sector));
        self.pristine.retain(|&sector, _| is_inside(sector));
        if let Some(last) = self.pristine.get_mut(&(length / SECTOR)) {
            last.truncate((length % SECTOR) as usize);
        }
    }

    /// The page cache forgets all sectors but the dirty ones: what the device has is seen.
    pub(super) fn forget_cache(&mut self, seen: &mut Pages, is_dirty: impl Fn(u64) -> bool) {
        let (dirty, clean): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.lies).into_iter().partition(|(sector, _)| is_dirty(*sector));
        self.lies = dirty;
        for (sector, image) in clean {
            let bytes = seen.sector_mut(sector);
            self.pristine.entry(sector).or_insert_with(|| bytes.to_vec());
            replace(bytes, &image);
        }
    }

    /// Everything is as it should be.
    pub(super) fn undo(&mut self, seen: &mut Pages) {
        for (sector, pristine) in std::mem::take(self).pristine {
            let bytes = seen.sector_mut(sector);
            let whole = pristine.len().min(bytes.len());
            bytes[..whole].copy_from_slice(&pristine[..whole]);
        }
    }
}
