//! Each promise is shown to fail: a bug is planted, and a scenario must find it within so many seeds, by the promise that it breaks.

#[path = "planted/tales.rs"]
mod tales;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use model::Bug;
use scenarios::Scenario;
use trial::Options;

/// A topic on three brokers, a producer and a reader; faults and the rest come behind.
const GROUND: &str = r#"
title = "A bug is planted"
teaches = "Every check prevents a disaster that has a name."

[[topics]]
name = "orders"
partitions = PARTITIONS
replicas = 3
min_insync_replicas = IN_SYNC_MIN

[[consumers]]
topics = ["orders"]
"#;

const STEADY: &str = r#"
[[producers]]
topic = "orders"
rate = "100/s"
for = "20s"
"#;

const LEADER_CRASHES: &str = r#"
[[faults]]
every = "3s..6s"
between = "2s..16s"
crash = "leader of orders/0"
for = "1s..4s"
"#;

/// The followers hear late, so what the leader alone has is lost with it.
const SLOW_FOLLOWERS: &str = r#"
[[faults]]
at = "3s"
slow = { of = "leader of orders/0", to = "followers of orders/0", latency = "300ms..500ms" }
for = "4s"

[[faults]]
at = "5s..6s"
crash = "leader of orders/0"
for = "6s"
"#;

const HALL_GOES_DARK: &str = r#"
[[faults]]
every = "4s..6s"
between = "2s..16s"
power_loss = "all nodes"
for = "500ms..2s"
"#;

const FOLLOWER_LEFT_BEHIND: &str = r#"
[cluster.config]
"replica.lag.time.max.ms" = 1500

[[faults]]
at = "2s..3s"
partition = { split = "broker 3", clients = "stay with the others" }
for = "8s"

[[faults]]
at = "9s"
crash = "broker 1"
for = "5s"

[[faults]]
at = "9s"
crash = "broker 2"
for = "5s"
"#;

/// Much is under way whenever the power goes, and who comes back may lead soon.
const LIGHTS_FLICKER: &str = r#"
[[faults]]
every = "200ms..400ms"
between = "1s..18s"
power_loss = "followers of orders/0"
for = "20ms..50ms"

[[faults]]
every = "2s..3s"
between = "3s..18s"
power_loss = "leader of orders/0"
for = "20ms..50ms"
"#;

/// Elections take long, and voters die in the middle of them.
const VOTERS_FALL: &str = r#"
[cluster.config]
"controller.quorum.election.timeout.ms" = 500
"controller.quorum.fetch.timeout.ms" = 700

[[faults]]
at = "1s"
slow = { of = "all brokers", latency = "50ms..150ms" }
for = "18s"

[[faults]]
every = "100ms..300ms"
between = "1s..18s"
crash = "random broker"
for = "10ms..50ms"
"#;

const CONTROLLERS_PART: &str = r#"
[cluster]
brokers = 3
controllers = 3

[[faults]]
every = "2s..4s"
between = "1s..18s"
partition = { split = "controller" }
for = "1s..6s"

[[faults]]
every = "2s..5s"
between = "1s..18s"
crash = "controller"
for = "1s..3s"

[[faults]]
every = "3s..5s"
between = "1s..18s"
restart = "random broker"
for = "1s..2s"
"#;

const BUSY: &str = r#"
[[producers]]
topic = "orders"
rate = "500/s"
count = 8
for = "20s"
"#;

const PIPELINED: &str = r#"
[[producers]]
topic = "orders"
rate = "300/s"
retries = 0
for = "20s"
"#;

/// Requests wait at the leader's door, and are read at once.
const LEADER_BLINKS: &str = r#"
[[faults]]
every = "100ms..300ms"
between = "1s..18s"
pause = "leader of orders/0"
for = "20ms..100ms"
"#;

/// Leaders ask for in-sync sets, and whom they ask dies.
const CONTROLLERS_FALL: &str = r#"
[cluster.config]
"broker.heartbeat.interval.ms" = 100
"broker.session.timeout.ms" = 1000
"replica.lag.time.max.ms" = 500
"controller.quorum.election.timeout.ms" = 300
"controller.quorum.fetch.timeout.ms" = 700

[[faults]]
every = "2s..3s"
between = "1s..18s"
slow = { of = "leader of orders/0", latency = "100ms..600ms", direction = "out" }
for = "1s..2s"

[[faults]]
every = "1s..2s"
between = "1s..18s"
crash = "controller"
for = "100ms..300ms"

[[faults]]
every = "500ms..1s"
between = "1s..18s"
crash = "follower of orders/0"
for = "100ms..300ms"
"#;

