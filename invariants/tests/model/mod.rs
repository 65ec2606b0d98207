//! A small lawful cluster: two logs, producers, readers and a group, every step chosen by chance; and faults to spoil its history with.

use proptest::prelude::*;
use serde_json::{Value, json};

const KEYS: [&str; 2] = ["orders/0", "orders/1"];
const READERS: usize = 3;

/// What happens, step after step: which kind, and two numbers to choose by.
pub(crate) type Plan = Vec<(u8, u8, u8)>;

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    prop::collection::vec((0u8..12, any::<u8>(), any::<u8>()), 10..80)
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    LoseARecord,
    ReadItElsewhere,
    AlterARecord,
    SwapTwo,
    RefuseWhatWasRead,
    PassOver,
    ForgetACommit,
    NameAnEarlierEnd,
}

pub(crate) fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::LoseARecord,
        Fault::ReadItElsewhere,
        Fault::AlterARecord,
        Fault::SwapTwo,
        Fault::RefuseWhatWasRead,
        Fault::PassOver,
        Fault::ForgetACommit,
        Fault::NameAnEarlierEnd,
    ])
}

#[derive(Default)]
pub(crate) struct Cluster {
    lines: Vec<Value>,
    /// What stands at each offset; none is a control record, or one of an aborted transaction.
    logs: [Vec<Option<u64>>; 2],
    next_value: u64,
    next_process: u64,
    readers: Vec<Reader>,
    /// Records of which nobody knows: they may land at any time.
    in_doubt: Vec<(usize, u64)>,
    committed: [Option<usize>; 2],
}

/// A reader's process, and where it stands.
#[derive(Clone)]
struct Reader {
    process: u64,
    positions: [usize; 2],
}

impl Cluster {
    pub(crate) fn run(plan: &Plan) -> Cluster {
        let mut cluster = Cluster { next_process: 100, ..Cluster::default() };
        for _ in 0..READERS {
            let reader = cluster.join();
            cluster.readers.push(reader);
        }
        for &(kind, a, b) in plan {
            cluster.step(kind, a.into(), b.into());
        }
        cluster.final_reader();
        cluster
    }

    fn step(&mut self, kind: u8, a: usize, b: usize) {
        let key = a % 2;
        match kind {
            0..=2 => self.send(key, 1 + b % 3),
            3 => self.send_at_once(a, b),
            4 => self.doubt(key, b.is_multiple_of(2)),
            5 => self.transaction(b % 3),
            6..=8 => self.poll(a % READERS, 1 + b % 4),
            9 => self.come_again(a % READERS, b.is_multiple_of(2)),
            10 => self.look_up(key),
            _ => self.group(key, b),
        }
    }

    fn line(&mut self, process: u64, kind: &str, f: &str, value: Value) {
        let index = self.lines.len();
        self.lines.push(
            json!({ "index": index, "time": 10 * index, "process": process, "type": kind, "f": f, "value": value }),
        );
    }

