//! How much of something a peer may still cause: a rate, and a second's worth of it at once.

use std::time::Instant;

#[derive(Debug)]
pub(super) struct Budget {
    left: f64,
    at: Instant,
}

impl Budget {
    /// All of a second's worth.
    pub(super) const fn full(rate: f64, now: Instant) -> Self {
        Self { left: rate, at: now }
    }

    /// Takes `cost` where that much is left; `rate` comes back each second.
    pub(super) fn take(&mut self, now: Instant, rate: f64, cost: f64) -> bool {
        self.refill(now, rate);
        let affords = self.left >= cost;
        if affords {
            self.left -= cost;
        }
        affords
    }

    /// Takes `cost` all the same: what comes next has to wait for it.
    pub(super) fn charge(&mut self, now: Instant, rate: f64, cost: f64) {
        self.refill(now, rate);
        self.left -= cost;
    }

    fn refill(&mut self, now: Instant, rate: f64) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = rate.min(self.left + rate * elapsed);
        self.at = self.at.max(now);
    }
}
