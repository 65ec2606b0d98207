//! Whatever is read or written here, the message crate reads or writes the same.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proto_kafka::protocol::{Decodable, Encodable};

use super::*;

/// Now and then one that is not plain: tags and nulls that are allowed, and make a difference.
fn rarely<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    other: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![12 => Just(usual), 1 => other].boxed()
}

fn some_tag() -> impl Strategy<Value = Option<Bytes>> {
    rarely(None, vec(any::<u8>(), 0..4).prop_map(|bytes| Some(Bytes::from(bytes))))
}

fn request_partition() -> impl Strategy<Value = FetchPartition> {
    let numbers = (any::<i32>(), any::<i32>(), any::<i64>(), any::<i32>(), any::<i64>(), any::<i32>());
    (numbers, some_tag()).prop_map(|((index, epoch, offset, last, start, bytes), tag)| {
        let partition = FetchPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(epoch)
            .with_fetch_offset(offset)
            .with_last_fetched_epoch(last)
            .with_log_start_offset(start)
            .with_partition_max_bytes(bytes);
        match tag {
            Some(tag) => partition.with_unknown_tagged_field(77, tag),
            None => partition,
        }
    })
}

fn request() -> impl Strategy<Value = FetchRequest> {
    let topic = (any::<u128>(), vec(request_partition(), 0..4)).prop_map(|(id, partitions)| {
        FetchTopic::default().with_topic_id(Uuid::from_u128(id)).with_partitions(partitions)
    });
    let forgotten = (any::<u128>(), vec(any::<i32>(), 0..200)).prop_map(|(id, partitions)| {
        ForgottenTopic::default().with_topic_id(Uuid::from_u128(id)).with_partitions(partitions)
    });
    let replica = prop_oneof![
        Just(ReplicaState::default()),
        (any::<i32>(), any::<i64>())
            .prop_map(|(id, epoch)| ReplicaState::default().with_replica_id(BrokerId(id)).with_replica_epoch(epoch)),
    ];
    let numbers = (any::<i32>(), any::<i8>(), any::<i32>(), any::<i32>());
    let arrays = (vec(topic, 0..3), vec(forgotten, 0..3));
    (numbers, arrays, replica, prop_oneof!["", "[a-zé]{1,200}"], rarely(None, "[a-z]{0,3}".prop_map(Some))).prop_map(
        |((wait, isolation, id, epoch), (topics, forgotten), replica, rack, cluster)| {
            FetchRequest::default()
                .with_max_wait_ms(wait)
                .with_min_bytes(1)
                .with_isolation_level(isolation)
                .with_session_id(id)
                .with_session_epoch(epoch)
                .with_topics(topics)
                .with_forgotten_topics_data(forgotten)
                .with_rack_id(StrBytes::from_string(rack))
                .with_replica_state(replica)
                .with_cluster_id(cluster.map(StrBytes::from_string))
        },
    )
}

fn answer() -> impl Strategy<Value = PartitionData> {
    let numbers = (any::<i32>(), any::<i16>(), any::<i64>(), any::<i64>(), any::<i32>());
    let others = (rarely(Some(Vec::new()), Just(None)), rarely(-1, any::<i64>()), some_tag());
    (numbers, vec(any::<u8>(), 0..300), others).prop_map(|((index, error, high, start, near), records, others)| {
        let (aborted, diverging_end, tag) = others;
        let mut data = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_high_watermark(high)
            .with_last_stable_offset(high)
            .with_log_start_offset(start)
            .with_preferred_read_replica(BrokerId(near))
            .with_aborted_transactions(aborted)
            .with_records(Some(records.into()));
        data.diverging_epoch.end_offset = diverging_end;
        match tag {
            Some(tag) => data.with_unknown_tagged_field(77, tag),
            None => data,
        }
    })
}

