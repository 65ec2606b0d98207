//! The replica role, input by input; then three of them over random schedules.

mod log_start;
mod reading;

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use model::{EpochStart, ProducerId};

const LEADER: BrokerId = BrokerId(1);
const FOLLOWER: BrokerId = BrokerId(2);
const OTHER: BrokerId = BrokerId(3);
const GAP: SequenceError = SequenceError::OutOfOrder { producer: ProducerId(7), epoch: 0, expected: 3, asked: 5 };
const PARTITION: PartitionId = PartitionId { topic: model::TopicId(7), index: 0 };

/// A replica and the log that its shell would keep.
struct Bench {
    replica: Replica,
    local: BrokerId,
    now: Time,
    /// The epoch of every record: a log without its bytes.
    records: Vec<i32>,
    /// Those before are gone.
    start: i64,
    safe: usize,
    out: Vec<Output>,
    next_ticket: u64,
    in_sync_min: usize,
}

impl Bench {
    fn new(local: BrokerId) -> Bench {
        Bench::planted(local, Planted::NONE)
    }

    fn planted(local: BrokerId, planted: Planted) -> Bench {
        let replica = Replica::new(PARTITION, local, Duration::from_secs(10), planted, Offset(0));
        Bench {
            replica,
            local,
            now: Time(0),
            records: vec![],
            start: 0,
            safe: 0,
            out: vec![],
            next_ticket: 0,
            in_sync_min: 2,
        }
    }

    fn epochs(&self) -> Epochs {
        let records = self.records.iter().enumerate().skip(self.start as usize);
        let entry =
            |(offset, &epoch): (usize, &i32)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(offset as i64) };
        Epochs::from_entries(records.map(entry))
    }

    fn end(&self) -> Offset {
        Offset(self.records.len() as i64)
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let epochs = self.epochs();
        let (start, safe_end) = (Offset(self.start), Offset(self.safe as i64));
        let log = LogView { start, end: self.end(), safe_end, epochs: &epochs };
        self.replica.step(self.now, log, input, &mut self.out);
        let outputs = std::mem::take(&mut self.out);
        for output in &outputs {
            if let Output::Truncate { to } = output {
                self.records.truncate(to.0 as usize);
                self.safe = self.safe.min(self.records.len());
            }
        }
        outputs
    }

    fn assign(&mut self, leader: BrokerId, epoch: i32, partition_epoch: i32, in_sync: &[BrokerId]) -> Vec<Output> {
        self.step(Input::Assigned(Assignment {
            leader: Some(leader),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: PartitionEpoch(partition_epoch),
            replicas: vec![LEADER, FOLLOWER, OTHER],
            in_sync: in_sync.to_vec(),
            in_sync_min: self.in_sync_min,
        }))
    }

    /// Appends as leader; the outputs of the append and of its sync.
    fn produce(&mut self, count: usize, acks: Acks) -> Result<Vec<Output>, Refusal> {
        let mut outputs = self.produce_unsynced(count, acks)?;
        outputs.extend(self.sync());
        Ok(outputs)
    }

    fn produce_unsynced(&mut self, count: usize, acks: Acks) -> Result<Vec<Output>, Refusal> {
        let epoch = self.replica.admit(acks)?;
        let base = self.end();
        self.records.extend(std::iter::repeat_n(epoch.0, count));
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        Ok(self.step(Input::Appended { ticket, acks, base }))
    }

    /// A producer's batch leaves a gap.
    fn misfit(&mut self) -> Vec<Output> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.step(Input::OutOfSequence { ticket, why: GAP })
    }

    fn sync(&mut self) -> Vec<Output> {
        self.safe = self.records.len();
        self.step(Input::Synced)
    }

    fn fetched_by(&mut self, replica: BrokerId, offset: i64, last_epoch: i32) -> Vec<Output> {
        self.fetched_after(None, replica, offset, last_epoch)
    }

    /// The same, by one that had read an answer that left at `sent_after`.
    fn fetched_after(
        &mut self,
        sent_after: Option<Time>,
        replica: BrokerId,
        offset: i64,
        last_epoch: i32,
    ) -> Vec<Output> {
        let leader_epoch = self.replica.leader_epoch();
        self.step(Input::Fetch(FollowerFetch {
            replica,
            broker_epoch: BrokerEpoch(1),
            leader_epoch,
            offset: Offset(offset),
            last_epoch: LeaderEpoch(last_epoch),
            log_start: Offset(0),
            sent_after,
        }))
    }

    fn with_log<T>(&self, ask: impl FnOnce(&Replica, LogView<'_>) -> T) -> T {
        let epochs = self.epochs();
        let (start, safe_end) = (Offset(self.start), Offset(self.safe as i64));
        ask(&self.replica, LogView { start, end: self.end(), safe_end, epochs: &epochs })
    }
}

