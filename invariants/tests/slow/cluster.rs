//! The promises that speak of time, of quiet phases and of whom the controller counts on, from their definitions: is one broken at one place
//! of a trace, or when it is over?

use std::collections::BTreeSet;
use std::time::Duration;

use evidence::What;
use model::{BrokerEpoch, BrokerId, Event, LeaderEpoch, PartitionEpoch, PartitionId, Time};

use super::promises::{last, witnessed};
use super::*;

/// What was told, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) told: Vec<Told>,
    pub(crate) times: Vec<Time>,
}

/// A promise, and whether one entry of a trace breaks it.
pub(crate) type Reference = (&'static str, fn(&Trace, usize) -> bool);

pub(crate) const REFERENCES: &[Reference] = &[
    ("the in-sync set holds whom it should", |trace, at| {
        let (node, what) = &trace.told[at];
        matches!(what, What::Witnessed(event) if somebody_is_out_of_place(&trace.told[..at], *node, event))
    }),
    ("throttles spare those in sync", somebody_in_sync_is_held_back),
    ("a deposed controller steps down", a_deposed_controller_leads_on),
    ("what waits is answered", too_much_waits),
    ("the cluster converges after healing", something_is_left_apart),
];

fn named(core: &[evidence::NodeName]) -> BTreeSet<i32> {
    core.iter().filter_map(|name| name.0.rsplit_once('-')?.1.parse().ok()).collect()
}

fn set(brokers: &[BrokerId]) -> BTreeSet<BrokerId> {
    brokers.iter().copied().collect()
}

/// What a node told since it last started or fell, of which `is` makes something, the last one first.
fn lately<'a, T>(before: &'a [Told], node: i32, is: impl Fn(&'a Event) -> Option<T>) -> Vec<T> {
    witnessed(this_life(before, node)).rev().filter(|(by, _)| *by == node).filter_map(|(_, event)| is(event)).collect()
}

struct State<'a> {
    leader: Option<BrokerId>,
    epoch: LeaderEpoch,
    number: PartitionEpoch,
    in_sync: &'a [BrokerId],
}

fn state_of(event: &Event, of: PartitionId) -> Option<State<'_>> {
    match event {
        Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync } => (*partition == of)
            .then_some(State { leader: *leader, epoch: *leader_epoch, number: *partition_epoch, in_sync }),
        _ => None,
    }
}

/// The newest state that anybody applied; of those that tell of one, the first.
fn newest(before: &[Told], of: PartitionId) -> Option<State<'_>> {
    witnessed(before).filter_map(|(_, event)| state_of(event, of)).rev().max_by_key(|state| state.number)
}

fn somebody_is_out_of_place(before: &[Told], node: i32, event: &Event) -> bool {
    match event {
        Event::PartitionChanged { partition, .. } => {
            let Some(state) = state_of(event, *partition) else { return false };
            let members = set(state.in_sync);
            let is_crooked = members.is_empty() || members.len() != state.in_sync.len();
            let is_led_from_outside = state.leader.is_some_and(|leader| !members.contains(&leader));
            let held_by = lately(before, node, |event| match event {
                Event::ReplicasChanged { partition: of, replicas, .. } if of == partition => Some(set(replicas)),
                _ => None,
            });
            let has_a_stranger = held_by.first().is_some_and(|held_by| !members.is_subset(held_by));
            is_crooked || is_led_from_outside || has_a_stranger || changes_wrongly(before, node, *partition, &state)
        }
        Event::InSyncKnown { partition, epoch, partition_epoch, at_most, .. } => {
            let at_most = set(at_most);
            let is_newer = newest(before, *partition)
                .is_some_and(|newest| newest.epoch == *epoch && !set(newest.in_sync).is_subset(&at_most));
            is_newer || !in_doubt(before, node, *partition, (*epoch, *partition_epoch)).is_subset(&at_most)
        }
        Event::InSyncProposed { partition, members, .. } => {
            let Some(epoch) = leading(before, node, *partition) else { return false };
            let began = last(before, node, |event| match *event {
                Event::BecameLeader { partition: of, log_end, .. } if of == *partition => Some(log_end),
                _ => None,
            });
            let (in_sync, _) = in_sync(before, node, *partition);
            let lacks = |member: BrokerId| {
                following(before, member.0, *partition) == Some(epoch)
                    && Some(reached(before, member.0, *partition)) < began
            };
            members.iter().any(|(member, _)| !in_sync.contains(member) && lacks(*member))
        }
        Event::MetadataApplied { .. } => a_fenced_broker_counts(before, node),
        _ => false,
    }
}

