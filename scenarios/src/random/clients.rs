//! Random work: topics, and who writes and reads them.
//!
//! In the mean four clients and several hundred records a second are asked for, so that well over a hundred requests a second are
//! under way whenever a fault strikes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::pace::{LENGTH, span};
use crate::client::{Acks, Consumer, Producer, ReadFrom, Sleep};
use crate::cluster::Topic;
use crate::words::{Chance, Range, Rate};

const NAMES: [&str; 2] = ["orders", "payments"];

/// Records a second of one who sends large ones: with more, their copies on simulated disks are most of what a run takes of memory.
const LARGE_RATE_MAX: u32 = 100;

pub(super) fn topics() -> impl Strategy<Value = Vec<Topic>> {
    let topic = (1..=3u32, prop_oneof![3 => Just(2), 1 => Just(1)]);
    vec(topic, 1..=NAMES.len()).prop_map(|drawn| {
        let named = drawn.into_iter().zip(NAMES);
        let topic = |((partitions, min_insync_replicas), name): ((u32, u32), &str)| Topic {
            name: name.into(),
            partitions,
            replicas: 3,
            min_insync_replicas,
        };
        named.map(topic).collect()
    })
}

/// One to three. In some scenarios nobody sends again what failed, and in others all are idempotent: then requests follow each other without
/// waiting, and nothing may appear twice.
pub(super) fn producers(topics: &[Topic]) -> impl Strategy<Value = Vec<Producer>> + use<> {
    let topics = topics.to_vec();
    // Each as it likes, or all the same: idempotent, or with so many retries.
    let common = prop_oneof![
        2 => Just(None),
        2 => Just(Some((true, None))),
        1 => Just(Some((false, None))),
        1 => Just(Some((false, Some(0)))),
    ];
    (vec(producer(&topics), 1..=3), common).prop_map(|(mut producers, common)| {
        if let Some((idempotent, retries)) = common {
            producers.iter_mut().for_each(|producer| (producer.idempotent, producer.retries) = (idempotent, retries));
        }
        producers
    })
}

fn producer(topics: &[Topic]) -> impl Strategy<Value = Producer> + use<> {
    let rate = prop_oneof![1 => Just(20), 2 => Just(100), 3 => Just(250), 1 => Just(500)];
    let habits = prop_oneof![1 => Just((true, None)), 1 => Just((false, None)), 1 => Just((false, Some(0)))];
    // Some send what spans sectors of a disk, and nothing else.
    let large =
        prop_oneof![6 => Just(None), 1 => Just(Some(Chance::percent(50))), 1 => Just(Some(Chance::percent(100)))];
    let drawn = (select(topics.to_vec()), rate, habits, option::of(1..=20u32), large);
    drawn.prop_map(|(topic, rate, habits, keys, large)| Producer {
        topic: topic.name,
        acks: Acks::All,
        idempotent: habits.0,
        rate: Rate::per_second(if large.is_some() { rate.min(LARGE_RATE_MAX) } else { rate }),
        during: None,
        starts: None,
        lasts: Some(Range::exactly(LENGTH)),
        retries: habits.1,
        keys,
        tombstones: None,
        partition: None,
        compression: None,
        large,
        count: 1,
    })
}

/// One to three; a third of them sleeps now and then.
pub(super) fn consumers(topics: &[Topic]) -> impl Strategy<Value = Vec<Consumer>> + use<> {
    let topics: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let sleep = (span(2_000, 9_000), span(500, 5_000)).prop_map(|(every, lasts)| Sleep::Repeated { every, lasts });
    let sleeps = prop_oneof![2 => Just(None), 1 => sleep.prop_map(Some)];
    let consumer = sleeps.prop_map(move |sleeps| Consumer {
        group: None,
        topics: topics.clone(),
        rack: None,
        from: ReadFrom::Earliest,
        during: None,
        starts: None,
        lasts: None,
        sleeps,
        count: 1,
    });
    vec(consumer, 1..=3)
}
