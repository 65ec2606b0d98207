//! Fetches: one under way to each broker that is read from, answers taken as they come.
//!
//! That is the leader of a partition, or a follower that it names (KIP-392). Whatever goes wrong there, the leader is asked again.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use host::Host;
use model::{BatchError, BatchHeader, BrokerId, Endpoint, LeaderEpoch, Offset, Time};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use protocol::messages::fetch_response::{EpochEndOffset, PartitionData};
use protocol::messages::{BrokerId as WireId, FetchRequest, string, topic_name};
use protocol::records::{DecodeError, StoredRecord, batch_records};
use protocol::{ErrorCode, decode_response};

use super::errands::Errand;
use super::positions::is_stale;
use super::{Assigned, ConsumeError, Consumer, ConsumerConfig, OutOfRange, Polled, Position};
use crate::cluster::Leader;
use crate::node::Node;
use crate::{Ask, CallError, ClientError, FetchSession, TopicPartition};

/// First version that fences by leader epoch (KIP-320).
const LEADER_EPOCH_SINCE: i16 = 9;
/// First version that says which record was read last, and hears where logs part (KIP-595).
const LAST_EPOCH_SINCE: i16 = 12;
/// First version in which a consumer tells its rack, and may be sent to a follower (KIP-392).
const RACK_SINCE: i16 = 11;
/// First version that has sessions (KIP-227).
const SESSIONS_SINCE: i16 = 7;
/// Session epoch of a request that belongs to none.
const NO_SESSION_EPOCH: i32 = -1;

/// What a broker is asked about each partition.
pub(super) type Session = FetchSession<TopicPartition, Wanted>;

/// A connection to one broker and the fetch that is under way on it.
pub(super) struct Link<H: Host> {
    node: Node<H>,
    fetch: Option<UnderWay>,
}

impl<H: Host> Link<H> {
    pub(super) fn new(node: Node<H>) -> Link<H> {
        Link { node, fetch: None }
    }
}

struct UnderWay {
    version: i16,
    deadline: Time,
    /// What was asked for, so that an answer which has been overtaken by a seek is known.
    asked: BTreeMap<TopicPartition, Wanted>,
}

/// What a wait may bring.
enum News<H: Host> {
    Errand(Errand<H>),
    Answer(Endpoint, Result<Bytes, CallError>),
}

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    offset: Offset,
    epoch: i32,
    last_epoch: LeaderEpoch,
}

impl<H: Host> Consumer<H> {
    /// Sends what is to be sent and waits for one piece of news, but not beyond `deadline`.
    pub(super) async fn advance(&mut self, deadline: Time) {
        self.start_refresh();
        self.start_look_ups();
        self.send_fetches().await;
        let wake = self.wake_at().map_or(deadline, |wake| wake.min(deadline));
        match self.news(wake).await {
            Some(News::Errand(errand)) => self.finish(errand),
            Some(News::Answer(endpoint, answer)) => self.take(&endpoint, answer),
            None => self.drop_overdue(),
        }
    }

    /// The next moment at which something is to be done though nothing happens.
    fn wake_at(&self) -> Option<Time> {
        let now = self.host.now();
        let retries = self.assigned.values().map(|assigned| assigned.retry_at).filter(|at| now < *at);
        let fetches = self.links.values().filter_map(|link| link.fetch.as_ref().map(|fetch| fetch.deadline));
        let refresh = (self.refresh_needed && !self.errands.is_refreshing()).then_some(self.refresh_at);
        retries.chain(fetches).chain(refresh).min()
    }

    /// Sends a fetch to each broker that has none under way; connects to one that has no connection.
    async fn send_fetches(&mut self) {
        for (endpoint, wanted) in self.wanted() {
            // Taken out, so that a poll which is cancelled half way leaves no broken connection.
            let Some(mut link) = self.links.remove(&endpoint) else {
                self.start_connection(endpoint);
                continue;
            };
            let rack = self.rack(wanted.keys());
            let session = self.sessions.entry(endpoint.clone()).or_default();
            let sent = send_fetch(&self.host, &self.config, &mut link.node, session, &wanted, rack.as_deref());
            match sent.await {
                Ok((version, deadline)) => {
                    link.fetch = Some(UnderWay { version, deadline, asked: wanted });
                    self.links.insert(endpoint, link);
                }
                Err(_broken) => wanted.keys().for_each(|partition| self.pause(partition)),
            }
        }
    }

