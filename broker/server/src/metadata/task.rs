//! The one task that owns this node's part in the metadata: quorum, controller, log.
//!
//! ```text
//!   calls, answers of peers, ends of syncs, time ──▶ Quorum::step ──▶ outputs ──▶ log, disk, peers, replies
//!                             commands ──▶ Controller::step ──▶ records ──▶ log
//!                                      high watermark ──▶ image ──▶ everybody
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use host::{Host, buggify};
use model::{BrokerId, Bug, Endpoint, Event, LeaderEpoch, MetadataVersion, Offset, PartitionId, SnapshotId, Time};
use roles::controller::{Command, FeatureLevel, Image, Record, Settings};
use roles::quorum::{
    Body, ChangeRefusal, Description, Input, Output, Quorum, QuorumState, Request, RequestId, Response, Standing,
    Ticket, VoterChange, VoterSet,
};
use storage::{StorageError, SyncedTo};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use super::active::{self, Active, Submitter};
use super::log::{MetadataLog, ReadError};
use super::peers::{Answer, Peers, Told};
use super::snapshots::{Done, Snapshots};
use super::wire::Answered;
use super::{SubmitError, applied, state_file};
use crate::Failure;

/// However quiet it is, the task looks around so often.
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// What the rest of the node asks of the task.
pub(super) enum Call {
    Ask {
        request: Request,
        /// Where the leader listens that asks, if it says so.
        leader_at: Option<Endpoint>,
        answer: oneshot::Sender<Answered>,
    },
    Describe {
        answer: oneshot::Sender<Option<(Description, Time)>>,
    },
    Submit {
        command: Command,
        submitter: Submitter,
    },
    /// Answered when it is committed, or will not be for a reason.
    ChangeVoters {
        change: VoterChange,
        answer: oneshot::Sender<Result<(), ChangeRefusal>>,
    },
    /// Answered when the other voters have heard, or cannot.
    Resign {
        done: oneshot::Sender<()>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

/// Who leads the quorum, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader: Option<BrokerId>,
    /// Where it listens, as far as this node knows.
    pub(crate) leader_at: Option<Endpoint>,
    pub(crate) epoch: LeaderEpoch,
}

/// Why the task ended: the node cannot go on.
#[derive(Debug, Error)]
pub(super) enum TaskFailure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the quorum's state cannot be written: {0}")]
    State(#[from] io::Error),
    #[error("the metadata log cannot be applied: {0}")]
    Read(#[from] ReadError),
    #[error("the metadata leader's snapshot cannot be read: {0}")]
    SnapshotTooNew(String),
}

impl TaskFailure {
    /// The metadata is whole, and says what this release does not know.
    fn is_of_a_newer_release(&self) -> bool {
        matches!(self, TaskFailure::Read(ReadError::Record(_)) | TaskFailure::SnapshotTooNew(_))
    }
}

type Doing<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;
/// Something that is done to the log's directory.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send>>;
type Persisted = io::Result<(u64, QuorumState)>;

pub(super) struct MetadataTask<H: Host> {
    host: H,
    node_id: BrokerId,
    settings: Settings,
    state_path: String,
    quorum: Quorum,
    log: MetadataLog<H>,
    /// Committed metadata.
    image: Image,
    active: Option<Active>,
    peers: Peers<H>,
    /// Where this node listens.
    own: Endpoint,
    /// Where everybody begins to look: whom one finds there nobody needs to be told of.
    configured: VoterSet,
    voters: watch::Sender<VoterSet>,
    replies: BTreeMap<Ticket, oneshot::Sender<Answered>>,
    changing: BTreeMap<Ticket, oneshot::Sender<Result<(), ChangeRefusal>>>,
    next_ticket: u64,
    snapshots: Snapshots<H>,
    syncing: Doing<Result<SyncedTo, StorageError>>,
    /// What is done to the snapshots, one thing at a time.
    snapshotting: Doing<Result<Done, StorageError>>,
    /// A snapshot that is all here, and waits until that is done.
    to_install: Option<SnapshotId>,
    /// There is one more snapshot: older ones may have to go.
    may_let_go: bool,
    persisting: Doing<Persisted>,
    /// The newest state that nobody writes yet.
    to_persist: Option<(u64, QuorumState)>,
    /// What was last witnessed of the state on disk.
    kept: (LeaderEpoch, Option<BrokerId>),
    resigning: Option<(oneshot::Sender<()>, BTreeSet<RequestId>)>,
    closing: Option<oneshot::Sender<()>>,
    images: watch::Sender<Arc<Image>>,
    leadership: watch::Sender<Leadership>,
}

/// What a task is made of.
pub(super) struct Parts<H: Host> {
    pub(super) host: H,
    pub(super) node_id: BrokerId,
    pub(super) settings: Settings,
    pub(super) state_path: String,
    /// What is on disk.
    pub(super) state: QuorumState,
    pub(super) quorum: Quorum,
    pub(super) log: MetadataLog<H>,
    pub(super) snapshots: Snapshots<H>,
    pub(super) image: Image,
    pub(super) peers: Peers<H>,
    pub(super) own: Endpoint,
    pub(super) configured: VoterSet,
    pub(super) voters: watch::Sender<VoterSet>,
    pub(super) images: watch::Sender<Arc<Image>>,
    pub(super) leadership: watch::Sender<Leadership>,
}

impl<H: Host> MetadataTask<H> {
    pub(super) fn new(parts: Parts<H>) -> MetadataTask<H> {
        MetadataTask {
            host: parts.host,
            node_id: parts.node_id,
            settings: parts.settings,
            state_path: parts.state_path,
            quorum: parts.quorum,
            log: parts.log,
            image: parts.image,
            snapshots: parts.snapshots,
            active: None,
            peers: parts.peers,
            own: parts.own,
            configured: parts.configured,
            voters: parts.voters,
            replies: BTreeMap::new(),
            changing: BTreeMap::new(),
            next_ticket: 0,
            syncing: None,
            snapshotting: None,
            to_install: None,
            may_let_go: false,
            persisting: None,
            to_persist: None,
            kept: (parts.state.epoch, parts.state.voted_for),
            resigning: None,
            closing: None,
            images: parts.images,
            leadership: parts.leadership,
        }
    }

    /// Runs until it is closed, until nobody calls any more, or until a failure that is noted in `failed`.
    pub(super) async fn run(
        mut self,
        calls: mpsc::Receiver<Call>,
        answers: mpsc::Receiver<Answer>,
        failed: watch::Sender<Option<Failure>>,
    ) {
        if let Err(failure) = self.serve(calls, answers).await {
            tracing::error!(%failure, "metadata stops");
            let failure = if failure.is_of_a_newer_release() {
                model::reached!("a node stopped at metadata that it does not know");
                Failure::Release(failure.to_string())
            } else {
                self.host.witness(Event::StorageFailed { partition: PartitionId::METADATA });
                Failure::Disk(failure.to_string())
            };
            failed.send_replace(Some(failure));
        }
    }

    async fn serve(
        &mut self,
        mut calls: mpsc::Receiver<Call>,
        mut answers: mpsc::Receiver<Answer>,
    ) -> Result<(), TaskFailure> {
        self.step(Input::Tick)?;
        while self.closing.is_none() {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                done = finished(&mut self.syncing) => self.synced(done?)?,
                done = finished(&mut self.persisting) => self.persisted(done?)?,
                done = finished(&mut self.snapshotting) => self.snapshotted(done?)?,
                Some(answer) = answers.recv() => self.answered(answer)?,
                call = calls.recv() => match call {
                    Some(call) => self.called(call)?,
                    None => return Ok(()),
                },
                () = self.host.sleep_until(deadline) => self.tick()?,
            }
        }
        self.close().await
    }

    /// What is under way to the disk is left where it is, as by a crash; the log is made safe.
    async fn close(&mut self) -> Result<(), TaskFailure> {
        (self.syncing, self.persisting, self.snapshotting) = (None, None, None);
        let done = self.log.begin_close().run().await?;
        self.log.finish_sync(done);
        if let Some(done) = self.closing.take() {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
        Ok(())
    }

    fn deadline(&self) -> Time {
        let sessions = self.active.as_ref().and_then(Active::deadline);
        let snapshot = self.snapshots.deadline().filter(|_| self.snapshotting.is_none());
        let latest = self.host.now() + IDLE_MAX;
        [sessions, snapshot].into_iter().flatten().chain([self.quorum.deadline(), latest]).min().unwrap_or(latest)
    }

    fn synced(&mut self, done: SyncedTo) -> Result<(), TaskFailure> {
        self.syncing = None;
        let end = self.log.finish_sync(done);
        self.step(Input::LogSynced { end })
    }

    fn persisted(&mut self, (version, state): (u64, QuorumState)) -> Result<(), TaskFailure> {
        self.persisting = None;
        let (epoch, vote) = std::mem::replace(&mut self.kept, (state.epoch, state.voted_for));
        if epoch < state.epoch {
            self.host.witness(Event::EpochKept { epoch: state.epoch });
        }
        if let Some(candidate) = state.voted_for.filter(|_| (epoch, vote) != self.kept) {
            self.host.witness(Event::VoteCast { epoch: state.epoch, candidate });
        }
        self.step(Input::StatePersisted { version })
    }

    fn snapshotted(&mut self, done: Done) -> Result<(), TaskFailure> {
        self.snapshotting = None;
        match done {
            Done::Taken { kept, digest, content } => {
                self.snapshots.taken(kept, digest, content);
                self.may_let_go = true;
                self.step(Input::SnapshotTaken { snapshot: kept.snapshot })
            }
            Done::NotTaken => Ok(()),
            Done::StartKept { to, start } => {
                self.log.finish_start(start)?;
                self.snapshots.forget_below(to.end);
                self.step(Input::LogStartMoved { to })
            }
            Done::Stored { kept, content, checksum, start } => {
                self.log.finish_anew(start)?;
                self.snapshots.installed(kept, &content, checksum);
                applied::replace(&self.host, &mut self.image, content.image);
                self.peers.speak(self.image.metadata_version());
                self.images.send_replace(Arc::new(self.image.clone()));
                let voters = self.image.voters.as_deref().cloned();
                self.step(Input::SnapshotInstalled { snapshot: kept.snapshot, end: self.log.end(), voters })
            }
            Done::Refused(snapshot) => self.step(Input::SnapshotRefused { snapshot }),
            Done::TooNew(why) => Err(TaskFailure::SnapshotTooNew(why)),
        }
    }

    fn answered(&mut self, Answer { id, from, told }: Answer) -> Result<(), TaskFailure> {
        self.has_heard_resignation(id);
        match told {
            Told::Answer(Answered { response, leader_at }) => {
                self.learn_of(response.leader, leader_at);
                self.step(Input::Answered { id, from, response })
            }
            Told::Nothing => self.step(Input::Failed { id }),
            Told::Refused => self.step(Input::Refused { id }),
            // It can neither keep that record nor say that it has what comes behind it: sooner than hold the others up, it says why.
            Told::TooNew(record) => Err(ReadError::Record(record).into()),
        }
    }

    fn called(&mut self, call: Call) -> Result<(), TaskFailure> {
        match call {
            Call::Ask { request, leader_at, answer } => {
                let ticket = self.next_ticket();
                self.replies.insert(ticket, answer);
                if let Request::BeginEpoch(begin) = &request
                    && self.quorum.epoch() <= begin.epoch
                {
                    self.learn_of(Some(begin.leader), leader_at);
                }
                self.step(Input::Request { ticket, request })
            }
            Call::Describe { answer } => {
                let now = self.host.now();
                // Whoever asked may be gone.
                let _ = answer.send(self.quorum.describe(now).map(|description| (description, now)));
                Ok(())
            }
            Call::Submit { command, submitter } => self.submit(&command, submitter),
            Call::ChangeVoters { answer, .. } if !self.may_change_voters() => {
                // Whoever asked may be gone.
                let _ = answer.send(Err(ChangeRefusal::BelowLevel));
                Ok(())
            }
            Call::ChangeVoters { change, answer } => {
                let ticket = self.next_ticket();
                self.changing.insert(ticket, answer);
                self.step(Input::ChangeVoters { ticket, change })
            }
            Call::Resign { done } => {
                self.resigning = Some((done, BTreeSet::new()));
                self.step(Input::Resign)?;
                if self.resigning.as_ref().is_some_and(|(_, unheard)| unheard.is_empty()) {
                    self.resigning = None;
                }
                Ok(())
            }
            Call::Close { done } => {
                self.closing = Some(done);
                Ok(())
            }
        }
    }

    /// Can metadata of the cluster's level tell who votes? Whoever does not lead asks nobody.
    fn may_change_voters(&self) -> bool {
        let level = self.active.as_ref().map(|active| active.image().metadata_version());
        level.is_none_or(MetadataVersion::has_voters) || self.host.planted().has(Bug::NewerRecordsBelowLevel)
    }

    fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// A leader listens there that the voters which this node knows of may not lead to: it is none of them, or came back elsewhere.
    fn learn_of(&mut self, leader: Option<BrokerId>, at: Option<Endpoint>) {
        let (Some(leader), Some(at)) = (leader, at) else { return };
        let known = self.quorum.voters();
        if !known.contains(leader) {
            let leads = self.quorum.leader();
            let configured = &self.configured;
            self.peers.retain(|id| known.contains(id) || configured.contains(id) || leads == Some(id));
        }
        self.peers.reach(leader, &at);
        self.tell_where_the_leader_is();
    }

    fn tell_where_the_leader_is(&self) {
        self.leadership.send_if_modified(|known| {
            let leader_at = known.leader.and_then(|leader| self.endpoint(leader));
            let is_new = leader_at != known.leader_at;
            known.leader_at = leader_at;
            is_new
        });
    }

    /// Where `leader` listens, for those whom neither the configured voters nor those of the log lead there.
    fn where_to_find(&self, leader: Option<BrokerId>) -> Option<Endpoint> {
        let leader = leader?;
        let at = self.endpoint(leader)?;
        let is_told = self.quorum.voters().get(leader).is_none_or(|voter| voter.endpoint == at);
        if self.configured.contains(leader) && is_told { None } else { Some(at) }
    }

    fn endpoint(&self, id: BrokerId) -> Option<Endpoint> {
        if id == self.node_id { Some(self.own.clone()) } else { self.peers.endpoint(id).cloned() }
    }

    fn tick(&mut self) -> Result<(), TaskFailure> {
        self.step(Input::Tick)?;
        match self.active.as_ref().and_then(|active| active.due(self.host.now())) {
            Some(command) => self.submit(&command, None),
            None => Ok(()),
        }
    }

    /// Decides, appends; the answer follows when it is committed.
    fn submit(&mut self, command: &Command, submitter: Submitter) -> Result<(), TaskFailure> {
        let Some(active) = &mut self.active else {
            active::answer(submitter, Err(SubmitError::NotController));
            return Ok(());
        };
        assert!(active.end() == self.log.end(), "the controller decides over all that is in the log");
        let (records, reply) = match active.decide(self.host.now(), self.host.entropy(), command) {
            Ok(decided) => decided,
            Err(refusal) => {
                active::answer(submitter, Err(SubmitError::Refused(refusal)));
                return Ok(());
            }
        };
        active.wait(reply, submitter);
        if records.is_empty() {
            active.answer_committed(self.image.end);
            return Ok(());
        }
        match self.log.append(self.quorum.epoch(), &records) {
            Ok(()) => self.step(Input::Appended { end: self.log.end() }),
            // The controller is ahead of its log: another node's disk may have room.
            Err(error @ StorageError::Full { .. }) => {
                tracing::error!(%error, "gives up the metadata's leadership");
                self.step(Input::Resign)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Steps the quorum and does what it says, until nothing follows.
    fn step(&mut self, input: Input) -> Result<(), TaskFailure> {
        let mut inputs = VecDeque::from([input]);
        let mut outputs = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.quorum.step(self.host.now(), self.chance(), input, &mut outputs);
            for output in outputs.drain(..) {
                self.perform(output, &mut inputs)?;
            }
        }
        assert!(self.quorum.log_end() == self.log.end(), "the quorum counts what the log has");
        self.settle();
        Ok(())
    }

    /// What timeouts are drawn from.
    fn chance(&self) -> u64 {
        let chance = self.host.entropy();
        if buggify!(self.host, "voters drew the same timeout", 0.5) { 0 } else { chance }
    }

    fn perform(&mut self, output: Output, inputs: &mut VecDeque<Input>) -> Result<(), TaskFailure> {
        match output {
            Output::PersistState { version, state } => self.to_persist = Some((version, state)),
            Output::Send { id, to, request } => {
                let is_resignation = matches!(request, Request::EndEpoch(_));
                let leads = matches!(request, Request::BeginEpoch(_)).then_some(self.node_id);
                let leader_at = self.where_to_find(leads);
                if !self.peers.send(id, to, request, leader_at.as_ref()) {
                    inputs.push_back(Input::Failed { id });
                } else if let Some((_, unheard)) = self.resigning.as_mut().filter(|_| is_resignation) {
                    unheard.insert(id);
                }
            }
            Output::Reply { ticket, response } => self.reply(ticket, response),
            Output::ReplyPiece { ticket, epoch, snapshot, position } => {
                let body = self.snapshots.piece(snapshot, position)?;
                self.reply(ticket, Response { epoch, leader: Some(self.node_id), body });
            }
            Output::KeepPiece { position, bytes } => self.snapshots.receive(position, &bytes),
            Output::InstallSnapshot { snapshot } => self.to_install = Some(snapshot),
            Output::VoteGranted { epoch, candidate } => self.host.witness(Event::VoteGranted { epoch, candidate }),
            Output::ReplyRecords { ticket, epoch, from, high_watermark } => {
                let records = self.log.read(from)?;
                let body = Body::Records { high_watermark, spans: Vec::new(), records };
                self.reply(ticket, Response { epoch, leader: Some(self.node_id), body });
            }
            Output::AppendLeaderChange { epoch } => self.log.append(epoch, &[self.first_of_epoch()])?,
            Output::AppendVoters { epoch, voters } => {
                if let Some(active) = &mut self.active {
                    active.take_voters(&voters);
                }
                self.log.append_voters(epoch, voters)?;
            }
            Output::VotersChanged { voters } => self.change_voters(voters),
            Output::VotersChangeEnded { ticket, result } => {
                if let Some(answer) = self.changing.remove(&ticket) {
                    // Whoever asked may be gone.
                    let _ = answer.send(result);
                }
            }
            Output::AppendFetched { records } => self.log.append_fetched(&records)?,
            Output::Truncate { to } => {
                self.log.truncate(to)?;
                inputs.push_back(Input::Truncated { end: self.log.end() });
            }
            Output::HighWatermark { to } => {
                let epoch = self.quorum.epoch();
                self.host.witness(Event::HighWatermarkAdvanced { partition: PartitionId::METADATA, epoch, to });
                self.apply(to)?;
            }
            Output::RoleChanged { epoch, standing } => self.change_role(epoch, standing),
            Output::CommittedIsMissing { leader, leader_end, high_watermark } => {
                tracing::error!(
                    %leader, %leader_end, %high_watermark,
                    "the metadata leader lacks committed records: a majority of controllers must have lost its disks"
                );
            }
        }
        Ok(())
    }

    /// The first record of a leader's epoch. That of a new cluster says which level its metadata is at.
    fn first_of_epoch(&self) -> Record {
        if self.log.end() == Offset::ZERO {
            Record::FeatureLevel(FeatureLevel::of(self.settings.metadata_version_max))
        } else {
            Record::NoOp
        }
    }

    fn reply(&mut self, ticket: Ticket, response: Response) {
        if let Some(answer) = self.replies.remove(&ticket) {
            let leader_at = self.where_to_find(response.leader);
            // Whoever asked may be gone.
            let _ = answer.send(Answered { response, leader_at });
        }
    }

    /// By this node's log, others vote from now on.
    fn change_voters(&mut self, voters: VoterSet) {
        self.host.witness(Event::VotersChanged { voters: voters.ids().collect() });
        let leads = self.quorum.leader();
        self.peers.retain(|id| voters.contains(id) || self.configured.contains(id) || leads == Some(id));
        for voter in voters.iter() {
            self.peers.reach(voter.id, &voter.endpoint);
        }
        self.voters.send_replace(voters);
        self.tell_where_the_leader_is();
    }

    /// Brings what is committed below `to` into the image, and to everybody.
    fn apply(&mut self, to: Offset) -> Result<(), TaskFailure> {
        let level = self.image.metadata_version();
        while self.image.end < to {
            for batch in self.log.read_committed(self.image.end, to)? {
                applied::apply(&self.host, &mut self.image, &batch);
                self.snapshots.applied(batch.bytes, batch.timestamp);
            }
        }
        if self.image.metadata_version() < level {
            self.snapshots.hurry();
        }
        self.peers.speak(self.image.metadata_version());
        self.images.send_replace(Arc::new(self.image.clone()));
        if let Some(active) = &mut self.active {
            active.answer_committed(self.image.end);
        }
        Ok(())
    }

    fn change_role(&mut self, epoch: LeaderEpoch, standing: Standing) {
        let leader = match standing {
            Standing::Leader => {
                self.host.witness(Event::QuorumLeader { epoch, log_end: self.log.end() });
                Some(self.node_id)
            }
            Standing::Follower(leader) => {
                self.host.witness(Event::QuorumFollower { epoch, leader });
                Some(leader)
            }
            Standing::Unattached => {
                self.host.witness(Event::QuorumUnattached { epoch });
                None
            }
        };
        if standing != Standing::Leader
            && let Some(active) = self.active.take()
        {
            active.abandon();
        }
        let leader_at = leader.and_then(|leader| self.endpoint(leader));
        self.leadership.send_replace(Leadership { leader, leader_at, epoch });
    }

    /// What may begin after a step: writing, syncing, controlling.
    fn settle(&mut self) {
        if self.persisting.is_none()
            && let Some((version, state)) = self.to_persist.take()
        {
            self.persisting = Some(self.persist(version, state));
        }
        if self.syncing.is_none()
            && let Some(pending) = self.log.begin_sync()
        {
            self.syncing = Some(Box::pin(pending.run()));
        }
        if self.snapshotting.is_none() {
            self.snapshotting = self.next_of_snapshots();
        }
        // All of the log is committed, and the first record of this leader's epoch with it: nobody else decides now.
        if self.active.is_none() && self.quorum.is_leader() && self.image.end == self.log.end() {
            self.active = Some(Active::new(self.settings.clone(), self.image.clone(), self.host.now()));
        }
    }

    fn next_of_snapshots(&mut self) -> Doing<Result<Done, StorageError>> {
        if let Some(snapshot) = self.to_install.take() {
            return Some(self.snapshots.install(snapshot, self.log.begin_start(snapshot.end)));
        }
        if std::mem::take(&mut self.may_let_go)
            && let Some(letting_go) = self.snapshots.let_go(&self.log)
        {
            return Some(letting_go);
        }
        if self.snapshots.is_due() { self.take_snapshot() } else { None }
    }

    fn take_snapshot(&mut self) -> Doing<Result<Done, StorageError>> {
        let decided = self.active.as_ref().filter(|_| self.host.planted().has(Bug::SnapshotUncommitted));
        let image = decided.map_or(&self.image, Active::image);
        if image.end <= self.snapshots.newest_end() {
            return None;
        }
        let snapshot = self.log.snapshot_at(image.end)?;
        Some(self.snapshots.take(image, snapshot, &self.log))
    }

    fn persist(&self, version: u64, state: QuorumState) -> Pin<Box<dyn Future<Output = Persisted> + Send>> {
        let (disk, path) = (self.host.disk().clone(), self.state_path.clone());
        Box::pin(async move {
            state_file::write(disk, path, state).await?;
            Ok((version, state))
        })
    }

    fn has_heard_resignation(&mut self, id: RequestId) {
        if let Some((_, unheard)) = &mut self.resigning {
            unheard.remove(&id);
            if unheard.is_empty()
                && let Some((done, _)) = self.resigning.take()
            {
                // The node may have given up waiting.
                let _ = done.send(());
            }
        }
    }
}

/// What `doing` comes to; never, if nothing is being done.
async fn finished<T>(doing: &mut Doing<T>) -> T {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}
