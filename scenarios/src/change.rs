//! What an administrator changes while everything runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{Range, Throughput, WordError};

/// One change, asked for until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ChangeFile", into = "ChangeFile")]
#[schemars(with = "ChangeFile")]
pub struct Change {
    /// How long after the run begins.
    pub at: Range,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    DeleteTopic(String),
    /// Deleted, and made again at once under the same name.
    RemakeTopic(String),
    AddPartitions(AddPartitions),
    AlterTopic(AlterTopic),
    Reassign(Reassign),
    CancelReassignment(String),
    /// What holds back the moves of this topic goes, once all that were asked for with a throttle are under way.
    LiftThrottle(String),
    ElectPreferred(String),
    /// Partitions without a leader go to whoever is left, and what that one lacks is lost.
    ElectUnclean(String),
    /// All that is committed in this topic goes.
    DeleteRecords(String),
    /// This node votes on the metadata from then on.
    AddVoter(u32),
    /// This node votes no more; it runs on.
    RemoveVoter(u32),
    /// The metadata is brought to this level.
    UpdateFeatures(u16),
}

/// More partitions for a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPartitions {
    pub topic: String,
    /// How many it has then.
    #[schemars(range(min = 2, max = 1000))]
    pub to: u32,
}

/// Other settings for a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlterTopic {
    pub topic: String,
    /// Kafka's names, each in quotes, and values, as texts.
    pub settings: BTreeMap<String, String>,
}

/// A topic moves to other brokers, while everything goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reassign {
    pub topic: String,
    /// The brokers, by number: as many as each partition has replicas, the first of which is to lead.
    pub to: Vec<u32>,
    /// So many bytes a second at most for the replicas that come, while they are out of sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throughput>,
}

/// How a change is written: when, and one key for what.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Change")]
struct ChangeFile {
    /// How long after the run begins.
    at: Range,
    /// This topic goes away with all that is in it. Its clients stay, and are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_topic: Option<String>,
    /// This topic goes away, and another one of the same name comes in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remake_topic: Option<String>,
    /// A topic gets more partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add_partitions: Option<AddPartitions>,
    /// Settings of a topic change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alter_topic: Option<AlterTopic>,
    /// A topic moves to other brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reassign: Option<Reassign>,
    /// A topic that moves stays where it was, if it still moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel_reassignment: Option<String>,
    /// The replicas of a topic that moves are held back no more, once every move with a throttle that was asked for is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lift_throttle: Option<String>,
    /// The partitions of a topic are given back to the first of their replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elect_preferred: Option<String>,
    /// Partitions of a topic that have no leader are given to a replica that was not in sync. What it lacks is lost, so the claims must
    /// allow an unclean election.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elect_unclean: Option<String>,
    /// All records of this topic go that are committed by then, where somebody leads who can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_records: Option<String>,
    /// This node, by number, votes on the metadata from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add_voter: Option<u32>,
    /// This node, by number, votes on the metadata no more; it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remove_voter: Option<u32>,
    /// The metadata is brought to this level: up when every node knows it, or down without loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    update_features: Option<u16>,
}

impl TryFrom<ChangeFile> for Change {
    type Error = String;

    fn try_from(file: ChangeFile) -> Result<Change, String> {
        let mut kinds = [
            file.delete_topic.map(ChangeKind::DeleteTopic),
            file.remake_topic.map(ChangeKind::RemakeTopic),
            file.add_partitions.map(ChangeKind::AddPartitions),
            file.alter_topic.map(ChangeKind::AlterTopic),
            file.reassign.map(ChangeKind::Reassign),
            file.cancel_reassignment.map(ChangeKind::CancelReassignment),
            file.lift_throttle.map(ChangeKind::LiftThrottle),
            file.elect_preferred.map(ChangeKind::ElectPreferred),
            file.elect_unclean.map(ChangeKind::ElectUnclean),
            file.delete_records.map(ChangeKind::DeleteRecords),
            file.add_voter.map(ChangeKind::AddVoter),
            file.remove_voter.map(ChangeKind::RemoveVoter),
            file.update_features.map(ChangeKind::UpdateFeatures),
        ]
        .into_iter()
        .flatten();
        let help = "write one of delete_topic, remake_topic, add_partitions, alter_topic, reassign, cancel_reassignment, \
                    lift_throttle, elect_preferred, elect_unclean, delete_records, add_voter, remove_voter and update_features";
        let kind = kinds.next().ok_or_else(|| WordError::new("nothing says what changes", help).pack())?;
        if kinds.next().is_some() {
            return Err(WordError::new("two things change at once", help).pack());
        }
        Ok(Change { at: file.at, kind })
    }
}

