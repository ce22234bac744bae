//! Which packets of an incoming layer are missing and when to ask for them again.

use relay_proto::unit::MediaSeq;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Patience and persistence of repair on one kind of upstream.
#[derive(Clone, Copy, Debug)]
pub struct NackPolicy {
    /// A gap younger than this may be mere reordering.
    pub patience: Duration,
    /// Time between two requests for the same packet (about one round trip), as long as nothing better is known.
    pub interval: Duration,
    /// Whether the time from a request to its answer is learned, and requests are made twice where requests and repairs
    /// are lost too: a link has one round trip, and its other end answers every request.
    pub learns: bool,
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
        learns: false,
        tries: 8,
        max_missing: 256,
    };
    /// A client's sound: what has not come after a quarter of a second comes too late to be heard.
    pub const SOUND: Self = Self {
        patience: Duration::from_millis(10),
        interval: Duration::from_millis(60),
        learns: false,
        tries: 4,
        max_missing: 32,
    };
    /// A link between regions.
    pub const LINK: Self = Self {
        patience: Duration::from_millis(5),
        interval: Duration::from_millis(180),
        learns: true,
        tries: 8,
        max_missing: 256,
    };
}

/// A gap over a silence this long is a pause of the sender (mute, switched-off layer), not loss.
const SILENCE: Duration = Duration::from_secs(3);

/// From a request to its repetition, where a link loses packets.
const REPEAT: Duration = Duration::from_millis(10);
/// Share of packets that are asked for, in ten thousandths, from which on requests are repeated; and above which they are not: so
/// much is lost where too much is sent.
const REPEATED: (u64, u64) = (20, 500);
/// Packets over which that is seen.
const SHARE_PACKETS: u64 = 2_000;

#[derive(Clone, Copy, Debug)]
struct Missing {
    next_at: Instant,
    tries_left: u8,
    /// When it was asked for first, and how often.
    asked: Option<(Instant, u8)>,
}

/// How much of what comes is asked for again.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    packets: u64,
    asked: u64,
}

impl Share {
    fn count(&mut self, packets: u64) {
        self.packets += packets;
        if self.packets > SHARE_PACKETS {
            self.packets /= 2;
            self.asked /= 2;
        }
    }

    const fn repeats(self) -> bool {
        let ten_thousandths = self.asked * 10_000;
        self.packets >= SHARE_PACKETS / 10
            && ten_thousandths >= self.packets * REPEATED.0
            && ten_thousandths <= self.packets * REPEATED.1
    }
}