    fn process(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn append(&mut self, key: usize, value: u64) -> usize {
        self.logs[key].push(Some(value));
        self.logs[key].len() - 1
    }

    fn send(&mut self, key: usize, count: usize) {
        let values: Vec<u64> = (0..count).map(|_| self.value()).collect();
        let asked = values.iter().map(|value| json!(["send", KEYS[key], value])).collect();
        self.line(1, "invoke", "send", asked);
        let told = values.iter().map(|value| json!(["send", KEYS[key], [self.append(key, *value), value]])).collect();
        self.line(1, "ok", "send", told);
    }

    /// Two producers together, answered in the other order.
    fn send_at_once(&mut self, a: usize, b: usize) {
        let sends = [(2, a % 2, self.value()), (3, b % 2, self.value())];
        for (process, key, value) in sends {
            self.line(process, "invoke", "send", json!([["send", KEYS[key], value]]));
        }
        for (process, key, value) in sends.into_iter().rev() {
            let offset = self.append(key, value);
            self.line(process, "ok", "send", json!([["send", KEYS[key], [offset, value]]]));
        }
    }

    /// A send that is refused, or of which nobody knows and which lands much later or never.
    fn doubt(&mut self, key: usize, is_refused: bool) {
        let (process, value) = (self.process(), self.value());
        let asked = json!([["send", KEYS[key], value]]);
        self.line(process, "invoke", "send", asked.clone());
        self.line(process, if is_refused { "fail" } else { "info" }, "send", asked);
        if !is_refused {
            self.in_doubt.push((key, value));
        }
        if self.in_doubt.len() == 3 {
            let (key, value) = self.in_doubt.remove(1);
            self.append(key, value);
        }
    }

    /// One that writes to both keys, and is committed, aborted, or committed though nobody is told.
    fn transaction(&mut self, fate: usize) {
        let process = self.process();
        let values = [self.value(), self.value()];
        let asked: Value = (0..2).map(|key| json!(["send", KEYS[key], values[key]])).collect();
        self.line(process, "invoke", "txn", asked.clone());
        let offsets = [0, 1].map(|key| self.append(key, values[key]));
        (0..2).for_each(|key| self.logs[key].push(None));
        let told: Value = (0..2).map(|key| json!(["send", KEYS[key], [offsets[key], values[key]]])).collect();
        match fate {
            0 => self.line(process, "ok", "txn", told),
            1 => self.line(process, "info", "txn", asked),
            _ => {
                (0..2).for_each(|key| self.logs[key][offsets[key]] = None);
                self.line(process, "fail", "txn", told);
            }
        }
    }

    fn join(&mut self) -> Reader {
        let process = self.process();
        for kind in ["invoke", "ok"] {
            self.line(process, kind, "assign", json!(KEYS));
        }
        Reader { process, positions: [0, 0] }
    }

    fn poll(&mut self, reader: usize, count: usize) {
        let Reader { process, mut positions } = self.readers[reader].clone();
        self.line(process, "invoke", "poll", json!([["poll"]]));
        let mut lists = serde_json::Map::new();
        for key in 0..2 {
            let end = (positions[key] + count).min(self.logs[key].len());
            let offsets = positions[key]..end;
            let records: Vec<Value> =
                offsets.filter_map(|offset| Some(json!([offset, self.logs[key][offset]?]))).collect();
            positions[key] = end;
            if !records.is_empty() {
                lists.insert(KEYS[key].into(), records.into());
            }
        }
        self.line(process, "ok", "poll", json!([["poll", lists]]));
        self.readers[reader].positions = positions;
    }

    /// A reader dies and another begins at the start, or it is assigned nothing and then everything, and goes back.
    fn come_again(&mut self, reader: usize, dies: bool) {
        let process = self.readers[reader].process;
        if dies {
            self.line(process, "info", "crash", Value::Null);
            self.readers[reader] = self.join();
            return;
        }
        for keys in [json!([]), json!(KEYS)] {
            self.line(process, "invoke", "assign", keys.clone());
            self.line(process, "ok", "assign", keys);
        }
        self.readers[reader].positions = [0, 0];
    }

    fn look_up(&mut self, key: usize) {
        self.line(4, "invoke", "end", json!([KEYS[key]]));
        let end = self.logs[key].len();
        self.line(4, "ok", "end", json!({ KEYS[key]: [0, end] }));
    }

    /// A member commits where it stands, or somebody asks what is committed.
    fn group(&mut self, key: usize, b: usize) {
        let value = |offset: Value| json!({ "group": "billing", "offsets": { KEYS[key]: offset } });
        if b.is_multiple_of(2) {
            let offset = b % (self.logs[key].len() + 1);
            self.line(5, "invoke", "commit", value(json!(offset)));
            self.line(5, "ok", "commit", value(json!(offset)));
            self.committed[key] = Some(offset);
        } else {
            self.line(6, "invoke", "committed", json!({ "group": "billing" }));
            self.line(6, "ok", "committed", value(json!(self.committed[key])));
        }
    }

    fn final_reader(&mut self) {
        (0..2).for_each(|key| self.look_up(key));
        let reader = self.join();
        self.readers.push(reader);
        let longest = self.logs.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest / 4 + 2).for_each(|_| self.poll(READERS, 4));
    }

    pub(crate) fn text(&self) -> String {
        let mut text = json!({ "history": 1 }).to_string() + "\n";
        self.lines.iter().for_each(|line| text += &format!("{line}\n"));
        text
    }

