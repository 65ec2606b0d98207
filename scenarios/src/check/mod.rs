//! Sense: what the types allow and no run could do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::change::{Change, ChangeKind};
use crate::client::{Acks, Consumer, Producer, Sleep};
use crate::cluster::{ConfigValue, SERVER_KEYS, Topic};
use crate::error::Mistake;
use crate::expect::PROMISES;
use crate::parse::Step;
use crate::scenario::{Phase, Scenario};
use crate::words::{Range, Span, nearest};

const LOG_DIRS_MAX: u32 = 8;
const BROKERS_MAX: u32 = 15;
const CONTROLLERS_MAX: u32 = 9;
const PARTITIONS_MAX: u32 = 1000;
const CLIENTS_MAX: u32 = 100;
/// Kafka's own bound on a topic's name.
const TOPIC_NAME_MAX: usize = 249;

/// A place in the file and what is wrong there.
type Found = (Vec<Step>, Mistake);
type Checked = Result<(), Found>;

/// The first mistake, and the path to it.
pub(crate) fn first_mistake(scenario: &Scenario) -> Option<Found> {
    check(scenario).err()
}

macro_rules! path {
    ($($step:expr),*) => { vec![$(Step::from($step)),*] };
}

// After the macro, which it uses.
mod fault;

fn wrong(path: Vec<Step>, message: impl Into<String>, help: impl Into<String>) -> Checked {
    Err((path, Mistake::new(message, help)))
}

fn check(scenario: &Scenario) -> Checked {
    if scenario.title.trim().is_empty() {
        return wrong(path!["title"], "the title is empty", "say in one sentence what happens");
    }
    if scenario.teaches.trim().is_empty() {
        return wrong(path!["teaches"], "the lesson is empty", "say in a sentence or two what the tale teaches");
    }
    cluster(scenario)?;
    if scenario.topics.is_empty() {
        return wrong(path![], "there is nothing to do: no topic", "add a [[topics]] with a name");
    }
    if scenario.producers.is_empty() && scenario.consumers.is_empty() {
        return wrong(path![], "there is nothing to do: no client", "add a [[producers]] or a [[consumers]]");
    }
    phases(scenario)?;
    for (place, one) in scenario.topics.iter().enumerate() {
        topic(scenario, place, one)?;
    }
    for (place, one) in scenario.producers.iter().enumerate() {
        producer(scenario, place, one)?;
    }
    for (place, one) in scenario.consumers.iter().enumerate() {
        consumer(scenario, place, one)?;
    }
    for (place, one) in scenario.faults.iter().enumerate() {
        fault::fault(scenario, place, one)?;
    }
    for (place, one) in scenario.changes.iter().enumerate() {
        change(scenario, place, one)?;
    }
    quiet(scenario)?;
    expect(scenario)
}

