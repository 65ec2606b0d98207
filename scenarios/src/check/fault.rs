//! Sense in faults: whom they mean, and when.

use super::{
    Checked, between, config, in_time, known_partition, known_phase, never_nothing, no_topic, some_time, up_to, wrong,
};
use crate::fault::{
    Clock, ClockFault, DiskFault, Fault, FaultKind, Moment, NetworkFault, NodeFault, Reconfigure, Sectors, When,
};
use crate::parse::Step;
use crate::scenario::Scenario;
use crate::words::{LogDir, Selector};

pub(super) fn fault(scenario: &Scenario, place: usize, fault: &Fault) -> Checked {
    let here = |key: &str| path!["faults", place, key];
    let phase = known_phase(scenario, here("during"), fault.during.as_deref())?;
    match fault.when {
        When::At(at) => in_time(scenario, here("at"), phase, "the fault begins", at.to)?,
        When::Every { every, between } => {
            never_nothing(here("every"), every)?;
            if let Some(between) = between {
                in_time(scenario, here("between"), phase, "faults begin", between.to)?;
            }
        }
    }
    some_time(here("for"), fault.lasts)?;
    if fault.kind.is_instant() && fault.lasts.is_some() {
        let message = format!("`{}` is over as soon as it is done", fault.kind.key());
        return wrong(here("for"), message, "leave `for` out, or use `every` to do it again and again");
    }
    let key = fault.kind.key();
    for (inner, one) in fault.kind.selectors() {
        let mut path = here(key);
        path.extend(inner.map(Step::from));
        selector(scenario, path, one)?;
    }
    let has_disk = match &fault.kind {
        FaultKind::Node(fault) => !fault.of().means_clients(),
        FaultKind::Disk(_) => true,
        FaultKind::Network(_) | FaultKind::Clock(_) => false,
    };
    if fault.moment == Some(Moment::WritesInFlight) && !has_disk {
        let message = format!("`{key}` here strikes no disk, so no writes are in flight on it");
        return wrong(here("when"), message, "leave `when` out, or strike a broker or its disk");
    }
    match &fault.kind {
        FaultKind::Node(fault) => node(here(key), fault),
        FaultKind::Network(fault) => network(scenario, here(key), fault),
        FaultKind::Disk(fault) => disk(scenario, here(key), fault),
        FaultKind::Clock(fault) => clock(here(key), fault),
    }
}

fn node(mut path: Vec<Step>, fault: &NodeFault) -> Checked {
    match fault {
        NodeFault::PowerLoss(clients) if clients.means_clients() => no_disk(path, clients),
        NodeFault::Restart(clients) if clients.means_clients() => {
            wrong(path, "clients do not stop in order", "let the client crash or pause")
        }
        NodeFault::Reconfigure(Reconfigure { of, .. }) if of.means_clients() => {
            path.push("of".into());
            wrong(path, format!("{of} has no configuration"), "name a broker")
        }
        NodeFault::Reconfigure(Reconfigure { with, .. }) => {
            path.push("with".into());
            if with.is_empty() {
                return wrong(path, "nothing is configured", "name a key and its value, or write `restart`");
            }
            config(&path, with)
        }
        _ => Ok(()),
    }
}

fn disk(scenario: &Scenario, path: Vec<Step>, fault: &DiskFault) -> Checked {
    if fault.of().means_clients() {
        return no_disk(path, fault.of());
    }
    let here = |key: &str| [&path[..], &[key.into()]].concat();
    if let Some(named) = fault.log_dir() {
        log_dir(scenario, here("log_dir"), named, matches!(fault, DiskFault::Wiped(_)))?;
    }
    match fault {
        DiskFault::Slow(slow) => between(here("times"), "times", slow.times, 2, 100_000),
        DiskFault::Rot(Sectors { sectors, .. }) | DiskFault::Unreadable(Sectors { sectors, .. }) => {
            between(here("sectors"), "sectors", *sectors, 1, 1_000)
        }
        DiskFault::Full(_)
        | DiskFault::Error(_)
        | DiskFault::Dead(_)
        | DiskFault::Stalled(_)
        | DiskFault::LostWrites(_)
        | DiskFault::MisdirectedWrites(_)
        | DiskFault::Wiped(_) => Ok(()),
    }
}

fn log_dir(scenario: &Scenario, path: Vec<Step>, log_dir: &LogDir, is_wiped: bool) -> Checked {
    let most = scenario.cluster.log_dirs;
    match log_dir {
        LogDir::Number(1) if is_wiped => {
            let help = "leave `log_dir` out to wipe the whole disk, or name another directory";
            wrong(path, "the first log directory has the metadata", help)
        }
        LogDir::Number(number) if most < *number => {
            let help = format!("write {}, or give brokers more with log_dirs in [cluster]", up_to(most));
            wrong(path, format!("there is no log directory {number}"), help)
        }
        LogDir::Number(_) => Ok(()),
        LogDir::Of(partition) => match scenario.topic(&partition.topic) {
            Some(topic) => known_partition(path, topic, partition.index),
            None => no_topic(scenario, path, &partition.topic),
        },
    }
}

