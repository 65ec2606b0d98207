//! What an administrator changes while everything runs: each change by a client of its own, which asks until it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Admin, ClientError, Election, LevelUpdate, NewTopic, Resource, TopicPartition};
use evidence::What;
use host::Host;
use model::{BrokerId, Endpoint, MetadataVersion, Time};
use parking_lot::Mutex;
use scenarios::{Change, ChangeKind, Scenario, Throughput, Topic};
use sim::{SimHost, World};

use crate::cluster;
use crate::workload::{client_config, errands, sleep_until};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// The changes of a run: which are not done yet.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    open: Arc<Mutex<BTreeSet<String>>>,
    /// How many partitions topics were given.
    pub(crate) grown: Arc<Mutex<BTreeMap<String, i32>>>,
}

impl Changes {
    /// Sets an administrator to work on each; time zero is `zero`.
    pub(crate) fn start(world: &World, scenario: &Scenario, zero: Time, bootstrap: &[Endpoint]) -> Changes {
        let changes = Changes::default();
        let listeners: BTreeMap<BrokerId, Endpoint> =
            cluster::plans(&scenario.cluster).into_iter().map(|plan| (plan.id, plan.config.listener)).collect();
        for (place, change) in (1..).zip(&scenario.changes) {
            let name = format!("administrator {place}");
            let mut stream = world.stream(&format!("changes/{place}"));
            let at = zero
                + change.at.from
                + stream.duration(Duration::ZERO..change.at.to - change.at.from + Duration::from_nanos(1));
            let topic = change.topic().and_then(|topic| scenario.topic(topic)).cloned();
            let (world, change, bootstrap, own) = (world.clone(), change.clone(), bootstrap.to_vec(), changes.clone());
            let listeners = listeners.clone();
            let first = awaited_by(&change, scenario);
            own.open.lock().insert(change.to_string());
            errands::start(&world.clone(), &name, move |host| {
                let (world, change, topic) = (world.clone(), change.clone(), topic.clone());
                let (bootstrap, own, listeners) = (bootstrap.clone(), own.clone(), listeners.clone());
                let first = first.clone();
                async move {
                    sleep_until(&host, at).await;
                    while first.iter().any(|one| own.open.lock().contains(one)) {
                        host.sleep(PAUSE).await;
                    }
                    world.note(What::Note { text: format!("asked: {change}") });
                    let admin = Admin::new(host.clone(), client_config(bootstrap, host.name()));
                    make(&host, &admin, &change, topic.as_ref(), &listeners).await;
                    if let ChangeKind::AddPartitions(more) = &change.kind {
                        let count = i32::try_from(more.to).unwrap_or(i32::MAX);
                        // A topic that has more by then keeps them.
                        let mut grown = own.grown.lock();
                        let known = grown.entry(more.topic.clone()).or_default();
                        *known = count.max(*known);
                    }
                    world.note(What::Note { text: format!("done: {change}") });
                    own.open.lock().remove(&change.to_string());
                }
            });
        }
        changes
    }

    /// Waits until all are done; answers which were not, in time.
    pub(crate) async fn wait(&self, world: &World, wait_max: Duration) -> Vec<String> {
        let deadline = world.now() + wait_max;
        while world.now() < deadline && !self.open.lock().is_empty() {
            world.sleep(PAUSE).await;
        }
        let late = |change: &String| format!("not done {} s after the healing: {change}", wait_max.as_secs());
        self.open.lock().iter().map(late).collect()
    }
}

/// What must be done before a change: a throttle is lifted after it was put on.
fn awaited_by(change: &Change, scenario: &Scenario) -> Vec<String> {
    let ChangeKind::LiftThrottle(topic) = &change.kind else { return Vec::new() };
    let is_throttled = |other: &&Change| matches!(&other.kind, ChangeKind::Reassign(reassign) if reassign.topic == *topic && reassign.throttle.is_some());
    scenario.changes.iter().filter(is_throttled).map(Change::to_string).collect()
}

