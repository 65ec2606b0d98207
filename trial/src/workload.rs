//! The workload: clients as nodes of their own, whatever they ask and are told taken down in the history.
//!
//! A client's *process* in the history is one stretch of certainty: after an `info` it goes on as another one.

pub(crate) mod consumer;
pub(crate) mod errands;
pub(crate) mod producer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use client::{ClientConfig, Polled, Record, TopicInfo, TopicPartition};
use evidence::{Action, Key, MicroOperation, Recorder, Value};
use host::Host;
use model::{Endpoint, Time};
use parking_lot::Mutex;
use sim::SimHost;

use crate::stage::ClientLife;

/// What every client of a run knows.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) bootstrap: Vec<Endpoint>,
    pub(crate) recorder: Recorder,
    pub(crate) topics: Arc<BTreeMap<String, TopicInfo>>,
    /// How many partitions topics were given since.
    pub(crate) grown: Arc<Mutex<BTreeMap<String, i32>>>,
    /// How many probes there were: their values lie below those of all producers.
    pub(crate) probes: Arc<AtomicI64>,
    /// Topics that take only records with keys, sooner or later.
    pub(crate) compacted: Arc<BTreeSet<String>>,
}

impl Ground {
    /// A value that no record had.
    pub(crate) fn next_probe(&self) -> i64 {
        1 + self.probes.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn client(&self, host: &SimHost) -> ClientConfig {
        client_config(self.bootstrap.clone(), host.name())
    }

    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        let made = self.topics.get(topic).map_or(0, |topic| i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
        self.grown.lock().get(topic).map_or(made, |grown| made.max(*grown))
    }

    /// The same without topics that are gone.
    pub(crate) fn without(&self, gone: &BTreeSet<&str>) -> Ground {
        let kept = self.topics.iter().filter(|(name, _)| !gone.contains(name.as_str()));
        let topics = kept.map(|(name, info)| (name.clone(), info.clone())).collect();
        Ground { topics: Arc::new(topics), ..self.clone() }
    }

    /// Every partition of these topics.
    pub(crate) fn all_of(&self, topics: &[String]) -> Vec<TopicPartition> {
        let of = |topic: &String| {
            let topic = topic.clone();
            (0..self.partitions(&topic)).map(move |partition| TopicPartition::new(&topic, partition))
        };
        topics.iter().flat_map(of).collect()
    }
}

/// Impatient enough for faults of seconds to be seen by clients.
pub(crate) fn client_config(bootstrap: Vec<Endpoint>, name: &str) -> ClientConfig {
    let mut config = ClientConfig::new(bootstrap);
    config.client_id = name.replace(' ', "-");
    config.request_timeout = Duration::from_secs(3);
    config.operation_timeout = Duration::from_secs(10);
    config.metadata_age_max = Duration::from_secs(5);
    config
}

/// A process of the history that a client is at the moment.
pub(crate) struct Identity {
    recorder: Recorder,
    life: ClientLife,
    process: u64,
}

impl Identity {
    pub(crate) fn new(recorder: &Recorder, life: ClientLife) -> Identity {
        let process = recorder.process();
        life.is(process);
        Identity { recorder: recorder.clone(), life, process }
    }

    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    pub(crate) fn invoke(&self, host: &SimHost, action: Action) {
        self.recorder.invoke(host.world_time(), self.process, action);
    }

    pub(crate) fn ok(&self, host: &SimHost, action: Action) {
        self.recorder.ok(host.world_time(), self.process, action);
    }

    pub(crate) fn fail(&self, host: &SimHost, action: Action, error: impl Into<String>) {
        self.recorder.fail(host.world_time(), self.process, action, error);
    }

    /// Nobody knows what became of it: from now on the client is somebody else.
    pub(crate) fn info(&mut self, host: &SimHost, action: Action, error: impl Into<String>) {
        self.recorder.info(host.world_time(), self.process, action, error);
        self.process = self.recorder.process();
        self.life.is(self.process);
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.life.ended(self.process);
    }
}

pub(crate) fn key_of(partition: &TopicPartition) -> Key {
    Key::new(&partition.topic, partition.partition)
}

/// What a poll brought, as the history has it. A value that no client of ours wrote stays as it is, in words.
pub(crate) fn polled(batches: &[Polled]) -> MicroOperation {
    let mut records: BTreeMap<Key, Vec<(i64, Value)>> = BTreeMap::new();
    for batch in batches {
        let list = batch.records.iter().map(|stored| (stored.offset.0, value_of(&stored.record)));
        records.entry(key_of(&batch.partition)).or_default().extend(list);
    }
    MicroOperation::Polled(records)
}

fn value_of(record: &Record) -> Value {
    let number = || record.headers.iter().find(|header| header.key == producer::NUMBER)?.value.as_ref();
    let bytes = record.value.as_ref().or_else(number);
    let text = String::from_utf8_lossy(bytes.map_or(&[], |bytes| &bytes[..]));
    match text.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::from(&*text),
    }
}

/// Waits until this moment of world time.
pub(crate) async fn sleep_until(host: &SimHost, moment: Time) {
    host.sleep(moment.since(host.world_time())).await;
}