impl From<Change> for ChangeFile {
    fn from(change: Change) -> ChangeFile {
        let mut file = ChangeFile {
            at: change.at,
            delete_topic: None,
            remake_topic: None,
            add_partitions: None,
            alter_topic: None,
            reassign: None,
            cancel_reassignment: None,
            lift_throttle: None,
            elect_preferred: None,
            elect_unclean: None,
            delete_records: None,
            add_voter: None,
            remove_voter: None,
            update_features: None,
        };
        match change.kind {
            ChangeKind::DeleteTopic(topic) => file.delete_topic = Some(topic),
            ChangeKind::RemakeTopic(topic) => file.remake_topic = Some(topic),
            ChangeKind::AddPartitions(more) => file.add_partitions = Some(more),
            ChangeKind::AlterTopic(alter) => file.alter_topic = Some(alter),
            ChangeKind::Reassign(reassign) => file.reassign = Some(reassign),
            ChangeKind::CancelReassignment(topic) => file.cancel_reassignment = Some(topic),
            ChangeKind::LiftThrottle(topic) => file.lift_throttle = Some(topic),
            ChangeKind::ElectPreferred(topic) => file.elect_preferred = Some(topic),
            ChangeKind::ElectUnclean(topic) => file.elect_unclean = Some(topic),
            ChangeKind::DeleteRecords(topic) => file.delete_records = Some(topic),
            ChangeKind::AddVoter(node) => file.add_voter = Some(node),
            ChangeKind::RemoveVoter(node) => file.remove_voter = Some(node),
            ChangeKind::UpdateFeatures(level) => file.update_features = Some(level),
        }
        file
    }
}

impl Change {
    /// The topic that changes, if one does.
    pub fn topic(&self) -> Option<&str> {
        match &self.kind {
            ChangeKind::DeleteTopic(topic)
            | ChangeKind::RemakeTopic(topic)
            | ChangeKind::CancelReassignment(topic)
            | ChangeKind::LiftThrottle(topic)
            | ChangeKind::ElectPreferred(topic)
            | ChangeKind::ElectUnclean(topic)
            | ChangeKind::DeleteRecords(topic) => Some(topic),
            ChangeKind::Reassign(reassign) => Some(&reassign.topic),
            ChangeKind::AddPartitions(more) => Some(&more.topic),
            ChangeKind::AlterTopic(alter) => Some(&alter.topic),
            ChangeKind::AddVoter(_) | ChangeKind::RemoveVoter(_) | ChangeKind::UpdateFeatures(_) => None,
        }
    }

    /// True if the topic takes only records with keys from now on.
    pub fn compacts_topic(&self) -> bool {
        let ChangeKind::AlterTopic(alter) = &self.kind else { return false };
        alter.settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"))
    }

    /// True if some of what is in the topic may go away, by retention or on request.
    pub fn deletes_records(&self) -> bool {
        match &self.kind {
            ChangeKind::AlterTopic(alter) => alter.settings.keys().any(|key| key.starts_with("retention.")),
            kind => matches!(kind, ChangeKind::DeleteRecords(_)),
        }
    }

    /// True if what is in the topic goes away.
    pub fn loses_topic(&self) -> bool {
        matches!(self.kind, ChangeKind::DeleteTopic(_) | ChangeKind::RemakeTopic(_))
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            ChangeKind::DeleteTopic(topic) => write!(f, "topic {topic} is deleted"),
            ChangeKind::RemakeTopic(topic) => write!(f, "topic {topic} is deleted and made again"),
            ChangeKind::Reassign(reassign) => {
                let to: Vec<String> = reassign.to.iter().map(ToString::to_string).collect();
                write!(f, "topic {} moves to brokers {}", reassign.topic, to.join(", "))?;
                reassign.throttle.map_or(Ok(()), |rate| write!(f, " at {rate} at most"))
            }
            ChangeKind::CancelReassignment(topic) => write!(f, "topic {topic} stays where it was"),
            ChangeKind::LiftThrottle(topic) => write!(f, "topic {topic} moves as fast as it can"),
            ChangeKind::ElectPreferred(topic) => write!(f, "topic {topic} is given back to its preferred leaders"),
            ChangeKind::ElectUnclean(topic) => write!(f, "topic {topic} is given to whoever is left"),
            ChangeKind::DeleteRecords(topic) => write!(f, "the records of topic {topic} are deleted"),
            ChangeKind::AddVoter(node) => write!(f, "node {node} votes on the metadata"),
            ChangeKind::RemoveVoter(node) => write!(f, "node {node} votes on the metadata no more"),
            ChangeKind::UpdateFeatures(level) => write!(f, "the metadata is brought to version {level}"),
            ChangeKind::AddPartitions(more) => write!(f, "topic {} gets {} partitions", more.topic, more.to),
            ChangeKind::AlterTopic(alter) => {
                let settings: Vec<String> =
                    alter.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                write!(f, "topic {} is set to {}", alter.topic, settings.join(", "))
            }
        }
    }
}