    /// Whom to read from: the follower that the leader named, while that holds; else the leader.
    pub(super) fn source(&self, partition: &TopicPartition, assigned: &Assigned) -> Option<Leader> {
        let leader = self.cluster.leader(partition)?;
        let now = self.host.now();
        let reader = assigned.reader.filter(|(_, until)| now < *until);
        match reader.and_then(|(broker, _)| Some((broker, self.cluster.endpoint(broker)?))) {
            Some((broker, endpoint)) => Some(Leader { broker, endpoint, ..leader }),
            None => Some(leader),
        }
    }

    /// Where this consumer says that it stands: nowhere, while one of these partitions is not to be read from a follower.
    fn rack<'a>(&self, mut partitions: impl Iterator<Item = &'a TopicPartition>) -> Option<String> {
        let now = self.host.now();
        let may_move = |partition| self.assigned.get(partition).is_none_or(|assigned| assigned.by_leader_until <= now);
        self.config.client.rack.clone().filter(|_| partitions.all(may_move))
    }

    /// What can be asked for now, by whom.
    fn wanted(&mut self) -> BTreeMap<Endpoint, BTreeMap<TopicPartition, Wanted>> {
        let now = self.host.now();
        let mut wanted = BTreeMap::<Endpoint, BTreeMap<TopicPartition, Wanted>>::new();
        let mut leaderless = Vec::new();
        for (partition, assigned) in &self.assigned {
            let Assigned { position: Position::Offset(offset), last_epoch, retry_at, .. } = *assigned else { continue };
            if now < retry_at {
                continue;
            }
            let Some(source) = self.source(partition, assigned) else {
                leaderless.push(partition.clone());
                continue;
            };
            if self.links.get(&source.endpoint).is_none_or(|link| link.fetch.is_none()) {
                let from_there = wanted.entry(source.endpoint).or_default();
                from_there.insert(partition.clone(), Wanted { offset, epoch: source.epoch.0, last_epoch });
            }
        }
        leaderless.iter().for_each(|partition| self.pause(partition));
        wanted
    }

    /// Waits until `wake` for an errand to end or a broker to answer.
    async fn news(&mut self, wake: Time) -> Option<News<H>> {
        let answers = self.links.iter_mut().filter(|(_, link)| link.fetch.is_some()).map(|(endpoint, link)| {
            let answer = link.node.channel.receive();
            async move { News::Answer(endpoint.clone(), answer.await.map(|(_, frame)| frame)) }.boxed()
        });
        // What is not done may be dropped and asked again.
        let mut answers: FuturesUnordered<_> = answers.collect();
        tokio::select! {
            biased;
            Some(errand) = self.errands.next() => Some(News::Errand(errand)),
            Some(answer) = answers.next() => Some(answer),
            () = self.host.sleep_until(wake) => None,
        }
    }

    fn take(&mut self, endpoint: &Endpoint, answer: Result<Bytes, CallError>) {
        let Some(link) = self.links.get_mut(endpoint) else { return };
        let Some(UnderWay { version, asked, .. }) = link.fetch.take() else { return };
        let answer = answer.ok().and_then(|frame| decode_response::<FetchRequest>(version, frame).ok());
        if let (Some(answer), Some(session)) = (&answer, self.sessions.get_mut(endpoint))
            && !session.answered(ErrorCode::try_from_code(answer.error_code), answer.session_id)
        {
            return;
        }
        let Some(answer) = answer.filter(|answer| answer.error_code == 0) else {
            self.links.remove(endpoint);
            asked.keys().for_each(|partition| self.pause(partition));
            return;
        };
        // Partitions of which it does not speak are well, and have nothing new.
        if answer.responses.iter().map(|topic| topic.partitions.len()).sum::<usize>() < asked.len() {
            self.backoff.reset();
        }
        for topic in answer.responses {
            for data in topic.partitions {
                let partition = TopicPartition::new(&topic.topic, data.partition_index);
                let Some(&Wanted { offset, .. }) = asked.get(&partition) else { continue };
                // Somebody may have sought elsewhere, or given the partition up, while the answer was on its way.
                if self.position(&partition) == Some(offset) {
                    self.take_partition(partition, offset, data);
                } else {
                    model::reached!("a consumer sought elsewhere while an answer was on its way");
                }
            }
        }
    }

    fn take_partition(&mut self, partition: TopicPartition, position: Offset, data: PartitionData) {
        match ErrorCode::try_from_code(data.error_code) {
            None if 0 <= data.preferred_read_replica.0 => self.read_elsewhere(&partition, data.preferred_read_replica),
            None if 0 <= data.diverging_epoch.end_offset => {
                let EpochEndOffset { epoch, end_offset, .. } = data.diverging_epoch;
                self.go_back(partition, position, LeaderEpoch(epoch), Offset(end_offset));
            }
            None => self.take_records(partition, position, data),
            // Only the leader can say so.
            Some(ErrorCode::OffsetOutOfRange) if self.is_read_from_follower(&partition) => self.pause(&partition),
            Some(ErrorCode::OffsetOutOfRange) => {
                model::reached!("a consumer's position was out of range");
                let word = match self.config.out_of_range {
                    OutOfRange::Earliest => Position::Earliest,
                    OutOfRange::Latest => Position::Latest,
                    OutOfRange::Fail => {
                        self.pause(&partition);
                        return self.found.push(Err(ConsumeError::OutOfRange { partition, position }));
                    }
                };
                if let Some(assigned) = self.assigned.get_mut(&partition) {
                    (assigned.position, assigned.lost) = (word, Some(position));
                }
            }
            Some(code) => {
                self.pause(&partition);
                if !is_stale(code) && !code.is_retriable() {
                    let error = ClientError::Refused { code, message: None };
                    self.found.push(Err(ConsumeError::Partition { partition, error }));
                }
            }
        }
    }

    /// The log holds what was read only up to the end of `epoch`.
    fn go_back(&mut self, partition: TopicPartition, position: Offset, epoch: LeaderEpoch, end: Offset) {
        let agreed = end.min(position);
        if let Some(assigned) = self.assigned.get_mut(&partition) {
            (assigned.position, assigned.last_epoch) = (Position::Offset(agreed), epoch);
        }
        // Where it does not lie below the position, nothing is known to be lost: compaction may have taken all records of an epoch.
        if agreed < position {
            model::reached!("a consumer heard that what it had read was given up");
            self.found.push(Err(ConsumeError::Truncated { partition, position, agreed }));
        }
    }

    fn is_read_from_follower(&self, partition: &TopicPartition) -> bool {
        self.assigned.get(partition).is_some_and(|assigned| assigned.reader.is_some())
    }

    /// The leader names a follower that should serve this partition here.
    fn read_elsewhere(&mut self, partition: &TopicPartition, reader: WireId) {
        let reader = BrokerId(reader.0);
        if self.cluster.endpoint(reader).is_none() {
            return self.pause(partition);
        }
        let until = self.host.now() + self.config.client.metadata_age_max;
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.reader = Some((reader, until));
        }
    }

    fn take_records(&mut self, partition: TopicPartition, position: Offset, data: PartitionData) {
        let mut records = Vec::new();
        let walked = walk(data.records.unwrap_or_default(), position, &mut records);
        self.backoff.reset();
        let (next, last_epoch) = match walked {
            Ok(walked) => walked,
            Err(error) => {
                self.pause(&partition);
                return self.found.push(Err(ConsumeError::Corrupt { partition, position, error }));
            }
        };
        if let Some(assigned) = self.assigned.get_mut(&partition) {
            assigned.position = Position::Offset(next);
            assigned.last_epoch = last_epoch.unwrap_or(assigned.last_epoch);
        }
        if !records.is_empty() {
            self.found.push(Ok(Polled { partition, records, high_watermark: Offset(data.high_watermark) }));
        }
    }

    /// Gives up connections whose answer does not come.
    fn drop_overdue(&mut self) {
        let now = self.host.now();
        let is_overdue = |link: &Link<H>| link.fetch.as_ref().is_some_and(|fetch| fetch.deadline <= now);
        let overdue: Vec<_> =
            self.links.iter().filter(|(_, link)| is_overdue(link)).map(|(endpoint, _)| endpoint.clone()).collect();
        for endpoint in overdue {
            model::reached!("a consumer gave up a connection whose answer did not come");
            let fetch = self.links.remove(&endpoint).and_then(|link| link.fetch);
            fetch.iter().flat_map(|fetch| fetch.asked.keys()).for_each(|partition| self.pause(partition));
        }
    }
}

