//! Which packets of an incoming layer are missing and when to ask for them again.

use relay_proto::unit::MediaSeq;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Patience and persistence of repair on one kind of upstream.
#[derive(Clone, Copy, Debug)]
pub struct NackPolicy {
    /// A gap younger than this may be mere reordering.
    pub patience: Duration,
    /// Time between two requests for the same packet (about one round trip).
    pub interval: Duration,
    /// Requests per packet.
    pub tries: u8,
    /// Most packets missing at once; beyond it the stream needs a keyframe, not repair.
    pub max_missing: usize,
}

impl NackPolicy {
    /// A client's uplink.
    pub const CLIENT: Self = Self {
        patience: Duration::from_millis(10),
        interval: Duration::from_millis(60),
        tries: 8,
        max_missing: 256,
    };
    /// A client's sound: what has not come after a quarter of a second comes too late to be heard.
    pub const SOUND: Self = Self {
        patience: Duration::from_millis(10),
        interval: Duration::from_millis(60),
        tries: 4,
        max_missing: 32,
    };
    /// A link between regions.
    pub const LINK: Self = Self {
        patience: Duration::from_millis(5),
        interval: Duration::from_millis(180),
        tries: 4,
        max_missing: 256,
    };
}

/// A gap over a silence this long is a pause of the sender (mute, switched-off layer), not loss.
const SILENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Missing {
    next_at: Instant,
    tries_left: u8,
}

/// Watches the numbers of one layer.
#[derive(Debug)]
pub struct NackGenerator {
    policy: NackPolicy,
    newest: Option<(MediaSeq, Instant)>,
    missing: BTreeMap<MediaSeq, Missing>,
    overrun: bool,
}

impl NackGenerator {
    /// Watches under `policy`.
    #[must_use]
    pub const fn new(policy: NackPolicy) -> Self {
        Self {
            policy,
            newest: None,
            missing: BTreeMap::new(),
            overrun: false,
        }
    }

    /// Watches anew from the next packet on: what comes before it is not missed.
    pub fn restart(&mut self) {
        self.newest = None;
        self.missing.clear();
    }

    /// The newest number since the last start.
    #[must_use]
    pub fn newest(&self) -> Option<MediaSeq> {
        self.newest.map(|(seq, _)| seq)
    }

    /// Whether this packet would be the first after a silence of at least `silence` from which others are missing.
    #[must_use]
    pub fn jumps_after(&self, seq: MediaSeq, silence: Duration, now: Instant) -> bool {
        self.newest.is_some_and(|(newest, at)| {
            seq.0 > newest.0.saturating_add(1) && now.saturating_duration_since(at) >= silence
        })
    }

    /// Whether at least `count` packets are missing between this one and the newest.
    #[must_use]
    pub fn misses(&self, seq: MediaSeq, count: u32) -> bool {
        self.newest
            .is_some_and(|(newest, _)| seq.0.saturating_sub(newest.0) > count)
    }

    /// A packet has come. Hot path: no allocation while nothing is missing.
    pub fn received(&mut self, seq: MediaSeq, now: Instant) {
        let Some((newest, newest_at)) = self.newest else {
            self.newest = Some((seq, now));
            return;
        };
        if seq <= newest {
            self.missing.remove(&seq);
            return;
        }
        self.newest = Some((seq, now));
        if now.duration_since(newest_at) > SILENCE {
            self.missing.clear();
            return;
        }
        let gap = (seq.0 - newest.0 - 1) as usize;
        if gap == 0 {
            return;
        }
        if gap + self.missing.len() > self.policy.max_missing {
            self.missing.clear();
            self.overrun = true;
            return;
        }
        let entry = Missing {
            next_at: now + self.policy.patience,
            tries_left: self.policy.tries,
        };
        self.missing
            .extend((newest.0 + 1..seq.0).map(|lost| (MediaSeq(lost), entry)));
    }

    /// The numbers to ask for now, ascending, at most `max`.
    pub fn due(&mut self, now: Instant, max: usize) -> Vec<MediaSeq> {
        let mut due = Vec::new();
        let interval = self.policy.interval;
        self.missing.retain(|seq, missing| {
            if due.len() >= max || missing.next_at > now {
                return true;
            }
            if missing.tries_left == 0 {
                return false;
            }
            due.push(*seq);
            missing.tries_left -= 1;
            missing.next_at = now + interval;
            true
        });
        due
    }

    /// Whether so much was lost at once that only a keyframe helps; asked once per overrun.
    pub fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    /// Whether anything is missing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_asked_for_after_patience_and_again_after_a_round_trip_until_it_is_filled() {
        let start = crate::rtc::testing::instant();
        let mut nack = NackGenerator::new(NackPolicy::CLIENT);
        nack.received(MediaSeq(10), start);
        nack.received(MediaSeq(13), start);
        assert!(nack.due(start, 64).is_empty());
        let later = start + NackPolicy::CLIENT.patience;
        assert_eq!(nack.due(later, 64), [MediaSeq(11), MediaSeq(12)]);
        assert!(nack.due(later, 64).is_empty());
        nack.received(MediaSeq(11), later);
        assert_eq!(nack.due(later + NackPolicy::CLIENT.interval, 64), [MediaSeq(12)]);
        nack.received(MediaSeq(12), later);
        assert!(nack.is_idle());
    }

    #[test]
    fn asking_ends_after_the_last_try() {
        let mut now = crate::rtc::testing::instant();
        let mut nack = NackGenerator::new(NackPolicy::CLIENT);
        nack.received(MediaSeq(1), now);
        nack.received(MediaSeq(3), now);
        let mut asked = 0;
        for _ in 0..100 {
            now += NackPolicy::CLIENT.interval;
            asked += nack.due(now, 64).len();
        }
        assert_eq!(asked, usize::from(NackPolicy::CLIENT.tries));
        assert!(nack.is_idle());
    }

    #[test]
    fn a_jump_over_the_limit_asks_for_a_keyframe_instead_and_holds_nothing() {
        let now = crate::rtc::testing::instant();
        let mut nack = NackGenerator::new(NackPolicy::CLIENT);
        nack.received(MediaSeq(1), now);
        nack.received(MediaSeq(1_000_000), now);
        assert!(nack.is_idle());
        assert!(nack.take_overrun());
        assert!(!nack.take_overrun());
    }
}
