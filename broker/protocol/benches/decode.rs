//! How fast bytes become requests and records.
#![allow(clippy::unwrap_used, reason = "what does not hold here fails the run, as it should")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::messages::*;
use protocol::records::{Compression, ProducerFields, Record, decode_batches, encode_batch};
use protocol::{Header, Response, decode_request, encode_request, encode_response, next_frame};

fn batch(records: usize, value_size: usize) -> Bytes {
    let record = Record { value: Some(vec![b'x'; value_size].into()), ..Record::default() };
    encode_batch(&vec![record; records], Compression::None, ProducerFields::default())
}

fn produce(records: Bytes) -> Bytes {
    let partition = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default()
        .with_name(topic_name("orders"))
        .with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    encode_request(9, 1, &string("bench"), &request).unwrap()
}

fn fetch() -> Bytes {
    let partitions = (0..10).map(|index| fetch_request::FetchPartition::default().with_partition(index));
    let topic =
        fetch_request::FetchTopic::default().with_topic(topic_name("orders")).with_partitions(partitions.collect());
    encode_request(12, 1, &string("bench"), &FetchRequest::default().with_topics(vec![topic])).unwrap()
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame to request");
    for (name, frame) in [
        ("produce 1 MiB", produce(batch(1024, 1014))),
        ("produce 100 B", produce(batch(1, 100))),
        ("fetch 10 partitions", fetch()),
    ] {
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || BytesMut::from(&frame[..]),
                |buffer| {
                    let frame = next_frame(buffer, 2 << 20).unwrap().unwrap();
                    black_box(decode_request(frame).unwrap())
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn responses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("response to parts");
    for (name, records) in [("fetch 1 MiB", batch(1024, 1014)), ("fetch 100 B", batch(1, 100))] {
        let partition = fetch_response::PartitionData::default().with_records(Some(records));
        let topic = fetch_response::FetchableTopicResponse::default()
            .with_topic(topic_name("orders"))
            .with_partitions(vec![partition]);
        let response = Response::Fetch(FetchResponse::default().with_responses(vec![topic]));
        let header = Header { api_key: 1, version: 12, correlation_id: 1, client_id: None };
        group.bench_function(name, |bencher| bencher.iter(|| black_box(encode_response(&header, &response).unwrap())));
    }
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    let record = Record { value: Some(vec![b'x'; 1014].into()), ..Record::default() };
    let records = vec![record; 1024];
    let batch = batch(1024, 1014);
    group.throughput(Throughput::Elements(1024));
    group.bench_function("encode 1024 of 1 KiB", |bencher| {
        bencher.iter(|| black_box(encode_batch(&records, Compression::None, ProducerFields::default())));
    });
    group.bench_function("decode 1024 of 1 KiB", |bencher| {
        bencher.iter(|| black_box(decode_batches(batch.clone()).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, requests, responses, records);
criterion_main!(benches);