fn replies(outputs: &[Output]) -> Vec<Result<Offset, Refusal>> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Reply { result, .. } => Some(*result),
            _ => None,
        })
        .collect()
}

fn proposals(outputs: &[Output]) -> Vec<Vec<BrokerId>> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::AlterInSync(proposal) => Some(proposal.in_sync.iter().map(|(id, _)| *id).collect()),
            _ => None,
        })
        .collect()
}

#[test]
fn no_ack_before_every_in_sync_replica_holds_the_record() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    assert_eq!(replies(&leader.produce(3, Acks::All).unwrap()), []);
    assert_eq!(replies(&leader.fetched_by(FOLLOWER, 3, 1)), []);
    assert_eq!(replies(&leader.fetched_by(OTHER, 2, 1)), []);
    assert_eq!(leader.replica.high_watermark(), Offset(2));
    assert_eq!(replies(&leader.fetched_by(OTHER, 3, 1)), [Ok(Offset(0))]);
}

#[test]
fn no_ack_before_the_leader_has_synced() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    assert_eq!(replies(&leader.produce_unsynced(1, Acks::Leader).unwrap()), []);
    assert_eq!(replies(&leader.produce_unsynced(1, Acks::All).unwrap()), []);
    assert_eq!(replies(&leader.fetched_by(FOLLOWER, 2, 1)), []);
    assert_eq!(replies(&leader.sync()), [Ok(Offset(0)), Ok(Offset(1))]);
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_and_commit_nothing() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER]);
    assert_eq!(leader.produce(1, Acks::All).unwrap_err(), Refusal::NotEnoughReplicas);
    assert_eq!(replies(&leader.produce(1, Acks::Leader).unwrap()), [Ok(Offset(0))]);
    assert_eq!(leader.replica.high_watermark(), Offset(0));
}

#[test]
fn another_minimum_holds_at_once_and_in_the_same_state_of_the_partition() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER]);
    leader.produce(1, Acks::Leader).unwrap();
    leader.in_sync_min = 1;
    let outputs = leader.assign(LEADER, 1, 1, &[LEADER]);
    assert!(outputs.contains(&Output::HighWatermark { to: Offset(1) }));
    leader.in_sync_min = 2;
    leader.assign(LEADER, 1, 1, &[LEADER]);
    assert_eq!(leader.produce(1, Acks::All).unwrap_err(), Refusal::NotEnoughReplicas);
    leader.produce(1, Acks::Leader).unwrap();
    assert_eq!(leader.replica.high_watermark(), Offset(1));
}

#[test]
fn a_deposed_leader_answers_that_the_fate_is_in_doubt() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    leader.produce(1, Acks::All).unwrap();
    let outputs = leader.assign(FOLLOWER, 2, 2, &[FOLLOWER, LEADER]);
    assert_eq!(replies(&outputs), [Err(Refusal::NotLeaderOrFollower)]);
    assert_eq!(leader.produce(1, Acks::All).unwrap_err(), Refusal::NotLeaderOrFollower);
}

#[test]
fn a_removed_replica_answers_that_the_fate_is_in_doubt_and_serves_nobody() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    leader.produce(1, Acks::All).unwrap();
    // A follower may have the batch, and may lead next.
    assert_eq!(replies(&leader.step(Input::Removed)), [Err(Refusal::NotLeaderOrFollower)]);
    assert_eq!(leader.produce(1, Acks::Leader).unwrap_err(), Refusal::NotLeaderOrFollower);
}

