//! Questions and orders about the cluster as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::Host;
use model::{BrokerId, ClusterId, Endpoint, TopicId};
use protocol::ErrorCode;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeClusterRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, MetadataRequest, RequestMessage,
    StrBytes, string, topic_id, topic_name, uuid,
};

use crate::{ClientConfig, ClientError, Cluster, TopicInfo};

/// First version of DeleteTopics that takes a topic's id (KIP-516).
const TOPIC_ID_SINCE: i16 = 6;

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

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// What holds for all topics of the cluster that say nothing themselves.
    Cluster,
}

/// One setting as the cluster tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingInfo {
    pub name: String,
    pub value: Option<String>,
    /// Somebody said it: it is no default of the program.
    pub is_set: bool,
    /// The resource itself says it.
    pub is_own: bool,
}

/// Makes and describes topics, describes the cluster.
pub struct Admin<H: Host> {
    pub(crate) cluster: Cluster<H>,
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
                    // The controller was asked, and may have made it.
                    in_doubt |= result.error_code == ErrorCode::RequestTimedOut.code();
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

    /// Deletes a topic and all that is in it, and waits until the cluster says so. One that is not there is an error, unless an
    /// earlier attempt of this very call had no answer and may have deleted it. Such an attempt may still be on its way when another
    /// topic has the name: it says the id of the one that is meant.
    ///
    /// # Errors
    /// `Unknown` if there is none; others once the operation's time is over: it may be deleted.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        if let Some(id) = self.known_id(name).await? {
            match self.delete_known(name, Some(id)).await {
                Err(ClientError::Unknown(_)) => {}
                decided => return decided,
            }
        }
        // Whoever was asked for the id may not have heard of the topic yet. The controller has the last word.
        self.delete_known(name, None).await
    }

    /// The id of a topic, if there is one that the broker which is asked has heard of.
    async fn known_id(&self, name: &str) -> Result<Option<TopicId>, ClientError> {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            let told = answer.topics.first().ok_or(ClientError::Missing)?;
            match ErrorCode::try_from_code(told.error_code) {
                // Older brokers know no ids.
                None => Ok(Some(topic_id(told.topic_id)).filter(|id| id.0 != 0)),
                // It does not know its cluster yet.
                Some(code @ ErrorCode::LeaderNotAvailable) => Err(ClientError::Refused { code, message: None }),
                Some(_) => Ok(None),
            }
        };
        self.cluster.retry(attempt).await
    }

    /// Deletes the topic that has this id; without one, whichever has the name.
    async fn delete_known(&self, name: &str, id: Option<TopicId>) -> Result<(), ClientError> {
        let timeout_ms = self.cluster.config().request_timeout.as_millis() as i32;
        let request = |version: i16| deletion(version, name, id).with_timeout_ms(timeout_ms);
        let outcome = |mut answer: DeleteTopicsResponse| {
            let result = answer.responses.pop()?;
            let is_unknown_id = result.error_code == ErrorCode::UnknownTopicId.code();
            let code = if is_unknown_id { ErrorCode::UnknownTopicOrPartition.code() } else { result.error_code };
            Some((code, result.error_message))
        };
        self.change_named(name, request, ErrorCode::UnknownTopicOrPartition, outcome).await
    }

    /// Gives a topic more partitions, so that it has `count` of them then.
    ///
    /// # Errors
    /// `Unknown` if there is no such topic; `Refused` with what is wrong; others once the operation's time is over: it may have them.
    pub async fn add_partitions(&self, name: &str, count: i32) -> Result<(), ClientError> {
        let timeout_ms = self.cluster.config().request_timeout.as_millis() as i32;
        let topic =
            CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
        let outcome = |mut answer: CreatePartitionsResponse| {
            answer.results.pop().map(|result| (result.error_code, result.error_message))
        };
        self.change_named(name, |_version| request.clone(), ErrorCode::InvalidPartitions, outcome).await
    }

    /// Orders a change of one topic until the cluster says that it is done. An attempt that had no answer may have done it:
    /// `is_done_already` is then what the next one hears.
    /// Changes what has this name. The error `is_done_already` is none where an earlier attempt may have done it.
    pub(crate) async fn change_named<R: RequestMessage + Sync>(
        &self,
        name: &str,
        request: impl Fn(i16) -> R,
        is_done_already: ErrorCode,
        outcome: impl Fn(R::Response) -> Option<(i16, Option<StrBytes>)>,
    ) -> Result<(), ClientError> {
        let (is_unanswered, in_doubt) = (AtomicBool::new(false), AtomicBool::new(false));
        let attempt = || async {
            let send = |version| {
                in_doubt.fetch_or(is_unanswered.swap(true, Ordering::Relaxed), Ordering::Relaxed);
                request(version)
            };
            let answer = self.cluster.ask_any(send).await?;
            is_unanswered.store(false, Ordering::Relaxed);
            let (code, message) = outcome(answer).ok_or(ClientError::Missing)?;
            match ErrorCode::try_from_code(code) {
                None => Ok(()),
                Some(code) if code == is_done_already && in_doubt.load(Ordering::Relaxed) => Ok(()),
                // Of one that is not there this is the last word.
                Some(ErrorCode::UnknownTopicOrPartition) => Err(ClientError::Unknown(name.to_owned())),
                Some(code) => {
                    in_doubt.fetch_or(code == ErrorCode::RequestTimedOut, Ordering::Relaxed);
                    Err(ClientError::Refused { code, message: message.map(|text| text.to_string()) })
                }
            }
        };
        self.cluster.retry(attempt).await
    }

    /// Changes settings: each to its value, or without one back to what holds for who says nothing. All or none.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over: it may have been done.
    pub async fn alter_settings(
        &self,
        resource: &Resource,
        settings: &BTreeMap<String, Option<String>>,
    ) -> Result<(), ClientError> {
        let (kind, name) = wire_resource(resource);
        let change = |(name, value): (&String, &Option<String>)| {
            let operation = if value.is_some() { 0 } else { 1 };
            AlterableConfig::default()
                .with_name(string(name))
                .with_config_operation(operation)
                .with_value(value.as_deref().map(string))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(string(name))
            .with_configs(settings.iter().map(change).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        self.cluster
            .retry(|| async {
                let answer = self.cluster.ask_any(|_version| request.clone()).await?;
                let result = answer.responses.first().ok_or(ClientError::Missing)?;
                ClientError::from_code(result.error_code, result.error_message.as_deref()).map_or(Ok(()), Err)
            })
            .await
    }

    /// What holds for a resource, by name.
    ///
    /// # Errors
    /// `Refused` with `UnknownTopicOrPartition` if there is none; others once the operation's time is over.
    pub async fn settings(&self, resource: &Resource) -> Result<Vec<SettingInfo>, ClientError> {
        let (kind, name) = wire_resource(resource);
        let asked = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(string(name))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
        let mut answer = self
            .cluster
            .retry(|| async {
                let answer = self.cluster.ask_any(|_version| request.clone()).await?;
                let result = answer.results.into_iter().next().ok_or(ClientError::Missing)?;
                ClientError::from_code(result.error_code, result.error_message.as_deref()).map_or(Ok(result), Err)
            })
            .await?;
        answer.configs.sort_by(|one, other| one.name.cmp(&other.name));
        let info = |config: &DescribeConfigsResourceResult| SettingInfo {
            name: config.name.to_string(),
            value: config.value.as_ref().map(ToString::to_string),
            is_set: config.config_source != DEFAULT_SOURCE,
            is_own: config.config_source == own_source(resource),
        };
        Ok(answer.configs.iter().map(info).collect())
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

/// Who says a value (KIP-226): nobody.
const DEFAULT_SOURCE: i8 = 5;

fn own_source(resource: &Resource) -> i8 {
    match resource {
        Resource::Topic(_) => 1,
        Resource::Cluster => 3,
    }
}

/// Type and name of a resource on the wire.
fn wire_resource(resource: &Resource) -> (i8, &str) {
    match resource {
        Resource::Topic(name) => (2, name),
        Resource::Cluster => (4, ""),
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

/// By the id where one is known and can be said, else by the name.
fn deletion(version: i16, name: &str, id: Option<TopicId>) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default();
    if version < TOPIC_ID_SINCE {
        return request.with_topic_names(vec![topic_name(name)]);
    }
    let topic = match id {
        Some(id) => DeleteTopicState::default().with_topic_id(uuid(id)),
        None => DeleteTopicState::default().with_name(Some(topic_name(name))),
    };
    request.with_topics(vec![topic])
}
