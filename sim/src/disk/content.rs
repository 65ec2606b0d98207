//! The bytes of one file: as processes see them, and as the device has them.
//!
//! Only the seen bytes are held whole. What the device has is told by its length and by *images* (`images.rs`): the content of each
//! sector that was written over since. So an append costs nothing but its bytes, and a sync copies nothing.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use evidence::Harm;

use super::damage::{Damage, Lying};
use super::images::Images;
use super::pages::Pages;
use crate::streams::Stream;

/// What the device writes whole or not at all.
pub(super) const SECTOR: u64 = 512;

#[derive(Default)]
pub(super) struct Content {
    seen: Pages,
    safe: Snapshot,
    /// Syncs that run, oldest first, each with what the file was when it began.
    syncs: Vec<(SyncId, Snapshot)>,
    syncs_begun: u64,
    /// What the device has of sectors that a failed sync lost. The page cache thinks them safe.
    stuck: BTreeMap<u64, Vec<u8>>,
    damage: Damage,
    /// It has no name any more, and does not count.
    is_unlinked: bool,
}

/// What a file was, told by what has changed since.
#[derive(Default)]
struct Snapshot {
    length: u64,
    /// Sectors that have changed since, as they were: up to the length of that time.
    images: Images,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncId(u64);

/// What a loss of power did: counts of sectors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Torn {
    pub(super) kept: u64,
    pub(super) lost: u64,
}

impl Snapshot {
    /// Keeps what is about to change in `from..`, up to `until`.
    fn preserve(&mut self, seen: &Pages, from: u64, until: u64) {
        let until = until.min(self.length);
        if from < until {
            self.images.keep(seen, self.length, from / SECTOR, until.div_ceil(SECTOR));
        }
    }
}

/// Where `sector` begins and ends in a file of this length.
pub(super) fn bounds(sector: u64, length: u64) -> (usize, usize) {
    let from = (sector * SECTOR).min(length);
    (from as usize, (from + SECTOR).min(length) as usize)
}

