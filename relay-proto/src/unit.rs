//! Units as types: a raw integer in a public interface of the mesh is a mistake.

use bincode::{Decode, Encode};

/// Bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Bitrate(pub u64);

/// Milliseconds of a duration on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Millis(pub u32);

/// Microseconds of a duration on the wire (round trips).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Micros(pub u32);

/// Milliseconds since 1970-01-01 UTC, for what people and clients read; never for ordering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct UnixMillis(pub u64);

/// Parts per million, 0 to 1,000,000 (loss, load).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct PartsPerMillion(pub u32);

/// Degrees of latitude or longitude times 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct MilliDegrees(pub i32);

/// Sequence number of a packet within one layer of a track, extended to 32 bits by the origin so it never wraps in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MediaSeq(pub u32);

/// RTP timestamp of a packet in the clock of its codec; wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct RtpTime(pub u32);

/// Audio level of RFC 6464: 0 is loudest, 127 is silence (minus dBov).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct AudioLevel(pub u8);

impl AudioLevel {
    /// Digital silence.
    pub const SILENCE: Self = Self(127);

    /// The level as clients show it: 0.0 is silence, 1.0 the loudest.
    #[must_use]
    pub fn linear(self) -> f32 {
        if self.0 >= 127 {
            0.0
        } else {
            10_f32.powf(-f32::from(self.0) / 20.0)
        }
    }
}
