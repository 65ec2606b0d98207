//! Requests, good and bad: what is valid comes through whole, and whatever is not is refused without harm.

mod samples;

use bytes::{BufMut, Bytes, BytesMut};
use model::MetadataVersion;
use proptest::prelude::*;
use protocol::messages::*;
use protocol::{
    Header, Request, RequestError, Response, decode_request, encode_request, encode_response, refuse_api_versions,
};

#[test]
fn every_request_of_every_version_comes_through() {
    for (key, version, frame) in samples::every_request() {
        let (header, request) =
            decode_request(frame.clone()).unwrap_or_else(|error| panic!("{key} {version}: {error}"));
        let expected = Header { api_key: key, version, correlation_id: 77, client_id: Some(string("sample")) };
        assert_eq!(header, expected);
        if let Request::Produce(produce) = request {
            assert_eq!(produce.topic_data[0].partition_data[0].records, Some(samples::batch()));
        }
    }
}

#[test]
fn a_request_cut_anywhere_is_malformed() {
    for (key, version, frame) in samples::every_request() {
        for end in 0..frame.len() {
            let result = decode_request(frame.slice(..end));
            assert!(matches!(result, Err(RequestError::Malformed(_))), "{key} {version} cut at {end}: {result:?}");
        }
    }
}

#[test]
fn bytes_after_the_body_are_nobodys() {
    for (key, version, frame) in samples::every_request() {
        let (_, alone) = decode_request(frame.clone()).unwrap();
        let (_, followed) = decode_request([&frame[..], &[0, 1, 0]].concat().into()).unwrap();
        assert_eq!(alone, followed, "{key} {version}");
    }
}

#[test]
fn the_metadata_of_all_topics_as_librdkafka_2_16_asks_for_it_is_understood() {
    let frame = b"\0\x03\0\x0d\0\0\0\x03\0\x07rdkafka\0\0\0\0\0\x01\0\0";
    let (_, request) = decode_request(Bytes::from_static(frame)).unwrap();
    assert!(matches!(request, Request::Metadata(metadata) if metadata.topics.is_none()));
}

#[test]
fn an_array_of_two_billion_entries_is_malformed() {
    let mut frame = BytesMut::from(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff][..]);
    frame.put_i32(i32::MAX);
    assert!(matches!(decode_request(frame.freeze()), Err(RequestError::Malformed(_))));
}

#[test]
fn unknown_apis_and_versions_are_told_apart_and_keep_their_correlation_id() {
    let unknown = Bytes::from_static(&[0x7f, 0, 0, 1, 0, 0, 0, 5]);
    assert!(matches!(decode_request(unknown), Err(RequestError::UnknownApi { header }) if header.correlation_id == 5));
    for (key, version) in [(0, 2), (0, 13), (18, 5), (1, 3), (3, -1)] {
        let mut frame = BytesMut::new();
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(6);
        frame.put_slice(b"whatever a later version may say");
        match decode_request(frame.freeze()) {
            Err(RequestError::UnsupportedVersion { header }) => assert_eq!(header.correlation_id, 6),
            other => panic!("{key} {version}: {other:?}"),
        }
    }
}

#[test]
fn requests_look_as_kafka_writes_them() {
    let client = string("kcat");
    let oldest = encode_request(0, 1, &client, &ApiVersionsRequest::default()).unwrap();
    assert_eq!(oldest[..], *b"\0\0\0\x0e\0\x12\0\0\0\0\0\x01\0\x04kcat");
    let request =
        ApiVersionsRequest::default().with_client_software_name(string("ab")).with_client_software_version(string("9"));
    let flexible = encode_request(3, 2, &client, &request).unwrap();
    // Tagged fields end the header; lengths are compact; tagged fields end the body.
    assert_eq!(flexible[..], *b"\0\0\0\x15\0\x12\0\x03\0\0\0\x02\0\x04kcat\0\x03ab\x029\0");
    let all_topics = encode_request(1, 3, &client, &MetadataRequest::default().with_topics(None)).unwrap();
    assert_eq!(all_topics[..], *b"\0\0\0\x12\0\x03\0\x01\0\0\0\x03\0\x04kcat\xff\xff\xff\xff");
}

#[test]
fn a_null_client_id_and_tagged_fields_of_the_header_are_taken() {
    // Metadata 9, all topics, with one unknown tagged field of two bytes in its header.
    let frame = b"\0\x03\0\x09\0\0\0\x01\xff\xff\x01\x05\x02zz\0\x01\0\0\0";
    let (header, request) = decode_request(Bytes::from_static(frame)).unwrap();
    assert_eq!(header.client_id, None);
    assert!(matches!(request, Request::Metadata(metadata) if metadata.topics.is_none()));
}

#[test]
fn an_api_versions_request_that_is_too_new_is_answered_in_version_zero() {
    let header = Header { api_key: 18, version: 99, correlation_id: 8, client_id: None };
    let (header, response) = refuse_api_versions(MetadataVersion::NEWEST, &header);
    let parts = encode_response(&header, &response).unwrap();
    let bytes = parts.concat();
    // No tagged fields in the header; error 35; then an array with a plain length, and its first entry: Produce from 0.
    assert_eq!(bytes[4..14], *b"\0\0\0\x08\0\x23\0\0\0\x1b");
    assert_eq!(bytes[14..20], [0, 0, 0, 0, 0, 12]);
    assert!(matches!(response, Response::ApiVersions(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(bytes.into());
    }

    #[test]
    fn random_bodies_of_every_api_never_panic(
        index in any::<prop::sample::Index>(),
        body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xff), Just(0x7f), any::<u8>()], 0..120),
    ) {
        let requests = samples::every_request();
        let (key, version, _) = &requests[index.index(requests.len())];
        let mut frame = BytesMut::new();
        frame.put_i16(*key);
        frame.put_i16(*version);
        frame.put_slice(&body);
        let _ = decode_request(frame.freeze());
    }

    #[test]
    fn mutated_requests_never_panic(
        index in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let requests = samples::every_request();
        let mut frame = requests[index.index(requests.len())].2.to_vec();
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let _ = decode_request(frame.clone().into());
        frame.truncate(cut.index(frame.len()));
        let _ = decode_request(frame.into());
    }
}
