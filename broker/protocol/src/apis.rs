//! What we speak: each API with its versions, and the answer to ApiVersions.
//!
//! Ranges are Kafka 4.2's as far as we can serve them. Two oddities are needed by clients that people have:
//! Produce is advertised from version 0 though 0 to 2 are refused, since librdkafka reads from an overlap with them that
//! record batches are understood (KAFKA-18659); and an ApiVersions request of a version that is too new is answered with
//! version 0 and error 35, from which the client learns what to ask instead (KIP-511).

use model::MetadataVersion;

use crate::errors::{ErrorCode, NO_ERROR};
use crate::messages::{ApiKey, ApiVersionsResponse, api_versions_response::ApiVersion};
use crate::request::Header;
use crate::response::Response;

/// One API that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    pub key: ApiKey,
    /// The oldest version that is served.
    pub min: i16,
    /// The newest version that is served.
    pub max: i16,
    /// The oldest version that clients are told of; none if the API is between nodes and not told of at all.
    advertised_min: Option<i16>,
}

impl Api {
    /// The newest version that a program serves which knows metadata up to `newest`; none if it does not have the API.
    pub fn newest(&self, newest: MetadataVersion) -> Option<i16> {
        match self.key {
            ApiKey::AddRaftVoter | ApiKey::RemoveRaftVoter | ApiKey::UpdateRaftVoter => {
                newest.has_voters().then_some(self.max)
            }
            // What follows tells voters apart by their disks, and where a leader listens that was not configured (KIP-853).
            ApiKey::Fetch if !newest.has_voters() => Some(16),
            ApiKey::FetchSnapshot | ApiKey::BeginQuorumEpoch | ApiKey::EndQuorumEpoch if !newest.has_voters() => {
                Some(0)
            }
            ApiKey::DescribeQuorum if !newest.has_voters() => Some(1),
            _ => Some(self.max),
        }
    }
}

const fn for_clients(key: ApiKey, min: i16, max: i16) -> Api {
    Api { key, min, max, advertised_min: Some(min) }
}

const fn between_nodes(key: ApiKey, min: i16, max: i16) -> Api {
    Api { key, min, max, advertised_min: None }
}

/// Every API that we speak, by rising key.
pub const SUPPORTED: &[Api] = &[
    // 13 names topics by id alone; 12 says the same.
    Api { key: ApiKey::Produce, min: 3, max: 12, advertised_min: Some(0) },
    // 18 carries the high watermarks of followers of the quorum (KIP-1166).
    for_clients(ApiKey::Fetch, 4, 17),
    // 10 is about remote storage (KIP-1075).
    for_clients(ApiKey::ListOffsets, 1, 9),
    for_clients(ApiKey::Metadata, 0, 13),
    for_clients(ApiKey::ApiVersions, 0, 4),
    for_clients(ApiKey::CreateTopics, 2, 7),
    for_clients(ApiKey::DeleteTopics, 1, 6),
    for_clients(ApiKey::DeleteRecords, 0, 2),
    // 6 is not stable in Kafka (KIP-939).
    for_clients(ApiKey::InitProducerId, 0, 5),
    for_clients(ApiKey::OffsetForLeaderEpoch, 2, 4),
    for_clients(ApiKey::DescribeConfigs, 1, 4),
    for_clients(ApiKey::AlterConfigs, 0, 2),
    for_clients(ApiKey::DescribeLogDirs, 1, 4),
    for_clients(ApiKey::CreatePartitions, 0, 3),
    for_clients(ApiKey::ElectLeaders, 0, 2),
    for_clients(ApiKey::IncrementalAlterConfigs, 0, 1),
    for_clients(ApiKey::AlterPartitionReassignments, 0, 1),
    for_clients(ApiKey::ListPartitionReassignments, 0, 0),
    between_nodes(ApiKey::Vote, 0, 2),
    between_nodes(ApiKey::BeginQuorumEpoch, 0, 1),
    between_nodes(ApiKey::EndQuorumEpoch, 0, 1),
    for_clients(ApiKey::DescribeQuorum, 0, 2),
    between_nodes(ApiKey::AlterPartition, 2, 3),
    for_clients(ApiKey::UpdateFeatures, 0, 2),
    between_nodes(ApiKey::FetchSnapshot, 0, 1),
    for_clients(ApiKey::DescribeCluster, 0, 2),
    for_clients(ApiKey::DescribeProducers, 0, 0),
    between_nodes(ApiKey::BrokerRegistration, 0, 4),
    between_nodes(ApiKey::BrokerHeartbeat, 0, 1),
    for_clients(ApiKey::UnregisterBroker, 0, 0),
    between_nodes(ApiKey::AllocateProducerIds, 0, 0),
    between_nodes(ApiKey::AssignReplicasToDirs, 0, 0),
    for_clients(ApiKey::ListConfigResources, 0, 1),
    for_clients(ApiKey::DescribeTopicPartitions, 0, 0),
    for_clients(ApiKey::AddRaftVoter, 0, 0),
    for_clients(ApiKey::RemoveRaftVoter, 0, 0),
    between_nodes(ApiKey::UpdateRaftVoter, 0, 0),
];

