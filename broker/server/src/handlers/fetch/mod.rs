//! Fetch: committed batches to consumers, everything to followers; both may wait for more.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use host::{FileRange, Host, buggify, timeout};
use model::{BrokerEpoch, BrokerId, Offset, PartitionId, Time};
use protocol::messages::fetch_response::FetchableTopicResponse;
use protocol::messages::{FetchRequest, FetchResponse, uuid};
use protocol::{ErrorCode, Response};
use roles::controller::Registration;
use roles::replica::{ConsumerFetch, FollowerFetch, Refusal};

pub(crate) use self::answer::PartitionAnswer;
use crate::config::{Config, ReplicaSelector};
use crate::errors::error_code;
use crate::fetch_sessions::{Answered, Ask, Asked, Begun, Context, Key, Topic};
use crate::metrics::Traffic;
use crate::node::Node;
use crate::partition::{Changes, Partition, PartitionError, Read, Watcher};
use crate::router::{Answer, Reply};

/// Bytes of records in one answer, whatever the request says: what one answer may cost in memory.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// First version in which a consumer tells its rack, and may be sent to a follower there (KIP-392).
const FOLLOWERS_SERVE_SINCE: i16 = 11;

/// Who asks.
#[derive(Clone, Copy)]
enum Fetcher {
    /// A consumer that only leaders serve: it cannot be sent to anybody else.
    Consumer,
    /// A consumer that followers serve, too.
    Roamer,
    Follower {
        replica: BrokerId,
        broker_epoch: BrokerEpoch,
    },
}

/// Whoever asks here has one fetch under way a connection: it has read the answer that left at `answered`.
pub(crate) fn handle<H: Host>(
    node: &Arc<Node<H>>,
    version: i16,
    answered: Option<Time>,
    request: FetchRequest,
) -> Answer {
    if node.metadata.is_metadata_fetch(version, &request) {
        return super::quorum::handle(node, version, protocol::Request::Fetch(request));
    }
    let now = node.host.now();
    let fetcher = fetcher(version, &request);
    if buggify!(node.host, "every fetch session was forgotten", 0.01) {
        node.fetch_sessions.clear();
    }
    let follower = match fetcher {
        Fetcher::Follower { replica, broker_epoch } => Some((replica, broker_epoch)),
        Fetcher::Consumer | Fetcher::Roamer => None,
    };
    let Begun { context, asks, changes } = match node.fetch_sessions.begin(now, version, &request, follower) {
        Ok(begun) => begun,
        Err(error) => {
            return Answer::now(Response::Fetch(FetchResponse::default().with_error_code(error.code())));
        }
    };
    let fetch = Fetch {
        wanted: resolve(node, asks),
        node: node.clone(),
        fetcher,
        near: near(node, version, &request),
        sent_after: answered,
        context,
        bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: usize::try_from(request.max_bytes).unwrap_or(0).min(RESPONSE_BYTES_MAX),
        deadline: now + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        changes: (0 < request.max_wait_ms).then_some(changes),
    };
    let mut found = Found::default();
    if fetch.look(&mut found) || fetch.deadline <= now {
        Answer::now(fetch.answer(found))
    } else {
        Answer::later(fetch.until_there_is_enough(found))
    }
}

fn fetcher(version: i16, request: &FetchRequest) -> Fetcher {
    let (replica, epoch) = if version < 15 {
        (request.replica_id.0, -1)
    } else {
        (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
    };
    match replica {
        0.. => Fetcher::Follower { replica: BrokerId(replica), broker_epoch: BrokerEpoch(epoch) },
        _ if version < FOLLOWERS_SERVE_SINCE => Fetcher::Consumer,
        _ => Fetcher::Roamer,
    }
}

/// The brokers that stand in the rack that a consumer names, if this node does not, and sends consumers to followers.
fn near<H: Host>(node: &Node<H>, version: i16, request: &FetchRequest) -> Vec<BrokerId> {
    let Config { replica_selector, rack, .. } = &node.config;
    let wanted = request.rack_id.as_str();
    let stays = version < FOLLOWERS_SERVE_SINCE || wanted.is_empty() || rack.as_deref() == Some(wanted);
    if stays || *replica_selector == ReplicaSelector::Leader {
        return Vec::new();
    }
    let image = node.applied.borrow();
    let is_near = |known: &Registration| known.rack.as_deref() == Some(wanted) && !known.fenced;
    image.brokers.iter().filter(|(_, known)| is_near(known)).map(|(&id, _)| id).collect()
}

/// One fetch, from its request to its answer.
struct Fetch<H: Host> {
    node: Arc<Node<H>>,
    fetcher: Fetcher,
    /// Who may serve a consumer in this node's place.
    near: Vec<BrokerId>,
    sent_after: Option<Time>,
    context: Context,
    wanted: Vec<Wanted<H>>,
    bytes_min: usize,
    bytes_max: usize,
    deadline: Time,
    /// Of the partitions that had too little. None if the request does not wait.
    changes: Option<Arc<Changes>>,
}

/// One partition that is asked for.
struct Wanted<H: Host> {
    number: usize,
    key: Key,
    asked: Asked,
    found: Result<Arc<Partition<H>>, ErrorCode>,
}

/// A follower's word of what it has counts when its request comes, and not again when more is there for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Again,
}