/// Puts an image in the place of a sector that may be longer or shorter by now.
pub(super) fn replace(sector: &mut [u8], image: &[u8]) {
    let (told, rest) = sector.split_at_mut(image.len().min(sector.len()));
    told.copy_from_slice(&image[..told.len()]);
    rest.fill(0);
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.seen.length()
    }

    pub(super) fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        self.seen.read(position, buffer)
    }

    /// Writes, and says by how much the disk is fuller.
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) -> u64 {
        let length = self.length();
        let end = position + bytes.len() as u64;
        // What lies between the old end and `position` becomes zeros.
        self.preserve(position.min(length), end);
        self.seen.write(position, bytes);
        self.damage.written(position, bytes, end.max(length));
        self.counted(end.saturating_sub(length))
    }

    /// Says by how much the disk is fuller, and by how much emptier.
    pub(super) fn set_length(&mut self, length: u64) -> (u64, u64) {
        let before = self.length();
        self.preserve(length.min(before), before.max(length));
        self.seen.set_length(length as usize);
        self.damage.cut(length);
        (self.counted(length.saturating_sub(before)), self.counted(before.saturating_sub(length)))
    }

    /// Takes away its last name, and says what that frees.
    pub(super) fn unlink(&mut self) -> u64 {
        let freed = self.counted(self.length());
        self.is_unlinked = true;
        freed
    }

    /// Also says how many bytes the device has to take.
    pub(super) fn begin_sync(&mut self) -> (SyncId, u64) {
        self.syncs_begun += 1;
        let id = SyncId(self.syncs_begun);
        let dirty_bytes = self.length().saturating_sub(self.safe.length) + self.safe.images.count() * SECTOR;
        self.syncs.push((id, Snapshot { length: self.length(), images: Images::default() }));
        (id, dirty_bytes)
    }

    pub(super) fn finish_sync(&mut self, id: SyncId) {
        let Some(index) = self.syncs.iter().position(|(running, _)| *running == id) else { return };
        if self.damage.has_lies() {
            self.written_by(id).into_iter().for_each(|sector| self.damage.make_true(sector));
        }
        // An older sync that is still running can only say less.
        let (_, snapshot) = self.syncs.drain(..=index).next_back().unwrap_or_default();
        self.safe = snapshot;
        for (sector, image) in &self.stuck {
            self.safe.images.keep_one(*sector, image);
        }
    }

    /// As [`Content::finish_sync`], but some of the sectors that are safe by it are not: which, and what was done to them.
    pub(super) fn finish_sync_lying(&mut self, id: SyncId, lying: &mut Lying) -> Vec<(Harm, u64)> {
        let written = self.written_by(id);
        // Found only when somebody asks: a lie is rare, and a file long.
        let untouched = LazyCell::new(|| {
            let written: BTreeSet<&u64> = written.iter().collect();
            self.clean_sectors().filter(|sector| !written.contains(sector)).collect::<Vec<u64>>()
        });
        let (mut told, mut lies) = (Vec::new(), Vec::new());
        for &sector in &written {
            if !lying.stream.chance(lying.chance) {
                continue;
            }
            if lying.harm == Harm::Misdirected
                && let Some(&victim) = lying.stream.pick(untouched.as_slice())
            {
                lies.push((victim, self.seen.sector(sector).to_vec()));
                told.push((Harm::Misdirected, victim * SECTOR));
            }
            let real = self.damage.lie_about(sector).cloned().unwrap_or_else(|| self.safe_sector(sector));
            lies.push((sector, real));
            told.push((lying.harm, sector * SECTOR));
        }
        drop(untouched);
        self.finish_sync(id);
        lies.into_iter().for_each(|(sector, image)| self.damage.lie(sector, image));
        told
    }

    /// The sectors that a running sync will make safe.
    fn written_by(&self, id: SyncId) -> Vec<u64> {
        let Some((_, snapshot)) = self.syncs.iter().find(|(running, _)| *running == id) else { return Vec::new() };
        let end = snapshot.length.div_ceil(SECTOR);
        let is_written = |sector: &u64| *sector < end && !snapshot.images.contains(*sector);
        self.unsafe_sectors().into_iter().filter(is_written).collect()
    }

    pub(super) fn give_up_sync(&mut self, id: SyncId) {
        self.syncs.retain(|(running, _)| *running != id);
    }

    /// Each sector that is not safe reaches the device now, or never unless it is written again.
    pub(super) fn fail_sync(&mut self, stream: &mut Stream) {
        for sector in self.unsafe_sectors() {
            if stream.chance(0.5) {
                self.stuck.insert(sector, self.safe_sector(sector));
            }
        }
    }

    /// What was not safe is decided: see the disk's fault model.
    pub(super) fn lose_power(&mut self, stream: &mut Stream) -> Torn {
        let before = self.safe.length;
        let length = match stream.below(4) {
            0 => before,
            1 => {
                let (small, large) = (before.min(self.length()), before.max(self.length()));
                // The length changes when a page is written: between two sectors.
                (small + stream.below(large - small + 1)).next_multiple_of(SECTOR).clamp(small, large)
            }
            _ => self.length(),
        };
        let sectors = self.unsafe_sectors();
        let count = sectors.len() as u64;
        // All, nothing, a beginning, or any.
        let (sure, chance) = match stream.below(4) {
            0 => (count, 0.0),
            1 => (0, 0.0),
            2 => (stream.below(count + 1), 0.0),
            _ => (0, 0.5),
        };
        let mut torn = Torn::default();
        let safe: Vec<Vec<u8>> = sectors.iter().map(|&sector| self.safe_sector(sector)).collect();
        let mut bytes = std::mem::take(&mut self.seen);
        bytes.set_length(length as usize);
        for ((index, sector), mut image) in (0..).zip(sectors).zip(safe) {
            let is_kept = (index < sure || stream.chance(chance)) && !self.stuck.contains_key(&sector);
            if is_kept {
                torn.kept += 1;
                self.damage.make_true(sector);
                continue;
            }
            torn.lost += 1;
            if let Some(real) = self.damage.lie_about(sector).cloned() {
                self.damage.reveal(sector, std::mem::replace(&mut image, real));
            }
            replace(bytes.sector_mut(sector), &image);
        }
        if 0 < torn.kept && 0 < torn.lost {
            model::reached!("a loss of power tore what was written");
        }
        let safe = Snapshot { length, images: Images::default() };
        let mut damage = std::mem::take(&mut self.damage);
        damage.cut(length);
        damage.forget_cache(&mut bytes, |_| false);
        *self = Content { seen: bytes, safe, syncs_begun: self.syncs_begun, damage, ..Content::default() };
        torn
    }

    /// True if a loss of power now could lose something.
    pub(super) fn is_dirty(&self) -> bool {
        self.safe.length != self.length() || !self.safe.images.is_empty()
    }

    /// Whole sectors that are safe and as they should be.
    pub(super) fn clean_sectors(&self) -> impl Iterator<Item = u64> {
        let whole = self.length().min(self.safe.length) / SECTOR;
        (0..whole).filter(|sector| {
            let is_safe = !self.safe.images.contains(*sector) && !self.stuck.contains_key(sector);
            is_safe && !self.damage.is_at(*sector)
        })
    }

    /// Changes a bit of a sector; says at which position.
    pub(super) fn rot(&mut self, sector: u64, stream: &mut Stream) -> u64 {
        self.damage.rot(&mut self.seen, sector, stream)
    }

    pub(super) fn make_unreadable(&mut self, sector: u64) {
        self.damage.make_unreadable(sector);
    }

    pub(super) fn can_be_read(&self, position: u64, length: usize) -> bool {
        self.damage.can_be_read(position, (position + length as u64).min(self.length()))
    }

    pub(super) fn can_be_written(&self, position: u64, length: usize) -> bool {
        self.damage.can_be_written(position, position + length as u64, self.length())
    }

    /// The page cache forgets what is safe, and reads it from the device when it is asked again.
    pub(super) fn forget_cache(&mut self) {
        let dirty: BTreeSet<u64> = self.unsafe_sectors().into_iter().collect();
        self.damage.forget_cache(&mut self.seen, |sector| dirty.contains(&sector));
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damage.is_there()
    }

    pub(super) fn undo_damage(&mut self) {
        self.damage.undo(&mut self.seen);
    }

    /// Sectors that the device may not have as they are seen, in order.
    fn unsafe_sectors(&self) -> Vec<u64> {
        let longest = self.length().max(self.safe.length);
        let shortest = self.length().min(self.safe.length);
        let images = self.safe.images.sectors().filter(|&sector| sector < shortest / SECTOR);
        let ends = if longest == shortest && !self.safe.images.contains(shortest / SECTOR) {
            0..0
        } else {
            shortest / SECTOR..longest.div_ceil(SECTOR)
        };
        images.chain(ends).collect()
    }

    /// What the device has of a sector.
    fn safe_sector(&self, sector: u64) -> Vec<u8> {
        match self.safe.images.get(sector) {
            Some(image) => image.to_vec(),
            None => {
                let (from, until) = bounds(sector, self.safe.length.min(self.length()));
                self.seen.copy(from, until)
            }
        }
    }

    fn preserve(&mut self, from: u64, until: u64) {
        self.safe.preserve(&self.seen, from, until);
        for (_, snapshot) in &mut self.syncs {
            snapshot.preserve(&self.seen, from, until);
        }
        if !self.stuck.is_empty() {
            self.stuck.retain(|&sector, _| (sector + 1) * SECTOR <= from || until <= sector * SECTOR);
        }
    }

    fn counted(&self, bytes: u64) -> u64 {
        if self.is_unlinked { 0 } else { bytes }
    }
}
