//! What brokers and clients ask of the controller, and what it answers.

use std::collections::BTreeMap;

use model::{
    BrokerEpoch, BrokerId, DirectoryId, Endpoint, LeaderEpoch, MetadataVersion, MetadataVersions, Offset,
    PartitionEpoch, PartitionId, ProducerId, TopicId,
};

use super::{Record, Refusal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    RegisterBroker(Registrant),
    Heartbeat(Heartbeat),
    AlterPartition(AlterPartition),
    AssignDirectories(AssignDirectories),
    CreateTopics(CreateTopics),
    AlterConfigs(AlterConfigs),
    DeleteTopics(Vec<TopicReference>),
    CreatePartitions(CreatePartitions),
    ElectLeaders(ElectLeaders),
    Reassign(Reassign),
    UnregisterBroker(BrokerId),
    UpdateLevel(UpdateLevel),
    /// Gives partitions back to their preferred leaders. Due at [`Controller::deadline`](super::Controller::deadline) too.
    BalanceLeaders,
    /// A broker wants ids to hand out to idempotent producers (AllocateProducerIds, KIP-730).
    AllocateProducerIds {
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
    },
    /// Fences the brokers that were silent for too long. Due at [`Controller::deadline`](super::Controller::deadline).
    ExpireSessions,
    /// Nobody listens any more where the processes of these registrations did.
    EndSessions(Vec<(BrokerId, BrokerEpoch)>),
}

/// A broker's process makes itself known (BrokerRegistration, KIP-631).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrant {
    pub broker: BrokerId,
    /// Random, new with each start of the process.
    pub incarnation: u128,
    pub endpoint: Endpoint,
    pub rack: Option<String>,
    /// The registration under which the process before left all that it had in order, if it did (KIP-966).
    pub previous_epoch: Option<BrokerEpoch>,
    /// The metadata that it reads.
    pub versions: MetadataVersions,
    /// The log directories that it can use; none if it says nothing of them.
    pub directories: Vec<DirectoryId>,
}

/// A broker keeps its session (BrokerHeartbeat, KIP-631).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub broker: BrokerId,
    pub epoch: BrokerEpoch,
    /// The broker has applied the metadata up to here, exclusive.
    pub metadata_end: Offset,
    pub wants_fence: bool,
    pub wants_shut_down: bool,
    /// The log directories that failed since it registered (KIP-858).
    pub offline_directories: Vec<DirectoryId>,
}

/// A broker says in which of its log directories its replicas lie (AssignReplicasToDirs, KIP-858).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignDirectories {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
    pub replicas: Vec<(PartitionId, DirectoryId)>,
}

/// A leader proposes in-sync sets (AlterPartition, KIP-497, KIP-903).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartition {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
    pub partitions: Vec<InSyncChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSyncChange {
    pub partition: PartitionId,
    pub leader_epoch: LeaderEpoch,
    /// The state that it changes.
    pub partition_epoch: PartitionEpoch,
    /// Each with the registration that the leader saw; None where it does not know (before KIP-903).
    pub in_sync: Vec<(BrokerId, Option<BrokerEpoch>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    pub validate_only: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// -1 for the default, and with assignments.
    pub partitions: i32,
    /// -1 for the default, and with assignments.
    pub replication_factor: i16,
    /// Replicas by partition index; empty lets the controller choose.
    pub assignments: BTreeMap<i32, Vec<BrokerId>>,
    pub configs: Vec<(String, Option<String>)>,
}

/// Settings change (IncrementalAlterConfigs, AlterConfigs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigs {
    pub resources: Vec<(ConfigResource, ConfigChanges)>,
    pub validate_only: bool,
}

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    Topic(String),
    /// None: every broker of the cluster.
    Broker(Option<BrokerId>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChanges {
    /// These, and nothing else changes.
    Single(Vec<(String, ConfigOperation)>),
    /// These, and whatever else was set goes back to its default; so does one without a value.
    Whole(Vec<(String, Option<String>)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds to a list.
    Append(String),
    /// Takes out of a list.
    Subtract(String),
}

/// Leaders are to be elected (ElectLeaders, KIP-460).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeaders {
    pub election: Election,
    /// By topic and index; none means all there are.
    pub partitions: Option<Vec<(String, i32)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Any replica that is there, where nobody leads: what it lacks is lost.
    Unclean,
}

/// Partitions move, or stop moving (AlterPartitionReassignments, KIP-455).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassign {
    pub partitions: Vec<Reassignment>,
    pub allows_other_factor: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub topic: String,
    pub index: i32,
    /// Who is to hold it, the preferred leader first; none cancels a move that is under way.
    pub replicas: Option<Vec<BrokerId>>,
}

/// The level of the metadata is to change (UpdateFeatures, KIP-584, KIP-778).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateLevel {
    pub level: MetadataVersion,
    pub change: LevelChange,
    /// What each voter said that it knows.
    pub controllers: Vec<(BrokerId, MetadataVersions)>,
    pub validate_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelChange {
    Raise,
    /// Only if a lower level can tell all that there is.
    LowerWithoutLoss,
    LowerWithLoss,
}

/// A topic, as a client calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicReference {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    pub topics: Vec<MorePartitions>,
    pub validate_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitions {
    pub name: String,
    /// How many the topic has then, those included that it has.
    pub count: i32,
    /// Replicas of each that is added; none lets the controller choose.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// What was decided: the records in one batch, and the answer once they are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub records: Vec<Record>,
    pub reply: Reply,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Registered {
        epoch: BrokerEpoch,
    },
    Heartbeat(HeartbeatReply),
    /// In the order asked.
    PartitionsAltered(Vec<(PartitionId, Result<PartitionState, Refusal>)>),
    /// In the order asked.
    DirectoriesAssigned(Vec<Result<(), Refusal>>),
    /// In the order asked.
    TopicsCreated(Vec<(String, Result<CreatedTopic, Refusal>)>),
    /// In the order asked.
    ConfigsAltered(Vec<Result<(), Refusal>>),
    /// In the order asked: which topics they were.
    TopicsDeleted(Vec<Result<(TopicId, String), Refusal>>),
    /// By topic and index; of all partitions, only those that were not led as asked before.
    LeadersElected(Vec<((String, i32), Result<(), Refusal>)>),
    /// In the order asked.
    Reassigned(Vec<Result<(), Refusal>>),
    Unregistered,
    LevelUpdated,
    LeadersBalanced,
    /// In the order asked.
    PartitionsCreated(Vec<Result<(), Refusal>>),
    SessionsExpired,
    /// A block of ids that nobody else has: `count` from `first` on.
    ProducerIds {
        first: ProducerId,
        count: i32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatReply {
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub should_shut_down: bool,
}

/// A partition's leader and in-sync set, as the controller has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub in_sync: Vec<BrokerId>,
    pub partition_epoch: PartitionEpoch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// None if it was only validated.
    pub id: Option<TopicId>,
    pub partitions: i32,
    pub replication_factor: i16,
}
