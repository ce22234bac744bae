//! A trace played on and on: times and picture numbers go on across the seam, and a keyframe request begins it anew.

use std::time::{Duration, Instant};

use super::{Codec, Frame, Stamp, Trace, TraceKind};

/// A second request within this time is the same one repeated.
const RESTART_INTERVAL: Duration = Duration::from_millis(300);
/// Largest picture id (RFC 7741 section 4.2: 15 bits).
const PICTURE_ID_MASK: u16 = 0x7fff;

/// A frame in its turn.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// What to send.
    pub frame: &'static Frame,
    /// RTP timestamp.
    pub time: u32,
    picture_id: u16,
    codec: Codec,
}

impl Played {
    /// Time until the next frame.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(1) * self.frame.duration_ticks / self.codec.clock_rate_hz()
    }

    /// Whether the packet at `index` has the marker bit: the last of a picture; never for audio (RFC 7587 section 4.1
    /// marks the start of a talk spurt only).
    #[must_use]
    pub fn marker(&self, index: usize) -> bool {
        self.codec != Codec::Opus && index + 1 == self.frame.packets.len()
    }

    /// The same time without sound.
    #[must_use]
    pub fn silenced(self) -> Self {
        match self.codec {
            Codec::Opus => Self {
                frame: Trace::of(TraceKind::Silence).first(),
                ..self
            },
            Codec::Vp8 | Codec::H264 => self,
        }
    }

    /// Makes the copy of a template into what is sent: picture number, and in the last packet the stamp. Some
    /// nanoseconds.
    pub fn patch(&self, index: usize, payload: &mut [u8], stamp: &Stamp) {
        if self.codec == Codec::Vp8
            && let Some(place) = payload.get_mut(2..4)
        {
            place.copy_from_slice(&(0x8000 | self.picture_id).to_be_bytes());
        }
        if index + 1 == self.frame.packets.len() {
            stamp.write(payload);
        }
    }
}

/// The state of playing one trace.
#[derive(Debug)]
pub struct Replay {
    trace: &'static Trace,
    place: usize,
    time: u32,
    picture_id: u16,
    restarted: Option<Instant>,
    first_loop: Option<usize>,
}

impl Replay {
    /// Begins with the keyframe.
    #[must_use]
    pub fn new(kind: TraceKind) -> Self {
        Self {
            trace: Trace::of(kind),
            place: 0,
            time: 0,
            picture_id: 0,
            restarted: None,
            first_loop: None,
        }
    }

    /// The next frame.
    pub fn advance(&mut self) -> Played {
        let frame = self.trace.frame(self.place);
        let played = Played {
            frame,
            time: self.time,
            picture_id: self.picture_id,
            codec: self.trace.codec,
        };
        self.place = (self.place + 1) % self.trace.len();
        if self.first_loop == Some(self.place) {
            self.begin_anew();
        }
        self.time = self.time.wrapping_add(frame.duration_ticks);
        self.picture_id = (self.picture_id + 1) & PICTURE_ID_MASK;
        played
    }

    /// Ends the first loop after this many frames, so that senders that begin together do not send all their keyframes
    /// together.
    #[must_use]
    pub fn with_first_loop(mut self, frames: usize) -> Self {
        self.first_loop = Some(frames.clamp(1, self.trace.len()));
        self
    }

    /// The next frame is a keyframe, whatever was asked for before: what was sent until now is forgotten.
    pub fn begin_anew(&mut self) {
        self.place = 0;
        self.first_loop = None;
    }

    /// The next frame shall be a keyframe.
    pub fn restart_at_keyframe(&mut self, now: Instant) {
        let again = |at: Instant| now.saturating_duration_since(at) < RESTART_INTERVAL;
        if self.place == 0 || self.restarted.is_some_and(again) {
            return;
        }
        self.restarted = Some(now);
        self.begin_anew();
    }
}
