//! What waits to go out on a link: three lanes, the first non-empty one goes first.
//!
//! Overflow policy: **video** holds about 30 ms of the link's rate and then loses its oldest datagram (a viewer
//! repairs or skips it; old video is worth less than new). **Audio** holds a fifth of a second, then loses its
//! oldest. **Probes** are few; beyond their limit the newest is dropped. Everything dropped is counted.

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most probes that wait.
pub const MAX_PROBES: usize = 64;
/// Longest wait of audio before it is dropped.
pub const MAX_AUDIO_AGE: Duration = Duration::from_millis(200);
/// Most audio that waits, in bytes.
pub const MAX_AUDIO_BYTES: usize = 256 << 10;
/// Video that waits, as time at the link's rate.
pub const MAX_VIDEO_QUEUE: Duration = Duration::from_millis(30);
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
    /// Video.
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
    video: VecDeque<Bytes>,
    video_bytes: usize,
    dropped: Dropped,
}

impl Lanes {
    /// Queues a datagram; `rate_bps` is what the link carries now. Cost: amortised constant.
    pub fn push(&mut self, now: Instant, lane: Lane, rate_bps: u64, datagram: Bytes) {
        match lane {
            Lane::Probe => self.push_probe(datagram),
            Lane::Audio => self.push_audio(now, datagram),
            Lane::Video => self.push_video(rate_bps, datagram),
        }
    }

    /// Lane and length of the datagram that goes next.
    #[must_use]
    pub fn next(&self) -> Option<(Lane, usize)> {
        let probe = self.probes.front().map(|bytes| (Lane::Probe, bytes.len()));
        probe
            .or_else(|| self.audio.front().map(|(_, bytes)| (Lane::Audio, bytes.len())))
            .or_else(|| self.video.front().map(|bytes| (Lane::Video, bytes.len())))
    }

    /// Takes the datagram [`Self::next`] described.
    pub fn pop(&mut self) -> Option<Bytes> {
        if let Some(probe) = self.probes.pop_front() {
            return Some(probe);
        }
        self.pop_audio().or_else(|| self.pop_video())
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
        self.audio_bytes += datagram.len();
        self.audio.push_back((now, datagram));
        self.expire(now);
        while self.audio_bytes > MAX_AUDIO_BYTES {
            self.pop_audio();
            self.dropped.audio += 1;
        }
    }

    fn push_video(&mut self, rate_bps: u64, datagram: Bytes) {
        self.video_bytes += datagram.len();
        self.video.push_back(datagram);
        let most = (rate_bps as f64 / 8.0 * MAX_VIDEO_QUEUE.as_secs_f64()) as usize;
        while self.video_bytes > most.max(MIN_VIDEO_BYTES) {
            self.pop_video();
            self.dropped.video += 1;
        }
    }

    fn pop_audio(&mut self) -> Option<Bytes> {
        let (_, datagram) = self.audio.pop_front()?;
        self.audio_bytes -= datagram.len();
        Some(datagram)
    }

    fn pop_video(&mut self) -> Option<Bytes> {
        let datagram = self.video.pop_front()?;
        self.video_bytes -= datagram.len();
        Some(datagram)
    }
}

#[cfg(test)]
mod tests;