#[test]
fn a_fetch_of_another_epoch_is_refused_and_counts_for_nothing() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 5, 1, &[LEADER, FOLLOWER]);
    leader.produce(1, Acks::All).unwrap();
    for (epoch, refusal) in [(4, Refusal::FencedLeaderEpoch), (6, Refusal::UnknownLeaderEpoch)] {
        let outputs = leader.step(Input::Fetch(FollowerFetch {
            replica: FOLLOWER,
            broker_epoch: BrokerEpoch(1),
            leader_epoch: LeaderEpoch(epoch),
            offset: Offset(1),
            last_epoch: LeaderEpoch(5),
            log_start: Offset(0),
            sent_after: None,
        }));
        assert_eq!(outputs, [Output::FetchRefused(refusal)]);
    }
    assert_eq!(leader.replica.high_watermark(), Offset(0));
}

#[test]
fn a_follower_that_parted_is_told_where_and_cuts_by_epoch_not_by_high_watermark() {
    let mut leader = Bench::new(LEADER);
    leader.records = vec![1, 1, 1, 3];
    leader.safe = 4;
    leader.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    let outputs = leader.fetched_by(FOLLOWER, 5, 2);
    assert_eq!(outputs, [Output::FetchRefused(Refusal::Diverging { epoch: LeaderEpoch(1), end: Offset(3) })]);

    let mut follower = Bench::new(FOLLOWER);
    follower.records = vec![1, 1, 1, 2, 2];
    follower.safe = 5;
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    assert_eq!(follower.records.len(), 5, "a new leader alone cuts nothing");
    follower.step(Input::Diverging {
        leader_epoch: LeaderEpoch(4),
        epoch: LeaderEpoch(1),
        end: Offset(3),
        leader_start: None,
    });
    assert_eq!(follower.records, [1, 1, 1]);
}

#[test]
fn an_answer_to_an_older_question_touches_nothing() {
    let mut follower = Bench::new(FOLLOWER);
    follower.records = vec![1, 1];
    follower.safe = 2;
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    follower.step(Input::Diverging {
        leader_epoch: LeaderEpoch(3),
        epoch: LeaderEpoch(0),
        end: Offset(0),
        leader_start: None,
    });
    assert_eq!(follower.records, [1, 1]);
    let epochs = follower.epochs();
    let log = LogView { start: Offset(0), end: Offset(2), safe_end: Offset(2), epochs: &epochs };
    assert_eq!(follower.replica.admit_fetched(log, LeaderEpoch(3), Offset(2)), Err(Refusal::FencedLeaderEpoch));
    assert_eq!(follower.replica.admit_fetched(log, LeaderEpoch(4), Offset(1)), Err(Refusal::OffsetOutOfRange));
    assert_eq!(follower.replica.admit_fetched(log, LeaderEpoch(4), Offset(2)), Ok(()));
}

#[test]
fn a_lagging_follower_leaves_the_in_sync_set_and_the_high_watermark_waits_for_the_controller() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    leader.produce(2, Acks::All).unwrap();
    leader.now = Time::ZERO + Duration::from_secs(9);
    assert_eq!(proposals(&leader.fetched_by(FOLLOWER, 2, 1)), Vec::<Vec<BrokerId>>::new());
    leader.now = Time::ZERO + Duration::from_secs(11);
    assert_eq!(proposals(&leader.step(Input::Tick)), [vec![LEADER, FOLLOWER]]);
    assert_eq!(leader.replica.high_watermark(), Offset(0), "the controller has not agreed yet");
    let outputs = leader.assign(LEADER, 1, 2, &[LEADER, FOLLOWER]);
    assert_eq!(replies(&outputs), [Ok(Offset(0))]);
}

#[test]
fn a_follower_comes_back_only_past_the_start_of_the_leaders_epoch() {
    let mut leader = Bench::new(LEADER);
    leader.records = vec![1; 5];
    leader.safe = 5;
    leader.assign(LEADER, 2, 1, &[LEADER, FOLLOWER]);
    assert_eq!(proposals(&leader.fetched_by(OTHER, 4, 1)), Vec::<Vec<BrokerId>>::new());
    assert_eq!(proposals(&leader.fetched_by(OTHER, 5, 1)), [vec![LEADER, FOLLOWER, OTHER]]);
}

