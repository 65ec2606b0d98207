//! What one decision costs the leader of a metadata quorum of three, beside disk and network: a record that it appends and syncs,
//! and the fetches by which its followers tell that they have it.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{BrokerId, Endpoint, LeaderEpoch, Offset, Planted, Time};
use roles::quorum::{
    Body, Config, FetchRequest, Input, Output, Positions, Quorum, QuorumState, Recovered, Request, Response, Ticket,
    Voter, VoterHistory, VoterSet,
};

const FOLLOWERS: [BrokerId; 2] = [BrokerId(2), BrokerId(3)];

/// Node 1 of three, to whom everybody gives a vote.
fn leader() -> (Quorum, Time) {
    let config = Config {
        id: BrokerId(1),
        directory: None,
        election_timeout: Duration::from_secs(1),
        fetch_timeout: Duration::from_secs(2),
        planted: Planted::NONE,
    };
    let voter = |id| Voter { id: BrokerId(id), directory: None, endpoint: Endpoint::new("node", 9092) };
    let voters = VoterHistory::recovered(VoterSet::new([1, 2, 3].map(voter)), None, Vec::new());
    let recovered = Recovered { state: QuorumState::default(), log: Positions::default(), voters };
    let mut quorum = Quorum::new(config, recovered, Time::ZERO, 0);
    let now = quorum.deadline();
    let mut inputs = VecDeque::from([Input::Tick]);
    let mut out = Vec::new();
    while let Some(input) = inputs.pop_front() {
        quorum.step(now, 0, input, &mut out);
        for output in out.drain(..) {
            match output {
                Output::PersistState { version, .. } => inputs.push_back(Input::StatePersisted { version }),
                Output::Send { id, to, request: request @ Request::Vote(_) } => {
                    let body = Body::Vote { granted: true };
                    let response = Response { epoch: request.epoch(), leader: None, body };
                    inputs.push_back(Input::Answered { id, from: to, response });
                }
                Output::AppendLeaderChange { .. } => inputs.push_back(Input::Appended { end: Offset(1) }),
                _ => {}
            }
        }
        if quorum.log_end() == Offset(1) {
            break;
        }
    }
    assert!(quorum.is_leader());
    (quorum, now)
}

fn fetch(replica: BrokerId, epoch: LeaderEpoch, offset: Offset) -> Input {
    let request = Request::Fetch(FetchRequest { epoch, replica, directory: None, offset, last_epoch: epoch });
    Input::Request { ticket: Ticket(offset.0 as u64 * 4 + replica.0 as u64), request }
}

fn commit(criterion: &mut Criterion) {
    let (mut quorum, mut now) = leader();
    let (epoch, mut out) = (quorum.epoch(), Vec::new());
    criterion.benchmark_group("quorum step").bench_function("a record that is committed", |bencher| {
        bencher.iter(|| {
            now = now + Duration::from_millis(1);
            let end = quorum.log_end().plus(1);
            let fetches = FOLLOWERS.map(|follower| fetch(follower, epoch, end));
            for input in [Input::Appended { end }, Input::LogSynced { end }].into_iter().chain(fetches) {
                quorum.step(now, 0, input, &mut out);
                black_box(out.drain(..).count());
            }
        });
    });
    assert_eq!(quorum.high_watermark(), quorum.log_end(), "what was measured is a commit");
}

criterion_group!(benches, commit);
criterion_main!(benches);
