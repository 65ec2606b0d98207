//! The wall clock of one node: what it says, and how wrong it is.
//!
//! Fault model. A wall clock may be off by any amount, forwards or backwards, from one moment to the next (somebody sets it, a time
//! server is found, a leap second), and it may drift: run faster or slower than time by so many millionths. A broker must do
//! nothing by it but write it into records. The monotonic clock, by which everything is waited for, never goes back and does not
//! drift; each loss of power gives it another origin, and a process that was paused finds that it has gone on.

use model::{Time, Timestamp};

/// Wall-clock time when a run begins: the first of January 2026.
pub const WORLD_EPOCH: Timestamp = Timestamp(1_767_225_600_000);

#[derive(Default)]
pub(crate) struct WallClock {
    /// Ahead of the truth if positive, at the moment `since`.
    offset_ms: i64,
    drift_ppm: i64,
    since: Option<Time>,
}

impl WallClock {
    pub(crate) fn read(&self, now: Time) -> Timestamp {
        Timestamp(WORLD_EPOCH.0 + (now.0 / 1_000_000) as i64 + self.error_ms(now))
    }

    /// Sets it wrong by so much, once; it drifts on from there.
    pub(crate) fn set_offset(&mut self, milliseconds: i64, now: Time) {
        self.offset_ms = milliseconds;
        self.since = Some(now);
    }

    /// It gains so many microseconds in a second, or loses them if negative.
    pub(crate) fn set_drift(&mut self, ppm: i64, now: Time) {
        self.offset_ms = self.error_ms(now);
        self.drift_ppm = ppm;
        self.since = Some(now);
    }

    fn error_ms(&self, now: Time) -> i64 {
        let elapsed_ms = self.since.map_or(0, |since| now.since(since).as_millis() as i64);
        self.offset_ms.saturating_add(elapsed_ms.saturating_mul(self.drift_ppm) / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_drifts_from_where_it_was_set() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut clock = WallClock::default();
        let error = |clock: &WallClock, seconds| clock.read(at(seconds)).0 - WORLD_EPOCH.0 - seconds as i64 * 1_000;
        assert_eq!(error(&clock, 5), 0);
        clock.set_drift(-500, at(10));
        assert_eq!(error(&clock, 110), -50);
        clock.set_offset(3_000, at(110));
        assert_eq!(error(&clock, 110), 3_000);
        assert_eq!(error(&clock, 210), 2_950);
        clock.set_drift(0, at(210));
        assert_eq!(error(&clock, 1_000), 2_950);
    }
}
