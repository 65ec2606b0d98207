//! The task behind a producer: gathers records into batches, gives each batch to its leader's connection, tries again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use host::{Host, Task, buggify};
use model::{BatchHeader, Endpoint, Event, PartitionId, ProducerId, Time, TopicId};
use protocol::ErrorCode;
use protocol::messages::InitProducerIdRequest;
use protocol::records::Record;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, OpenBatch, Outcome, Reply, breaks_sequences, is_retriable};
use super::connection::{Done, ProduceConnection};
use super::sequences::{Break, Sequences};
use super::{ProducerConfig, Reason};
use crate::backoff::Backoff;
use crate::partition::partition_of_key;
use crate::{ClientError, Cluster, TopicPartition};

/// Commands that are taken before batches are given out: what has been waiting together goes together.
const COMMANDS_AT_ONCE: usize = 1024;

pub(super) enum Command {
    Submit(Submitted),
    /// Sends what lingers, and answers once nothing waits any more.
    Flush(oneshot::Sender<()>),
}

/// A record as it was handed in.
pub(super) struct Submitted {
    pub(super) topic: Arc<str>,
    pub(super) partition: Option<i32>,
    pub(super) record: Record,
    pub(super) size: usize,
    pub(super) deadline: Time,
    pub(super) reply: Reply,
}

/// What waits for one partition, oldest first.
#[derive(Default)]
struct Queue {
    ready: VecDeque<Batch>,
    open: Option<OpenBatch>,
    /// The batches under way, by their place among all of the producer.
    in_flight: BTreeSet<u64>,
    /// No attempt before this.
    retry_at: Time,
}

/// A connection's task and how much it has to do.
struct Link {
    requests: mpsc::UnboundedSender<Vec<Batch>>,
    in_flight: usize,
    _task: Task,
}

/// What was learnt from asking for metadata.
type Refreshed = Result<Vec<(Arc<str>, ErrorCode)>, ClientError>;

/// What came of asking for a producer id.
type Identified = Result<ProducerId, ClientError>;

pub(super) struct Sender<H: Host> {
    cluster: Cluster<H>,
    config: ProducerConfig,
    buffered: Arc<AtomicUsize>,
    queues: BTreeMap<TopicPartition, Queue>,
    /// Records of topics whose partitions are not known yet.
    unplaced: BTreeMap<Arc<str>, VecDeque<Submitted>>,
    /// Where records of a topic without a key go until their batch is closed.
    sticky: BTreeMap<Arc<str>, i32>,
    links: BTreeMap<Endpoint, Link>,
    flushes: Vec<oneshot::Sender<()>>,
    next_place: u64,
    /// None if the producer is not idempotent.
    sequences: Option<Sequences>,
    identifying: Option<Task>,
    identified: (mpsc::UnboundedSender<Identified>, mpsc::UnboundedReceiver<Identified>),
    retry_backoff: Backoff,
    refresh_backoff: Backoff,
    /// No question for metadata before this.
    refresh_at: Time,
    refresh_needed: bool,
    refreshing: Option<Task>,
    refreshed: (mpsc::UnboundedSender<Refreshed>, mpsc::UnboundedReceiver<Refreshed>),
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
}