fn clock(path: Vec<Step>, fault: &ClockFault) -> Checked {
    match fault {
        ClockFault::Wrong(Clock { offset: None, drift: None, .. }) => {
            wrong(path, "the clock is right", "write an offset such as \"+3s\", a drift such as \"+200ppm\", or both")
        }
        ClockFault::Wrong(_) => Ok(()),
    }
}

fn no_disk(path: Vec<Step>, clients: &Selector) -> Checked {
    wrong(path, format!("{clients} has no disk"), "name a broker, or let the client crash or pause")
}

fn network(scenario: &Scenario, mut path: Vec<Step>, fault: &NetworkFault) -> Checked {
    let nodes = scenario.cluster.brokers + scenario.cluster.controllers;
    match fault {
        NetworkFault::Partition(cut) | NetworkFault::Hold(cut)
            if cut.from.is_none() && matches!(cut.split, Selector::AllBrokers | Selector::AllNodes) =>
        {
            path.push("split".into());
            let help = "name some of them, or say from whom they are cut with `from`";
            wrong(path, format!("{} on one side leave nobody on the other", cut.split), help)
        }
        NetworkFault::Bridge(clients) | NetworkFault::Ring(clients) if clients.means_clients() => {
            wrong(path, format!("{clients} is no server"), "name brokers, or the controller")
        }
        NetworkFault::Bridge(_) if nodes < BRIDGE_MIN => {
            wrong(path, format!("{nodes} nodes are too few for a bridge"), "write brokers = 3 or more")
        }
        NetworkFault::Ring(_) if nodes < RING_MIN => {
            let message = format!("in a ring of {nodes} nodes everybody hears everybody");
            wrong(path, message, "write brokers = 4 or more, or use `partition` with `from` to cut one link")
        }
        NetworkFault::Flap(flap) => {
            let inner = |key: &str| path.iter().cloned().chain([key.into()]).collect();
            never_nothing(inner("up"), flap.up)?;
            never_nothing(inner("down"), flap.down)
        }
        NetworkFault::Swizzle(swizzle) => {
            path.push("step".into());
            never_nothing(path, swizzle.step)
        }
        _ => Ok(()),
    }
}

/// One in the middle, and one on each side.
const BRIDGE_MIN: u32 = 3;

/// In a smaller one the neighbours are all.
const RING_MIN: u32 = 4;

pub(super) fn selector(scenario: &Scenario, path: Vec<Step>, selector: &Selector) -> Checked {
    selector.parts().iter().try_for_each(|one| one_selector(scenario, path.clone(), one))
}

fn one_selector(scenario: &Scenario, path: Vec<Step>, selector: &Selector) -> Checked {
    if let Some(partition) = selector.partition() {
        let Some(topic) = scenario.topic(&partition.topic) else {
            return no_topic(scenario, path, &partition.topic);
        };
        return known_partition(path, topic, partition.index);
    }
    let count = |counts: &mut dyn Iterator<Item = u32>| counts.sum::<u32>();
    let producers = count(&mut scenario.producers.iter().map(|producer| producer.count));
    let consumers = count(&mut scenario.consumers.iter().map(|consumer| consumer.count));
    let there = |noun: &str, number: u32, there: u32| {
        if (1..=there).contains(&number) {
            return Ok(());
        }
        let help = if there == 0 {
            format!("add one, or leave the {noun} out")
        } else {
            format!("write {noun} {}", up_to(there))
        };
        wrong(path.clone(), format!("there is no {noun} {number}"), help)
    };
    match selector {
        Selector::Broker(number) => there("broker", *number, scenario.cluster.brokers),
        Selector::AnyBrokers(count) if !(1..=scenario.cluster.brokers).contains(count) => {
            let (message, most) = (format!("there are not {count} brokers to draw"), scenario.cluster.brokers);
            wrong(path, message, format!("write \"any 1 brokers\" to \"any {most} brokers\", or give the cluster more"))
        }
        Selector::Producer(number) => there("producer", *number, producers),
        Selector::Consumer(number) => there("consumer", *number, consumers),
        Selector::RandomMinority | Selector::RandomMajority if scenario.cluster.brokers < 3 => {
            let message = format!("{} brokers have no minority", scenario.cluster.brokers);
            wrong(path, message, "write brokers = 3 or more, or name a broker")
        }
        _ => Ok(()),
    }
}
