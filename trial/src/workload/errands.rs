//! Errands of the run itself: making the topics, asking for service after the healing, reading everything in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{
    Admin, ClientError, Consumer, ConsumerConfig, Message, Position, Producer, ProducerConfig, SendError, TopicInfo,
    TopicPartition,
};
use evidence::{Action, MicroOperation, Recorder};
use futures_util::stream::{FuturesUnordered, StreamExt};
use host::Host;
use model::{Endpoint, Offset};
use parking_lot::Mutex;
use protocol::ErrorCode;
use scenarios::Topic;
use sim::{Node, SimHost, World};
use tokio::sync::watch;

use super::consumer::{has_read, poll};
use super::{Ground, Identity, client_config, key_of};
use crate::changes::new_topic;
use crate::stage::ClientLife;

/// Who asks for service after the healing.
pub(crate) const PROBE: &str = "probe";
/// Who reads everything in the end.
pub(crate) const AUDITOR: &str = "auditor";
/// Those that come when the faults are over.
pub(crate) const NODES: [&str; 2] = [PROBE, AUDITOR];

/// Pause between two attempts of an errand.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs `errand` on a node of its own until it is done; none if it takes longer than `wait_max`, and then it is ended.
pub(crate) async fn run<T, F, P>(world: &World, name: &str, wait_max: Duration, errand: F) -> Option<T>
where
    T: Send + 'static,
    F: Fn(SimHost) -> P + Send + Sync + 'static,
    P: Future<Output = T> + Send + 'static,
{
    let slot: Arc<Mutex<Option<T>>> = Arc::default();
    let (done, mut is_done) = watch::channel(false);
    let result = slot.clone();
    let node = world.node(name);
    node.start(move |host| {
        let (errand, result, done) = (errand(host), result.clone(), done.clone());
        async move {
            let value = errand.await;
            *result.lock() = Some(value);
            done.send_replace(true);
            Ok(())
        }
    });
    tokio::select! {
        biased;
        _ = is_done.wait_for(|done| *done) => {}
        () = world.sleep(wait_max) => node.crash(),
    }
    slot.lock().take()
}

/// Starts `errand` on a node of its own.
pub(crate) fn start<F, P>(world: &World, name: &str, errand: F) -> Node
where
    F: Fn(SimHost) -> P + Send + Sync + 'static,
    P: Future<Output = ()> + Send + 'static,
{
    let node = world.node(name);
    node.start(move |host| {
        let errand = errand(host);
        async move {
            errand.await;
            Ok(())
        }
    });
    node
}

/// Makes the topics, and waits until each partition has a leader and all of its replicas in sync.
pub(crate) async fn make_topics(
    host: SimHost,
    bootstrap: Vec<Endpoint>,
    topics: Vec<Topic>,
) -> BTreeMap<String, TopicInfo> {
    let admin = Admin::new(host.clone(), client_config(bootstrap, host.name()));
    for topic in &topics {
        let new = new_topic(topic);
        while let Err(error) = admin.create_topic(&new).await {
            if matches!(&error, ClientError::Refused { code: ErrorCode::TopicAlreadyExists, .. }) {
                break;
            }
            host.sleep(PAUSE).await;
        }
    }
    loop {
        if let Ok(told) = admin.topics().await {
            let is_ready = |topic: &Topic| {
                told.get(topic.name.as_str()).is_some_and(|info| {
                    info.partitions.len() == topic.partitions as usize
                        && info.partitions.iter().all(|partition| {
                            partition.leader.is_some() && partition.in_sync.len() == topic.replicas as usize
                        })
                })
            };
            if topics.iter().all(is_ready) {
                return told.into_iter().map(|(name, info)| (name.to_string(), info)).collect();
            }
        }
        host.sleep(PAUSE).await;
    }
}

/// How far a partition was probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// It took a record.
    Written,
    /// And gave it back.
    Read,
}

/// Asks every partition to take a record until it does, and then to give it back; those that are added meanwhile too. Goes on until it
/// is ended.
pub(crate) async fn probe(host: SimHost, ground: Ground, progress: Arc<Mutex<BTreeMap<TopicPartition, Probed>>>) {
    let names: Vec<String> = ground.topics.keys().cloned().collect();
    let mut config = ProducerConfig::new(ground.client(&host));
    config.linger = Duration::ZERO;
    config.delivery_timeout = Duration::from_secs(5);
    config.retries = false;
    let producer = Producer::new(host.clone(), config);
    let probe = async |partition: TopicPartition| {
        let offset = write_one(&host, &ground, &producer, &partition).await;
        progress.lock().insert(partition.clone(), Probed::Written);
        read_one(&host, &ground, &partition, offset).await;
        progress.lock().insert(partition, Probed::Read);
    };
    let mut known = BTreeSet::new();
    let mut probes = FuturesUnordered::new();
    loop {
        let new = ground.all_of(&names).into_iter().filter(|partition| known.insert(partition.clone()));
        probes.extend(new.map(&probe));
        tokio::select! {
            biased;
            Some(()) = probes.next() => {}
            () = host.sleep(PAUSE) => {}
        }
    }
}