fn change(scenario: &Scenario, place: usize, change: &Change) -> Checked {
    let here = |key: &str| path!["changes", place, key];
    let key = match &change.kind {
        ChangeKind::DeleteTopic(_) => "delete_topic",
        ChangeKind::RemakeTopic(_) => "remake_topic",
        ChangeKind::AddPartitions(_) => "add_partitions",
        ChangeKind::AlterTopic(_) => "alter_topic",
        ChangeKind::Reassign(_) => "reassign",
        ChangeKind::CancelReassignment(_) => "cancel_reassignment",
        ChangeKind::LiftThrottle(_) => "lift_throttle",
        ChangeKind::ElectPreferred(_) => "elect_preferred",
        ChangeKind::ElectUnclean(_) => "elect_unclean",
        ChangeKind::DeleteRecords(_) => "delete_records",
        ChangeKind::AddVoter(node) => return may_vote(scenario, here("add_voter"), *node),
        ChangeKind::RemoveVoter(node) => return may_vote(scenario, here("remove_voter"), *node),
        ChangeKind::UpdateFeatures(0) => {
            return wrong(here("update_features"), "there is no level 0 of the metadata", "levels begin at 1");
        }
        ChangeKind::UpdateFeatures(_) => return Ok(()),
    };
    let Some(topic) = change.topic() else { return Ok(()) };
    let Some(declared) = scenario.topic(topic) else {
        let names = words(scenario.topics.iter().map(|topic| topic.name.as_str()));
        return wrong(here(key), format!("there is no topic \"{topic}\""), format!("the topics are: {names}"));
    };
    let others = scenario.changes.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, other)| other);
    if change.loses_topic() && others.filter(|other| other.topic() == Some(topic)).count() > 0 {
        let help = "keep this one, or give the others a topic of their own";
        return wrong(here(key), format!("topic \"{topic}\" is deleted, and changed besides"), help);
    }
    if matches!(change.kind, ChangeKind::ElectUnclean(_)) && scenario.claims.unclean_election != Some(true) {
        let message = format!("records of \"{topic}\" may be lost, and the claims do not allow it");
        return wrong(here(key), message, "write unclean_election = true under [claims], or leave this change out");
    }
    if let ChangeKind::Reassign(reassign) = &change.kind {
        let stranger = reassign.to.iter().find(|id| !(1..=scenario.cluster.brokers).contains(id));
        if let Some(stranger) = stranger {
            let help = format!("the brokers are 1 to {}", scenario.cluster.brokers);
            return wrong(here(key), format!("there is no broker {stranger}"), help);
        }
        let distinct: BTreeSet<&u32> = reassign.to.iter().collect();
        if distinct.len() != reassign.to.len() || distinct.len() != declared.replicas as usize {
            let message = format!("each partition of \"{topic}\" has {} replicas", declared.replicas);
            return wrong(here(key), message, format!("name {} brokers, each once", declared.replicas));
        }
    }
    if let ChangeKind::AddPartitions(more) = &change.kind {
        between(here(key), "to", more.to, declared.partitions + 1, PARTITIONS_MAX)?;
        if scenario.producers.iter().any(|producer| producer.topic == topic && producer.keys.is_some()) {
            let message = format!("keys of \"{topic}\" would go to other partitions from then on");
            return wrong(here(key), message, "let its producers do without keys");
        }
    }
    Ok(())
}

/// Is this a node that may ever vote?
fn may_vote(scenario: &Scenario, here: Vec<Step>, node: u32) -> Checked {
    let nodes = scenario.cluster.controllers_by_number();
    if nodes.contains(&node) {
        return Ok(());
    }
    let help = format!("the nodes that may vote are {} to {}", nodes.start(), nodes.end());
    wrong(here, format!("node {node} is no controller"), help)
}

fn quiet(scenario: &Scenario) -> Checked {
    for (place, one) in scenario.quiet.leave.iter().enumerate() {
        let here = path!["quiet", "leave", place];
        if one.means_clients() {
            return wrong(
                here,
                format!("{one} is no server"),
                "name brokers or the controller, or \"random minority\"",
            );
        }
        fault::selector(scenario, here, one)?;
    }
    if scenario.quiet.within == Some(Span(Duration::ZERO)) {
        return wrong(path!["quiet", "within"], "nothing is found in no time", "write a span such as \"60s\"");
    }
    Ok(())
}

fn cluster(scenario: &Scenario) -> Checked {
    let cluster = &scenario.cluster;
    between(path!["cluster", "brokers"], "brokers", cluster.brokers, 1, BROKERS_MAX)?;
    between(path!["cluster", "controllers"], "controllers", cluster.controllers, 0, CONTROLLERS_MAX)?;
    if let Some(voters) = cluster.voters {
        between(path!["cluster", "voters"], "voters", voters, 1, cluster.controllers_by_number().count() as u32)?;
    }
    between(path!["cluster", "log_dirs"], "log_dirs", cluster.log_dirs, 1, LOG_DIRS_MAX)?;
    if cluster.duration == Some(Span(Duration::ZERO)) {
        return wrong(path!["cluster", "duration"], "a run of no time shows nothing", "write a span such as \"30s\"");
    }
    if let Some(place) = cluster.racks.iter().position(|rack| rack.trim().is_empty()) {
        return wrong(path!["cluster", "racks", place], "the rack has no name", "give it one, such as \"north\"");
    }
    config(&["cluster".into(), "config".into()], &cluster.config)
}

