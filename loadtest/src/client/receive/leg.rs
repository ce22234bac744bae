//! What one receiver got of one source of one sender: the figures behind every table of a report.

use std::time::{Duration, Instant};

use super::frames::Whole;
use super::stream::Arrival;

/// A pause of audio beyond the sender's own counts as a gap from here on: three packets.
pub const AUDIO_GAP: Duration = Duration::from_millis(60);
/// A frame later than this and three times the mean is a freeze (W3C webrtc-stats, `freezeCount`: the mean plus 150 ms).
const FREEZE_SLACK: Duration = Duration::from_millis(150);
/// Gaps kept one by one; more only count. The longest are kept.
const MOST_GAPS: usize = 32;
/// Stretches of a sound without a missing frame that are remembered.
const MOST_RUNS: usize = 4_096;
/// Weight of the newest frame in the mean distance of frames.
const MEAN_WEIGHT: f64 = 1.0 / 16.0;

/// Who and what a leg carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey {
    /// The sender's number in the plan.
    pub sender: u32,
    /// Its source, see [`crate::client::Source`].
    pub source: u8,
}

/// A stretch without media that should have been there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// When media came again, or the measurement ended.
    pub ended: Instant,
    /// How long it was missing.
    pub length: Duration,
}

/// Figures of one leg. All times by the receiver's clock.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Frames that could be shown or heard.
    pub frames: u64,
    /// Frame number of the first and the newest of them.
    pub first_sequence: u32,
    /// See `first_sequence`.
    pub last_sequence: u32,
    /// Keyframes among the frames.
    pub keyframes: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// Of these, what was published: without headers and tags.
    pub media_bytes: u64,
    /// Frames per simulcast layer.
    pub per_layer: [u64; 4],
    /// Freezes (video) or gaps (audio).
    pub gaps: u64,
    /// Their time together.
    pub gap_time: Duration,
    /// The longest ones, in order of time.
    pub longest: Vec<Gap>,
    /// When the first frame came.
    pub first_at: Instant,
    /// First and last number of each stretch of a sound without a missing frame, the warm-up included.
    runs: Vec<(u32, u32)>,
    last: Arrival,
    last_sent_ns: u64,
    mean: Option<Duration>,
    audio: bool,
    /// Nobody looks: what does not come is not missing.
    hidden: bool,
}

impl Leg {
    pub(super) fn new(first: &Whole, audio: bool) -> Self {
        let mut leg = Self {
            frames: 0,
            first_sequence: first.stamp.sequence,
            last_sequence: first.stamp.sequence,
            keyframes: 0,
            bytes: 0,
            media_bytes: 0,
            per_layer: [0; 4],
            gaps: 0,
            gap_time: Duration::ZERO,
            longest: Vec::new(),
            first_at: first.arrived.at,
            runs: Vec::new(),
            last: first.arrived,
            last_sent_ns: first.stamp.sent_at_ns,
            mean: None,
            audio,
            hidden: false,
        };
        leg.count(first);
        leg.note_run(first.stamp.sequence);
        leg
    }

    /// Takes the next frame that can be shown.
    pub(super) fn frame(&mut self, whole: &Whole) {
        let apart = whole.arrived.at.saturating_duration_since(self.last.at);
        let sent_apart = Duration::from_nanos(whole.stamp.sent_at_ns.saturating_sub(self.last_sent_ns));
        let missing = if self.hidden {
            None
        } else if self.audio {
            self.audio_gap(whole, apart, sent_apart)
        } else {
            self.freeze(apart)
        };
        if let Some(length) = missing {
            self.note_gap(Gap {
                ended: whole.arrived.at,
                length,
            });
        }
        self.last = whole.arrived;
        self.last_sent_ns = whole.stamp.sent_at_ns;
        self.last_sequence = whole.stamp.sequence;
        self.count(whole);
        self.note_run(whole.stamp.sequence);
    }

