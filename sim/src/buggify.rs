//! Buggify: what a broker may do at any time and hardly ever does, made common (after FoundationDB).
//!
//! Two levels. A *site* in the broker is in use or not for a whole run, so that runs differ in kind and no site hides another; one
//! that is in use fires with a probability of its own. Whatever it then does is legal: an answer with less than there is, a wait
//! that is longer, a connection that ends. Each site draws from a stream of its own, so that a new one moves no other draw.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::confined::Confined;

use crate::streams::{Stream, Streams};

/// How likely a site is in use.
const IN_USE: f64 = 0.25;

pub(crate) struct Buggify {
    is_on: AtomicBool,
    streams: Streams,
    sites: Confined<Sites>,
}

#[derive(Default)]
struct Sites {
    /// Apart from their streams, which are large: they are looked through at each call.
    names: Vec<&'static str>,
    /// None of one that is not in use.
    streams: Vec<Option<Stream>>,
}

impl Buggify {
    pub(crate) fn new(is_on: bool, streams: Streams) -> Buggify {
        Buggify { is_on: AtomicBool::new(is_on), streams, sites: Confined::default() }
    }

    /// From now on no site fires.
    pub(crate) fn stop(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    pub(crate) fn fires(&self, site: &'static str, chance: f64) -> bool {
        if !self.is_on.load(Ordering::Relaxed) {
            return false;
        }
        let sites = &mut *self.sites.lock();
        // Nearly always the very text that its first call had, and the texts need not be compared.
        let known = sites.names.iter().position(|known| std::ptr::eq(*known, site));
        let known = known.or_else(|| sites.names.iter().position(|known| *known == site)).unwrap_or_else(|| {
            let mut stream = self.streams.stream(&format!("buggify/{site}"));
            sites.names.push(site);
            sites.streams.push(stream.chance(IN_USE).then_some(stream));
            sites.names.len() - 1
        });
        sites.streams[known].as_mut().is_some_and(|stream| stream.chance(chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(is_on: bool, seed: u64) -> usize {
        let buggify = Buggify::new(is_on, Streams::new(seed));
        (0..1000).filter(|_| buggify.fires("a short answer was given", 0.1)).count()
    }

    #[test]
    fn a_site_is_in_use_in_one_run_of_four_and_fires_as_often_as_it_says() {
        let runs: Vec<usize> = (0..200).map(|seed| fired(true, seed)).collect();
        let in_use: Vec<usize> = runs.into_iter().filter(|fired| 0 < *fired).collect();
        assert!((30..70).contains(&in_use.len()), "{} of 200", in_use.len());
        assert!(in_use.iter().all(|fired| (60..150).contains(fired)), "{in_use:?}");
    }

    #[test]
    fn nothing_fires_when_it_is_off_or_over() {
        assert!((0..50).all(|seed| fired(false, seed) == 0));
        let buggify = Buggify::new(true, Streams::new(1));
        buggify.stop();
        assert!((0..1000).all(|_| !buggify.fires("a short answer was given", 1.0)));
    }
}
