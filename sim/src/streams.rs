//! Streams of chance: one root seed, an independent stream for each label.
//!
//! A stream depends on the seed and on its label alone, so taking one fault out of a scenario moves no other draw.

use std::ops::Range;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_128;

/// Where the streams of one run come from.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    pub fn new(seed: u64) -> Streams {
        Streams { seed }
    }

    /// The stream of this label, from its beginning: the same label gives the same draws again.
    pub fn stream(&self, label: &str) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..24].copy_from_slice(&xxh3_128(label.as_bytes()).to_le_bytes());
        Stream(ChaCha8Rng::from_seed(key))
    }
}

/// One stream of draws.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is not zero. (Bias below 2^-32 for the small ranges in use.)
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "nothing is below zero");
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number in `range`; its start if the range is empty.
    pub fn between(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { range.start + self.below(range.end - range.start) }
    }

    /// A duration in `range`, to the nanosecond.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        Duration::from_nanos(self.between(nanos(range.start)..nanos(range.end)))
    }

    /// A fraction in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability. Draws even when the answer is certain, so that a probability moves no later draw.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A duration from the exponential distribution.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        Duration::from_nanos((-(1.0 - self.fraction()).ln() * nanos(mean) as f64) as u64)
    }

    /// One of `items`; none if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_label_alone() {
        let draws = |seed, label| {
            let mut stream = Streams::new(seed).stream(label);
            [stream.bits(), stream.bits(), stream.below(10)]
        };
        assert_eq!(draws(1, "network"), draws(1, "network"));
        assert_ne!(draws(1, "network"), draws(1, "disk"));
        assert_ne!(draws(1, "network"), draws(2, "network"));
    }

    #[test]
    fn draws_keep_their_bounds() {
        let mut stream = Streams::new(7).stream("bounds");
        let mut sum = Duration::ZERO;
        for _ in 0..10_000 {
            assert!((3..9).contains(&stream.between(3..9)));
            assert!((0.0..1.0).contains(&stream.fraction()));
            sum += stream.exponential(Duration::from_millis(1));
        }
        let mean = sum / 10_000;
        assert!(mean > Duration::from_micros(900) && mean < Duration::from_micros(1100), "{mean:?}");
        assert!(!stream.chance(0.0) && stream.chance(1.0));
        assert_eq!(stream.pick::<u8>(&[]), None);
    }
}
