//! Transactions never depend on each other in a circle.
//!
//! One depends on another by the order of writes (`ww`: it wrote the next record of a key) or by reading (`wr`: it read as far as a
//! record of the other or beyond, and what is read beyond a record was decided after it). `G0`: a circle of `ww` alone; Kafka never
//! forbade that writes interleave, so it is allowed. `G1c`: a circle with a `wr` in it; by `wr` alone it breaks read_committed, and
//! with a `ww` it is allowed as G0 is. A transaction that reads its own write is no circle but a `precommitted-read`. Only those
//! that certainly were committed take part, and only offsets of which no two records contend.
//!
//! No edge is drawn for every record read. Each written offset has a node of its own, that leads to the next one of its key: a
//! writer leads to its node, and the node of the last record read leads to the reader. Paths between transactions are the same,
//! in as many edges as there are records written. Circles are strongly connected components (Tarjan), each explained by a short one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use evidence::history::{Kind, NONE};

use super::anomaly::{Anomaly, CIRCLES};
use super::case::Case;

/// Of a component larger than this no shortest circle is searched: its members are told instead.
const SEARCHED_MAX: usize = 20_000;

/// Members of a circle that are told by name.
const NAMED_MAX: usize = 8;

/// A graph in columns. Nodes are transactions first, then written offsets.
struct Graph {
    /// Of each node, where its edges begin.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

/// What transactions wrote and read.
struct Deeds {
    /// Operations, in order.
    transactions: Vec<u32>,
    /// By key, in the order of the log: offset and transaction.
    written: Vec<Vec<(i64, u32)>>,
    /// Transaction, key, and the last offset read.
    read: Vec<(u32, u32, i64)>,
}

pub(super) fn judge(case: &mut Case<'_>) {
    let deeds = Deeds::of(case);
    if deeds.transactions.is_empty() {
        return;
    }
    case.judged(&CIRCLES, deeds.transactions.len() as u64);
    let mut known: BTreeSet<Vec<u32>> = BTreeSet::new();
    let by_reading = deeds.edges(false, true);
    let by_writing = deeds.edges(true, false);
    let by_both = deeds.edges(true, true);
    for (edges, anomaly) in [
        (&by_writing, Anomaly::G0),
        (&by_reading, Anomaly::G1c { by_order_of_writes: false }),
        (&by_both, Anomaly::G1c { by_order_of_writes: true }),
    ] {
        let graph = Graph::new(deeds.nodes(), edges);
        for component in graph.components() {
            let members: Vec<u32> =
                component.iter().copied().filter(|&node| (node as usize) < deeds.transactions.len()).collect();
            if members.len() < 2 || known.contains(&members) {
                continue;
            }
            let Some(circle) = circle(&graph, &deeds, &component, &members, anomaly) else { continue };
            if anomaly == (Anomaly::G1c { by_order_of_writes: false }) {
                known.insert(members);
            }
            tell(case, &deeds, anomaly, &circle);
        }
    }
}

impl Deeds {
    fn of(case: &Case<'_>) -> Deeds {
        let table = case.table;
        let contended: BTreeSet<(u32, i64)> =
            case.logs.contests.iter().map(|&(key, offset, ..)| (key, offset)).collect();
        let mut numbers = vec![NONE; table.rows().len()];
        let mut transactions = Vec::new();
        for (operation, row) in (0..).zip(table.rows()) {
            let is_committed = row.kind == Kind::Txn && case.logs.is_proven(table, row, case.terms);
            if is_committed && !table.sends(row).is_empty() {
                numbers[operation as usize] = transactions.len() as u32;
                transactions.push(operation);
            }
        }
        let mut written = vec![Vec::new(); table.keys.len()];
        if !transactions.is_empty() {
            for (key, written) in (0..).zip(&mut written) {
                for (offset, record) in case.logs.of(key).known() {
                    let writer = table.records.sender(record).map(|sender| numbers[sender as usize]);
                    if let Some(writer) = writer.filter(|&writer| writer != NONE && !contended.contains(&(key, offset)))
                    {
                        written.push((offset, writer));
                    }
                }
            }
        }
        let mut read = Vec::new();
        for (number, &operation) in (0..).zip(&transactions) {
            for (key, reads) in table.lists(table.row(operation)) {
                if let Some(last) = reads.iter().map(|read| read.offset).max() {
                    read.push((number, key, last));
                }
            }
        }
        Deeds { transactions, written, read }
    }

    fn nodes(&self) -> usize {
        self.transactions.len() + self.written.iter().map(Vec::len).sum::<usize>()
    }