impl<H: Host> Sender<H> {
    pub(super) fn new(cluster: Cluster<H>, config: ProducerConfig, buffered: Arc<AtomicUsize>) -> Sender<H> {
        let sequences = config.is_idempotent().then(Sequences::default);
        Sender {
            retry_backoff: cluster.backoff(),
            refresh_backoff: cluster.backoff(),
            cluster,
            config,
            buffered,
            queues: BTreeMap::new(),
            unplaced: BTreeMap::new(),
            sticky: BTreeMap::new(),
            links: BTreeMap::new(),
            flushes: Vec::new(),
            next_place: 0,
            sequences,
            identifying: None,
            identified: mpsc::unbounded_channel(),
            refresh_at: Time::ZERO,
            refresh_needed: false,
            refreshing: None,
            refreshed: mpsc::unbounded_channel(),
            done: mpsc::unbounded_channel(),
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        enum Input {
            Done(Done),
            Refreshed(Refreshed),
            Identified(Identified),
            Command(Command),
            Time,
        }

        loop {
            let wake = self.wake_at();
            let input = tokio::select! {
                biased;
                Some(done) = self.done.1.recv() => Input::Done(done),
                Some(refreshed) = self.refreshed.1.recv(), if self.refreshing.is_some() => Input::Refreshed(refreshed),
                Some(identified) = self.identified.1.recv(), if self.identifying.is_some() => Input::Identified(identified),
                command = commands.recv() => match command {
                    Some(command) => Input::Command(command),
                    None => return,
                },
                () = self.cluster.host().sleep_until(wake.unwrap_or_default()), if wake.is_some() => Input::Time,
            };
            match input {
                Input::Done(done) => self.finish(done),
                Input::Refreshed(refreshed) => self.learn(refreshed),
                Input::Identified(identified) => self.identify(identified),
                Input::Command(command) => self.take(command),
                Input::Time => {}
            }
            for _ in 0..COMMANDS_AT_ONCE {
                let Ok(command) = commands.try_recv() else { break };
                self.take(command);
            }
            self.advance();
        }
    }

    /// The next moment at which something is to be done though nothing happens.
    fn wake_at(&self) -> Option<Time> {
        let now = self.cluster.host().now();
        let queues = self.queues.values().flat_map(|queue| {
            let open = queue.open.as_ref().map(|open| open.linger_until.min(open.deadline));
            let ready = queue.ready.front().map(|batch| batch.deadline);
            let retry = ready.map(|_deadline| queue.retry_at).filter(|at| now < *at);
            [open, ready, retry].into_iter().flatten()
        });
        let unplaced = self.unplaced.values().filter_map(|waiting| waiting.front().map(|first| first.deadline));
        let refresh = (self.refresh_needed && self.refreshing.is_none()).then_some(self.refresh_at);
        queues.chain(unplaced).chain(refresh).min()
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(submitted) => self.place(submitted),
            Command::Flush(reply) => self.flushes.push(reply),
        }
    }

