//! What every task of one node shares: configuration, host, metadata, partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use host::{Disk, Host, buggify};
use model::{BrokerEpoch, BrokerId, Bug, ClusterId, DirectoryId, Event, Offset, PartitionId, Time, TopicId};
use parking_lot::{Mutex, RwLock};
use protocol::ErrorCode;
use roles::controller::{FOLLOWER_THROTTLE, Image, LEADER_THROTTLE, Topic};
use roles::replica::{Assignment, Replica};
use storage::{Log, LogConfig, RecentBatches, StorageError, clean_shutdown};
use tokio::sync::{mpsc, watch};

use crate::Failure;
use crate::config::Config;
use crate::controller_channel::ControllerChannel;
use crate::data_directory::DataDirectories;
use crate::directories;
use crate::fetch_sessions::FetchSessions;
use crate::log_directories::LogDirectories;
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::partition::{Errand, OfNode, Partition, PartitionError};
use crate::producer_ids::ProducerIds;
use crate::throttle::{Throttled, Throttles};
use crate::topic_settings::TopicSettings;

/// Bytes of a segment where a trial wants many.
const TINY_SEGMENT_BYTES: u64 = 4096;
/// What is kept in memory of what was appended last, of all partitions together: tens of milliseconds of a busy disk.
const RECENT_BYTES_MAX: usize = 4 << 20;

/// Logs that are opened at once. Each may hold two files more open meanwhile; and what they sync, they sync together.
const LOGS_OPENED_AT_ONCE: usize = 256;
/// Logs that are closed at once, likewise: each may hold a handful of small files open, and waits for the device alone.
const LOGS_CLOSED_AT_ONCE: usize = 1_024;

/// How often the operator is told that a disk refuses.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// A topic of which something changed, and what holds for it.
type Changed<'a> = (&'a Topic, TopicSettings);

/// One node. Tasks hold it by `Arc`.
pub(crate) struct Node<H: Host> {
    pub(crate) config: Config,
    pub(crate) cluster_id: ClusterId,
    pub(crate) host: H,
    pub(crate) metadata: Metadata<H>,
    pub(crate) controller: ControllerChannel<H>,
    /// Committed metadata as this node has applied it to its partitions.
    pub(crate) applied: watch::Sender<Arc<Image>>,
    /// This node's registration; none before the first.
    pub(crate) broker_epoch: Mutex<Option<BrokerEpoch>>,
    /// The registration under which the process before left every log directory in order; none if it did not.
    pub(crate) left_in_order: Option<BrokerEpoch>,
    pub(crate) errands: mpsc::UnboundedSender<Errand>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) throttles: Throttles,
    /// What its partitions were given last.
    recent: Arc<RecentBatches>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) directories: LogDirectories,
    partitions: RwLock<BTreeMap<PartitionId, Arc<Partition<H>>>>,
    /// When each leader that this node follows last answered.
    leaders_heard: Mutex<BTreeMap<BrokerId, Time>>,
    /// When the operator was last told of a disk.
    warned: Mutex<Option<Time>>,
    /// What stops the node, as a disk does that failed for good, if it has the metadata or is the last: the first failure is kept.
    pub(crate) failed: watch::Sender<Option<Failure>>,
}

impl<H: Host> Node<H> {
    pub(crate) fn new(
        config: Config,
        directories: &DataDirectories,
        host: H,
        metadata: Metadata<H>,
        errands: mpsc::UnboundedSender<Errand>,
    ) -> Node<H> {
        let controller = ControllerChannel::new(&config, host.clone(), metadata.clone());
        let fetch_sessions =
            FetchSessions::new(config.fetch_session_slots_max, config.replica_lag_time_max, host.planted());
        Node {
            config,
            cluster_id: directories.cluster_id.clone(),
            host,
            metadata,
            controller,
            applied: watch::Sender::new(Arc::new(Image::default())),
            broker_epoch: Mutex::new(None),
            left_in_order: directories.left_in_order,
            errands,
            producer_ids: ProducerIds::default(),
            fetch_sessions,
            throttles: Throttles::default(),
            recent: Arc::new(RecentBatches::new(RECENT_BYTES_MAX)),
            metrics: Arc::default(),
            directories: LogDirectories::new(directories.logs.clone()),
            partitions: RwLock::new(BTreeMap::new()),
            leaders_heard: Mutex::default(),
            warned: Mutex::new(None),
            failed: watch::Sender::new(None),
        }
    }