    /// The first frame of a sound that has come of those from number `from` to `until`, which is not one of them.
    #[must_use]
    pub fn first_within(&self, from: u32, until: u32) -> Option<u32> {
        let reaching = self.runs.iter().filter(|(_, last)| *last >= from);
        let first = reaching.map(|(first, _)| (*first).max(from)).min()?;
        (first < until).then_some(first)
    }

    fn note_run(&mut self, sequence: u32) {
        if let Some((_, last)) = self.runs.last_mut()
            && last.wrapping_add(1) == sequence
        {
            *last = sequence;
        } else if self.audio && self.runs.len() < MOST_RUNS {
            self.runs.push((sequence, sequence));
        }
    }

    /// Hides the picture or shows it again; nobody misses what is hidden.
    pub(super) fn set_hidden(&mut self, now: Instant, hidden: bool) {
        if self.hidden && !hidden {
            self.last.at = now;
            self.mean = None;
        }
        self.hidden = hidden;
    }

    /// When the newest frame came.
    #[must_use]
    pub fn last_at(&self) -> Instant {
        self.last.at
    }

    /// Forgets everything measured so far, as warm-up; the leg goes on.
    pub(super) fn restart(&mut self) {
        self.frames = 0;
        self.first_sequence = self.last_sequence.wrapping_add(1);
        (self.keyframes, self.gaps) = (0, 0);
        (self.bytes, self.media_bytes) = (0, 0);
        self.per_layer = [0; 4];
        self.gap_time = Duration::ZERO;
        self.longest.clear();
    }

    /// A receiver that has got nothing for a while before `now` has a gap that lasts. To be called at the end of a
    /// measurement for legs whose sender still sends.
    pub(super) fn end(&mut self, now: Instant) {
        if self.hidden {
            return;
        }
        let apart = now.saturating_duration_since(self.last.at);
        let missing = if self.audio {
            // A silent sender sends every 400 ms (RFC 7587: DTX), so only more is surely a gap.
            (apart > Duration::from_millis(400) + AUDIO_GAP).then_some(apart)
        } else {
            self.freeze(apart)
        };
        if let Some(length) = missing {
            self.note_gap(Gap { ended: now, length });
        }
    }

    fn count(&mut self, whole: &Whole) {
        self.frames += 1;
        self.keyframes += u64::from(whole.keyframe);
        self.bytes += u64::from(whole.bytes);
        self.media_bytes += u64::from(whole.media_bytes);
        self.per_layer[usize::from(whole.stamp.layer).min(3)] += 1;
    }

    /// How much longer the listener waited than the speaker paused; with frames missing, all the time is.
    fn audio_gap(&self, whole: &Whole, apart: Duration, sent_apart: Duration) -> Option<Duration> {
        let consecutive = whole.stamp.sequence == self.last_sequence.wrapping_add(1);
        let missing = if consecutive {
            apart.saturating_sub(sent_apart)
        } else {
            apart
        };
        (missing > AUDIO_GAP).then_some(missing)
    }

    fn freeze(&mut self, apart: Duration) -> Option<Duration> {
        let Some(mean) = self.mean else {
            self.mean = Some(apart);
            return None;
        };
        let frozen = apart > (mean * 3).max(mean + FREEZE_SLACK);
        if frozen {
            return Some(apart);
        }
        let moved = mean.as_secs_f64() * (1.0 - MEAN_WEIGHT) + apart.as_secs_f64() * MEAN_WEIGHT;
        self.mean = Some(Duration::from_secs_f64(moved));
        None
    }

