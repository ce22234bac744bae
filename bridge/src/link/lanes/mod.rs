//! What waits to go out on a link: three lanes, the first non-empty one goes first.
//!
//! Overflow policy: **video** first passes the link's allocator, by which what crosses on average fits the link. What then waits
//! is a burst; past a quarter of a second of it the least important layer ends at once, with all that waits of it, rather than
//! any packet here and there. **Audio** holds a fifth of a second, then loses its oldest. **Probes** are few; beyond their limit
//! the newest is dropped. Everything dropped is counted.

use bridge_core::allocation::Class;
use bridge_core::allocation::link::{Allowance, LinkAllocator, TrackKey};
use bytes::Bytes;
use relay_proto::datagram::{Header, encode_allowance};
use relay_proto::id::Layer;
use relay_proto::unit::Bitrate;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Most probes that wait.
pub const MAX_PROBES: usize = 64;
/// Longest wait of audio before it is dropped.
pub const MAX_AUDIO_AGE: Duration = Duration::from_millis(200);
/// Most audio that waits, in bytes.
pub const MAX_AUDIO_BYTES: usize = 256 << 10;
/// Video that waits, as time at what the link carries: keyframes of several tracks at once must fit. It does not stand there:
/// what crosses on average fits the link (see [`LinkAllocator`]).
pub const MAX_VIDEO_QUEUE: Duration = Duration::from_millis(250);
/// But at least this much, in bytes: one large frame must fit a slow link's queue.
pub const MIN_VIDEO_BYTES: usize = 64 << 10;

/// Which queue a datagram waits in, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Liveness probes and their echoes.
    Probe,
    /// Audio, and feedback (a late keyframe request costs more than a late packet).
    Audio,
    /// Everything else.
    Video,
}

/// Datagrams dropped so far, per lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Probes.
    pub probes: u64,
    /// Audio and feedback.
    pub audio: u64,
    /// Video, because too much of it waited.
    pub video: u64,
}

impl Dropped {
    /// All lanes together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.probes + self.audio + self.video
    }
}

/// The lanes of one link. Pure: time and rate are arguments.
#[derive(Debug, Default)]
pub struct Lanes {
    probes: VecDeque<Bytes>,
    audio: VecDeque<(Instant, Bytes)>,
    audio_bytes: usize,
    video: VecDeque<Departing>,
    video_bytes: usize,
    allocator: LinkAllocator,
    dropped: Dropped,
}

/// A datagram on its way out, with its header where it has one.
#[derive(Clone, Debug)]
pub struct Departing {
    /// Decoded once for all who look at it.
    pub header: Option<Header>,
    /// All of it.
    pub bytes: Bytes,
}

impl Departing {
    fn new(bytes: Bytes) -> Self {
        let header = Header::decode(&bytes).ok().map(|(header, _)| header);
        Self { header, bytes }
    }

    /// What it is of, where it says so.
    fn of(&self) -> Option<(TrackKey, Layer)> {
        self.header.map(|header| (TrackKey::of(&header), header.layer))
    }
}

impl Lanes {
    /// Queues a datagram, of a picture of no special `class`; `rate_bps` is what the link carries now. Cost: amortised
    /// constant.
    pub fn push(&mut self, now: Instant, lane: Lane, rate_bps: u64, datagram: Bytes) {
        match lane {
            Lane::Probe => self.push_probe(datagram),
            Lane::Audio => self.push_audio(now, datagram),
            Lane::Video => self.push_picture(now, Class::Other, rate_bps, datagram),
        }
    }

    /// Queues a datagram of a picture, if its layer crosses the link. Cost: amortised constant.
    pub fn push_picture(&mut self, now: Instant, class: Class, rate_bps: u64, datagram: Bytes) {
        let departing = Departing::new(datagram);
        let bytes = departing.bytes.len();
        if let Some(header) = &departing.header
            && !self.allocator.admit(now, class, header, bytes)
        {
            return;
        }
        self.video_bytes += bytes;
        self.video.push_back(departing);
        let most = (rate_bps as f64 / 8.0 * MAX_VIDEO_QUEUE.as_secs_f64()) as usize;
        while self.video_bytes > most.max(MIN_VIDEO_BYTES) {
            self.relieve(now);
        }
    }

