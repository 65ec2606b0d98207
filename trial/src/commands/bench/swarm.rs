//! The default fuzz profile over a fixed set of seeds, as `trial fuzz` runs it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use scenarios::{Profile, random};
use sim::Tally;
use trial::{Finished, Options};

use super::machine::{Spent, measured};
use super::{add, requests};

pub(super) const PROFILE: Profile = Profile::Standard;

/// Always the same, so that figures of two builds can be compared.
pub(super) const SEEDS: Range<u64> = 1..25;

/// All seeds, run once each.
#[derive(Default)]
pub(super) struct Swarm {
    pub(super) runs: u64,
    /// Runs that `trial fuzz` would report.
    pub(super) disappointed: u64,
    pub(super) requests: u64,
    pub(super) simulated: Duration,
    pub(super) spent: Spent,
    pub(super) tally: Tally,
}

impl Swarm {
    /// Runs them by so many workers, each a core's work.
    pub(super) fn measure(workers: usize) -> Swarm {
        let sum = Mutex::new(Swarm::default());
        let next = AtomicU64::new(SEEDS.start);
        let work = || {
            while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| SEEDS.contains(seed)) {
                let finished = run(seed, true);
                let sum = &mut *sum.lock();
                sum.runs += 1;
                sum.disappointed += u64::from(!finished.is_as_expected());
                sum.simulated += finished.run.stats.simulated;
                add(&mut sum.tally, &finished);
            }
        };
        let all = || std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
        let ((), spent) = measured(all);
        let sum = sum.into_inner();
        Swarm { spent, requests: requests(&sum.tally), ..sum }
    }

    pub(super) fn faster(self, other: Swarm) -> Swarm {
        if other.spent.wall < self.spent.wall { other } else { self }
    }

    /// What one request takes of a core.
    pub(super) fn each(&self) -> Duration {
        self.spent.cores.div_f64(self.requests.max(1) as f64)
    }

    pub(super) fn simulated_per_real(&self) -> f64 {
        self.simulated.as_secs_f64() / self.spent.wall.as_secs_f64()
    }

    /// The same if nobody else had the cores meanwhile.
    pub(super) fn simulated_per_core(&self) -> f64 {
        self.simulated.as_secs_f64() / self.spent.cores.as_secs_f64()
    }

    pub(super) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.simulated.as_secs_f64()
    }
}

/// One run of the profile.
pub(super) fn run(seed: u64, without_trace: bool) -> Finished {
    let options = Options { source: "bench".into(), without_trace, ..Options::default() };
    trial::run(&random(seed, PROFILE), seed, &options)
}
