//! Random quorums: in some runs who votes on the metadata changes, or controllers fall one after the other, or little of the metadata
//! log is kept.
//!
//! Brokers are given up sooner than controllers then, so that one that is cut off decides a lot for nobody before it gives up; links that are
//! slow for long let changes meet elections, and each other.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::BoxedStrategy;

use super::knobs;
use super::pace::{FAULTS_FROM, Pace, once, repeated, span};
use crate::change::{Change, ChangeKind};
use crate::cluster::{Cluster, ConfigValue};
use crate::fault::{Clients, Cut, Direction, Fault, FaultKind, NetworkFault, NodeFault, Slow};
use crate::scenario::Scenario;
use crate::words::{Range, Selector};

/// How long a session is, and how long the quorum waits: heartbeats fit into sessions, elections into fetch timeouts.
const PATIENCE: &[&[(&str, i64)]] = &[
    &[
        ("broker.heartbeat.interval.ms", 100),
        ("broker.session.timeout.ms", 500),
        ("controller.quorum.election.timeout.ms", 1_000),
        ("controller.quorum.fetch.timeout.ms", 1_500),
    ],
    &[
        ("broker.heartbeat.interval.ms", 300),
        ("broker.session.timeout.ms", 1_500),
        ("controller.quorum.election.timeout.ms", 1_000),
        ("controller.quorum.fetch.timeout.ms", 2_000),
    ],
    &[
        ("broker.heartbeat.interval.ms", 300),
        ("broker.session.timeout.ms", 1_500),
        ("controller.quorum.election.timeout.ms", 500),
        ("controller.quorum.fetch.timeout.ms", 1_000),
    ],
];

/// How little of the metadata is kept as a log: snapshots at every batch, or now and then.
const BRIEFLY: &[&[(&str, i64)]] = &[
    &[
        ("metadata.log.segment.bytes", 1_024),
        ("metadata.log.max.record.bytes.between.snapshots", 1),
        ("metadata.max.retention.bytes", 0),
    ],
    &[
        ("metadata.log.segment.bytes", 1_024),
        ("metadata.log.max.record.bytes.between.snapshots", 600),
        ("metadata.max.retention.bytes", 500),
    ],
    &[
        ("metadata.log.segment.bytes", 4_096),
        ("metadata.log.max.record.bytes.between.snapshots", 3_000),
        ("metadata.max.retention.bytes", 4_000),
    ],
];

/// Milliseconds from one fall to the next, and how long each lasts: about as long as controllers are waited for, or longer.
const FALLS: &[Pace] = &[(3_000, (300, 2_000)), (6_000, (2_000, 4_500))];

/// Milliseconds: a change that is asked for in the first half of the run may be done in the second.
const CHANGES: (u32, u32) = (3_000, 15_000);

/// Milliseconds from one change of a node's vote to its next.
const BACK_AFTER: (u32, u32) = (500, 8_000);

/// For how long links are slow that are.
const SLOW_FOR: Duration = Duration::from_secs(20);

/// What a random quorum adds to a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Quorum {
    config: BTreeMap<String, ConfigValue>,
    /// So many controllers on nodes of their own, instead of what was drawn before.
    controllers: Option<u32>,
    voters: Option<u32>,
    faults: Vec<Fault>,
    changes: Vec<Change>,
}

pub(super) fn quorum(cluster: &Cluster) -> BoxedStrategy<Quorum> {
    let briefly = || select(BRIEFLY).prop_map(knobs);
    let kept = || prop_oneof![1 => Just(BTreeMap::new()), 3 => briefly()];
    let patient = || select(PATIENCE).prop_map(knobs);
    let controllers = prop_oneof![1 => Just(None), 1 => Just(Some(3))];
    let fallen = (patient(), kept(), controllers, falls(), slow(false)).prop_map(
        |(patience, briefly, controllers, falls, slow)| Quorum {
            config: patience.into_iter().chain(briefly).collect(),
            controllers,
            faults: [falls, slow].concat(),
            ..Quorum::default()
        },
    );
    let voting = (patient(), kept(), electorate(cluster), falls(), slow(true)).prop_map(
        |(patience, briefly, Electorate { controllers, voters, changes }, falls, slow)| Quorum {
            config: patience.into_iter().chain(briefly).collect(),
            controllers,
            voters,
            faults: [falls, slow].concat(),
            changes,
        },
    );
    prop_oneof![
        12 => Just(Quorum::default()),
        1 => briefly().prop_map(|config| Quorum { config, ..Quorum::default() }),
        2 => fallen,
        2 => voting,
    ]
    .boxed()
}

