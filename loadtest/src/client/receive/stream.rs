//! One incoming RTP stream: what is missing, what is asked for again, and the packets in their order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::client::twcc::extend;
use crate::trace::Stamp;

/// Packets between the first missing and the newest; when more would wait, the oldest missing one is given up.
const WINDOW_PACKETS: usize = 1_024;
/// A jump of numbers larger than this begins the stream anew.
const LARGEST_JUMP: u64 = 3_000;
/// First request for a missing packet after this: it may only be late.
const NACK_AFTER: Duration = Duration::from_millis(10);
/// Time between requests for the same packet while the round trip is unknown.
const NACK_AGAIN: Duration = Duration::from_millis(60);
/// Requests for one packet, as in browsers.
const MOST_NACKS: u8 = 10;
/// Packets asked for in one go.
const MOST_NACKED: usize = 128;

/// What is kept of a packet until its turn has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) marker: bool,
    pub(super) time: u32,
    /// First packet of a frame; `None` for one that was not opened.
    pub(super) start: Option<Start>,
    pub(super) stamp: Option<Stamp>,
    /// Nothing but padding.
    pub(super) empty: bool,
    pub(super) arrived: Arrival,
    pub(super) bytes: u32,
    /// Of these, what was published: without header and tag.
    pub(super) media_bytes: u32,
}

/// How a packet starts a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) frame: bool,
    pub(super) keyframe: bool,
}

/// When something arrived, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The clock timers use.
    pub at: Instant,
    /// Nanoseconds since 1970 by the system clock, from the kernel where it says so.
    pub unix_ns: u64,
}

#[derive(Debug)]
enum Slot {
    Missing {
        since: Instant,
        asked: u8,
        next: Instant,
    },
    Held(Packet),
}

/// What became of an arriving packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    New,
    Repaired,
    Duplicate,
    Late,
}

/// Counters of a stream. `expected` = `received` + those still missing + `lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Numbers between the first and the highest.
    pub expected: u64,
    /// Packets that came at least once.
    pub received: u64,
    /// Packets that were missing when a later one came, and had not come a moment later.
    pub lost_before_repair: u64,
    /// Packets that never came, or too late.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came behind a later one without being asked for.
    pub reordered: u64,
    /// Payload and header bytes.
    pub bytes: u64,
    /// Packets that failed authentication.
    pub forged: u64,
}

/// One SSRC.
#[derive(Debug)]
pub(super) struct Stream {
    /// Number of the first slot.
    next: u64,
    /// Marker bit of the packet before `next`, if that came.
    handed: Option<bool>,
    highest: Option<u64>,
    slots: VecDeque<Slot>,
    give_up_after: Duration,
    /// After so long without any packet a player has nothing left to play, and goes on with what comes; `None` for never.
    dry_after: Option<Duration>,
    newest_at: Option<Instant>,
    pub(super) counters: StreamCounters,
}

/// What the stream hands on, in order.
#[derive(Debug)]
pub(super) enum Ordered {
    Packet(Packet),
    /// One or more packets are gone for good.
    Hole,
}

impl Stream {
    /// A stream that waits at most `give_up_after` for a missing packet.
    pub(super) fn new(give_up_after: Duration) -> Self {
        Self {
            next: 0,
            handed: None,
            highest: None,
            slots: VecDeque::new(),
            give_up_after,
            dry_after: None,
            newest_at: None,
            counters: StreamCounters::default(),
        }
    }

    /// The same, which after a silence of `dry_after` waits for nothing that was sent in it.
    pub(super) fn played_on(self, dry_after: Duration) -> Self {
        Self {
            dry_after: Some(dry_after),
            ..self
        }
    }

    /// Whether the packet before `seq` came and ended a frame: then `seq` begins one.
    pub(super) fn follows_marker(&self, seq: u16) -> Option<bool> {
        let ahead = extend(self.highest, seq).checked_sub(self.next)?;
        let Some(before) = ahead.checked_sub(1) else {
            return self.handed;
        };
        match self.slots.get(usize::try_from(before).ok()?)? {
            Slot::Held(packet) => Some(packet.marker),
            Slot::Missing { .. } => None,
        }
    }

    /// The highest number seen, as receiver reports state it.
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Takes a packet; `asked` says it came as a retransmission.
    pub(super) fn take(&mut self, seq: u16, packet: Packet, asked: bool) -> Fate {
        let number = extend(self.highest, seq);
        let Some(highest) = self.highest else {
            self.begin(number, packet);
            return Fate::New;
        };
        if number > highest + LARGEST_JUMP {
            self.counters.lost += self.missing();
            self.slots.clear();
            self.handed = None;
            self.begin(number, packet);
            return Fate::New;
        }
        self.counters.bytes += u64::from(packet.bytes);
        if number > highest {
            self.append(number, packet);
            return Fate::New;
        }
        let Some(place) = number.checked_sub(self.next) else {
            return self.behind();
        };
        match self.slots.get_mut(place as usize) {
            Some(slot @ Slot::Missing { .. }) => {
                *slot = Slot::Held(packet);
                self.counters.received += 1;
                if asked {
                    return Fate::Repaired;
                }
                self.counters.reordered += 1;
                Fate::New
            }
            Some(Slot::Held(_)) => {
                self.counters.duplicates += 1;
                Fate::Duplicate
            }
            None => self.behind(),
        }
    }