/// Against what came before it: who joins is another process than the one that fetched, or its leader does not wait for all.
fn changes_wrongly(before: &[Told], node: i32, partition: PartitionId, state: &State<'_>) -> bool {
    let Some(newest) = newest(before, partition).filter(|newest| newest.number < state.number) else {
        return newest(before, partition).is_none() && is_not_waited_for(before, partition, state);
    };
    let joins_wrongly = state.in_sync.iter().filter(|member| !newest.in_sync.contains(member)).any(|joining| {
        let registered = lately(before, node, |event| match *event {
            Event::BrokerRegistered { broker, epoch, .. } if broker == *joining => Some(epoch),
            _ => None,
        });
        let asked: Vec<Option<BrokerEpoch>> = witnessed(before)
            .filter_map(|(_, event)| match event {
                Event::InSyncProposed { partition: of, partition_epoch, members, .. } => {
                    ((*of, *partition_epoch) == (partition, newest.number)).then_some(members)
                }
                _ => None,
            })
            .flatten()
            .filter(|(member, _)| member == joining)
            .map(|(_, epoch)| *epoch)
            .collect();
        let is_another = |asked: &Option<BrokerEpoch>| asked.is_some() && registered.first() != asked.as_ref();
        !registered.is_empty() && !asked.is_empty() && asked.iter().all(is_another)
    });
    newest.epoch == state.epoch && joins_wrongly || is_not_waited_for(before, partition, state)
}

fn is_not_waited_for(before: &[Told], partition: PartitionId, state: &State<'_>) -> bool {
    let Some(leader) = state.leader.filter(|leader| leading(before, leader.0, partition) == Some(state.epoch)) else {
        return false;
    };
    let (_, at_most) = in_sync(before, leader.0, partition);
    !at_most.is_empty() && state.in_sync.iter().any(|member| !at_most.contains(member))
}

/// Whom a node asked for in its last doubts, if these were about this epoch and state.
fn in_doubt(before: &[Told], node: i32, of: PartitionId, about: (LeaderEpoch, PartitionEpoch)) -> BTreeSet<BrokerId> {
    let mut doubts: Vec<(usize, (LeaderEpoch, PartitionEpoch))> = Vec::new();
    for (at, (by, what)) in before.iter().enumerate() {
        match *what {
            What::Witnessed(Event::InSyncInDoubt { partition, epoch, partition_epoch })
                if *by == node && partition == of =>
            {
                doubts.push((at, (epoch, partition_epoch)));
            }
            _ => {}
        }
    }
    let lasting = doubts.iter().rev().take_while(|(_, doubt)| *doubt == about);
    let asked_at = |at: usize| {
        witnessed(&before[..at]).rev().find_map(|(_, event)| match event {
            Event::InSyncProposed { partition, partition_epoch, members, .. } => {
                ((*partition, *partition_epoch) == (of, about.1)).then_some(members)
            }
            _ => None,
        })
    };
    lasting.filter_map(|(at, _)| asked_at(*at)).flatten().map(|(member, _)| *member).collect()
}

