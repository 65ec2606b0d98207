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
