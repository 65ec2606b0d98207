//! Which seeds a fuzz runs: from the first, in order, those of its shard that are not done.

use std::collections::{BTreeSet, VecDeque};
use std::str::FromStr;

/// The part of the seeds that one machine of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1.
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let help = "write I/N, such as 2/3 for the second of three";
        let wrong = || format!("\"{text}\" is no shard: {help}");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (number.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        if !(1..=of).contains(&number) {
            return Err(format!("there is no shard {number} of {of}: {help}"));
        }
        Ok(Shard { number, of })
    }
}

/// The seeds of a fuzz.
#[derive(Debug)]
pub(crate) struct Seeds {
    /// Those that failed in another program, before all others.
    again: VecDeque<u64>,
    next: Option<u64>,
    /// The last; none: as long as there is time.
    last: u64,
    step: u64,
    done: BTreeSet<u64>,
}

impl Seeds {
    pub(crate) fn new(from: u64, count: Option<u64>, shard: Shard, done: BTreeSet<u64>, again: BTreeSet<u64>) -> Seeds {
        let last = count.map_or(u64::MAX, |count| from.saturating_add(count - 1));
        let next = from.checked_add(shard.number - 1);
        let is_ours = |seed: &u64| (from..=last).contains(seed) && (seed - from) % shard.of == shard.number - 1;
        let again = again.into_iter().filter(is_ours).collect();
        Seeds { again, next, last, step: shard.of, done }
    }

    /// How many are left.
    pub(crate) fn left(&self) -> u64 {
        let Some(next) = self.next.filter(|next| *next <= self.last) else { return 0 };
        let done = self.done.range(next..=self.last).filter(|seed| (*seed - next).is_multiple_of(self.step)).count();
        ((self.last - next) / self.step).saturating_add(1).saturating_sub(done as u64)
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if let Some(seed) = self.again.pop_front() {
            self.done.insert(seed);
            return Some(seed);
        }
        loop {
            let seed = self.next.filter(|seed| *seed <= self.last)?;
            self.next = seed.checked_add(self.step);
            if self.done.insert(seed) {
                return Some(seed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(from: u64, count: u64, shard: &str, done: &[u64]) -> Vec<u64> {
        let done = done.iter().copied().collect();
        let mut seeds = Seeds::new(from, Some(count), shard.parse().unwrap(), done, BTreeSet::new());
        let left = seeds.left();
        let all: Vec<u64> = std::iter::from_fn(|| seeds.next()).collect();
        assert_eq!(left, all.len() as u64);
        all
    }

    #[test]
    fn shards_share_all_seeds_and_run_none_twice() {
        assert_eq!(all(5, 7, "1/1", &[]), [5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(all(5, 7, "1/3", &[]), [5, 8, 11]);
        assert_eq!(all(5, 7, "2/3", &[]), [6, 9]);
        assert_eq!(all(5, 7, "3/3", &[]), [7, 10]);
        assert_eq!(all(1, 2, "7/9", &[]), [0; 0]);
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        assert_eq!(all(5, 7, "1/3", &[6, 8]), [5, 11]);
        assert_eq!(all(5, 2, "1/1", &[5, 6, 99]), [0; 0]);
    }

    #[test]
    fn the_largest_seed_is_the_last() {
        assert_eq!(all(u64::MAX - 1, 10, "1/1", &[]), [u64::MAX - 1, u64::MAX]);
    }

    #[test]
    fn what_failed_before_is_tried_first() {
        let again = [9, 40].into();
        let mut seeds = Seeds::new(7, Some(4), Shard { number: 1, of: 1 }, BTreeSet::new(), again);
        assert_eq!(std::iter::from_fn(|| seeds.next()).collect::<Vec<_>>(), [9, 7, 8, 10]);
    }

    #[test]
    fn a_shard_is_one_of_as_many_as_there_are() {
        for wrong in ["", "x", "1", "0/3", "4/3", "1/0", "-1/3", "1/2/3", "1/99999999999999999999999"] {
            wrong.parse::<Shard>().unwrap_err();
        }
    }
}