/// What is to be answered, as far as it was looked for.
#[derive(Default)]
struct Found {
    /// As many as are wanted, in the same places.
    answers: Vec<PartitionAnswer>,
    /// Bytes of records in all of them.
    bytes: usize,
    /// One of them must not wait for records.
    is_urgent: bool,
}

/// Finds the partitions.
fn resolve<H: Host>(node: &Node<H>, asks: impl IntoIterator<Item = Ask>) -> Vec<Wanted<H>> {
    let image = node.applied.borrow();
    let find = |key: &Key| {
        let (topic, unknown) = match &key.topic {
            Topic::Id(id) => (Some(*id).filter(|id| image.topics.contains_key(id)), ErrorCode::UnknownTopicId),
            Topic::Name(name) => (image.topic_ids.get(name.as_str()).copied(), ErrorCode::UnknownTopicOrPartition),
        };
        let topic = topic.ok_or_else(|| node.unknown(&image, unknown))?;
        let id = PartitionId { topic, index: key.index };
        node.held_by(&image, id)
    };
    asks.into_iter().map(|Ask { number, key, asked }| Wanted { number, found: find(&key), key, asked }).collect()
}

impl<H: Host> Fetch<H> {
    /// Looks again at what changed of what was asked for, until there is enough or the time is up.
    async fn until_there_is_enough(mut self, mut found: Found) -> Reply {
        let Some(changes) = self.changes.clone() else { return self.answer(found) };
        let places = (0..).zip(&self.wanted).map(|(place, wanted)| (wanted.number, place));
        let mut places: BTreeMap<usize, usize> = places.collect();
        loop {
            if buggify!(self.node.host, "a fetch was answered before there was enough", 0.05) {
                return self.answer(found);
            }
            let now = self.node.host.now();
            if timeout(&self.node.host, self.deadline.since(now), changes.called()).await.is_err() {
                model::reached!("a fetch waited until its time was up");
                return self.answer(found);
            }
            if self.look_again(&mut found, &mut places, changes.take()) || self.deadline <= self.node.host.now() {
                return self.answer(found);
            }
            model::reached!("a fetch was woken and found too little");
        }
    }

    /// True if there is enough.
    fn look(&self, found: &mut Found) -> bool {
        let room_max = self.room_max();
        found.answers.reserve(self.wanted.len());
        for place in 0..self.wanted.len() {
            found.answers.push(PartitionAnswer::default());
            self.look_at(place, Look::First, room_max, found);
        }
        self.is_enough(found)
    }

    /// The same, after the partitions of these numbers changed. `places` tells which of them were looked at before, and where they are.
    fn look_again(&mut self, found: &mut Found, places: &mut BTreeMap<usize, usize>, changed: BTreeSet<usize>) -> bool {
        let room_max = self.room_max();
        let unseen = changed.iter().filter(|number| !places.contains_key(number));
        for wanted in resolve(&self.node, unseen.filter_map(|&number| self.context.ask(number)).collect::<Vec<Ask>>()) {
            model::reached!("a partition changed on which nothing had happened since the fetch before");
            places.insert(wanted.number, self.wanted.len());
            self.wanted.push(wanted);
            found.answers.push(PartitionAnswer::default());
        }
        for place in changed.iter().filter_map(|number| places.get(number)) {
            self.look_at(*place, Look::Again, room_max, found);
        }
        self.is_enough(found)
    }

