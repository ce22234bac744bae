//! Which layers of whose pictures cross a link, so that together they fit what it carries.
//!
//! A link's sender sees every datagram that is to cross it, its own and those it forwards. [`LinkAllocator`] measures from
//! them what each layer of each track takes, and ten times a second gives every track the largest layer that may cross, by
//! the rules a viewer's path has ([`super::allocate`]): the smallest layers of everybody first, screens before speakers
//! before others, and nothing taken up that has no room to spare. Sound is not part of it; it always crosses.
//!
//! A layer that may not cross ends with its picture under way, and begins again at a keyframe; nothing is thrown out of
//! the middle. The peer is told what crosses ([`Allowance`]), and again as long as it is less than all, so that its viewers
//! choose what does come. What they then ask for comes by the ordinary demand; what they would like stands in what the
//! allocator remembers of the layers it has stopped.
//!
//! What may not live here: how wide the link is, queues, rooms. A datagram is known by its header alone, because the body
//! may be sealed for somebody else.

mod crossing;
mod meter;
#[cfg(test)]
mod tests;

use super::{Class, OperatingPoint, Request, TEMPORAL_STEPS, allocate};
use crossing::Crossing;
use relay_proto::datagram::Header;
use relay_proto::id::{Layer, MAX_LAYERS, NodeId, TrackAlias};
use relay_proto::unit::Bitrate;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How often the choice is made; at once where the link has become narrower.
pub const REVIEW: Duration = Duration::from_millis(100);
/// A link that carries less than this part of what it did is looked at at once, in hundredths.
const NARROWER_PERCENT: u64 = 95;
/// How often a peer is told what crosses, as long as it is less than all.
pub const RESTATE: Duration = Duration::from_millis(500);
/// Of a track of which nothing has come for this long and nothing is held back, nothing is remembered.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// What QUIC and UDP add to a datagram, in bytes: short header, tag, frame.
pub const WIRE_OVERHEAD_BYTES: usize = 35;
/// Part of the link by which pictures are raised in one review, in hundredths: each begins with a keyframe.
const RAISED_PERCENT: u64 = 10;
/// Part of the link that is used once everything that is wished for crosses, in hundredths; it is looked for no wider.
const ROOMY_PERCENT: u64 = 75;
/// Most tracks that are told apart on one link; those beyond it always cross.
pub const MAX_TRACKS: usize = 8_192;

/// A track, on whatever node it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackKey {
    /// Where it is published.
    pub origin: NodeId,
    /// Its number there.
    pub track: TrackAlias,
}

impl TrackKey {
    /// The track a datagram is of.
    #[must_use]
    pub const fn of(header: &Header) -> Self {
        Self {
            origin: header.origin,
            track: header.track,
        }
    }
}

/// What of a track crosses, for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The track.
    pub key: TrackKey,
    /// The largest layer that crosses; none where nothing does.
    pub layer: Option<Layer>,
}

/// What is held back on a link, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShedTotals {
    /// Tracks of which less crosses than is wished for.
    pub tracks: u64,
    /// Of these, tracks of which nothing crosses.
    pub paused: u64,
    /// Datagrams that did not cross so far.
    pub datagrams: u64,
    /// Times a track was given less.
    pub lowered: u64,
    /// Times a track was given more.
    pub raised: u64,
}

/// The allocator of one link, at its sending end.
#[derive(Debug, Default)]
pub struct LinkAllocator {
    tracks: BTreeMap<TrackKey, Crossing>,
    sound: meter::Meter,
    reviewed_at: Option<Instant>,
    capacity: Bitrate,
    wanted: Bitrate,
    totals: ShedTotals,
    news: VecDeque<Allowance>,
    keyframes: VecDeque<(TrackKey, Layer)>,
    scratch: Scratch,
}

/// Lists that are reused from one review to the next.
#[derive(Debug, Default)]
struct Scratch {
    keys: Vec<TrackKey>,
    requests: Vec<Request>,
    chosen: Vec<Option<OperatingPoint>>,
    raises: Vec<usize>,
}

