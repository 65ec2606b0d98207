//! Pauses between attempts: each twice as long as the last, up to a limit, give or take a fifth (KIP-580).

use std::time::Duration;

use crate::ClientConfig;

#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(config: &ClientConfig) -> Backoff {
        Backoff { first: config.retry_backoff, max: config.retry_backoff_max, attempts: 0 }
    }

    /// The next pause; `entropy` spreads it, so that clients that failed together do not come back together.
    pub(crate) fn next(&mut self, entropy: u64) -> Duration {
        self.attempts += 1;
        self.after(self.attempts, entropy)
    }

    /// The pause after so many attempts that failed, one at least.
    pub(crate) fn after(&self, attempts: u32, entropy: u64) -> Duration {
        let pause = self.first.saturating_mul(1 << (attempts - 1).min(20)).min(self.max);
        let permille = 800 + (entropy % 401) as u32;
        pause * permille / 1000
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use model::Endpoint;

    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_keep_within_a_fifth() {
        let mut backoff = Backoff::new(&ClientConfig::new(vec![Endpoint::new("b", 1)]));
        let shortest: Vec<_> = (0..5).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(shortest, [80, 160, 320, 640, 800]);
        assert_eq!(backoff.next(400).as_millis(), 1200);
        backoff.reset();
        assert_eq!(backoff.next(200).as_millis(), 100);
    }
}