    fn room_max(&self) -> usize {
        let is_tiny = buggify!(self.node.host, "a fetch was answered with one batch");
        if is_tiny { self.bytes_max.min(1) } else { self.bytes_max }
    }

    fn look_at(&self, place: usize, look: Look, room_max: usize, found: &mut Found) {
        let wanted = &self.wanted[place];
        found.bytes -= found.answers[place].records.len();
        let answer = self.one(wanted, look, room_max.saturating_sub(found.bytes));
        found.bytes += answer.records.len();
        found.is_urgent |= answer.is_urgent() || self.is_awaited(wanted, &answer);
        found.answers[place] = answer;
    }

    fn is_enough(&self, found: &Found) -> bool {
        let asks_for_nothing = self.wanted.is_empty() && !self.context.keeps_partitions();
        self.bytes_min <= found.bytes || found.is_urgent || asks_for_nothing
    }

    /// How much a follower may have now that a throttle holds back; none: no throttle does.
    fn throttled_room(&self, partition: &Partition<H>, replica: BrokerId) -> Option<usize> {
        let room = self.node.throttles.leader.room(self.node.host.now())?;
        let is_held_back = partition.throttled().as_leader && self.node.may_hold_back(partition.id, replica);
        if is_held_back && room == 0 {
            model::reached!("a leader held a follower back that was out of sync");
        }
        is_held_back.then_some(room)
    }

    /// What a throttle lets pass is counted.
    fn count_throttled(&self, partition: &Partition<H>, bytes: usize) {
        let Fetcher::Follower { replica, .. } = self.fetcher else { return };
        if 0 < bytes && self.throttled_room(partition, replica).is_some() {
            self.node.throttles.leader.passed(self.node.host.now(), bytes);
        }
    }

    /// Followers that serve consumers wait for a high watermark as for records: before they know it, nobody reads there what is
    /// committed (KAFKA-9731).
    fn is_awaited(&self, wanted: &Wanted<H>, answer: &PartitionAnswer) -> bool {
        self.is_follower_that_serves() && self.context.is_new_high_watermark(&wanted.key, answer.high_watermark)
    }

    /// A follower that does not hear its leader has nothing new for anybody, and does not know it: its readers are better off elsewhere.
    fn is_cut_off(&self, partition: &Partition<H>) -> bool {
        let is_cut_off = partition.follows().is_some_and(|leader| !self.node.has_heard(leader));
        if is_cut_off {
            model::reached!("a follower that did not hear its leader sent a consumer away");
        }
        is_cut_off
    }

    fn is_follower_that_serves(&self) -> bool {
        let serves = self.node.config.replica_selector == ReplicaSelector::RackAware;
        serves && matches!(self.fetcher, Fetcher::Follower { .. })
    }

    fn one(&self, wanted: &Wanted<H>, look: Look, room: usize) -> PartitionAnswer {
        let partition = match &wanted.found {
            Ok(partition) => partition,
            Err(code) => return failed(code.code()),
        };
        let Asked { offset, leader_epoch, last_epoch, log_start, bytes_max } = wanted.asked;
        let bytes_max = room.min(usize::try_from(bytes_max).unwrap_or(0));
        let consumers = ConsumerFetch { leader_epoch, offset, last_epoch };
        if !self.near.is_empty()
            && let Some((reader, read)) = partition.nearer_reader(consumers, &self.near)
        {
            model::reached!("a consumer was sent to a follower in its rack");
            return PartitionAnswer { nearer: Some(reader), ..found(read) };
        }
        let awaits_commits = self.is_follower_that_serves();
        let (number, bytes_min) = (wanted.number, self.bytes_min);
        let watcher = self.changes.as_ref().map(|changes| Watcher { changes, number, bytes_min, awaits_commits });
        let read = match self.fetcher {
            Fetcher::Consumer => partition.read(consumers, bytes_max, watcher),
            Fetcher::Roamer if self.is_cut_off(partition) => Err(Refusal::NotLeaderOrFollower.into()),
            Fetcher::Roamer => partition.read_near(consumers, bytes_max, watcher),
            Fetcher::Follower { replica, broker_epoch } => {
                let room = self.throttled_room(partition, replica);
                if room == Some(0) && matches!(look, Look::First) {
                    self.node.held_back(partition.id, replica);
                }
                let bytes_max = room.map_or(bytes_max, |room| room.min(bytes_max));
                let sent_after = self.sent_after;
                let fetch =
                    FollowerFetch { replica, broker_epoch, leader_epoch, offset, last_epoch, log_start, sent_after };
                match look {
                    Look::First => partition.read_for_follower(fetch, bytes_max, watcher),
                    Look::Again => partition.read_again_for_follower(fetch, bytes_max, watcher),
                }
            }
        };
        match read {
            Ok(read) => found(read),
            Err(PartitionError::Refused(Refusal::Diverging { epoch, end })) => PartitionAnswer {
                high_watermark: partition.high_watermark().0,
                log_start: partition.log_start().0,
                parting: Some((epoch, end)),
                ..PartitionAnswer::default()
            },
            Err(error) => self.refuse(partition, &error),
        }
    }

