//! A fetcher's half of its fetch session (KIP-227): what the leader was told, and so need not be told again.
//!
//! ```text
//!   ask: everything, epoch 0 ──▶ answered: the session's id ──▶ ask: what changed, epoch 1, 2, … ──▶ answered
//!            ▲                                                               │
//!            └─────────────────── refused, or never answered ────────────────┘
//! ```

use std::collections::BTreeMap;

use protocol::ErrorCode;

/// What an answer carries that belongs to no session.
const NO_SESSION: i32 = 0;
/// Epoch of a request that names everything.
const FIRST_EPOCH: i32 = 0;

/// `K` names a partition, `V` is all that is asked of it.
#[derive(Debug)]
pub struct FetchSession<K, V> {
    id: i32,
    /// Of the next request.
    epoch: i32,
    /// Of the request under way.
    asked: i32,
    told: BTreeMap<K, V>,
}

/// What a request says of its session and of partitions.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask<K, V> {
    pub id: i32,
    pub epoch: i32,
    /// New, or not as it was told.
    pub named: Vec<(K, V)>,
    /// No longer wanted.
    pub forgotten: Vec<K>,
}

impl<K, V> Default for FetchSession<K, V> {
    fn default() -> Self {
        FetchSession { id: NO_SESSION, epoch: FIRST_EPOCH, asked: FIRST_EPOCH, told: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> FetchSession<K, V> {
    /// What to say so that the leader knows of `wanted` and of nothing else. Unless [`answered`](FetchSession::answered) hears of
    /// it, nobody knows what the leader was told: then the next request names everything, and ends the session.
    pub fn ask(&mut self, wanted: &BTreeMap<K, V>) -> Ask<K, V> {
        self.asked = std::mem::replace(&mut self.epoch, FIRST_EPOCH);
        if self.asked == FIRST_EPOCH {
            self.told.clone_from(wanted);
            let named = wanted.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            return Ask { id: self.id, epoch: FIRST_EPOCH, named, forgotten: Vec::new() };
        }
        let forgotten: Vec<K> = self.told.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        forgotten.iter().for_each(|key| drop(self.told.remove(key)));
        let changed = wanted.iter().filter(|(key, value)| self.told.get(key) != Some(value));
        let named: Vec<(K, V)> = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
        self.told.extend(named.iter().cloned());
        Ask { id: self.id, epoch: self.asked, named, forgotten }
    }

    /// The answer to the last request, with its session's id. True if there is more in it than the refusal of a session.
    pub fn answered(&mut self, error: Option<ErrorCode>, id: i32) -> bool {
        let is_refused = matches!(
            error,
            Some(
                ErrorCode::FetchSessionIdNotFound
                    | ErrorCode::InvalidFetchSessionEpoch
                    | ErrorCode::FetchSessionTopicIdError
            )
        );
        match error {
            None => {
                self.id = id;
                self.epoch = if id == NO_SESSION { FIRST_EPOCH } else { self.asked.checked_add(1).unwrap_or(1) };
            }
            Some(ErrorCode::FetchSessionIdNotFound) => self.id = NO_SESSION,
            Some(_) => {}
        }
        if is_refused {
            model::reached!("a fetch session was refused, and begun anew");
        }
        !is_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<const N: usize>(partitions: [(char, u32); N]) -> BTreeMap<char, u32> {
        BTreeMap::from(partitions)
    }

    fn begun() -> FetchSession<char, u32> {
        let mut session = FetchSession::default();
        let ask = session.ask(&wanted([('a', 1), ('b', 2)]));
        assert_eq!(ask, Ask { id: 0, epoch: 0, named: vec![('a', 1), ('b', 2)], forgotten: vec![] });
        assert!(session.answered(None, 77));
        session
    }

    #[test]
    fn what_has_not_changed_is_not_named_again() {
        let mut session = begun();
        let ask = session.ask(&wanted([('a', 1), ('b', 3), ('c', 1)]));
        assert_eq!(ask, Ask { id: 77, epoch: 1, named: vec![('b', 3), ('c', 1)], forgotten: vec![] });
        assert!(session.answered(None, 77));
        let ask = session.ask(&wanted([('a', 1), ('b', 3), ('c', 1)]));
        assert_eq!(ask, Ask { id: 77, epoch: 2, named: vec![], forgotten: vec![] });
    }

    #[test]
    fn what_goes_back_is_named_and_what_is_not_wanted_is_forgotten_once() {
        let mut session = begun();
        let ask = session.ask(&wanted([('a', 0)]));
        assert_eq!(ask, Ask { id: 77, epoch: 1, named: vec![('a', 0)], forgotten: vec!['b'] });
        session.answered(None, 77);
        assert_eq!(session.ask(&wanted([('a', 0)])).forgotten, vec![]);
        session.answered(None, 77);
        assert_eq!(session.ask(&wanted([('a', 0), ('b', 2)])).named, vec![('b', 2)]);
    }

    #[test]
    fn after_a_request_without_an_answer_everything_is_named_and_the_session_ended() {
        let mut session = begun();
        session.ask(&wanted([('a', 5)]));
        let ask = session.ask(&wanted([('a', 5)]));
        assert_eq!(ask, Ask { id: 77, epoch: 0, named: vec![('a', 5)], forgotten: vec![] });
        session.answered(None, 78);
        assert_eq!(
            session.ask(&wanted([('a', 6)])),
            Ask { id: 78, epoch: 1, named: vec![('a', 6)], forgotten: vec![] }
        );
    }

    #[test]
    fn a_leader_that_keeps_no_session_is_told_everything_each_time() {
        let mut session = begun();
        session.ask(&wanted([('a', 5)]));
        session.answered(None, NO_SESSION);
        assert_eq!(session.ask(&wanted([('a', 5)])), Ask { id: 0, epoch: 0, named: vec![('a', 5)], forgotten: vec![] });
    }

    #[test]
    fn a_session_that_is_refused_begins_anew_and_one_that_is_not_known_is_not_ended_again() {
        for (code, id) in [(ErrorCode::FetchSessionIdNotFound, 0), (ErrorCode::InvalidFetchSessionEpoch, 77)] {
            let mut session = begun();
            session.ask(&wanted([('a', 1)]));
            assert!(!session.answered(Some(code), 0));
            assert_eq!(
                session.ask(&wanted([('a', 1)])),
                Ask { id, epoch: 0, named: vec![('a', 1)], forgotten: vec![] }
            );
        }
        let mut session = begun();
        session.ask(&wanted([('a', 1)]));
        assert!(session.answered(Some(ErrorCode::UnknownServerError), 0), "no word on the session");
    }

    #[test]
    fn epochs_begin_again_at_one_when_there_is_none_higher() {
        let mut session = begun();
        session.epoch = i32::MAX;
        assert_eq!(session.ask(&wanted([])).epoch, i32::MAX);
        session.answered(None, 77);
        assert_eq!(session.ask(&wanted([])).epoch, 1);
    }
}
