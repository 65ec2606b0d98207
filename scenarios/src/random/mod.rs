//! Random scenarios, swarm style: each enables some kinds of fault, at intensities of its own, and leaves the others out.
//!
//! ```text
//! scenarios(profile): a proptest strategy          random(seed, profile): its sample for a seed, with the seed pinned
//!   cluster   how many brokers, who votes, how patient they are
//!   keeping   what logs keep: everything, what is new, the last value of each key
//!   clients   topics, and who writes and reads them
//!   changes   what an administrator does meanwhile
//!   faults    by family: node, network, disk, clock        pace   how often, and for how long        aim   at whom
//!   seldom    what most scenarios have nothing of
//!     quorum   who votes, and controllers that fall        handover   leaders that are back as others go
//!     racks    whom readers read from                      packing    codecs
//!     moving   moves that are held back                    losing     elections that lose records with leave
//!     disks    several log directories a broker            releases   nodes of two releases, and levels that change
//!     remaking topics that are made again behind a broker's back            stops      orderly ones, followed by many that are not
//!     voters   a quorum that is replaced whole
//! ```
//! Whatever is drawn, a cluster that keeps its promises must survive it: disks sync before an answer, and no machine is lost
//! for good.

mod aim;
mod changes;
mod clients;
mod cluster;
mod disks;
mod faults;
mod handover;
mod keeping;
mod losing;
mod moving;
mod pace;
mod packing;
mod profile;
mod quorum;
mod racks;
mod releases;
mod remaking;
mod seldom;
mod stops;
mod voters;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use self::profile::Profile;
use crate::change::{AlterTopic, Change, ChangeKind};
use crate::cluster::{Cluster, ConfigValue, Topic};
use crate::expect::{Claims, Expect};
use crate::quiet::Quiet;
use crate::scenario::{Format, Scenario};
use crate::words::{Range, Selector};

/// Milliseconds: when the first faults come, and while there is time to see what comes of a change.
const CHANGES_FROM: u32 = 3_000;
const CHANGES_TO: u32 = 22_000;

/// The scenario of a seed: the same on every machine, as long as nothing here changes. Its seed is pinned.
///
/// # Panics
/// Never: no strategy here rejects what it drew.
pub fn random(seed: u64, profile: Profile) -> Scenario {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(b"scenario");
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, chance);
    let drawn = scenarios(profile).new_tree(&mut runner);
    let mut scenario = drawn.unwrap_or_else(|reason| panic!("a strategy rejects: {reason}")).current();
    scenario.title = format!("Random scenario {seed} of the {profile} profile");
    scenario.seed = Some(seed);
    scenario
}

/// Scenarios of a profile, for property tests of one's own: `proptest! { fn holds(scenario in scenarios(Profile::Standard)) { … } }`.
pub fn scenarios(profile: Profile) -> impl Strategy<Value = Scenario> {
    (cluster::clusters(), clients::topics()).prop_flat_map(move |(cluster, topics)| {
        let clients = (clients::producers(&topics), clients::consumers(&topics));
        // What comes last moves no other draw.
        let rest =
            (faults::faults(profile, &topics), quiet(profile), changes(profile, &cluster, &topics), keeping::keeping());
        let seldom = seldom::seldom(profile, &cluster, &topics);
        (clients, rest, seldom).prop_map(move |((producers, consumers), (faults, quiet, changes, keeping), seldom)| {
            let mut scenario = Scenario {
                title: format!("A random scenario of the {profile} profile"),
                teaches: "Whatever the world does, the promises hold.".into(),
                format: Format,
                seed: None,
                cluster: keeping.of(cluster.clone()),
                phases: Vec::new(),
                claims: Claims::default(),
                topics: topics.clone(),
                producers: keeping.producers(producers),
                consumers,
                faults,
                changes: keeping.changes(&topics),
                quiet,
                expect: Expect::default(),
            };
            seldom.add_to(&mut scenario);
            changes::add_to(&mut scenario, changes);
            if profile == Profile::Long {
                pace::stretch(&mut scenario);
            }
            scenario
        })
    })
}

