//! The real cap on a link: a token bucket at the estimated rate.

use super::estimate::LinkEstimate;
use super::lanes::Lane;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Traffic that may go out at once after a pause. A frame of 8 packets must not wait, and timers tick in
/// milliseconds: 20 ms of rate is less than the queue that counts as congestion.
const BURST: Duration = Duration::from_millis(20);
/// And never less than this, so that a slow link still takes a small frame at once: 20 ms of 5 Mbit/s.
const MIN_BURST_BYTES: f64 = 12_000.0;

/// Releases bytes at the rate of a [`LinkEstimate`].
#[derive(Debug)]
pub struct Pace {
    estimate: Arc<LinkEstimate>,
    credit_bytes: f64,
    /// Sound's own, at what the link carries: it is not held back while a queue is drained.
    sound_bytes: f64,
    filled_at: Instant,
}

impl Pace {
    /// A full bucket.
    #[must_use]
    pub fn new(estimate: Arc<LinkEstimate>, now: Instant) -> Self {
        let credit_bytes = burst_bytes(estimate.rate_bps());
        Self {
            estimate,
            credit_bytes,
            sound_bytes: credit_bytes,
            filled_at: now,
        }
    }

    /// Takes `bytes` for a datagram of `lane`, or says how long to wait before asking again.
    ///
    /// Probes always pass. Audio passes as long as audio alone does not exceed what the link carries, whatever video has
    /// used; video then waits for what audio has taken.
    pub fn take(&mut self, now: Instant, lane: Lane, bytes: usize) -> Result<(), Duration> {
        self.fill(now);
        let size = bytes as f64;
        let lacks = match lane {
            Lane::Probe => 0.0,
            Lane::Audio => size - self.sound_bytes,
            Lane::Video => size - self.credit_bytes,
        };
        if lacks > 0.0 {
            self.estimate.note_held_back();
            return Err(self.time_for(lacks));
        }
        if lane == Lane::Audio {
            self.sound_bytes -= size;
        }
        let burst = burst_bytes(self.estimate.rate_bps());
        self.credit_bytes = (self.credit_bytes - size).max(-2.0 * burst);
        Ok(())
    }

    /// Whether padding of that many bytes may go out now; takes them where it may.
    pub fn take_padding(&mut self, now: Instant, bytes: usize) -> bool {
        self.fill(now);
        let size = bytes as f64;
        if self.credit_bytes < size {
            self.estimate.note_held_back();
            return false;
        }
        self.credit_bytes -= size;
        true
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        let refill = |credit: f64, bps: u64| (credit + bps as f64 / 8.0 * elapsed).min(burst_bytes(bps));
        self.credit_bytes = refill(self.credit_bytes, self.estimate.rate_bps());
        self.sound_bytes = refill(self.sound_bytes, self.estimate.capacity_bps());
    }

    fn time_for(&self, bytes: f64) -> Duration {
        Duration::from_secs_f64((bytes * 8.0 / self.estimate.rate_bps().max(1) as f64).clamp(0.000_5, 1.0))
    }
}

fn burst_bytes(bps: u64) -> f64 {
    (bps as f64 / 8.0 * BURST.as_secs_f64()).max(MIN_BURST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::RateLimits;

    fn pace(rate_bps: u64, now: Instant) -> Pace {
        let limits = RateLimits {
            initial_bps: rate_bps,
            floor_bps: 1,
            cap_bps: u64::MAX,
        };
        Pace::new(Arc::new(LinkEstimate::new(&limits)), now)
    }

    #[test]
    fn video_goes_out_at_the_estimated_rate() {
        let start = Instant::now();
        let mut pace = pace(8_000_000, start);
        let mut sent = 0_u64;
        let mut now = start;
        while now < start + Duration::from_secs(2) {
            match pace.take(now, Lane::Video, 1_000) {
                Ok(()) => sent += 1_000,
                Err(wait) => now += wait,
            }
        }
        assert!((2_000_000..2_040_000).contains(&sent), "{sent}");
        assert!(pace.estimate.take_held_back());
    }

    #[test]
    fn audio_passes_while_video_waits() {
        let now = Instant::now();
        let mut pace = pace(1_000_000, now);
        while pace.take(now, Lane::Video, 1_000).is_ok() {}
        assert!(pace.take(now, Lane::Audio, 200).is_ok());
        assert!(pace.take(now, Lane::Probe, 28).is_ok());
        assert!(pace.take(now, Lane::Video, 1_000).is_err());
    }

    #[test]
    fn audio_alone_cannot_exceed_the_link() {
        let now = Instant::now();
        let mut pace = pace(1_000_000, now);
        let passed = (0..10_000)
            .take_while(|_| pace.take(now, Lane::Audio, 200).is_ok())
            .count();
        assert!((55..65).contains(&passed), "{passed}");
    }
}