/// Sends a fetch; the version that it has, and when its answer is overdue.
async fn send_fetch<H: Host>(
    host: &H,
    config: &ConsumerConfig,
    node: &mut Node<H>,
    session: &mut Session,
    wanted: &BTreeMap<TopicPartition, Wanted>,
    rack: Option<&str>,
) -> Result<(i16, Time), ClientError> {
    let version = node.versions.of::<FetchRequest>()?;
    let mut request = request(config, version, session, wanted);
    if let Some(rack) = rack.filter(|_| RACK_SINCE <= version) {
        request.rack_id = string(rack);
    }
    let wait_max = config.client.request_timeout;
    let sent = host::timeout(host, wait_max, node.channel.send(version, &request)).await;
    sent.unwrap_or(Err(CallError::Timeout))?;
    Ok((version, host.now() + config.fetch_wait_max + wait_max))
}

fn request(
    config: &ConsumerConfig,
    version: i16,
    session: &mut Session,
    wanted: &BTreeMap<TopicPartition, Wanted>,
) -> FetchRequest {
    let Ask { id, epoch: session_epoch, named, forgotten } = session.ask(wanted);
    let mut topics = Vec::<FetchTopic>::new();
    for (partition, Wanted { offset, epoch, last_epoch }) in named {
        let asked = FetchPartition::default()
            .with_partition(partition.partition)
            .with_current_leader_epoch(if version >= LEADER_EPOCH_SINCE { epoch } else { -1 })
            .with_fetch_offset(offset.0)
            .with_last_fetched_epoch(if version >= LAST_EPOCH_SINCE { last_epoch.0 } else { -1 })
            .with_partition_max_bytes(config.partition_bytes_max);
        match topics.last_mut().filter(|topic| *topic.topic.0 == *partition.topic) {
            Some(topic) => topic.partitions.push(asked),
            None => {
                let name = topic_name(&partition.topic);
                topics.push(FetchTopic::default().with_topic(name).with_partitions(vec![asked]));
            }
        }
    }
    let forgotten = forgotten.into_iter().map(|TopicPartition { topic, partition }| {
        ForgottenTopic::default().with_topic(topic_name(&topic)).with_partitions(vec![partition])
    });
    let request = FetchRequest::default()
        .with_replica_id(WireId(-1))
        .with_max_wait_ms(config.fetch_wait_max.as_millis() as i32)
        .with_min_bytes(config.fetch_bytes_min)
        .with_max_bytes(config.fetch_bytes_max)
        .with_isolation_level(config.isolation.number())
        .with_topics(topics);
    if version < SESSIONS_SINCE {
        return request.with_session_epoch(NO_SESSION_EPOCH);
    }
    request.with_session_id(id).with_session_epoch(session_epoch).with_forgotten_topics_data(forgotten.collect())
}

