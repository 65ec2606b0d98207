//! The warehouse on trial: see the crate's own words for what the environment may say.

use own_tale::forgotten;
use proptest::prelude::*;
use scenarios::{Profile, scenarios};

const TALE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tales/warehouse.toml");

#[test]
fn the_warehouse_keeps_every_promise_of_the_log() {
    trial::assert_scenario_seeds(TALE, 1..=3);
}

#[test]
fn no_confirmed_order_is_forgotten() {
    trial::assert_scenario_with(TALE, 1..=3, |finished| {
        let forgotten = forgotten(&finished.history);
        if forgotten.is_empty() { Ok(()) } else { Err(format!("confirmed, and never picked up: {forgotten:?}")) }
    });
}

#[test]
fn whatever_goes_wrong_the_promises_hold() {
    trial::assert_random(Profile::Nodes, 1..=2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// A property test of one's own over random scenarios, which proptest makes smaller.
    #[test]
    fn no_order_is_forgotten_in_any_network(scenario in scenarios(Profile::Network)) {
        let finished = trial::run(&scenario, 1, &trial::Options::default());
        prop_assert!(finished.is_as_expected(), "{:?}\n{}", finished.run.disappointments(), scenario.to_toml());
        prop_assert!(forgotten(&finished.history).is_empty(), "{}", scenario.to_toml());
    }
}
