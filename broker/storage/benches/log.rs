//! How fast a log on this machine's disk appends, is read, and recovers. Syncs are not in it: they measure the device.
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/log/batch.rs"]
mod batch;
#[allow(dead_code, reason = "tests read records again, a bench does not")]
#[path = "../tests/log/keyed.rs"]
mod keyed;

use std::hint::black_box;

use batch::batch;
use compression::Compression;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use host::Host;
use host::real::{RealDisk, RealHost};
use keyed::{Keyed, keyed_batch};
use model::{LeaderEpoch, Offset, Timestamp};
use storage::{CleanupPolicy, Log, LogConfig, Step};
use tokio::runtime::{Builder, Runtime};

const RECORDS: usize = 100;
const BATCHES: usize = 4_000;
/// One record's value, as small messages have it.
const VALUE_BYTES: usize = 100;

struct Bench {
    runtime: Runtime,
    host: RealHost,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let host = runtime.block_on(async { RealHost::new(directory.path()).unwrap() });
        Bench { runtime, host, _directory: directory }
    }

    fn open(&self, name: &str) -> Log<RealDisk> {
        self.runtime.block_on(Log::open(self.host.disk(), name, LogConfig::default())).unwrap().0
    }

    /// A log of `BATCHES` batches.
    fn filled(&self, name: &str) -> Log<RealDisk> {
        let mut log = self.open(name);
        for at in 0..BATCHES {
            log.append(&batch((at * RECORDS) as i64, 1, RECORDS, VALUE_BYTES)).unwrap();
        }
        log
    }
}

fn size() -> u64 {
    batch(0, 1, RECORDS, VALUE_BYTES).len() as u64
}

fn append(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Bytes(size()));
    let mut log = bench.open("append");
    let mut bytes = batch(0, 1, RECORDS, VALUE_BYTES);
    group.bench_function("one batch of 100 records", |bencher| {
        bencher.iter(|| {
            // Room on the bench's disk has an end.
            if log.end() >= Offset((10 * BATCHES * RECORDS) as i64) {
                log.truncate_to(Offset::ZERO).unwrap();
            }
            model::patch_batch(&mut bytes, log.end(), LeaderEpoch(1));
            log.append(&bytes).unwrap();
        });
    });
    group.finish();
}

fn fetch(criterion: &mut Criterion) {
    let bench = Bench::new();
    let log = bench.filled("fetch");
    let mut group = criterion.benchmark_group("fetch");
    group.throughput(Throughput::Bytes(size()));
    let mut from = 0;
    group.bench_function("one batch, anywhere", |bencher| {
        bencher.iter(|| {
            // A stride that visits all of the log in no order that a disk would like.
            from = (from + 7_919 * 31) % log.end().0;
            black_box(log.read(Offset(from), log.end(), 1).unwrap())
        });
    });
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("a megabyte", |bencher| {
        bencher.iter(|| {
            from = (from + 7_919 * 31) % (log.end().0 / 2);
            black_box(log.read(Offset(from), log.end(), 1 << 20).unwrap())
        });
    });
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    let bench = Bench::new();
    drop(bench.filled("unclean"));
    let mut clean = bench.filled("clean");
    let pending = clean.begin_close();
    let done = bench.runtime.block_on(pending.run()).unwrap();
    let _ = clean.finish_sync(done);
    drop(clean);

    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(size() * BATCHES as u64));
    group.bench_function("after a crash", |bencher| bencher.iter(|| black_box(bench.open("unclean"))));
    group.bench_function("after an orderly stop", |bencher| bencher.iter(|| black_box(bench.open("clean"))));
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let bench = Bench::new();
    let log = bench.filled("lookup");
    let mut at = 0;
    criterion.benchmark_group("lookup").bench_function("the first record at a time, anywhere", |bencher| {
        bencher.iter(|| {
            at = (at + 7_919 * 31) % log.end().0;
            black_box(log.offset_for_time(Timestamp(1_000 + at)).unwrap())
        });
    });
}

/// A log of 200 keys whose values are replaced a hundred times, in files of a megabyte.
fn replaced(bench: &Bench, name: &str) -> Log<RealDisk> {
    let config = LogConfig { segment_bytes: 1 << 20, cleanup_policy: CleanupPolicy::Compact, ..LogConfig::default() };
    let mut log = bench.runtime.block_on(Log::open(bench.host.disk(), name, config)).unwrap().0;
    for at in 0..200i64 {
        let record = |key| Keyed { key: Some(key), value: Some(vec![b'.'; VALUE_BYTES]), timestamp: 1_000 + at };
        let keys = if at % 2 == 0 { 0..100 } else { 100..200 };
        let records: Vec<Keyed> = keys.map(record).collect();
        log.append(&keyed_batch(at * RECORDS as i64, 1, &records, Compression::None, None)).unwrap();
    }
    let pending = log.begin_sync().unwrap();
    let _ = log.finish_sync(bench.runtime.block_on(pending.run()).unwrap());
    log
}

fn compact(bench: &Bench, mut log: Log<RealDisk>) {
    let mut compaction = log.begin_compaction(Timestamp(10_000), log.end(), 128 << 20).unwrap();
    loop {
        match compaction.step().unwrap() {
            Step::Worked { .. } => {}
            Step::Ready(pending) => assert!(log.swap(bench.runtime.block_on(pending.run()).unwrap()).unwrap()),
            Step::Done => break,
        }
    }
    log.finish_compaction(bench.runtime.block_on(compaction.keep()).unwrap()).unwrap();
}

fn compaction(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("compaction");
    group.sample_size(10);
    let mut number = 0;
    let mut next = || {
        number += 1;
        replaced(&bench, &format!("compaction-{number}"))
    };
    group.throughput(Throughput::Elements(200 * RECORDS as u64));
    group.bench_function("two hundred keys, replaced a hundred times", |bencher| {
        bencher.iter_batched(&mut next, |log| compact(&bench, log), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, append, fetch, lookup, recovery, compaction);
criterion_main!(benches);
