//! Whether a viewer's sound is sent redundantly: where its path loses packets, and only as long as it does.
//!
//! Two frames repeated make sound three times as wide, which a narrow path must not pay for: there the loss is a
//! queue's, and more bytes make it worse.

use super::window::{MIN_PACKETS, Window};
use crate::red::MAX_EARLIER;
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Loss, in parts of one, from which frames are repeated. Below it a repair is rare enough to be waited for.
const BEGIN_LOSS: f64 = 0.01;
/// They are repeated until it has been below this for [`CALM`].
const END_LOSS: f64 = 0.005;
const CALM: Duration = Duration::from_secs(15);

/// Decides for one viewer. Cost: a few operations a second.
#[derive(Debug, Default)]
pub struct Redundancy {
    window: Window,
    /// Numbers of its streams that were never sent.
    unsent: u64,
    looked_at: Option<Instant>,
    calm_since: Option<Instant>,
    on: bool,
}

impl Redundancy {
    /// Takes what the client says of its sound: packets expected, and lost on the way.
    pub fn count(&mut self, expected: u32, lost: u32) {
        self.window.expected += f64::from(expected);
        self.window.lost += f64::from(lost);
    }

    /// Frames repeated in a packet: 0 to [`MAX_EARLIER`].
    #[must_use]
    pub const fn depth(&self) -> usize {
        if self.on { MAX_EARLIER } else { 0 }
    }

    /// Whether it is time to look.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.looked_at
            .is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL)
    }

    /// Whether the client has missed enough lately for frames to be repeated.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.window.lost >= MIN_PACKETS * BEGIN_LOSS
    }

    /// Takes how many numbers of its streams were never sent so far: they look lost to the client, and were lost before
    /// they came here.
    pub fn leave_out(&mut self, unsent: u64) {
        let more = unsent.saturating_sub(self.unsent);
        self.unsent = unsent;
        self.window.lost = (self.window.lost - more as f64).max(0.0);
    }

    /// Looks; whether the depth has changed. Call it where it is due. `sound` is what sound takes now, `pictures` what
    /// the path has for pictures beside it.
    pub fn look(&mut self, now: Instant, sound: Bitrate, pictures: Bitrate) -> bool {
        self.looked_at = Some(now);
        let loss = self.window.loss();
        self.window.fade();
        let before = self.on;
        self.on = if before {
            self.is_still_of_use(now, loss, sound, pictures)
        } else {
            loss >= BEGIN_LOSS && pictures.0 >= sound.0 * 2 * MAX_EARLIER as u64
        };
        if self.on != before {
            self.calm_since = None;
        }
        self.on != before
    }

    /// Sound is wide now; where that has left too little for pictures, the path is too narrow for it.
    fn is_still_of_use(&mut self, now: Instant, loss: f64, sound: Bitrate, pictures: Bitrate) -> bool {
        if loss >= END_LOSS {
            self.calm_since = None;
        }
        let calm =
            loss < END_LOSS && now.saturating_duration_since(*self.calm_since.get_or_insert(now)) >= CALM;
        !calm && pictures.0 >= sound.0 / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Bitrate = Bitrate(50_000);
    const WIDE: Bitrate = Bitrate(1_000_000);

    /// Looks every second for `seconds` of one voice with `lost` in a hundred packets lost.
    fn pass(
        redundancy: &mut Redundancy,
        from: Instant,
        seconds: u32,
        lost: u32,
        pictures: Bitrate,
    ) -> Instant {
        let mut now = from;
        for _ in 0..seconds {
            redundancy.count(100, lost);
            redundancy.look(now, SOUND, pictures);
            now += INTERVAL;
        }
        now
    }

    #[test]
    fn frames_are_repeated_while_packets_are_lost_and_not_for_long_after() {
        let mut redundancy = Redundancy::default();
        let now = pass(&mut redundancy, crate::rtc::testing::instant(), 10, 0, WIDE);
        assert_eq!(redundancy.depth(), 0);
        let now = pass(&mut redundancy, now, 3, 5, WIDE);
        assert_eq!(redundancy.depth(), MAX_EARLIER);
        let now = pass(&mut redundancy, now, 10, 0, WIDE);
        assert_eq!(redundancy.depth(), MAX_EARLIER, "a pause of the loss");
        pass(&mut redundancy, now, 30, 0, WIDE);
        assert_eq!(redundancy.depth(), 0);
    }

    #[test]
    fn a_narrow_path_pays_nothing_for_it() {
        let mut redundancy = Redundancy::default();
        let start = crate::rtc::testing::instant();
        let now = pass(&mut redundancy, start, 10, 10, Bitrate(150_000));
        assert_eq!(redundancy.depth(), 0);
        let now = pass(&mut redundancy, now, 2, 10, WIDE);
        assert_eq!(redundancy.depth(), MAX_EARLIER);
        pass(&mut redundancy, now, 1, 10, Bitrate(20_000));
        assert_eq!(redundancy.depth(), 0, "the path has become narrow");
    }

    #[test]
    fn what_was_never_sent_is_not_lost_on_the_path() {
        let mut redundancy = Redundancy::default();
        let mut now = crate::rtc::testing::instant();
        for second in 1..=10 {
            redundancy.count(100, 5);
            redundancy.leave_out(5 * second);
            redundancy.look(now, SOUND, WIDE);
            now += INTERVAL;
        }
        assert_eq!(redundancy.depth(), 0);
    }

    #[test]
    fn few_packets_say_nothing() {
        let mut redundancy = Redundancy::default();
        redundancy.count(3, 1);
        assert!(!redundancy.look(crate::rtc::testing::instant(), SOUND, WIDE));
        assert_eq!(redundancy.depth(), 0);
    }
}
