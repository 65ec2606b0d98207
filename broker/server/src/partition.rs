//! One partition on this broker: its replica role, its log, and whoever waits for either.
//!
//! Everything happens under one short lock and nothing in there waits: a request steps the role, writes the log and performs what
//! the role decided, on the task that brought the request. Only syncing waits, and that is the flusher's work.

mod anew;
mod compaction;
mod following;
mod log_start;
mod look_up;
mod producers;
mod reads;
mod watchers;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use host::{Disk, Host, buggify};
use model::{
    Admission, BATCH_HEADER_LENGTH, BatchError, BatchHeader, Bug, Event, KeySent, LeaderEpoch, LogStartReason, Offset,
    PartitionEpoch, PartitionId, Planted, ProducerId, ProducerStamp, Time, Timestamp, batch_checksum, batches,
    patch_append_time, patch_batch,
};
use parking_lot::{Mutex, MutexGuard, RwLock};
use roles::replica::{Acks, Assignment, InSyncProposal, Input, LogView, Output, Refusal, Replica, Ticket};
use storage::{Log, LogConfig, StartKept, StorageError, SyncedTo};
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

use self::anew::GivingUp;
pub(crate) use self::anew::{GivingUpStep, StepDone};
pub(crate) use self::following::Fetched;
use self::producers::admit;
pub(crate) use self::reads::Read;
use self::watchers::{Change, Fetches};
pub(crate) use self::watchers::{Changes, Watcher};
use crate::config::FlushPolicy;
use crate::metrics::{Metrics, Traffic};
use crate::throttle::Throttled;
use crate::topic_settings::TopicSettings;

/// Why a partition did not do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum PartitionError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A producer's answer on its way: the base offset, once it is as safe as asked.
pub(crate) type Answer = oneshot::Receiver<Result<Offset, Refusal>>;

/// How the log of a partition stands, for those who watch over it.
pub(crate) struct Standing {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) bytes: u64,
    pub(crate) segments: usize,
    /// Records that the leader had committed when it was last heard, and that are not here.
    pub(crate) lag: i64,
}

/// A sync under way: what is safe after it. It must be seen to its end, or its partition waits for it for ever.
pub(crate) type Syncing = Pin<Box<dyn Future<Output = Result<SyncedTo, StorageError>> + Send>>;

/// A log start on its way to the disk. It too must be seen to its end.
pub(crate) type Starting = Pin<Box<dyn Future<Output = Result<StartKept, StorageError>> + Send>>;

/// What the shell must do once the lock is free.
pub(crate) enum Errand {
    /// A sync that is to begin: it takes all that is appended until then.
    BeginSync(PartitionId),
    /// A sync that was begun.
    Sync(PartitionId, Syncing),
    KeepStart(PartitionId, Starting),
    GiveUp(PartitionId, GivingUpStep),
    AlterInSync(PartitionId, InSyncProposal),
}

/// What a partition has from its node.
pub(crate) struct OfNode<H: Host> {
    pub(crate) host: H,
    pub(crate) flush_policy: FlushPolicy,
    pub(crate) errands: tokio::sync::mpsc::UnboundedSender<Errand>,
    pub(crate) metrics: Arc<Metrics>,
}

/// One partition that this broker holds.
pub(crate) struct Partition<H: Host> {
    pub(crate) id: PartitionId,
    /// The number of the log directory that it lies in.
    pub(crate) directory: usize,
    host: H,
    flush_policy: FlushPolicy,
    errands: tokio::sync::mpsc::UnboundedSender<Errand>,
    metrics: Arc<Metrics>,
    pub(crate) traffic: Traffic,
    settings: RwLock<TopicSettings>,
    throttled: RwLock<Throttled>,
    /// Whoever syncs the log has it.
    syncing: Arc<tokio::sync::Mutex<()>>,
    /// Whoever compacts the log has it.
    compacting: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State<H>>,
}

/// One sync at a time: what comes meanwhile goes with the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SyncStage {
    Idle,
    /// Errands were told that one is to begin.
    Awaited,
    Running,
}

