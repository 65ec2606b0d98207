//! A cluster of two scripted brokers on loopback: one log in memory, a leader that can be moved, and tricks to play on
//! produce requests and on orders to delete the topic. It stands in for what no healthy broker does on demand.
#![allow(clippy::unwrap_used, reason = "what does not hold here fails the test, as it should")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use host::real::RealHost;
use host::{Connection, Host, Listener, Reader, Task, Writer};
use model::{Admission, BatchHeader, Endpoint, LeaderEpoch, MetadataVersion, Offset, Producers, patch_batch};
use protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{self, *};
use protocol::{ErrorCode, Request, Response, api_versions_response, decode_request, encode_response, next_frame};

pub(crate) const PARTITIONS: i32 = 3;

const MUTE: i32 = 7;

/// What happens to one produce request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trick {
    HangUpBeforeAppend,
    HangUpAfterAppend,
    Refuse(ErrorCode),
    /// Appends, and answers with an error all the same.
    AppendAndRefuse(ErrorCode),
}

/// How an order to delete the topic gets no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deletion {
    HangUpBefore,
    HangUpAfter,
}

#[derive(Default)]
pub(crate) struct State {
    /// Batches of each partition, oldest first.
    logs: [Vec<Bytes>; PARTITIONS as usize],
    producers: [Producers; PARTITIONS as usize],
    /// Producer ids that were handed out.
    pub(crate) producer_ids: i64,
    /// Offsets below it are gone.
    pub(crate) log_start: i64,
    /// So many fetches find that the log begins at its end.
    pub(crate) late_starts: usize,
    pub(crate) leader: i32,
    /// The rack that the other broker stands in: the leader sends readers there, and that one answers so.
    pub(crate) follower: Option<(&'static str, Result<(), ErrorCode>)>,
    /// Fetches that the leader, and the other, answered with records.
    pub(crate) served: [usize; 2],
    pub(crate) epoch: i32,
    pub(crate) tricks: VecDeque<Trick>,
    pub(crate) produce_requests: usize,
    pub(crate) open_connections: usize,
    /// The topic's id; none while it is deleted.
    pub(crate) orders: Option<Uuid>,
    /// What becomes of the next order to delete it.
    pub(crate) deletion: Option<Deletion>,
    /// The order that is still on its way.
    pub(crate) on_its_way: Option<DeleteTopicsRequest>,
    /// A partition that is led by a broker which takes connections and never says a word.
    pub(crate) led_by_the_mute: Option<i32>,
    endpoints: Vec<Endpoint>,
    mute: Option<Endpoint>,
}

pub(crate) struct Peers {
    pub(crate) host: RealHost,
    pub(crate) state: Arc<Mutex<State>>,
    _tasks: Vec<Task>,
    _mute: <RealHost as Host>::Listener,
}

impl Peers {
    pub(crate) async fn start() -> Peers {
        let host = RealHost::new(std::env::temp_dir().join("client-peers")).unwrap();
        let state = Arc::new(Mutex::new(State { epoch: 1, orders: Some(Uuid::from_u128(9)), ..State::default() }));
        let mut tasks = Vec::new();
        for id in 0..2 {
            let listener = host.listen(&Endpoint::new("127.0.0.1", 0)).await.unwrap();
            state.lock().unwrap().endpoints.push(listener.endpoint());
            tasks.push(host::spawn(&host, accept(host.clone(), listener, id, Arc::clone(&state))));
        }
        let mute = host.listen(&Endpoint::new("127.0.0.1", 0)).await.unwrap();
        state.lock().unwrap().mute = Some(mute.endpoint());
        Peers { host, state, _tasks: tasks, _mute: mute }
    }

    pub(crate) fn bootstrap(&self) -> Vec<Endpoint> {
        self.state.lock().unwrap().endpoints.clone()
    }

    pub(crate) fn play(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.state.lock().unwrap().tricks.extend(tricks);
    }