/// Refuses keys that a scenario may not set, and values that they cannot have.
fn config(path: &[Step], config: &BTreeMap<String, ConfigValue>) -> Checked {
    for (name, value) in config {
        let here = |step: Step| [path, &[step]].concat();
        let Some(key) = SERVER_KEYS.iter().find(|key| key.name == name) else {
            let help = match nearest(name, SERVER_KEYS.iter().map(|key| key.name)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("keys that a scenario may set: {}", words(SERVER_KEYS.iter().map(|key| key.name))),
            };
            return wrong(
                here(Step::Name(name.clone())),
                format!("no node has the configuration key \"{name}\""),
                help,
            );
        };
        match (key.number_min, value) {
            (None, ConfigValue::Bool(_)) => {}
            (Some(min), ConfigValue::Number(number)) if min <= *number => {}
            (Some(min), _) => {
                return wrong(
                    here(name.as_str().into()),
                    format!("\"{name}\" cannot be {value}"),
                    format!("write a whole number from {min} up"),
                );
            }
            (None, _) => {
                return wrong(
                    here(name.as_str().into()),
                    format!("\"{name}\" cannot be {value}"),
                    "write true or false",
                );
            }
        }
    }
    Ok(())
}

fn topic(scenario: &Scenario, place: usize, topic: &Topic) -> Checked {
    let name = topic.name.as_str();
    let here = |key: &str| path!["topics", place, key];
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || TOPIC_NAME_MAX < name.len() || !name.chars().all(legal) || name == "." || name == ".." {
        let help = format!("use 1 to {TOPIC_NAME_MAX} letters, digits, dots, underscores and dashes");
        return wrong(here("name"), format!("\"{name}\" cannot be a topic's name"), help);
    }
    if scenario.topics[..place].iter().any(|earlier| earlier.name == name) {
        return wrong(here("name"), format!("there are two topics \"{name}\""), "give each topic its own name");
    }
    between(here("partitions"), "partitions", topic.partitions, 1, PARTITIONS_MAX)?;
    let brokers = scenario.cluster.brokers;
    if topic.replicas == 0 || brokers < topic.replicas {
        let message = format!("topic \"{name}\" wants {} replicas on {brokers} brokers", topic.replicas);
        return wrong(
            here("replicas"),
            message,
            format!("write replicas = {} (it is 3 unless said otherwise)", up_to(brokers)),
        );
    }
    if topic.min_insync_replicas == 0 || topic.replicas < topic.min_insync_replicas {
        let (minimum, replicas) = (topic.min_insync_replicas, topic.replicas);
        let message = format!("topic \"{name}\" wants {minimum} replicas in sync and has {replicas}");
        let help = format!("write min_insync_replicas = {} (it is 2 unless said otherwise)", up_to(replicas));
        return wrong(here("min_insync_replicas"), message, help);
    }
    Ok(())
}

fn producer(scenario: &Scenario, place: usize, producer: &Producer) -> Checked {
    let here = |key: &str| path!["producers", place, key];
    let topic = known_topic(scenario, here("topic"), &producer.topic)?;
    if let Some(partition) = producer.partition {
        known_partition(here("partition"), topic, partition)?;
        if producer.keys.is_some() {
            let help = "write `partition` to send to one, or `keys` to spread";
            return wrong(here("partition"), "both `keys` and `partition` choose the partition", help);
        }
    }
    if producer.tombstones.is_some() && producer.keys.is_none() {
        let help = "write `keys`, or leave `tombstones` out";
        return wrong(here("tombstones"), "a record without a key has none to delete", help);
    }
    if producer.tombstones == Some(0) {
        return wrong(
            here("tombstones"),
            "no record can be one in none",
            "write tombstones = 1 or more, or leave it out",
        );
    }
    if producer.keys == Some(0) {
        return wrong(here("keys"), "no key can be chosen from none", "write keys = 1 or more, or leave it out");
    }
    if producer.idempotent && producer.acks != Acks::All {
        let message = format!("an idempotent producer cannot have acks = \"{}\"", producer.acks);
        return wrong(here("acks"), message, "write acks = \"all\", or leave idempotent out");
    }
    if producer.idempotent && producer.retries == Some(0) {
        let message = "an idempotent producer sends again what failed: that is what it is for";
        return wrong(here("retries"), message, "leave retries out, or idempotent");
    }
    between(here("count"), "count", producer.count, 1, CLIENTS_MAX)?;
    let phase = known_phase(scenario, here("during"), producer.during.as_deref())?;
    starts_in_time(scenario, here("starts"), phase, producer.starts)?;
    some_time(here("for"), producer.lasts)
}

