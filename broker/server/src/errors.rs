//! Our refusals in the words of the wire.

use protocol::ErrorCode;
use roles::replica::Refusal;
use storage::StorageError;

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
        Refusal::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        Refusal::OffsetNotAvailable => ErrorCode::OffsetNotAvailable,
        Refusal::UnknownReplica => ErrorCode::NotLeaderOrFollower,
        // Not an error on the wire: the response says where the logs part.
        Refusal::Diverging { .. } => return protocol::NO_ERROR,
    }
    .code()
}

fn storage_code(_error: &StorageError) -> i16 {
    ErrorCode::KafkaStorageError.code()
}
