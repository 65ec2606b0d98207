//! Our refusals in the words of the wire.

use model::SequenceError;
use protocol::ErrorCode;
use roles::controller;
use roles::replica::Refusal;
use storage::StorageError;

use crate::metadata::SubmitError;
use crate::partition::PartitionError;

/// The error code that a client is told.
pub(crate) fn error_code(error: &PartitionError) -> i16 {
    match error {
        PartitionError::Refused(refusal) => refusal_code(*refusal),
        PartitionError::Batch(_) => ErrorCode::CorruptMessage.code(),
        PartitionError::Storage(error) => storage_code(error),
    }
}

pub(crate) fn refusal_code(refusal: Refusal) -> i16 {
    match refusal {
        Refusal::NotLeaderOrFollower => ErrorCode::NotLeaderOrFollower,
        Refusal::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refusal::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        Refusal::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        Refusal::OutOfSequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::OutOfSequence(SequenceError::InvalidProducerEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
        Refusal::OutOfSequence(SequenceError::UnknownProducer { .. }) => ErrorCode::UnknownProducerId,
        Refusal::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        Refusal::OffsetNotAvailable => ErrorCode::OffsetNotAvailable,
        Refusal::UnknownReplica => ErrorCode::NotLeaderOrFollower,
        // Not an error on the wire: the response says where the logs part.
        Refusal::Diverging { .. } => return protocol::NO_ERROR,
    }
    .code()
}

fn storage_code(error: &StorageError) -> i16 {
    match error {
        StorageError::Batch(_) => ErrorCode::CorruptMessage,
        StorageError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        StorageError::Closed => ErrorCode::NotLeaderOrFollower,
        StorageError::Full { .. }
        | StorageError::Failed { .. }
        | StorageError::Unreadable { .. }
        | StorageError::Corrupt { .. }
        | StorageError::Uncompactable { .. }
        | StorageError::Gap { .. } => ErrorCode::KafkaStorageError,
    }
    .code()
}

/// The controller's refusals, by Kafka's name for each.
pub(crate) fn controller_code(refusal: &controller::Refusal) -> i16 {
    use controller::Refusal;

    match refusal {
        Refusal::BrokerIdNotRegistered(_) => ErrorCode::BrokerIdNotRegistered,
        Refusal::StaleBrokerEpoch { .. } => ErrorCode::StaleBrokerEpoch,
        Refusal::UnknownTopicId => ErrorCode::UnknownTopicId,
        Refusal::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        Refusal::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refusal::InvalidUpdateVersion => ErrorCode::InvalidUpdateVersion,
        Refusal::NotController => ErrorCode::NotController,
        Refusal::IneligibleReplica(_) => ErrorCode::IneligibleReplica,
        Refusal::NotReplica(_) => ErrorCode::NotLeaderOrFollower,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::InvalidTopic(_) => ErrorCode::InvalidTopicException,
        Refusal::TopicAlreadyExists(_) => ErrorCode::TopicAlreadyExists,
        Refusal::InvalidPartitions(_) | Refusal::NoMorePartitions { .. } => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor { .. } | Refusal::OtherReplicationFactor { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
        Refusal::PreferredLeaderNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        Refusal::NoEligibleLeader => ErrorCode::EligibleLeadersNotAvailable,
        Refusal::ElectionNotNeeded => ErrorCode::ElectionNotNeeded,
        Refusal::NoReassignmentInProgress => ErrorCode::NoReassignmentInProgress,
        Refusal::InvalidReplicaAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig(_) => ErrorCode::InvalidConfig,
        Refusal::InvalidLevel(_) => ErrorCode::InvalidUpdateVersion,
        Refusal::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
        Refusal::PolicyViolation { .. } => ErrorCode::PolicyViolation,
    }
    .code()
}

/// The same for people.
pub(crate) fn submit_message(error: &SubmitError) -> String {
    match error {
        SubmitError::NotController => "this node is not the active controller: ask that one".into(),
        SubmitError::Refused(refusal) => refusal.to_string(),
        SubmitError::InDoubt => "nobody knows yet whether it was done: look, and ask again".into(),
    }
}

/// Why a command was not carried out, or nobody knows.
pub(crate) fn submit_code(error: &SubmitError) -> i16 {
    match error {
        SubmitError::NotController => ErrorCode::NotController.code(),
        SubmitError::Refused(refusal) => controller_code(refusal),
        SubmitError::InDoubt => ErrorCode::RequestTimedOut.code(),
    }
}