fn consumer(scenario: &Scenario, place: usize, consumer: &Consumer) -> Checked {
    let here = |key: &str| path!["consumers", place, key];
    if consumer.topics.is_empty() {
        return wrong(here("topics"), "a consumer of no topic has nothing to do", "write topics = [\"orders\"]");
    }
    for (item, topic) in consumer.topics.iter().enumerate() {
        known_topic(scenario, path!["consumers", place, "topics", item], topic)?;
    }
    if consumer.group.as_deref() == Some("") {
        return wrong(here("group"), "the group has no name", "give it one, or leave `group` out");
    }
    let racks = &scenario.cluster.racks;
    if let Some(rack) = consumer.rack.as_ref().filter(|rack| !racks.contains(rack)) {
        let help = match nearest(rack, racks.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if racks.is_empty() => format!("write racks = [\"{rack}\", …] under [cluster]"),
            None => format!("the racks are: {}", words(racks.iter().map(String::as_str))),
        };
        return wrong(here("rack"), format!("no broker stands in rack \"{rack}\""), help);
    }
    between(here("count"), "count", consumer.count, 1, CLIENTS_MAX)?;
    let phase = known_phase(scenario, here("during"), consumer.during.as_deref())?;
    starts_in_time(scenario, here("starts"), phase, consumer.starts)?;
    some_time(here("for"), consumer.lasts)?;
    match consumer.sleeps {
        None => Ok(()),
        Some(Sleep::Once { at, .. }) => {
            in_time(scenario, path!["consumers", place, "sleeps", "at"], phase, "the sleep begins", at.to)
        }
        Some(Sleep::Repeated { every, .. }) => never_nothing(path!["consumers", place, "sleeps", "every"], every),
    }
}

fn expect(scenario: &Scenario) -> Checked {
    if scenario.expect.unavailable_at_most == Some(Span(Duration::ZERO)) {
        let help = "write a span such as \"12s\", or leave it out";
        return wrong(path!["expect", "unavailable_at_most"], "no cluster fails over in no time", help);
    }
    if scenario.expect.failover_at_most == Some(Span(Duration::ZERO)) {
        let help = "write a span such as \"12s\", or leave it out";
        return wrong(path!["expect", "failover_at_most"], "no cluster fails over in no time", help);
    }
    if let Some(promise) = scenario.expect.broken.iter().find(|promise| scenario.expect.allowed.contains(promise)) {
        let message = format!("\"{promise}\" both must break and may be kept");
        return wrong(path!["expect", "allowed"], message, "keep it in `broken` or in `allowed`");
    }
    promises("broken", &scenario.expect.broken)?;
    promises("allowed", &scenario.expect.allowed)
}

fn promises(key: &str, promises: &[String]) -> Checked {
    for (item, promise) in promises.iter().enumerate() {
        if !PROMISES.contains(&promise.as_str()) {
            let help = match nearest(promise, PROMISES.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("the promises are: {}", words(PROMISES.iter().copied())),
            };
            return wrong(path!["expect", key, item], format!("nobody promises \"{promise}\""), help);
        }
    }
    Ok(())
}

fn between(path: Vec<Step>, what: &str, number: u32, min: u32, max: u32) -> Checked {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    wrong(path, format!("{what} cannot be {number}"), format!("write {what} = {min} to {max}"))
}

fn up_to(max: u32) -> String {
    if max == 1 { "1".into() } else { format!("1 to {max}") }
}

fn known_topic<'a>(scenario: &'a Scenario, path: Vec<Step>, name: &str) -> Result<&'a Topic, Found> {
    match scenario.topic(name) {
        Some(topic) => Ok(topic),
        None => no_topic(scenario, path, name).map(|()| &scenario.topics[0]),
    }
}

