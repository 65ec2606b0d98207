//! A producer: records in, batches out, one answer for each record.
//!
//! ```text
//! send ─> Sender (one task) ─ a batch for each partition, by leader ─> Connection (a task for each broker) ─> broker
//!   ^                                                                        │
//!   └───────────── Sent, or why not ────── Sender <── outcome of each batch ─┘
//! ```
//! An idempotent producer numbers its batches, and brokers know one that comes again: it is written once, in its place. Without that, a
//! batch that is sent again after an attempt whose fate is unknown may be written twice.

mod batch;
mod connection;
mod sender;
mod sequences;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::{Host, Task};
use model::{Offset, Timestamp};
use protocol::ErrorCode;
use protocol::records::{Compression, Record, RecordHeader, record_size};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{CallError, ClientConfig, ClientError, Cluster};
use sender::{Command, Sender, Submitted};

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: as soon as it is sent. Nobody says where it went, or whether.
    None,
    /// `acks=1`: once the leader has it.
    Leader,
    /// `acks=all`: once every in-sync replica has it.
    All,
}

/// How a producer batches and how patiently it tries. Names are those of Kafka's producer configuration.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    pub client: ClientConfig,
    pub acks: Acks,
    /// `linger.ms`: how long a batch waits for more records.
    pub linger: Duration,
    /// `batch.size`: a batch of so many bytes waits no longer.
    pub batch_bytes: usize,
    /// `max.request.size`: a record above this is refused, a request never grows beyond it by a second batch.
    pub request_bytes_max: usize,
    /// `buffer.memory`: bytes of records that may wait for their answers.
    pub buffer_bytes_max: usize,
    /// `compression.type`
    pub compression: Compression,
    /// `delivery.timeout.ms`: a record that was not written by then is given up.
    pub delivery_timeout: Duration,
    /// `retries`: whether a batch is sent again after an attempt that failed. Waiting for a leader is no attempt.
    pub retries: bool,
    /// `enable.idempotence`: no batch is written twice, and each in its place. Needs `acks=all` and retries, and is off without them.
    pub idempotent: bool,
    /// `max.in.flight.requests.per.connection`
    pub in_flight_max: usize,
    /// Batches of one partition that may be under way at once, without idempotence. One keeps their order through retries; more are faster
    /// on long ways, and keep it only without retries. An idempotent producer has as many as brokers know again, in order.
    pub in_flight_per_partition_max: usize,
}

impl ProducerConfig {
    pub fn new(client: ClientConfig) -> ProducerConfig {
        ProducerConfig {
            client,
            acks: Acks::All,
            linger: Duration::from_millis(5),
            batch_bytes: 16 << 10,
            request_bytes_max: 1 << 20,
            buffer_bytes_max: 32 << 20,
            compression: Compression::None,
            delivery_timeout: Duration::from_secs(120),
            retries: true,
            idempotent: true,
            in_flight_max: 5,
            in_flight_per_partition_max: 1,
        }
    }

    fn is_idempotent(&self) -> bool {
        self.idempotent && self.acks == Acks::All && self.retries
    }

    fn in_flight_per_partition(&self) -> usize {
        if self.is_idempotent() { model::PRODUCER_BATCHES_KEPT } else { self.in_flight_per_partition_max }
    }
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
    /// None takes the wall clock.
    pub timestamp: Option<Timestamp>,
}

impl Message {
    pub fn new(value: impl Into<Bytes>) -> Message {
        Message { value: Some(value.into()), ..Message::default() }
    }

    pub fn with_key(self, key: impl Into<Bytes>) -> Message {
        Message { key: Some(key.into()), ..self }
    }
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub partition: i32,
    /// None with [`Acks::None`].
    pub offset: Option<Offset>,
}