async fn make(
    host: &SimHost,
    admin: &Admin<SimHost>,
    change: &Change,
    topic: Option<&Topic>,
    listeners: &BTreeMap<BrokerId, Endpoint>,
) {
    match &change.kind {
        ChangeKind::DeleteTopic(name) => until_done(host, || admin.delete_topic(name)).await,
        ChangeKind::RemakeTopic(name) => {
            until_done(host, || admin.delete_topic(name)).await;
            if let Some(topic) = topic {
                let new = new_topic(topic);
                until_done(host, || admin.create_topic(&new)).await;
            }
        }
        ChangeKind::AddPartitions(more) => {
            let count = i32::try_from(more.to).unwrap_or(i32::MAX);
            until_done(host, || admin.add_partitions(&more.topic, count)).await;
        }
        ChangeKind::AlterTopic(alter) => {
            let settings = alter.settings.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
            let resource = Resource::Topic(alter.topic.clone());
            until_done(host, || admin.alter_settings(&resource, &settings)).await;
        }
        ChangeKind::Reassign(reassign) => {
            let to: Vec<BrokerId> = reassign.to.iter().filter_map(|&id| i32::try_from(id).ok()).map(BrokerId).collect();
            until_done(host, async || {
                let moves: Vec<_> = partitions(admin, &reassign.topic)
                    .await?
                    .into_iter()
                    .map(|each| (each, Some(to.clone())))
                    .collect();
                if let Some(Throughput(bytes_per_second)) = reassign.throttle {
                    admin.throttle(&moves, bytes_per_second).await?;
                }
                admin.reassign(&moves).await
            })
            .await;
        }
        ChangeKind::CancelReassignment(name) => {
            until_done(host, async || {
                let moves = admin.reassignments().await?.into_iter().filter(|moving| *moving.partition.topic == **name);
                let cancelled: Vec<_> = moves.map(|moving| (moving.partition, None)).collect();
                admin.reassign(&cancelled).await
            })
            .await;
        }
        ChangeKind::LiftThrottle(name) => {
            let topics = [Arc::from(name.as_str())].into();
            until_done(host, || admin.lift_throttle(&topics)).await;
        }
        ChangeKind::ElectPreferred(name) => {
            until_done(host, async || admin.elect_leaders(Election::Preferred, &partitions(admin, name).await?).await)
                .await;
        }
        ChangeKind::ElectUnclean(name) => {
            until_done(host, async || admin.elect_leaders(Election::Unclean, &partitions(admin, name).await?).await)
                .await;
        }
        ChangeKind::AddVoter(node) => {
            let node = BrokerId(i32::try_from(*node).unwrap_or(i32::MAX));
            if let Some(endpoint) = listeners.get(&node) {
                until_done(host, || admin.add_voter(node, endpoint)).await;
            }
        }
        ChangeKind::RemoveVoter(node) => {
            let node = BrokerId(i32::try_from(*node).unwrap_or(i32::MAX));
            until_done(host, || admin.remove_voter(node)).await;
        }
        ChangeKind::UpdateFeatures(level) => {
            let level = MetadataVersion(*level);
            until_done(host, async || {
                let is_lower = level < admin.describe_features().await?.finalized;
                let update = if is_lower { LevelUpdate::Downgrade } else { LevelUpdate::Upgrade };
                admin.update_level(level, update, false).await
            })
            .await;
        }
        ChangeKind::DeleteRecords(name) => {
            for index in (0..).take(topic.map_or(0, |topic| topic.partitions as usize)) {
                // Where nobody leads for long, there is nobody to do it.
                let _answer = admin.delete_records(&TopicPartition::new(name, index), None).await;
            }
        }
    }
}

/// Every partition that a topic has now.
async fn partitions(admin: &Admin<SimHost>, topic: &str) -> Result<Vec<TopicPartition>, ClientError> {
    let known = admin.topic(topic).await?;
    Ok((0..).take(known.partitions.len()).map(|index| TopicPartition::new(topic, index)).collect())
}

/// A topic as the scenario declares it.
pub(crate) fn new_topic(topic: &Topic) -> NewTopic {
    NewTopic {
        name: topic.name.clone(),
        partitions: i32::try_from(topic.partitions).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(topic.replicas).unwrap_or(i16::MAX),
        settings: [("min.insync.replicas".to_owned(), topic.min_insync_replicas.to_string())].into(),
    }
}

/// Asks again after every error but those that say that an earlier attempt was heard.
async fn until_done<F: Future<Output = Result<(), ClientError>>>(host: &SimHost, mut attempt: impl FnMut() -> F) {
    use protocol::ErrorCode::{
        DuplicateVoter, InvalidPartitions, NoReassignmentInProgress, TopicAlreadyExists, VoterNotFound,
    };

    let mut is_first = true;
    loop {
        match attempt().await {
            Ok(()) => return,
            Err(
                ClientError::Unknown(_)
                | ClientError::Refused {
                    code:
                        TopicAlreadyExists | InvalidPartitions | NoReassignmentInProgress | DuplicateVoter | VoterNotFound,
                    ..
                },
            ) if !is_first => {
                return;
            }
            Err(_not_yet) => {}
        }
        is_first = false;
        host.sleep(PAUSE).await;
    }
}
