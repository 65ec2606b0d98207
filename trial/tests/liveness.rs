//! What is left of a cluster finds itself: nobody waits for a replica whose records others have as well.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use invariants::Outcome;
use scenarios::catalogue;
use trial::Options;

#[test]
fn a_broker_that_never_comes_back_holds_nobody_up_when_all_fell_silent_together() {
    let tale = catalogue().iter().find(|tale| tale.name() == "everybody-falls-silent").unwrap();
    let scenario = tale.scenario().unwrap();
    for seed in 1..=6 {
        let run = trial::run(&scenario, seed, &Options::default()).run;
        let verdict = run.verdicts.iter().find(|verdict| verdict.promise == "the cluster converges after healing");
        let verdict = verdict.unwrap();
        assert_eq!(verdict.outcome, Outcome::Kept, "seed {seed}: {}", verdict.detail);
    }
}
