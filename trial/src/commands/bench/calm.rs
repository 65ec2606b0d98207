//! A run in which nothing goes wrong: what a produce request costs, to three brokers, with acks=all.

use std::time::Duration;

use miette::miette;
use scenarios::Scenario;
use sim::Tally;
use trial::Options;

use super::machine::{Spent, measured};
use super::requests;

/// Now and then several records go at once, each to a broker of its own.
const SCENARIO: &str = r#"
title = "Nothing goes wrong"
teaches = "What a run costs."

[cluster]
brokers = 3
duration = "60s"

[[topics]]
name = "orders"
partitions = 3
replicas = 3
min_insync_replicas = 2

[[producers]]
topic = "orders"
acks = "all"
idempotent = false
rate = "200/s"
for = "60s"
"#;

pub(super) struct Calm {
    pub(super) requests: u64,
    pub(super) spent: Spent,
    simulated: Duration,
    pub(super) tally: Tally,
}

impl Calm {
    pub(super) fn measure(with_trace: bool) -> miette::Result<Calm> {
        let scenario = Scenario::parse("bench", SCENARIO)?;
        let options = Options { source: "bench".into(), without_trace: !with_trace, ..Options::default() };
        let (finished, spent) = measured(|| trial::run(&scenario, 1, &options));
        if !finished.is_as_expected() {
            let why = finished.run.disappointments().join("; ");
            return Err(miette!("the fault-free run is not as expected: {why}"));
        }
        let simulated = finished.run.stats.simulated;
        Ok(Calm { requests: requests(&finished.tally), spent, simulated, tally: finished.tally })
    }

    pub(super) fn faster(self, other: Calm) -> Calm {
        if other.spent.cores < self.spent.cores { other } else { self }
    }

    /// What one request takes of a core.
    pub(super) fn each(&self) -> Duration {
        self.spent.cores.div_f64(self.requests.max(1) as f64)
    }

    pub(super) fn simulated_per_real(&self) -> f64 {
        self.simulated.as_secs_f64() / self.spent.wall.as_secs_f64()
    }
}
