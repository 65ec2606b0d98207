//! The records of the metadata log: what is decided about the cluster, one fact a record.
//!
//! Each is the value of one record in a batch, in CBOR (RFC 8949): `[kind, {field number: value, …}]`. Evolution:
//! - a field has a number for good; a new field is an `Option` under a new number;
//! - a reader skips fields that it does not know and takes an absent one as `None`;
//! - a kind that it does not know is an error: to skip a fact would make its image another one. So what is new may be written only
//!   when every voter and broker of the cluster reads it: when the level is finalized that has it ([`Record::level`]).
//!
//! The records of one decision stand in one batch, so that an image never shows half of it.

use minicbor::{Decode, Encode};
use model::{
    BrokerEpoch, BrokerId, DirectoryId, Endpoint, LeaderEpoch, MetadataVersion, MetadataVersions, PartitionEpoch,
    ProducerId, TopicId,
};
use thiserror::Error;

use crate::quorum::VoterSet;

/// One fact of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// Says nothing: the first record of a leader's epoch (KIP-595's leader change message).
    #[n(0)]
    NoOp,
    #[n(1)]
    RegisterBroker(#[n(0)] RegisterBroker),
    #[n(2)]
    BrokerChange(#[n(0)] BrokerChange),
    #[n(3)]
    Topic(#[n(0)] TopicRecord),
    #[n(4)]
    Partition(#[n(0)] PartitionRecord),
    #[n(5)]
    PartitionChange(#[n(0)] PartitionChange),
    #[n(6)]
    TopicConfig(#[n(0)] TopicConfig),
    #[n(7)]
    BrokerConfig(#[n(0)] BrokerConfig),
    #[n(8)]
    RemoveTopic(#[n(0)] RemoveTopic),
    #[n(9)]
    UnregisterBroker(#[n(0)] UnregisterBroker),
    /// Who votes in the metadata quorum from here on (KIP-853). It stands alone in a control batch, and holds before it is committed.
    #[n(10)]
    Voters(#[n(0)] VoterSet),
    #[n(16)]
    ProducerIds(#[n(0)] ProducerIds),
    #[n(17)]
    FeatureLevel(#[n(0)] FeatureLevel),
}

/// A process of a broker made itself known. Its epoch is this record's offset (KIP-631); it starts fenced.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RegisterBroker {
    #[n(0)]
    pub broker: BrokerId,
    /// Random, new with each start of the process.
    #[n(1)]
    pub incarnation: u128,
    #[n(2)]
    pub endpoint: Endpoint,
    #[n(3)]
    pub rack: Option<String>,
    /// Its epoch, in a snapshot alone: there its place does not tell it.
    #[n(4)]
    pub epoch: Option<BrokerEpoch>,
    /// The metadata that it reads; none: only that of the first level.
    #[n(5)]
    pub versions: Option<MetadataVersions>,
    /// The log directories that it can use (KIP-858); none of a broker that says nothing of them.
    #[n(16)]
    pub directories: Option<Vec<DirectoryId>>,
}

/// A registered broker may serve, may not serve, or is about to leave. `None` leaves a side as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BrokerChange {
    #[n(0)]
    pub broker: BrokerId,
    /// The registration that is meant: the change of an earlier one is void.
    #[n(1)]
    pub epoch: BrokerEpoch,
    #[n(2)]
    pub fenced: Option<bool>,
    #[n(3)]
    pub in_controlled_shutdown: Option<bool>,
    /// The log directories that are left to it.
    #[n(16)]
    pub directories: Option<Vec<DirectoryId>>,
}

/// A topic was created. Its partitions follow in the same batch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TopicRecord {
    #[n(0)]
    pub id: TopicId,
    #[n(1)]
    pub name: String,
}

/// A partition was created. Indexes of a topic come in order, from zero.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PartitionRecord {
    #[n(0)]
    pub topic: TopicId,
    #[n(1)]
    pub index: i32,
    /// The first one is the preferred leader.
    #[n(2)]
    pub replicas: Vec<BrokerId>,
    #[n(3)]
    pub in_sync: Vec<BrokerId>,
    #[n(4)]
    pub leader: Option<BrokerId>,
    #[n(5)]
    pub leader_epoch: LeaderEpoch,
    #[n(6)]
    pub partition_epoch: PartitionEpoch,
}

/// A partition's leader or in-sync set is another: the whole of its new state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PartitionChange {
    #[n(0)]
    pub topic: TopicId,
    #[n(1)]
    pub index: i32,
    #[n(2)]
    pub in_sync: Vec<BrokerId>,
    /// None: the partition is offline.
    #[n(3)]
    pub leader: Option<BrokerId>,
    #[n(4)]
    pub leader_epoch: LeaderEpoch,
    #[n(5)]
    pub partition_epoch: PartitionEpoch,
    /// Who holds it from now on, if that changes; those who come and those who go are among them until the move is over.
    #[n(6)]
    pub replicas: Option<Vec<BrokerId>>,
    #[n(7)]
    pub adding: Option<Vec<BrokerId>>,
    #[n(8)]
    pub removing: Option<Vec<BrokerId>>,
    /// Who led it last, where nobody does now. Since the second level.
    #[n(9)]
    pub last_leader: Option<BrokerId>,
    /// In which log directory each replica lies of whom that is known (KIP-858), if that changes.
    #[n(16)]
    pub directories: Option<Vec<(BrokerId, DirectoryId)>>,
}

/// A topic's own setting; `None` takes it back to the default.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TopicConfig {
    #[n(0)]
    pub topic: TopicId,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub value: Option<String>,
}

/// A setting that brokers take while they run; `None` takes it back to what each one's file says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BrokerConfig {
    /// None: every broker of the cluster.
    #[n(0)]
    pub broker: Option<BrokerId>,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub value: Option<String>,
}

/// A topic was deleted, with its partitions and settings. One of the same name that comes later has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RemoveTopic {
    #[n(0)]
    pub topic: TopicId,
}

/// A broker is gone for good. If it comes back, it registers as if it were new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UnregisterBroker {
    #[n(0)]
    pub broker: BrokerId,
    /// The registration that is meant.
    #[n(1)]
    pub epoch: BrokerEpoch,
}

/// A broker took a block of producer ids to hand out; `next` is the first that nobody has (KIP-730).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProducerIds {
    #[n(0)]
    pub broker: BrokerId,
    #[n(1)]
    pub broker_epoch: BrokerEpoch,
    #[n(2)]
    pub next: ProducerId,
}

/// A feature of the cluster is at another level from here on (KIP-584).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FeatureLevel {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub level: MetadataVersion,
}

