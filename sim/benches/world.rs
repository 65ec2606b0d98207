//! What the world costs: an echo on our network beside a bare one on madsim, and the fingerprint of one fact.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{Event, LeaderEpoch, Offset, PartitionId, TopicId};
use sim::bench::{bare_echo, our_echo};
use sim::digest::fingerprint;

fn echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("echo");
    // A world has a thread of its own, so each sample is one world and as many round trips as are asked for.
    let asked = |round_trips: u64| u32::try_from(round_trips.max(1)).unwrap_or(u32::MAX);
    let told = |result: Result<_, String>| result.unwrap_or_else(|error| panic!("{error}"));
    group.bench_function("bare", |bencher| bencher.iter_custom(|round_trips| told(bare_echo(asked(round_trips)))));
    group.bench_function("ours", |bencher| bencher.iter_custom(|round_trips| told(our_echo(asked(round_trips)))));
    group.finish();
}

fn digest(criterion: &mut Criterion) {
    let (partition, epoch) = (PartitionId { topic: TopicId(7), index: 0 }, LeaderEpoch(1));
    let event = Event::Appended { partition, epoch, base: Offset(1), end: Offset(2), crc: 3 };
    criterion.bench_function("fingerprint of a fact", |bencher| bencher.iter(|| fingerprint(black_box(&event))));
}

criterion_group!(benches, echo, digest);
criterion_main!(benches);