struct State<H: Host> {
    replica: Replica,
    log: Log<H::Disk>,
    answers: BTreeMap<Ticket, oneshot::Sender<Result<Offset, Refusal>>>,
    next_ticket: u64,
    sync: SyncStage,
    /// Nobody is to begin anything with the log's files any more.
    is_given_up: bool,
    /// Up to where its leader had committed when it was last heard.
    leader_high_watermark: Offset,
    /// Where the log is about to begin, and why.
    next_start: Option<(Offset, LogStartReason)>,
    /// All of the log is about to go.
    giving_up: Option<GivingUp>,
    /// Of each producer where its last batch ended when that was last looked at, and since when it is so.
    producers_heard: BTreeMap<ProducerId, (Offset, Time)>,
    producers_checked: Time,
    /// Followers' fetches that wait for the log to grow, and consumers' for more to be committed.
    fetches: Fetches,
    /// Deletions that wait until no in-sync replica has the records any more.
    start_watchers: Vec<Weak<Notify>>,
    outputs: Vec<Output>,
}

impl<H: Host> State<H> {
    fn view(&self, policy: FlushPolicy) -> LogView<'_> {
        view(&self.log, policy)
    }
}

fn view<D: Disk>(log: &Log<D>, policy: FlushPolicy) -> LogView<'_> {
    let safe_end = match policy {
        FlushPolicy::Commit => log.synced(),
        FlushPolicy::Os => log.end(),
    };
    LogView { start: log.start(), end: log.end(), safe_end, epochs: log.epochs() }
}

impl<H: Host> Partition<H> {
    pub(crate) fn new(
        id: PartitionId,
        directory: usize,
        of_node: OfNode<H>,
        settings: TopicSettings,
        replica: Replica,
        log: Log<H::Disk>,
    ) -> Partition<H> {
        let OfNode { host, flush_policy, errands, metrics } = of_node;
        let state = State {
            replica,
            log,
            answers: BTreeMap::new(),
            next_ticket: 0,
            sync: SyncStage::Idle,
            is_given_up: false,
            leader_high_watermark: Offset::ZERO,
            next_start: None,
            giving_up: None,
            producers_heard: BTreeMap::new(),
            producers_checked: host.now(),
            fetches: Fetches::default(),
            start_watchers: Vec::new(),
            outputs: Vec::new(),
        };
        Partition {
            id,
            directory,
            host,
            flush_policy,
            errands,
            metrics,
            traffic: Traffic::default(),
            settings: RwLock::new(settings),
            throttled: RwLock::default(),
            syncing: Arc::default(),
            compacting: Arc::default(),
            state: Mutex::new(state),
        }
    }

    /// What holds for its topic.
    pub(crate) fn settings(&self) -> TopicSettings {
        *self.settings.read()
    }

    /// Which throttles it goes by while it is out of sync.
    pub(crate) fn throttled(&self) -> Throttled {
        *self.throttled.read()
    }

    pub(crate) fn throttle(&self, throttled: Throttled) {
        *self.throttled.write() = throttled;
    }

    /// Something else holds for its topic from now on.
    pub(crate) fn configure(&self, settings: TopicSettings) {
        let before = std::mem::replace(&mut *self.settings.write(), settings);
        if before.log != settings.log {
            self.state.lock().log.reconfigure(LogConfig { planted: self.host.planted(), ..settings.log });
        }
    }

