//! What the watch costs: the ten facts of one acknowledged batch on three replicas, under every promise.
#![allow(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use evidence::{Claims, Entry, NodeName, What};
use invariants::{Expectations, Watch};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time, TopicId};

const BATCHES: u64 = 1_000;
const PARTITION: PartitionId = PartitionId { topic: TopicId(7), index: 0 };
const EPOCH: LeaderEpoch = LeaderEpoch(1);

/// A trace as three brokers write it when nothing goes wrong.
fn trace() -> Vec<Entry> {
    let names: Vec<NodeName> = (1..=3).map(|number| NodeName(format!("broker {number}").into())).collect();
    let mut facts: Vec<(usize, Event)> = Vec::new();
    for broker in 0..3 {
        facts.push((
            broker,
            Event::PartitionChanged {
                partition: PARTITION,
                leader: Some(BrokerId(1)),
                leader_epoch: EPOCH,
                partition_epoch: PartitionEpoch(0),
                in_sync: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
            },
        ));
    }
    let (log_end, high_watermark) = (Offset(0), Offset(0));
    facts.push((0, Event::BecameLeader { partition: PARTITION, epoch: EPOCH, log_end, high_watermark }));
    for base in 0..BATCHES as i64 {
        let (base, end, crc) = (Offset(base), Offset(base + 1), base as u32);
        for broker in 0..3 {
            facts.push((broker, Event::Appended { partition: PARTITION, epoch: EPOCH, base, end, crc }));
            facts.push((broker, Event::Synced { partition: PARTITION, end }));
        }
        facts.push((0, Event::HighWatermarkAdvanced { partition: PARTITION, epoch: EPOCH, to: end }));
        facts.push((0, Event::Acked { partition: PARTITION, epoch: EPOCH, base, end, acks: -1 }));
        facts.push((1, Event::HighWatermarkAdvanced { partition: PARTITION, epoch: EPOCH, to: end }));
        facts.push((2, Event::HighWatermarkAdvanced { partition: PARTITION, epoch: EPOCH, to: end }));
    }
    let entry = |(index, (broker, event)): (usize, (usize, Event))| Entry {
        index: index as u64,
        time: Time(index as u64 * 1_000),
        node: names[broker].clone(),
        what: What::Witnessed(event),
    };
    facts.into_iter().enumerate().map(entry).collect()
}

fn watch(criterion: &mut Criterion) {
    let trace = trace();
    let mut group = criterion.benchmark_group("watch");
    group.throughput(Throughput::Elements(BATCHES));
    group.bench_function("an acknowledged batch", |bencher| {
        bencher.iter(|| {
            let claims = Claims::default();
            let expectations =
                Expectations { claims, flush_on_commit: true, producers_retry: false, unavailable_at_most: None };
            let mut watch = Watch::new(expectations);
            for entry in &trace {
                let violation = watch.observe(black_box(entry));
                assert_eq!(violation, None);
            }
            watch
        });
    });
    group.finish();
}

criterion_group!(benches, watch);
criterion_main!(benches);