    /// Whether a packet has not come yet and would still be of use; never before the first.
    pub(super) fn lacks(&self, seq: u16) -> bool {
        let (Some(highest), number) = (self.highest, extend(self.highest, seq)) else {
            return false;
        };
        if number > highest {
            return number - highest <= LARGEST_JUMP;
        }
        let place = number.checked_sub(self.next).map(|place| place as usize);
        let slot = place.and_then(|place| self.slots.get(place));
        matches!(slot, Some(Slot::Missing { .. }))
    }

    /// Takes a packet that a later one repeats: it was lost, and came before it was asked for, or after.
    pub(super) fn recover(&mut self, seq: u16, packet: Packet) {
        let number = extend(self.highest, seq);
        let place = number.checked_sub(self.next).map(|place| place as usize);
        let asked = match place.and_then(|place| self.slots.get(place)) {
            Some(Slot::Missing { asked, .. }) => *asked > 0,
            _ => false,
        };
        self.counters.lost_before_repair += u64::from(!asked);
        self.take(seq, packet, true);
    }

    /// Before the window: handed on already, or given up.
    fn behind(&mut self) -> Fate {
        self.counters.duplicates += 1;
        Fate::Late
    }

    fn begin(&mut self, number: u64, packet: Packet) {
        self.next = number;
        self.highest = Some(number);
        self.newest_at = Some(packet.arrived.at);
        self.counters.expected += 1;
        self.counters.received += 1;
        self.counters.bytes += u64::from(packet.bytes);
        self.slots.push_back(Slot::Held(packet));
    }

    fn append(&mut self, number: u64, packet: Packet) {
        let now = packet.arrived.at;
        let known = self.next + self.slots.len() as u64;
        let silence = self.newest_at.map(|at| now.saturating_duration_since(at));
        let dry = self.dry_after.is_some_and(|dry| silence >= Some(dry));
        let (since, asked) = if dry {
            self.counters.lost_before_repair += number - known;
            (now.checked_sub(self.give_up_after).unwrap_or(now), MOST_NACKS)
        } else {
            (now, 0)
        };
        for _ in known..number {
            self.slots.push_back(Slot::Missing {
                since,
                asked,
                next: now + NACK_AFTER,
            });
        }
        self.newest_at = Some(now);
        self.counters.expected += number + 1 - known;
        self.counters.received += 1;
        self.slots.push_back(Slot::Held(packet));
        self.highest = Some(number);
    }

    fn missing(&self) -> u64 {
        let missing = |slot: &&Slot| matches!(slot, Slot::Missing { .. });
        self.slots.iter().filter(missing).count() as u64
    }

    /// The next packet in order, or a hole where waiting is over.
    pub(super) fn poll_ordered(&mut self, now: Instant) -> Option<Ordered> {
        if let Some(Slot::Missing { since, .. }) = self.slots.front() {
            let waited = now.saturating_duration_since(*since);
            if waited < self.give_up_after && self.slots.len() <= WINDOW_PACKETS {
                return None;
            }
            while let Some(Slot::Missing { .. }) = self.slots.front() {
                self.slots.pop_front();
                self.next += 1;
                self.counters.lost += 1;
            }
            self.handed = None;
            return Some(Ordered::Hole);
        }
        match self.slots.pop_front()? {
            Slot::Held(packet) => {
                self.next += 1;
                self.handed = Some(packet.marker);
                Some(Ordered::Packet(packet))
            }
            Slot::Missing { .. } => None,
        }
    }

