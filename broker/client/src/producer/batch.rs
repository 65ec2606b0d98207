//! A batch on its way: its bytes, who waits for it, and what is known of its fate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use model::{Offset, Time, stamp_batch};
use protocol::ErrorCode;
use protocol::records::{Compression, ProducerFields, Record, encode_batch};
use tokio::sync::oneshot;

use super::sequences::Stamp;
use super::{Reason, SendError, Sent};
use crate::{CallError, TopicPartition};

pub(super) type Reply = oneshot::Sender<Result<Sent, SendError>>;

/// A batch that still takes records.
pub(super) struct OpenBatch {
    records: Vec<Record>,
    replies: Vec<Reply>,
    pub(super) size: usize,
    /// When it stops waiting for more.
    pub(super) linger_until: Time,
    /// When the first of its records is given up.
    pub(super) deadline: Time,
}

impl OpenBatch {
    pub(super) fn new(linger_until: Time, deadline: Time) -> OpenBatch {
        OpenBatch { records: Vec::new(), replies: Vec::new(), size: 0, linger_until, deadline }
    }

    pub(super) fn push(&mut self, record: Record, size: usize, reply: Reply) {
        self.records.push(record);
        self.replies.push(reply);
        self.size += size;
    }

    pub(super) fn close(self, partition: TopicPartition, sequence: u64, compression: Compression) -> Batch {
        Batch {
            partition,
            sequence,
            bytes: encode_batch(&self.records, compression, ProducerFields::default()),
            replies: self.replies,
            size: self.size,
            deadline: self.deadline,
            failed_attempts: 0,
            in_doubt: false,
            stamp: None,
        }
    }
}

/// A batch that is being written.
pub(super) struct Batch {
    pub(super) partition: TopicPartition,
    /// Its place among the batches of its producer.
    pub(super) sequence: u64,
    pub(super) bytes: Bytes,
    replies: Vec<Reply>,
    size: usize,
    pub(super) deadline: Time,
    pub(super) failed_attempts: u32,
    /// Whether some attempt may have written it.
    pub(super) in_doubt: bool,
    /// Its number, from its first attempt on, if the producer is idempotent.
    pub(super) stamp: Option<Stamp>,
}

/// What became of one attempt to write a batch.
pub(super) enum Outcome {
    Written(Option<Offset>),
    Failed(Reason),
}

impl Batch {
    pub(super) fn record_count(&self) -> usize {
        self.replies.len()
    }

    /// Writes its number into it.
    pub(super) fn put_stamp(&mut self, stamp: Stamp) {
        // An attempt that is over has let go of the bytes, unless its connection still writes them: then they are copied.
        let mut bytes =
            std::mem::take(&mut self.bytes).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        stamp_batch(&mut bytes, stamp.identity.id, stamp.identity.epoch, stamp.first_sequence);
        self.bytes = bytes.freeze();
        self.stamp = Some(stamp);
    }

    /// May it be in the log, given up for this reason?
    pub(super) fn may_be_written(&self, reason: &Reason) -> bool {
        self.in_doubt || !is_definite(reason)
    }

    /// Remembers a failed attempt.
    pub(super) fn note(&mut self, reason: &Reason) {
        self.in_doubt |= !is_definite(reason);
        if self.in_doubt {
            model::reached!("a producer sent a batch again that may have been written");
        }
    }

    pub(super) fn succeed(self, base: Option<Offset>, buffered: &Arc<AtomicUsize>) {
        buffered.fetch_sub(self.size, Ordering::Relaxed);
        for (index, reply) in self.replies.into_iter().enumerate() {
            let offset = base.map(|base| base.plus(index as i64));
            // Whoever dropped the future does not want to know.
            let _ = reply.send(Ok(Sent { partition: self.partition.partition, offset }));
        }
    }

    pub(super) fn fail(self, reason: &Reason, buffered: &Arc<AtomicUsize>) {
        buffered.fetch_sub(self.size, Ordering::Relaxed);
        let definite = !self.may_be_written(reason);
        if !definite {
            model::reached!("a producer gave up a batch that may have been written");
        }
        for reply in self.replies {
            let reason = reason.clone();
            let _ = reply.send(Err(if definite { SendError::NotWritten(reason) } else { SendError::InDoubt(reason) }));
        }
    }
}