    /// Puts a record into the open batch of its partition.
    fn place(&mut self, submitted: Submitted) {
        let count = self.cluster.partition_count(&submitted.topic).filter(|count| *count > 0);
        let Some(count) = count.filter(|_| !self.unplaced.contains_key(&submitted.topic)) else {
            self.refresh_needed = true;
            self.unplaced.entry(Arc::clone(&submitted.topic)).or_default().push_back(submitted);
            return;
        };
        let Submitted { topic, partition, record, size, deadline, reply } = submitted;
        let partition = match (partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, count),
            (None, None) => {
                let entropy = self.cluster.host().entropy();
                *self.sticky.entry(Arc::clone(&topic)).or_insert((entropy % count as u64) as i32)
            }
        };
        let partition = TopicPartition { topic, partition };
        let linger_until = self.cluster.host().now() + self.config.linger;
        let queue = self.queues.entry(partition.clone()).or_default();
        if queue.open.as_ref().is_some_and(|open| open.size + size > self.config.batch_bytes) {
            self.close(&partition, count);
        }
        let queue = self.queues.entry(partition.clone()).or_default();
        let open = queue.open.get_or_insert_with(|| OpenBatch::new(linger_until, deadline));
        open.push(record, size, reply);
        if open.size >= self.config.batch_bytes {
            self.close(&partition, count);
        }
    }

    /// Closes the open batch of a partition; records without a key go on to the next partition.
    fn close(&mut self, partition: &TopicPartition, count: i32) {
        let Some(queue) = self.queues.get_mut(partition) else { return };
        let Some(open) = queue.open.take() else { return };
        queue.ready.push_back(open.close(partition.clone(), self.next_place, self.config.compression));
        self.next_place += 1;
        if let Some(sticky) = self.sticky.get_mut(&partition.topic).filter(|sticky| **sticky == partition.partition) {
            *sticky = (*sticky + 1) % count;
        }
    }

    /// Everything that time or news allow.
    fn advance(&mut self) {
        let now = self.cluster.host().now();
        self.give_up(now);
        self.close_lingering(now);
        while self.dispatch(now) {}
        self.ask_for_metadata(now);
        self.ask_for_identity();
        self.queues.retain(|_, queue| !queue.in_flight.is_empty() || !queue.ready.is_empty() || queue.open.is_some());
        if self.queues.is_empty() && self.unplaced.is_empty() {
            for flush in self.flushes.drain(..) {
                // Whoever dropped the future does not want to know.
                let _ = flush.send(());
            }
        }
    }

    /// Fails what has waited too long.
    fn give_up(&mut self, now: Time) {
        for (partition, queue) in &mut self.queues {
            if let Some(open) = queue.open.take_if(|open| open.deadline <= now) {
                queue.ready.push_back(open.close(partition.clone(), self.next_place, self.config.compression));
                self.next_place += 1;
            }
            while let Some(batch) = queue.ready.pop_front_if(|batch| batch.deadline <= now) {
                break_off(&mut self.sequences, &batch, &Reason::NoLeader);
                batch.fail(&Reason::NoLeader, &self.buffered);
            }
        }
        for waiting in self.unplaced.values_mut() {
            while let Some(submitted) = waiting.pop_front_if(|submitted| submitted.deadline <= now) {
                fail_unplaced(submitted, Reason::NoLeader, &self.buffered);
            }
        }
        self.unplaced.retain(|_, waiting| !waiting.is_empty());
    }

    fn close_lingering(&mut self, now: Time) {
        let flushing = !self.flushes.is_empty();
        let over = |queue: &Queue| queue.open.as_ref().is_some_and(|open| flushing || open.linger_until <= now);
        let lingering: Vec<_> =
            self.queues.iter().filter(|(_, queue)| over(queue)).map(|(partition, _)| partition.clone()).collect();
        for partition in lingering {
            let count = self.cluster.partition_count(&partition.topic).unwrap_or(1).max(1);
            self.close(&partition, count);
        }
    }

    /// Gives one batch of each partition that is ready to its leader's connection; false if none may go.
    fn dispatch(&mut self, now: Time) -> bool {
        if self.queues.values().all(|queue| queue.ready.is_empty()) {
            return false;
        }
        let mut requests = BTreeMap::<Endpoint, (Vec<Batch>, usize)>::new();
        for (partition, queue) in &mut self.queues {
            let may_go = queue.in_flight.len() < self.config.in_flight_per_partition() && queue.retry_at <= now;
            if !may_go || queue.ready.is_empty() {
                continue;
            }
            if let Some(sequences) = &mut self.sequences
                && !queue.number(partition, sequences, &self.buffered)
            {
                continue;
            }
            let Some(batch) = queue.ready.front() else { continue };
            let Some(leader) = self.cluster.leader(partition) else {
                if self
                    .cluster
                    .partition_count(&partition.topic)
                    .is_some_and(|count| !(0..count).contains(&partition.partition))
                {
                    let reason = Reason::NoPartition(partition.partition);
                    queue.ready.drain(..).for_each(|batch| batch.fail(&reason, &self.buffered));
                } else {
                    self.refresh_needed = true;
                }
                continue;
            };
            let goes_alone =
                self.sequences.as_ref().is_some_and(|sequences| !sequences.may_pipeline(partition, &leader.endpoint));
            if goes_alone && !queue.in_flight.is_empty() {
                continue;
            }
            let link_in_flight = self.links.get(&leader.endpoint).map_or(0, |link| link.in_flight);
            let (batches, bytes) = requests.entry(leader.endpoint).or_default();
            let has_room = batches.is_empty() || *bytes + batch.bytes.len() <= self.config.request_bytes_max;
            if link_in_flight < self.config.in_flight_max && has_room {
                *bytes += batch.bytes.len();
                witness_sent(self.cluster.host(), leader.topic, batch);
                queue.in_flight.insert(batch.sequence);
                batches.extend(queue.ready.pop_front());
            }
        }
        requests.retain(|_, (batches, _)| !batches.is_empty());
        let has_any = !requests.is_empty();
        for (endpoint, (batches, _)) in requests {
            self.send(endpoint, batches);
        }
        has_any
    }

    fn send(&mut self, endpoint: Endpoint, batches: Vec<Batch>) {
        let link = match self.links.get_mut(&endpoint) {
            Some(link) => link,
            None => {
                let link = self.link(&endpoint);
                self.links.entry(endpoint).or_insert(link)
            }
        };
        link.in_flight += 1;
        let sent = link.requests.send(batches);
        assert!(sent.is_ok(), "a connection's task lives as long as its link");
    }

    /// A new connection's task.
    fn link(&self, endpoint: &Endpoint) -> Link {
        let (requests, received) = mpsc::unbounded_channel();
        let connection = ProduceConnection {
            cluster: self.cluster.clone(),
            endpoint: endpoint.clone(),
            acks: self.config.acks,
            in_flight_max: self.config.in_flight_max,
            done: self.done.0.clone(),
        };
        let task = host::spawn(self.cluster.host(), connection.run(received));
        Link { requests, in_flight: 0, _task: task }
    }

    fn finish(&mut self, done: Done) {
        if let Some(link) = self.links.get_mut(&done.endpoint) {
            link.in_flight -= 1;
        }
        let now = self.cluster.host().now();
        for (mut batch, outcome) in done.outcomes {
            let queue = self.queues.entry(batch.partition.clone()).or_default();
            queue.in_flight.remove(&batch.sequence);
            match outcome {
                Outcome::Written(base) => {
                    if let (Some(sequences), Some(stamp)) = (&mut self.sequences, batch.stamp) {
                        sequences.note_taken(&batch.partition, stamp, &done.endpoint);
                    }
                    batch.succeed(base, &self.buffered);
                }
                Outcome::Failed(reason) => {
                    // Whatever it was, the leader may be another by now.
                    self.refresh_needed = true;
                    batch.failed_attempts += 1;
                    let pause = self.retry_backoff.after(batch.failed_attempts, self.cluster.host().entropy());
                    queue.retry_at = queue.retry_at.max(now + pause);
                    if let Some(sequences) = &mut self.sequences {
                        sequences.note_not_taken(&batch.partition);
                        if let Reason::Refused(code) = &reason
                            && breaks_sequences(*code)
                            && queue.is_first(&batch)
                        {
                            model::reached!("a broker did not take a producer's next sequence");
                            sequences.break_off(&batch.partition, Break::Missing);
                            if *code == ErrorCode::InvalidProducerEpoch {
                                sequences.forget_identity();
                            }
                        }
                    }
                    self.try_again(batch, &reason, now);
                }
            }
        }
    }

    /// Puts a batch back in its place, or fails it.
    fn try_again(&mut self, mut batch: Batch, reason: &Reason, now: Time) {
        if !self.config.retries || !is_retriable(reason) || batch.deadline <= now {
            break_off(&mut self.sequences, &batch, reason);
            return batch.fail(reason, &self.buffered);
        }
        model::reached!("a producer sent a batch again");
        batch.note(reason);
        let ready = &mut self.queues.entry(batch.partition.clone()).or_default().ready;
        let place = ready.partition_point(|other| other.sequence < batch.sequence);
        ready.insert(place, batch);
    }

    fn ask_for_metadata(&mut self, now: Time) {
        if buggify!(*self.cluster.host(), "a producer asked for metadata without need", 0.05) {
            self.refresh_needed = true;
        }
        if !self.refresh_needed || self.refreshing.is_some() || now < self.refresh_at {
            return;
        }
        let mut topics: Vec<Arc<str>> = self.unplaced.keys().cloned().collect();
        topics.extend(self.queues.keys().map(|partition| Arc::clone(&partition.topic)));
        topics.sort();
        topics.dedup();
        // Other clients do, once they have lost sight of a broker: they may go back to a leader that was deposed.
        if buggify!(*self.cluster.host(), "a producer forgot which leaders it had known", 0.2) {
            self.cluster.forget(&topics);
        }
        let (cluster, answer) = (self.cluster.clone(), self.refreshed.0.clone());
        self.refreshing = Some(host::spawn(self.cluster.host(), async move {
            // If the producer is gone, nobody wants to know.
            let _ = answer.send(cluster.refresh(Some(&topics)).await);
        }));
    }

    fn ask_for_identity(&mut self) {
        let is_known = self.sequences.as_ref().is_none_or(Sequences::is_identified);
        if is_known || self.identifying.is_some() || self.queues.is_empty() {
            return;
        }
        let (cluster, answer) = (self.cluster.clone(), self.identified.0.clone());
        self.identifying = Some(host::spawn(self.cluster.host(), async move {
            // If the producer is gone, nobody wants to know.
            let _ = answer.send(cluster.retry(|| producer_id(&cluster)).await);
        }));
    }

    fn identify(&mut self, identified: Identified) {
        self.identifying = None;
        let Some(sequences) = &mut self.sequences else { return };
        match identified {
            Ok(id) => sequences.identify(id),
            // It was asked for as long as an operation may take. Those who are patient ask again.
            Err(error) if error.is_retriable() => model::reached!("a producer waited long for its id"),
            Err(error) => {
                let reason = Reason::NoProducerId(error);
                for queue in self.queues.values_mut() {
                    queue.ready.drain(..).for_each(|batch| batch.fail(&reason, &self.buffered));
                }
            }
        }
    }

    fn learn(&mut self, refreshed: Refreshed) {
        let host = self.cluster.host();
        self.refreshing = None;
        self.refresh_needed = false;
        self.refresh_at = host.now() + self.refresh_backoff.next(host.entropy());
        if let Ok(errors) = refreshed {
            if errors.is_empty() {
                self.refresh_backoff.reset();
            }
            for (topic, code) in errors.into_iter().filter(|(_, code)| !code.is_retriable()) {
                for submitted in self.unplaced.remove(&topic).into_iter().flatten() {
                    fail_unplaced(submitted, Reason::Refused(code), &self.buffered);
                }
            }
        }
        for (topic, waiting) in std::mem::take(&mut self.unplaced) {
            if self.cluster.partition_count(&topic).is_some_and(|count| count > 0) {
                waiting.into_iter().for_each(|submitted| self.place(submitted));
            } else {
                self.refresh_needed = true;
                self.unplaced.insert(topic, waiting);
            }
        }
    }
}