    /// Appends a producer's batches as leader, its records with the time `append_time` if there is one. The answer comes when they
    /// are as safe as `acks` asks. A `stamp` says that they are one batch of an idempotent producer; if it is in the log already, the
    /// answer is the one that it had, or should have had, before. `keys` are those of the records, if the log is
    /// compacted.
    ///
    /// # Errors
    /// Nothing was written: the replica refused, the bytes are not whole batches, or the log failed.
    pub(crate) fn produce(
        &self,
        records: &Bytes,
        stamp: Option<ProducerStamp>,
        acks: Acks,
        append_time: Option<Timestamp>,
        keys: &[KeySent],
    ) -> Result<Answer, PartitionError> {
        let mut state = self.state.lock();
        let epoch = state.replica.admit(acks)?;
        let planted = self.host.planted();
        match stamp.map_or(Ok(Admission::New), |stamp| admit(planted, &state.log, &stamp)) {
            Ok(Admission::New) => {}
            Ok(Admission::Again { base, end }) => {
                model::reached!("a batch that came again was not written again");
                let (ticket, receiver) = expect_answer(&mut state);
                self.step(&mut state, Input::Repeated { ticket, acks, base, end })?;
                return Ok(receiver);
            }
            Err(why) => {
                let (ticket, receiver) = expect_answer(&mut state);
                self.step(&mut state, Input::OutOfSequence { ticket, why })?;
                state.fetches.tell(Change::Doubt);
                return Ok(receiver);
            }
        }
        let base = state.log.end();
        let mut stamped = place(records, base, epoch, append_time)?;
        if planted != Planted::NONE {
            alter_if_planted(planted, &mut stamped);
        }
        let stamped = stamped.freeze();
        self.append(&mut state, &stamped)?;
        self.traffic.bytes_in.add(stamped.len() as u64);
        self.traffic.records_in.add((state.log.end().0 - base.0).unsigned_abs());
        if !keys.is_empty() {
            let keys = keys.to_vec();
            self.host.witness(Event::KeysWritten { partition: self.id, epoch, base, keys });
        }
        if planted.has(Bug::AppendTwice) {
            let again = place(records, state.log.end(), epoch, append_time)?.freeze();
            self.append(&mut state, &again)?;
        }
        let (ticket, receiver) = expect_answer(&mut state);
        self.step(&mut state, Input::Appended { ticket, acks, base })?;
        if acks == Acks::None {
            state.answers.remove(&ticket);
        }
        // Followers ask again when their fetch has waited long enough.
        if !buggify!(self.host, "followers were not woken by an append", 0.05) {
            state.fetches.tell(Change::End);
        }
        self.sync_if_needed(&mut state);
        Ok(receiver)
    }

