//! One task for each other member of the quorum: sends it one request at a time, so that a peer that is slow or gone holds nobody else up.
//!
//! A newer request to the same peer takes the place of the one under way: whatever that one was about has been overtaken (a fetch by
//! an election, a pre-vote by a vote), and a peer that cannot be reached must not make the news wait behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{CallError, Channel};
use host::{Host, Task, buggify, spawn};
use model::{BrokerId, Endpoint, MetadataVersion};
use protocol::messages::StrBytes;
use roles::controller::RecordError;
use roles::quorum::{Request, RequestId};
use tokio::sync::mpsc;

use super::wire::{self, Answered, PeerRequest, VotersError, WireError};

/// Requests that wait for a peer's task to look at them; it does so whenever it runs.
const QUEUE_LENGTH_MAX: usize = 64;

/// How the request `id` to `from` ended.
pub(super) struct Answer {
    pub(super) id: RequestId,
    pub(super) from: BrokerId,
    pub(super) told: Told,
}

/// What a peer told.
pub(super) enum Told {
    Answer(Answered),
    /// There is no answer to be had.
    Nothing,
    /// Nobody listens there.
    Refused,
    /// A record that this program does not know, where it must: whoever has it goes by it, committed or not.
    TooNew(RecordError),
}

/// The other members of the quorum, as far as it is known where they listen.
pub(super) struct Peers<H: Host> {
    host: H,
    /// This node.
    id: BrokerId,
    /// What this program knows.
    newest: MetadataVersion,
    /// What all of them know.
    level: MetadataVersion,
    cluster_id: StrBytes,
    timeout: Duration,
    answers: mpsc::Sender<Answer>,
    reached: BTreeMap<BrokerId, Reached>,
}

struct Question {
    id: RequestId,
    level: MetadataVersion,
    request: PeerRequest,
}

/// A peer's task, which ends with this.
struct Reached {
    endpoint: Endpoint,
    queue: mpsc::Sender<Question>,
    _task: Task,
}

impl<H: Host> Peers<H> {
    /// Nobody is known yet; answers come out of the receiver. A request fails after `timeout`.
    pub(super) fn new(
        host: &H,
        id: BrokerId,
        newest: MetadataVersion,
        cluster_id: StrBytes,
        timeout: Duration,
    ) -> (Peers<H>, mpsc::Receiver<Answer>) {
        let (answers, received) = mpsc::channel(QUEUE_LENGTH_MAX);
        let level = MetadataVersion::OLDEST;
        let peers =
            Peers { host: host.clone(), id, newest, level, cluster_id, timeout, answers, reached: BTreeMap::new() };
        (peers, received)
    }

    /// Everybody knows metadata of this level, and the requests that came with it.
    pub(super) fn speak(&mut self, level: MetadataVersion) {
        self.level = level;
    }

    /// This peer listens there from now on. What was asked of it elsewhere has no answer.
    pub(super) fn reach(&mut self, id: BrokerId, endpoint: &Endpoint) {
        if id == self.id || self.endpoint(id) == Some(endpoint) {
            return;
        }
        let (sender, queue) = mpsc::channel(QUEUE_LENGTH_MAX);
        let peer = Peer {
            host: self.host.clone(),
            id,
            endpoint: endpoint.clone(),
            client_id: format!("quorum-{}", self.id),
            newest: self.newest,
            timeout: self.timeout,
            channel: None,
            answers: self.answers.clone(),
        };
        let task = spawn(&self.host, peer.run(queue));
        self.reached.insert(id, Reached { endpoint: endpoint.clone(), queue: sender, _task: task });
    }

    /// Forgets whoever is not to be kept.
    pub(super) fn retain(&mut self, keeps: impl Fn(BrokerId) -> bool) {
        self.reached.retain(|id, _| keeps(*id));
    }

    /// Where a peer listens.
    pub(super) fn endpoint(&self, id: BrokerId) -> Option<&Endpoint> {
        self.reached.get(&id).map(|reached| &reached.endpoint)
    }

    /// False if the request cannot be sent at all; else an [`Answer`] will come. `leader_at`: see [`wire::request`].
    pub(super) fn send(&self, id: RequestId, to: BrokerId, request: Request, leader_at: Option<&Endpoint>) -> bool {
        let level = self.level;
        let request = wire::request(&self.cluster_id, level, to, request, leader_at);
        let question = Question { id, level, request };
        self.reached.get(&to).is_some_and(|reached| reached.queue.try_send(question).is_ok())
    }
}

struct Peer<H: Host> {
    host: H,
    id: BrokerId,
    endpoint: Endpoint,
    client_id: String,
    newest: MetadataVersion,
    timeout: Duration,
    channel: Option<Channel<H>>,
    answers: mpsc::Sender<Answer>,
}

impl<H: Host> Peer<H> {
    async fn run(mut self, mut queue: mpsc::Receiver<Question>) {
        let mut next = queue.recv().await;
        while let Some(Question { id, level, request }) = next.take() {
            let told = tokio::select! {
                biased;
                newer = queue.recv() => {
                    model::reached!("a request to a voter was overtaken by a newer one");
                    next = newer;
                    Told::Nothing
                }
                told = self.call(level, request) => match told {
                    Told::Answer(_) if buggify!(self.host, "a voter's answer was lost", 0.05) => Told::Nothing,
                    told => told,
                }
            };
            if self.answers.send(Answer { id, from: self.id, told }).await.is_err() {
                return;
            }
            if next.is_none() {
                next = queue.recv().await;
            }
        }
    }

    async fn call(&mut self, level: MetadataVersion, request: PeerRequest) -> Told {
        // Taken out, so that a call that is overtaken leaves no channel with an answer still to come.
        let channel = match self.channel.take() {
            Some(channel) => Ok(channel),
            None => Channel::connect(&self.host, &self.endpoint, &self.client_id, self.timeout).await,
        };
        let mut channel = match channel {
            Ok(channel) => channel,
            Err(error) => {
                tracing::debug!(peer = %self.id, %error, "cannot reach a voter");
                return if matches!(error, CallError::Refused(_)) { Told::Refused } else { Told::Nothing };
            }
        };
        let (timeout, newest) = (self.timeout, self.newest);
        let answer = match request {
            PeerRequest::Vote(request) => {
                channel.call(wire::VOTE_VERSION, &request, timeout).await.map(|answer| wire::vote_answered(&answer))
            }
            PeerRequest::BeginEpoch(request) => channel
                .call(wire::version_at(level), &request, timeout)
                .await
                .map(|answer| wire::begin_answered(&answer)),
            PeerRequest::EndEpoch(request) => {
                channel.call(wire::version_at(level), &request, timeout).await.map(|answer| wire::end_answered(&answer))
            }
            PeerRequest::Fetch(request) => {
                let version = wire::fetch_version(&request);
                channel.call(version, &request, timeout).await.map(|answer| wire::fetch_answered(answer, newest))
            }
            PeerRequest::FetchSnapshot(request) => {
                channel.call(wire::version_at(level), &request, timeout).await.map(wire::fetch_snapshot_answered)
            }
        };
        match answer {
            Ok(Ok(response)) => {
                self.channel = Some(channel);
                Told::Answer(response)
            }
            Ok(Err(WireError::Voters(VotersError::Record(record)))) => Told::TooNew(record),
            Ok(Err(error)) => {
                self.channel = Some(channel);
                tracing::warn!(peer = %self.id, %error, "a voter's answer is of no use");
                Told::Nothing
            }
            Err(error) => {
                tracing::debug!(peer = %self.id, %error, "a voter does not answer");
                Told::Nothing
            }
        }
    }
}