/// Takes the records from `position` on out of whole batches and gives the offset to go on from, and the epoch of the last batch. A broker
/// answers with whole batches, so the first may begin below the position (KIP-74), and the last may be cut short.
fn walk(
    mut bytes: Bytes,
    position: Offset,
    records: &mut Vec<StoredRecord>,
) -> Result<(Offset, Option<LeaderEpoch>), DecodeError> {
    let (mut next, mut last_epoch) = (position, None);
    let mut first = true;
    while !bytes.is_empty() {
        let header = match BatchHeader::verify(&bytes) {
            Err(BatchError::Truncated { .. }) if !first => break,
            header => header?,
        };
        first = false;
        let batch = bytes.split_to(header.size);
        if header.end_offset() <= next {
            continue;
        }
        if !header.is_control() {
            let start = records.len();
            batch_records(&header, batch, records)?;
            let below = records[start..].iter().take_while(|record| record.offset < next).count();
            records.drain(start..start + below);
        }
        (next, last_epoch) = (header.end_offset(), Some(header.leader_epoch));
    }
    Ok((next, last_epoch))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use model::patch_batch;
    use protocol::records::{Compression, ProducerFields, Record, encode_batch};

    use super::*;

    fn batch(base: i64, count: usize) -> Bytes {
        let records = vec![Record::default(); count];
        let mut batch = BytesMut::from(&encode_batch(&records, Compression::None, ProducerFields::default())[..]);
        patch_batch(&mut batch, Offset(base), LeaderEpoch(1));
        batch.freeze()
    }

    fn offsets(bytes: Vec<u8>, position: i64) -> (Vec<i64>, i64) {
        let mut records = Vec::new();
        let (next, _) = walk(bytes.into(), Offset(position), &mut records).unwrap();
        (records.iter().map(|record| record.offset.0).collect(), next.0)
    }

    #[test]
    fn a_position_within_a_batch_begins_there() {
        assert_eq!(offsets([batch(10, 3), batch(13, 2)].concat(), 11), (vec![11, 12, 13, 14], 15));
    }

    #[test]
    fn a_last_batch_that_is_cut_short_is_read_next_time() {
        let bytes = [&batch(10, 3)[..], &batch(13, 2)[..40]].concat();
        assert_eq!(offsets(bytes, 10), (vec![10, 11, 12], 13));
    }

    #[test]
    fn batches_below_the_position_are_skipped_and_holes_passed() {
        assert_eq!(offsets([batch(0, 3), batch(20, 1)].concat(), 3), (vec![20], 21));
        assert_eq!(offsets(Vec::new(), 3), (vec![], 3));
    }

    #[test]
    fn a_first_batch_that_is_cut_short_is_an_error_and_no_endless_loop() {
        let mut records = Vec::new();
        let bytes = batch(10, 3).slice(..50);
        assert!(walk(bytes, Offset(10), &mut records).is_err());
    }
}
