//! A small world of quorums: wires that lose and reorder, disks that forget what was not synced, and the promises watched at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use model::{BrokerId, DirectoryId, Endpoint, Epochs, LeaderEpoch, Offset, Planted, SnapshotId, Time};

use super::disks::Disks;
use crate::quorum::*;

/// A record of the world: its epoch and a value that no other has.
pub(super) type Entry = (LeaderEpoch, u64);

pub(super) struct World {
    pub(super) nodes: BTreeMap<BrokerId, Node>,
    pub(super) wires: Vec<Wire>,
    /// Pairs that do not hear each other.
    pub(super) cut: BTreeSet<(BrokerId, BrokerId)>,
    pub(super) now: Time,
    config: Config,
    configured: VoterSet,
    /// What the records that say who votes say, by their values.
    sets: BTreeMap<u64, VoterSet>,
    /// How many changes of the voters were answered with success.
    pub(super) changed: usize,
    /// Whether a leader is held to one change at a time; else what comes of more is seen.
    pub(super) minds_changes: bool,
    next_value: u64,
    next_ticket: u64,
    chance: u64,
    /// Everything that was ever committed anywhere.
    pub(super) committed: Vec<Entry>,
    leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// The second model, which every claim is held against.
    disks: Disks,
}

pub(super) struct Node {
    pub(super) quorum: Quorum,
    /// All that it has, in its log or in a snapshot.
    pub(super) log: Vec<Entry>,
    /// What lies below is in snapshots alone.
    pub(super) start: usize,
    /// Each with all that it stands for.
    snapshots: Vec<(SnapshotId, Vec<Entry>)>,
    /// What has come of a snapshot.
    received: Vec<u8>,
    to_install: Option<SnapshotId>,
    synced: usize,
    on_disk: QuorumState,
    to_persist: Option<(u64, QuorumState)>,
    /// Who waits for which answer; None if the one who asked is gone.
    asked: BTreeMap<Ticket, Option<(BrokerId, RequestId)>>,
    changing: BTreeSet<Ticket>,
    /// The largest epoch that it ever spoke of, in this life or an earlier one.
    spoke_of: LeaderEpoch,
}

#[derive(Clone, Debug)]
pub(super) enum Wire {
    Request { from: BrokerId, to: BrokerId, id: RequestId, request: Request },
    Response { from: BrokerId, to: BrokerId, id: RequestId, response: Response },
}

impl World {
    /// `voters` voters, and one observer more.
    pub(super) fn new(voters: i32, planted: Planted) -> World {
        World::of(voters, 1, planted)
    }

    /// `voters` voters by configuration, and so many `observers` that may be added to them.
    pub(super) fn of(voters: i32, observers: i32, planted: Planted) -> World {
        let config = Config {
            id: BrokerId(0),
            directory: None,
            election_timeout: Duration::from_millis(1000),
            fetch_timeout: Duration::from_millis(2000),
            planted,
        };
        let mut world = World {
            nodes: BTreeMap::new(),
            wires: Vec::new(),
            cut: BTreeSet::new(),
            now: Time(1),
            config,
            configured: VoterSet::new((1..=voters).map(|id| voter(BrokerId(id), None))),
            sets: BTreeMap::new(),
            changed: 0,
            minds_changes: true,
            next_value: 0,
            next_ticket: 0,
            chance: 0x5eed,
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            disks: Disks::default(),
        };
        for id in (1..=voters + observers).map(BrokerId) {
            let quorum = world.start(id, QuorumState::default(), &[], 0, Vec::new());
            let node = Node {
                quorum,
                log: Vec::new(),
                start: 0,
                snapshots: Vec::new(),
                received: Vec::new(),
                to_install: None,
                synced: 0,
                on_disk: QuorumState::default(),
                to_persist: None,
                asked: BTreeMap::new(),
                changing: BTreeSet::new(),
                spoke_of: LeaderEpoch(0),
            };
            world.nodes.insert(id, node);
        }
        world
    }

