//! `broker bench`: how much a cluster takes and gives, and how long it takes to answer. It speaks Kafka's protocol, and so to any cluster.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use client::{
    Admin, ClientConfig, Consumer, ConsumerConfig, Message, Position, Producer, ProducerConfig, SendError, Sent,
    TopicPartition,
};
use futures_util::FutureExt;
use host::Host;
use host::real::RealHost;
use model::Time;
use serde_json::json;

use super::cluster_access::{ClusterAccess, find_topic};
use super::consume::{PATIENCE, POLL, ends, failed, no_answer};
use super::print;
use super::produce::AcksWord;
use crate::failure::Failure;

/// Bytes of records that wait for their answers: enough for full batches, within the producer's own limit.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// What a record costs beside its value, at most.
const RECORD_OVERHEAD: usize = 64;

/// Measure a cluster: write to a topic or read it, and say how fast that went.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Produce(Produce),
    Consume(Consume),
}

/// Write records of random bytes.
///
/// As fast as they are taken, or at a steady rate. The latency of a record is counted from when it was due, whether or not the
/// producer was free to send it then.
#[derive(Args)]
struct Produce {
    topic: String,
    /// How many records.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// So many of them come first and do not count.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    warmup: u64,
    /// Bytes of each record.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    size: u32,
    /// Records a second; as many as are taken if left out.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// When a record counts as written: once every in-sync replica has it, once the leader has it, or at once.
    #[arg(long, value_enum, default_value_t = AcksWord::All)]
    acks: AcksWord,
    /// The partition to write to; one after another if left out.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Bytes of a batch that waits for no more records (batch.size).
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 10, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_bytes: u32,
    /// How long a batch waits for more records (linger.ms).
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5)]
    linger_ms: u32,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterAccess,
}

/// Read a topic from its beginning to what is its end now.
#[derive(Args)]
struct Consume {
    topic: String,
    /// Stop after so many records.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Produce(produce) => produce.run(),
            What::Consume(consume) => consume.run(),
        }
    }
}

/// What was counted.
struct Figures {
    records: u64,
    bytes: u64,
    time: Duration,
    /// Of each record, sorted.
    latencies: Vec<Duration>,
}

