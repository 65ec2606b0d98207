//! A hash that is the same in every process of one build: unlike the standard one it has no key.
//!
//! For comparing what honest nodes hold, not against an adversary.

use std::hash::{Hash, Hasher};

/// Folds eight bytes at a time with the finisher of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Fold(u64);

impl Fold {
    pub(super) fn of(content: &impl Hash) -> u64 {
        let mut fold = Fold(0x9e37_79b9_7f4a_7c15);
        content.hash(&mut fold);
        fold.finish()
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mut mixed = self.0 ^ word;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = (mixed ^ (mixed >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    // Numbers are most of what is hashed here, and each is one word.

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
