//! How much a layer sends, for choosing among layers.

use crate::allocation::TEMPORAL_STEPS;
use relay_proto::unit::RtpTime;
use std::time::{Duration, Instant};

/// Bytes are counted for this long before the rate moves.
const INTERVAL: Duration = Duration::from_millis(200);
/// Weight of an interval that is above the rate, and of one below. A layer that needs room gets it soon and keeps it
/// through a still moment: a screen that scrolls now and then is not taken for one that stands.
const UP: f64 = 0.3;
const DOWN: f64 = 0.04;
/// Ticks of a picture's clock in a second (RFC 7741, 6184, 9628; AV1 over RTP).
const CLOCK_HZ: f64 = 90_000.0;
/// What comes at once is divided by the media time it covers, up to this: longer than a link is silent before media takes
/// another way. A sender that says more would have its pictures taken for cheaper than they are.
const LONGEST_BURST: Duration = Duration::from_secs(1);

/// The rate of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateMeter {
    bytes: u64,
    /// First and last media time of what has been counted.
    covers: Option<(RtpTime, RtpTime)>,
    since: Option<Instant>,
    rate: Option<f64>,
}

impl RateMeter {
    /// A packet of `bytes` has come, of the picture of `time`. Hot path.
    pub(super) fn count(&mut self, bytes: usize, time: RtpTime) {
        self.bytes += bytes as u64;
        let (first, last) = self.covers.unwrap_or((time, time));
        self.covers = Some(if is_before(last, time) {
            (first, time)
        } else if is_before(time, first) {
            (time, last)
        } else {
            (first, last)
        });
    }

    /// Moves the rate on; call every 100 ms or so. A layer that sends nothing keeps its rate: it costs that much when
    /// it comes back.
    pub(super) fn roll(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed < INTERVAL {
            return;
        }
        self.since = Some(now);
        let bytes = std::mem::take(&mut self.bytes);
        let Some((first, last)) = self.covers.take() else {
            return;
        };
        // What a link held back for a while costs no more for coming all at once.
        let covered = f64::from(last.0.wrapping_sub(first.0)) / CLOCK_HZ;
        let covered = covered.min(LONGEST_BURST.as_secs_f64());
        let rate = bytes as f64 * 8.0 / elapsed.as_secs_f64().max(covered);
        self.rate = Some(match self.rate {
            Some(before) if rate > before => before + (rate - before) * UP,
            Some(before) => before + (rate - before) * DOWN,
            None => rate,
        });
    }

    /// Bits a second; none before there was anything.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rate.map(|rate| rate as u64)
    }
}

/// Media times wrap.
const fn is_before(a: RtpTime, b: RtpTime) -> bool {
    (b.0.wrapping_sub(a.0) as i32) > 0
}

/// The older a byte is, the less it counts for the shares of temporal layers: half after this time.
const SHARES_HALVE: Duration = Duration::from_secs(2);

/// How a layer's bytes are divided among its temporal layers. Over longer than a rate: the smallest may have three
/// frames in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TemporalShares {
    bytes: [u64; TEMPORAL_STEPS],
    since: Option<Instant>,
}

impl TemporalShares {
    /// A packet of `bytes` of a temporal layer has come. Hot path.
    pub(super) fn count(&mut self, temporal: u8, bytes: usize) {
        self.bytes[usize::from(temporal).min(TEMPORAL_STEPS - 1)] += bytes as u64;
    }

    /// Moves on; call every 100 ms or so.
    pub(super) fn roll(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= SHARES_HALVE {
            self.since = Some(now);
            self.bytes = self.bytes.map(|bytes| bytes / 2);
        }
    }

    /// What of `rate` the temporal layers up to each take.
    pub(super) fn of(&self, rate: u64) -> [u64; TEMPORAL_STEPS] {
        let all: u64 = self.bytes.iter().sum();
        let mut so_far = 0;
        self.bytes.map(|bytes| {
            so_far += bytes;
            if so_far == all {
                rate
            } else {
                (u128::from(rate) * u128::from(so_far) / u128::from(all)) as u64
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporal_layers_have_their_shares_and_lose_them_when_they_stop() {
        let mut at = crate::rtc::testing::instant();
        let mut shares = TemporalShares::default();
        assert_eq!(shares.of(1_000), [1_000; 3], "nothing is known");
        shares.roll(at);
        for temporal in [0, 2, 1, 2] {
            shares.count(temporal, 1_000);
        }
        assert_eq!(shares.of(1_000), [250, 500, 1_000]);
        for _ in 0..30 {
            shares.count(0, 1_000);
            at += SHARES_HALVE;
            shares.roll(at);
        }
        assert_eq!(shares.of(1_000), [1_000; 3]);
    }

    fn media_time(since: Duration) -> RtpTime {
        RtpTime(u32::MAX.wrapping_add(since.as_millis() as u32 * 90))
    }

    #[test]
    fn what_was_held_back_and_comes_at_once_costs_no_more() {
        let start = crate::rtc::testing::instant();
        let mut meter = RateMeter::default();
        let frame = |meter: &mut RateMeter, number: u32| {
            meter.count(5_000, media_time(number * Duration::from_millis(40)));
        };
        for number in 0..500 {
            frame(&mut meter, number);
            meter.roll(start + number * Duration::from_millis(40));
        }
        let before = meter.rate().unwrap();
        assert!(before.abs_diff(1_000_000) < 100_000, "{before}");
        // Nothing comes for 0.4 s, then the newest before all others.
        for number in std::iter::once(510).chain(500..510) {
            frame(&mut meter, number);
        }
        for number in 511..525 {
            frame(&mut meter, number);
            meter.roll(start + number * Duration::from_millis(40));
        }
        let after = meter.rate().unwrap();
        assert!(after < before * 115 / 100, "{before}, then {after}");
    }

    #[test]
    fn a_sender_whose_clock_runs_away_is_not_taken_for_one_that_sends_nothing() {
        let start = crate::rtc::testing::instant();
        let mut meter = RateMeter::default();
        for number in 0..250_u32 {
            meter.count(5_000, RtpTime(number.wrapping_mul(1 << 30)));
            meter.roll(start + number * Duration::from_millis(40));
        }
        assert!(meter.rate().unwrap() > 150_000, "{:?}", meter.rate());
    }

    #[test]
    fn the_rate_rises_soon_falls_late_and_outlives_silence() {
        let start = crate::rtc::testing::instant();
        let mut meter = RateMeter::default();
        let mut at = start;
        let mut feed = |meter: &mut RateMeter, bytes: usize, steps: u32| {
            for _ in 0..steps {
                if bytes > 0 {
                    meter.count(bytes, media_time(at - start));
                }
                at += Duration::from_millis(100);
                meter.roll(at);
            }
        };
        feed(&mut meter, 0, 1);
        assert_eq!(meter.rate(), None);
        feed(&mut meter, 12_500, 20);
        assert!(
            meter.rate().unwrap().abs_diff(1_000_000) < 200_000,
            "{:?}",
            meter.rate()
        );
        feed(&mut meter, 50_000, 20);
        assert!(meter.rate().unwrap() > 3_500_000);
        feed(&mut meter, 12_500, 4);
        assert!(meter.rate().unwrap() > 3_000_000);
        let before = meter.rate();
        feed(&mut meter, 0, 100);
        assert!(meter.rate().unwrap() > before.unwrap() / 2);
    }
}
