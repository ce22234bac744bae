//! How much a stream takes, over the last second.

use super::REVIEW;
use std::time::Duration;

/// Parts of the second.
const PARTS: usize = Duration::from_secs(1).as_millis().div_euclid(REVIEW.as_millis()) as usize;
/// Parts without a byte after which a stream is taken to have stopped: fewer are the pause between two pictures of a slow
/// one.
const SILENT_PARTS: u32 = 3;

/// The rate of one stream. A keyframe counts as what it is in a second. A stream that stops keeps its rate: it costs that
/// much when it comes back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    bytes: [u64; PARTS],
    at: usize,
    /// Parts measured since it came back, at most [`PARTS`].
    measured: usize,
    silent: u32,
    /// Sums of the last few seconds, each begun a part later: the largest of them is not yet falling where it has stopped.
    sums: [u64; SILENT_PARTS as usize + 1],
    known_bps: Option<u64>,
}

impl Meter {
    /// A datagram has come. Hot path.
    pub(super) const fn count(&mut self, bytes: usize) {
        self.bytes[self.at] += bytes as u64;
    }

    /// That many parts of a second have passed.
    pub(super) fn roll(&mut self, parts: u32) {
        for _ in 0..(parts as usize).min(2 * PARTS) {
            self.end_part();
        }
    }

    fn end_part(&mut self) {
        if self.bytes[self.at] == 0 {
            self.silent = self.silent.saturating_add(1);
        } else {
            self.silent = 0;
        }
        if self.silent >= SILENT_PARTS {
            self.measured = 0;
            self.sums = [0; SILENT_PARTS as usize + 1];
        } else {
            self.measured = (self.measured + 1).min(PARTS);
            self.sums.rotate_right(1);
            self.sums[0] = self.bytes.iter().sum();
            if self.measured == PARTS {
                let most = self.sums.iter().max().copied().unwrap_or_default();
                self.known_bps = Some(most * 8);
            }
        }
        self.at = (self.at + 1) % PARTS;
        self.bytes[self.at] = 0;
    }

    /// Bits a second; none before there was anything. In its first second what it has taken so far, or what it took before.
    pub(super) fn rate(&self) -> Option<u64> {
        let so_far = self.bytes.iter().sum::<u64>() * 8;
        match self.known_bps {
            Some(known) if self.measured == PARTS || self.silent >= SILENT_PARTS => Some(known),
            Some(known) => Some(known.max(so_far)),
            None => (so_far > 0).then_some(so_far),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_the_rate_of_its_last_second_and_keeps_it_when_it_stops() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(), None);
        for _ in 0..20 {
            meter.count(1_000);
            meter.roll(1);
        }
        assert_eq!(meter.rate(), Some(80_000));
        meter.roll(50);
        assert_eq!(meter.rate(), Some(80_000));
    }

    #[test]
    fn a_keyframe_at_the_beginning_is_not_taken_for_the_rate() {
        let mut meter = Meter::default();
        for part in 0..15 {
            meter.count(if part == 0 { 6_000 } else { 1_875 });
            meter.roll(1);
        }
        assert_eq!(
            meter.rate(),
            Some(150_000),
            "the keyframe is more than a second ago"
        );
        meter.roll(40);
        meter.count(6_000);
        meter.roll(1);
        assert_eq!(meter.rate(), Some(150_000), "it comes back with a keyframe");
    }

    #[test]
    fn a_slow_stream_is_measured_too() {
        let mut meter = Meter::default();
        for part in 0..40 {
            meter.count(if part % 2 == 0 { 2_000 } else { 0 });
            meter.roll(1);
        }
        assert_eq!(meter.rate(), Some(80_000));
    }
}
