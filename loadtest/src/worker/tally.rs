//! What a worker adds up over its clients while a run goes on: delays by pair of regions, and one line a second.

use std::collections::BTreeMap;
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::client::{Shown, Source};

/// Delays above this count as this (60 s, in microseconds).
const LONGEST_US: u64 = 60_000_000;
/// Three digits: 0.1 %.
const DIGITS: u8 = 3;
/// Seconds of a timeline; a longer run keeps the newest.
const MOST_SECONDS: usize = 24 * 3_600;

/// Where from, where to, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairKey {
    /// Region of the sender, by its place in the scenario.
    pub from: u16,
    /// Region of the receiver.
    pub to: u16,
    /// Source of the media.
    pub source: Source,
}

/// Figures of one pair.
#[derive(Clone, Debug)]
pub struct PairTally {
    /// One-way delays of frames, in microseconds.
    pub delay_us: Histogram<u64>,
    /// Time from a broken picture to its keyframe, in microseconds.
    pub keyframe_wait_us: Histogram<u64>,
    /// Frames of the layer the receiver wanted, and of all layers.
    pub wanted: (u64, u64),
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    /// Frames shown or heard.
    pub frames: u64,
    /// Median delay, in microseconds.
    pub p50_us: u64,
    /// 99th percentile of the delay, in microseconds.
    pub p99_us: u64,
}

/// All figures of one worker.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By pair of regions and source.
    pub pairs: BTreeMap<PairKey, PairTally>,
    /// By seconds since the start of the run.
    pub seconds: BTreeMap<u64, Second>,
    start: Instant,
    second: u64,
    current: Histogram<u64>,
}

/// A histogram of microseconds.
#[must_use]
pub fn microseconds() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_US, DIGITS)
        .expect("invariant: the bounds are constants the library accepts")
}

impl Tally {
    /// Nothing yet; `start` is the beginning of the run.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self {
            pairs: BTreeMap::new(),
            seconds: BTreeMap::new(),
            start,
            second: 0,
            current: microseconds(),
        }
    }

    /// Adds a frame. `wanted` is the layer the receiver asked for, if it asked for one.
    pub(super) fn add(&mut self, key: PairKey, shown: &Shown, wanted: Option<u8>) {
        let delay_us = u64::try_from(shown.delay_ns / 1_000).unwrap_or(0);
        self.turn(shown.at);
        self.current.saturating_record(delay_us);
        let pair = self.pairs.entry(key).or_insert_with(|| PairTally {
            delay_us: microseconds(),
            keyframe_wait_us: microseconds(),
            wanted: (0, 0),
        });
        pair.delay_us.saturating_record(delay_us);
        if let Some(waited) = shown.waited {
            pair.keyframe_wait_us.saturating_record(waited.as_micros() as u64);
        }
        if let Some(wanted) = wanted {
            pair.wanted.0 += u64::from(wanted == shown.layer);
            pair.wanted.1 += 1;
        }
    }

    /// Closes seconds that are over.
    pub(super) fn turn(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.start).as_secs();
        if second <= self.second {
            return;
        }
        let current = &mut self.current;
        let figures = Second {
            frames: current.len(),
            p50_us: current.value_at_quantile(0.5),
            p99_us: current.value_at_quantile(0.99),
        };
        self.seconds.insert(self.second, figures);
        if self.seconds.len() > MOST_SECONDS {
            self.seconds.pop_first();
        }
        current.reset();
        self.second = second;
    }

    /// Forgets the pairs, as warm-up; the timeline stays.
    pub(super) fn restart(&mut self) {
        self.pairs.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::LegKey;

    #[test]
    fn seconds_close_by_themselves_and_pairs_add_up() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let key = PairKey {
            from: 0,
            to: 1,
            source: Source::Camera,
        };
        for (ms, delay_ms, layer) in [(10, 80, 2), (900, 90, 1), (1_500, 200, 2), (3_100, 80, 2)] {
            let shown = Shown {
                key: LegKey { sender: 1, source: 1 },
                layer,
                delay_ns: delay_ms * 1_000_000,
                at: start + Duration::from_millis(ms),
                waited: None,
            };
            tally.add(key, &shown, Some(2));
        }
        let frames: Vec<(u64, u64)> = tally
            .seconds
            .iter()
            .map(|(at, second)| (*at, second.frames))
            .collect();
        assert_eq!(frames, [(0, 2), (1, 1)]);
        assert_eq!(tally.seconds[&1].p50_us / 1_000, 200);
        assert_eq!(tally.pairs[&key].wanted, (3, 4));
        assert_eq!(tally.pairs[&key].delay_us.len(), 4);
    }
}
