//! The logs: for each key which record stands at which offset, by the word of every poll and of acknowledgements that prove it.
//!
//! Offsets are counted densely over those that are known to exist, since control records, compaction and retention leave holes
//! that a client cannot see. An offset exists if somebody read a record there that was not refused, or if a producer was told
//! so after the record was committed: acks=all and `ok`, or a transaction of which somebody read a record.

use evidence::Outcome;
use evidence::history::{Detail, Kind, NONE, Row, Table};

use super::anomaly::Terms;

/// Offsets of a key are held in a plain vector if it is at most so many times longer than what is told of them.
const SPREAD_MAX: u64 = 8;

pub(crate) struct Logs {
    logs: Vec<Log>,
    /// By record: the first offset at which it was read, or -1.
    places: Vec<i64>,
    /// By record: the first operation that read it, other than the one that sent it.
    readers: Vec<u32>,
    /// Records that an operation read while it was sending them: record and offset.
    pub(crate) own_reads: Vec<(u32, i64)>,
    /// Records that were read at yet another offset: record, offset, operation.
    pub(crate) moved: Vec<(u32, i64, u32)>,
    /// Records that stand where another one stands: key, offset, record, operation.
    pub(crate) contests: Vec<(u32, i64, u32, u32)>,
}

/// One key.
#[derive(Default)]
pub(crate) struct Log {
    offsets: Offsets,
    /// The first record that was told to stand at each of `offsets`.
    records: Vec<u32>,
    /// How many offsets below each of `offsets` exist and are not gone.
    ranks: Vec<u32>,
    /// The highest offset that anybody read, and who did.
    pub(crate) highest: Option<(i64, u32)>,
    /// Records below are legally gone: a look-up named this as the log's start.
    start: i64,
    /// Known holes, sorted and apart.
    holes: Vec<(i64, i64)>,
}

enum Offsets {
    /// All from here on.
    Plain(i64),
    Sorted(Vec<i64>),
}

impl Default for Offsets {
    fn default() -> Offsets {
        Offsets::Plain(0)
    }
}

/// What is told of a key's offsets before they are held.
#[derive(Clone, Copy)]
struct Span {
    least: i64,
    most: i64,
    count: u64,
}

impl Logs {
    pub(crate) fn new(table: &Table, terms: Terms) -> Logs {
        let records = table.records.len();
        let mut logs = Logs {
            logs: (0..table.keys.len()).map(|_| Log::default()).collect(),
            places: vec![-1; records],
            readers: vec![NONE; records],
            own_reads: Vec::new(),
            moved: Vec::new(),
            contests: Vec::new(),
        };
        logs.make_room(table);
        for &operation in table.answered() {
            let row = table.row(operation);
            for (key, reads) in table.lists(row) {
                for read in reads {
                    logs.read(key, read.offset, read.record, operation, table);
                }
                logs.logs[key as usize].reach(reads.iter().map(|read| read.offset).max(), operation);
            }
        }
        for (operation, row) in (0..).zip(table.rows()) {
            if logs.is_proven(table, row, terms) {
                for sent in table.sends(row) {
                    if let Some(offset) = sent.offset() {
                        logs.stand(table.records.key(sent.record), offset, sent.record, operation);
                    }
                }
            }
            if let Some(Detail::Ends(ends)) = table.detail(row).filter(|_| row.outcome == Outcome::Ok) {
                for &(key, start, _) in ends {
                    let log = &mut logs.logs[key as usize];
                    log.start = log.start.max(start);
                }
            }
        }
        for (&key, holes) in &table.holes {
            logs.logs[key as usize].holes = apart(holes.clone());
        }
        let contested: std::collections::BTreeSet<(u32, i64)> =
            logs.contests.iter().map(|&(key, offset, ..)| (key, offset)).collect();
        for (key, log) in (0..).zip(&mut logs.logs) {
            log.count(|offset, record| !is_refused(table, record) || contested.contains(&(key, offset)));
        }
        logs
    }

    fn make_room(&mut self, table: &Table) {
        let mut spans = vec![Span { least: i64::MAX, most: -1, count: 0 }; self.logs.len()];
        let sends = |row: &Row| {
            let told = table.sends(row).iter();
            told.filter_map(|sent| Some((table.records.key(sent.record), sent.offset()?))).collect::<Vec<_>>()
        };
        for row in table.rows() {
            for (key, reads) in table.lists(row) {
                reads.iter().for_each(|read| spans[key as usize].add(read.offset));
            }
            if matches!(row.kind, Kind::Send | Kind::Txn) {
                sends(row).into_iter().for_each(|(key, offset)| spans[key as usize].add(offset));
            }
        }
        let is_plain = |span: &Span| span.most.abs_diff(span.least) / SPREAD_MAX <= span.count;
        let mut sorted: Vec<Vec<i64>> = vec![Vec::new(); spans.len()];
        if !spans.iter().all(|span| span.count == 0 || is_plain(span)) {
            for row in table.rows() {
                let reads = table.lists(row).flat_map(|(key, reads)| reads.iter().map(move |read| (key, read.offset)));
                for (key, offset) in reads.chain(sends(row)).filter(|(key, _)| !is_plain(&spans[*key as usize])) {
                    sorted[key as usize].push(offset);
                }
            }
        }
        for ((log, span), mut offsets) in self.logs.iter_mut().zip(&spans).zip(sorted) {
            if span.count == 0 {
                continue;
            }
            let length = if is_plain(span) {
                log.offsets = Offsets::Plain(span.least);
                (span.most - span.least + 1) as usize
            } else {
                offsets.sort_unstable();
                offsets.dedup();
                let length = offsets.len();
                log.offsets = Offsets::Sorted(offsets);
                length
            };
            log.records = vec![NONE; length];
        }
    }

