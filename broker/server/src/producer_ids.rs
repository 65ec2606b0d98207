//! Ids for idempotent producers: a block of them is this broker's to hand out, and the controller gives another when it is used up (KIP-730).

use std::ops::Range;

use host::Host;
use model::ProducerId;
use protocol::messages::{AllocateProducerIdsRequest, BrokerId as WireBrokerId};
use protocol::{ErrorCode, NO_ERROR};
use tokio::sync::Mutex;

use crate::node::Node;

const VERSION: i16 = 0;

/// What is left of this broker's block. The lock is held while the next block is asked for: whoever else needs an id waits for it too.
#[derive(Default)]
pub(crate) struct ProducerIds(Mutex<Range<i64>>);

impl ProducerIds {
    /// An id that nobody else has.
    ///
    /// # Errors
    /// The code to answer with, if the block is used up and the controller does not give another one now.
    pub(crate) async fn next<H: Host>(&self, node: &Node<H>) -> Result<ProducerId, i16> {
        let mut left = self.0.lock().await;
        if left.is_empty() {
            *left = allocate(node).await?;
        }
        left.next().map(ProducerId).ok_or(ErrorCode::UnknownServerError.code())
    }
}

async fn allocate<H: Host>(node: &Node<H>) -> Result<Range<i64>, i16> {
    // All clients ask again on this one.
    let not_now = ErrorCode::CoordinatorLoadInProgress.code();
    let epoch = node.broker_epoch.lock().ok_or(not_now)?;
    let request = AllocateProducerIdsRequest::default()
        .with_broker_id(WireBrokerId(node.config.node_id.0))
        .with_broker_epoch(epoch.0);
    match node.controller.call(VERSION, &request).await {
        Ok(block) if block.error_code == NO_ERROR && 0 < block.producer_id_len => {
            let first = block.producer_id_start.0;
            Ok(first..first + i64::from(block.producer_id_len))
        }
        Ok(refused) => {
            tracing::debug!(code = refused.error_code, "the controller gives no producer ids");
            node.controller.forget().await;
            Err(not_now)
        }
        Err(error) => {
            tracing::debug!(%error, "cannot ask for producer ids");
            Err(not_now)
        }
    }
}