/// By what a node has applied in its life: a broker that is fenced leads, or makes others wait.
fn a_fenced_broker_counts(before: &[Told], node: i32) -> bool {
    let is_fenced = |broker: BrokerId| {
        let words = lately(before, node, |event| match *event {
            Event::BrokerRegistered { broker: of, .. } | Event::BrokerFenced { broker: of } if of == broker => {
                Some(true)
            }
            Event::BrokerUnfenced { broker: of } if of == broker => Some(false),
            _ => None,
        });
        let is_registered =
            |event: &Event| matches!(event, Event::BrokerRegistered { broker: of, .. } if *of == broker).then_some(());
        !lately(before, node, is_registered).is_empty() && words.first() == Some(&true)
    };
    let states = lately(before, node, |event| state_of(event, tale_partition()));
    states.first().is_some_and(|state| {
        state.leader.is_some_and(|leader| is_fenced(leader) || state.in_sync.iter().any(|member| is_fenced(*member)))
    })
}

/// The only partition of these traces.
fn tale_partition() -> PartitionId {
    crate::tale::P
}

fn somebody_in_sync_is_held_back(trace: &Trace, at: usize) -> bool {
    let What::Witnessed(Event::HeldBack { partition, partition_epoch, replica }) = &trace.told[at].1 else {
        return false;
    };
    let states = witnessed(&trace.told[..at]).filter_map(|(_, event)| state_of(event, *partition));
    let first = states.into_iter().find(|state| state.number == *partition_epoch);
    first.is_some_and(|state| state.in_sync.contains(replica))
}

fn controls(told: &Told) -> Option<LeaderEpoch> {
    match told.1 {
        What::Witnessed(Event::QuorumLeader { epoch, .. }) => Some(epoch),
        _ => None,
    }
}

fn a_deposed_controller_leads_on(trace: &Trace, at: usize) -> bool {
    let (before, times, now) = (&trace.told[..at], &trace.times, trace.times[at]);
    let timeout = witnessed(before).rev().find_map(|(_, event)| match *event {
        Event::QuorumJoined { fetch_timeout_ms, .. } => Some(Duration::from_millis(fetch_timeout_ms)),
        _ => None,
    });
    let Some(timeout) = timeout else { return false };
    (0..at).any(|began| {
        let (node, Some(epoch)) = (before[began].0, controls(&before[began])) else { return false };
        let own = |place: &usize| before[*place].0 == node;
        let is_over = |place: usize| {
            ends_a_life(&before[place].1)
                || matches!(
                    before[place].1,
                    What::Witnessed(
                        Event::QuorumLeader { .. } | Event::QuorumFollower { .. } | Event::QuorumUnattached { .. }
                    )
                )
        };
        let deposed = (0..at).find(|&place| controls(&before[place]).is_some_and(|other| epoch < other));
        let mut pauses = (began + 1..at)
            .filter(own)
            .filter(|&place| matches!(before[place].1, What::NodePaused | What::NodeResumed));
        let last_pause = pauses.next_back();
        let stands_still = last_pause.is_some_and(|place| before[place].1 == What::NodePaused);
        let woke = last_pause.map_or(times[began], |place| times[place]);
        !(began + 1..at).filter(own).any(is_over)
            && !stands_still
            && deposed.is_some_and(|place| times[place].max(times[began]).max(woke) + timeout * 4 < now)
    })
}

/// Where the last quiet phase began, and where it was over, if it is.
fn quiet(before: &[Told]) -> (Option<usize>, Option<usize>) {
    let began = before.iter().rposition(|(_, what)| matches!(what, What::QuietBegan { .. }));
    let ended = before.iter().rposition(|(_, what)| *what == What::QuietEnded);
    (began, ended.filter(|ended| began.is_none_or(|began| began < *ended)))
}

fn core(before: &[Told]) -> BTreeSet<i32> {
    match quiet(before).0.map(|began| &before[began].1) {
        Some(What::QuietBegan { core }) => named(core),
        _ => BTreeSet::new(),
    }
}

fn too_much_waits(trace: &Trace, at: usize) -> bool {
    let before = &trace.told[..at];
    let (node, What::Witnessed(Event::Burden { answers, fetches })) = trace.told[at] else { return false };
    let is_long_over =
        quiet(before).1.is_some_and(|ended| trace.times[ended] + Duration::from_secs(1) <= trace.times[at]);
    100_000 < answers.max(fetches) || is_long_over && core(before).contains(&node) && 0 < answers
}

