//! What goes without a number: sound, which is never held back and so has its room before anything else.

use std::time::{Duration, Instant};

/// Bytes are counted for this long before the rate moves.
const INTERVAL: Duration = Duration::from_millis(200);
/// Somebody begins to speak: room is made at once. Somebody stops: a pause between words gives none away.
const UP: f64 = 0.6;
const DOWN: f64 = 0.05;

/// Rate of sound on one path.
#[derive(Debug, Default)]
pub(super) struct SoundRate {
    since: Option<(Instant, u64)>,
    rate: f64,
}

impl SoundRate {
    /// `bytes` have been sent so far; call every tick.
    pub(super) fn sent(&mut self, now: Instant, bytes: u64) {
        let (since, before) = *self.since.get_or_insert((now, bytes));
        let elapsed = now.saturating_duration_since(since);
        if elapsed < INTERVAL {
            return;
        }
        let rate = bytes.saturating_sub(before) as f64 * 8.0 / elapsed.as_secs_f64();
        let weight = if rate > self.rate { UP } else { DOWN };
        self.rate += (rate - self.rate) * weight;
        self.since = Some((now, bytes));
    }

    /// Bits a second.
    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_at_once_and_given_away_late() {
        let start = crate::rtc::testing::instant();
        let mut sound = SoundRate::default();
        let mut sent = 0;
        let mut rate_at = Vec::new();
        for tick in 0..300_u64 {
            sent += if (50..150).contains(&tick) { 100 } else { 0 };
            sound.sent(start + Duration::from_millis(10 * tick), sent);
            rate_at.push(sound.rate());
        }
        assert!(rate_at[49] < 1.0);
        assert!((70_000.0..=80_000.0).contains(&rate_at[149]), "{}", rate_at[149]);
        assert!(rate_at[249] > 50_000.0, "a second later: {}", rate_at[249]);
        assert!(rate_at[299] < rate_at[249]);
    }
}