    pub(crate) fn move_leader(&self) {
        let mut state = self.state.lock().unwrap();
        state.leader = 1 - state.leader;
        state.epoch += 1;
    }

    /// Another broker leads, which has only the oldest batches of each log.
    pub(crate) fn lose_all_but(&self, batches: usize) {
        self.move_leader();
        self.state.lock().unwrap().logs.iter_mut().for_each(|log| log.truncate(batches));
    }
}

async fn accept(host: RealHost, listener: <RealHost as Host>::Listener, id: i32, state: Arc<Mutex<State>>) {
    let mut tasks = Vec::new();
    while let Ok(connection) = listener.accept().await {
        tasks.push(host::spawn(&host, serve(host.clone(), connection, id, Arc::clone(&state))));
    }
}

async fn serve(host: RealHost, connection: <RealHost as Host>::Connection, id: i32, state: Arc<Mutex<State>>) {
    let (mut reader, mut writer) = connection.split();
    let mut buffer = BytesMut::new();
    state.lock().unwrap().open_connections += 1;
    'connection: loop {
        while let Some(frame) = next_frame(&mut buffer, 16 << 20).unwrap() {
            let (header, request) = decode_request(frame).unwrap();
            let unanswered = matches!(&request, Request::Produce(produce) if produce.acks == 0);
            let Some(response) = answer(&host, id, &state, request).await else { break 'connection };
            if unanswered {
                continue;
            }
            let parts = encode_response(&header, &response).unwrap();
            if writer.write(&parts).await.is_err() {
                break 'connection;
            }
        }
        if !matches!(reader.read(&mut buffer).await, Ok(1..)) {
            break;
        }
    }
    state.lock().unwrap().open_connections -= 1;
}

/// None hangs up.
async fn answer(host: &RealHost, id: i32, state: &Arc<Mutex<State>>, request: Request) -> Option<Response> {
    match request {
        Request::ApiVersions(_) => Some(Response::ApiVersions(api_versions_response(MetadataVersion::NEWEST))),
        Request::InitProducerId(_) => {
            let mut state = state.lock().unwrap();
            state.producer_ids += 1;
            let id = messages::WireProducerId(state.producer_ids);
            Some(Response::InitProducerId(InitProducerIdResponse::default().with_producer_id(id)))
        }
        Request::Metadata(request) => Some(Response::Metadata(state.lock().unwrap().metadata(&request))),
        Request::Produce(request) => state.lock().unwrap().produce(id, request).map(Response::Produce),
        Request::DeleteTopics(request) => state.lock().unwrap().delete(request).map(Response::DeleteTopics),
        Request::ListOffsets(request) => Some(Response::ListOffsets(state.lock().unwrap().list_offsets(id, &request))),
        Request::Fetch(request) => {
            let deadline = host.now() + Duration::from_millis(request.max_wait_ms as u64);
            loop {
                let (found, response) = state.lock().unwrap().fetch(id, &request);
                if found || deadline <= host.now() {
                    return Some(Response::Fetch(response));
                }
                host.sleep(Duration::from_millis(2)).await;
            }
        }
        other => panic!("no client asks this here: {other:?}"),
    }
}

impl State {
    pub(crate) fn end(&self, partition: i32) -> i64 {
        self.logs[partition as usize].last().map_or(0, |batch| BatchHeader::parse(batch).unwrap().end_offset().0)
    }

    /// Where the log parts from that of a reader which read a record of `last_epoch` before `offset`.
    fn parting(&self, partition: i32, last_epoch: i32, offset: i64) -> Option<EpochEndOffset> {
        let batches = self.logs[partition as usize].iter().map(|batch| BatchHeader::parse(batch).unwrap());
        let known = batches.filter(|header| header.leader_epoch.0 <= last_epoch).last()?;
        let (epoch, end) = (known.leader_epoch.0, known.end_offset().0);
        let has_parted = epoch < last_epoch || end < offset;
        has_parted.then(|| EpochEndOffset::default().with_epoch(epoch).with_end_offset(end))
    }