    /// Drops the answers that nobody waits for any more.
    pub(crate) fn forget_abandoned(&self) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        let abandoned: Vec<Ticket> =
            state.answers.iter().filter(|(_, answer)| answer.is_closed()).map(|(&ticket, _)| ticket).collect();
        for ticket in abandoned {
            state.answers.remove(&ticket);
            self.step(&mut state, Input::Forget { ticket })?;
        }
        Ok(())
    }

    /// The metadata speaks of this partition.
    pub(crate) fn assign(&self, assignment: Assignment) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        if let Some(giving_up) = &mut state.giving_up {
            model::reached!("a log was being given up while its replica was given another part");
            giving_up.assigned = Some(assignment);
            return Ok(());
        }
        self.assigned(&mut state, assignment)
    }

    fn assigned(&self, state: &mut MutexGuard<'_, State<H>>, assignment: Assignment) -> Result<(), PartitionError> {
        self.step(state, Input::Assigned(assignment))?;
        state.fetches.tell(Change::Leader);
        self.sync_if_needed(state);
        Ok(())
    }

    /// Time passes. A producer that writes nothing for `producer_silence_max` is forgotten.
    pub(crate) fn tick(&self, producer_silence_max: Duration) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        self.forget_silent_producers(&mut state, producer_silence_max);
        self.step(&mut state, Input::Tick)?;
        self.sync_if_needed(&mut state);
        Ok(())
    }

    /// A proposal of an in-sync set was refused for certain.
    pub(crate) fn in_sync_refused(&self, partition_epoch: PartitionEpoch) -> Result<(), PartitionError> {
        self.step(&mut self.state.lock(), Input::InSyncRefused { partition_epoch }).map(|_| ())
    }

    /// Nobody knows what became of a proposal.
    pub(crate) fn in_sync_in_doubt(&self, partition_epoch: PartitionEpoch) -> Result<(), PartitionError> {
        self.step(&mut self.state.lock(), Input::InSyncInDoubt { partition_epoch }).map(|_| ())
    }

    /// A sync ended well; the next one, if more came meanwhile.
    pub(crate) fn synced(&self, done: SyncedTo) -> Result<Option<Syncing>, PartitionError> {
        let mut state = self.state.lock();
        state.sync = SyncStage::Idle;
        let end = state.log.finish_sync(done);
        self.host.witness(Event::Synced { partition: self.id, end });
        self.step(&mut state, Input::Synced)?;
        Ok(self.begin_sync(&mut state))
    }

    /// This replica is given up: whoever waits here learns it now. Returns when nothing touches its files any more.
    pub(crate) async fn remove(&self) {
        self.abandon();
        let _nobody_syncs = self.syncing.lock().await;
        let _nobody_compacts = self.compacting.lock().await;
    }

    /// This replica is given up, and its files may be of no use any more: whoever waits here learns it now.
    pub(crate) fn abandon(&self) {
        let removed = self.step(&mut self.state.lock(), Input::Removed);
        if let Err(error) = removed {
            tracing::debug!(id = %self.id, %error, "cannot be removed in order");
        }
        let mut state = self.state.lock();
        state.is_given_up = true;
        state.fetches.tell(Change::Leader);
    }

    /// The last sync of an orderly stop: after it a start has nothing to verify, and nobody can write here any more.
    ///
    /// # Errors
    /// The disk's: then nobody knows what is safe.
    pub(crate) async fn close(&self) -> Result<(), StorageError> {
        let pending = self.state.lock().log.begin_close();
        let done = pending.run().await?;
        let mut state = self.state.lock();
        let end = state.log.finish_sync(done);
        // Connections are still answered, and what a leader counts as safe here is so by this sync.
        self.host.witness(Event::Synced { partition: self.id, end });
        Ok(())
    }

    /// Who waits here: producers for answers, fetches for more.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        let deletions = state.start_watchers.iter().filter(|watcher| watcher.strong_count() > 0);
        (state.answers.len(), state.fetches.count() + deletions.count())
    }

    pub(crate) fn standing(&self) -> Standing {
        let state = self.state.lock();
        let end = state.log.end();
        let lag = if state.replica.is_leader() { 0 } else { (state.leader_high_watermark.0 - end.0).max(0) };
        Standing {
            start: state.log.start(),
            end,
            high_watermark: state.replica.high_watermark(),
            bytes: state.log.bytes(),
            segments: state.log.segment_count(),
            lag,
        }
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.state.lock().log.start()
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        self.state.lock().replica.high_watermark()
    }

    fn append(&self, state: &mut MutexGuard<'_, State<H>>, bytes: &Bytes) -> Result<(), PartitionError> {
        state.log.append_and_keep(bytes)?;
        for item in batches(bytes) {
            let (header, _) = item?;
            self.host.witness(Event::Appended {
                partition: self.id,
                epoch: header.leader_epoch,
                base: header.base_offset,
                end: header.end_offset(),
                crc: if header.record_count == 0 { 0 } else { header.crc },
            });
            if let Some(stamp) = header.stamp() {
                self.host.witness(Event::ProducerAppended {
                    partition: self.id,
                    producer: stamp.id,
                    producer_epoch: stamp.epoch,
                    first_sequence: stamp.first_sequence,
                    last_sequence: stamp.last_sequence,
                    base: header.base_offset,
                    end: header.end_offset(),
                });
            }
        }
        Ok(())
    }

    /// Steps the role and performs what it decided. A fetch that the role refuses comes back.
    fn step(&self, state: &mut MutexGuard<'_, State<H>>, input: Input) -> Result<Option<Refusal>, PartitionError> {
        let state = &mut **state;
        let mut outputs = std::mem::take(&mut state.outputs);
        state.replica.step(self.host.now(), view(&state.log, self.flush_policy), input, &mut outputs);
        let mut refused = None;
        for output in outputs.drain(..) {
            match output {
                Output::Reply { ticket, result } => {
                    if let Some(answer) = state.answers.remove(&ticket) {
                        let _nobody_waits = answer.send(result);
                    }
                }
                Output::Truncate { to } => {
                    let from = state.log.end();
                    state.log.truncate_to(to)?;
                    self.host.witness(Event::Truncated { partition: self.id, from, to: state.log.end() });
                    self.witness_producers(&state.log);
                }
                Output::GiveUp { to } => self.give_up(state, to),
                Output::HighWatermark { .. } => state.fetches.tell(Change::Commit),
                Output::AlterInSync(proposal) => {
                    let _node_stops = self.errands.send(Errand::AlterInSync(self.id, proposal));
                }
                Output::FetchRefused(refusal) => refused = Some(refusal),
                Output::Witness(event) => {
                    let begins_to_lead = matches!(event, Event::BecameLeader { .. });
                    self.host.witness(event);
                    if begins_to_lead {
                        self.witness_producers(&state.log);
                    }
                }
            }
        }
        state.outputs = outputs;
        Ok(refused)
    }

    /// Has a sync begin as soon as the task that appends has nothing more to do: then it takes all of that.
    fn sync_if_needed(&self, state: &mut MutexGuard<'_, State<H>>) {
        if state.sync == SyncStage::Idle && self.flush_policy == FlushPolicy::Commit && state.log.has_unsynced() {
            state.sync = SyncStage::Awaited;
            let _node_stops = self.errands.send(Errand::BeginSync(self.id));
        }
    }

    /// The sync that errands were told of, if it is still awaited.
    pub(crate) fn begin_awaited_sync(&self) -> Option<Syncing> {
        let mut state = self.state.lock();
        if state.sync != SyncStage::Awaited {
            return None;
        }
        state.sync = SyncStage::Idle;
        if state.is_given_up { None } else { self.begin_sync(&mut state) }
    }

    fn begin_sync(&self, state: &mut MutexGuard<'_, State<H>>) -> Option<Syncing> {
        if state.sync != SyncStage::Idle || self.flush_policy == FlushPolicy::Os {
            return None;
        }
        let pending = state.log.begin_sync()?;
        state.sync = SyncStage::Running;
        let turn = self.syncing.clone().try_lock_owned();
        let (host, metrics) = (self.host.clone(), self.metrics.clone());
        Some(Box::pin(async move {
            let _turn = turn;
            let began = host.now();
            let synced = pending.run().await;
            metrics.flushed(host.now().since(began));
            synced
        }))
    }
}