impl Figures {
    fn print(&self, as_json: bool) -> Result<(), Failure> {
        let Figures { records, bytes, time, latencies } = self;
        let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
        let (record_rate, byte_rate) = (*records as f64 / seconds, *bytes as f64 / seconds);
        let at = |share: f64| {
            let place = (latencies.len() as f64 * share).ceil() as usize;
            latencies.get(place.saturating_sub(1)).map(|latency| latency.as_secs_f64() * 1e3)
        };
        let shares = [("p50", at(0.5)), ("p99", at(0.99)), ("p99.9", at(0.999)), ("max", at(1.0))];
        if as_json {
            let mut figures = json!({
                "records": records,
                "bytes": bytes,
                "seconds": seconds,
                "records_per_second": record_rate,
                "bytes_per_second": byte_rate,
            });
            let known = shares.into_iter().filter_map(|(name, latency)| Some((name.to_owned(), json!(latency?))));
            let known: serde_json::Map<_, _> = known.collect();
            if !known.is_empty() {
                figures["latency_ms"] = known.into();
            }
            return print(&format!("{figures}\n"));
        }
        let mut text = format!(
            "{records} records in {seconds:.2} s: {record_rate:.0} records a second, {:.1} MB a second\n",
            byte_rate / 1e6
        );
        let known: Vec<_> = shares.iter().filter_map(|(name, at)| at.map(|at| format!("{name} {at:.2} ms"))).collect();
        if !known.is_empty() {
            text += &format!("acknowledged after: {}\n", known.join(", "));
        }
        print(&text)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Sent, SendError>> + Send>>;

impl Produce {
    fn run(self) -> Result<(), Failure> {
        let cluster = self.cluster.clone();
        cluster.run(async move |host: RealHost, config: ClientConfig| {
            let info = find_topic(&Admin::new(host.clone(), config.clone()), &self.topic).await?;
            let count = info.partitions.len();
            if let Some(partition) = self.partition.filter(|partition| count <= *partition as usize) {
                let (topic, none) = (&self.topic, format!("and no partition {partition}"));
                return Err(Failure::bad_input(format!("{topic} has {count} partition(s), {none}")));
            }
            let config = ProducerConfig {
                acks: self.acks.into(),
                batch_bytes: self.batch_bytes as usize,
                linger: Duration::from_millis(u64::from(self.linger_ms)),
                // As many as other producers have: what a retry may put out of order here is all the same.
                in_flight_per_partition_max: model::PRODUCER_BATCHES_KEPT,
                ..ProducerConfig::new(config)
            };
            let producer = Producer::new(host.clone(), config);
            let topic: Arc<str> = self.topic.as_str().into();
            let value = random_bytes(&host, self.size as usize);
            let send = || Box::pin(producer.send(&topic, self.partition, Message::new(value.clone()))) as Answer;
            self.measure(&host, send).await?.print(self.json)
        })
    }

    async fn measure(&self, host: &RealHost, send: impl Fn() -> Answer) -> Result<Figures, Failure> {
        let cost = self.size as usize + RECORD_OVERHEAD;
        let began = host.now();
        let due = |number: u64| match self.rate {
            Some(rate) => began + Duration::from_secs_f64(number as f64 / f64::from(rate)),
            None => began,
        };
        let all = self.warmup.saturating_add(self.records);
        let mut waiting = VecDeque::<(u64, Time, Answer)>::new();
        let mut sent = 0;
        let mut counted_since = began;
        let mut latencies = Vec::with_capacity(usize::try_from(self.records).unwrap_or(0).min(1 << 27));
        while sent < all || !waiting.is_empty() {
            let mut now = host.now();
            while sent < all && waiting.len() * cost < WAITING_BYTES_MAX && due(sent) <= now {
                let asked = if self.rate.is_some() { due(sent) } else { host.now() };
                if sent == self.warmup {
                    counted_since = asked;
                }
                waiting.push_back((sent, asked, send()));
                sent += 1;
            }
            let next_due = (sent < all && waiting.len() * cost < WAITING_BYTES_MAX).then(|| due(sent));
            let answer = async {
                match waiting.front_mut() {
                    Some((.., answer)) => Some(answer.await),
                    None => std::future::pending().await,
                }
            };
            let mut answered = tokio::select! {
                biased;
                answer = answer => answer,
                () = host.sleep_until(next_due.unwrap_or(now)), if next_due.is_some() => None,
            };
            now = host.now();
            while let Some(result) = answered {
                result.map_err(|error| Failure::failed(format!("a record has no proof of being written: {error}")))?;
                if let Some((number, asked, _)) = waiting.pop_front()
                    && self.warmup <= number
                {
                    latencies.push(now.since(asked));
                }
                answered = waiting.front_mut().and_then(|(.., answer)| answer.as_mut().now_or_never());
            }
        }
        latencies.sort_unstable();
        let bytes = self.records * u64::from(self.size);
        Ok(Figures { records: self.records, bytes, time: host.now().since(counted_since), latencies })
    }
}

fn random_bytes(host: &RealHost, size: usize) -> Bytes {
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(|| host.entropy().to_le_bytes()).take(size.div_ceil(8)).flatten().collect();
    bytes.truncate(size);
    bytes.into()
}

impl Consume {
    fn run(self) -> Result<(), Failure> {
        let Consume { topic, records, json, cluster } = self;
        cluster.run(async move |host: RealHost, config: ClientConfig| {
            let info = find_topic(&Admin::new(host.clone(), config.clone()), &topic).await?;
            let partitions: Vec<_> =
                (0..info.partitions.len() as i32).map(|index| TopicPartition::new(&topic, index)).collect();
            let config = ConsumerConfig::new(config);
            let ends = ends(&host, &config, &partitions).await?;
            let mut consumer = Consumer::new(host.clone(), config);
            consumer.assign(partitions.into_iter().map(|partition| (partition, Position::Earliest)));
            let most = records.unwrap_or(u64::MAX);
            let began = host.now();
            let (mut heard, mut read, mut bytes) = (began, 0, 0);
            let is_at_end = |consumer: &Consumer<RealHost>| {
                ends.iter()
                    .all(|(partition, end)| consumer.position(partition).is_some_and(|position| *end <= position))
            };
            while read < most && !is_at_end(&consumer) {
                let polled = consumer.poll(POLL).await.map_err(failed)?;
                let now = host.now();
                if !polled.is_empty() {
                    heard = now;
                } else if PATIENCE < now.since(heard) {
                    return Err(no_answer());
                }
                for stored in polled.iter().flat_map(|batch| &batch.records) {
                    let parts = [&stored.record.key, &stored.record.value];
                    bytes += parts.into_iter().flatten().map(|part| part.len() as u64).sum::<u64>();
                    read += 1;
                }
            }
            Figures { records: read, bytes, time: heard.since(began), latencies: Vec::new() }.print(json)
        })
    }
}