#[test]
fn a_follower_that_was_complete_once_and_is_gone_does_not_keep_another_out() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER]);
    assert_eq!(proposals(&leader.fetched_by(OTHER, 0, -1)), [vec![LEADER, OTHER]]);
    // The controller refuses: that broker is fenced by now.
    leader.step(Input::InSyncRefused { partition_epoch: PartitionEpoch(1) });
    assert_eq!(proposals(&leader.step(Input::Tick)), Vec::<Vec<BrokerId>>::new());
    assert_eq!(proposals(&leader.fetched_by(FOLLOWER, 0, -1)), [vec![LEADER, FOLLOWER]]);
}

#[test]
fn a_proposal_in_doubt_holds_the_high_watermark_until_the_metadata_speaks() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    assert_eq!(proposals(&leader.fetched_by(OTHER, 0, -1)), [vec![LEADER, FOLLOWER, OTHER]]);
    leader.step(Input::InSyncInDoubt { partition_epoch: PartitionEpoch(1) });
    leader.produce(1, Acks::All).unwrap();
    let outputs = leader.fetched_by(FOLLOWER, 1, 1);
    assert_eq!(leader.replica.high_watermark(), Offset(0), "the third may be in sync by now");
    assert_eq!(proposals(&outputs), [vec![LEADER, FOLLOWER]], "and the next word must be ours");
    leader.step(Input::InSyncRefused { partition_epoch: PartitionEpoch(1) });
    assert_eq!(leader.replica.high_watermark(), Offset(0), "only the second proposal was refused");
    leader.assign(LEADER, 1, 2, &[LEADER, FOLLOWER]);
    assert_eq!(leader.replica.high_watermark(), Offset(1));
}

#[test]
fn the_committed_end_of_a_new_leader_is_unknown_until_its_own_start_is_committed() {
    let mut leader = Bench::new(LEADER);
    leader.records = vec![1; 3];
    leader.safe = 3;
    leader.assign(LEADER, 2, 1, &[LEADER, FOLLOWER]);
    assert_eq!(leader.replica.committed_end(LeaderEpoch(2)), Err(Refusal::OffsetNotAvailable));
    leader.fetched_by(FOLLOWER, 3, 1);
    assert_eq!(leader.replica.committed_end(LeaderEpoch(2)), Ok(Offset(3)));
    assert_eq!(leader.replica.committed_end(LeaderEpoch(1)), Err(Refusal::FencedLeaderEpoch));
}

#[test]
fn a_forgotten_answer_is_never_given() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    leader.produce(1, Acks::All).unwrap();
    leader.step(Input::Forget { ticket: Ticket(0) });
    assert_eq!(replies(&leader.fetched_by(FOLLOWER, 1, 1)), []);
}

#[test]
fn a_gap_is_told_once_every_in_sync_replica_was_heard_after_it() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    leader.now = Time(5);
    assert_eq!(replies(&leader.misfit()), []);
    // What was sent before, or nobody knows when, proves nothing.
    assert_eq!(replies(&leader.fetched_after(Some(Time(4)), FOLLOWER, 0, -1)), []);
    assert_eq!(replies(&leader.fetched_after(None, FOLLOWER, 0, -1)), []);
    assert_eq!(replies(&leader.fetched_after(Some(Time(5)), OTHER, 0, -1)), []);
    assert_eq!(replies(&leader.fetched_after(Some(Time(5)), FOLLOWER, 0, -1)), [Err(Refusal::OutOfSequence(GAP))]);
    assert_eq!(replies(&leader.fetched_after(Some(Time(9)), FOLLOWER, 0, -1)), []);
}

