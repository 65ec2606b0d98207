//! DescribeConfigs: what holds for a topic or a broker, and who says so (KIP-133, KIP-226, KIP-569).

use std::sync::Arc;

use host::Host;
use model::BrokerId;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, string};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{
    BROKER_SETTINGS, BrokerSetting, ConfigResource, Image, Kind, Source, TOPIC_SETTINGS, Topic, TopicSetting,
    check_topic_name,
};

use super::config_resource::{name_in, resource, source_code};
use crate::config::keys::{Key, Shape, keys};
use crate::config::{Config, VOID};
use crate::node::Node;

/// Types of values (KIP-569).
mod types {
    pub(super) const BOOLEAN: i8 = 1;
    pub(super) const STRING: i8 = 2;
    pub(super) const INT: i8 = 3;
    pub(super) const LONG: i8 = 5;
    pub(super) const DOUBLE: i8 = 6;
    pub(super) const LIST: i8 = 7;
}

type Refused = (i16, String);

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: &DescribeConfigsRequest) -> Response {
    let image = node.image();
    let asked = Asked { config: &node.config, image: &image, request };
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match asked.describe(resource) {
            Ok(configs) => result.with_error_code(NO_ERROR).with_configs(configs),
            Err((code, message)) => result.with_error_code(code).with_error_message(Some(string(&message))),
        }
    });
    Response::DescribeConfigs(DescribeConfigsResponse::default().with_results(results.collect()))
}

/// What CreateTopics answers of the settings of a topic that was just made.
pub(super) fn describe_topic(config: &Config, image: &Image, topic: &Topic) -> Vec<DescribeConfigsResourceResult> {
    let request = DescribeConfigsRequest::default();
    let asked = Asked { config, image, request: &request };
    TOPIC_SETTINGS.iter().map(|setting| asked.setting(setting.name, setting, Some(topic))).collect()
}

struct Asked<'a> {
    config: &'a Config,
    image: &'a Image,
    request: &'a DescribeConfigsRequest,
}

impl Asked<'_> {
    fn describe(&self, asked: &DescribeConfigsResource) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
        let is_asked = |name: &str| {
            asked.configuration_keys.as_ref().is_none_or(|names| names.iter().any(|asked| asked.as_str() == name))
        };
        match resource(asked.resource_type, &asked.resource_name)? {
            ConfigResource::Topic(name) => {
                check_topic_name(&name)
                    .map_err(|refusal| (ErrorCode::InvalidTopicException.code(), refusal.to_string()))?;
                let unknown = || (ErrorCode::UnknownTopicOrPartition.code(), format!("there is no topic \"{name}\""));
                let topic = self.image.topic_by_name(&name).ok_or_else(unknown)?;
                let settings = TOPIC_SETTINGS.iter().filter(|setting| is_asked(setting.name));
                Ok(settings.map(|setting| self.setting(setting.name, setting, Some(topic))).collect())
            }
            ConfigResource::Broker(None) => {
                let set = self.image.broker_configs_of(None).filter(|(name, _)| is_asked(name));
                let described = set.filter_map(|(name, _)| match BrokerSetting::of(name) {
                    Some(setting) => Some(self.of_broker(setting, None)),
                    None => TopicSetting::of_broker(name).map(|setting| self.setting(name, setting, None)),
                });
                Ok(described.collect())
            }
            ConfigResource::Broker(Some(id)) if id == self.config.node_id => {
                let own = keys().filter(|key| is_asked(key.name)).map(|key| self.key(&key));
                let dynamic = BROKER_SETTINGS.into_iter().filter(|setting| is_asked(setting.name));
                Ok(own.chain(dynamic.map(|setting| self.of_broker(setting, Some(id)))).collect())
            }
            ConfigResource::Broker(Some(BrokerId(id))) => {
                let message = format!("this is broker {}: ask broker {id} itself", self.config.node_id);
                Err((ErrorCode::InvalidRequest.code(), message))
            }
        }
    }

    /// A setting of a topic, under the name by which it was asked for.
    fn setting(&self, name: &str, setting: &TopicSetting, topic: Option<&Topic>) -> DescribeConfigsResourceResult {
        let sources = setting.sources(self.image, topic, &self.config.topic_defaults);
        let sources: Vec<_> =
            sources.into_iter().map(|(source, value)| (name_in(source, setting), source, value)).collect();
        let result = self.result(name, setting.means, type_of(setting.kind));
        said(result, &sources, self.request.include_synonyms)
    }

    /// A setting of brokers, for one of them or for all.
    fn of_broker(&self, setting: &'static BrokerSetting, broker: Option<BrokerId>) -> DescribeConfigsResourceResult {
        let sources = setting.sources(self.image, broker);
        let sources: Vec<_> = sources.into_iter().map(|(source, value)| (setting.name, source, value)).collect();
        let result = self.result(setting.name, setting.means, type_of(setting.kind));
        said(result, &sources, self.request.include_synonyms)
    }

    /// One of this node's keys.
    fn key(&self, key: &Key) -> DescribeConfigsResourceResult {
        let kind = match key.shape {
            Shape::Topics(setting) => return self.setting(key.name, setting, None),
            Shape::Integer { to, .. } => integer(to),
            Shape::Boolean { .. } => types::BOOLEAN,
            Shape::Text { .. } => types::STRING,
        };
        let (value, default) = (key.value(self.config), key.value(&VOID));
        let source = if value == default { Source::Default } else { Source::Node };
        let value = value.as_deref().map(string);
        let synonym = DescribeConfigsSynonym::default()
            .with_name(string(key.name))
            .with_value(value.clone())
            .with_source(source_code(source));
        self.result(key.name, key.means, kind)
            .with_value(value)
            .with_read_only(true)
            .with_config_source(source_code(source))
            .with_synonyms(if self.request.include_synonyms { vec![synonym] } else { Vec::new() })
    }

    fn result(&self, name: &str, means: &str, kind: i8) -> DescribeConfigsResourceResult {
        DescribeConfigsResourceResult::default()
            .with_name(string(name))
            .with_config_type(kind)
            .with_documentation(self.request.include_documentation.then(|| string(means)))
    }
}

/// A setting with its value: what the first source says holds, and all of them are synonyms.
fn said(
    result: DescribeConfigsResourceResult,
    sources: &[(&str, Source, &str)],
    include_synonyms: bool,
) -> DescribeConfigsResourceResult {
    let Some((_, source, value)) = sources.first() else { return result };
    let synonyms = sources.iter().filter(|_| include_synonyms).map(|(name, source, value)| {
        DescribeConfigsSynonym::default()
            .with_name(string(name))
            .with_value(Some(string(value)))
            .with_source(source_code(*source))
    });
    result.with_value(Some(string(value))).with_config_source(source_code(*source)).with_synonyms(synonyms.collect())
}

fn type_of(kind: Kind) -> i8 {
    match kind {
        Kind::Integer { to, .. } => integer(to),
        Kind::Ratio => types::DOUBLE,
        Kind::Boolean => types::BOOLEAN,
        Kind::OneOf(_) => types::STRING,
        Kind::SomeOf(_) | Kind::Replicas => types::LIST,
    }
}

fn integer(to: i64) -> i8 {
    if to <= i64::from(i32::MAX) { types::INT } else { types::LONG }
}
