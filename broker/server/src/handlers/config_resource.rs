//! Whose settings a request speaks of, in the words of the wire.

use model::BrokerId;
use protocol::ErrorCode;
use roles::controller::{ConfigResource, Source, TopicSetting};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

/// The settings of a resource, or why it has none.
pub(super) fn resource(kind: i8, name: &str) -> Result<ConfigResource, (i16, String)> {
    match (kind, name) {
        (TOPIC, name) => Ok(ConfigResource::Topic(name.into())),
        (BROKER, "") => Ok(ConfigResource::Broker(None)),
        (BROKER, id) => match id.parse() {
            Ok(id) => Ok(ConfigResource::Broker(Some(BrokerId(id)))),
            Err(_) => {
                let message = format!("\"{id}\" is no broker: give its number, or the empty name for all of them");
                Err((ErrorCode::InvalidRequest.code(), message))
            }
        },
        (kind, _) => {
            let message = format!("resources of type {kind} have no settings here: topics (2) and brokers (4) have");
            Err((ErrorCode::InvalidRequest.code(), message))
        }
    }
}

/// Who says a value, as the wire says it (KIP-226).
pub(super) fn source_code(source: Source) -> i8 {
    match source {
        Source::Topic => 1,
        Source::Broker => 2,
        Source::Cluster => 3,
        Source::Node => 4,
        Source::Default => 5,
    }
}

/// What a setting is called where this source says it.
pub(super) fn name_in(source: Source, setting: &TopicSetting) -> &'static str {
    match source {
        Source::Topic => setting.name,
        Source::Broker | Source::Cluster | Source::Node | Source::Default => setting.broker_key.unwrap_or(setting.name),
    }
}