/// The entry of `key`, if we speak it.
pub fn api(key: i16) -> Option<&'static Api> {
    SUPPORTED.iter().find(|api| api.key as i16 == key)
}

/// The answer to an ApiVersions request that we understand, of a program that knows metadata up to `newest`. It names no features.
pub fn api_versions_response(newest: MetadataVersion) -> ApiVersionsResponse {
    answer(newest, NO_ERROR)
}

/// The answer to an ApiVersions request of a version that we do not speak: error 35, written as version 0 (KIP-511).
pub fn refuse_api_versions(newest: MetadataVersion, header: &Header) -> (Header, Response) {
    let header = Header { version: 0, ..header.clone() };
    (header, Response::ApiVersions(answer(newest, ErrorCode::UnsupportedVersion.code())))
}

fn answer(newest: MetadataVersion, error_code: i16) -> ApiVersionsResponse {
    let advertised = SUPPORTED.iter().filter_map(|api| {
        let (min, max) = (api.advertised_min?, api.newest(newest)?);
        Some(ApiVersion::default().with_api_key(api.key as i16).with_min_version(min).with_max_version(max))
    });
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(advertised.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_rise_and_ranges_lie_within_what_can_be_decoded() {
        assert!(SUPPORTED.windows(2).all(|pair| (pair[0].key as i16) < pair[1].key as i16));
        for api in SUPPORTED {
            let valid = api.key.valid_versions();
            assert!(valid.min <= api.min && api.min <= api.max && api.max <= valid.max, "{:?}", api.key);
        }
    }

    #[test]
    fn produce_is_advertised_from_zero_and_nothing_between_nodes_is() {
        let answer = api_versions_response(MetadataVersion::NEWEST);
        let find = |key: ApiKey| answer.api_keys.iter().find(|entry| entry.api_key == key as i16);
        assert_eq!(find(ApiKey::Produce).map(|entry| (entry.min_version, entry.max_version)), Some((0, 12)));
        assert_eq!(find(ApiKey::Vote), None);
        assert_eq!(find(ApiKey::AlterPartition), None);
    }

    #[test]
    fn a_program_of_an_older_level_does_not_have_what_came_later() {
        let answer = api_versions_response(MetadataVersion(1));
        let newest = |key: ApiKey| {
            answer.api_keys.iter().find(|entry| entry.api_key == key as i16).map(|entry| entry.max_version)
        };
        assert_eq!((newest(ApiKey::Fetch), newest(ApiKey::AddRaftVoter)), (Some(16), None));
        assert_eq!(newest(ApiKey::Metadata), Some(13));
    }
}