/// What a leader has not synced goes, and it is back before anybody has given it up.
const LEADER_LOSES_POWER: &str = r#"
[[faults]]
every = "1s..2s"
between = "1s..18s"
power_loss = "leader of orders/0"
for = "50ms..200ms"
"#;

/// A controller that hears nobody, and is heard.
const CONTROLLER_IS_DEAF: &str = r#"
[cluster.config]
"controller.quorum.election.timeout.ms" = 300
"controller.quorum.fetch.timeout.ms" = 700

[[faults]]
every = "4s..6s"
between = "1s..18s"
partition = { split = "controller" }
for = "4s..6s"
"#;

/// Followers lag and come back, while leaders change.
const FOLLOWERS_LAG: &str = r#"
[cluster.config]
"broker.heartbeat.interval.ms" = 100
"broker.session.timeout.ms" = 1000
"replica.lag.time.max.ms" = 500

[[faults]]
every = "2s..3s"
between = "1s..18s"
slow = { of = "leader of orders/0", latency = "100ms..600ms", direction = "out" }
for = "1s..2s"

[[faults]]
every = "500ms..1s"
between = "1s..18s"
crash = "follower of orders/0"
for = "100ms..300ms"
"#;

/// Segments end, leaders change, and who starts again looks whether it knows its log.
const STARTS_ARE_LOOKED_AT: &str = r#"
[cluster]
buggify = true

[cluster.config]
"log.segment.bytes" = 4096

[[faults]]
every = "1s..2s"
between = "3s..18s"
crash = "leader of orders/0"
for = "300ms..1s"
"#;

/// Logs are cut at their start all the time, while followers lag and the power goes.
const RETENTION_IS_TIGHT: &str = r#"
[cluster.config]
"log.segment.bytes" = 1024
"log.retention.bytes" = 1024
"log.retention.check.interval.ms" = 50

[[faults]]
every = "2s..4s"
between = "2s..16s"
slow = { of = "leader of orders/0", to = "followers of orders/0", latency = "300ms..500ms" }
for = "1s..2s"

[[faults]]
every = "3s..5s"
between = "2s..16s"
power_loss = "leader of orders/0"
for = "500ms..2s"
"#;

const CALM: &str = "";

struct Hunt {
    bug: Bug,
    partitions: u32,
    in_sync_min: &'static str,
    producers: &'static str,
    faults: &'static str,
    seeds: u64,
    promises: &'static [&'static str],
}