    pub(crate) fn image(&self) -> Arc<Image> {
        self.applied.borrow().clone()
    }

    pub(crate) fn partition(&self, id: PartitionId) -> Option<Arc<Partition<H>>> {
        self.partitions.read().get(&id).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition<H>>> {
        self.partitions.read().values().cloned().collect()
    }

    /// What `find` finds of the partitions that this broker holds, by rising id. It may wait for nothing, and look up no other.
    pub(crate) fn collect_partitions<T, C: FromIterator<T>>(&self, find: impl Fn(&Partition<H>) -> Option<T>) -> C {
        self.partitions.read().values().filter_map(|partition| find(partition)).collect()
    }

    /// The same of this one.
    pub(crate) fn find_in_partition<T>(&self, id: PartitionId, find: impl Fn(&Partition<H>) -> Option<T>) -> Option<T> {
        self.partitions.read().get(&id).and_then(|partition| find(partition))
    }

    /// A partition that this broker holds.
    ///
    /// # Errors
    /// What to tell whoever asks for it, if it is not here.
    pub(crate) fn held(&self, id: impl Into<Option<PartitionId>>) -> Result<Arc<Partition<H>>, ErrorCode> {
        let image = self.applied.borrow();
        match id.into() {
            Some(id) => self.held_by(&image, id),
            None => Err(self.unknown(&image, ErrorCode::UnknownTopicOrPartition)),
        }
    }

    /// The same, by the metadata that is applied now.
    pub(crate) fn held_by(&self, image: &Image, id: PartitionId) -> Result<Arc<Partition<H>>, ErrorCode> {
        self.partition(id).ok_or_else(|| match image.partition(id) {
            Some(_) if self.directories.lost(id).is_some() => ErrorCode::KafkaStorageError,
            Some(_) => ErrorCode::NotLeaderOrFollower,
            None => self.unknown(image, ErrorCode::UnknownTopicOrPartition),
        })
    }

    /// What is said of a topic that the metadata does not have: `error`, if this node can know.
    pub(crate) fn unknown(&self, image: &Image, error: ErrorCode) -> ErrorCode {
        if self.knows_the_cluster(image) { error } else { ErrorCode::NotLeaderOrFollower }
    }

    /// Has this node seen all that the cluster knew when its process came? Until then it may never have heard of a topic that is there.
    pub(crate) fn knows_the_cluster(&self, image: &Image) -> bool {
        !self.config.is_broker || self.is_registered_in(image)
    }

    /// True if a replica of a partition is to be held back where a throttle names it: it is not in sync.
    pub(crate) fn may_hold_back(&self, partition: PartitionId, replica: BrokerId) -> bool {
        if self.host.planted().has(Bug::ThrottleInSync) {
            return true;
        }
        self.applied.borrow().partition(partition).is_some_and(|known| !known.in_sync.contains(&replica))
    }

    /// A throttle has nothing left for this replica now.
    pub(crate) fn held_back(&self, partition: PartitionId, replica: BrokerId) {
        let state = self.applied.borrow().partition(partition).map(|known| known.partition_epoch);
        if let Some(partition_epoch) = state {
            self.host.witness(Event::HeldBack { partition, partition_epoch, replica });
        }
    }

    /// A leader answered what it was asked as a leader.
    pub(crate) fn hear(&self, leader: BrokerId) {
        self.leaders_heard.lock().insert(leader, self.host.now());
    }

    /// True if this leader answered so lately that it may count this node in sync.
    pub(crate) fn has_heard(&self, leader: BrokerId) -> bool {
        let heard = self.leaders_heard.lock().get(&leader).copied();
        heard.is_some_and(|at| self.host.now().since(at) <= self.config.replica_lag_time_max)
    }

    /// Does `image` know the registration of this very process?
    pub(crate) fn is_registered_in(&self, image: &Image) -> bool {
        let own = *self.broker_epoch.lock();
        let known = image.brokers.get(&self.config.node_id).map(|registration| registration.epoch);
        own.is_some() && own == known
    }

    /// Notes an error of a disk: the operator is told, and one that no retry can mend ends the use of its directory. Any other is the
    /// caller's.
    pub(crate) fn note(&self, partition: PartitionId, error: &PartitionError) {
        let PartitionError::Storage(storage) = error else { return };
        if let Some(directory) = self.partition(partition).map(|partition| partition.directory) {
            self.note_in(directory, partition, storage);
        }
    }

    fn note_in(&self, directory: usize, partition: PartitionId, storage: &StorageError) {
        if self.may_warn() {
            tracing::warn!(%partition, error = %storage, "a log cannot be written or read");
        }
        if let StorageError::Corrupt { .. } = storage {
            self.host.witness(Event::LogDamaged { partition });
        }
        if storage.is_final() {
            self.host.witness(Event::StorageFailed { partition });
            self.fail_directory(directory, &storage.to_string());
        }
    }

    /// A directory cannot be used any more. The node goes on with the others, if the metadata is in one of them.
    pub(crate) fn fail_directory(&self, directory: usize, why: &str) {
        if !self.directories.fail(directory, why) {
            return;
        }
        let path = self.directories.path(directory);
        if path == self.config.metadata_directory() || self.directories.online().is_empty() {
            return self.fail(Failure::Disk(why.to_owned()));
        }
        tracing::error!(directory = path, why, "a log directory failed: goes on with the others, until the next start");
        let gone: Vec<Arc<Partition<H>>> =
            self.partitions.write().extract_if(.., |_, one| one.directory == directory).map(|(_, one)| one).collect();
        let replicas: Vec<PartitionId> = gone.iter().map(|partition| partition.id).collect();
        for partition in gone {
            self.lose(partition.id, self.directories.id(directory));
            partition.abandon();
        }
        self.host.witness(Event::LogDirectoryFailed { directory: path.into(), replicas });
        self.directories.announce();
    }

    fn lose(&self, replica: PartitionId, directory: Option<DirectoryId>) {
        // Each of several directories has an identity.
        if let Some(directory) = directory {
            self.directories.lose(replica, directory);
        }
    }

    /// The node cannot go on. Its first reason is kept.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failed.send_if_modified(|failed| {
            let is_first = failed.is_none();
            failed.get_or_insert(failure);
            is_first
        });
    }

    /// A full disk fails every request; its operator hears of it once in a while.
    fn may_warn(&self) -> bool {
        let now = self.host.now();
        let mut warned = self.warned.lock();
        let may = warned.is_none_or(|last| WARNING_INTERVAL <= now.since(last));
        if may {
            *warned = Some(now);
        }
        may
    }

    /// Brings this broker's partitions to what `image` says, skipping topics for which nothing changed since `before`.
    pub(crate) async fn apply(&self, before: &Image, image: &Image) {
        let is_first = before.end == Offset::ZERO;
        if is_first {
            for directory in self.directories.online() {
                self.remove_leftovers(directory, image).await;
            }
        }
        for (id, topic) in before.topics.iter().filter(|(id, _)| !image.topics.contains_key(id)) {
            for index in (0..).take(topic.partitions.len()) {
                self.remove(PartitionId { topic: *id, index }, &topic.name).await;
            }
        }
        let has_same_defaults = image.has_broker_configs_of(before);
        if !has_same_defaults {
            self.throttles.leader.set(LEADER_THROTTLE.number(image, self.config.node_id));
            self.throttles.follower.set(FOLLOWER_THROTTLE.number(image, self.config.node_id));
        }
        let is_as_before = |topic: &Arc<Topic>| {
            has_same_defaults && before.topics.get(&topic.id).is_some_and(|known| Arc::ptr_eq(known, topic))
        };
        let changed: Vec<Changed<'_>> = image
            .topics
            .values()
            .filter(|topic| !is_as_before(topic))
            .map(|topic| (&**topic, TopicSettings::of(image, topic, &self.config.topic_defaults)))
            .collect();
        let opened = self.open_new(&changed, is_first).await;
        for (topic, settings) in changed {
            let known = before.topics.get(&topic.id);
            for (index, state) in (0..).zip(&topic.partitions) {
                let id = PartitionId { topic: topic.id, index };
                if !state.replicas.contains(&self.config.node_id) {
                    self.remove(id, &topic.name).await;
                    continue;
                }
                let known = known.and_then(|known| known.partitions.get(index as usize));
                self.count_change(known, state);
                let Some(partition) = self.partition(id) else { continue };
                let has_same_replicas = known.is_some_and(|known| known.replicas == state.replicas);
                let is_placed_anew = opened.contains(&id) || !has_same_replicas;
                if let Err(error) = self.assign(&partition, state, is_placed_anew, settings) {
                    tracing::error!(%id, topic = topic.name, %error, "cannot hold the partition");
                    self.note(id, &error);
                }
                partition.throttle(Throttled::of(topic, index, self.config.node_id));
            }
        }
    }

    /// Opens the logs of all partitions that this broker is to hold and does not yet, some at once; `is_first` if they may have been here
    /// before this start. Those that are open now.
    async fn open_new(&self, changed: &[Changed<'_>], is_first: bool) -> BTreeSet<PartitionId> {
        let mut opening = Vec::new();
        for (topic, settings) in changed {
            for (index, state) in (0..).zip(&topic.partitions) {
                let id = PartitionId { topic: topic.id, index };
                let is_new = state.replicas.contains(&self.config.node_id) && self.partition(id).is_none();
                if is_new && let Some(directory) = self.directory_of(id, &topic.name, state, is_first) {
                    self.directories.hold(directory);
                    opening
                        .push(async move { (id, directory, self.open(directory, id, &topic.name, *settings).await) });
                }
            }
        }
        let mut open = BTreeSet::new();
        let opened: Vec<_> = stream::iter(opening).buffered(LOGS_OPENED_AT_ONCE).collect().await;
        for (id, directory, opened) in opened {
            if let Err(error) = &opened {
                tracing::error!(%id, %error, "cannot open the log of a partition");
                self.note_in(directory, id, error);
            }
            match opened {
                Ok(partition) if self.directories.is_online(directory) => {
                    self.partitions.write().insert(id, Arc::new(partition));
                    open.insert(id);
                    continue;
                }
                // Others of the directory may have failed meanwhile, and that is the end of all of it.
                _ if !self.directories.is_online(directory) => self.lose(id, self.directories.id(directory)),
                _ => {}
            }
            self.directories.let_go(directory);
        }
        open
    }

    /// Counts what changed for a partition that this broker leads.
    fn count_change(&self, before: Option<&roles::controller::Partition>, now: &roles::controller::Partition) {
        let own = self.config.node_id;
        let Some(before) = before.filter(|_| now.leader == Some(own)) else { return };
        if before.in_sync.iter().any(|member| !now.in_sync.contains(member)) {
            self.metrics.in_sync_shrinks.add(1);
        }
        if now.in_sync.iter().any(|member| !before.in_sync.contains(member)) {
            self.metrics.in_sync_expands.add(1);
        }
        if before.leader != Some(own) && !before.in_sync.contains(&own) {
            self.metrics.unclean_elections.add(1);
        }
    }

    fn assign(
        &self,
        partition: &Partition<H>,
        state: &roles::controller::Partition,
        is_placed_anew: bool,
        settings: TopicSettings,
    ) -> Result<(), PartitionError> {
        // Never more than there are replicas (KIP-966).
        let in_sync_min = settings.in_sync_min.clamp(1, state.replicas.len().max(1));
        let before = partition.settings();
        partition.configure(settings);
        if is_placed_anew || before.in_sync_min != settings.in_sync_min {
            self.host.witness(Event::ReplicaPlaced {
                partition: partition.id,
                replicas: state.replicas.clone(),
                in_sync_min: u32::try_from(in_sync_min).unwrap_or(u32::MAX),
            });
        }
        partition.assign(Assignment {
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            replicas: state.replicas.clone(),
            in_sync: state.in_sync.clone(),
            in_sync_min,
        })
    }

    /// Gives up a replica that nobody wants any more, and its directory.
    async fn remove(&self, id: PartitionId, topic: &str) {
        self.directories.forget(id);
        let Some(partition) = self.partitions.write().remove(&id) else { return };
        self.directories.let_go(partition.directory);
        partition.remove().await;
        self.host.witness(Event::ReplicaRemoved { partition: id });
        let delay = partition.settings().file_delete_delay;
        self.bury(partition.directory, &format!("{topic}-{}", id.index), id.topic, delay).await;
    }

    /// Gives a directory another name now, and removes it later (`file.delete.delay.ms`).
    async fn bury(&self, directory: usize, name: &str, topic: TopicId, delay: Duration) {
        match directories::doom(self.host.disk(), self.directories.path(directory), name, topic).await {
            Ok(doomed) => self.remove_later(doomed, delay),
            Err(error) => {
                tracing::error!(name, %error, "cannot remove the directory of a partition that is gone: the next start will")
            }
        }
    }

    fn remove_later(&self, doomed: String, delay: Duration) {
        let host = self.host.clone();
        self.host.spawn_detached(async move {
            host.sleep(delay).await;
            if let Err(error) = host.disk().remove_directory(&doomed) {
                tracing::warn!(doomed, %error, "cannot remove a directory: the next start will");
            }
        });
    }

    /// What an earlier life left: directories that it meant to remove, and those of partitions that are not this node's any more.
    async fn remove_leftovers(&self, directory: usize, image: &Image) {
        let (disk, log_directory) = (self.host.disk(), self.directories.path(directory));
        let found = match (directories::doomed(disk, log_directory), directories::owned(disk, log_directory)) {
            (Ok(doomed), Ok(owned)) => (doomed, owned),
            (Err(error), _) | (_, Err(error)) => {
                return tracing::error!(%error, "cannot look for what is left of partitions that are gone");
            }
        };
        for doomed in found.0 {
            model::reached!("a start found a directory that a crash had left to remove");
            self.remove_later(doomed, Duration::ZERO);
        }
        if image.topics.is_empty() && !found.1.is_empty() {
            let names: Vec<_> = found.1.iter().map(|(name, _)| name.as_str()).collect();
            // The last topic was deleted, or the metadata was lost and this is all that is left of it: nobody here can tell.
            return tracing::warn!(
                directories = names.join(", "),
                log_directory,
                "the cluster knows of no topic, and here are partitions: they are kept; remove them if they are not wanted"
            );
        }
        for (name, topic) in found.1 {
            let is_held = image.topics.get(&topic).is_some_and(|topic| {
                let partitions = (0..).zip(&topic.partitions);
                let mut held = partitions.filter(|(_, state)| state.replicas.contains(&self.config.node_id));
                held.any(|(index, _)| format!("{}-{index}", topic.name) == name)
            });
            // It may not have been readable just now. Whoever claims its name finds it.
            let is_overlooked = buggify!(self.host, "a start overlooked what is left of a partition", 0.5);
            if !is_held && !is_overlooked && !self.host.planted().has(Bug::StaleDirectory) {
                model::reached!("a start found a partition that is not this broker's any more");
                tracing::info!(name, "removes what is left of a partition that is gone");
                self.bury(directory, &name, topic, Duration::ZERO).await;
                if let Some(index) = directories::index_of(&name) {
                    self.host.witness(Event::ReplicaRemoved { partition: PartitionId { topic, index } });
                }
            }
        }
    }

    /// The directory of a partition, as its own.
    async fn claim(
        &self,
        log_directory: usize,
        directory: &str,
        name: &str,
        topic: TopicId,
    ) -> Result<(), StorageError> {
        let failed = |error: std::io::Error| StorageError::of(directory, &error);
        let disk = self.host.disk();
        match directories::owner(disk, directory).map_err(failed)? {
            Some(owner) if owner == topic || self.host.planted().has(Bug::StaleDirectory) => Ok(()),
            Some(other) => {
                model::reached!("a topic that was made again found the directory of the one before");
                self.bury(log_directory, name, other, Duration::ZERO).await;
                directories::claim(disk, directory, topic).await.map_err(failed)
            }
            None => directories::claim(disk, directory, topic).await.map_err(failed),
        }
    }

    /// The directory that has the log of a replica, or is to have it; none if it lies in one that failed.
    fn directory_of(
        &self,
        id: PartitionId,
        topic: &str,
        state: &roles::controller::Partition,
        is_old: bool,
    ) -> Option<usize> {
        if self.directories.lost(id).is_some() {
            return None;
        }
        let online = self.directories.online();
        if let [only] = online[..]
            && self.directories.offline_count() == 0
        {
            return Some(only);
        }
        for directory in online {
            let path = directories::directory_of(self.directories.path(directory), topic, id.index);
            let owner = || directories::owner(self.host.disk(), &path).ok().flatten();
            match self.host.disk().list(&path).map(|_| owner()) {
                // What a topic of this name left there that is gone has nothing to do with this one.
                Ok(Some(other)) if other != id.topic => {}
                Ok(_) => return Some(directory),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => self.note_in(directory, id, &StorageError::of(&path, &error)),
            }
        }
        if let Some(lost) = self.directories.lost_with(state, self.config.node_id, is_old) {
            model::reached!("a start found no log where a directory was missing");
            self.directories.lose(id, lost);
            return None;
        }
        self.directories.emptiest()
    }

    async fn open(
        &self,
        directory_number: usize,
        id: PartitionId,
        topic: &str,
        settings: TopicSettings,
    ) -> Result<Partition<H>, StorageError> {
        let directory = directories::directory_of(self.directories.path(directory_number), topic, id.index);
        self.claim(directory_number, &directory, &format!("{topic}-{}", id.index), id.topic).await?;
        let planted = self.host.planted();
        // What a trial makes tiny stays so until somebody changes a setting.
        let is_small = buggify!(self.host, "segments were made tiny");
        let segment_bytes = if is_small { TINY_SEGMENT_BYTES } else { settings.log.segment_bytes };
        let are_many = buggify!(self.host, "checkpoints were taken often");
        let checkpoint_bytes = if are_many { TINY_SEGMENT_BYTES } else { settings.log.checkpoint_bytes };
        let config = LogConfig { segment_bytes, checkpoint_bytes, planted, ..settings.log };
        let (mut log, recovery) = Log::open(self.host.disk(), &directory, config).await?;
        log.keep_in(self.recent.clone());
        if let Some(to) = recovery.begun_anew {
            self.host.witness(Event::LogBegunAnew { partition: id, to });
            let settled = log.begin_settling().run().await?;
            log.settled(settled);
        }
        self.host.witness(Event::Recovered {
            partition: id,
            log_start: log.start(),
            log_end: log.end(),
            cut_bytes: recovery.cut_bytes,
        });
        if buggify!(self.host, "indexes were compared with their segments", 0.5)
            && let Ok(are_equal) = log.indexes_equal_a_scan()
        {
            self.host.witness(Event::IndexesCompared { partition: id, are_equal });
        }
        let replica = Replica::new(id, self.config.node_id, self.config.replica_lag_time_max, planted, log.start());
        let of_node = OfNode {
            host: self.host.clone(),
            flush_policy: self.config.flush_policy,
            errands: self.errands.clone(),
            metrics: self.metrics.clone(),
        };
        Ok(Partition::new(id, directory_number, of_node, settings, replica, log))
    }

    /// Syncs every log for the last time, and says so in each directory of which all are in order. No task runs any more but those of
    /// connections, to whom logs are closed.
    pub(crate) async fn close(&self, metadata_is_safe: bool) {
        let closing = self.partitions().into_iter().map(|partition| async move {
            let closed = partition.close().await;
            if let Err(error) = &closed {
                tracing::error!(id = %partition.id, %error, "cannot sync the log for the last time");
            }
            (partition.directory, closed.is_ok())
        });
        let closed: Vec<(usize, bool)> = stream::iter(closing).buffer_unordered(LOGS_CLOSED_AT_ONCE).collect().await;
        let Some(epoch) = *self.broker_epoch.lock() else { return };
        for directory in self.directories.online() {
            let path = self.directories.path(directory);
            let is_in_order = closed.iter().all(|&(of, is_safe)| of != directory || is_safe)
                && (metadata_is_safe || path != self.config.metadata_directory());
            if is_in_order && let Err(error) = clean_shutdown::leave(self.host.disk(), path, epoch).await {
                tracing::warn!(directory = path, %error, "cannot say that all is in order: the next start takes longer");
            }
        }
    }

    /// Where a live broker listens.
    pub(crate) fn endpoint(&self, broker: BrokerId) -> Option<model::Endpoint> {
        self.applied.borrow().brokers.get(&broker).map(|registration| registration.endpoint.clone())
    }
}
