//! Producer ids are handed out in blocks, each to one broker, and never twice (KIP-730).

use model::{BrokerEpoch, BrokerId, ProducerId};

use super::record::ProducerIds;
use super::{Controller, Decision, Record, Refusal, Reply};
use crate::limits::PRODUCER_IDS_AT_ONCE;

impl Controller {
    pub(super) fn allocate_producer_ids(
        &self,
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
    ) -> Result<Decision, Refusal> {
        self.registration(broker, broker_epoch)?;
        let first = self.image.next_producer_id;
        let next = ProducerId(first.0 + i64::from(PRODUCER_IDS_AT_ONCE));
        Ok(Decision {
            records: vec![Record::ProducerIds(ProducerIds { broker, broker_epoch, next })],
            reply: Reply::ProducerIds { first, count: PRODUCER_IDS_AT_ONCE },
        })
    }
}