/// True if an attempt that ended so has certainly written nothing.
fn is_definite(reason: &Reason) -> bool {
    match reason {
        Reason::Refused(code) => is_refused_before_append(*code),
        Reason::Call(error) => error.is_unsent(),
        Reason::Missing | Reason::Closed => false,
        Reason::NoLeader
        | Reason::NoPartition(_)
        | Reason::NoProducerId(_)
        | Reason::TooLarge(_)
        | Reason::BufferFull => true,
    }
}

/// The errors that a broker gives before it has appended anything. NOT_LEADER_OR_FOLLOWER is not among them: a leader that
/// loses its leadership while followers copy the batch says the same.
fn is_refused_before_append(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CorruptMessage
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::InvalidTopicException
            | ErrorCode::InvalidRecord
            | ErrorCode::InvalidTimestamp
            | ErrorCode::InvalidRequiredAcks
            | ErrorCode::InvalidRequest
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::UnsupportedVersion
            | ErrorCode::UnsupportedForMessageFormat
            | ErrorCode::UnsupportedCompressionType
            | ErrorCode::PolicyViolation
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::UnknownProducerId
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
    )
}

/// True if another attempt may succeed.
pub(super) fn is_retriable(reason: &Reason) -> bool {
    match reason {
        Reason::Refused(code) => code.is_retriable() || breaks_sequences(*code),
        Reason::Call(CallError::Request(_)) => false,
        Reason::Call(_) | Reason::Missing | Reason::NoLeader => true,
        Reason::NoPartition(_)
        | Reason::NoProducerId(_)
        | Reason::TooLarge(_)
        | Reason::BufferFull
        | Reason::Closed => false,
    }
}

/// True if a broker refuses a batch for its number: the same number will not do later.
pub(super) fn breaks_sequences(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch | ErrorCode::UnknownProducerId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_of(attempts: &[Reason]) -> SendError {
        let (reply, mut answer) = oneshot::channel();
        let mut open = OpenBatch::new(Time::ZERO, Time::ZERO);
        open.push(Record::default(), 10, reply);
        let mut batch = open.close(TopicPartition::new("orders", 0), 0, Compression::None);
        attempts.iter().for_each(|reason| batch.note(reason));
        let buffered = Arc::new(AtomicUsize::new(10));
        batch.fail(attempts.last().unwrap(), &buffered);
        assert_eq!(buffered.load(Ordering::Relaxed), 0);
        answer.try_recv().unwrap().unwrap_err()
    }

    #[test]
    fn a_refusal_before_the_append_is_definite() {
        for code in [ErrorCode::MessageTooLarge, ErrorCode::NotEnoughReplicas, ErrorCode::UnknownTopicOrPartition] {
            let reason = Reason::Refused(code);
            assert_eq!(result_of(std::slice::from_ref(&reason)), SendError::NotWritten(reason));
        }
        let unsent = Reason::Call(CallError::Connect("refused".into()));
        assert_eq!(result_of(std::slice::from_ref(&unsent)), SendError::NotWritten(unsent));
    }

    #[test]
    fn whatever_may_have_been_appended_is_in_doubt() {
        let reasons = [
            Reason::Refused(ErrorCode::NotLeaderOrFollower),
            Reason::Refused(ErrorCode::RequestTimedOut),
            Reason::Refused(ErrorCode::NotEnoughReplicasAfterAppend),
            Reason::Refused(ErrorCode::UnknownServerError),
            Reason::Refused(ErrorCode::Unknown(4711)),
            Reason::Call(CallError::Timeout),
            Reason::Call(CallError::Closed),
            Reason::Call(CallError::Reset("reset".into())),
            Reason::Call(CallError::Malformed("what".into())),
            Reason::Missing,
        ];
        for reason in reasons {
            assert_eq!(result_of(std::slice::from_ref(&reason)), SendError::InDoubt(reason));
        }
    }

    #[test]
    fn a_definite_refusal_after_a_doubtful_attempt_leaves_the_doubt() {
        let last = Reason::Refused(ErrorCode::NotEnoughReplicas);
        assert_eq!(result_of(&[Reason::Call(CallError::Timeout), last.clone()]), SendError::InDoubt(last));
    }
}