#[test]
fn who_left_the_in_sync_set_need_not_be_heard_and_who_is_alone_asks_nobody() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    leader.misfit();
    assert_eq!(replies(&leader.fetched_after(Some(Time(0)), FOLLOWER, 0, -1)), []);
    assert_eq!(replies(&leader.assign(LEADER, 1, 2, &[LEADER, FOLLOWER])), [Err(Refusal::OutOfSequence(GAP))]);
    // Below the minimum somebody outside may be elected.
    leader.assign(LEADER, 1, 3, &[LEADER]);
    assert_eq!(replies(&leader.misfit()), []);
    leader.in_sync_min = 1;
    assert_eq!(replies(&leader.assign(LEADER, 1, 4, &[LEADER])), [Err(Refusal::OutOfSequence(GAP))]);
    assert_eq!(replies(&leader.misfit()), [Err(Refusal::OutOfSequence(GAP))]);
}

#[test]
fn a_deposed_leader_tells_nobody_of_a_gap() {
    let mut leader = Bench::new(LEADER);
    leader.assign(LEADER, 1, 1, &[LEADER, FOLLOWER]);
    leader.misfit();
    assert_eq!(replies(&leader.assign(FOLLOWER, 2, 2, &[LEADER, FOLLOWER])), [Err(Refusal::NotLeaderOrFollower)]);
    assert_eq!(replies(&leader.misfit()), [Err(Refusal::NotLeaderOrFollower)]);
}

/// What may happen to three replicas; brokers by index.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Produce(usize),
    Sync(usize),
    /// A whole fetch of one follower from whom it believes to lead, and what it does with the answer.
    Fetch(usize),
    /// A follower asks, is not heard, and connects anew.
    Hold(usize),
    /// The oldest such fetch is heard after all.
    Deliver,
    /// A producer's batch leaves a gap, says this broker.
    Misfit(usize),
    /// The controller learns of the latest proposal, and everybody of the metadata.
    Elect(usize),
    Learn(usize),
    LosePower(usize),
    Shrink,
    Grow(usize),
}

fn turn() -> impl Strategy<Value = Turn> {
    let broker = 0..3_usize;
    prop_oneof![
        4 => broker.clone().prop_map(Turn::Produce),
        4 => broker.clone().prop_map(Turn::Sync),
        8 => broker.clone().prop_map(Turn::Fetch),
        1 => broker.clone().prop_map(Turn::Hold),
        1 => Just(Turn::Deliver),
        4 => broker.clone().prop_map(Turn::Misfit),
        1 => broker.clone().prop_map(Turn::Elect),
        4 => broker.clone().prop_map(Turn::Learn),
        1 => broker.clone().prop_map(Turn::LosePower),
        1 => Just(Turn::Shrink),
        2 => broker.prop_map(Turn::Grow),
    ]
}

/// The controller's part, reduced to what the replicas need of it.
struct Metadata {
    leader: usize,
    leader_epoch: i32,
    partition_epoch: i32,
    in_sync: Vec<BrokerId>,
}

struct Three {
    brokers: Vec<Bench>,
    metadata: Metadata,
    /// Epochs of committed records, in order.
    committed: Vec<i32>,
    clock: u64,
    /// When each leader last answered each follower on their connection.
    answered: BTreeMap<(usize, usize), Time>,
    /// Fetches that were sent and not heard yet, by leader.
    held: VecDeque<(usize, FollowerFetch)>,
    /// Had the broker's log all that was committed when a batch left a gap there?
    misfits: BTreeMap<(usize, Ticket), bool>,
}

impl Three {
    fn new(planted: Planted) -> Three {
        let brokers = [LEADER, FOLLOWER, OTHER].map(|id| Bench::planted(id, planted)).into();
        let in_sync = vec![LEADER, FOLLOWER, OTHER];
        let mut three = Three {
            brokers,
            metadata: Metadata { leader: 0, leader_epoch: 0, partition_epoch: 0, in_sync },
            committed: vec![],
            clock: 0,
            answered: BTreeMap::new(),
            held: VecDeque::new(),
            misfits: BTreeMap::new(),
        };
        (0..3).for_each(|broker| three.learn(broker));
        three
    }

    fn learn(&mut self, broker: usize) {
        let Metadata { leader, leader_epoch, partition_epoch, in_sync } = &self.metadata;
        let leader = self.brokers[*leader].local;
        let outputs = self.brokers[broker].assign(leader, *leader_epoch, *partition_epoch, in_sync);
        self.note(broker, &outputs);
    }

