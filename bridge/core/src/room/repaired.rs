//! Which packets a viewer has been sent again lately. What stands in a queue is asked for again and again, and each
//! copy would make the queue longer: sound on a full path would drown in its own repairs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Repairs remembered: a second of them at 5 % loss in a large gallery.
const MAX_REMEMBERED: usize = 64;
/// A packet is not repaired again sooner: below the shortest round trip after which anybody asks twice.
const AGAIN: Duration = Duration::from_millis(30);

/// Repairs of sound take at most this part of what sound takes, in hundredths: enough for 10 % of loss. Where more is lost,
/// the path is too narrow for the sound itself, and repairs would only displace more of it.
const SOUND_PERCENT: u64 = 15;
/// What may be saved up of that: a fifth of a second in which nothing of four speakers came.
const MAX_SAVED_BYTES: i64 = 8_000;

/// Recent repairs of one viewer. Memory: up to 1.5 KiB, none before the first.
#[derive(Debug)]
pub struct Repaired {
    /// (SSRC, number, when), oldest first.
    recent: VecDeque<(u32, u16, Instant)>,
    /// Below zero while the last repair is not earned yet.
    saved_bytes: i64,
    sound_before: u64,
}

impl Default for Repaired {
    fn default() -> Self {
        Self {
            recent: VecDeque::new(),
            saved_bytes: MAX_SAVED_BYTES,
            sound_before: 0,
        }
    }
}

impl Repaired {
    /// Whether packet `seq` of `ssrc` may be sent again now, while `queued` stands before the viewer; remembers that it
    /// is. Cost: a walk over those remembered.
    pub fn admit(&mut self, now: Instant, ssrc: u32, seq: u16, queued: Duration) -> bool {
        let is_on_its_way = self.recent.iter().any(|&(of, number, at)| {
            (of, number) == (ssrc, seq) && now.saturating_duration_since(at) < AGAIN + queued
        });
        if is_on_its_way {
            return false;
        }
        if self.recent.len() >= MAX_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((ssrc, seq, now));
        true
    }

    /// Whether sound may be repaired now, `sound_bytes` of it having been sent so far, repairs included.
    pub fn affords_sound(&mut self, sound_bytes: u64) -> bool {
        let sent = sound_bytes.saturating_sub(self.sound_before);
        self.sound_before = sound_bytes;
        self.saved_bytes = (self.saved_bytes + (sent * SOUND_PERCENT / 100) as i64).min(MAX_SAVED_BYTES);
        self.saved_bytes > 0
    }

    /// A repair of sound has taken `bytes`.
    pub const fn spend(&mut self, bytes: u64) {
        self.saved_bytes = self.saved_bytes.saturating_sub_unsigned(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_that_may_still_be_on_its_way_is_not_repeated() {
        let start = crate::rtc::testing::instant();
        let at = |ms| start + Duration::from_millis(ms);
        let queued = Duration::from_millis(150);
        let mut repaired = Repaired::default();
        assert!(repaired.admit(at(0), 1, 7, queued));
        assert!(!repaired.admit(at(50), 1, 7, queued));
        assert!(repaired.admit(at(50), 1, 8, queued), "another packet");
        assert!(repaired.admit(at(50), 2, 7, queued), "another stream");
        assert!(repaired.admit(at(181), 1, 7, queued));
        assert!(repaired.admit(at(215), 1, 7, Duration::ZERO), "an empty queue");
    }

    #[test]
    fn repairs_of_sound_take_a_part_of_what_sound_takes() {
        let mut repaired = Repaired::default();
        let (mut sound, mut repairs) = (0, 0);
        // Fifty packets a second for a minute, each of them asked for twice.
        for _ in 0..3_000 {
            sound += 150;
            for _ in 0..2 {
                if repaired.affords_sound(sound) {
                    repaired.spend(150);
                    sound += 150;
                    repairs += 150;
                }
            }
        }
        let part = repairs * 100 / (sound - repairs);
        assert!((15..=22).contains(&part), "{part} %");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = crate::rtc::testing::instant();
        let mut repaired = Repaired::default();
        for seq in 0..1_000 {
            assert!(repaired.admit(start, 1, seq, Duration::ZERO));
        }
        assert_eq!(repaired.recent.len(), MAX_REMEMBERED);
    }
}
