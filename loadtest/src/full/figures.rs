//! What a control client got, in the form in which it is held against light clients.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::LegKey;
use crate::trace::Stamp;

/// Delays kept of one leg: a quarter of an hour of a camera.
const MOST_DELAYS: usize = 30_000;
/// Legs of one client.
const MOST_LEGS: usize = 4_096;
/// Frames behind the newest that are told apart from a repetition; one from further back is a sender that has come back
/// and counts anew.
const WINDOW: u32 = u64::BITS;

/// Which kind of client a control is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlKind {
    /// A `PeerConnection` of the `webrtc` crate.
    Full,
    /// Chromium.
    #[default]
    Browser,
}

impl ControlKind {
    /// How reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Browser => "browser",
        }
    }
}

/// What one control client got of one source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ControlLeg {
    /// The sender's number in the plan.
    pub sender: u32,
    /// Which of its sources, see [`crate::client::Source`].
    pub source: u8,
    /// Frames whose end arrived.
    pub frames: u64,
    /// Of which layer they were.
    pub layers: [u64; 4],
    /// Number of the first frame.
    pub first: u32,
    /// Number of the newest frame.
    pub last: u32,
    /// From the sender's stamp to the arrival, in microseconds, in order of arrival.
    pub delays_us: Vec<f64>,
    /// Which of the frames up to the newest have come, the newest in the lowest bit.
    #[serde(skip)]
    seen: u64,
    /// Frames up to the newest before the sender began to count anew.
    #[serde(skip)]
    before: u64,
}

/// What one control client got.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ControlFigures {
    /// What it is.
    #[serde(skip)]
    pub kind: ControlKind,
    /// Its number; control clients follow those of the plan.
    pub id: u32,
    /// RTP packets by its own account.
    pub received: u64,
    /// Packets it missed for good, by its own account.
    pub lost: i64,
    /// By sender and source.
    pub legs: Vec<ControlLeg>,
}

/// Stamps as they arrive.
#[derive(Debug, Default)]
pub(super) struct Tally {
    legs: BTreeMap<LegKey, ControlLeg>,
}

impl Tally {
    /// Notes the end of a frame. A repetition is not counted.
    pub(super) fn note(&mut self, stamp: Stamp, arrived_unix_ns: u64) {
        let key = LegKey {
            sender: stamp.sender,
            source: stamp.source,
        };
        if self.legs.len() >= MOST_LEGS && !self.legs.contains_key(&key) {
            return;
        }
        let leg = self.legs.entry(key).or_insert_with(|| ControlLeg {
            sender: stamp.sender,
            source: stamp.source,
            frames: 0,
            layers: [0; 4],
            first: stamp.sequence,
            last: stamp.sequence,
            delays_us: Vec::new(),
            seen: 0,
            before: 0,
        });
        if leg.is_new(stamp.sequence) {
            leg.frames += 1;
            leg.layers[usize::from(stamp.layer).min(3)] += 1;
            if leg.delays_us.len() < MOST_DELAYS {
                let delay_ns = arrived_unix_ns as i64 - stamp.sent_at_ns as i64;
                leg.delays_us.push(delay_ns as f64 / 1_000.0);
            }
        }
    }

    /// The legs so far.
    pub(super) fn legs(&self) -> Vec<ControlLeg> {
        self.legs.values().cloned().collect()
    }
}

impl ControlLeg {
    /// Frames that were sent from the first to the newest.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.before + u64::from(self.last.saturating_sub(self.first)) + 1
    }

    /// Whether this frame has not come yet; from now on it has.
    fn is_new(&mut self, sequence: u32) -> bool {
        if sequence > self.last {
            let step = sequence - self.last;
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.last = sequence;
            return true;
        }
        let back = self.last - sequence;
        if back >= WINDOW {
            self.before = self.expected();
            (self.first, self.last, self.seen) = (sequence, sequence, 1);
            return true;
        }
        if self.seen >> back & 1 == 1 {
            return false;
        }
        self.seen |= 1 << back;
        self.first = self.first.min(sequence);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u32) -> Stamp {
        Stamp {
            sender: 3,
            source: 1,
            layer: 2,
            sequence,
            sent_at_ns: 1_000_000,
        }
    }

    #[test]
    fn a_frame_that_comes_late_counts_and_one_that_comes_twice_does_not() {
        let mut tally = Tally::default();
        for sequence in [10, 12, 11, 12, 10, 50, 12] {
            tally.note(stamp(sequence), 3_000_000);
        }
        let legs = tally.legs();
        assert_eq!(legs.len(), 1);
        let leg = &legs[0];
        assert_eq!((leg.frames, leg.first, leg.last), (4, 10, 50));
        assert_eq!(leg.layers, [0, 0, 4, 0]);
        assert_eq!(leg.delays_us, vec![2_000.0; 4]);
        assert_eq!(leg.expected(), 41);
    }

    #[test]
    fn a_sender_that_has_come_back_counts_on() {
        let mut tally = Tally::default();
        for sequence in [500, 501, 3, 4, 6] {
            tally.note(stamp(sequence), 3_000_000);
        }
        let legs = tally.legs();
        assert_eq!((legs[0].frames, legs[0].expected()), (5, 6));
    }
}