    fn start(
        &mut self,
        id: BrokerId,
        state: QuorumState,
        log: &[Entry],
        start: usize,
        snapshots: Vec<SnapshotId>,
    ) -> Quorum {
        let mut epochs = Epochs::default();
        for (offset, &(epoch, _)) in (0..).map(Offset).zip(log).skip(start) {
            epochs.assign(epoch, offset);
        }
        let snapshot_end = snapshots.last().map_or(0, |newest| newest.end.0 as usize);
        let changes = (0..).map(Offset).zip(log).skip(snapshot_end);
        let changes = changes.filter_map(|(offset, (_, value))| Some((offset, self.sets.get(value)?.clone())));
        let voters = VoterHistory::recovered(
            self.configured.clone(),
            self.named(&log[..snapshot_end]).cloned(),
            changes.collect(),
        );
        let log = Positions::recovered(Offset(start as i64), Offset(log.len() as i64), &epochs, snapshots);
        let chance = self.draw();
        let directory = (!self.configured.contains(id)).then_some(DirectoryId(id.0 as u128));
        let config = Config { id, directory, ..self.config.clone() };
        Quorum::new(config, Recovered { state, log, voters }, self.now, chance)
    }

    /// The voters that the last such record in `log` names, if there is one.
    fn named(&self, log: &[Entry]) -> Option<&VoterSet> {
        log.iter().rev().find_map(|(_, value)| self.sets.get(value))
    }

