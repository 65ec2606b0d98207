//! Rules between keys: what each key allows by itself and all of them together do not.

use std::net::{IpAddr, ToSocketAddrs};

use server::Voter;
use server::keys::Draft;

use super::entries::Entries;
use super::problem::{Problem, Source};

/// Fills in what follows from other keys, and says what contradicts.
pub(super) fn check(draft: &mut Draft, entries: &Entries, source: &Source) -> Vec<Problem> {
    let mut problems = roles(draft, entries, source);
    problems.extend(addresses(draft, entries, source));
    problems.extend(limits(draft, entries, source));
    problems
}

fn roles(draft: &mut Draft, entries: &Entries, source: &Source) -> Vec<Problem> {
    let config = &mut draft.config;
    let node = config.node_id;
    if !draft.has_voters {
        config.voters = vec![Voter { id: node, endpoint: config.listener.clone() }];
    }
    let is_voter = config.is_controller();
    config.may_join_quorum = draft.roles.is_some_and(|roles| roles.controller) && !is_voter;
    config.is_broker = draft.roles.is_none_or(|roles| roles.broker);

    let mut problems = Vec::new();
    let mut refuse = |key: &str, message: String, label: &str, help: String| {
        problems.push(source.problem_of(entries.get(key), message, label, help));
    };
    match draft.roles {
        Some(roles) if !roles.controller && !draft.has_voters => refuse(
            "process.roles",
            format!("node {node} is no controller, and nobody else is named"),
            "says no controller",
            "name the quorum: controller.quorum.voters = \"1@host:port\"".into(),
        ),
        Some(roles) if !roles.controller && is_voter => refuse(
            "process.roles",
            format!("node {node} is among the voters, and so is a controller"),
            "says no controller",
            format!("write \"controller\" here too, or take {node} out of controller.quorum.voters on every node"),
        ),
        Some(_) | None => {}
    }
    let is_alone = is_voter && config.voters.len() == 1;
    if config.cluster_id.is_none() && !is_alone {
        refuse(
            "controller.quorum.voters",
            "a cluster of several nodes needs a name that all of them know".into(),
            "more than this node alone",
            "write the same cluster.id on every node, for example cluster.id = \"orders-production\"".into(),
        );
    }
    if let Some(own) = config.voters.iter().find(|voter| voter.id == node)
        && own.endpoint.port != config.listener.port
        && own.endpoint.port != config.advertised().port
    {
        refuse(
            "controller.quorum.voters",
            format!("the voters say that node {node} is at {}, and it listens at {}", own.endpoint, config.listener),
            "another port",
            "use one port: clients and other nodes share the listener".into(),
        );
    }
    problems
}

fn addresses(draft: &Draft, entries: &Entries, source: &Source) -> Vec<Problem> {
    let config = &draft.config;
    let listener = &config.listener;
    let mut problems = Vec::new();
    if let Err(error) = (listener.host.as_str(), listener.port).to_socket_addrs() {
        problems.push(source.problem_of(
            entries.get("listeners"),
            format!("the name \"{}\" is unknown to this machine: {error}", listener.host),
            "nowhere to listen",
            "write a name or address of this machine, or 0.0.0.0 for all of them",
        ));
    }
    let told = config.advertised();
    if told.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        let key = if config.advertised.is_some() { "advertised.listeners" } else { "listeners" };
        problems.push(source.problem_of(
            entries.get(key),
            format!("clients would be told to connect to {}, which is no place", told.host),
            "an address for listening only",
            format!("say where clients find this node: advertised.listeners = \"name-of-this-machine:{}\"", told.port),
        ));
    }
    problems
}

fn limits(draft: &Draft, entries: &Entries, source: &Source) -> Vec<Problem> {
    let config = &draft.config;
    let topics = |key: &str| config.topic_number(key).map(u128::from);
    let pairs = [
        (
            "broker.heartbeat.interval.ms",
            Some(config.broker_heartbeat_interval.as_millis()),
            "broker.session.timeout.ms",
            Some(config.broker_session_timeout.as_millis()),
            "a broker would be taken for dead between two signs of life",
        ),
        (
            "replica.fetch.wait.max.ms",
            Some(config.replica_fetch_wait_max.as_millis()),
            "replica.lag.time.max.ms",
            Some(config.replica_lag_time_max.as_millis()),
            "a follower would leave the in-sync set while its leader keeps it waiting",
        ),
        (
            "message.max.bytes",
            topics("message.max.bytes"),
            "socket.request.max.bytes",
            Some(config.request_bytes_max as u128),
            "the largest batch would not fit into any request",
        ),
        (
            "message.max.bytes",
            topics("message.max.bytes"),
            "log.segment.bytes",
            topics("log.segment.bytes").map(|bytes| bytes + 1),
            "the largest batch would not fit into any segment",
        ),
    ];
    let contradicts = |(smaller, low, larger, high, why): (&str, Option<u128>, &str, Option<u128>, &str)| {
        let (low, high) = (low?, high?);
        (high <= low).then(|| {
            let entry = entries.get(smaller).or_else(|| entries.get(larger));
            source.problem_of(
                entry,
                format!("{smaller} is {low}, too much for {larger}: {why}"),
                "this value",
                format!("lower {smaller}, or raise {larger}"),
            )
        })
    };
    pairs.into_iter().filter_map(contradicts).collect()
}