impl LinkAllocator {
    /// Whether a datagram of a picture crosses. `bytes` is its length. Hot path: one look-up, no allocation but for the
    /// first packet of a track.
    pub fn admit(&mut self, now: Instant, class: Class, header: &Header, bytes: usize) -> bool {
        let key = TrackKey::of(header);
        let known = self.tracks.len();
        let crossing = match self.tracks.get_mut(&key) {
            Some(crossing) => crossing,
            None if known >= MAX_TRACKS => return true,
            None => self.tracks.entry(key).or_insert_with(|| Crossing::new(now)),
        };
        let passes = crossing.admit(now, class, header, bytes + WIRE_OVERHEAD_BYTES);
        if let Some(layer) = crossing.poll_keyframe(now, header) {
            self.keyframes.push_back((key, layer));
        }
        self.totals.datagrams += u64::from(!passes);
        passes
    }

    /// A datagram crosses that is no picture: sound, feedback. Hot path.
    pub fn count_sound(&mut self, bytes: usize) {
        self.sound.count(bytes + WIRE_OVERHEAD_BYTES);
    }

    /// Makes the choice where it is due, for a link that carries `capacity`. Cost where it is not due: a comparison;
    /// where it is and all fits: once over the tracks; else [`allocate`].
    pub fn review(&mut self, now: Instant, capacity: Bitrate) {
        let narrower = capacity.0 < self.capacity.0 * NARROWER_PERCENT / 100;
        let intervals = self.reviewed_at.map_or(1, |at| {
            (now.saturating_duration_since(at).as_millis() / REVIEW.as_millis()) as u32
        });
        if intervals == 0 && !narrower {
            return;
        }
        self.capacity = capacity;
        if intervals > 0 {
            self.reviewed_at = Some(now);
            self.sound.roll(intervals);
            self.tracks
                .values_mut()
                .for_each(|crossing| crossing.roll(intervals));
            self.tracks
                .retain(|_, crossing| !crossing.is_over(now, FORGOTTEN));
        }
        let pictures = Bitrate(capacity.0.saturating_sub(self.sound.rate().unwrap_or(0)));
        let mut scratch = std::mem::take(&mut self.scratch);
        if self.collect(now, pictures, &mut scratch) {
            allocate(pictures, &scratch.requests, &mut scratch.chosen);
            self.apply(now, pictures, &mut scratch);
        }
        self.scratch = scratch;
        self.restate(now);
    }