    fn note_gap(&mut self, gap: Gap) {
        self.gaps += 1;
        self.gap_time += gap.length;
        self.longest.push(gap);
        if self.longest.len() > MOST_GAPS
            && let Some(at) = (0..self.longest.len()).min_by_key(|at| self.longest[*at].length)
        {
            self.longest.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Stamp;

    struct Sender {
        start: Instant,
    }

    impl Sender {
        fn whole(&self, sequence: u32, sent_ms: u64, arrived_ms: u64) -> Whole {
            Whole {
                stamp: Stamp {
                    sender: 1,
                    source: 0,
                    layer: 0,
                    sequence,
                    sent_at_ns: sent_ms * 1_000_000,
                },
                keyframe: false,
                arrived: Arrival {
                    at: self.start + Duration::from_millis(arrived_ms),
                    unix_ns: 0,
                },
                bytes: 100,
                media_bytes: 70,
            }
        }
    }

    #[test]
    fn a_pause_of_the_speaker_is_no_gap_but_a_stall_is() {
        let sender = Sender {
            start: Instant::now(),
        };
        let mut leg = Leg::new(&sender.whole(0, 0, 80), true);
        leg.frame(&sender.whole(1, 20, 101));
        leg.frame(&sender.whole(2, 420, 500));
        assert_eq!(leg.gaps, 0, "the speaker paused");
        leg.frame(&sender.whole(3, 440, 840));
        assert_eq!((leg.gaps, leg.gap_time), (1, Duration::from_millis(320)));
        leg.frame(&sender.whole(9, 560, 960));
        assert_eq!(leg.gaps, 2, "five frames are missing");
    }

    #[test]
    fn what_came_first_of_a_stretch_is_known() {
        let sender = Sender {
            start: Instant::now(),
        };
        let mut leg = Leg::new(&sender.whole(10, 0, 0), true);
        for sequence in [11, 12, 20, 21, 22] {
            leg.frame(&sender.whole(sequence, 0, 0));
        }
        assert_eq!(leg.first_within(11, 30), Some(11));
        assert_eq!(leg.first_within(13, 30), Some(20));
        assert_eq!(leg.first_within(13, 20), None);
        assert_eq!(leg.first_within(23, 30), None);
    }

    #[test]
    fn a_freeze_is_a_frame_much_later_than_the_others() {
        let sender = Sender {
            start: Instant::now(),
        };
        let mut leg = Leg::new(&sender.whole(0, 0, 0), false);
        for frame in 1..30_u32 {
            let ms = u64::from(frame) * 33;
            leg.frame(&sender.whole(frame, ms, ms));
        }
        leg.frame(&sender.whole(30, 990, 1_100));
        assert_eq!(leg.gaps, 0);
        leg.frame(&sender.whole(31, 1_023, 1_500));
        assert_eq!((leg.gaps, leg.gap_time), (1, Duration::from_millis(400)));
        leg.end(sender.start + Duration::from_millis(3_000));
        assert_eq!((leg.gaps, leg.gap_time), (2, Duration::from_millis(1_900)));
    }

    #[test]
    fn nobody_misses_a_hidden_picture() {
        let sender = Sender {
            start: Instant::now(),
        };
        let at = |ms| sender.start + Duration::from_millis(ms);
        let mut leg = Leg::new(&sender.whole(0, 0, 0), false);
        leg.frame(&sender.whole(1, 33, 33));
        leg.set_hidden(at(50), true);
        leg.frame(&sender.whole(2, 66, 900));
        leg.end(at(4_000));
        leg.set_hidden(at(5_000), false);
        leg.frame(&sender.whole(150, 5_100, 5_150));
        assert_eq!(leg.gaps, 0);
        leg.end(at(9_000));
        assert_eq!((leg.gaps, leg.gap_time), (1, Duration::from_millis(3_850)));
    }

    #[test]
    fn only_so_many_gaps_are_kept_and_they_are_the_longest() {
        let sender = Sender {
            start: Instant::now(),
        };
        let mut leg = Leg::new(&sender.whole(0, 0, 0), true);
        let mut at = 0;
        for step in 1..100_u32 {
            at += 100 + u64::from(step);
            leg.frame(&sender.whole(step, u64::from(step) * 20, at));
        }
        assert_eq!(leg.gaps, 99);
        assert_eq!(leg.longest.len(), MOST_GAPS);
        assert!(
            leg.longest
                .iter()
                .all(|gap| gap.length >= Duration::from_millis(80 + 67))
        );
    }
}
