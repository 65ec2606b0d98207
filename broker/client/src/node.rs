//! A connection to one broker that knows which versions both sides speak.

use host::Host;
use model::Endpoint;
use protocol::messages::{ApiKey, RequestMessage};

use crate::{CallError, Channel, ClientConfig, ClientError, features};

/// What this client asks with, oldest and newest version. Topics go by name but where one is deleted, so Fetch ends at 12.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 12),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 4, 12),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::AlterPartitionReassignments, 0, 1),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::DescribeQuorum, 0, 2),
    (ApiKey::DescribeCluster, 0, 1),
    (ApiKey::UpdateFeatures, 0, 2),
    (ApiKey::UnregisterBroker, 0, 0),
    (ApiKey::AddRaftVoter, 0, 0),
    (ApiKey::RemoveRaftVoter, 0, 0),
];

/// The newest version of each API that both sides speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions(Vec<(i16, i16)>);

impl Versions {
    /// From what a broker advertises: key, oldest, newest.
    pub(crate) fn agree(advertised: impl IntoIterator<Item = (i16, i16, i16)>) -> Versions {
        let common = advertised.into_iter().filter_map(|(key, min, max)| {
            let (_, our_min, our_max) = SPOKEN.iter().find(|(spoken, _, _)| *spoken as i16 == key)?;
            let newest = max.min(*our_max);
            (min.max(*our_min) <= newest).then_some((key, newest))
        });
        Versions(common.collect())
    }

    /// The version to ask with.
    ///
    /// # Errors
    /// `Version` if there is none.
    pub(crate) fn of<R: RequestMessage>(&self) -> Result<i16, ClientError> {
        let found = self.0.iter().find(|(key, _)| *key == R::KEY);
        found.map(|(_, version)| *version).ok_or(ClientError::Version(short_name::<R>()))
    }
}

fn short_name<R>() -> &'static str {
    let name = std::any::type_name::<R>();
    name.rsplit("::").next().unwrap_or(name)
}

pub(crate) struct Node<H: Host> {
    pub(crate) channel: Channel<H>,
    pub(crate) versions: Versions,
}

impl<H: Host> Node<H> {
    /// Connects and agrees on versions (KIP-35, KIP-511).
    pub(crate) async fn connect(host: &H, endpoint: &Endpoint, config: &ClientConfig) -> Result<Node<H>, CallError> {
        let mut channel = Channel::connect(host, endpoint, &config.client_id, config.connect_timeout).await?;
        let answer = features::api_versions(&mut channel, endpoint, config).await?;
        let ranges = answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version));
        Ok(Node { channel, versions: Versions::agree(ranges) })
    }

    /// One question and its answer.
    pub(crate) async fn ask<R: RequestMessage + Sync>(
        &mut self,
        request: impl FnOnce(i16) -> R,
        wait_max: std::time::Duration,
    ) -> Result<R::Response, ClientError> {
        let version = self.versions.of::<R>()?;
        Ok(self.channel.call(version, &request(version), wait_max).await?)
    }
}

#[cfg(test)]
mod tests {
    use protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};

    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        let versions = Versions::agree([(0, 0, 7), (1, 13, 18), (3, 0, 99)]);
        assert_eq!(versions.of::<ProduceRequest>(), Ok(7));
        assert_eq!(versions.of::<MetadataRequest>(), Ok(12));
        assert_eq!(versions.of::<FetchRequest>(), Err(ClientError::Version("FetchRequest")));
    }
}