const fn hunt(bug: Bug, faults: &'static str, seeds: u64, promises: &'static [&'static str]) -> Hunt {
    Hunt { bug, partitions: 1, in_sync_min: "2", producers: STEADY, faults, seeds, promises }
}

impl Hunt {
    fn scenario(&self) -> Scenario {
        let ground =
            GROUND.replace("IN_SYNC_MIN", self.in_sync_min).replace("PARTITIONS", &self.partitions.to_string());
        let text = format!("{ground}{}{}", self.producers, self.faults);
        Scenario::parse("planted", &text).unwrap_or_else(|error| panic!("{error}: {:?}", error.remedy()))
    }

    fn find(&self) {
        find(self.bug, &self.scenario(), self.seeds, self.promises);
    }

    fn is_sound_without(&self) {
        is_sound(&self.scenario(), 1..=1);
    }
}

/// Plants the bug until a promise breaks, or something is missed; it must be one of those that are named.
fn find(bug: Bug, scenario: &Scenario, seeds: u64, promises: &[&str]) {
    let options = Options { source: "planted".into(), plant: Some(bug), ..Options::default() };
    let mut told = Vec::new();
    for seed in 1..=seeds {
        let finished = trial::run(scenario, seed, &options);
        let broken: Vec<&str> = finished
            .run
            .verdicts
            .iter()
            .filter(|verdict| verdict.outcome == invariants::Outcome::Broken)
            .map(|verdict| verdict.promise)
            .collect();
        let is_missed = |promise: &&str| finished.run.missed.iter().any(|missed| missed.contains(promise));
        if promises.iter().any(|promise| broken.contains(promise) || is_missed(promise)) {
            return;
        }
        told.push(format!("seed {seed}: broken {broken:?}, missed {:?}", finished.run.missed));
    }
    panic!("{} was not found by {promises:?}:\n{}", bug.name(), told.join("\n"));
}

/// The same scenario without the bug keeps every promise.
fn is_sound(scenario: &Scenario, seeds: RangeInclusive<u64>) {
    for seed in seeds {
        let finished = trial::run(scenario, seed, &Options { source: "sound".into(), ..Options::default() });
        assert!(
            finished.is_as_expected(),
            "seed {seed}: {:?}\n{}",
            finished.run.disappointments(),
            reports::verdicts(&finished.run)
        );
    }
}

macro_rules! hunts {
    ($($name:ident: $hunt:expr,)*) => {
        $(
            #[test]
            fn $name() {
                $hunt.find();
            }
        )*

        const HUNTED: &[Hunt] = &[$($hunt,)*];
    };
}

const SURVIVE: &str = "acknowledged records survive";
const PREFIX: &str = "the committed prefix never changes";
const HONEST: &str = "acks are honest";
const COMPLETE: &str = "an elected leader has every committed record";
const WATERMARK: &str = "the high watermark waits for every in-sync replica";
const ONE_LEADER: &str = "one leader an epoch";
const AGREE: &str = "replicas agree below the high watermark";
const SPARES: &str = "a truncation spares what is committed";
const RECOVERY: &str = "recovery keeps all that was synced";
const OFFSETS: &str = "acknowledged offsets are true";
const ORDER: &str = "order within a partition";
const INVENTED: &str = "no invented or altered record";
const DUPLICATE: &str = "no duplicate when nothing was retried";
const EPOCHS: &str = "epochs never fall";
const IN_SYNC: &str = "the in-sync set holds whom it should";
const NOWHERE: &str = "nothing comes from nowhere";
const MAJORITY: &str = "the quorum commits by majority";
const DEPOSED: &str = "a deposed controller steps down";
const READ: &str = "clients read only what is committed";
const METADATA: &str = "metadata agrees";
const DISKS: &str = "disks hold what logs say";
const READABLE: &str = "not everything could be read";
const RETENTION: &str = "retention takes only what it may";
const OFFSET_ORDER: &str = "offsets keep their order";
const INDEXES: &str = "indexes equal a scan";
const CONVERGES: &str = "the cluster converges after healing";

hunts! {
    ack_before_replication: hunt(Bug::AckBeforeReplication, SLOW_FOLLOWERS, 5, &[SURVIVE, HONEST]),
    ack_before_sync: hunt(Bug::AckBeforeSync, HALL_GOES_DARK, 10, &[SURVIVE, HONEST, COMPLETE, WATERMARK]),
    truncate_to_high_watermark: hunt(Bug::TruncateToHighWatermark, LEADER_CRASHES, 20, &[SURVIVE, SPARES, PREFIX, COMPLETE]),
    unsynced_vote: hunt(Bug::UnsyncedVote, CALM, 1, &[EPOCHS]),
    vote_twice: hunt(Bug::VoteTwice, VOTERS_FALL, 30, &[ONE_LEADER, EPOCHS]),
    commit_earlier_epoch: hunt(Bug::CommitEarlierEpoch, VOTERS_FALL, 2, &[MAJORITY]),
    commit_unsorted: hunt(Bug::CommitUnsorted, CONTROLLERS_FALL, 5, &[MAJORITY]),
    forgotten_proposal: Hunt {
        partitions: 3,
        ..hunt(Bug::ForgottenProposal, CONTROLLERS_FALL, 10, &[IN_SYNC])
    },
    no_check_quorum: hunt(Bug::NoCheckQuorum, CONTROLLER_IS_DEAF, 3, &[DEPOSED]),
    elect_fenced: hunt(Bug::ElectFenced, HALL_GOES_DARK, 5, &[IN_SYNC, AGREE]),
    restart_keeps_leadership: hunt(Bug::RestartKeepsLeadership, LEADER_LOSES_POWER, 2, &[IN_SYNC, AGREE]),
    high_watermark_from_fastest: hunt(Bug::HighWatermarkFromFastest, SLOW_FOLLOWERS, 2, &[WATERMARK, HONEST]),
    commit_below_minimum: hunt(Bug::CommitBelowMinimum, FOLLOWER_LEFT_BEHIND, 3, &[WATERMARK, HONEST]),
    optimistic_shrink: hunt(Bug::OptimisticShrink, FOLLOWERS_LAG, 3, &[IN_SYNC]),
    serve_uncommitted: hunt(Bug::ServeUncommitted, SLOW_FOLLOWERS, 2, &[READ, ORDER]),
    vote_without_log_check: hunt(Bug::VoteWithoutLogCheck, CONTROLLERS_PART, 30, &[COMPLETE, METADATA, SPARES, PREFIX]),
    elect_out_of_sync: hunt(Bug::ElectOutOfSync, FOLLOWER_LEFT_BEHIND, 10, &[WATERMARK, COMPLETE, PREFIX, SPARES]),
    leader_without_new_epoch: hunt(Bug::LeaderWithoutNewEpoch, LEADER_CRASHES, 5, &[ONE_LEADER, EPOCHS]),
    recovery_trusts_torn_tail: Hunt {
        producers: BUSY,
        in_sync_min: "1",
        ..hunt(Bug::RecoveryTrustsTornTail, LIGHTS_FLICKER, 25, &[RECOVERY, SURVIVE, AGREE, INVENTED, PREFIX, READABLE, DISKS])
    },
    append_twice: Hunt { producers: PIPELINED, ..hunt(Bug::AppendTwice, CALM, 2, &[DUPLICATE]) },
    ack_wrong_offset: hunt(Bug::AckWrongOffset, CALM, 2, &[OFFSETS, HONEST, ORDER]),
    alter_record: hunt(Bug::AlterRecord, CALM, 2, &[NOWHERE, INVENTED]),
    reorder_appends: Hunt { producers: PIPELINED, ..hunt(Bug::ReorderAppends, LEADER_BLINKS, 5, &[ORDER]) },
    time_index_of_last_batch: Hunt { producers: BUSY, ..hunt(Bug::TimeIndexOfLastBatch, STARTS_ARE_LOOKED_AT, 10, &[INDEXES]) },
    stale_epoch_checkpoint: Hunt {
        producers: BUSY,
        ..hunt(Bug::StaleEpochCheckpoint, STARTS_ARE_LOOKED_AT, 10, &[INDEXES, SURVIVE, SPARES, READABLE])
    },
    retention_past_high_watermark: Hunt {
        producers: BUSY,
        ..hunt(Bug::RetentionPastHighWatermark, RETENTION_IS_TIGHT, 3, &[RETENTION])
    },
    log_start_unsynced: hunt(Bug::LogStartUnsynced, RETENTION_IS_TIGHT, 5, &[RETENTION, OFFSET_ORDER, RECOVERY, READABLE]),
    never_elect: hunt(Bug::NeverElect, NEVER_ELECTED, 3, &[CONVERGES]),
}

const NEVER_ELECTED: &str = r#"
[[faults]]
at = "3s"
crash = "controller"
for = "4s"

[expect]
unavailable_at_most = "10s"
"#;

#[test]
fn every_hunting_ground_is_sound_without_its_bug() {
    HUNTED.iter().for_each(Hunt::is_sound_without);
}

#[test]
fn every_bug_has_a_hunting_ground_or_a_tale() {
    let planted: BTreeSet<Bug> =
        HUNTED.iter().map(|hunt| hunt.bug).chain(tales::TOLD.iter().map(|told| told.bug)).collect();
    let forgotten: Vec<&str> = Bug::ALL.iter().filter(|bug| !planted.contains(bug)).map(|bug| bug.name()).collect();
    assert!(forgotten.is_empty(), "nobody plants {forgotten:?}");
}

/// The catalogue that people read is the one that is planted.
#[test]
fn docs_bugs_is_in_step_with_the_catalogue() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bugs.md");
    let page = catalogue();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        #[allow(clippy::disallowed_methods, reason = "the page is written where it is read")]
        std::fs::write(&path, &page).expect("docs/ can be written");
    }
    #[allow(clippy::disallowed_methods, reason = "a test reads the project's own pages")]
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "run: UPDATE_DOCS=1 cargo test -p trial --test planted docs");
}