impl Queue {
    /// Is nothing of the partition still to come that was handed in before `batch`?
    fn is_first(&self, batch: &Batch) -> bool {
        let before = |other: u64| other < batch.sequence;
        !self.in_flight.first().is_some_and(|first| before(*first))
            && !self.ready.front().is_some_and(|first| before(first.sequence))
    }

    /// Gives the first batch its number, unless it has one; false if it must wait. Where the line of numbers is broken, a new one begins
    /// once nothing is under way: what may be in the log by its old number is given up, since with a new one it could be there twice.
    fn number(&mut self, partition: &TopicPartition, sequences: &mut Sequences, buffered: &Arc<AtomicUsize>) -> bool {
        if let Some(why) = sequences.broken(partition) {
            if !self.in_flight.is_empty() {
                return false;
            }
            model::reached!("an idempotent producer began a new epoch");
            for mut batch in std::mem::take(&mut self.ready) {
                if why == Break::InDoubt && batch.in_doubt {
                    batch.fail(&Reason::Refused(ErrorCode::OutOfOrderSequenceNumber), buffered);
                } else {
                    batch.stamp = None;
                    self.ready.push_back(batch);
                }
            }
            sequences.begin_again(partition);
        }
        let Some(batch) = self.ready.front_mut() else { return false };
        if batch.stamp.is_none() {
            let Some(stamp) = sequences.stamp(partition, batch.record_count()) else { return false };
            batch.put_stamp(stamp);
        }
        true
    }
}