/// Judged once, when a trace is over.
pub(crate) fn something_is_never_synced(trace: &Trace) -> bool {
    let told = &trace.told[..];
    let Some(&now) = trace.times.last().filter(|_| quiet(told).1.is_some()) else { return false };
    let is_up = |node: i32| {
        let lives = told.iter().rev().filter(|(by, _)| *by == node).map(|(_, what)| what);
        let mut turns = lives.filter(|what| ends_a_life(what) || matches!(what, What::NodePaused | What::NodeResumed));
        matches!(turns.next(), Some(What::NodeStarted | What::NodeResumed))
    };
    core(told).into_iter().filter(|node| is_up(*node)).any(|node| {
        let partition = tale_partition();
        let written = told.iter().rposition(|(by, what)| {
            *by == node && matches!(what, What::Witnessed(Event::Appended { partition: log, .. }) if *log == partition)
        });
        let started = told.iter().rposition(|told| *told == (node, What::NodeStarted));
        let [started_at, written_at] =
            [started, written].map(|place| place.map_or(Time::ZERO, |place| trace.times[place]));
        let is_old = started_at <= written_at && written_at + Duration::from_secs(2) < now;
        is_old && on_disk(told, node, partition).is_some_and(|on_disk| Some(on_disk) < end(told, node, partition))
    })
}

/// Does this node go on without the log directory that had its replica?
fn has_lost_its_replica(before: &[Told], node: i32) -> bool {
    let started = before.iter().rposition(|told| *told == (node, What::NodeStarted)).unwrap_or(0);
    let lost = last(&before[started..], node, |event| match event {
        Event::LogDirectoryFailed { replicas, .. } if replicas.contains(&tale_partition()) => Some(()),
        _ => None,
    });
    lost.is_some()
}

fn gave_up(trace: &Trace, at: usize, node: i32) -> Option<Time> {
    let started = trace.told[..at].iter().rposition(|told| *told == (node, What::NodeStarted)).unwrap_or(0);
    let mut stops = (started..at).filter(|&place| {
        trace.told[place].0 == node && matches!(trace.told[place].1, What::NodeStopped { error: Some(_) })
    });
    stops.next_back().map(|place| trace.times[place])
}

/// Is this the end of a quiet phase?
pub(crate) fn is_judged_at(trace: &Trace, at: usize) -> bool {
    trace.told[at].1 == What::QuietEnded && matches!(quiet(&trace.told[..at]), (Some(_), None))
}

fn something_is_left_apart(trace: &Trace, at: usize) -> bool {
    let before = &trace.told[..at];
    let Some(began) = quiet(before).0.filter(|_| is_judged_at(trace, at)) else { return false };
    let whole: BTreeSet<i32> = core(before).into_iter().filter(|node| gave_up(trace, at, *node).is_none()).collect();
    let has_lost_its_quorum = has_lost_its_quorum(trace, at, &whole);
    let metadata = !is_one_metadata(before, &whole);
    let partition = is_heard_of_by_anybody(before) && !is_one_partition(before, began, &whole);
    metadata && !has_lost_its_quorum || partition && !has_lost_its_quorum && !is_excused(trace, at, &whole)
}

fn is_heard_of_by_anybody(before: &[Told]) -> bool {
    witnessed(before).any(|(_, event)| matches!(event, Event::PartitionChanged { .. } | Event::ReplicasChanged { .. }))
}

/// Some voter gave up, and no majority is left.
fn has_lost_its_quorum(trace: &Trace, at: usize, whole: &BTreeSet<i32>) -> bool {
    let before = &trace.told[..at];
    let controller = before.iter().rev().find(|told| controls(told).is_some()).map(|(node, _)| *node);
    let told = controller.and_then(|controller| {
        last(before, controller, |event| match event {
            Event::QuorumJoined { voters, .. } => Some(voters.iter().map(|voter| voter.0).collect::<Vec<i32>>()),
            _ => None,
        })
    });
    let voters = told.unwrap_or_else(|| brokers(before).into_iter().filter(|node| *node < 9).collect());
    let left = voters.iter().filter(|voter| whole.contains(voter)).count();
    left <= voters.len() / 2 && voters.iter().any(|voter| gave_up(trace, at, *voter).is_some())
}