fn response() -> impl Strategy<Value = FetchResponse> {
    let topic = (any::<u128>(), vec(answer(), 0..4)).prop_map(|(id, partitions)| {
        FetchableTopicResponse::default().with_topic_id(Uuid::from_u128(id)).with_partitions(partitions)
    });
    (any::<i32>(), any::<i16>(), any::<i32>(), vec(topic, 0..4)).prop_map(|(throttle, error, id, topics)| {
        FetchResponse::default()
            .with_throttle_time_ms(throttle)
            .with_error_code(error)
            .with_session_id(id)
            .with_responses(topics)
    })
}

fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

/// Whatever is read of these bytes is what the message crate reads of them.
fn reads_the_same<M: Decodable + PartialEq + std::fmt::Debug>(
    bytes: &Bytes,
    version: i16,
    read: fn(&Bytes, i16) -> Option<M>,
) -> Result<bool, TestCaseError> {
    let read = read(bytes, version);
    if let Some(read) = &read {
        let known = M::decode(&mut bytes.clone(), version).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read, &known);
    }
    Ok(read.is_some())
}

proptest! {
    #[test]
    fn requests_are_read_and_written_as_the_message_crate_does(
        request in request(), version in 13_i16..=18, spoilt in any::<(prop::sample::Index, u8)>(), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = if version < 15 {
            encoded(&request.clone().with_replica_state(ReplicaState::default()), version)
        } else {
            encoded(&request, version)
        };
        let mut out = b"before".to_vec();
        let is_written = encode_request(&request, version, &mut out);
        prop_assert_eq!(&out[6..], if is_written { &bytes[..] } else { &[][..] });
        let is_read = reads_the_same(&bytes, version, decode_request)?;
        prop_assert!(is_read || !is_written, "what is written here is read here");
        reads_the_same(&bytes.slice(..cut.index(bytes.len())), version, decode_request)?;
        let mut spoiled = bytes.to_vec();
        spoiled[spoilt.0.index(bytes.len())] = spoilt.1;
        reads_the_same(&spoiled.into(), version, decode_request)?;
    }

    #[test]
    fn responses_are_read_and_written_as_the_message_crate_does(
        response in response(), version in 13_i16..=18, spoilt in any::<(prop::sample::Index, u8)>(), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = encoded(&response, version);
        let mut out = b"before".to_vec();
        let is_written = encode_response(&response, version, &mut out);
        prop_assert_eq!(&out[6..], if is_written { &bytes[..] } else { &[][..] });
        prop_assert_eq!(reads_the_same(&bytes, version, decode_response)?, is_written);
        reads_the_same(&bytes.slice(..cut.index(bytes.len())), version, decode_response)?;
        let mut spoiled = bytes.to_vec();
        spoiled[spoilt.0.index(bytes.len())] = spoilt.1;
        reads_the_same(&spoiled.into(), version, decode_response)?;
    }
}

#[test]
fn what_is_usual_is_plain() {
    let partition = FetchPartition::default().with_fetch_offset(7);
    let topic = FetchTopic::default().with_topic_id(Uuid::from_u128(5)).with_partitions(vec![partition; 3]);
    let replica = ReplicaState::default().with_replica_id(BrokerId(2)).with_replica_epoch(9);
    let request = FetchRequest::default().with_topics(vec![topic]).with_replica_state(replica);
    let answer = PartitionData::default().with_records(Some(Bytes::from_static(b"records")));
    let topic = FetchableTopicResponse::default().with_topic_id(Uuid::from_u128(5)).with_partitions(vec![answer]);
    let response = FetchResponse::default().with_responses(vec![topic]);
    for version in VERSIONS {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        assert!(encode_request(&request, version, &mut asked));
        assert_eq!(decode_request(&asked.into(), version), Some(request.clone()));
        assert!(encode_response(&response, version, &mut answered));
        assert_eq!(decode_response(&answered.into(), version), Some(response.clone()));
    }
}

#[test]
fn an_array_that_claims_much_is_given_no_room() {
    let request = FetchRequest::default().with_topics(vec![FetchTopic::default(); ENTRIES_MAX + 1]);
    assert_eq!(decode_request(&encoded(&request, 17), 17), None);
}