/// The controller falls, again and again.
pub(super) fn falls() -> impl Strategy<Value = Vec<Fault>> {
    let direction = select(&[Direction::Both, Direction::In, Direction::Out][..]);
    let cut = direction.prop_map(|direction| {
        let cut = Cut { split: Selector::Controller, from: None, direction, clients: Clients::ReachBoth };
        FaultKind::Network(NetworkFault::Partition(cut))
    });
    let kind = prop_oneof![
        4 => cut,
        2 => Just(FaultKind::Node(NodeFault::Crash(Selector::Controller))),
        1 => Just(FaultKind::Node(NodeFault::PowerLoss(Selector::Controller))),
        1 => Just(FaultKind::Node(NodeFault::Pause(Selector::Controller))),
    ];
    select(FALLS).prop_flat_map(move |pace| repeated(kind.clone(), pace)).prop_map(|fall| vec![fall])
}

/// All links are slow, for most of the run: seldom, or mostly.
fn slow(mostly: bool) -> impl Strategy<Value = Vec<Fault>> {
    let latency = prop_oneof![span(5, 150), span(50, 250)].prop_map(|latency| {
        let slow = Slow { of: Selector::AllNodes, to: None, latency, direction: Direction::Both };
        vec![once(FaultKind::Network(NetworkFault::Slow(slow)), FAULTS_FROM, SLOW_FOR)]
    });
    let (never, always) = if mostly { (1, 2) } else { (4, 1) };
    prop_oneof![never => Just(Vec::new()), always => latency]
}

/// Who votes from the beginning, and what changes.
#[derive(Clone, Debug)]
struct Electorate {
    controllers: Option<u32>,
    voters: Option<u32>,
    changes: Vec<Change>,
}

/// Two to four nodes change their minds, some of them twice; one voter of the beginning always stays.
fn electorate(cluster: &Cluster) -> impl Strategy<Value = Electorate> + use<> {
    let cluster = cluster.clone();
    let controllers = prop_oneof![2 => Just(None), 1 => (3..=5u32).prop_map(Some)];
    controllers.prop_flat_map(move |controllers| {
        let grown = Cluster { controllers: controllers.unwrap_or(cluster.controllers), ..cluster.clone() };
        let nodes: Vec<u32> = grown.controllers_by_number().collect();
        let all = nodes.len() as u32;
        let voters = prop_oneof![1 => Just(None), 1 => Just(Some(all.min(3))), 1 => (1..all).prop_map(Some)];
        let stays = any::<proptest::sample::Index>();
        (voters, stays, subsequence(nodes.clone(), 2..=nodes.len().min(4))).prop_flat_map(
            move |(voters, stays, chosen)| {
                let first = voters.unwrap_or(all) as usize;
                let stays = nodes[stays.index(first)];
                let of = |node: u32| moves(node, nodes[..first].contains(&node));
                let moves: Vec<_> = chosen.into_iter().filter(|node| *node != stays).map(of).collect();
                // Everything at once, or each in its time.
                let together = option::of(span(CHANGES.0, CHANGES.1));
                (moves, together).prop_map(move |(moves, together)| {
                    let at = |(place, mut change): (usize, Change)| {
                        change.at = together.filter(|_| place == 0).unwrap_or(change.at);
                        change
                    };
                    let changes = moves.into_iter().flat_map(|each| each.into_iter().enumerate().map(at)).collect();
                    Electorate { controllers, voters, changes }
                })
            },
        )
    })
}

/// A node votes no more, or from now on; and perhaps as before, some time later.
fn moves(node: u32, votes: bool) -> BoxedStrategy<Vec<Change>> {
    let first = span(CHANGES.0, CHANGES.1);
    let then = option::of(BACK_AFTER.0..=BACK_AFTER.1);
    let kind = move |votes| if votes { ChangeKind::RemoveVoter(node) } else { ChangeKind::AddVoter(node) };
    (first, then)
        .prop_map(move |(at, back)| {
            let after = |back: u32| {
                let back = Duration::from_millis(u64::from(back / 100 * 100));
                Change { at: Range::exactly(at.to + back), kind: kind(!votes) }
            };
            [Some(Change { at, kind: kind(votes) }), back.map(after)].into_iter().flatten().collect()
        })
        .boxed()
}

impl Quorum {
    /// Where controllers fall, hardly anything else does.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        scenario.cluster.config.extend(self.config);
        scenario.cluster.controllers = self.controllers.unwrap_or(scenario.cluster.controllers);
        scenario.cluster.voters = self.voters;
        if !self.faults.is_empty() {
            scenario.faults.truncate(1);
            scenario.faults.extend(self.faults);
        }
        scenario.changes.extend(self.changes);
    }
}