    /// Who votes, by `log`.
    fn voters_of(&self, log: &[Entry]) -> VoterSet {
        self.named(log).unwrap_or(&self.configured).clone()
    }

    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.chance ^ (self.chance >> 29)
    }

    pub(super) fn ids(&self) -> Vec<BrokerId> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn node(&self, id: i32) -> &Node {
        &self.nodes[&BrokerId(id)]
    }

    pub(super) fn step(&mut self, id: BrokerId, input: Input) {
        let chance = self.draw();
        let now = self.now;
        let mut outputs = Vec::new();
        self.nodes.get_mut(&id).unwrap().quorum.step(now, chance, input, &mut outputs);
        for output in outputs {
            self.perform(id, output);
        }
        let node = &self.nodes[&id];
        assert_eq!(node.quorum.log_end(), Offset(node.log.len() as i64));
    }

    fn perform(&mut self, id: BrokerId, output: Output) {
        let committed = self.committed.clone();
        let voters = self.voters_of(&self.nodes[&id].log);
        let node = self.nodes.get_mut(&id).unwrap();
        match output {
            Output::PersistState { version, state } => node.to_persist = Some((version, state)),
            Output::Send { id: request_id, to, request } => {
                node.speaks_of(request.epoch());
                self.wires.push(Wire::Request { from: id, to, id: request_id, request });
            }
            Output::Reply { ticket, response } => {
                node.speaks_of(response.epoch);
                let asked = node.asked.remove(&ticket).expect("every ticket gets one reply");
                let Some((to, request_id)) = asked else { return };
                self.wires.push(Wire::Response { from: id, to, id: request_id, response });
            }
            Output::ReplyRecords { ticket, epoch, from, high_watermark } => {
                node.speaks_of(epoch);
                let asked = node.asked.remove(&ticket).expect("every ticket gets one reply");
                let Some((to, request_id)) = asked else { return };
                assert!(node.start <= from.0 as usize, "nobody is given what is gone");
                let entries = &node.log[from.0 as usize..];
                let some = &entries[..entries.len().min(3)];
                let spans = (from.0..).zip(some).map(|(offset, &(epoch, value))| Span {
                    epoch,
                    start: Offset(offset),
                    end: Offset(offset + 1),
                    voters: self.sets.get(&value).cloned(),
                });
                let body = Body::Records { high_watermark, spans: spans.collect(), records: encode(some) };
                let response = Response { epoch, leader: Some(id), body };
                self.wires.push(Wire::Response { from: id, to, id: request_id, response });
            }
            Output::ReplyPiece { ticket, epoch, snapshot, position } => {
                node.speaks_of(epoch);
                let asked = node.asked.remove(&ticket).expect("every ticket gets one reply");
                let Some((to, request_id)) = asked else { return };
                let (_, entries) =
                    node.snapshots.iter().find(|(id, _)| *id == snapshot).expect("the role knows what is there");
                let bytes = encode(entries);
                let some = bytes.slice(position as usize..bytes.len().min(position as usize + 40));
                let body = Body::Piece(Piece { snapshot, size: bytes.len() as u64, position, bytes: some });
                let response = Response { epoch, leader: Some(id), body };
                self.wires.push(Wire::Response { from: id, to, id: request_id, response });
            }
            Output::KeepPiece { position, bytes } => {
                node.received.truncate(position as usize);
                assert_eq!(node.received.len() as u64, position, "pieces come in order");
                node.received.extend_from_slice(&bytes);
            }
            Output::InstallSnapshot { snapshot } => node.to_install = Some(snapshot),
            Output::AppendLeaderChange { epoch } => {
                self.next_value += 1;
                node.log.push((epoch, self.next_value));
            }
            Output::AppendVoters { epoch, voters: changed } => {
                if self.minds_changes {
                    let gone = voters.ids().filter(|id| !changed.contains(*id)).count();
                    let new = changed.ids().filter(|id| !voters.contains(*id)).count();
                    assert!(gone + new <= 1, "voters change one at a time");
                    let moved = changed.iter().filter(|voter| voters.get(voter.id).is_some_and(|was| was != *voter));
                    assert!(gone + new + moved.count() == 1, "a record changes one voter, or where it listens");
                    let last = node.log.iter().rposition(|(_, value)| self.sets.contains_key(value));
                    assert!(last.is_none_or(|last| last < committed.len()), "one change of the voters at a time");
                    let own = committed.iter().any(|(committed, _)| *committed == epoch);
                    assert!(own, "voters change only by a leader that has committed");
                }
                self.next_value += 1;
                node.log.push((epoch, self.next_value));
                self.sets.insert(self.next_value, changed);
            }
            Output::VotersChanged { voters: told } => assert_eq!(told, voters, "a node knows what its log says"),
            Output::VotersChangeEnded { ticket, result } => {
                assert!(node.changing.remove(&ticket), "every change is answered once");
                self.changed += usize::from(result.is_ok());
            }
            Output::AppendFetched { records } => node.log.extend(decode(&records)),
            Output::Truncate { to } => {
                node.log.truncate(to.0 as usize);
                node.synced = node.synced.min(node.log.len());
            }
            Output::HighWatermark { to } => {
                if node.quorum.is_leader() {
                    self.disks.may_commit(node.quorum.epoch(), &node.log, to, &voters);
                }
                let prefix = &node.log[..to.0 as usize];
                let known = prefix.len().min(committed.len());
                assert_eq!(prefix[..known], committed[..known], "the committed prefix never changes");
                if committed.len() < prefix.len() {
                    self.committed = prefix.to_vec();
                }
            }
            Output::RoleChanged { epoch, standing: Standing::Leader } => {
                self.disks.may_lead(id, epoch, &voters);
                let leader = *self.leaders.entry(epoch).or_insert(id);
                assert_eq!(leader, id, "one leader an epoch");
                assert!(node.log.starts_with(&committed), "an elected leader has all that is committed");
            }
            Output::RoleChanged { .. } | Output::VoteGranted { .. } => {}
            Output::CommittedIsMissing { .. } => panic!("the committed prefix is never cut"),
        }
    }

    pub(super) fn deliver(&mut self, index: usize) {
        match self.wires.remove(index) {
            Wire::Request { from, to, id, .. } | Wire::Response { from: to, to: from, id, .. }
                if self.cut.contains(&(from, to)) || self.cut.contains(&(to, from)) =>
            {
                self.step(from, Input::Failed { id });
            }
            Wire::Request { from, to, id, request } => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.nodes.get_mut(&to).unwrap().asked.insert(ticket, Some((from, id)));
                self.step(to, Input::Request { ticket, request });
            }
            Wire::Response { from, to, id, response } => self.step(to, Input::Answered { id, from, response }),
        }
    }

    pub(super) fn lose(&mut self, index: usize) {
        match self.wires.remove(index) {
            Wire::Request { from, id, .. } | Wire::Response { to: from, id, .. } => {
                self.step(from, Input::Failed { id })
            }
        }
    }

    /// Whoever was to be asked is said to be gone, whether it is or not.
    pub(super) fn refuse(&mut self, index: usize) {
        match self.wires.remove(index) {
            Wire::Request { from, id, .. } => self.step(from, Input::Refused { id }),
            response @ Wire::Response { .. } => self.wires.push(response),
        }
    }

    pub(super) fn persist(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some((version, state)) = node.to_persist.take() {
            node.on_disk = state;
            self.disks.keep_state(id, state);
            self.step(id, Input::StatePersisted { version });
        }
    }

    pub(super) fn sync(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.synced < node.log.len() {
            node.synced = node.log.len();
            let end = Offset(node.synced as i64);
            self.disks.keep_log(id, &node.log);
            self.step(id, Input::LogSynced { end });
        }
    }

    /// Takes a snapshot of all that is known to be committed; the log before it goes, or does not yet.
    pub(super) fn snapshot(&mut self, id: BrokerId, cuts: bool) {
        let node = self.nodes.get_mut(&id).unwrap();
        let end = node.quorum.high_watermark();
        let newest = node.snapshots.last().map_or(Offset::ZERO, |(newest, _)| newest.end);
        if node.to_install.is_none() && newest < end {
            let entries = node.log[..end.0 as usize].to_vec();
            assert!(self.committed.starts_with(&entries), "a snapshot stands for what is committed");
            let snapshot = SnapshotId { end, epoch: entries[entries.len() - 1].0 };
            node.snapshots.push((snapshot, entries));
            self.step(id, Input::SnapshotTaken { snapshot });
        }
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some((newest, _)) = node.snapshots.last().filter(|_| cuts && node.to_install.is_none()).cloned()
            && node.start < newest.end.0 as usize
        {
            node.start = newest.end.0 as usize;
            node.synced = node.synced.max(node.start);
            self.disks.keep_log(id, &node.log[..node.synced]);
            node.snapshots.retain(|(kept, _)| *kept == newest);
            self.step(id, Input::LogStartMoved { to: newest });
        }
    }

    /// What has come of a snapshot is put in the place of the log, or cannot be.
    pub(super) fn install(&mut self, id: BrokerId, is_whole: bool) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(snapshot) = node.to_install.take() else { return };
        if !is_whole {
            return self.step(id, Input::SnapshotRefused { snapshot });
        }
        let entries = decode(&std::mem::take(&mut node.received).into());
        assert!(self.committed.starts_with(&entries), "a snapshot stands for what is committed");
        node.hold(snapshot, entries);
        self.disks.keep_log(id, &node.log);
        let voters = self.named(&self.nodes[&id].log).cloned();
        self.step(id, Input::SnapshotInstalled { snapshot, end: snapshot.end, voters });
    }

    pub(super) fn propose(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.quorum.is_leader() {
            self.next_value += 1;
            node.log.push((node.quorum.epoch(), self.next_value));
            let end = Offset(node.log.len() as i64);
            self.step(id, Input::Appended { end });
        }
    }

    /// The leader is asked to have `other` vote, or not to if it does.
    pub(super) fn change_voters(&mut self, id: BrokerId, other: BrokerId) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.nodes.get_mut(&id).unwrap().changing.insert(ticket);
        let directory = (!self.configured.contains(other)).then_some(DirectoryId(other.0 as u128));
        let change = if self.nodes[&id].quorum.voters().contains(other) {
            VoterChange::Remove(Replica { id: other, directory })
        } else {
            VoterChange::Add(voter(other, directory))
        };
        self.step(id, Input::ChangeVoters { ticket, change });
    }

    /// A voter says that it listens elsewhere.
    pub(super) fn update_voter(&mut self, id: BrokerId, moved: Voter) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.nodes.get_mut(&id).unwrap().changing.insert(ticket);
        self.step(id, Input::ChangeVoters { ticket, change: VoterChange::Update(moved) });
    }

    /// Goes on until somebody leads a later epoch than `epoch`, and no further.
    pub(super) fn elect_after(&mut self, epoch: LeaderEpoch) -> BrokerId {
        loop {
            let leader = self.leader().filter(|id| epoch < self.nodes[id].quorum.epoch());
            if let Some(leader) = leader {
                return leader;
            }
            if self.wires.is_empty() {
                self.pass(Duration::from_millis(10));
            } else {
                self.deliver(0);
            }
            self.ids().into_iter().for_each(|id| self.persist(id));
        }
    }

    /// Nobody on one side hears anybody on the other.
    pub(super) fn part(&mut self, side: &[BrokerId]) {
        for &here in side {
            let others = self.ids().into_iter().filter(|id| !side.contains(id));
            self.cut.extend(others.map(|there| (here, there)));
        }
    }

    /// The node loses power, with as many of its unsynced records as `kept` does not save, and starts again.
    pub(super) fn lose_power(&mut self, id: BrokerId, kept: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        let unsynced = node.log.len() - node.synced;
        node.log.truncate(node.synced + (kept % (unsynced as u64 + 1)) as usize);
        node.synced = node.log.len();
        node.to_persist = None;
        node.changing.clear();
        (node.to_install, node.received) = (None, Vec::new());
        // A follower may know more to be committed than it has synced: then its snapshot is all that it has.
        if let Some((snapshot, entries)) = node.snapshots.last().cloned()
            && node.log.len() < entries.len()
        {
            node.hold(snapshot, entries);
        }
        self.disks.keep_log(id, &node.log);
        let unanswered = std::mem::take(&mut node.asked);
        let (state, log, start) = (node.on_disk, node.log.clone(), node.start);
        let snapshots = node.snapshots.iter().map(|(snapshot, _)| *snapshot).collect();
        let quorum = self.start(id, state, &log, start, snapshots);
        self.nodes.get_mut(&id).unwrap().quorum = quorum;
        // Its connections are gone: nobody hears its answers, it hears nobody's.
        for (from, request) in unanswered.into_values().flatten().filter(|(from, _)| *from != id) {
            self.step(from, Input::Failed { id: request });
        }
        for asked in self.nodes.values_mut().flat_map(|node| node.asked.values_mut()) {
            asked.take_if(|(from, _)| *from == id);
        }
        let wires = std::mem::take(&mut self.wires);
        for wire in wires {
            match wire {
                Wire::Request { from, .. } | Wire::Response { to: from, .. } if from == id => {}
                Wire::Response { from, to, id: request, .. } if from == id => {
                    self.step(to, Input::Failed { id: request });
                }
                other => self.wires.push(other),
            }
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for id in self.ids() {
            if self.nodes[&id].quorum.deadline() <= self.now {
                self.step(id, Input::Tick);
            }
        }
    }

    /// A quiet time: everything arrives, every disk works.
    pub(super) fn settle(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            for _ in 0..200 {
                if self.wires.is_empty() {
                    break;
                }
                self.deliver(0);
            }
            for id in self.ids() {
                self.persist(id);
                self.sync(id);
                self.install(id, true);
            }
            self.pass(Duration::from_millis(10));
        }
    }

    pub(super) fn leader(&self) -> Option<BrokerId> {
        let leading = self.nodes.iter().filter(|(_, node)| node.quorum.is_leader());
        leading.max_by_key(|(_, node)| node.quorum.epoch()).map(|(&id, _)| id)
    }

    pub(super) fn cut_off(&mut self, id: BrokerId) {
        for other in self.ids() {
            self.cut.insert((id, other));
        }
    }

    /// After healing, a record that is proposed is committed everywhere.
    pub(super) fn must_make_progress(&mut self) {
        self.cut.clear();
        self.settle(Duration::from_secs(20));
        let leader = self.leader().expect("a leader after healing");
        self.propose(leader);
        self.settle(Duration::from_secs(3));
        let led = &self.nodes[&leader];
        let proven = self.disks.committed(led.quorum.epoch(), &led.log, led.quorum.voters());
        assert_eq!(led.quorum.high_watermark(), proven, "all that the disks prove is committed");
        for node in self.nodes.values() {
            assert_eq!(node.log, self.committed, "every log has all that is committed, and nothing else");
            assert_eq!(node.quorum.high_watermark(), Offset(self.committed.len() as i64));
            assert_eq!(node.quorum.leader(), Some(leader));
        }
    }

    /// After healing, voters can be changed.
    pub(super) fn must_change_voters(&mut self) {
        let (leader, before) = (self.leader().expect("a leader after healing"), self.changed);
        let observer = self.ids().into_iter().find(|id| !self.nodes[&leader].quorum.voters().contains(*id));
        let voter = self.nodes[&leader].quorum.voters().ids().find(|id| *id != leader);
        self.change_voters(leader, observer.or(voter).expect("two nodes"));
        self.settle(Duration::from_secs(3));
        assert_eq!(self.changed, before + 1, "voters can be changed after healing");
        self.must_make_progress();
    }
}