    /// Spoils the history by one fault, if it has room for it. Answers what must be found.
    pub(crate) fn spoil(&mut self, fault: Fault, at: prop::sample::Index) -> Option<&'static str> {
        match fault {
            Fault::LoseARecord => {
                let acked = self.acked();
                let (key, offset, _) = *at.get_if_any(&acked)?;
                let read =
                    self.lists().flat_map(|(name, list)| list.iter().map(move |record| (name, record[0].as_u64())));
                let is_beyond = |(name, read): (&str, Option<u64>)| name == KEYS[key] && Some(offset) < read;
                read.into_iter().any(is_beyond).then_some(())?;
                self.lists_mut(|name, list| {
                    if name == KEYS[key] {
                        list.retain(|record| record[0].as_u64() != Some(offset));
                    }
                });
                Some("lost-write")
            }
            Fault::ReadItElsewhere => self.change_a_list(at, 1, |list| {
                list.push(json!([900, list[0][1]]));
                "duplicate"
            }),
            Fault::AlterARecord => self.change_a_list(at, 1, |list| {
                list[0][1] = json!("altered");
                "invented-record"
            }),
            Fault::SwapTwo => self.change_a_list(at, 2, |list| {
                list.swap(0, 1);
                "int-nonmonotonic-poll"
            }),
            Fault::RefuseWhatWasRead => {
                let acked: Vec<_> =
                    self.acked().into_iter().filter(|(key, offset, _)| self.is_read(*key, *offset)).collect();
                let (_, _, line) = *at.get_if_any(&acked)?;
                self.lines[line]["type"] = "fail".into();
                Some("aborted-read")
            }
            Fault::PassOver => {
                let acked = self.acked();
                let is_acked = |name: &str, offset: &Value| {
                    acked.iter().any(|(key, acked, _)| KEYS[*key] == name && offset.as_u64() == Some(*acked))
                };
                let mut lists = 0;
                self.lists_mut(|name, list| {
                    if lists == 0 && 3 <= list.len() && is_acked(name, &list[1][0]) {
                        list.remove(1);
                        lists += 1;
                    }
                });
                (0 < lists).then_some("int-poll-skip")
            }
            Fault::ForgetACommit => {
                let mut has_committed = [false; 2];
                for line in &mut self.lines {
                    let (f, kind) = (line["f"].clone(), line["type"].clone());
                    for key in 0..2 {
                        if kind == "ok" && line["value"]["offsets"].get(KEYS[key]).is_some() {
                            if f == "committed" && has_committed[key] {
                                line["value"]["offsets"][KEYS[key]] = json!(-1);
                                return Some("commit-regression");
                            }
                            has_committed[key] |= f == "commit";
                        }
                    }
                }
                None
            }
            Fault::NameAnEarlierEnd => {
                let mut ends = [0; 2];
                for line in &mut self.lines {
                    if line["f"] != "end" || line["type"] != "ok" {
                        continue;
                    }
                    for key in 0..2 {
                        if let Some(end) = line["value"][KEYS[key]][1].as_u64() {
                            if 0 < ends[key] {
                                line["value"][KEYS[key]][1] = json!(ends[key] - 1);
                                return Some("stale-read");
                            }
                            ends[key] = end;
                        }
                    }
                }
                None
            }
        }
    }

    /// Records of sends that were answered ok: key, offset, and the line of the answer.
    fn acked(&self) -> Vec<(usize, u64, usize)> {
        let mut acked = Vec::new();
        for (at, line) in self.lines.iter().enumerate().filter(|(_, line)| line["type"] == "ok" && line["f"] == "send")
        {
            for micro in line["value"].as_array().unwrap() {
                let key = KEYS.iter().position(|key| micro[1] == *key).unwrap();
                acked.push((key, micro[2][0].as_u64().unwrap(), at));
            }
        }
        acked
    }

    fn is_read(&self, key: usize, offset: u64) -> bool {
        self.lists()
            .any(|(name, list)| name == KEYS[key] && list.iter().any(|record| record[0].as_u64() == Some(offset)))
    }

    fn lists(&self) -> impl Iterator<Item = (&str, &Vec<Value>)> {
        let polls = self.lines.iter().filter(|line| line["f"] == "poll" && line["type"] == "ok");
        let lists = polls.flat_map(|line| line["value"][0][1].as_object().unwrap());
        lists.map(|(name, list)| (name.as_str(), list.as_array().unwrap()))
    }

    fn lists_mut(&mut self, mut change: impl FnMut(&str, &mut Vec<Value>)) {
        for line in self.lines.iter_mut().filter(|line| line["f"] == "poll" && line["type"] == "ok") {
            for (name, list) in line["value"][0][1].as_object_mut().unwrap() {
                change(name, list.as_array_mut().unwrap());
            }
        }
    }

    fn change_a_list(
        &mut self,
        at: prop::sample::Index,
        length: usize,
        change: impl Fn(&mut Vec<Value>) -> &'static str,
    ) -> Option<&'static str> {
        let count = self.lists().filter(|(_, list)| length <= list.len()).count();
        let chosen = (0 < count).then(|| at.index(count))?;
        let (mut seen, mut name) = (0, None);
        self.lists_mut(|_, list| {
            if length <= list.len() {
                if seen == chosen {
                    name = Some(change(list));
                }
                seen += 1;
            }
        });
        name
    }
}

/// One of a list by chance, if it has any.
trait GetIfAny {
    fn get_if_any<'a, T>(&self, list: &'a [T]) -> Option<&'a T>;
}

impl GetIfAny for prop::sample::Index {
    fn get_if_any<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        (!list.is_empty()).then(|| self.get(list))
    }
}