async fn write_one(
    host: &SimHost,
    ground: &Ground,
    producer: &Producer<SimHost>,
    partition: &TopicPartition,
) -> Offset {
    let mut identity = Identity::new(&ground.recorder, ClientLife::default());
    let key = key_of(partition);
    loop {
        let value = ground.next_probe();
        let asked = Action::Send(vec![MicroOperation::send(&key, value)]);
        identity.invoke(host, asked.clone());
        let mut message = Message::new(value.to_string());
        if ground.compacted.contains(&*partition.topic) {
            message = message.with_key(format!("probe-{value}"));
        }
        match producer.send(&partition.topic, Some(partition.partition), message).await {
            Ok(sent) => {
                let offset = sent.offset.unwrap_or_default();
                identity.ok(host, Action::Send(vec![MicroOperation::sent(&key, offset.0, value)]));
                return offset;
            }
            Err(SendError::NotWritten(reason)) => identity.fail(host, asked, reason.to_string()),
            Err(SendError::InDoubt(reason)) => identity.info(host, asked, reason.to_string()),
        }
        host.sleep(PAUSE).await;
    }
}

async fn read_one(host: &SimHost, ground: &Ground, partition: &TopicPartition, offset: Offset) {
    let identity = Identity::new(&ground.recorder, ClientLife::default());
    let mut consumer = Consumer::new(host.clone(), ConsumerConfig::new(ground.client(host)));
    let keys = Action::Assign(vec![key_of(partition)]);
    identity.invoke(host, keys.clone());
    consumer.assign([(partition.clone(), Position::Offset(offset))]);
    identity.ok(host, keys);
    while consumer.position(partition).is_none_or(|position| position <= offset) {
        poll(&identity, host, &mut consumer, Duration::from_secs(1)).await;
    }
}

/// Reads every partition from its beginning to its end. `progress` is the process that reads, and the ends once they are known.
pub(crate) async fn read_all(host: SimHost, ground: Ground, progress: Arc<Mutex<ReadAll>>) {
    let names: Vec<String> = ground.topics.keys().cloned().collect();
    let partitions = ground.all_of(&names);
    let mut consumer = Consumer::new(host.clone(), ConsumerConfig::new(ground.client(&host)));
    let ends = look_up_ends(&host, &ground.recorder, &mut consumer, &partitions).await;
    let identity = Identity::new(&ground.recorder, ClientLife::default());
    *progress.lock() = ReadAll { process: Some(identity.process()), ends: ends.clone(), is_done: false };
    let keys = Action::Assign(partitions.iter().map(key_of).collect());
    identity.invoke(&host, keys.clone());
    consumer.assign(partitions.iter().map(|partition| (partition.clone(), Position::Earliest)));
    identity.ok(&host, keys);
    while !has_read(&consumer, &partitions, &ends) {
        poll(&identity, &host, &mut consumer, Duration::from_secs(1)).await;
    }
    progress.lock().is_done = true;
}

/// How far the last reader came.
#[derive(Default)]
pub(crate) struct ReadAll {
    pub(crate) process: Option<u64>,
    pub(crate) ends: BTreeMap<TopicPartition, Offset>,
    pub(crate) is_done: bool,
}

async fn look_up_ends(
    host: &SimHost,
    recorder: &Recorder,
    consumer: &mut Consumer<SimHost>,
    partitions: &[TopicPartition],
) -> BTreeMap<TopicPartition, Offset> {
    let identity = Identity::new(recorder, ClientLife::default());
    let mut ends = BTreeMap::new();
    for partition in partitions {
        let key = key_of(partition);
        loop {
            let asked = Action::End([(key.clone(), (0, 0))].into());
            identity.invoke(host, asked.clone());
            match consumer.range(partition).await {
                Ok((start, end)) => {
                    identity.ok(host, Action::End([(key, (start.0, end.0))].into()));
                    ends.insert(partition.clone(), end);
                    break;
                }
                Err(error) => identity.fail(host, asked, error.to_string()),
            }
            host.sleep(PAUSE).await;
        }
    }
    ends
}