impl FeatureLevel {
    /// The metadata is at this level.
    pub fn of(level: MetadataVersion) -> FeatureLevel {
        FeatureLevel { name: MetadataVersion::FEATURE.into(), level }
    }
}

/// Bytes of the metadata log that are no record of this version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    #[error("a metadata record cannot be read ({0}): a newer version may have written it; run that version here")]
    Unreadable(String),
    #[error("the cluster's {feature} is {level}, and this release knows {known}: run a newer release here")]
    Level { feature: String, level: MetadataVersion, known: MetadataVersions },
    #[error(
        "a metadata record needs metadata.version {needs}, and this release knows {known}: run a newer release here"
    )]
    Newer { needs: MetadataVersion, known: MetadataVersions },
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_else(|never: minicbor::encode::Error<_>| {
            unreachable!("a vector takes all that is written: {never}")
        })
    }

    /// As a program reads it that knows metadata up to `newest`.
    ///
    /// # Errors
    /// If the bytes are no record, one of a kind that this program does not know, or one that finalizes a level that it does not know.
    pub fn decode(bytes: &[u8], newest: MetadataVersion) -> Result<Record, RecordError> {
        let record: Record = minicbor::decode(bytes).map_err(|error| RecordError::Unreadable(error.to_string()))?;
        let known = MetadataVersions::up_to(newest);
        match record {
            Record::FeatureLevel(FeatureLevel { name, level })
                if name != MetadataVersion::FEATURE || !known.contains(level) =>
            {
                Err(RecordError::Level { feature: name, level, known })
            }
            Record::Voters(_) if !newest.has_voters() => Err(RecordError::Newer { needs: record.level(), known }),
            // A field of a later level is skipped.
            Record::PartitionChange(change) if !newest.has_last_leaders() => {
                Ok(Record::PartitionChange(PartitionChange { last_leader: None, ..change }))
            }
            record => Ok(record),
        }
    }

    /// The first level that has it.
    pub fn level(&self) -> MetadataVersion {
        match self {
            Record::Voters(_) | Record::PartitionChange(PartitionChange { last_leader: Some(_), .. }) => {
                MetadataVersion(2)
            }
            Record::NoOp
            | Record::RegisterBroker(_)
            | Record::BrokerChange(_)
            | Record::Topic(_)
            | Record::Partition(_)
            | Record::PartitionChange(_)
            | Record::TopicConfig(_)
            | Record::BrokerConfig(_)
            | Record::RemoveTopic(_)
            | Record::UnregisterBroker(_)
            | Record::ProducerIds(_)
            | Record::FeatureLevel(_) => MetadataVersion::OLDEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::Voter;

    fn registration() -> Record {
        Record::RegisterBroker(RegisterBroker {
            broker: BrokerId(3),
            incarnation: u128::MAX - 7,
            endpoint: Endpoint::new("three", 9092),
            rack: Some("north".into()),
            epoch: None,
            versions: Some(MetadataVersions::up_to(MetadataVersion::NEWEST)),
            directories: Some(vec![DirectoryId(5), DirectoryId(u128::MAX)]),
        })
    }

    fn read(bytes: &[u8]) -> Result<Record, RecordError> {
        Record::decode(bytes, MetadataVersion::NEWEST)
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let partition = Record::PartitionChange(PartitionChange {
            topic: TopicId(9),
            index: 4,
            in_sync: vec![BrokerId(2)],
            leader: None,
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(8),
            replicas: Some(vec![BrokerId(2), BrokerId(5)]),
            adding: None,
            removing: Some(Vec::new()),
            last_leader: Some(BrokerId(5)),
            directories: Some(vec![(BrokerId(2), DirectoryId(5))]),
        });
        let voter = |id, directory: Option<u128>| Voter {
            id: BrokerId(id),
            directory: directory.map(DirectoryId),
            endpoint: Endpoint::new("node", 9092),
        };
        let voters = Record::Voters(VoterSet::new([voter(1, None), voter(4, Some(u128::MAX - 1))]));
        let level = Record::FeatureLevel(FeatureLevel::of(MetadataVersion::NEWEST));
        for record in [Record::NoOp, registration(), partition, voters, level] {
            assert_eq!(read(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_field_of_a_later_version_is_skipped_and_an_absent_one_is_none() {
        let mut bytes = Vec::new();
        let mut encoder = minicbor::Encoder::new(&mut bytes);
        encoder.array(2).unwrap().u32(2).unwrap().array(1).unwrap().map(3).unwrap();
        encoder.u8(0).unwrap().i32(1).unwrap().u8(1).unwrap().i64(5).unwrap();
        encoder.u8(77).unwrap().str("a field of tomorrow").unwrap();
        let change = BrokerChange { broker: BrokerId(1), epoch: BrokerEpoch(5), ..BrokerChange::default() };
        assert_eq!(read(&bytes), Ok(Record::BrokerChange(change)));
    }

    #[test]
    fn a_kind_of_a_later_version_is_refused() {
        let mut bytes = Vec::new();
        minicbor::Encoder::new(&mut bytes).array(2).unwrap().u32(99).unwrap().array(0).unwrap();
        assert!(read(&bytes).is_err());
        assert!(read(&registration().encode()[..5]).is_err());
    }

    #[test]
    fn a_program_of_an_older_level_stops_at_what_it_does_not_know_and_skips_its_fields() {
        let of_before = |record: &Record| Record::decode(&record.encode(), MetadataVersion(1));
        let raised = Record::FeatureLevel(FeatureLevel::of(MetadataVersion(2)));
        let told = of_before(&raised).unwrap_err().to_string();
        assert_eq!(
            told,
            "the cluster's metadata.version is 2, and this release knows 1 to 1: run a newer release here"
        );
        let stays = Record::FeatureLevel(FeatureLevel::of(MetadataVersion(1)));
        assert_eq!(of_before(&stays), Ok(stays));
        let other = Record::FeatureLevel(FeatureLevel { name: "tomorrow".into(), level: MetadataVersion(1) });
        assert!(read(&other.encode()).is_err(), "a feature that nobody here knows changes what records mean");
        let voters = Record::Voters(VoterSet::new([]));
        assert!(matches!(of_before(&voters), Err(RecordError::Newer { needs: MetadataVersion(2), .. })));
        let change = |last_leader| {
            Record::PartitionChange(PartitionChange {
                topic: TopicId(9),
                index: 0,
                in_sync: vec![BrokerId(2)],
                leader: None,
                leader_epoch: LeaderEpoch(3),
                partition_epoch: PartitionEpoch(8),
                replicas: None,
                adding: None,
                removing: None,
                last_leader,
                directories: None,
            })
        };
        assert_eq!(of_before(&change(Some(BrokerId(2)))), Ok(change(None)));
        assert_eq!((change(Some(BrokerId(2))).level(), change(None).level()), (MetadataVersion(2), MetadataVersion(1)));
    }
}
