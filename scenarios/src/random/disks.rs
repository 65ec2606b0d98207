//! Random disks: in some runs brokers keep their logs in several directories, as on so many disks, and lose one of them.
//!
//! Disks that are strewn with faults show that a broker goes on with the others. What metadata knows of directories shows when the power of
//! all brokers fails and one is back with a new disk: by its name it is in sync as it always was. The controller falls too, so that
//! the next one misses all of them at once, and none outlives the others in the in-sync set.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::aim::{partition, server};
use super::changes::do_voters_change;
use super::knobs;
use super::pace::{once, paced};
use crate::cluster::{ConfigValue, Topic};
use crate::fault::{Atlas, DeadDisk, DiskError, DiskFault, Fault, FaultKind, NodeFault, Operation, Wiped};
use crate::scenario::Scenario;
use crate::words::{Chance, LogDir, PartitionName, Selector};

/// Directories of each broker. The first has the metadata, too.
const COUNTS: &[u32] = &[2, 2, 3];

/// Who is gone is given up before it is back.
const PATIENCE: &[&[(&str, i64)]] = &[
    &[
        ("broker.heartbeat.interval.ms", 100),
        ("broker.session.timeout.ms", 500),
        ("controller.quorum.election.timeout.ms", 300),
        ("controller.quorum.fetch.timeout.ms", 700),
    ],
    &[
        ("broker.heartbeat.interval.ms", 300),
        ("broker.session.timeout.ms", 1_500),
        ("controller.quorum.election.timeout.ms", 500),
        ("controller.quorum.fetch.timeout.ms", 1_000),
    ],
];

/// On nodes of their own: they outlive the brokers.
const CONTROLLERS: u32 = 3;

const BLACKOUTS: usize = 2;

/// Milliseconds: when the first loss of power comes, and how long after it the next one does.
const FIRST: std::ops::RangeInclusive<u64> = 3_000..=6_000;
const NEXT: u64 = 9_000;

/// Milliseconds: for how long the one is dark at least whose disk is replaced, for how long the others are, and the controller.
const REPLACED_IN: std::ops::RangeInclusive<u64> = 500..=3_000;
const DARK: std::ops::RangeInclusive<u64> = 2_500..=7_000;
const UNCONTROLLED: u64 = 1_000;

/// What random disks add to a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    /// None: one, as mostly.
    log_dirs: Option<u32>,
    config: BTreeMap<String, ConfigValue>,
    strewn: Vec<Fault>,
    blackouts: Vec<Fault>,
}

pub(super) fn disks(topics: &[Topic]) -> BoxedStrategy<Disks> {
    let topics = topics.to_vec();
    let disks = select(COUNTS).prop_flat_map(move |count| {
        let strewn = vec(of_one(&topics, count), 1..=2);
        let strewn = strewn.prop_map(move |strewn| Disks { log_dirs: Some(count), strewn, ..Disks::default() });
        let dark = (select(PATIENCE), blackouts(&topics, count)).prop_map(move |(patience, blackouts)| {
            let config = knobs(patience);
            Disks { log_dirs: Some(count), config, blackouts, ..Disks::default() }
        });
        prop_oneof![1 => strewn, 1 => dark]
    });
    prop_oneof![5 => Just(Disks::default()), 1 => disks].boxed()
}

/// A fault of one directory. Mostly not of the first: without the metadata a broker stops.
fn of_one(topics: &[Topic], count: u32) -> impl Strategy<Value = Fault> + use<> {
    let any = prop_oneof![1 => Just(1), 5 => 2..=count];
    let on = select(&[Operation::Read, Operation::Write, Operation::Sync][..]);
    let chance = prop_oneof![2 => Just(None), 1 => (1..=30u32).prop_map(|percent| Some(Chance::percent(percent)))];
    let dead = (server(topics), any.clone())
        .prop_map(|(of, number)| DiskFault::Dead(DeadDisk { of, log_dir: Some(LogDir::Number(number)) }));
    let error = (server(topics), any, on, chance).prop_map(|(of, number, on, chance)| {
        DiskFault::Error(DiskError { of, log_dir: Some(LogDir::Number(number)), on, chance })
    });
    let wiped = (server(topics), 2..=count).prop_map(|(of, number)| replaced(of, LogDir::Number(number)));
    paced(prop_oneof![2 => dead, 1 => error, 1 => wiped].prop_map(FaultKind::Disk))
}

fn replaced(of: Selector, log_dir: LogDir) -> DiskFault {
    DiskFault::Wiped(Wiped { of, log_dir: Some(log_dir), atlas: Atlas::On })
}

/// The power of all brokers fails, again and again, and one comes back with a new disk.
fn blackouts(topics: &[Topic], count: u32) -> impl Strategy<Value = Vec<Fault>> + use<> {
    let blackout = (partition(topics), 2..=count, REPLACED_IN, DARK);
    (FIRST, vec(blackout, BLACKOUTS)).prop_map(|(first, blackouts)| {
        let millis = |millis: u64| Duration::from_millis(millis / 100 * 100);
        let round = |(round, (partition, number, replaced_in, dark)): (u64, Blackout)| {
            let at = millis(first + round * NEXT);
            let disk = replaced(Selector::LeaderOf(partition), LogDir::Number(number));
            let (controller, brokers) =
                (NodeFault::Crash(Selector::Controller), NodeFault::PowerLoss(Selector::AllBrokers));
            [
                once(FaultKind::Node(controller), at, millis(UNCONTROLLED)),
                once(FaultKind::Disk(disk), at, millis(replaced_in)),
                once(FaultKind::Node(brokers), at, millis(dark)),
            ]
        };
        (0..).zip(blackouts).flat_map(round).collect()
    })
}

/// A partition whose leader's disk is replaced, which one, and for how long that broker and the others are dark.
type Blackout = (PartitionName, u32, u64, u64);

impl Disks {
    /// Where the power of all brokers fails, hardly anything else does; and not where voters change: others would have their numbers.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        let Some(log_dirs) = self.log_dirs else { return };
        scenario.cluster.log_dirs = log_dirs;
        scenario.cluster.config.extend(self.config);
        scenario.faults.extend(self.strewn);
        if !self.blackouts.is_empty() && !do_voters_change(scenario) {
            scenario.cluster.controllers = CONTROLLERS;
            scenario.faults.truncate(1);
            scenario.faults.extend(self.blackouts);
        }
    }
}