/// Watches the numbers of one layer.
#[derive(Debug)]
pub struct NackGenerator {
    policy: NackPolicy,
    newest: Option<(MediaSeq, Instant)>,
    missing: BTreeMap<MediaSeq, Missing>,
    overrun: bool,
    share: Share,
    /// From a request to its answer, where that is learned.
    round_trip: Option<Duration>,
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
            share: Share { packets: 0, asked: 0 },
            round_trip: None,
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
        self.share.count(1);
        if seq <= newest {
            let answered = self.missing.remove(&seq).and_then(|missing| missing.asked);
            self.learn(now, answered);
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
            asked: None,
        };
        self.missing
            .extend((newest.0 + 1..seq.0).map(|lost| (MediaSeq(lost), entry)));
    }

    /// The numbers to ask for now, ascending, at most `max`.
    pub fn due(&mut self, now: Instant, max: usize) -> Vec<MediaSeq> {
        let mut due = Vec::new();
        let interval = self.interval();
        let repeats = self.policy.learns && self.share.repeats();
        let share = &mut self.share;
        self.missing.retain(|seq, missing| {
            if due.len() >= max || missing.next_at > now {
                return true;
            }
            if missing.tries_left == 0 {
                return false;
            }
            due.push(*seq);
            missing.tries_left -= 1;
            let (first, times) = missing.asked.unwrap_or((now, 0));
            missing.asked = Some((first, times.saturating_add(1)));
            share.asked += u64::from(times == 0);
            let again = repeats && times.is_multiple_of(2);
            missing.next_at = now + if again { REPEAT } else { interval };
            true
        });
        due
    }

    /// Time between two requests for a packet: a quarter more than answers take.
    fn interval(&self) -> Duration {
        let learned = self.round_trip.map(|time| time + time / 4 + REPEAT);
        learned.unwrap_or(self.policy.interval)
    }

    /// A packet has come that was asked for, if it was. What was asked for again late tells nothing: which request it answers is
    /// not known.
    fn learn(&mut self, now: Instant, asked: Option<(Instant, u8)>) {
        let Some((first, 1 | 2)) = asked.filter(|_| self.policy.learns) else {
            return;
        };
        let took = now.saturating_duration_since(first);
        if took < self.interval() * 2 {
            self.round_trip = Some(self.round_trip.map_or(took, |before| (before * 7 + took) / 8));
        }
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

    /// What becomes of a stream of frames over a link that loses `loss` both ways, asked for at ticks as a shard does: packets, how
    /// many of them came within a round trip (plus what it takes to see a gap) of when they would have, requests and repairs.
    fn over_an_ocean(loss: f64, seed: u64) -> (u64, u64, u64) {
        const ROUND_TRIP_MS: u64 = 76;
        const FRAME_MS: u64 = 33;
        /// The next frame shows that the end of one was lost; then patience, and the tick.
        const SEEN_MS: u64 = FRAME_MS + 15;
        let start = crate::rtc::testing::instant();
        let mut random = seed;
        let mut lost = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ((random >> 11) as f64 / (1_u64 << 53) as f64) < loss
        };
        let mut nack = NackGenerator::new(NackPolicy::LINK);
        let mut flying: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let mut due_at = BTreeMap::new();
        let (mut seq, mut in_time, mut repairs) = (0, 0, 0);
        for ms in 0..600_000_u64 {
            let now = start + Duration::from_millis(ms);
            if ms % FRAME_MS == 0 && ms < 599_000 {
                for _ in 0..8 {
                    seq += 1;
                    due_at.insert(seq, ms + ROUND_TRIP_MS / 2);
                    if !lost() {
                        flying.entry(ms + ROUND_TRIP_MS / 2).or_default().push(seq);
                    }
                }
            }
            for seq in flying.remove(&ms).unwrap_or_default() {
                nack.received(MediaSeq(seq), now);
                if let Some(due) = due_at.remove(&seq) {
                    in_time += u64::from(ms <= due + ROUND_TRIP_MS + SEEN_MS);
                }
            }
            if ms % 10 == 0 {
                let asked = nack.due(now, 64);
                if asked.is_empty() || lost() {
                    continue;
                }
                for MediaSeq(seq) in asked {
                    repairs += 1;
                    if !lost() {
                        flying.entry(ms + ROUND_TRIP_MS).or_default().push(seq);
                    }
                }
            }
        }
        (u64::from(seq), in_time, repairs)
    }

    #[test]
    fn of_ten_thousand_packets_over_a_link_one_may_miss_the_first_round_trip() {
        for (loss, most_repairs) in [(0.001, 0.003), (0.01, 0.022)] {
            let (packets, in_time, repairs) = over_an_ocean(loss, 0x9e37_79b9_7f4a_7c15);
            let share = in_time as f64 / packets as f64;
            assert!(share >= 0.999_9, "loss of {loss}: {share}");
            assert!((repairs as f64) < packets as f64 * most_repairs, "{repairs}");
        }
    }

    #[test]
    fn over_a_link_that_loses_too_much_requests_are_not_doubled() {
        let (packets, _, repairs) = over_an_ocean(0.3, 77);
        assert!((repairs as f64) < packets as f64 * 0.55, "{repairs} of {packets}");
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
