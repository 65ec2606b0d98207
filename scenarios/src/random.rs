//! Random scenarios, swarm style: each enables some kinds of fault, at an intensity of its own, and leaves the others out.
//!
//! Drawn from a stream of their own and by nothing else, so that a seed keeps its scenario. Whatever is drawn, a cluster that
//! keeps its promises must survive it: disks sync before an answer, and no machine is lost for good.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::client::{Acks, Consumer, Producer, ReadFrom, Sleep};
use crate::cluster::{Cluster, ConfigValue, FlushPolicy, Topic};
use crate::expect::Expect;
use crate::fault::{
    Clients, Clock, ClockFault, Cut, Direction, Fault, FaultKind, Lossy, NetworkFault, NodeFault, Slow, When,
};
use crate::scenario::Scenario;
use crate::words::{Chance, ClockOffset, PartitionName, Range, Rate, Selector, WordError, nearest};

/// What a random scenario may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Crashes, power loss, restarts, pauses, and everything that a network does.
    #[default]
    Standard,
    /// Nothing goes wrong.
    Calm,
    /// Crashes, power loss, restarts and pauses.
    Nodes,
    /// Partitions, holds, slow and lossy links.
    Network,
}

const PROFILES: [(&str, Profile); 4] = [
    ("standard", Profile::Standard),
    ("calm", Profile::Calm),
    ("nodes", Profile::Nodes),
    ("network", Profile::Network),
];

impl std::str::FromStr for Profile {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Profile, WordError> {
        let known = PROFILES.iter().find(|(word, _)| *word == text).map(|(_, profile)| *profile);
        known.ok_or_else(|| {
            let help = match nearest(text, PROFILES.iter().map(|(word, _)| *word)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write standard, calm, nodes or network".into(),
            };
            WordError::new(format!("there is no profile \"{text}\""), help)
        })
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = PROFILES.iter().find(|(_, profile)| profile == self).map_or("", |(word, _)| word);
        f.pad(word)
    }
}

/// Simulated time of a random run's workload.
const LENGTH: Duration = Duration::from_secs(30);

/// The scenario of a seed, always the same for one profile. Its seed is pinned.
pub fn random(seed: u64, profile: Profile) -> Scenario {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let brokers = dice.pick(&[3, 3, 3, 4, 5]);
    let cluster = Cluster {
        brokers,
        controllers: if dice.one_in(5) { 3 } else { 0 },
        flush_policy: FlushPolicy::Commit,
        duration: None,
        config: if dice.one_in(2) { impatient() } else { BTreeMap::new() },
    };
    let topics: Vec<Topic> = (0..=dice.below(2)).map(|number| topic(&mut dice, number)).collect();
    let producers: Vec<Producer> = (0..=dice.below(3)).map(|_| producer(&mut dice, &topics)).collect();
    let consumers = (0..=dice.below(2)).map(|_| consumer(&mut dice, &topics)).collect();
    let kinds: &[Kind] = match profile {
        Profile::Standard => &ALL_KINDS,
        Profile::Calm => &[],
        Profile::Nodes => &ALL_KINDS[..4],
        Profile::Network => &ALL_KINDS[4..8],
    };
    // Swarm: a coin for each kind, so that one kind cannot always hide another. A run with no fault left gets one.
    let mut enabled: Vec<Kind> = kinds.iter().copied().filter(|_| dice.one_in(2)).collect();
    if enabled.is_empty() && !kinds.is_empty() {
        enabled.push(dice.pick(kinds));
    }
    let faults = enabled.into_iter().map(|kind| fault(&mut dice, kind, &topics)).collect();
    Scenario {
        title: format!("Random scenario {seed} of the {profile} profile"),
        teaches: "Whatever the world does, the promises hold.".into(),
        seed: Some(seed),
        cluster,
        topics,
        producers,
        consumers,
        faults,
        expect: Expect::default(),
    }
}

/// Timeouts so short that most faults outlast them; with the usual ones, most are over before anybody is given up.
fn impatient() -> BTreeMap<String, ConfigValue> {
    let short = [
        ("broker.heartbeat.interval.ms", 300),
        ("broker.session.timeout.ms", 1500),
        ("replica.lag.time.max.ms", 1500),
        ("controller.quorum.election.timeout.ms", 500),
        ("controller.quorum.fetch.timeout.ms", 1000),
    ];
    short.into_iter().map(|(key, milliseconds)| (key.into(), ConfigValue::Number(milliseconds))).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Crash,
    PowerLoss,
    Restart,
    Pause,
    Partition,
    Hold,
    Slow,
    Lossy,
    Clock,
}

const ALL_KINDS: [Kind; 9] = [
    Kind::Crash,
    Kind::PowerLoss,
    Kind::Restart,
    Kind::Pause,
    Kind::Partition,
    Kind::Hold,
    Kind::Slow,
    Kind::Lossy,
    Kind::Clock,
];

fn topic(dice: &mut Dice, number: u32) -> Topic {
    Topic {
        name: ["orders", "payments"][number as usize % 2].into(),
        partitions: 1 + dice.below(3),
        replicas: 3,
        min_insync_replicas: dice.pick(&[2, 2, 2, 1]),
    }
}

fn producer(dice: &mut Dice, topics: &[Topic]) -> Producer {
    let topic = &topics[dice.below(topics.len() as u32) as usize];
    Producer {
        topic: topic.name.clone(),
        acks: Acks::All,
        idempotent: false,
        rate: Rate::per_second(dice.pick(&[5, 20, 50, 100])),
        starts: None,
        lasts: Some(Range::exactly(LENGTH)),
        retries: dice.pick(&[None, None, Some(0)]),
        keys: if dice.one_in(2) { Some(1 + dice.below(20)) } else { None },
        partition: None,
        count: 1,
    }
}

