//! How long it takes to read and to judge a long history: `cargo bench -p invariants`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use criterion::{Criterion, criterion_group, criterion_main};
use evidence::Table;

#[path = "../examples/long_history.rs"]
mod long_history;

/// A tenth of what must be judged in two seconds.
const OPERATIONS: u64 = 100_000;

fn check(criterion: &mut Criterion) {
    let mut text = Vec::new();
    long_history::write(&mut text, OPERATIONS).unwrap();
    let table = Table::read(&*text).unwrap();
    let mut group = criterion.benchmark_group("a hundred thousand operations");
    group.sample_size(10);
    group.bench_function("read", |bencher| bencher.iter(|| Table::read(&*text).unwrap()));
    group.bench_function("judge", |bencher| bencher.iter(|| invariants::check(&table)));
    group.finish();
}

criterion_group!(benches, check);
criterion_main!(benches);
