//! What partitions leave to be done once their lock is free: syncs, and words with the controller about in-sync sets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use host::{Host, buggify};
use model::{Event, PartitionId};
use protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId as WireBrokerId, topic_id, uuid};
use protocol::{ErrorCode, NO_ERROR};
use roles::replica::InSyncProposal;
use storage::{StartKept, StorageError, SyncedTo};
use tokio::sync::mpsc;

use crate::LATE;
use crate::controller_channel::ControllerError;
use crate::node::Node;
use crate::partition::{Errand, PartitionError, Starting, StepDone, Syncing};

/// How often leaders look for followers that lag, and abandoned requests are dropped.
const TICK: Duration = Duration::from_millis(500);

/// AlterPartition with broker epochs (KIP-903).
const ALTER_PARTITION_VERSION: i16 = 3;

/// How many logs are given a new start at once: deleting is not to be in the way of what is being written.
const STARTS_MAX: usize = 4;

/// Runs errands for as long as the node lives. Syncs of different partitions run side by side: the host groups them.
pub(crate) async fn run<H: Host>(node: Arc<Node<H>>, mut errands: mpsc::UnboundedReceiver<Errand>) {
    let (proposals, proposed) = mpsc::unbounded_channel();
    let _in_sync = host::spawn(&node.host, speak_for_in_sync_sets(node.clone(), proposed));
    let mut syncs = FuturesUnordered::new();
    let mut starts = FuturesUnordered::new();
    let mut starts_to_come: VecDeque<(PartitionId, Starting)> = VecDeque::new();
    let mut given_up = FuturesUnordered::new();
    loop {
        while starts.len() < STARTS_MAX
            && let Some((id, starting)) = starts_to_come.pop_front()
        {
            starts.push(async move { (id, starting.await) });
        }
        tokio::select! {
            biased;
            Some((id, result)) = syncs.next(), if !syncs.is_empty() => {
                if let Some(next) = synced(&node, id, result) {
                    syncs.push(sync(node.host.clone(), id, next));
                }
            }
            Some((id, kept)) = starts.next(), if !starts.is_empty() => start_kept(&node, id, kept),
            Some((id, done)) = given_up.next(), if !given_up.is_empty() => step_of_giving_up_done(&node, id, done),
            errand = errands.recv() => match errand {
                Some(Errand::KeepStart(id, starting)) => starts_to_come.push_back((id, starting)),
                Some(Errand::GiveUp(id, step)) => given_up.push(async move { (id, step.await) }),
                Some(Errand::BeginSync(id)) => {
                    if let Some(syncing) = node.partition(id).and_then(|partition| partition.begin_awaited_sync()) {
                        syncs.push(sync(node.host.clone(), id, syncing));
                    }
                }
                Some(Errand::Sync(id, syncing)) => syncs.push(sync(node.host.clone(), id, syncing)),
                Some(Errand::AlterInSync(id, proposal)) => {
                    let _node_stops = proposals.send((id, proposal));
                }
                None => return,
            }
        }
    }
}

async fn sync<H: Host>(host: H, id: PartitionId, syncing: Syncing) -> (PartitionId, Result<SyncedTo, StorageError>) {
    if buggify!(host, "a sync began late", 0.05) {
        host.sleep(LATE).await;
    }
    (id, syncing.await)
}

/// Tells the partition how its sync went; what came meanwhile is the next one.
pub(crate) fn synced<H: Host>(
    node: &Node<H>,
    id: PartitionId,
    result: Result<SyncedTo, StorageError>,
) -> Option<Syncing> {
    let partition = node.partition(id)?;
    let next = result.map_err(PartitionError::from).and_then(|done| partition.synced(done));
    next.unwrap_or_else(|error| {
        tracing::error!(%id, %error, "cannot sync the log");
        node.note(id, &error);
        None
    })
}

/// Tells the partition what became of its new log start.
fn start_kept<H: Host>(node: &Node<H>, id: PartitionId, kept: Result<StartKept, StorageError>) {
    let Some(partition) = node.partition(id) else { return };
    if let Err(error) = partition.start_kept(kept) {
        tracing::error!(%id, %error, "cannot delete records");
        node.note(id, &error);
    }
}

/// Tells the partition what became of its log, which it gives up.
fn step_of_giving_up_done<H: Host>(node: &Node<H>, id: PartitionId, done: Result<StepDone, StorageError>) {
    let Some(partition) = node.partition(id) else { return };
    if let Err(error) = partition.given_up(done) {
        tracing::error!(%id, %error, "cannot begin a log anew");
        node.note(id, &error);
    }
}

/// Lets go what retention allows, now and then (`log.retention.check.interval.ms`).
pub(crate) async fn retain<H: Host>(node: Arc<Node<H>>) {
    loop {
        node.host.sleep(node.config.retention_check_interval).await;
        for partition in node.partitions() {
            partition.retain(node.host.wall_clock());
        }
    }
}

/// Lets time pass for every partition.
pub(crate) async fn tick<H: Host>(node: Arc<Node<H>>) {
    let mut burden = (0, 0);
    loop {
        node.host.sleep(if buggify!(node.host, "time passed late for partitions") { 4 * TICK } else { TICK }).await;
        let mut now = (0, 0);
        for partition in node.partitions() {
            let result = partition.forget_abandoned().and_then(|()| partition.tick(node.config.producer_silence_max));
            if let Err(error) = result {
                node.note(partition.id, &error);
            }
            let (answers, fetches) = partition.waiting();
            now = (now.0 + answers, now.1 + fetches);
        }
        // Who still owes something says so at each look: then it is known that it looked.
        if now != burden || 0 < now.0 {
            burden = now;
            let count = |waiting| u32::try_from(waiting).unwrap_or(u32::MAX);
            node.host.witness(Event::Burden { answers: count(now.0), fetches: count(now.1) });
        }
    }
}

