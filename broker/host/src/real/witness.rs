//! What the broker says of itself, as log lines: rare facts at `info` or above, the flow of records at `debug`.

use model::Event;
use tracing::{debug, error, info, warn};

pub(super) fn log(event: &Event) {
    match event {
        Event::QuorumLeader { epoch, log_end } => info!(%epoch, %log_end, "leads the metadata quorum"),
        Event::QuorumFollower { epoch, leader } => info!(%epoch, %leader, "follows the leader of the metadata quorum"),
        Event::BrokerRegistered { broker, epoch, .. } => info!(%broker, broker_epoch = %epoch, "broker registered"),
        Event::BrokerUnregistered { broker } => info!(%broker, "broker unregistered"),
        Event::LevelFinalized { level } => info!(%level, "the cluster's metadata.version is another"),
        Event::BrokerFenced { broker } => warn!(%broker, "broker fenced: it leads nothing and serves nobody"),
        Event::BrokerUnfenced { broker } => info!(%broker, "broker unfenced"),
        Event::BecameLeader { partition, epoch, log_end, high_watermark } => {
            info!(%partition, %epoch, %log_end, %high_watermark, "leads a partition");
        }
        Event::BecameFollower { partition, epoch, leader, log_end } => {
            info!(%partition, %epoch, %leader, %log_end, "follows the leader of a partition");
        }
        Event::Recovered { partition, log_start, log_end, cut_bytes } if 0 < *cut_bytes => {
            warn!(%partition, %log_start, %log_end, cut_bytes, "cut a torn tail off a log");
        }
        Event::Truncated { partition, from, to } => info!(%partition, %from, %to, "cut a log back to its leader's"),
        Event::LogGivenUp { partition, leader_epoch, start, end, to } => {
            warn!(%partition, %leader_epoch, %start, %end, %to, "gives up a log of which its leader has nothing, after an unclean election");
        }
        Event::LogStartAdvanced { partition, from, to, reason } => {
            info!(%partition, %from, %to, ?reason, "deleted the first records of a log");
        }
        Event::Compacted { partition, from, to, .. } => info!(%partition, %from, %to, "compacted a part of a log"),
        Event::StorageFailed { partition } => error!(%partition, "storage failed: this replica is in doubt"),
        // The flow of records and of metadata; what a broker learns to say is told here until it earns a line above.
        event => debug!(?event),
    }
}
