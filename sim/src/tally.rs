//! The tally: how much of each thing a run was made of.

use std::collections::BTreeMap;

use crate::digest::{Kind, NodeIndex};

/// What a run was made of: where its time went, as far as counting tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that a task was asked to go on.
    pub polls: u64,
    /// Tasks that processes began.
    pub tasks: u64,
    /// Waits for a moment that processes began; most are called off.
    pub waits: u64,
    /// Writes to connections, by the node that made them.
    pub messages: BTreeMap<String, u64>,
    pub disk_reads: u64,
    pub disk_writes: u64,
    pub disk_syncs: u64,
    /// What brokers bore witness of.
    pub witnessed: u64,
}

/// Events by kind and messages by node, as they are charged.
pub(crate) struct Counts {
    kinds: [u64; Kind::ALL.len()],
    messages: Vec<u64>,
}

impl Counts {
    pub(crate) fn new() -> Counts {
        Counts { kinds: [0; Kind::ALL.len()], messages: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, kind: Kind, node: NodeIndex) {
        self.kinds[kind as usize] += 1;
        if kind == Kind::Sent {
            let node = usize::from(node.0);
            if self.messages.len() <= node {
                self.messages.resize(node + 1, 0);
            }
            self.messages[node] += 1;
        }
    }

    /// The tally, given the names of the nodes by index.
    pub(crate) fn tally(&self, polls: u64, nodes: &[String]) -> Tally {
        let of = |kind: Kind| self.kinds[kind as usize];
        Tally {
            polls,
            tasks: of(Kind::Spawned),
            waits: of(Kind::Waited),
            messages: nodes
                .iter()
                .cloned()
                .zip(self.messages.iter().copied())
                .filter(|(_, count)| *count > 0)
                .collect(),
            disk_reads: of(Kind::DiskRead),
            disk_writes: of(Kind::DiskWrote),
            disk_syncs: of(Kind::DiskSynced),
            witnessed: of(Kind::Witnessed),
        }
    }
}