/// Brings leaders' proposals to the controller, all that wait in one request.
async fn speak_for_in_sync_sets<H: Host>(
    node: Arc<Node<H>>,
    mut proposed: mpsc::UnboundedReceiver<(PartitionId, InSyncProposal)>,
) {
    while let Some((id, proposal)) = proposed.recv().await {
        let mut proposals = BTreeMap::from([(id, proposal)]);
        while let Ok((id, proposal)) = proposed.try_recv() {
            proposals.insert(id, proposal);
        }
        if buggify!(node.host, "an in-sync set was proposed late") {
            node.host.sleep(LATE).await;
        }
        match node.controller.call(ALTER_PARTITION_VERSION, &request(&node, &proposals)).await {
            Ok(_) if buggify!(node.host, "the answer to a proposal was lost") => {
                proposals.iter().for_each(|(id, proposal)| settle(&node, *id, proposal, Fate::InDoubt));
            }
            Ok(response) => answer(&node, &proposals, &response).await,
            Err(error) => {
                tracing::debug!(%error, "cannot change in-sync sets");
                let never_left = matches!(error, ControllerError::Unknown | ControllerError::Unreachable(_));
                if never_left {
                    model::reached!("the controller could not be asked for an in-sync set");
                } else {
                    model::reached!("the controller left a proposal unanswered");
                }
                for (id, proposal) in &proposals {
                    settle(&node, *id, proposal, if never_left { Fate::Refused } else { Fate::InDoubt });
                }
                node.host.sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn request<H: Host>(node: &Node<H>, proposals: &BTreeMap<PartitionId, InSyncProposal>) -> AlterPartitionRequest {
    let mut topics: Vec<TopicData> = Vec::new();
    for (id, proposal) in proposals {
        let members = proposal.in_sync.iter().map(|(member, epoch)| {
            let own = *node.broker_epoch.lock();
            let epoch = if *member == node.config.node_id { own } else { *epoch };
            BrokerState::default()
                .with_broker_id(WireBrokerId(member.0))
                .with_broker_epoch(epoch.map_or(-1, |epoch| epoch.0))
        });
        let partition = PartitionData::default()
            .with_partition_index(id.index)
            .with_leader_epoch(proposal.leader_epoch.0)
            .with_partition_epoch(proposal.partition_epoch.0)
            .with_new_isr_with_epochs(members.collect());
        match topics.last_mut().filter(|topic| topic.topic_id == uuid(id.topic)) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(TopicData::default().with_topic_id(uuid(id.topic)).with_partitions(vec![partition])),
        }
    }
    AlterPartitionRequest::default()
        .with_broker_id(WireBrokerId(node.config.node_id.0))
        .with_broker_epoch(node.broker_epoch.lock().map_or(-1, |epoch| epoch.0))
        .with_topics(topics)
}

/// What became of a proposal.
#[derive(Clone, Copy)]
enum Fate {
    /// It is committed: the metadata will tell.
    MetadataWillTell,
    Refused,
    InDoubt,
}

async fn answer<H: Host>(
    node: &Node<H>,
    proposals: &BTreeMap<PartitionId, InSyncProposal>,
    response: &AlterPartitionResponse,
) {
    if response.error_code != NO_ERROR {
        // Not the controller, or our registration is not the current one: nothing was changed. A controller that lost its
        // leadership before it could commit does not know itself what became of it.
        let is_in_doubt = response.error_code == ErrorCode::RequestTimedOut.code();
        if is_in_doubt {
            model::reached!("a controller lost its office before it could commit a proposal");
        }
        node.controller.forget().await;
        for (id, proposal) in proposals {
            settle(node, *id, proposal, if is_in_doubt { Fate::InDoubt } else { Fate::Refused });
        }
        node.host.sleep(Duration::from_millis(50)).await;
        return;
    }
    let mut codes = BTreeMap::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            let id = PartitionId { topic: topic_id(topic.topic_id), index: partition.partition_index };
            codes.insert(id, partition.error_code);
        }
    }
    for (id, proposal) in proposals {
        let fate = match codes.get(id).map(|&code| ErrorCode::try_from_code(code)) {
            Some(None) => Fate::MetadataWillTell,
            // The controller has a newer state, perhaps our own proposal of before. It may not commit, so we ask again.
            Some(Some(ErrorCode::InvalidUpdateVersion | ErrorCode::FencedLeaderEpoch)) | None => Fate::InDoubt,
            Some(Some(_)) => Fate::Refused,
        };
        settle(node, *id, proposal, fate);
    }
}

fn settle<H: Host>(node: &Node<H>, id: PartitionId, proposal: &InSyncProposal, fate: Fate) {
    let Some(partition) = node.partition(id) else { return };
    let result = match fate {
        Fate::MetadataWillTell => Ok(()),
        Fate::Refused => partition.in_sync_refused(proposal.partition_epoch),
        Fate::InDoubt => partition.in_sync_in_doubt(proposal.partition_epoch),
    };
    if let Err(error) = result {
        node.note(id, &error);
    }
}