    fn read(&mut self, key: u32, offset: i64, record: u32, operation: u32, table: &Table) {
        if table.records.sender(record) == Some(operation) {
            self.own_reads.push((record, offset));
        } else {
            let reader = &mut self.readers[record as usize];
            if *reader == NONE {
                *reader = operation;
            }
        }
        let place = &mut self.places[record as usize];
        if *place == -1 {
            *place = offset;
        } else if *place != offset {
            self.moved.push((record, offset, operation));
        }
        self.stand(key, offset, record, operation);
    }

    fn stand(&mut self, key: u32, offset: i64, record: u32, operation: u32) {
        let log = &mut self.logs[key as usize];
        let Some(at) = log.offsets.find(offset) else { return };
        let known = &mut log.records[at];
        if *known == NONE {
            *known = record;
        } else if *known != record {
            self.contests.push((key, offset, record, operation));
        }
    }

    /// Did all that the operation sent certainly take its place in the log?
    pub(crate) fn is_proven(&self, table: &Table, row: &Row, terms: Terms) -> bool {
        match (row.kind, row.outcome) {
            (Kind::Send | Kind::Txn, Outcome::Ok) => terms.acks_all,
            (Kind::Txn, Outcome::Info) => terms.read_committed && self.witness(table, row).is_some(),
            _ => false,
        }
    }

    /// Somebody who read a record that the operation sent.
    pub(crate) fn witness(&self, table: &Table, row: &Row) -> Option<u32> {
        table.sends(row).iter().filter_map(|sent| self.reader(sent.record)).min()
    }

    pub(crate) fn of(&self, key: u32) -> &Log {
        &self.logs[key as usize]
    }

    /// The first offset at which anybody read the record.
    pub(crate) fn place(&self, record: u32) -> Option<i64> {
        Some(self.places[record as usize]).filter(|&place| 0 <= place)
    }

    /// The first who read the record, other than the operation that sent it.
    pub(crate) fn reader(&self, record: u32) -> Option<u32> {
        Some(self.readers[record as usize]).filter(|&reader| reader != NONE)
    }
}

impl Span {
    fn add(&mut self, offset: i64) {
        self.least = self.least.min(offset);
        self.most = self.most.max(offset);
        self.count += 1;
    }
}

impl Offsets {
    fn find(&self, offset: i64) -> Option<usize> {
        match self {
            Offsets::Plain(least) => usize::try_from(offset - least).ok(),
            Offsets::Sorted(offsets) => offsets.binary_search(&offset).ok(),
        }
    }

    fn get(&self, at: usize) -> i64 {
        match self {
            Offsets::Plain(least) => least + at as i64,
            Offsets::Sorted(offsets) => offsets[at],
        }
    }

    /// How many lie below.
    fn below(&self, offset: i64, length: usize) -> usize {
        match self {
            Offsets::Plain(least) => usize::try_from(offset - least).unwrap_or(0).min(length),
            Offsets::Sorted(offsets) => offsets.partition_point(|&other| other < offset),
        }
    }
}

impl Log {
    fn reach(&mut self, offset: Option<i64>, operation: u32) {
        if let Some(offset) = offset
            && self.highest.is_none_or(|(highest, _)| highest < offset)
        {
            self.highest = Some((offset, operation));
        }
    }

    fn count(&mut self, exists: impl Fn(i64, u32) -> bool) {
        let mut rank = 0;
        let mut ranks = Vec::with_capacity(self.records.len() + 1);
        ranks.push(rank);
        for (at, &record) in self.records.iter().enumerate() {
            let offset = self.offsets.get(at);
            rank += u32::from(record != NONE && exists(offset, record) && !self.is_gone(offset));
            ranks.push(rank);
        }
        self.ranks = ranks;
    }

    /// Nobody can expect a record there: it lies below the log's start, or in a known hole.
    pub(crate) fn is_gone(&self, offset: i64) -> bool {
        let hole = self.holes.partition_point(|&(from, _)| from <= offset).checked_sub(1);
        offset < self.start || hole.is_some_and(|hole| offset < self.holes[hole].1)
    }

    /// How many offsets of `from..to` exist.
    fn existing(&self, from: i64, to: i64) -> u32 {
        let length = self.records.len();
        if to <= from || length == 0 {
            return 0;
        }
        self.ranks[self.offsets.below(to, length)] - self.ranks[self.offsets.below(from, length)]
    }

    /// The first offset of `from..to` that exists.
    pub(crate) fn first_existing(&self, from: i64, to: i64) -> Option<i64> {
        if self.existing(from, to) == 0 {
            return None;
        }
        let begin = self.offsets.below(from, self.records.len());
        let found = (begin..self.records.len()).find(|&at| self.ranks[at] < self.ranks[at + 1]);
        found.map(|at| self.offsets.get(at))
    }

    /// The first record that is known to stand there.
    pub(crate) fn at(&self, offset: i64) -> Option<u32> {
        let at = self.offsets.find(offset)?;
        self.records.get(at).copied().filter(|&record| record != NONE)
    }

    /// Offsets of which something is told, with the first record told to stand there.
    pub(crate) fn known(&self) -> impl Iterator<Item = (i64, u32)> {
        let known = self.records.iter().enumerate().filter(|(_, record)| **record != NONE);
        known.map(|(at, &record)| (self.offsets.get(at), record))
    }
}

/// Was the record refused for certain?
pub(crate) fn is_refused(table: &Table, record: u32) -> bool {
    table.records.sender(record).is_some_and(|sender| table.row(sender).outcome == Outcome::Fail)
}

/// The same ranges, sorted and without overlap.
fn apart(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::new();
    for (from, to) in ranges {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}