    /// When something has to be asked for or given up.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let give_up = match self.slots.front() {
            Some(Slot::Missing { since, .. }) => Some(*since + self.give_up_after),
            _ => None,
        };
        // Only a stream with a hole has slots at all, so this walk is rare and short.
        let ask = self.slots.iter().filter_map(|slot| match slot {
            Slot::Missing { asked, next, .. } if *asked < MOST_NACKS => Some(*next),
            _ => None,
        });
        ask.min().into_iter().chain(give_up).min()
    }

    /// Packets to ask for now. `round_trip` spaces the requests.
    pub(super) fn poll_nacks(&mut self, now: Instant, round_trip: Option<Duration>) -> Vec<u16> {
        let again = round_trip.map_or(NACK_AGAIN, |time| time.max(NACK_AFTER) + NACK_AFTER);
        let first = self.next;
        let mut wanted = Vec::new();
        for (offset, slot) in self.slots.iter_mut().enumerate() {
            let Slot::Missing { asked, next, .. } = slot else {
                continue;
            };
            if *asked >= MOST_NACKS || *next > now {
                continue;
            }
            if wanted.len() >= MOST_NACKED {
                break;
            }
            if *asked == 0 {
                self.counters.lost_before_repair += 1;
            }
            *asked += 1;
            *next = now + again;
            wanted.push((first + offset as u64) as u16);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at: Instant) -> Packet {
        Packet {
            marker: false,
            time: 0,
            start: None,
            stamp: None,
            empty: false,
            arrived: Arrival { at, unix_ns: 0 },
            bytes: 100,
            media_bytes: 70,
        }
    }

    fn drain(stream: &mut Stream, now: Instant) -> (usize, usize) {
        let (mut packets, mut holes) = (0, 0);
        while let Some(ordered) = stream.poll_ordered(now) {
            match ordered {
                Ordered::Packet(_) => packets += 1,
                Ordered::Hole => holes += 1,
            }
        }
        (packets, holes)
    }

    const PATIENCE: Duration = Duration::from_millis(500);

    #[test]
    fn a_player_that_has_run_dry_goes_on_with_what_comes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let stream = || Stream::new(PATIENCE).played_on(Duration::from_millis(200));
        let mut dry = stream();
        dry.take(1, packet(at(0)), false);
        dry.take(9, packet(at(200)), false);
        assert_eq!(drain(&mut dry, at(200)), (2, 1));
        assert!(dry.poll_nacks(at(300), None).is_empty());
        assert_eq!((dry.counters.lost_before_repair, dry.counters.lost), (7, 7));
        let mut short = stream();
        short.take(1, packet(at(0)), false);
        short.take(9, packet(at(199)), false);
        assert_eq!(drain(&mut short, at(199)), (1, 0));
        assert_eq!(short.poll_nacks(at(299), None).len(), 7);
    }

    #[test]
    fn a_missing_packet_is_asked_for_and_its_repair_counts_before_and_after() {
        let now = Instant::now();
        let mut stream = Stream::new(PATIENCE);
        for seq in [65_534, 65_535, 1, 2] {
            assert_eq!(stream.take(seq, packet(now), false), Fate::New);
        }
        assert_eq!(drain(&mut stream, now), (2, 0));
        assert!(stream.poll_nacks(now, None).is_empty(), "it may only be late");
        let later = now + NACK_AFTER;
        assert_eq!(stream.poll_nacks(later, None), [0]);
        assert!(stream.poll_nacks(later, None).is_empty());
        assert_eq!(stream.take(0, packet(later), true), Fate::Repaired);
        assert_eq!(drain(&mut stream, later), (3, 0));
        let counters = stream.counters;
        assert_eq!((counters.expected, counters.received), (5, 5));
        assert_eq!((counters.lost_before_repair, counters.lost), (1, 0));
    }

    #[test]
    fn what_a_later_packet_repeats_is_not_asked_for() {
        let now = Instant::now();
        let mut stream = Stream::new(PATIENCE);
        assert!(!stream.lacks(1), "nothing has come yet");
        stream.take(1, packet(now), false);
        assert!(!stream.lacks(1) && stream.lacks(2) && stream.lacks(3));
        stream.recover(2, packet(now));
        stream.take(3, packet(now), false);
        stream.take(5, packet(now), false);
        assert!(stream.lacks(4), "noticed, not asked for");
        stream.recover(4, packet(now));
        assert_eq!(drain(&mut stream, now), (5, 0));
        assert!(stream.poll_nacks(now + PATIENCE, None).is_empty());
        let counters = stream.counters;
        assert_eq!((counters.lost_before_repair, counters.lost), (2, 0));
        assert_eq!((counters.expected, counters.received), (5, 5));
    }

    #[test]
    fn what_never_comes_is_a_hole_after_patience_is_over() {
        let now = Instant::now();
        let mut stream = Stream::new(PATIENCE);
        stream.take(1, packet(now), false);
        stream.take(4, packet(now), false);
        assert_eq!(drain(&mut stream, now), (1, 0));
        assert_eq!(drain(&mut stream, now + PATIENCE), (1, 1));
        assert_eq!(stream.counters.lost, 2);
        assert_eq!(stream.take(2, packet(now + PATIENCE), true), Fate::Late);
    }

    #[test]
    fn late_and_double_packets_are_told_apart_from_repairs() {
        let now = Instant::now();
        let mut stream = Stream::new(PATIENCE);
        stream.take(1, packet(now), false);
        stream.take(3, packet(now), false);
        assert_eq!(stream.take(2, packet(now), false), Fate::New);
        assert_eq!(stream.take(3, packet(now), false), Fate::Duplicate);
        assert_eq!((stream.counters.reordered, stream.counters.duplicates), (1, 1));
    }

    #[test]
    fn requests_for_a_packet_end() {
        let mut now = Instant::now();
        let mut stream = Stream::new(Duration::from_secs(3_600));
        stream.take(1, packet(now), false);
        stream.take(3, packet(now), false);
        drain(&mut stream, now);
        let mut asked = 0;
        for _ in 0..100 {
            now += Duration::from_millis(100);
            asked += stream.poll_nacks(now, None).len();
        }
        assert_eq!(asked, usize::from(MOST_NACKS));
    }
}