/// Why a record has no offset. The difference that matters: whether it may be in the log all the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// It certainly was not written and never will be.
    #[error("not written: {0}")]
    NotWritten(Reason),
    /// It may have been written, or may still be.
    #[error("perhaps written: {0}")]
    InDoubt(Reason),
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("the broker refuses it: {0}")]
    Refused(ErrorCode),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the broker's answer leaves the batch out")]
    Missing,
    #[error("no leader could be reached in time")]
    NoLeader,
    #[error("the topic has no partition {0}")]
    NoPartition(i32),
    #[error("the cluster gives no producer id, which idempotence needs: {0}")]
    NoProducerId(ClientError),
    #[error("the record has {0} bytes, more than a request may have")]
    TooLarge(usize),
    #[error("too many records wait already")]
    BufferFull,
    #[error("the producer is gone")]
    Closed,
}

/// Writes records. Its tasks end when it is dropped, and what was not written by then is in doubt.
pub struct Producer<H: Host> {
    host: H,
    commands: mpsc::UnboundedSender<Command>,
    buffered: Arc<AtomicUsize>,
    buffer_bytes_max: usize,
    request_bytes_max: usize,
    delivery_timeout: Duration,
    _sender: Task,
}

impl<H: Host> Producer<H> {
    /// Nothing is asked of the cluster before the first record.
    pub fn new(host: H, config: ProducerConfig) -> Producer<H> {
        let (commands, received) = mpsc::unbounded_channel();
        let buffered = Arc::new(AtomicUsize::new(0));
        let cluster = Cluster::new(host.clone(), config.client.clone());
        let (buffer_bytes_max, request_bytes_max) = (config.buffer_bytes_max, config.request_bytes_max);
        let delivery_timeout = config.delivery_timeout;
        let sender = Sender::new(cluster, config, Arc::clone(&buffered));
        let task = host::spawn(&host, sender.run(received));
        Producer { host, commands, buffered, buffer_bytes_max, request_bytes_max, delivery_timeout, _sender: task }
    }

    /// Takes a record now, in the order of calls, and gives a future of what becomes of it. Without a partition, its key
    /// chooses one, as in Java; without a key, a batch after another goes to a partition after another (KIP-480).
    ///
    /// The future may be dropped; the record is sent all the same.
    pub fn send(
        &self,
        topic: &Arc<str>,
        partition: Option<i32>,
        message: Message,
    ) -> impl Future<Output = Result<Sent, SendError>> + Send + 'static + use<H> {
        let (reply, answer) = oneshot::channel();
        let refused = self.submit(topic, partition, message, reply).err();
        async move {
            match refused {
                Some(reason) => Err(SendError::NotWritten(reason)),
                None => answer.await.unwrap_or(Err(SendError::InDoubt(Reason::Closed))),
            }
        }
    }

    fn submit(
        &self,
        topic: &Arc<str>,
        partition: Option<i32>,
        message: Message,
        reply: oneshot::Sender<Result<Sent, SendError>>,
    ) -> Result<(), Reason> {
        let Message { key, value, headers, timestamp } = message;
        let timestamp = timestamp.unwrap_or_else(|| self.host.wall_clock());
        let record = Record { timestamp, key, value, headers };
        let size = record_size(&record);
        if size > self.request_bytes_max {
            return Err(Reason::TooLarge(size));
        }
        if self.buffered.load(Ordering::Relaxed) + size > self.buffer_bytes_max {
            return Err(Reason::BufferFull);
        }
        self.buffered.fetch_add(size, Ordering::Relaxed);
        let deadline = self.host.now() + self.delivery_timeout;
        let submitted = Submitted { topic: Arc::clone(topic), partition, record, size, deadline, reply };
        self.commands.send(Command::Submit(submitted)).map_err(|_| Reason::Closed)
    }

    /// Sends what waits for company at once, and waits until every record taken so far has its answer.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Flush(reply)).is_ok() {
            // An error means that the sender is gone, and then nothing waits any more.
            let _ = done.await;
        }
    }
}
