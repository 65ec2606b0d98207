//! What a node tells those who watch over it: what it counts as it goes, and, when somebody asks, how things stand.
//!
//! Names are those under which Prometheus knows Kafka's own (the JMX exporter's, in lower case), so that dashboards carry over.
//! docs/metrics.md lists them.

mod endpoint;
mod request;
mod scrape;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use model::Time;
use prometheus_client::metrics::histogram::Histogram;
use protocol::SUPPORTED;

pub(crate) use self::endpoint::serve;

/// Upper bounds of the classes of durations that are counted together, in seconds.
const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a node counts over its life.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// From the arrival of a request to the departure of its answer, by API key: a fetch's patience is part of it.
    requests: BTreeMap<i16, Histogram>,
    /// How long syncs of partitions' logs took.
    flushes: Histogram,
    /// Connections that are open.
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_refused: Count,
    /// How often the in-sync set of a partition that this node leads became smaller, and larger.
    pub(crate) in_sync_shrinks: Count,
    pub(crate) in_sync_expands: Count,
    /// How often this node was made leader without having been in sync.
    pub(crate) unclean_elections: Count,
    pub(crate) cleaner: Cleaner,
}

/// What the cleaner did, and found when it last looked for a log to compact.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    pub(crate) runs: Count,
    pub(crate) read_bytes: Count,
    /// Nanoseconds of the host's time.
    looked: AtomicU64,
    max_dirty_percent: AtomicUsize,
    uncleanable: AtomicUsize,
}

impl Cleaner {
    /// It looked, and found the dirtiest log to be due, if any; others it leaves alone, since their records make no sense.
    pub(crate) fn looked(&self, now: Time, dirtiest: Option<f64>, uncleanable: usize) {
        self.looked.store(now.0, Ordering::Relaxed);
        self.max_dirty_percent.store((dirtiest.unwrap_or(0.0) * 100.0) as usize, Ordering::Relaxed);
        self.uncleanable.store(uncleanable, Ordering::Relaxed);
    }

    /// How dirty the dirtiest log was, in percent; how many are left alone; when that was.
    fn last_look(&self) -> (usize, usize, Time) {
        let [percent, uncleanable] =
            [&self.max_dirty_percent, &self.uncleanable].map(|seen| seen.load(Ordering::Relaxed));
        (percent, uncleanable, Time(self.looked.load(Ordering::Relaxed)))
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let histogram = || Histogram::new(BOUNDS);
        Metrics {
            requests: SUPPORTED.iter().map(|api| (api.key as i16, histogram())).collect(),
            flushes: histogram(),
            connections: AtomicUsize::new(0),
            connections_refused: Count::default(),
            in_sync_shrinks: Count::default(),
            in_sync_expands: Count::default(),
            unclean_elections: Count::default(),
            cleaner: Cleaner::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, api_key: i16, took: Duration) {
        if let Some(histogram) = self.requests.get(&api_key) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn flushed(&self, took: Duration) {
        self.flushes.observe(took.as_secs_f64());
    }
}

/// What came into one partition's log and was read from it, in this node's life.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// From producers.
    pub(crate) records_in: Count,
    pub(crate) bytes_in: Count,
    /// To consumers.
    pub(crate) bytes_out: Count,
    /// From the leader that it follows, and to followers.
    pub(crate) replication_bytes_in: Count,
    pub(crate) replication_bytes_out: Count,
}
