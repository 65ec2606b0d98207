//! The table of what is set for brokers while they run, and nowhere else: for one of them, or for all (KIP-226).
//!
//! ```text
//!  the broker's own ▷ the cluster's ▷ the default
//! ```

use model::BrokerId;

use super::Image;
use super::topic_settings::{Kind, Source, Unit};

/// One row of the table.
#[derive(Debug)]
pub struct BrokerSetting {
    /// Kafka's name.
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    /// Completed sentences, for people.
    pub means: &'static str,
}

const RATE: Kind = Kind::Integer { unit: Unit::Bytes, from: 0, to: i64::MAX };
const NO_LIMIT: &str = "9223372036854775807";

/// What a broker sends at most in a second to followers that are throttled.
pub static LEADER_THROTTLE: BrokerSetting = BrokerSetting {
    name: "leader.replication.throttled.rate",
    kind: RATE,
    default: NO_LIMIT,
    means: "Bytes a second that a broker sends at most, as leader, to followers that are out of sync, where a topic's \
            `leader.replication.throttled.replicas` names its replica. Followers in sync are never held back.",
};

/// What a broker fetches at most in a second for replicas that are throttled.
pub static FOLLOWER_THROTTLE: BrokerSetting = BrokerSetting {
    name: "follower.replication.throttled.rate",
    kind: RATE,
    default: NO_LIMIT,
    means: "Bytes a second that a broker fetches at most for its replicas that are out of sync, where a topic's \
            `follower.replication.throttled.replicas` names them. Replicas in sync are never held back.",
};

/// Every setting of brokers, by name.
pub static BROKER_SETTINGS: [&BrokerSetting; 2] = [&FOLLOWER_THROTTLE, &LEADER_THROTTLE];

impl BrokerSetting {
    pub fn of(name: &str) -> Option<&'static BrokerSetting> {
        BROKER_SETTINGS.into_iter().find(|setting| setting.name == name)
    }

    /// What holds for a broker (none: for one of which nothing is said), and every source that says something, the one that holds first.
    pub fn sources<'a>(&self, image: &'a Image, broker: Option<BrokerId>) -> Vec<(Source, &'a str)> {
        let own = broker.and_then(|id| image.broker_config(Some(id), self.name)).map(|value| (Source::Broker, value));
        let cluster = image.broker_config(None, self.name).map(|value| (Source::Cluster, value));
        [own, cluster, Some((Source::Default, self.default))].into_iter().flatten().collect()
    }

    /// What holds for a broker, as a number.
    pub fn number(&self, image: &Image, broker: BrokerId) -> Option<u64> {
        self.sources(image, Some(broker)).first().and_then(|(_, value)| value.parse().ok())
    }
}