    /// Judges what `broker` committed, and what it told producers.
    fn note(&mut self, broker: usize, outputs: &[Output]) {
        for output in outputs {
            if let Output::Reply { ticket, result: Err(Refusal::OutOfSequence(_)) } = output {
                assert!(self.misfits[&(broker, *ticket)], "a leader that lacked what was committed spoke for the log");
            }
            if let Output::HighWatermark { to } = output {
                let own = &self.brokers[broker].records[..to.0 as usize];
                let both = own.len().min(self.committed.len());
                assert_eq!(own[..both], self.committed[..both], "two committed prefixes differ");
                if self.committed.len() < own.len() {
                    self.committed = own.to_vec();
                }
            }
        }
    }

    /// What `follower` asks now, and of whom.
    fn ask(&self, follower: usize) -> Option<(usize, FollowerFetch)> {
        let epochs = self.brokers[follower].epochs();
        let bench = &self.brokers[follower];
        if bench.safe < bench.records.len() {
            return None; // Its shell syncs first.
        }
        let end = bench.end();
        let log = LogView { start: Offset(0), end, safe_end: end, epochs: &epochs };
        let position = bench.replica.fetch_position(log)?;
        let leader = position.leader.0 as usize - 1;
        let fetch = FollowerFetch {
            replica: bench.local,
            broker_epoch: BrokerEpoch(1),
            leader_epoch: position.leader_epoch,
            offset: position.offset,
            last_epoch: position.last_epoch,
            log_start: position.log_start,
            sent_after: self.answered.get(&(leader, follower)).copied(),
        };
        Some((leader, fetch))
    }

    fn fetch(&mut self, follower: usize) {
        let Some((leader, position)) = self.ask(follower) else { return };
        let outputs = self.brokers[leader].step(Input::Fetch(position));
        self.answered.insert((leader, follower), Time(self.clock));
        self.note(leader, &outputs);
        let refused = outputs.iter().find_map(|output| match output {
            Output::FetchRefused(refusal) => Some(*refusal),
            _ => None,
        });
        let answer = match refused {
            Some(Refusal::Diverging { epoch, end }) => {
                Input::Diverging { leader_epoch: position.leader_epoch, epoch, end, leader_start: Some(Offset::ZERO) }
            }
            Some(_) => return,
            None => {
                let from = position.offset.0 as usize;
                let new = self.brokers[leader].records[from..].to_vec();
                let leader_high_watermark = self.brokers[leader].replica.high_watermark();
                self.brokers[follower].records.extend(new);
                Input::FollowerAppended { leader_high_watermark }
            }
        };
        let outputs = self.brokers[follower].step(answer);
        self.note(follower, &outputs);
    }

