//! Throttles of replication (KIP-73): so many bytes a second for replicas that are named and out of sync, as who sends and as who fetches.
//!
//! What has passed is paid for by waiting: so many bytes close a throttle for as long as its rate takes for them. One answer may hold more
//! than a moment's worth, and none comes before it is paid; so the rate holds over any longer time, and nothing is saved up.
//!
//! Those in sync are never held back: producers wait for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Time;
use parking_lot::Mutex;
use roles::controller::{Topic, is_throttled};

use crate::metrics::Count;

/// Both directions of one node.
#[derive(Default)]
pub(crate) struct Throttles {
    /// `leader.replication.throttled.rate`
    pub(crate) leader: Throttle,
    /// `follower.replication.throttled.rate`
    pub(crate) follower: Throttle,
}

/// One direction.
#[derive(Default)]
pub(crate) struct Throttle {
    /// There is a limit. Nearly always there is none, and nothing to lock for.
    is_limited: AtomicBool,
    state: Mutex<State>,
    /// Bytes that passed while there was a limit.
    pub(crate) passed: Count,
}

#[derive(Default)]
struct State {
    /// None: no limit.
    bytes_per_second: Option<u64>,
    /// Nothing passes before.
    closed_until: Time,
}

impl Throttle {
    /// Another rate holds from now on. What passed under the one before is forgotten.
    pub(crate) fn set(&self, bytes_per_second: Option<u64>) {
        let bytes_per_second = bytes_per_second.filter(|rate| *rate < i64::MAX as u64);
        let mut state = self.state.lock();
        if state.bytes_per_second != bytes_per_second {
            *state = State { bytes_per_second, closed_until: Time::ZERO };
            self.is_limited.store(bytes_per_second.is_some(), Ordering::Release);
        }
    }

    fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    /// How much may pass now: a second's worth at most, or nothing. None: there is no limit.
    pub(crate) fn room(&self, now: Time) -> Option<usize> {
        if !self.is_limited() {
            return None;
        }
        let state = self.state.lock();
        let rate = state.bytes_per_second?;
        let is_closed = rate == 0 || now < state.closed_until;
        Some(if is_closed { 0 } else { usize::try_from(rate).unwrap_or(usize::MAX) })
    }

    /// The limit in force; none: there is no limit.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        self.state.lock().bytes_per_second
    }

    /// So much has passed.
    pub(crate) fn passed(&self, now: Time, bytes: usize) {
        if !self.is_limited() {
            return;
        }
        let mut state = self.state.lock();
        if let Some(rate) = state.bytes_per_second.filter(|rate| 0 < *rate) {
            self.passed.add(bytes as u64);
            let nanoseconds = (bytes as u128).saturating_mul(1_000_000_000) / u128::from(rate);
            let pause = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            state.closed_until = state.closed_until.max(now) + pause;
        }
    }
}

/// Which throttles of its node a replica goes by, while it is out of sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttled {
    pub(crate) as_leader: bool,
    pub(crate) as_follower: bool,
}

impl Throttled {
    /// The replica of a topic's partition on this broker.
    pub(crate) fn of(topic: &Topic, partition: i32, broker: model::BrokerId) -> Throttled {
        let is_named = |setting: &str| {
            topic.configs.get(setting).is_some_and(|replicas| is_throttled(replicas, partition, broker))
        };
        Throttled {
            as_leader: is_named("leader.replication.throttled.replicas"),
            as_follower: is_named("follower.replication.throttled.replicas"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn over_any_time_no_more_passes_than_the_rate_and_one_answer() {
        let throttle = Throttle::default();
        throttle.set(Some(1_000));
        let (mut passed, answer) = (0, 300);
        for now in (0..60_000).step_by(10).map(at) {
            if throttle.room(now) == Some(1_000) {
                throttle.passed(now, answer);
                passed += answer;
            }
        }
        assert!((60_000 - answer..=60_000 + answer).contains(&passed), "{passed} bytes in a minute");
        assert_eq!((throttle.passed.get(), throttle.bytes_per_second()), (passed as u64, Some(1_000)));
    }

    #[test]
    fn another_rate_forgives_what_is_owed_and_none_is_no_limit() {
        let throttle = Throttle::default();
        assert_eq!(throttle.room(at(0)), None);
        throttle.set(Some(1));
        throttle.passed(at(0), 1_000_000);
        assert_eq!(throttle.room(at(1_000)), Some(0));
        throttle.set(Some(500));
        assert_eq!(throttle.room(at(1_000)), Some(500));
        throttle.set(Some(0));
        throttle.passed(at(1_000), 5);
        assert_eq!(throttle.room(at(1_000_000)), Some(0), "nothing passes at that rate");
        throttle.set(Some(i64::MAX as u64));
        assert_eq!(throttle.room(at(1_000)), None);
    }
}
