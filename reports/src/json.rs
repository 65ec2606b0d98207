//! The run as one JSON object, for programs.

use invariants::compare;
use serde::Serialize;
use serde_json::{Value, json};

use crate::run::Run;

#[derive(Serialize)]
struct Promise<'a> {
    name: &'a str,
    verdict: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
}

/// `scenario, seed, digest, promises, reached, simulated_ms, wall_ms, events`, and what else a program may ask for.
pub fn json(run: &Run) -> Value {
    let promises: Vec<Promise<'_>> = run
        .verdicts
        .iter()
        .map(|verdict| Promise {
            name: verdict.promise,
            verdict: verdict.outcome.name(),
            detail: &verdict.detail,
            event: verdict.at,
        })
        .collect();
    let disappointments = run.disappointments();
    json!({
        "scenario": run.source,
        "title": run.scenario.title,
        "seed": run.seed,
        "digest": run.digest,
        "as_expected": disappointments.is_empty(),
        "disappointments": disappointments,
        "promises": promises,
        "comparison": compare(&run.verdicts),
        "reached": run.reached,
        "points": run.points,
        "simulated_ms": milliseconds(run.stats.simulated),
        "wall_ms": milliseconds(run.stats.wall),
        "events": run.stats.events,
        "acknowledged": run.stats.acknowledged,
        "consumed": run.stats.consumed,
        "replay": run.replay,
    })
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