/// The right to an answer, and where it will come.
fn expect_answer<H: Host>(state: &mut State<H>) -> (Ticket, Answer) {
    let ticket = Ticket(state.next_ticket);
    state.next_ticket += 1;
    let (answer, receiver) = oneshot::channel();
    state.answers.insert(ticket, answer);
    (ticket, receiver)
}

/// Copies `records` and writes offsets from `base`, the leader's epoch, and its time if there is one, into each batch.
fn place(
    records: &[u8],
    base: Offset,
    epoch: LeaderEpoch,
    append_time: Option<Timestamp>,
) -> Result<BytesMut, BatchError> {
    let mut stamped = BytesMut::from(records);
    let (mut position, mut next) = (0, base);
    while position < stamped.len() {
        let header = BatchHeader::parse(&stamped[position..])?;
        if let Some(time) = append_time {
            // The time lies under the checksum: that of damaged bytes must not be made to fit.
            BatchHeader::verify(&stamped[position..])?;
            patch_append_time(&mut stamped[position..position + header.size], time);
        }
        patch_batch(&mut stamped[position..], next, epoch);
        next = next.plus(i64::from(header.last_offset_delta) + 1);
        position += header.size;
    }
    Ok(stamped)
}

/// The planted fault that promises about records' content are shown to catch.
fn alter_if_planted(planted: Planted, stamped: &mut [u8]) {
    let length = stamped.len();
    if planted.has(Bug::AlterRecord) && BATCH_HEADER_LENGTH + 2 < length {
        // The last byte counts a record's headers; the one before it ends its value.
        stamped[length - 2] ^= 1;
        let crc = batch_checksum(stamped);
        stamped[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}