/// A batch that has a number is given up: no number after it fits any more.
fn break_off(sequences: &mut Option<Sequences>, batch: &Batch, reason: &Reason) {
    if let Some(sequences) = sequences.as_mut().filter(|_| batch.stamp.is_some()) {
        let why = if batch.may_be_written(reason) { Break::InDoubt } else { Break::Missing };
        sequences.break_off(&batch.partition, why);
    }
}

/// Whatever a log holds, somebody sent it: said before it can arrive, and while it is known which topic is meant. By the time that it
/// leaves, the name may be another's, or nobody's.
fn witness_sent<H: Host>(host: &H, topic: TopicId, batch: &Batch) {
    if let Ok(header) = BatchHeader::parse(&batch.bytes) {
        let partition = PartitionId { topic, index: batch.partition.partition };
        host.witness(Event::BatchSent { partition, crc: header.crc });
    }
}

async fn producer_id<H: Host>(cluster: &Cluster<H>) -> Identified {
    let request = |_version: i16| {
        InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX)
    };
    let answer = cluster.ask_any(request).await?;
    match ClientError::from_code(answer.error_code, None) {
        None => Ok(ProducerId(answer.producer_id.0)),
        Some(error) => Err(error),
    }
}

fn fail_unplaced(submitted: Submitted, reason: Reason, buffered: &Arc<AtomicUsize>) {
    buffered.fetch_sub(submitted.size, std::sync::atomic::Ordering::Relaxed);
    // Whoever dropped the future does not want to know.
    let _ = submitted.reply.send(Err(super::SendError::NotWritten(reason)));
}
