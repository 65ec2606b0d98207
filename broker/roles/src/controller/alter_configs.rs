//! Settings are changed while everything runs: a topic's own, or the cluster's for all that say nothing (KIP-339, KIP-226).

use model::BrokerId;

use super::draft::Draft;
use super::record::{BrokerConfig, TopicConfig};
use super::topic_settings::{self, Kind, TopicSetting, items};
use super::{
    AlterConfigs, BrokerSetting, ConfigChanges, ConfigOperation, ConfigResource, Controller, Decision, Record, Refusal,
    Reply,
};

impl Controller {
    pub(super) fn alter_configs(&self, request: &AlterConfigs) -> Decision {
        let mut draft = self.draft();
        let mut results = Vec::new();
        for (resource, changes) in &request.resources {
            let is_twice = 1 < request.resources.iter().filter(|(other, _)| other == resource).count();
            let records = if is_twice {
                Err(Refusal::InvalidRequest("a resource is asked for twice".into()))
            } else {
                self.changes(&draft, resource, changes)
            };
            results.push(records.map(|records| records.into_iter().for_each(|record| draft.push(record))));
        }
        let records = if request.validate_only { Vec::new() } else { draft.records };
        Decision { records, reply: Reply::ConfigsAltered(results) }
    }

    fn changes(
        &self,
        draft: &Draft,
        resource: &ConfigResource,
        changes: &ConfigChanges,
    ) -> Result<Vec<Record>, Refusal> {
        match resource {
            ConfigResource::Topic(name) => {
                let topic = draft.image.topic_by_name(name).ok_or(Refusal::UnknownTopicOrPartition)?;
                let value = |name: &str| {
                    let setting = topic_settings::known(name)?;
                    let sources = setting.sources(&draft.image, Some(topic), &self.settings.topic_defaults);
                    Ok((setting.kind, sources.first().map_or("", |(_, value)| *value)))
                };
                let set: Vec<&str> = topic.configs.keys().map(String::as_str).collect();
                let record = |(name, value)| Record::TopicConfig(TopicConfig { topic: topic.id, name, value });
                Ok(resolve(changes, &set, value)?.into_iter().map(record).collect())
            }
            ConfigResource::Broker(broker) => {
                let value = |key: &str| {
                    let kind = known_of_brokers(*broker, key)?;
                    let of_topics = TopicSetting::of_broker(key);
                    let default = of_topics.map_or("", |setting| self.settings.topic_defaults.get(setting));
                    Ok((kind, draft.image.broker_config(*broker, key).unwrap_or(default)))
                };
                let set: Vec<&str> = draft.image.broker_configs_of(*broker).map(|(name, _)| name).collect();
                let record = |(name, value)| Record::BrokerConfig(BrokerConfig { broker: *broker, name, value });
                Ok(resolve(changes, &set, value)?.into_iter().map(record).collect())
            }
        }
    }
}

/// What a broker's key takes, if it can be changed while the broker runs.
fn known_of_brokers(broker: Option<BrokerId>, key: &str) -> Result<Kind, Refusal> {
    if let Some(setting) = BrokerSetting::of(key) {
        return Ok(setting.kind);
    }
    let Some(setting) = TopicSetting::of_broker(key) else {
        return Err(Refusal::InvalidConfig(format!(
            "\"{key}\" cannot be changed while brokers run: write it into their configuration and start them again"
        )));
    };
    if broker.is_some() {
        return Err(Refusal::InvalidConfig(format!(
            "\"{key}\" holds for the whole cluster, since replicas of one topic must agree: change it for the broker with the empty name"
        )));
    }
    Ok(setting.kind)
}

/// Each name with its new value; `value` gives what a name takes and what holds now, `set` are those that are set.
fn resolve<'a>(
    changes: &ConfigChanges,
    set: &[&str],
    value: impl Fn(&str) -> Result<(Kind, &'a str), Refusal>,
) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let mut resolved: Vec<(String, Option<String>)> = Vec::new();
    let mut take = |name: &str, new: Option<String>| {
        if resolved.iter().any(|(other, _)| other == name) {
            return Err(Refusal::InvalidRequest(format!("\"{name}\" is changed twice")));
        }
        resolved.push((name.into(), new));
        Ok(())
    };
    match changes {
        ConfigChanges::Single(changes) => {
            for (name, operation) in changes {
                let (kind, now) = value(name)?;
                let new = match operation {
                    ConfigOperation::Set(new) => Some(new.clone()),
                    ConfigOperation::Delete => None,
                    ConfigOperation::Append(_) | ConfigOperation::Subtract(_) if !kind.is_list() => {
                        return Err(Refusal::InvalidConfig(format!("\"{name}\" is no list: set it, or delete it")));
                    }
                    ConfigOperation::Append(more) => {
                        let more = items(more).filter(|item| items(now).all(|known| known != *item));
                        Some(items(now).chain(more).collect::<Vec<_>>().join(","))
                    }
                    ConfigOperation::Subtract(less) => {
                        let rest = items(now).filter(|item| items(less).all(|gone| gone != *item));
                        Some(rest.collect::<Vec<_>>().join(","))
                    }
                };
                new.iter().try_for_each(|new| kind.check(name, new))?;
                take(name, new)?;
            }
        }
        ConfigChanges::Whole(settings) => {
            for (name, new) in settings {
                let (kind, _) = value(name)?;
                new.iter().try_for_each(|new| kind.check(name, new))?;
                take(name, new.clone())?;
            }
            for name in set.iter().filter(|name| settings.iter().all(|(kept, _)| kept != *name)) {
                take(name, None)?;
            }
        }
    }
    Ok(resolved)
}