    fn error(&self, id: i32, epoch: i32) -> i16 {
        if id != self.leader {
            ErrorCode::NotLeaderOrFollower.code()
        } else if epoch >= 0 && epoch < self.epoch {
            ErrorCode::FencedLeaderEpoch.code()
        } else {
            0
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let broker = |(id, endpoint): (usize, &Endpoint)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id as i32))
                .with_host(string(&endpoint.host))
                .with_port(i32::from(endpoint.port))
        };
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(if self.led_by_the_mute == Some(index) { MUTE } else { self.leader }))
                .with_leader_epoch(self.epoch)
        };
        let topic = |asked: &metadata_request::MetadataRequestTopic| {
            let is_orders = asked.name.as_ref().is_some_and(|name| name.as_str() == "orders");
            let topic = MetadataResponseTopic::default().with_name(asked.name.clone());
            match self.orders {
                Some(id) if is_orders => {
                    topic.with_topic_id(id).with_partitions((0..PARTITIONS).map(partition).collect())
                }
                None if is_orders => topic.with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
                _ => topic.with_error_code(ErrorCode::InvalidTopicException.code()),
            }
        };
        let mute = self.mute.iter().filter(|_| self.led_by_the_mute.is_some()).map(|mute| (MUTE as usize, mute));
        MetadataResponse::default()
            .with_brokers(self.endpoints.iter().enumerate().chain(mute).map(broker).collect())
            .with_topics(request.topics.iter().flatten().map(topic).collect())
    }

    pub(crate) fn delete(&mut self, request: DeleteTopicsRequest) -> Option<DeleteTopicsResponse> {
        let trick = self.deletion.take();
        if matches!(trick, Some(Deletion::HangUpBefore)) {
            self.on_its_way = Some(request);
            return None;
        }
        let mut results = Vec::new();
        for topic in request.topics {
            let result = delete_topics_response::DeletableTopicResult::default().with_name(topic.name.clone());
            let (is_meant, unknown) = match &topic.name {
                Some(name) => (name.as_str() == "orders", ErrorCode::UnknownTopicOrPartition),
                None => (self.orders == Some(topic.topic_id), ErrorCode::UnknownTopicId),
            };
            results.push(match self.orders.filter(|_| is_meant) {
                Some(id) => result.with_topic_id(id),
                None => result.with_error_code(unknown.code()),
            });
            if is_meant {
                self.orders = None;
            }
        }
        let answer = DeleteTopicsResponse::default().with_responses(results);
        (!matches!(trick, Some(Deletion::HangUpAfter))).then_some(answer)
    }

    fn produce(&mut self, id: i32, request: ProduceRequest) -> Option<ProduceResponse> {
        self.produce_requests += 1;
        let trick = self.tricks.pop_front();
        if matches!(trick, Some(Trick::HangUpBeforeAppend)) {
            return None;
        }
        let mut topics = Vec::new();
        for topic in request.topic_data {
            let mut partitions = Vec::new();
            for data in topic.partition_data {
                let refusal = match trick {
                    Some(Trick::Refuse(code)) => code.code(),
                    _ => self.error(id, -1),
                };
                let mut answer = PartitionProduceResponse::default().with_index(data.index).with_error_code(refusal);
                if refusal == 0 {
                    match self.append(data.index, &data.records.unwrap()) {
                        Ok(base) => answer.base_offset = base.0,
                        Err(code) => answer.error_code = code.code(),
                    }
                }
                if let Some(Trick::AppendAndRefuse(code)) = trick {
                    answer.error_code = code.code();
                }
                partitions.push(answer);
            }
            topics.push(TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions));
        }
        let answers = ProduceResponse::default().with_responses(topics);
        (!matches!(trick, Some(Trick::HangUpAfterAppend))).then_some(answers)
    }

    /// Knows an idempotent producer's batch that comes again, as a broker does.
    fn append(&mut self, partition: i32, batch: &[u8]) -> Result<Offset, ErrorCode> {
        let base = Offset(self.end(partition));
        let mut batch = BytesMut::from(batch);
        let header = BatchHeader::verify(&batch).unwrap();
        let producers = &mut self.producers[partition as usize];
        if let Some(stamp) = header.stamp() {
            match producers.admit(&stamp) {
                Ok(Admission::New) => producers.note(&stamp, base, base.plus(i64::from(header.record_count))),
                Ok(Admission::Again { base, .. }) => return Ok(base),
                Err(_) => return Err(ErrorCode::OutOfOrderSequenceNumber),
            }
        }
        patch_batch(&mut batch, base, LeaderEpoch(self.epoch));
        self.logs[partition as usize].push(batch.freeze());
        Ok(base)
    }

    fn list_offsets(&self, id: i32, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = |topic: &list_offsets_request::ListOffsetsTopic| {
            let partition = |asked: &list_offsets_request::ListOffsetsPartition| {
                let offset = match asked.timestamp {
                    -1 => self.end(asked.partition_index),
                    -2 => self.log_start,
                    time => self.first_at(asked.partition_index, time),
                };
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_error_code(self.error(id, asked.current_leader_epoch))
                    .with_offset(offset)
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
        };
        ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }

    fn first_at(&self, partition: i32, time: i64) -> i64 {
        let records = protocol::records::decode_batches(self.logs[partition as usize].concat().into()).unwrap();
        records.iter().find(|record| record.record.timestamp.0 >= time).map_or(-1, |record| record.offset.0)
    }

    fn fetch(&mut self, id: i32, request: &FetchRequest) -> (bool, FetchResponse) {
        let mut found = false;
        let is_late = 0 < self.late_starts;
        self.late_starts -= usize::from(is_late);
        let mut topic = |topic: &fetch_request::FetchTopic| {
            let mut partition = |asked: &fetch_request::FetchPartition| {
                let end = self.end(asked.partition);
                let follower = self.follower.filter(|_| id != self.leader);
                let mut error = match follower {
                    Some((_, served)) => served.map_or_else(|code| code.code(), |()| 0),
                    None => self.error(id, asked.current_leader_epoch),
                };
                let is_near = self.follower.is_some_and(|(rack, _)| rack == request.rack_id.as_str());
                if error == 0 && is_near && id == self.leader {
                    found = true;
                    return PartitionData::default()
                        .with_partition_index(asked.partition)
                        .with_preferred_read_replica(BrokerId(1 - id));
                }
                if let Some(parting) = self.parting(asked.partition, asked.last_fetched_epoch, asked.fetch_offset)
                    && error == 0
                {
                    found = true;
                    return PartitionData::default()
                        .with_partition_index(asked.partition)
                        .with_diverging_epoch(parting);
                }
                let start = if is_late { end } else { self.log_start };
                if error == 0 && !(start..=end).contains(&asked.fetch_offset) {
                    error = ErrorCode::OffsetOutOfRange.code();
                }
                let log = &self.logs[asked.partition as usize];
                let wanted =
                    log.iter().filter(|batch| BatchHeader::parse(batch).unwrap().end_offset().0 > asked.fetch_offset);
                let records =
                    if error == 0 { wanted.take(2).cloned().collect::<Vec<_>>().concat() } else { Vec::new() };
                found |= error != 0 || !records.is_empty();
                self.served[usize::from(id != self.leader)] += usize::from(!records.is_empty());
                PartitionData::default()
                    .with_partition_index(asked.partition)
                    .with_error_code(error)
                    .with_high_watermark(end)
                    .with_records(Some(records.into()))
            };
            let partitions = topic.partitions.iter().map(&mut partition).collect();
            FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_partitions(partitions)
        };
        let topics = request.topics.iter().map(&mut topic).collect();
        (found, FetchResponse::default().with_responses(topics))
    }
}
