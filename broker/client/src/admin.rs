//! Questions and orders about the cluster as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use host::Host;
use model::{BrokerId, ClusterId, Endpoint};
use protocol::ErrorCode;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::{CreateTopicsRequest, DescribeClusterRequest, string, topic_name};

use crate::{ClientConfig, ClientError, Cluster, TopicInfo};

/// A topic to make. Numbers of -1 leave the choice to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    /// Settings such as `min.insync.replicas`.
    pub settings: BTreeMap<String, String>,
}

/// Who makes up the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    pub id: ClusterId,
    pub controller: Option<BrokerId>,
    pub brokers: BTreeMap<BrokerId, Endpoint>,
}

/// Makes and describes topics, describes the cluster.
pub struct Admin<H: Host> {
    cluster: Cluster<H>,
}

impl<H: Host> Admin<H> {
    pub fn new(host: H, config: ClientConfig) -> Admin<H> {
        Admin { cluster: Cluster::new(host, config) }
    }

    /// Makes a topic and waits until the cluster says that it is made. A topic of that name that is there already is an error,
    /// unless an earlier attempt of this very call had no answer and may have made it.
    ///
    /// # Errors
    /// `Refused` with what is wrong with the request; others once the operation's time is over.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        let wait_max = self.cluster.config().request_timeout;
        let mut in_doubt = false;
        let mut backoff = self.cluster.backoff();
        let host = self.cluster.host();
        let deadline = host.now() + self.cluster.config().operation_timeout;
        loop {
            let request = |_version: i16| creation(topic, wait_max.as_millis() as i32);
            let error = match self.cluster.ask_controller(request, wait_max).await {
                Ok(answer) => {
                    let result = answer.topics.first().ok_or(ClientError::Missing)?;
                    let message = result.error_message.as_deref();
                    match ClientError::from_code(result.error_code, message) {
                        None => return Ok(()),
                        Some(ClientError::Refused { code: ErrorCode::TopicAlreadyExists, .. }) if in_doubt => {
                            return Ok(());
                        }
                        Some(error) => error,
                    }
                }
                Err(error) => {
                    in_doubt |= !matches!(&error, ClientError::Call(error) if error.is_unsent());
                    error
                }
            };
            let pause = backoff.next(host.entropy());
            if !error.is_retriable() || deadline <= host.now() + pause {
                return Err(error);
            }
            host.sleep(pause).await;
            // Where the controller is may have changed. Without an answer the next attempt says so itself.
            let _unanswered = self.cluster.refresh(Some(&[])).await;
        }
    }

    /// Every topic of the cluster.
    ///
    /// # Errors
    /// Once the operation's time is over.
    pub async fn topics(&self) -> Result<BTreeMap<Arc<str>, TopicInfo>, ClientError> {
        self.cluster.retry(|| async { self.cluster.refresh(None).await.map(|_errors| ()) }).await?;
        Ok(self.cluster.topics())
    }

    /// One topic.
    ///
    /// # Errors
    /// `Refused` with `UnknownTopicOrPartition` if there is none.
    pub async fn topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        let mut topics = self.topics().await?;
        let unknown = ClientError::Refused { code: ErrorCode::UnknownTopicOrPartition, message: Some(name.to_owned()) };
        topics.remove(name).ok_or(unknown)
    }

    /// Id, controller and brokers.
    ///
    /// # Errors
    /// Once the operation's time is over.
    pub async fn describe_cluster(&self) -> Result<ClusterInfo, ClientError> {
        let ask = || async {
            let answer = self.cluster.ask_any(|_version| DescribeClusterRequest::default()).await?;
            match ClientError::from_code(answer.error_code, answer.error_message.as_deref()) {
                None => Ok(answer),
                Some(error) => Err(error),
            }
        };
        let answer = self.cluster.retry(ask).await?;
        let brokers = answer.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((BrokerId(broker.broker_id.0), Endpoint::new(broker.host.as_str(), port)))
        });
        Ok(ClusterInfo {
            id: ClusterId(answer.cluster_id.as_str().to_owned()),
            controller: (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0)),
            brokers: brokers.collect(),
        })
    }
}

fn creation(topic: &NewTopic, timeout_ms: i32) -> CreateTopicsRequest {
    let setting = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default().with_name(string(name)).with_value(Some(string(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(topic.settings.iter().map(setting).collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms)
}