/// Only where everything may happen.
fn changes(profile: Profile, cluster: &Cluster, topics: &[Topic]) -> BoxedStrategy<Vec<Change>> {
    match profile {
        Profile::Standard | Profile::Long => changes::changes(cluster.brokers, topics),
        Profile::Calm | Profile::Nodes | Profile::Network | Profile::Disk => Just(Vec::new()).boxed(),
    }
}

/// A topic is told these settings.
fn told<const N: usize>(topic: &str, at: Range, settings: [(&str, &str); N]) -> Change {
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Change { at, kind: ChangeKind::AlterTopic(AlterTopic { topic: topic.to_owned(), settings }) }
}

/// Configuration of every node.
fn knobs(turned: &[(&str, i64)]) -> BTreeMap<String, ConfigValue> {
    turned.iter().map(|&(key, value)| (key.to_owned(), ConfigValue::Number(value))).collect()
}

/// Mostly some are left broken while the rest must find itself.
fn quiet(profile: Profile) -> impl Strategy<Value = Quiet> {
    let minority = || vec![Selector::RandomMinority];
    let leave = match profile {
        Profile::Calm => Just(Vec::new()).boxed(),
        _ => prop_oneof![
            2 => Just(Vec::new()),
            4 => Just(minority()),
            1 => Just(vec![Selector::Controller]),
            1 => Just([minority(), vec![Selector::Controller]].concat()),
        ]
        .boxed(),
    };
    leave.prop_map(|leave| Quiet { leave, within: None })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::fault::{Fault, FaultKind, NodeFault};

    #[test]
    fn every_random_scenario_is_a_scenario_file() {
        for profile in Profile::ALL {
            for seed in 0..1_200 {
                let scenario = random(seed, *profile);
                let text = scenario.to_toml();
                match Scenario::parse("random.toml", &text) {
                    Ok(read) => assert_eq!(read, scenario, "{text}"),
                    Err(error) => panic!("{error}\n{text}"),
                }
            }
        }
    }

    #[test]
    fn a_seed_keeps_its_scenario() {
        insta::assert_snapshot!(random(7, Profile::Standard).to_toml());
    }

    #[test]
    fn every_kind_of_a_profile_is_drawn_and_none_is_always_there() {
        for profile in Profile::ALL {
            let mut with: BTreeMap<&str, usize> = BTreeMap::new();
            for seed in 0..1_200 {
                let Scenario { faults, cluster, .. } = random(seed, *profile);
                // Of one disk of several more can be said.
                let faults = faults.iter().filter(|_| cluster.log_dirs == 1);
                let kinds: BTreeSet<&str> = faults.map(|fault| fault.kind.key()).collect();
                kinds.into_iter().for_each(|kind| *with.entry(kind).or_default() += 1);
            }
            let kinds = faults::kinds(*profile);
            assert_eq!(with.len(), kinds, "{profile}: {with:?}");
            let is_fair = |count: &usize| *count >= 16 && (*count <= 900 || kinds == 1);
            assert!(with.values().all(is_fair), "{profile}: {with:?}");
        }
    }

    #[test]
    fn a_run_without_faults_is_drawn_by_the_calm_profile_alone() {
        for profile in Profile::ALL {
            let is_calm = |seed| random(seed, *profile).faults.is_empty();
            assert!((0..100).all(|seed| is_calm(seed) == (*profile == Profile::Calm)), "{profile}");
        }
    }

    #[test]
    fn the_standard_profile_is_four_clients_on_three_brokers_in_the_mean() {
        let drawn: Vec<Scenario> = (0..400).map(|seed| random(seed, Profile::Standard)).collect();
        let mean = |of: &dyn Fn(&Scenario) -> u32| drawn.iter().map(|one| f64::from(of(one))).sum::<f64>() / 400.0;
        let brokers = mean(&|one| one.cluster.brokers);
        let clients = mean(&|one| {
            let producers = one.producers.iter().map(|producer| producer.count);
            producers.chain(one.consumers.iter().map(|consumer| consumer.count)).sum()
        });
        let rate = mean(&|one| one.producers.iter().map(|producer| producer.rate.count * producer.count).sum());
        assert!((3.0..3.5).contains(&brokers), "{brokers} brokers");
        assert!((3.7..4.5).contains(&clients), "{clients} clients");
        assert!((250.0..450.0).contains(&rate), "{rate} records a second");
    }

    fn is_stop_of_all(fault: &Fault) -> bool {
        matches!(&fault.kind, FaultKind::Node(NodeFault::Restart(Selector::AllBrokers)))
    }

    fn is_of_one_directory(fault: &Fault) -> bool {
        matches!(&fault.kind, FaultKind::Disk(fault) if fault.log_dir().is_some())
    }

    #[test]
    fn a_long_run_is_a_standard_one_of_twice_the_time() {
        for seed in 0..100 {
            let (short, long) = (random(seed, Profile::Standard), random(seed, Profile::Long));
            assert_eq!(long.length() - short.length(), Duration::from_secs(30), "some start a little later");
            let kinds =
                |scenario: &Scenario| -> Vec<_> { scenario.faults.iter().map(|fault| fault.kind.key()).collect() };
            assert_eq!(kinds(&short), kinds(&long));
            for (one, other) in short.changes.iter().zip(&long.changes) {
                assert_eq!((one.at.from * 2, one.at.to * 2), (other.at.from, other.at.to));
            }
        }
    }

    #[test]
    fn what_is_seldom_is_drawn_by_the_standard_profile_alone() {
        let counts = |profile| {
            let drawn: Vec<Scenario> = (0..400).map(|seed| random(seed, profile)).collect();
            let count = |has: &dyn Fn(&Scenario) -> bool| drawn.iter().filter(|one| has(one)).count();
            let changes = |is: fn(&ChangeKind) -> bool| count(&|one| one.changes.iter().any(|change| is(&change.kind)));
            [
                ("voters change", changes(|kind| matches!(kind, ChangeKind::AddVoter(_) | ChangeKind::RemoveVoter(_)))),
                ("only some vote", count(&|one| one.cluster.voters.is_some())),
                ("readers stand in racks", count(&|one| one.consumers.iter().any(|consumer| consumer.rack.is_some()))),
                (
                    "producers compress",
                    count(&|one| one.producers.iter().any(|producer| producer.compression.is_some())),
                ),
                ("a throttle is lifted", changes(|kind| matches!(kind, ChangeKind::LiftThrottle(_)))),
                ("claims forgive a loss", count(&|one| one.claims.unclean_election == Some(true))),
                ("brokers have several log directories", count(&|one| one.cluster.log_dirs > 1)),
                ("one directory is lost", count(&|one| one.faults.iter().any(is_of_one_directory))),
                ("levels change", changes(|kind| matches!(kind, ChangeKind::UpdateFeatures(_)))),
                ("nodes are of two releases", count(&|one| one.cluster.config.contains_key("release"))),
                ("a topic is made again", changes(|kind| matches!(kind, ChangeKind::RemakeTopic(_)))),
                ("all brokers stop in order", count(&|one| one.faults.iter().any(is_stop_of_all))),
                ("a quorum is replaced whole", count(&|one| one.cluster.controllers == 6)),
            ]
        };
        for (what, count) in counts(Profile::Standard) {
            assert!((16..=100).contains(&count), "{what} in {count} of 400");
        }
        let others = Profile::ALL.iter().filter(|profile| !matches!(profile, Profile::Standard | Profile::Long));
        for profile in others {
            assert!(counts(*profile).iter().all(|(_, count)| *count == 0), "{profile}");
        }
    }

    proptest! {
        #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

        #[test]
        fn whatever_a_property_test_draws_can_be_written_and_read(scenario in scenarios(Profile::Standard)) {
            let text = scenario.to_toml();
            prop_assert_eq!(Scenario::parse("drawn.toml", &text).map_err(|error| error.to_string()), Ok(scenario));
        }
    }
}
