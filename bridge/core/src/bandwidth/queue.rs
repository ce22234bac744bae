//! How long packets stand in the queue of the narrowest link.
//!
//! The clocks of both ends are unrelated: only differences of (arrival − departure) mean anything. The smallest of a
//! long time is the path without a queue; the smallest of a moment, less that, is what stands in the queue now.

use super::PacketReport;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets sent within this time of the first are one burst.
const BURST_US: i64 = 5_000;
/// A moment: long enough to hold a burst that found no burst before it.
const RECENT_US: i64 = 250_000;
/// A short moment, for queues that grow so fast that waiting costs sound.
const SHORT_US: i64 = 100_000;
/// Half of the time in which the path without a queue is looked for. Long against a queue, short against the drift of
/// two clocks (50 ppm: 0.75 ms).
const BASE_HALF_US: i64 = 15_000_000;
/// So many bursts, each later than the one before, are a queue that fills.
const CLIMBING: usize = 3;
/// Bursts remembered.
const MAX_RECENT: usize = 64;

/// Delay of standing queues. Times are departures, in µs.
#[derive(Debug, Default)]
pub(super) struct QueueDelay {
    /// First departure of the current burst.
    burst: Option<i64>,
    /// When and with which delay (µs, of no meaning by itself) recent bursts began.
    recent: VecDeque<(i64, i64)>,
    /// Start of the current half, its smallest delay, and that of the half before.
    half: Option<(i64, i64)>,
    half_before: Option<i64>,
}

impl QueueDelay {
    /// Takes the packets of one feedback.
    pub(super) fn on_reports(&mut self, reports: &[PacketReport]) {
        for report in reports {
            let Some(arrived_us) = report.arrived_us else {
                continue;
            };
            if self
                .burst
                .is_some_and(|first_us| report.sent_us - first_us <= BURST_US)
            {
                continue;
            }
            self.burst = Some(report.sent_us);
            self.on_burst(report.sent_us, arrived_us - report.sent_us);
        }
    }

    fn on_burst(&mut self, sent_us: i64, delay_us: i64) {
        match &mut self.half {
            Some((start_us, smallest)) if sent_us - *start_us < BASE_HALF_US => {
                *smallest = delay_us.min(*smallest);
            }
            half => {
                self.half_before = half.map(|(_, smallest)| smallest);
                *half = Some((sent_us, delay_us));
            }
        }
        while self
            .recent
            .front()
            .is_some_and(|(at_us, _)| sent_us - at_us > RECENT_US)
            || self.recent.len() >= MAX_RECENT
        {
            self.recent.pop_front();
        }
        self.recent.push_back((sent_us, delay_us));
    }

    /// Forgets the moment: what was seen before is not to be judged again.
    pub(super) fn look_anew(&mut self) {
        self.recent.clear();
    }

    /// What stands in the queue: none where the moment has too few bursts to tell it from the length of one burst.
    pub(super) fn standing(&self) -> Option<Duration> {
        self.within(RECENT_US)
    }

    /// What has stood in it for a short moment: seen early, and now and then only a large burst.
    pub(super) fn rising(&self) -> Option<Duration> {
        self.within(SHORT_US)
    }

    /// What the newest burst has met, where each of the last has met more than the one before: a queue that fills. Jitter
    /// goes up and down, and a receiver that slept reads its newest packet soonest.
    pub(super) fn climbing(&self) -> Option<Duration> {
        let newest = self.recent.iter().rev().take(CLIMBING);
        let climbs = newest.clone().count() == CLIMBING
            && newest
                .clone()
                .zip(newest.clone().skip(1))
                .all(|((_, late), (_, early))| late > early);
        let (_, delay_us) = self.recent.back().filter(|_| climbs)?;
        Some(Duration::from_micros((delay_us - self.base()?).max(0) as u64))
    }

    fn base(&self) -> Option<i64> {
        let (_, half) = self.half?;
        Some(self.half_before.map_or(half, |before| before.min(half)))
    }

    fn within(&self, moment_us: i64) -> Option<Duration> {
        let (last_us, _) = *self.recent.back()?;
        let recent = || {
            self.recent
                .iter()
                .filter(move |(at_us, _)| last_us - at_us <= moment_us)
        };
        let (first_us, _) = recent().next()?;
        if last_us - first_us < moment_us / 2 || recent().count() < 3 {
            return None;
        }
        let base = self.base()?;
        let now = recent().map(|(_, delay_us)| *delay_us).min()?;
        Some(Duration::from_micros((now - base).max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(count: i64, delay_ms: impl Fn(i64) -> i64) -> Vec<PacketReport> {
        let report = |n| PacketReport {
            sent_us: 33_000 * n,
            arrived_us: Some((33 * n + delay_ms(n)) * 1_000),
            bytes: 1_000,
            beside: 0,
        };
        (0..count).map(report).collect()
    }

    #[test]
    fn a_queue_that_stands_is_seen_and_jitter_is_not() {
        let mut queue = QueueDelay::default();
        queue.on_reports(&reports(30, |n| 50 + (n % 3) * 20));
        assert_eq!(queue.standing(), Some(Duration::ZERO));
        let mut queue = QueueDelay::default();
        queue.on_reports(&reports(30, |n| if n < 15 { 50 } else { 50 + 40 + (n % 3) }));
        assert_eq!(queue.standing(), Some(Duration::from_millis(40)));
    }

    #[test]
    fn a_burst_counts_by_its_first_packet() {
        let mut queue = QueueDelay::default();
        let mut all = Vec::new();
        for frame in 0..20_i64 {
            for packet in 0..10_i64 {
                all.push(PacketReport {
                    sent_us: 40_000 * frame,
                    arrived_us: Some((40 * frame + 3 * packet) * 1_000),
                    bytes: 1_000,
                    beside: 0,
                });
            }
        }
        queue.on_reports(&all);
        assert_eq!(queue.standing(), Some(Duration::ZERO));
    }

    #[test]
    fn a_queue_that_fills_is_seen_before_it_stands() {
        let mut queue = QueueDelay::default();
        queue.on_reports(&reports(30, |n| 50 + (n * 2 % 3) * 20));
        assert_eq!(queue.climbing(), None, "jitter");
        let mut queue = QueueDelay::default();
        queue.on_reports(&reports(30, |n| 50 + (n - 26).max(0) * 30));
        assert_eq!(queue.climbing(), Some(Duration::from_millis(90)));
        assert_eq!(queue.standing(), Some(Duration::ZERO));
    }

    #[test]
    fn a_longer_path_becomes_the_base_in_time() {
        let mut queue = QueueDelay::default();
        queue.on_reports(&reports(30, |_| 50));
        queue.on_reports(&reports(1_200, |n| if n < 30 { 50 } else { 90 }));
        assert_eq!(queue.standing(), Some(Duration::ZERO));
    }
}