    /// When [`Self::review`] is due although nothing is sent; none while nothing is held back.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.totals.tracks > 0 || !self.news.is_empty()).then(|| self.reviewed_at.map(|at| at + REVIEW))?
    }

    /// The next thing the peer is to be told.
    pub fn poll_news(&mut self) -> Option<Allowance> {
        self.news.pop_front()
    }

    /// The next layer that needs a keyframe to cross again, where its packets come without one.
    pub fn poll_keyframe(&mut self) -> Option<(TrackKey, Layer)> {
        self.keyframes.pop_front()
    }

    /// What the link must carry for everything to cross that is wished for; zero where everything does.
    #[must_use]
    pub const fn wanted(&self) -> Bitrate {
        self.wanted
    }

    /// What is held back.
    #[must_use]
    pub const fn totals(&self) -> ShedTotals {
        self.totals
    }

    /// The queue before the link is full: of these streams, given with the bytes that wait of each, the least important one
    /// ends at once, and is not taken up again before it may. Answers which; what waits of it is to be thrown away.
    pub fn relieve(
        &mut self,
        now: Instant,
        waiting: impl Iterator<Item = (TrackKey, Layer, usize)>,
    ) -> Option<(TrackKey, Layer)> {
        let least = waiting.max_by_key(|(key, layer, bytes)| {
            let class = self.tracks.get(key).map(Crossing::class);
            (class, *layer, *bytes)
        });
        let (key, layer, _) = least?;
        if let Some(crossing) = self.tracks.get_mut(&key) {
            crossing.cut(now, layer);
            self.totals.lowered += 1;
            self.restate(now);
        }
        Some((key, layer))
    }

    /// A track has ended.
    pub fn forget(&mut self, key: TrackKey) {
        self.tracks.remove(&key);
    }

    /// Collects who wants what; false where everything fits and nothing is held back.
    fn collect(&mut self, now: Instant, pictures: Bitrate, scratch: &mut Scratch) -> bool {
        scratch.keys.clear();
        scratch.requests.clear();
        let (mut all, mut held_back) = (0, false);
        for (key, crossing) in &self.tracks {
            let Some(wish) = crossing.wish(now) else {
                continue;
            };
            all += wish.rates[usize::from(wish.max.0)];
            held_back |= crossing.allowed() < Some(wish.max);
            scratch.keys.push(*key);
            scratch.requests.push(Request {
                class: crossing.class(),
                max: wish.max,
                rates: wish.rates.map(|rate| [rate; TEMPORAL_STEPS]),
                held: crossing.allowed().map(OperatingPoint::whole),
                settled: crossing.is_settled(now, super::SETTLE),
            });
        }
        self.wanted = if held_back {
            Bitrate((all + self.sound.rate().unwrap_or(0)) * 100 / ROOMY_PERCENT)
        } else {
            Bitrate(0)
        };
        held_back || all > pictures.0 * super::HEADROOM_PERCENT / 100
    }

    /// Lowers at once; raises, the most important first, no more than a few at a time.
    fn apply(&mut self, now: Instant, pictures: Bitrate, scratch: &mut Scratch) {
        scratch.raises.clear();
        for (at, (request, point)) in scratch.requests.iter().zip(&scratch.chosen).enumerate() {
            let held = request.held_of_use();
            if *point > held {
                scratch.raises.push(at);
            } else if *point < held {
                self.set(now, scratch.keys[at], point.map(|point| point.layer));
            }
        }
        let requests = &scratch.requests;
        scratch
            .raises
            .sort_by_key(|&at| (requests[at].class, Reverse(requests[at].max)));
        let mut left = pictures.0 * RAISED_PERCENT / 100;
        for &at in &scratch.raises {
            let request = &scratch.requests[at];
            let cost = |point: Option<OperatingPoint>| point.map_or(0, |point| point.of(&request.rates));
            let more = cost(scratch.chosen[at]).saturating_sub(cost(request.held_of_use()));
            let layer = scratch.chosen[at].map(|point| point.layer);
            // All that is of use is all there is: another viewer may come who wants more.
            let layer = if layer == Some(request.max) {
                Some(Layer::TOP)
            } else {
                layer
            };
            self.set(now, scratch.keys[at], layer);
            left = left.saturating_sub(more);
            if left == 0 {
                break;
            }
        }
    }

    fn set(&mut self, now: Instant, key: TrackKey, layer: Option<Layer>) {
        let Some(crossing) = self.tracks.get_mut(&key) else {
            return;
        };
        if layer > crossing.allowed() {
            self.totals.raised += 1;
        } else {
            self.totals.lowered += 1;
        }
        crossing.allow(now, layer);
    }

    /// Notes what the peer is to be told, and counts what is held back.
    fn restate(&mut self, now: Instant) {
        (self.totals.tracks, self.totals.paused) = (0, 0);
        for (key, crossing) in &mut self.tracks {
            self.totals.tracks += u64::from(crossing.allowed() < Some(Layer::TOP));
            self.totals.paused += u64::from(crossing.allowed().is_none());
            if crossing.poll_telling(now, RESTATE) {
                self.news.push_back(Allowance {
                    key: *key,
                    layer: crossing.allowed(),
                });
            }
        }
    }
}

/// What somebody behind the link would like of a track.
#[derive(Clone, Copy, Debug)]
struct Wish {
    max: Layer,
    /// What crosses where each layer is the largest that may, growing.
    rates: [u64; MAX_LAYERS],
}
