//! What a client knows of its cluster: brokers, topics, leaders; and how it learns it again when it was wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use model::{BrokerId, Endpoint, LeaderEpoch, TopicId};
use parking_lot::Mutex;
use protocol::messages::{
    MetadataRequest, MetadataResponse, RequestMessage, metadata_request::MetadataRequestTopic,
    metadata_response::MetadataResponseTopic, topic_id, topic_name,
};
use protocol::{ErrorCode, NO_ERROR};

use crate::backoff::Backoff;
use crate::node::Node;
use crate::{CallError, ClientConfig, ClientError, TopicPartition};

/// One partition as the cluster tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
}

/// One topic as the cluster tells it. Partitions are counted from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub id: TopicId,
    pub partitions: Vec<PartitionInfo>,
}

/// Who leads a partition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) broker: BrokerId,
    pub(crate) endpoint: Endpoint,
    pub(crate) epoch: LeaderEpoch,
    /// The topic that has the partition's name.
    pub(crate) topic: TopicId,
}

#[derive(Default)]
struct View {
    brokers: BTreeMap<BrokerId, Endpoint>,
    controller: Option<BrokerId>,
    topics: BTreeMap<Arc<str>, TopicInfo>,
}

/// The cluster as one client sees it. Clones share it, and one connection for questions that any broker can answer.
pub struct Cluster<H: Host> {
    inner: Arc<Inner<H>>,
}

struct Inner<H: Host> {
    host: H,
    config: ClientConfig,
    view: Mutex<View>,
    /// Held while a question is under way.
    open: tokio::sync::Mutex<Option<Node<H>>>,
}

impl<H: Host> Clone for Cluster<H> {
    fn clone(&self) -> Self {
        Cluster { inner: Arc::clone(&self.inner) }
    }
}

impl<H: Host> Cluster<H> {
    /// Nothing is asked yet.
    pub fn new(host: H, config: ClientConfig) -> Cluster<H> {
        let inner = Inner { host, config, view: Mutex::default(), open: tokio::sync::Mutex::new(None) };
        Cluster { inner: Arc::new(inner) }
    }

    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    pub fn host(&self) -> &H {
        &self.inner.host
    }

    /// What is known of a topic; none if it was never learnt or is gone.
    pub fn topic(&self, topic: &str) -> Option<TopicInfo> {
        self.inner.view.lock().topics.get(topic).cloned()
    }

    /// Every topic that is known, by name.
    pub fn topics(&self) -> BTreeMap<Arc<str>, TopicInfo> {
        self.inner.view.lock().topics.clone()
    }

    /// Every broker that is known to be alive.
    pub fn brokers(&self) -> BTreeMap<BrokerId, Endpoint> {
        self.inner.view.lock().brokers.clone()
    }

    pub(crate) fn partition_count(&self, topic: &str) -> Option<i32> {
        self.inner.view.lock().topics.get(topic).map(|topic| topic.partitions.len() as i32)
    }

