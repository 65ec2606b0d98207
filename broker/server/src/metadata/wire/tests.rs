//! Who votes, as a program reads it that may know less than its leader.

use bytes::BytesMut;
use model::{BrokerId, mark_control, patch_batch};
use protocol::records::{self, Compression, ProducerFields};
use roles::quorum::Voter;

use super::*;

/// The leader's answer: a record of voters at offset 7, of epoch 3, committed or not.
fn answer(high_watermark: i64) -> FetchResponse {
    let voter = |id| Voter { id: BrokerId(id), directory: None, endpoint: Endpoint::new("node", 9093) };
    let voters = Record::Voters(VoterSet::new([voter(1), voter(2)]));
    let record = records::Record { value: Some(voters.encode().into()), ..records::Record::default() };
    let mut batch = BytesMut::from(records::encode_batch(&[record], Compression::None, ProducerFields::default()));
    patch_batch(&mut batch, Offset(7), LeaderEpoch(3));
    mark_control(&mut batch);
    let leader = LeaderIdAndEpoch::default().with_leader_id(WireBrokerId(1)).with_leader_epoch(3);
    let partition = PartitionData::default()
        .with_current_leader(leader)
        .with_high_watermark(high_watermark)
        .with_records(Some(batch.freeze()));
    FetchResponse::default().with_responses(vec![FetchableTopicResponse::default().with_partitions(vec![partition])])
}

#[test]
fn a_record_of_voters_that_a_program_does_not_know_is_named_committed_or_not() {
    for high_watermark in [7, 8] {
        match fetch_answered(answer(high_watermark), MetadataVersion::NEWEST).unwrap().response.body {
            Body::Records { spans, .. } => assert_eq!(spans[0].voters.as_ref().map(VoterSet::len), Some(2)),
            other => panic!("{other:?}"),
        }
        let told = fetch_answered(answer(high_watermark), MetadataVersion::OLDEST);
        let Err(WireError::Voters(VotersError::Record(error))) = told else { panic!("{told:?}") };
        assert!(matches!(error, RecordError::Newer { needs: MetadataVersion(2), .. }), "{error}");
        assert!(error.to_string().contains("run a newer release here"), "{error}");
    }
}