    fn take(&mut self, turn: Turn) {
        self.clock += 1;
        self.brokers.iter_mut().for_each(|bench| bench.now = Time(self.clock));
        match turn {
            Turn::Produce(broker) => {
                if let Ok(outputs) = self.brokers[broker].produce_unsynced(1, Acks::All) {
                    self.note(broker, &outputs);
                }
            }
            Turn::Sync(broker) => {
                let outputs = self.brokers[broker].sync();
                self.note(broker, &outputs);
            }
            Turn::Fetch(broker) => self.fetch(broker),
            Turn::Hold(broker) => {
                if let Some((leader, fetch)) = self.ask(broker) {
                    self.held.push_back((leader, fetch));
                    self.answered.remove(&(leader, broker));
                }
            }
            Turn::Deliver => {
                if let Some((leader, fetch)) = self.held.pop_front() {
                    let outputs = self.brokers[leader].step(Input::Fetch(fetch));
                    self.note(leader, &outputs);
                }
            }
            Turn::Misfit(broker) => {
                let bench = &mut self.brokers[broker];
                let is_the_log = bench.records.starts_with(&self.committed);
                self.misfits.insert((broker, Ticket(bench.next_ticket)), is_the_log);
                let outputs = bench.misfit();
                self.note(broker, &outputs);
            }
            Turn::Elect(broker) => {
                if self.metadata.in_sync.contains(&self.brokers[broker].local) {
                    self.metadata.leader = broker;
                    self.metadata.leader_epoch += 1;
                    self.metadata.partition_epoch += 1;
                }
            }
            Turn::Learn(broker) => self.learn(broker),
            Turn::LosePower(broker) => {
                let bench = &mut self.brokers[broker];
                bench.records.truncate(bench.safe);
                self.answered.retain(|&(leader, follower), _| leader != broker && follower != broker);
                self.held.retain(|&(leader, _)| leader != broker);
                bench.replica =
                    Replica::new(PARTITION, bench.local, Duration::from_secs(10), bench.replica.planted, Offset(0));
                // Its new registration ends the old leadership: the same epoch must not write the same offset twice.
                if self.metadata.leader == broker {
                    let heir = self.metadata.in_sync.iter().find(|id| id.0 as usize - 1 != broker);
                    self.metadata.leader = heir.map_or(broker, |id| id.0 as usize - 1);
                    self.metadata.leader_epoch += 1;
                    self.metadata.partition_epoch += 1;
                }
                self.learn(broker);
            }
            Turn::Shrink => {
                let leader = self.brokers[self.metadata.leader].local;
                let brokers = &self.brokers;
                if let Some(out) = brokers.iter().map(|bench| bench.local).find(|&id| id != leader)
                    && self.metadata.in_sync.len() > 2
                {
                    self.metadata.in_sync.retain(|&id| id != out);
                    self.metadata.partition_epoch += 1;
                }
            }
            Turn::Grow(broker) => {
                // The controller takes what the leader of its current state proposes, and nothing else.
                let leader = self.metadata.leader;
                let (local, state) = (self.brokers[broker].local, &mut self.brokers[leader].replica);
                let is_current = state.partition_epoch.0 == self.metadata.partition_epoch;
                let is_proposed = state.leader_state().is_some_and(|leader| leader.in_sync_at_most.contains(local));
                if is_current && is_proposed && !self.metadata.in_sync.contains(&local) {
                    self.metadata.in_sync.push(local);
                    self.metadata.partition_epoch += 1;
                }
            }
        }
        self.check();
    }

    /// Whoever may be elected has everything that is committed (StrongIsr of the specifications of KIP-320), and nobody shows a reader
    /// anything else.
    fn check(&self) {
        for bench in &self.brokers {
            let read = |replica: &Replica, log: LogView<'_>| {
                let none = LeaderEpoch::NONE;
                let fetch = ConsumerFetch { leader_epoch: none, offset: log.start, last_epoch: none };
                replica.admit_read_near(log, &fetch, Offset::ZERO)
            };
            if let Ok(end) = bench.with_log(read) {
                assert!(self.committed.starts_with(&bench.records[..end.0 as usize]), "shown, and not committed");
            }
        }
        for id in &self.metadata.in_sync {
            let bench = &self.brokers[id.0 as usize - 1];
            assert!(bench.records.starts_with(&self.committed), "broker {id} is in sync and lacks a committed record");
            assert!(self.committed.len() <= bench.safe, "broker {id} is in sync and could lose a committed record");
        }
    }
}

/// The first of many fixed schedules that breaks a promise.
fn is_caught(planted: Planted) -> bool {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    (0..4000).any(|_| {
        let turns = proptest::collection::vec(turn(), 200).new_tree(&mut runner).unwrap().current();
        std::panic::catch_unwind(|| {
            let mut three = Three::new(planted);
            turns.iter().for_each(|&turn| three.take(turn));
        })
        .is_err()
    })
}

#[test]
fn planted_bugs_of_replication_are_caught() {
    for bug in [
        Bug::TruncateToHighWatermark,
        Bug::HighWatermarkFromFastest,
        Bug::AckBeforeSync,
        Bug::GapToldByZombie,
        Bug::FollowerServesUncommitted,
    ] {
        assert!(is_caught(Planted::NONE.with(bug)), "{}", bug.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_in_sync_replica_holds_what_is_committed(turns in proptest::collection::vec(turn(), 1..300)) {
        let mut three = Three::new(Planted::NONE);
        turns.into_iter().for_each(|turn| three.take(turn));
    }
}