    fn refuse(&self, partition: &Partition<H>, error: &PartitionError) -> PartitionAnswer {
        self.node.note(partition.id, error);
        let image = self.node.applied.borrow();
        let leader = image.partition(partition.id).map(|known| (known.leader, known.leader_epoch));
        // Whoever follows must know where to go on.
        let is_out_of_range = matches!(error, PartitionError::Refused(Refusal::OffsetOutOfRange));
        let log_start = match self.fetcher {
            Fetcher::Follower { .. } if is_out_of_range => partition.log_start(),
            Fetcher::Follower { .. } | Fetcher::Consumer | Fetcher::Roamer => Offset(-1),
        };
        PartitionAnswer { log_start: log_start.0, leader, ..failed(error_code(error)) }
    }

    fn answer(self, Found { answers, .. }: Found) -> Reply {
        for (wanted, answer) in self.wanted.iter().zip(&answers) {
            if let Ok(partition) = &wanted.found {
                self.count_throttled(partition, answer.records.len());
            }
        }
        let node = &self.node;
        let answered = self.wanted.into_iter().zip(answers);
        let is_consumer = !matches!(self.fetcher, Fetcher::Follower { .. });
        let answered = answered.inspect(|(wanted, answer)| {
            if let Ok(partition) = &wanted.found {
                let Traffic { bytes_out, replication_bytes_out, .. } = &partition.traffic;
                let count = if is_consumer { bytes_out } else { replication_bytes_out };
                count.add(answer.records.len() as u64);
            }
        });
        let answered = answered.map(|(wanted, answer)| Answered { key: wanted.key, asked: wanted.asked, answer });
        let mut answered: Vec<Answered> = answered.collect();
        let ended = node.fetch_sessions.end(node.host.now(), &self.context, &mut answered, || node.host.entropy());
        let response = FetchResponse::default();
        match ended {
            Ok(id) => {
                let (topics, in_files) = by_topic(answered);
                let response = Response::Fetch(response.with_session_id(id).with_responses(topics));
                Reply { response, in_files }
            }
            Err((error, id)) => Response::Fetch(response.with_session_id(id).with_error_code(error.code())).into(),
        }
    }
}

/// Partitions that stand beside each other share their topic. Beside them, by partition, what is to be sent from its file.
fn by_topic(answered: Vec<Answered>) -> (Vec<FetchableTopicResponse>, Vec<Option<FileRange>>) {
    let mut in_files = Vec::new();
    let mut topics: Vec<FetchableTopicResponse> = Vec::new();
    let mut last = None;
    for (number, Answered { key, answer, .. }) in answered.into_iter().enumerate() {
        let (partition, in_file) = answer.into_wire(key.index);
        if in_file.is_some() {
            in_files.resize(number, None);
            in_files.push(in_file);
        }
        match topics.last_mut().filter(|_| last.as_ref() == Some(&key.topic)) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let mut topic = FetchableTopicResponse::default();
                topic.partitions = vec![partition];
                match &key.topic {
                    Topic::Id(id) => topic.topic_id = uuid(*id),
                    Topic::Name(name) => topic.topic = name.clone(),
                }
                topics.push(topic);
                last = Some(key.topic);
            }
        }
    }
    (topics, in_files)
}

fn found(Read { records, high_watermark, log_start, is_settled }: Read) -> PartitionAnswer {
    let (high_watermark, log_start) = (high_watermark.0, log_start.0);
    PartitionAnswer { high_watermark, log_start, records, is_settled, ..PartitionAnswer::default() }
}

fn failed(error_code: i16) -> PartitionAnswer {
    PartitionAnswer { error_code, high_watermark: -1, log_start: -1, ..PartitionAnswer::default() }
}