    fn edges(&self, by_writing: bool, by_reading: bool) -> Vec<(u32, u32)> {
        let written = self.nodes() - self.transactions.len();
        let by_writers = if by_writing { written } else { 0 };
        let by_readers = if by_reading { 2 * written + self.read.len() } else { 0 };
        let mut edges = Vec::with_capacity(by_writers + by_readers);
        let mut node = self.transactions.len() as u32;
        let mut firsts = Vec::with_capacity(self.written.len());
        for written in &self.written {
            firsts.push(node);
            for (at, &(_, writer)) in (0..).zip(written) {
                let next = written.get(at + 1);
                if by_writing && let Some(&(_, next)) = next.filter(|(_, next)| *next != writer) {
                    edges.push((writer, next));
                }
                if by_reading {
                    edges.push((writer, node));
                    if next.is_some() {
                        edges.push((node, node + 1));
                    }
                }
                node += 1;
            }
        }
        if by_reading {
            for &(reader, key, last) in &self.read {
                let written = &self.written[key as usize];
                if let Some(at) = written.partition_point(|&(offset, _)| offset <= last).checked_sub(1) {
                    edges.push((firsts[key as usize] + at as u32, reader));
                }
            }
        }
        edges
    }
}

impl Graph {
    fn new(nodes: usize, edges: &[(u32, u32)]) -> Graph {
        let mut starts = vec![0u32; nodes + 1];
        for &(from, _) in edges {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; edges.len()];
        for &(from, to) in edges {
            targets[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Graph { starts, targets }
    }

    fn targets(&self, node: u32) -> &[u32] {
        &self.targets[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// Strongly connected components of more than one node, each sorted (Tarjan, without recursion).
    fn components(&self) -> Vec<Vec<u32>> {
        let nodes = self.starts.len() - 1;
        let (mut order, mut low) = (vec![NONE; nodes], vec![NONE; nodes]);
        let mut is_open = vec![false; nodes];
        let mut count = 0;
        let (mut open, mut path, mut components) = (Vec::new(), Vec::new(), Vec::new());
        for root in 0..nodes as u32 {
            if order[root as usize] != NONE {
                continue;
            }
            path.push((root, 0usize));
            while let Some(&mut (node, ref mut edge)) = path.last_mut() {
                let at = node as usize;
                if *edge == 0 && order[at] == NONE {
                    (order[at], low[at], is_open[at]) = (count, count, true);
                    count += 1;
                    open.push(node);
                }
                if let Some(&target) = self.targets(node).get(*edge) {
                    *edge += 1;
                    if order[target as usize] == NONE {
                        path.push((target, 0));
                    } else if is_open[target as usize] {
                        low[at] = low[at].min(order[target as usize]);
                    }
                    continue;
                }
                path.pop();
                if let Some(&(above, _)) = path.last() {
                    low[above as usize] = low[above as usize].min(low[at]);
                }
                if low[at] == order[at] {
                    let mut component = Vec::new();
                    while let Some(member) = open.pop() {
                        is_open[member as usize] = false;
                        component.push(member);
                        if member == node {
                            break;
                        }
                    }
                    if 1 < component.len() {
                        component.sort_unstable();
                        components.push(component);
                    }
                }
            }
        }
        components.sort_unstable();
        components
    }

    /// The shortest way from one node to another inside a component.
    fn way(&self, component: &[u32], from: u32, to: u32) -> Option<Vec<u32>> {
        let mut came: BTreeMap<u32, u32> = BTreeMap::new();
        let mut ahead = VecDeque::from([from]);
        while let Some(node) = ahead.pop_front() {
            for &target in self.targets(node).iter().filter(|target| component.binary_search(target).is_ok()) {
                if target == to {
                    let mut way = vec![to, node];
                    while let Some(&before) = came.get(way.last().unwrap_or(&from)) {
                        way.push(before);
                    }
                    way.reverse();
                    return Some(way);
                }
                if target != from && !came.contains_key(&target) {
                    came.insert(target, node);
                    ahead.push_back(target);
                }
            }
        }
        None
    }
}

/// Transactions that depend on each other in a circle, the first one not again at the end. None if the component has none of
/// this kind.
fn circle(graph: &Graph, deeds: &Deeds, component: &[u32], members: &[u32], anomaly: Anomaly) -> Option<Vec<u32>> {
    let count = deeds.transactions.len() as u32;
    let only = |way: &[u32]| way.iter().copied().filter(|&node| node < count).collect::<Vec<_>>();
    if anomaly == (Anomaly::G1c { by_order_of_writes: true }) {
        // A reader and one whose record it read, both inside: from the reader back to the writer is the rest of the circle.
        let is_inside = |transaction: u32| members.binary_search(&transaction).is_ok();
        let (reader, writer) =
            deeds.read.iter().filter(|(reader, ..)| is_inside(*reader)).find_map(|&(reader, key, last)| {
                let written = &deeds.written[key as usize];
                let upto = written.partition_point(|&(offset, _)| offset <= last);
                let before = written[..upto].iter().rev().map(|&(_, writer)| writer);
                Some((reader, before.into_iter().find(|&writer| writer != reader && is_inside(writer))?))
            })?;
        if SEARCHED_MAX < component.len() {
            return Some(members.to_vec());
        }
        let mut circle = only(&graph.way(component, reader, writer)?);
        circle.dedup();
        return Some(circle);
    }
    if SEARCHED_MAX < component.len() {
        return Some(members.to_vec());
    }
    let &[first, second, ..] = members else { return None };
    let (there, back) = (graph.way(component, first, second)?, graph.way(component, second, first)?);
    let mut circle = only(&there);
    circle.extend(only(&back).into_iter().skip(1));
    circle.pop();
    circle.dedup();
    Some(circle)
}

fn tell(case: &mut Case<'_>, deeds: &Deeds, anomaly: Anomaly, circle: &[u32]) {
    let operations: Vec<u32> = circle.iter().map(|&member| deeds.transactions[member as usize]).collect();
    let sent = operations.first().and_then(|&operation| case.table.sends(case.row(operation)).first());
    let key = sent.map_or(0, |sent| case.table.records.key(sent.record));
    case.find(anomaly, key, |case| {
        let names = operations.iter().take(NAMED_MAX).map(|&operation| case.row(operation).asked.index.to_string());
        let names = names.collect::<Vec<_>>().join(", ");
        let more = operations.len().saturating_sub(NAMED_MAX);
        let more = if 0 < more { format!(" and {more} more") } else { String::new() };
        let how = match anomaly {
            Anomaly::G0 => "each wrote behind the one before",
            Anomaly::G1c { by_order_of_writes: true } => "each read what the one before wrote, or wrote behind it",
            _ => "each read what the one before wrote, so that each was committed before the other",
        };
        let why = format!("the transactions of lines {names}{more} depend on each other in a circle: {how}");
        (case.lines(operations.iter().copied()), why)
    });
}