    /// Chooses anew what crosses, where that is due, for a link that carries `capacity_bps`; and puts on the audio lane what
    /// the peer is to be told of it, if it `listens`.
    pub fn review(&mut self, now: Instant, capacity_bps: u64, listens: bool) {
        self.allocator.review(now, Bitrate(capacity_bps));
        while let Some(Allowance { key, layer }) = self.allocator.poll_news() {
            if listens {
                let told = encode_allowance(key.origin, key.track, layer);
                self.push_audio(now, Bytes::from(told));
            }
        }
    }

    /// What decides which layers cross.
    #[must_use]
    pub const fn allocator(&self) -> &LinkAllocator {
        &self.allocator
    }

    /// The same, to ask it what is to be done.
    pub const fn allocator_mut(&mut self) -> &mut LinkAllocator {
        &mut self.allocator
    }

    /// Lane and length of the datagram that goes next.
    #[must_use]
    pub fn next(&self) -> Option<(Lane, usize)> {
        let probe = self.probes.front().map(|bytes| (Lane::Probe, bytes.len()));
        probe
            .or_else(|| self.audio.front().map(|(_, bytes)| (Lane::Audio, bytes.len())))
            .or_else(|| self.video.front().map(|one| (Lane::Video, one.bytes.len())))
    }

    /// Takes the datagram [`Self::next`] described.
    pub fn pop(&mut self) -> Option<Departing> {
        let small = self.probes.pop_front().or_else(|| self.pop_audio());
        small.map(Departing::new).or_else(|| self.pop_video())
    }

    /// Drops audio that has waited too long; call before sending after a wait.
    pub fn expire(&mut self, now: Instant) {
        while self
            .audio
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > MAX_AUDIO_AGE)
        {
            self.pop_audio();
            self.dropped.audio += 1;
        }
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn push_probe(&mut self, datagram: Bytes) {
        if self.probes.len() >= MAX_PROBES {
            self.dropped.probes += 1;
            return;
        }
        self.probes.push_back(datagram);
    }

    fn push_audio(&mut self, now: Instant, datagram: Bytes) {
        self.allocator.count_sound(datagram.len());
        self.audio_bytes += datagram.len();
        self.audio.push_back((now, datagram));
        self.expire(now);
        while self.audio_bytes > MAX_AUDIO_BYTES {
            self.pop_audio();
            self.dropped.audio += 1;
        }
    }

    /// Too much waits: the least important layer ends, and what waits of it goes. The oldest goes where nobody knows what
    /// it is. Cost: once over the queue.
    fn relieve(&mut self, now: Instant) {
        let mut bytes_of = BTreeMap::new();
        for waiting in &self.video {
            if let Some(of) = waiting.of() {
                *bytes_of.entry(of).or_default() += waiting.bytes.len();
            }
        }
        let waiting = bytes_of
            .into_iter()
            .map(|((key, layer), bytes)| (key, layer, bytes));
        let Some(ended) = self.allocator.relieve(now, waiting) else {
            self.pop_video();
            self.dropped.video += 1;
            return;
        };
        let before = self.video.len();
        self.video.retain(|waiting| waiting.of() != Some(ended));
        self.video_bytes = self.video.iter().map(|waiting| waiting.bytes.len()).sum();
        self.dropped.video += (before - self.video.len()) as u64;
    }

    fn pop_audio(&mut self) -> Option<Bytes> {
        let (_, datagram) = self.audio.pop_front()?;
        self.audio_bytes -= datagram.len();
        Some(datagram)
    }

    fn pop_video(&mut self) -> Option<Departing> {
        let waiting = self.video.pop_front()?;
        self.video_bytes -= waiting.bytes.len();
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
