//! A producer: numbered records at a steady rate, now and then several at once.
//!
//! It waits for its answers before it goes on, as long as its client tries; what was due meanwhile is left out. So a key's records
//! have one order, which readers must see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use client::{Compression, Message, ProducerConfig, RecordHeader, SendError, partition_of_key};
use evidence::{Action, Key, MicroOperation};
use futures_util::future::join_all;
use host::Host;
use model::Time;
use scenarios::{Acks, Codec};
use sim::{SimHost, Stream};

use super::{Ground, Identity, sleep_until};
use crate::stage::ClientLife;

/// One send in so many is of several records.
const BURST_ODDS: u64 = 10;

/// Records that are sent at once at most.
const BURST_MAX: u64 = 5;

/// Of a producer that pipelines: how long after one request the next follows.
const PIPELINE_GAP: Duration = Duration::from_micros(50);

/// One record in so many is large, unless its scenario says otherwise: it spans sectors of a disk, and segments of a network.
const LARGE_ODDS: u64 = 10;
const LARGE_BYTES_MAX: u64 = 4_000;

/// The header that tells the number of a record without a value.
pub(super) const NUMBER: &str = "number";

/// After this a record is given up: longer than an election, shorter than a run.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Values of one producer lie above its number times this.
const VALUES_MAX: i64 = 1_000_000_000;

/// One producer of a run.
#[derive(Clone)]
pub(crate) struct Producing {
    pub(crate) ground: Ground,
    /// Which producer of the run, from 1; no two have the same.
    pub(crate) number: u32,
    pub(crate) plan: scenarios::Producer,
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Chance of this producer alone, from its beginning at each start.
    pub(crate) stream: Stream,
    /// Outlives the process, so that no value comes twice.
    pub(crate) counter: Arc<AtomicU64>,
    pub(crate) life: ClientLife,
}

/// A record to send.
struct Chosen {
    key: Key,
    partition: i32,
    message: Message,
    value: i64,
}

impl Producing {
    pub(crate) async fn run(mut self, host: SimHost) -> Result<(), String> {
        let mut identity = Identity::new(&self.ground.recorder, self.life.clone());
        sleep_until(&host, self.from).await;
        let topic: Arc<str> = self.plan.topic.as_str().into();
        let producer = client::Producer::new(host.clone(), self.config(&host));
        let interval = self.plan.rate.interval();
        let mut due = self.from.max(host.world_time());
        while due < self.to {
            sleep_until(&host, due).await;
            let count = if self.stream.below(BURST_ODDS) == 0 { self.stream.between(2..BURST_MAX + 1) } else { 1 };
            let records: Vec<Chosen> = (0..count).map(|_| self.choose()).collect();
            let asked = records.iter().map(|record| MicroOperation::send(&record.key, record.value)).collect();
            identity.invoke(&host, Action::Send(asked));
            let mut answers = Vec::new();
            for record in &records {
                // With a key the client chooses the partition, and must choose as we did.
                let partition = record.message.key.is_none().then_some(record.partition);
                answers.push(producer.send(&topic, partition, record.message.clone()));
                if self.is_pipelined() {
                    host.sleep(PIPELINE_GAP).await;
                }
            }
            let answers = join_all(answers).await;
            answer(&mut identity, &host, &records, answers);
            due = (due + interval * u32::try_from(count).unwrap_or(1)).max(host.world_time());
        }
        Ok(())
    }

    fn config(&self, host: &SimHost) -> ProducerConfig {
        let mut config = ProducerConfig::new(self.ground.client(host));
        config.acks = match self.plan.acks {
            Acks::All => client::Acks::All,
            Acks::One => client::Acks::Leader,
            Acks::Zero => client::Acks::None,
        };
        config.linger = Duration::ZERO;
        config.compression = match self.plan.compression {
            None => Compression::None,
            Some(Codec::Gzip) => Compression::Gzip,
            Some(Codec::Snappy) => Compression::Snappy,
            Some(Codec::Lz4) => Compression::Lz4,
            Some(Codec::Zstd) => Compression::Zstd,
        };
        config.delivery_timeout = DELIVERY_TIMEOUT;
        config.idempotent = self.plan.idempotent;
        config.retries = self.plan.retries != Some(0);
        if self.is_pipelined() {
            config.in_flight_per_partition_max = config.in_flight_max;
            config.batch_bytes = 1;
        }
        config
    }

    /// Where nothing is sent twice, or brokers know what is, requests may follow each other without waiting.
    fn is_pipelined(&self) -> bool {
        self.plan.retries == Some(0) || self.plan.idempotent
    }

    /// The next record: its value, its key if there are keys, its partition.
    fn choose(&mut self) -> Chosen {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let value = i64::from(self.number) * VALUES_MAX + i64::try_from(count).unwrap_or(i64::MAX);
        let partitions = self.ground.partitions(&self.plan.topic).max(1);
        let mut message = Message::new(value.to_string());
        if let Some(odds) = self.plan.tombstones
            && self.stream.below(u64::from(odds.max(1))) == 0
        {
            message.value = None;
            message.headers.push(RecordHeader { key: NUMBER.into(), value: Some(value.to_string().into()) });
        }
        let is_large = match self.plan.large {
            None => self.stream.below(LARGE_ODDS) == 0,
            Some(chance) => self.stream.chance(chance.as_f64()),
        };
        if is_large {
            let length = usize::try_from(self.stream.below(LARGE_BYTES_MAX)).unwrap_or(0);
            let padding = Bytes::from(vec![b'.'; length]);
            message.headers.push(RecordHeader { key: "padding".into(), value: Some(padding) });
        }
        let partition = match (self.plan.partition, self.plan.keys) {
            (Some(partition), _) => i32::try_from(partition).unwrap_or(0),
            (None, Some(keys)) => {
                let key = Bytes::from(format!("key-{}", self.stream.below(u64::from(keys.max(1)))));
                let partition = partition_of_key(&key, partitions);
                message = message.with_key(key);
                partition
            }
            (None, None) => i32::try_from(count % partitions as u64).unwrap_or(0),
        };
        Chosen { key: Key::new(&self.plan.topic, partition), partition, message, value }
    }
}

/// Takes down the answers of one operation: all or nothing, or else in doubt.
fn answer(identity: &mut Identity, host: &SimHost, records: &[Chosen], answers: Vec<Result<client::Sent, SendError>>) {
    let told = records.iter().zip(&answers).map(|(record, answer)| {
        let offset = answer.as_ref().ok().and_then(|sent| {
            assert_eq!(sent.partition, record.partition, "the client chose another partition for {}", record.value);
            sent.offset
        });
        match offset {
            Some(offset) => MicroOperation::sent(&record.key, offset.0, record.value),
            None => MicroOperation::send(&record.key, record.value),
        }
    });
    let told = Action::Send(told.collect());
    let error = answers.iter().filter_map(|answer| answer.as_ref().err()).next();
    let is_refused = |answer: &Result<client::Sent, SendError>| matches!(answer, Err(SendError::NotWritten(_)));
    match error {
        None => identity.ok(host, told),
        Some(error) if answers.iter().all(is_refused) => identity.fail(host, told, error.to_string()),
        Some(error) => identity.info(host, told, error.to_string()),
    }
}