fn consumer(dice: &mut Dice, topics: &[Topic]) -> Consumer {
    let sleeps = match dice.below(3) {
        0 => Some(Sleep::Repeated { every: dice.span(2_000, 9_000), lasts: dice.span(500, 5_000) }),
        _ => None,
    };
    Consumer {
        group: None,
        topics: topics.iter().map(|topic| topic.name.clone()).collect(),
        from: ReadFrom::Earliest,
        starts: None,
        lasts: None,
        sleeps,
        count: 1,
    }
}

fn fault(dice: &mut Dice, kind: Kind, topics: &[Topic]) -> Fault {
    // Intensity: rarely, now and then, or all the time.
    let pace = dice.pick(&[2_000, 5_000, 10_000]);
    let when = When::Every {
        every: dice.span(pace / 2, pace * 2),
        between: Some(Range::between(Duration::from_secs(2), Duration::from_secs(24))),
    };
    let lasts = dice.span(200, 6_000);
    let someone = aim(dice, topics);
    let kind = match kind {
        Kind::Crash => FaultKind::Node(NodeFault::Crash(someone)),
        Kind::PowerLoss if dice.one_in(5) => FaultKind::Node(NodeFault::PowerLoss(Selector::AllNodes)),
        Kind::PowerLoss => FaultKind::Node(NodeFault::PowerLoss(someone)),
        Kind::Restart => FaultKind::Node(NodeFault::Restart(someone)),
        Kind::Pause => FaultKind::Node(NodeFault::Pause(someone)),
        Kind::Partition => FaultKind::Network(NetworkFault::Partition(cut(dice, someone))),
        Kind::Hold => FaultKind::Network(NetworkFault::Hold(cut(dice, someone))),
        Kind::Slow => {
            let latency = dice.span(10, 400);
            FaultKind::Network(NetworkFault::Slow(Slow { of: someone, to: None, latency, direction: dice.direction() }))
        }
        Kind::Lossy => {
            let loss = Chance::percent(1 + dice.below(20));
            FaultKind::Network(NetworkFault::Lossy(Lossy { of: someone, to: None, loss, direction: dice.direction() }))
        }
        Kind::Clock => {
            let seconds = 1_000_000_000 * (1 + i64::from(dice.below(3600)));
            FaultKind::Clock(ClockFault::Offset(Clock {
                of: someone,
                offset: ClockOffset { from: -seconds, to: seconds },
            }))
        }
    };
    Fault { when, kind, lasts: Some(lasts) }
}

fn cut(dice: &mut Dice, someone: Selector) -> Cut {
    let split = match dice.below(3) {
        0 => Selector::RandomMinority,
        1 => Selector::RandomMajority,
        _ => someone,
    };
    let clients = dice.pick(&[Clients::ReachBoth, Clients::StayWithOthers]);
    let direction = dice.direction();
    // Sometimes only one link of the many is cut.
    if dice.one_in(4) {
        return Cut { split, from: Some(Selector::RandomBroker), direction, clients: Clients::ReachBoth };
    }
    Cut { split, from: None, direction, clients }
}

/// Faults that are aimed find more than faults that are strewn.
fn aim(dice: &mut Dice, topics: &[Topic]) -> Selector {
    let topic = &topics[dice.below(topics.len() as u32) as usize];
    let partition = PartitionName { topic: topic.name.clone(), index: dice.below(topic.partitions) };
    match dice.below(6) {
        0 | 1 => Selector::RandomBroker,
        2 | 3 => Selector::LeaderOf(partition),
        4 => Selector::FollowerOf(partition),
        _ => Selector::Controller,
    }
}

/// Draws of one stream.
struct Dice(ChaCha8Rng);

impl Dice {
    /// A number from 0, below `end`.
    fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// A range within these bounds, in milliseconds and in round numbers: people will read it.
    fn span(&mut self, min_ms: u32, max_ms: u32) -> Range {
        let step = if max_ms < 1_000 { 10 } else { 100 };
        let steps = (max_ms - min_ms) / step + 1;
        let (one, other) = (min_ms + step * self.below(steps), min_ms + step * self.below(steps));
        let span = |ms: u32| Duration::from_millis(u64::from(ms));
        Range::between(span(one.min(other)), span(one.max(other)))
    }

    fn direction(&mut self) -> Direction {
        self.pick(&[Direction::Both, Direction::Both, Direction::In, Direction::Out])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_scenario_is_a_scenario_file() {
        for (_, profile) in PROFILES {
            for seed in 0..300 {
                let scenario = random(seed, profile);
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
    fn every_kind_of_fault_is_drawn_and_none_is_always_there() {
        let keys =
            |seed| random(seed, Profile::Standard).faults.iter().map(|fault| fault.kind.key()).collect::<Vec<_>>();
        for kind in ["crash", "power_loss", "restart", "pause", "partition", "hold", "slow", "lossy", "clock"] {
            let with = (0..200).filter(|seed| keys(*seed).contains(&kind)).count();
            assert!((50..150).contains(&with), "{kind} is in {with} of 200");
        }
        assert!((0..50).all(|seed| random(seed, Profile::Calm).faults.is_empty()));
        let network = |key: &&str| ["partition", "hold", "slow", "lossy"].contains(key);
        assert!(
            (0..50)
                .all(|seed| { random(seed, Profile::Network).faults.iter().all(|fault| network(&fault.kind.key())) })
        );
    }
}
