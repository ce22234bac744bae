//! Pre-encoded media that light clients replay: traces cut into payloads once, and the stamp in each frame.
//!
//! All pure: no clocks, no sockets, no encoders. The files are in `loadtest/traces`, made by the script there. Who sends
//! what, and when, is [`crate::client`]'s business.

mod depacketise;
mod ivf;
mod packets;
mod replay;
mod stamp;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

pub use depacketise::depacketise;
pub use ivf::{TraceError, write_ivf};
pub use packets::{FrameStart, inspect};
pub use replay::{Played, Replay};
pub use stamp::Stamp;

/// Longest payload of an RTP packet: with header, extensions, SRTP's tag, UDP and IPv6 below 1,280 bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1_120;

/// A codec light clients send and understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 6184, constrained baseline, packetization mode 1.
    H264,
    /// RFC 7587.
    Opus,
}

impl Codec {
    /// Rate of RTP timestamps, in Hz.
    #[must_use]
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Vp8 | Self::H264 => 90_000,
            Self::Opus => 48_000,
        }
    }

    const fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Vp8 => *b"VP80",
            Self::H264 => *b"H264",
            Self::Opus => *b"OPUS",
        }
    }

    fn of_fourcc(fourcc: [u8; 4]) -> Option<Self> {
        [Self::Vp8, Self::H264, Self::Opus]
            .into_iter()
            .find(|codec| codec.fourcc() == fourcc)
    }
}

/// Loudness of an audio frame as RFC 6464 states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel(u8);

impl AudioLevel {
    /// The byte of the header extension: voice flag and -dBov.
    #[must_use]
    pub const fn extension_byte(self) -> u8 {
        self.0
    }
}

/// One frame, cut.
#[derive(Debug)]
pub struct Frame {
    /// Whether it needs no other frame.
    pub keyframe: bool,
    /// RTP time to the next frame.
    pub duration_ticks: u32,
    /// Only for audio.
    pub audio: Option<AudioLevel>,
    /// Payload templates, in order.
    pub packets: Vec<Box<[u8]>>,
}

/// A built-in trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TraceKind {
    /// One layer of a camera, 0 to 2: 320x180, 640x360, 1280x720.
    Camera {
        /// VP8 or H.264; Opus counts as VP8.
        codec: Codec,
        /// The layer; above 2 counts as 2.
        layer: u8,
    },
    /// A shared screen, VP8, five frames a second.
    Screen,
    /// A voice, 20 ms a frame.
    Speech,
    /// One frame of nothing, for pauses.
    Silence,
}

/// A loop of frames that begins with a keyframe.
#[derive(Debug)]
pub struct Trace {
    codec: Codec,
    width: u16,
    height: u16,
    frames: Vec<Frame>,
}

impl Trace {
    /// The built-in trace; cut when first asked for.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test cuts them all.
    #[must_use]
    pub fn of(kind: TraceKind) -> &'static Self {
        const FILES: [&[u8]; 8] = [
            include_bytes!("../../traces/camera-vp8-0.ivf"),
            include_bytes!("../../traces/camera-vp8-1.ivf"),
            include_bytes!("../../traces/camera-vp8-2.ivf"),
            include_bytes!("../../traces/camera-h264-0.ivf"),
            include_bytes!("../../traces/camera-h264-1.ivf"),
            include_bytes!("../../traces/camera-h264-2.ivf"),
            include_bytes!("../../traces/screen-vp8.ivf"),
            include_bytes!("../../traces/speech-opus.ivf"),
        ];
        static CUT: [OnceLock<Trace>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
        static SILENCE: OnceLock<Trace> = OnceLock::new();
        let index = match kind {
            TraceKind::Camera { codec, layer } => {
                let first = if codec == Codec::H264 { 3 } else { 0 };
                first + usize::from(layer.min(2))
            }
            TraceKind::Screen => 6,
            TraceKind::Speech => 7,
            TraceKind::Silence => {
                return SILENCE.get_or_init(|| Self::of(TraceKind::Speech).silent());
            }
        };
        CUT[index].get_or_init(|| {
            Self::parse(FILES[index]).expect("invariant: a test cuts every file of the program")
        })
    }

    /// Takes a file apart and cuts its frames.
    ///
    /// # Errors
    /// [`TraceError`] says which frame cannot be.
    pub fn parse(file: &[u8]) -> Result<Self, TraceError> {
        let ivf = ivf::parse(file)?;
        let codec = Codec::of_fourcc(ivf.fourcc).ok_or(TraceError::Container("an unknown codec"))?;
        let duration_ticks = codec.clock_rate_hz() / ivf.rate;
        if duration_ticks == 0 {
            return Err(TraceError::Container("a frame rate above its codec's clock"));
        }
        let mut frames = Vec::with_capacity(ivf.frames.len());
        for (number, bytes) in ivf.frames.into_iter().enumerate() {
            let (audio, bytes) = match (codec, bytes.split_first()) {
                (Codec::Opus, Some((level, packet))) => (Some(AudioLevel(*level)), packet),
                _ => (None, bytes),
            };
            let (packets, keyframe) = packets::cut_numbered(codec, number, bytes)?;
            frames.push(Frame {
                keyframe,
                duration_ticks,
                audio,
                packets,
            });
        }
        if !frames.first().is_some_and(|frame| frame.keyframe) {
            return Err(TraceError::Frame {
                frame: 0,
                reason: "a trace begins with a keyframe",
            });
        }
        Ok(Self {
            codec,
            width: ivf.width,
            height: ivf.height,
            frames,
        })
    }

    /// Its codec.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Width and height in pixels; 0 for audio.
    #[must_use]
    pub const fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// All frames in order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Mean rate of the payloads, in bits a second.
    #[must_use]
    pub fn bit_rate_bps(&self) -> u64 {
        let bytes: usize = self
            .frames
            .iter()
            .flat_map(|frame| &frame.packets)
            .map(|packet| packet.len())
            .sum();
        let ticks: u64 = self
            .frames
            .iter()
            .map(|frame| u64::from(frame.duration_ticks))
            .sum();
        bytes as u64 * 8 * u64::from(self.codec.clock_rate_hz()) / ticks.max(1)
    }

    fn frame(&self, place: usize) -> &Frame {
        self.frames.get(place).unwrap_or_else(|| self.first())
    }

    fn first(&self) -> &Frame {
        self.frames
            .first()
            .expect("invariant: `parse` refuses a trace without frames")
    }

    fn len(&self) -> usize {
        self.frames.len()
    }

    /// One frame of the same codec and length without sound (-127 dBov).
    fn silent(&self) -> Self {
        let frame = self.first();
        Self {
            codec: self.codec,
            width: 0,
            height: 0,
            frames: vec![Frame {
                keyframe: true,
                duration_ticks: frame.duration_ticks,
                audio: Some(AudioLevel(127)),
                packets: vec![packets::silence(&frame.packets[0])],
            }],
        }
    }
}
