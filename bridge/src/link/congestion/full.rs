//! What is remembered of a link that was found full.

use super::DRAIN;
use std::time::{Duration, Instant};

/// Rounds of draining without a shorter queue after which the path itself is taken to be longer.
const FUTILE_ROUNDS: u32 = 8;
/// Share of the expected shortening that counts as one.
const REACTION: f64 = 0.3;
/// How long nothing grows after that; twice as long each time it is found at nearly the same rate, up to the second.
const HOLD: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));

/// A standing queue that is being drained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    pub(super) first_queue: Duration,
    pub(super) carried_bps: u64,
    pub(super) rounds: u32,
    pub(super) started: Instant,
    pub(super) longest_queue: Duration,
    /// Rate and last full rate before, for when it turns out that the queue was not ours.
    pub(super) before_bps: (u64, u64),
}

impl Draining {
    /// Whether the queue has had time to become shorter by what we hold back, and has not.
    ///
    /// What is measured now was sent a round trip ago, so holding back shows only after that.
    pub(super) fn is_futile(&self, now: Instant, queue: Duration, base: Duration) -> bool {
        let elapsed = now.saturating_duration_since(self.started);
        if self.rounds <= FUTILE_ROUNDS || elapsed < (base + self.first_queue) * 2 {
            return false;
        }
        let shown = elapsed.saturating_sub(base + queue).mul_f64(1.0 - DRAIN);
        self.longest_queue.saturating_sub(queue) < shown.mul_f64(REACTION)
    }
}

/// A queue that is being flushed: what is under way is more than the link holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flush {
    pub(super) started: Instant,
    pub(super) carried_bps: u64,
    pub(super) delivered_bytes: u64,
    pub(super) before_bps: u64,
}

/// How long a link that was found full is not tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) until: Option<Instant>,
    pub(super) time: Duration,
    pub(super) bps: u64,
}

impl Hold {
    /// Nothing is known of it.
    pub(super) const fn none() -> Self {
        Self {
            until: None,
            time: HOLD.0,
            bps: 0,
        }
    }

    pub(super) fn full(&mut self, now: Instant, bps: u64) {
        let same = bps.abs_diff(self.bps) < self.bps / 4;
        self.time = if same { (self.time * 2).min(HOLD.1) } else { HOLD.0 };
        self.bps = bps;
        self.until = Some(now + self.time);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}
