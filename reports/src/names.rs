//! Names for people: nodes in their order, partitions by their topic's name.

use std::collections::BTreeMap;

use evidence::Entry;
use model::{BrokerId, PartitionId, TopicId};

/// What nodes and topics are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Brokers, then controllers, then whoever else, each by number.
    pub nodes: Vec<String>,
    pub topics: BTreeMap<TopicId, String>,
}

impl Names {
    /// The names of the nodes that a trace speaks of.
    pub fn of(entries: &[Entry], topics: BTreeMap<TopicId, String>) -> Names {
        let mut nodes: Vec<String> = Vec::new();
        for entry in entries {
            if !nodes.iter().any(|known| **known == *entry.node.0) {
                nodes.push(entry.node.0.to_string());
            }
        }
        nodes.sort_by_key(|name| {
            let (noun, number) = name.rsplit_once(' ').unwrap_or((name, "0"));
            let rank = ["broker", "controller", "producer", "consumer", "client"].iter().position(|one| *one == noun);
            (rank.unwrap_or(usize::MAX), noun.to_string(), number.parse::<u32>().unwrap_or(u32::MAX))
        });
        Names { nodes, topics }
    }

    /// Brokers and controllers.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        let server = |name: &&str| name.starts_with("broker ") || name.starts_with("controller ");
        self.nodes.iter().map(String::as_str).filter(server)
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> String {
        if partition == PartitionId::METADATA {
            return "metadata".into();
        }
        match self.topics.get(&partition.topic) {
            Some(topic) => format!("{topic}/{}", partition.index),
            None => partition.to_string(),
        }
    }

    /// The node of this identity: `broker 2`, or `controller 4` where no broker has the number.
    pub(crate) fn node(&self, id: BrokerId) -> String {
        let named = |noun: &str| format!("{noun} {id}");
        let controller = named("controller");
        if self.nodes.contains(&controller) { controller } else { named("broker") }
    }
}
