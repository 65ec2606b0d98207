//! From a line's draft back to the operation that it tells of.

use std::collections::BTreeMap;

use super::draft::{Draft, Kind, Step};
use super::{Action, Key, Membership, MicroOperation, Offsets, Operation, Table, Value};

impl Table {
    pub(super) fn operation(&self, draft: &Draft) -> Option<Operation> {
        Some(Operation {
            index: draft.index,
            time: draft.time,
            process: draft.process.clone()?,
            outcome: draft.outcome?,
            action: self.action(draft),
            error: draft.error.as_ref().map(|error| serde_json::from_str(error).unwrap_or_else(|_| error.clone())),
            rebalance_log: draft.rebalance_log.clone(),
        })
    }

    fn action(&self, draft: &Draft) -> Action {
        let keys = || draft.keys.iter().map(|key| self.keys.key(*key)).collect();
        let group = || draft.group.map_or("", |group| self.groups.get(group)).into();
        let membership = || Membership { group: group(), generation: draft.generation, keys: keys() };
        let by_key = || draft.offsets.iter().map(|(key, offset)| (self.keys.key(*key), *offset));
        let offsets = || Offsets { group: group(), offsets: by_key().collect() };
        match draft.kind {
            Kind::Send => Action::Send(self.micros(draft)),
            Kind::Poll => Action::Poll(self.micros(draft)),
            Kind::Txn => Action::Txn(self.micros(draft)),
            Kind::Assign => Action::Assign(keys()),
            Kind::Subscribe => Action::Subscribe(keys()),
            Kind::Assigned => Action::Assigned(membership()),
            Kind::Revoked => Action::Revoked(membership()),
            Kind::Lost => Action::Lost(membership()),
            Kind::Commit => Action::Commit(offsets()),
            Kind::Committed => Action::Committed(offsets()),
            Kind::End => {
                Action::End(by_key().zip(&draft.ends).map(|((key, start), end)| (key, (start, *end))).collect())
            }
            Kind::Crash => Action::Crash,
        }
    }

    fn micros(&self, draft: &Draft) -> Vec<MicroOperation> {
        let (mut sends, mut lists) = (draft.sends.iter(), 0);
        let steps = draft.steps.iter().filter_map(|step| {
            Some(match *step {
                Step::Send => {
                    let &(record, offset) = sends.next()?;
                    let (key, value) = (self.keys.key(self.records.key(record)), self.records.told(record));
                    MicroOperation::Send { key, value, offset: Some(offset).filter(|&offset| 0 <= offset) }
                }
                Step::Poll => MicroOperation::Poll,
                Step::Polled(count) => {
                    lists += count as usize;
                    MicroOperation::Polled(self.polled(draft, lists - count as usize..lists))
                }
            })
        });
        steps.collect()
    }

    fn polled(&self, draft: &Draft, lists: std::ops::Range<usize>) -> BTreeMap<Key, Vec<(i64, Value)>> {
        let mut records: BTreeMap<Key, Vec<(i64, Value)>> = BTreeMap::new();
        for place in lists {
            let list = draft.lists[place];
            let end = draft.lists.get(place + 1).map_or(draft.reads.len(), |next| next.start as usize);
            let reads = draft.reads[list.start as usize..end].iter();
            let reads = reads.map(|&(offset, record)| (offset, self.records.told(record)));
            records.entry(self.keys.key(list.key)).or_default().extend(reads);
        }
        records
    }
}