fn no_topic(scenario: &Scenario, path: Vec<Step>, name: &str) -> Checked {
    let names = || scenario.topics.iter().map(|topic| topic.name.as_str());
    let help = match nearest(name, names()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("topics of this scenario: {}", words(names())),
    };
    wrong(path, format!("there is no topic \"{name}\""), help)
}

fn known_partition(path: Vec<Step>, topic: &Topic, partition: u32) -> Checked {
    if partition < topic.partitions {
        return Ok(());
    }
    let last = topic.partitions - 1;
    let message = format!("topic \"{}\" has no partition {partition}", topic.name);
    wrong(path, message, format!("write a partition from 0 to {last}, or give the topic more partitions"))
}

fn phases(scenario: &Scenario) -> Checked {
    for (place, phase) in scenario.phases.iter().enumerate() {
        let here = |key: &str| path!["phases", place, key];
        if phase.name.trim().is_empty() {
            return wrong(here("name"), "the phase has no name", "give it one, such as \"storm\"");
        }
        if scenario.phases[..place].iter().any(|other| other.name == phase.name) {
            let message = format!("there are two phases \"{}\"", phase.name);
            return wrong(here("name"), message, "give each a name of its own");
        }
        some_time(here("for"), Some(phase.lasts))?;
    }
    let all: Duration = scenario.phases.iter().map(|phase| phase.lasts.to).sum();
    match scenario.cluster.duration {
        Some(Span(duration)) if duration < all => {
            let message = format!("the phases take up to {}, and the run {}", Span(all), Span(duration));
            wrong(path!["cluster", "duration"], message, "leave `duration` out, or make the phases shorter")
        }
        _ => Ok(()),
    }
}

/// The phase that `during` names.
fn known_phase<'a>(scenario: &'a Scenario, path: Vec<Step>, name: Option<&str>) -> Result<Option<&'a Phase>, Found> {
    let Some(name) = name else { return Ok(None) };
    let phase = scenario.phases.iter().find(|phase| phase.name == name);
    if phase.is_some() {
        return Ok(phase);
    }
    let names = || scenario.phases.iter().map(|phase| phase.name.as_str());
    let help = match nearest(name, names()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None if scenario.phases.is_empty() => format!("add a [[phases]] with name = \"{name}\""),
        None => format!("phases of this scenario: {}", words(names())),
    };
    wrong(path, format!("there is no phase \"{name}\""), help).map(|()| None)
}

fn starts_in_time(scenario: &Scenario, path: Vec<Step>, phase: Option<&Phase>, starts: Option<Range>) -> Checked {
    starts.map_or(Ok(()), |starts| in_time(scenario, path, phase, "the client starts", starts.to))
}

/// Refuses what would begin when the run, or its phase, is over.
fn in_time(scenario: &Scenario, path: Vec<Step>, phase: Option<&Phase>, what: &str, at: Duration) -> Checked {
    if let Some(phase) = phase {
        if at < phase.lasts.to {
            return Ok(());
        }
        let (at, end) = (Span(at), Span(phase.lasts.to));
        let message = format!("{what} at {at}, but the phase \"{}\" ends at {end}", phase.name);
        return wrong(path, message, "begin earlier, or make the phase longer");
    }
    let length = scenario.length();
    if at < length || at.is_zero() {
        return Ok(());
    }
    let message = format!("{what} at {}, but the run ends at {}", Span(at), Span(length));
    wrong(path, message, "begin earlier, or set `duration` in [cluster]")
}

fn some_time(path: Vec<Step>, lasts: Option<Range>) -> Checked {
    match lasts {
        Some(lasts) if lasts.to.is_zero() => {
            wrong(path, "no time passes", "write a span such as \"3s\", or leave `for` out")
        }
        _ => Ok(()),
    }
}

fn never_nothing(path: Vec<Step>, every: Range) -> Checked {
    if every.from < EVERY_MIN {
        let help = format!("write a span of at least {}, such as \"5s..9s\"", Span(EVERY_MIN));
        return wrong(path, format!("every {every} leaves no time in between"), help);
    }
    Ok(())
}

/// Faults and sleeps that follow each other faster than this are one.
const EVERY_MIN: Duration = Duration::from_millis(10);

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