    pub(crate) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        let view = self.inner.view.lock();
        let index = usize::try_from(partition.partition).ok()?;
        let topic = view.topics.get(&partition.topic)?;
        let info = topic.partitions.get(index)?;
        let broker = info.leader?;
        let endpoint = view.brokers.get(&broker)?.clone();
        Some(Leader { broker, endpoint, epoch: info.leader_epoch, topic: topic.id })
    }

    pub(crate) fn endpoint(&self, broker: BrokerId) -> Option<Endpoint> {
        self.inner.view.lock().brokers.get(&broker).cloned()
    }

    /// Takes anybody's word of who leads these, as one does who was never told.
    pub(crate) fn forget(&self, topics: &[Arc<str>]) {
        let mut view = self.inner.view.lock();
        topics.iter().for_each(|topic| drop(view.topics.remove(topic)));
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.inner.config)
    }

    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Node<H>, CallError> {
        Node::connect(&self.inner.host, endpoint, &self.inner.config).await
    }

    /// Asks once about `topics`, or about all; learns what the answer says, and gives the errors of single topics.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn refresh(&self, topics: Option<&[Arc<str>]>) -> Result<Vec<(Arc<str>, ErrorCode)>, ClientError> {
        let request = |version: i16| {
            let names = topics.map(|topics| {
                let topic = |name: &Arc<str>| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
                topics.iter().map(topic).collect()
            });
            debug_assert!(version >= 4, "the oldest that is spoken");
            MetadataRequest::default().with_topics(names).with_allow_auto_topic_creation(true)
        };
        let answer = self.ask_any(request).await?;
        Ok(self.learn(topics.is_none(), answer))
    }

    /// Asks about one topic until its partitions are known.
    ///
    /// # Errors
    /// The last one, once the operation's time is over or asking again cannot help.
    pub async fn find_topic(&self, topic: &str) -> Result<TopicInfo, ClientError> {
        let name: Arc<str> = topic.into();
        self.retry(|| async {
            let errors = self.refresh(Some(std::slice::from_ref(&name))).await?;
            match (self.topic(topic), errors.first()) {
                (Some(info), _) => Ok(info),
                (None, Some((_, code))) => Err(ClientError::Refused { code: *code, message: None }),
                (None, None) => Err(ClientError::Missing),
            }
        })
        .await
    }

    /// Tries until it succeeds, asking again cannot help, or the operation's time is over.
    pub(crate) async fn retry<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError> {
        let host = &self.inner.host;
        let deadline = host.now() + self.inner.config.operation_timeout;
        let mut backoff = self.backoff();
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let pause = backoff.next(host.entropy());
            if !error.is_retriable() || deadline <= host.now() + pause {
                return Err(error);
            }
            host.sleep(pause).await;
        }
    }

    /// Asks any broker: the one that answered last, or each that is known in turn.
    pub(crate) async fn ask_any<R: RequestMessage + Sync>(
        &self,
        request: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let wait_max = self.inner.config.request_timeout;
        let mut open = self.inner.open.lock().await;
        // Taken out, so that a question that is cancelled leaves no connection with an answer still to come.
        if let Some(mut node) = open.take()
            && let Ok(answer) = node.ask(&request, wait_max).await
        {
            *open = Some(node);
            return Ok(answer);
        }
        let mut last = ClientError::NoBootstrap;
        for endpoint in self.candidates() {
            let mut node = match self.connect(&endpoint).await {
                Ok(node) => node,
                Err(error) => {
                    last = ClientError::NoBroker(error);
                    continue;
                }
            };
            match node.ask(&request, wait_max).await {
                Ok(answer) => {
                    *open = Some(node);
                    return Ok(answer);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks the controller if one is known, else any broker.
    pub(crate) async fn ask_controller<R: RequestMessage + Sync>(
        &self,
        request: impl Fn(i16) -> R,
        wait_max: Duration,
    ) -> Result<R::Response, ClientError> {
        let endpoint = {
            let view = self.inner.view.lock();
            view.controller.and_then(|id| view.brokers.get(&id).cloned())
        };
        let Some(endpoint) = endpoint else {
            return self.ask_any(request).await;
        };
        self.connect(&endpoint).await?.ask(request, wait_max).await
    }

    /// Whom to ask, each once: the known brokers and the bootstrap servers, from a random one on.
    fn candidates(&self) -> Vec<Endpoint> {
        let mut candidates: Vec<Endpoint> = self.inner.view.lock().brokers.values().cloned().collect();
        for endpoint in &self.inner.config.bootstrap {
            if !candidates.contains(endpoint) {
                candidates.push(endpoint.clone());
            }
        }
        if !candidates.is_empty() {
            let start = self.inner.host.entropy() % candidates.len() as u64;
            candidates.rotate_left(start as usize);
        }
        candidates
    }

    fn learn(&self, whole: bool, answer: MetadataResponse) -> Vec<(Arc<str>, ErrorCode)> {
        let mut view = self.inner.view.lock();
        let endpoint = |host: &str, port: i32| Some(Endpoint::new(host, u16::try_from(port).ok()?));
        let brokers = answer.brokers.iter();
        let brokers: BTreeMap<_, _> = brokers
            .filter_map(|broker| Some((BrokerId(broker.node_id.0), endpoint(&broker.host, broker.port)?)))
            .collect();
        // A broker that just came up may know of nobody yet.
        if !brokers.is_empty() {
            view.brokers = brokers;
        }
        view.controller = (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0));
        let mut errors = Vec::new();
        let mut named = BTreeMap::new();
        for topic in answer.topics {
            let Some(name) = topic.name.as_ref().map(|name| Arc::<str>::from(name.as_str())) else { continue };
            match ErrorCode::try_from_code(topic.error_code) {
                None => {
                    let info = newer(view.topics.get(&name), &topic);
                    named.insert(name, info);
                }
                Some(code) => {
                    if code == ErrorCode::UnknownTopicOrPartition {
                        view.topics.remove(&name);
                    }
                    errors.push((name, code));
                }
            }
        }
        if whole && answer.error_code == NO_ERROR {
            view.topics = named;
        } else {
            view.topics.extend(named);
        }
        errors
    }
}

/// What is told of a topic, but for partitions of which a later epoch is known: brokers learn at different times (KIP-320).
fn newer(known: Option<&TopicInfo>, told: &MetadataResponseTopic) -> TopicInfo {
    let id = topic_id(told.topic_id);
    let known = known.filter(|known| known.id == id);
    let mut partitions: Vec<_> = told.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let partitions = partitions.into_iter().enumerate().map(|(index, told)| {
        let told = PartitionInfo {
            leader: (told.leader_id.0 >= 0).then_some(BrokerId(told.leader_id.0)),
            leader_epoch: LeaderEpoch(told.leader_epoch),
            replicas: told.replica_nodes.iter().map(|id| BrokerId(id.0)).collect(),
            in_sync: told.isr_nodes.iter().map(|id| BrokerId(id.0)).collect(),
        };
        match known.and_then(|known| known.partitions.get(index)) {
            Some(known) if told.leader_epoch < known.leader_epoch && told.leader_epoch != LeaderEpoch::NONE => {
                known.clone()
            }
            _ => told,
        }
    });
    TopicInfo { id, partitions: partitions.collect() }
}