fn catalogue() -> String {
    let mut page = String::from(include_str!("planted/head.md"));
    for bug in Bug::ALL {
        let (name, story, had, breaks) = (bug.name(), bug.story(), bug.had_by(), bug.breaks());
        page += &format!("| `{name}` | {story} | {had} | {breaks} |\n");
    }
    page + include_str!("planted/foot.md")
}

/// Whatever an operator may write, a server is given no bug: its keys know none, its command line knows none.
#[test]
fn no_key_and_no_flag_of_a_server_names_a_bug() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker");
    let mut rooms = vec![
        root.join("cli/src"),
        root.join("host/src"),
        root.join("protocol/src"),
        root.join("server/src/config.rs"),
        root.join("server/src/config"),
    ];
    while let Some(room) = rooms.pop() {
        if room.is_dir() {
            rooms
                .extend(std::fs::read_dir(&room).expect("it is there").map(|entry| entry.expect("it is there").path()));
            continue;
        }
        #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
        let text = std::fs::read_to_string(&room).expect("sources are text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for bug in Bug::ALL {
            assert!(!code.contains(&format!("{:?}", bug.name())), "{} names {}", room.display(), bug.name());
        }
        for way in [".with(Bug", "from_str::<Bug", "Planted(", "Bug::ALL"] {
            assert!(!code.contains(way), "{} can make a set of bugs: {way}", room.display());
        }
    }
}