fn is_one_metadata(before: &[Told], whole: &BTreeSet<i32>) -> bool {
    let elections = before.iter().filter_map(|told| Some((told.0, controls(told)?)));
    let Some((controller, _)) = elections.max_by_key(|(_, epoch)| *epoch) else { return false };
    let applied = |node: i32| {
        let started = before.iter().rposition(|told| *told == (node, What::NodeStarted)).unwrap_or(0);
        last(&before[started..], node, |event| match *event {
            Event::MetadataApplied { end, digest } => Some((end, digest)),
            _ => None,
        })
    };
    whole.contains(&controller) && whole.iter().all(|node| applied(*node) == applied(controller))
}

/// Of the newest metadata: who holds the partition and who of them is on its way, who leads it, and who is in sync.
struct Placed {
    replicas: BTreeSet<BrokerId>,
    adding: BTreeSet<BrokerId>,
    leader: Option<BrokerId>,
    in_sync: BTreeSet<BrokerId>,
}

fn placed(before: &[Told]) -> Placed {
    let partition = tale_partition();
    let states = witnessed(before).filter_map(|(_, event)| state_of(event, partition));
    let state = states.rev().max_by_key(|state| (state.epoch, state.number));
    let places = witnessed(before).filter_map(|(_, event)| match event {
        Event::ReplicasChanged { partition_epoch, replicas, adding, .. } => Some((*partition_epoch, replicas, adding)),
        _ => None,
    });
    let place = places.rev().max_by_key(|(number, ..)| *number);
    Placed {
        replicas: place.map(|(_, replicas, _)| set(replicas)).unwrap_or_default(),
        adding: place.map(|(_, _, adding)| set(adding)).unwrap_or_default(),
        leader: state.as_ref().and_then(|state| state.leader),
        in_sync: state.map(|state| set(state.in_sync)).unwrap_or_default(),
    }
}

fn is_one_partition(before: &[Told], began: usize, whole: &BTreeSet<i32>) -> bool {
    let partition = tale_partition();
    let Placed { replicas, adding, leader, in_sync } = placed(before);
    let is_here = |id: &BrokerId| whole.contains(&id.0) && !has_lost_its_replica(before, id.0);
    let members: BTreeSet<BrokerId> = replicas.into_iter().filter(is_here).collect();
    let Some(leader) = leader.filter(|leader| members.contains(leader)) else { return false };
    let is_moving = !adding.is_empty() && adding.is_subset(&members);
    let took_a_record = witnessed(&before[began..]).any(|(_, event)| matches!(event, Event::Acked { .. }));
    let theirs = log(before, leader.0, partition);
    let committed = end(before, leader.0, partition);
    let agrees = |member: &BrokerId| {
        let ours = log(before, member.0, partition);
        is_heard_of(before, member.0, partition)
            && end(before, member.0, partition) == committed
            && !differ(&ours, &theirs, Offset(0), committed.unwrap_or(Offset(0)))
            && Some(own_high_watermark(before, member.0, partition)) == committed
    };
    in_sync == members && !is_moving && took_a_record && members.iter().all(agrees)
}

fn is_excused(trace: &Trace, at: usize, whole: &BTreeSet<i32>) -> bool {
    const NOTICED: Duration = Duration::from_secs(30);
    let before = &trace.told[..at];
    let partition = tale_partition();
    let Placed { replicas, in_sync, .. } = placed(before);
    let is_here = |id: &BrokerId| whole.contains(&id.0) && !has_lost_its_replica(before, id.0);
    if !in_sync.iter().any(is_here) {
        return true;
    }
    let left = replicas.iter().filter(|id| is_here(id)).count();
    let are_too_few = brokers(before).into_iter().any(|node| left < in_sync_min(before, node, partition));
    let gone = replicas.iter().filter_map(|id| gave_up(trace, at, id.0));
    gone.into_iter().any(|since| are_too_few || trace.times[at] < since + NOTICED)
}