impl Node {
    /// A snapshot is in the place of the log.
    fn hold(&mut self, snapshot: SnapshotId, entries: Vec<Entry>) {
        assert_eq!(entries.len() as i64, snapshot.end.0);
        (self.start, self.synced) = (entries.len(), entries.len());
        self.log.clone_from(&entries);
        self.snapshots = vec![(snapshot, entries)];
    }

    fn speaks_of(&mut self, epoch: LeaderEpoch) {
        assert!(self.spoke_of <= epoch, "epochs never fall");
        self.spoke_of = epoch;
    }
}

fn voter(id: BrokerId, directory: Option<DirectoryId>) -> Voter {
    Voter { id, directory, endpoint: Endpoint::new(format!("node-{id}"), 9092) }
}

fn encode(entries: &[Entry]) -> Bytes {
    entries.iter().flat_map(|(epoch, value)| [i64::from(epoch.0) as u64, *value]).flat_map(u64::to_be_bytes).collect()
}

fn decode(records: &Bytes) -> Vec<Entry> {
    let words = records.chunks(8).map(|word| u64::from_be_bytes(word.try_into().unwrap()));
    let words: Vec<u64> = words.collect();
    words.chunks(2).map(|pair| (LeaderEpoch(pair[0] as i32), pair[1])).collect()
}
