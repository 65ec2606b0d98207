//! What a fetch is answered about one partition, before it takes the shape that the wire has for it.

use bytes::Bytes;
use host::FileRange;
use model::{BrokerId, LeaderEpoch, Offset};
use protocol::NO_ERROR;
use protocol::messages::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, PartitionData};
use storage::Records;

use crate::handlers::wire_id;

/// Offsets and error as the wire says them.
#[derive(Debug, Default)]
pub(crate) struct PartitionAnswer {
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) records: Records,
    /// The follower's log parts from the leader's, which ends this epoch here.
    pub(crate) parting: Option<(LeaderEpoch, Offset)>,
    /// Who is to be asked instead: a follower in the consumer's rack (KIP-392).
    pub(crate) nearer: Option<BrokerId>,
    /// Who leads, beside an error.
    pub(crate) leader: Option<(Option<BrokerId>, LeaderEpoch)>,
    /// There is nothing for the fetcher, and the next change is told.
    pub(crate) is_settled: bool,
}

impl PartitionAnswer {
    /// Errors, a parting of logs, and who is to be asked instead: what must not wait for records.
    pub(crate) fn is_urgent(&self) -> bool {
        self.error_code != NO_ERROR || self.parting.is_some() || self.nearer.is_some()
    }

    /// What lies in a file is left out, and comes beside it.
    pub(crate) fn into_wire(self, partition: i32) -> (PartitionData, Option<FileRange>) {
        let (records, in_file) = match self.records {
            Records::InMemory(bytes) => (bytes, None),
            Records::InFile(range) => (Bytes::new(), Some(range)),
        };
        let mut data = PartitionData::default();
        data.partition_index = partition;
        data.error_code = self.error_code;
        data.high_watermark = self.high_watermark;
        data.last_stable_offset = self.high_watermark;
        data.log_start_offset = self.log_start;
        data.records = Some(records);
        data.preferred_read_replica = wire_id(self.nearer);
        match (self.parting, self.leader) {
            (Some((epoch, end)), _) => {
                data.diverging_epoch = EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end.0);
            }
            (None, Some((leader, epoch))) => {
                data.current_leader =
                    LeaderIdAndEpoch::default().with_leader_id(wire_id(leader)).with_leader_epoch(epoch.0);
            }
            (None, None) => {}
        }
        (data, in_file)
    }
}
