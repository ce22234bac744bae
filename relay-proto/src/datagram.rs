//! The datagrams of a link: a fixed, hand-written header of 20 bytes and a body no serialiser touches.
//!
//! ```text
//!  0        1        2        3        4        8        12       16       20
//!  +--------+--------+--------+--------+--------+--------+--------+--------+----
//!  |ver|kind|  hops  | flags  | epoch  | origin | track  |  seq   |  time  | body
//!  +--------+--------+--------+--------+--------+--------+--------+--------+----
//!  flags: 0x01 marker, 0x02 keyframe, 0x04 split, 0x08 second piece, 0x30 layer, 0x40 audio, 0x80 zero
//! ```
//! All integers are big-endian. The body of media and clock datagrams is sealed between origin and destination;
//! a transit node reads the header, lowers `hops`, and forwards.

use crate::id::{Layer, MAX_LAYERS, NodeId, TrackAlias};
use crate::unit::{AudioLevel, MediaSeq, RtpTime};
use std::time::Duration;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 20;
/// Version in the upper half of the first byte.
pub const DATAGRAM_VERSION: u8 = 1;
/// Where `hops` stands; the only byte a transit node changes, and the only one the seal does not cover.
pub const HOPS_OFFSET: usize = 1;
/// Hop budget a datagram starts with.
pub const INITIAL_HOPS: u8 = 4;
/// Most sequence numbers in one NACK datagram.
pub const MAX_NACK_SEQS: usize = 64;
/// Largest media payload (RTP payload) accepted, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1_500;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One RTP packet of a track's layer. Body: sealed [`MediaBody`].
    Media,
    /// The publisher's mapping from RTP time to wall clock. Body: sealed 8-byte NTP time; `time` is the RTP time.
    /// `seq` counts the clock datagrams of the layer: reusing one would reuse a nonce of the seal.
    Clock,
    /// Backwards: the layer needs a keyframe. No body.
    KeyframeRequest,
    /// Backwards: packets of the layer are missing. Body: up to [`MAX_NACK_SEQS`] sequence numbers of 4 bytes.
    Nack,
    /// Liveness probe of a link. `origin` is the sender, `seq` its number. Body: 8 opaque bytes.
    Ping,
    /// The echo of a ping: the same number and body, `origin` is the answerer.
    Pong,
    /// To the neighbour downstream: what of the track the link from its sender has room for. Body: one byte, how many layers
    /// cross, counted from the smallest (see [`encode_allowance`]). Lapses after [`ALLOWANCE_LEASE`].
    Allowance,
    /// To the neighbour: the parity of a few datagrams of sound sent right before (see [`encode_parity`]).
    Parity,
    /// To the neighbour: nothing; it shows what the link carries. Body: zeros. Dropped unread.
    Padding,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Media => 0,
            Self::Clock => 1,
            Self::KeyframeRequest => 2,
            Self::Nack => 3,
            Self::Ping => 4,
            Self::Pong => 5,
            Self::Allowance => 8,
            Self::Padding => 9,
            Self::Parity => 10,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Media,
            1 => Self::Clock,
            2 => Self::KeyframeRequest,
            3 => Self::Nack,
            4 => Self::Ping,
            5 => Self::Pong,
            8 => Self::Allowance,
            9 => Self::Padding,
            10 => Self::Parity,
            _ => return None,
        })
    }
}

/// Whether a datagram holds a whole body or one of two pieces of it (the seal spans both).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// All of it.
    Whole,
    /// The first half of a body that did not fit the path.
    First,
    /// The rest.
    Second,
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What this is.
    pub kind: Kind,
    /// How many more nodes may forward it.
    pub hops: u8,
    /// RTP marker bit.
    pub marker: bool,
    /// The packet starts a keyframe.
    pub keyframe: bool,
    /// Whole or one of two.
    pub piece: Piece,
    /// Layer of the track, below [`MAX_LAYERS`].
    pub layer: Layer,
    /// Belongs on the audio lane.
    pub audio: bool,
    /// Low byte of the origin's epoch in the conference.
    pub epoch: u8,
    /// The node the track is published on (of feedback too); of pings, the sender.
    pub origin: NodeId,
    /// The track.
    pub track: TrackAlias,
    /// Number of the packet in its layer.
    pub seq: MediaSeq,
    /// RTP timestamp.
    pub time: RtpTime,
}

/// Why bytes are no datagram of ours. All are the peer's fault: count, drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// Shorter than a header.
    #[error("datagram of {0} bytes is shorter than its header")]
    Short(usize),
    /// Another version.
    #[error("datagram version {0} is not spoken here")]
    Version(u8),
    /// A kind number from the future or from noise.
    #[error("unknown datagram kind {0}")]
    Kind(u8),
    /// Reserved bits are set, flags contradict each other or the kind, or the layer does not exist.
    #[error("contradictory datagram flags {0:#04x}")]
    Flags(u8),
    /// A body that does not fit its kind.
    #[error("body of {0} bytes does not fit its kind")]
    Body(usize),
}

const FLAG_MARKER: u8 = 0x01;
const FLAG_KEYFRAME: u8 = 0x02;
const FLAG_SPLIT: u8 = 0x04;
const FLAG_SECOND: u8 = 0x08;
const LAYER_SHIFT: u8 = 4;
const LAYER_MASK: u8 = 0x30;
const FLAG_AUDIO: u8 = 0x40;
const FLAG_RESERVED: u8 = 0x80;

impl Header {
    /// A media header with full hop budget; the caller fills in the rest.
    #[must_use]
    pub const fn media(
        origin: NodeId,
        track: TrackAlias,
        layer: Layer,
        seq: MediaSeq,
        time: RtpTime,
    ) -> Self {
        Self {
            kind: Kind::Media,
            hops: INITIAL_HOPS,
            marker: false,
            keyframe: false,
            piece: Piece::Whole,
            layer,
            audio: false,
            epoch: 0,
            origin,
            track,
            seq,
            time,
        }
    }

    /// A feedback or probe header: everything a receiver of media does not send is zero.
    #[must_use]
    pub const fn plain(kind: Kind, origin: NodeId, track: TrackAlias, layer: Layer) -> Self {
        let mut header = Self::media(origin, track, layer, MediaSeq(0), RtpTime(0));
        header.kind = kind;
        header
    }

    /// The 20 bytes of the header. Hot path: no allocation.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = DATAGRAM_VERSION << 4 | self.kind.number();
        bytes[HOPS_OFFSET] = self.hops;
        bytes[2] = self.flags();
        bytes[3] = self.epoch;
        bytes[4..8].copy_from_slice(&self.origin.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.track.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.time.0.to_be_bytes());
        bytes
    }

    fn flags(&self) -> u8 {
        let mut flags = (self.layer.0 << LAYER_SHIFT) & LAYER_MASK;
        if self.marker {
            flags |= FLAG_MARKER;
        }
        if self.keyframe {
            flags |= FLAG_KEYFRAME;
        }
        if self.audio {
            flags |= FLAG_AUDIO;
        }
        match self.piece {
            Piece::Whole => flags,
            Piece::First => flags | FLAG_SPLIT,
            Piece::Second => flags | FLAG_SPLIT | FLAG_SECOND,
        }
    }

    /// Splits a datagram into header and body. Hot path: no allocation.
    ///
    /// # Errors
    /// Any [`DatagramError`] but `Body`.
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), DatagramError> {
        let Some((bytes, body)) = datagram.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DatagramError::Short(datagram.len()));
        };
        if bytes[0] >> 4 != DATAGRAM_VERSION {
            return Err(DatagramError::Version(bytes[0] >> 4));
        }
        let kind = Kind::from_number(bytes[0] & 0x0f).ok_or(DatagramError::Kind(bytes[0] & 0x0f))?;
        let flags = bytes[2];
        let piece = match (flags & FLAG_SPLIT != 0, flags & FLAG_SECOND != 0) {
            (false, false) => Piece::Whole,
            (true, false) => Piece::First,
            (true, true) => Piece::Second,
            (false, true) => return Err(DatagramError::Flags(flags)),
        };
        let layer = (flags & LAYER_MASK) >> LAYER_SHIFT;
        let split_feedback = piece != Piece::Whole && kind != Kind::Media;
        if flags & FLAG_RESERVED != 0 || usize::from(layer) >= MAX_LAYERS || split_feedback {
            return Err(DatagramError::Flags(flags));
        }
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let header = Self {
            kind,
            hops: bytes[HOPS_OFFSET],
            marker: flags & FLAG_MARKER != 0,
            keyframe: flags & FLAG_KEYFRAME != 0,
            piece,
            layer: Layer(layer),
            audio: flags & FLAG_AUDIO != 0,
            epoch: bytes[3],
            origin: NodeId(word(4)),
            track: TrackAlias(word(8)),
            seq: MediaSeq(word(12)),
            time: RtpTime(word(16)),
        };
        Ok((header, body))
    }
}

/// The plain body of a media datagram: one byte, then what it announces, then the RTP payload.
///
/// The first byte is `0xff` where there is nothing else. Else it is for sound its level (RFC 6464; bit 7 is the voice
/// flag), and for pictures the length of a dependency descriptor, which stands between it and the payload. Only tracks in
/// AV1 have one, and so only peers with [`crate::version::Features::DESCRIPTORS`] ever see one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaBody<'a> {
    /// Level and voice flag, if known.
    pub level: Option<(AudioLevel, bool)>,
    /// Dependency descriptor; empty where there is none.
    pub descriptor: &'a [u8],
    /// RTP payload.
    pub payload: &'a [u8],
}

const NO_LEVEL: u8 = 0xff;
/// Longest dependency descriptor of a media datagram, in bytes.
pub const MAX_DESCRIPTOR_BYTES: usize = 254;

/// The first byte of the body of a picture's packet, whose descriptor is that long.
///
/// # Errors
/// [`DatagramError::Body`] where it is longer than [`MAX_DESCRIPTOR_BYTES`].
pub const fn encode_descriptor_len(bytes: usize) -> Result<u8, DatagramError> {
    match bytes {
        0 => Ok(NO_LEVEL),
        1..=MAX_DESCRIPTOR_BYTES => Ok(bytes as u8),
        _ => Err(DatagramError::Body(bytes)),
    }
}

/// The first byte of the body of a packet of sound.
#[must_use]
pub const fn encode_level(level: Option<(AudioLevel, bool)>) -> u8 {
    match level {
        // 127 with the voice flag would read as "no level"; silence is not voice.
        Some((AudioLevel(level @ 0..=126), true)) => level | 0x80,
        Some((AudioLevel(level), _)) => level & 0x7f,
        None => NO_LEVEL,
    }
}

impl<'a> MediaBody<'a> {
    /// Reads an opened body, of sound (`audio`) or of pictures.
    ///
    /// # Errors
    /// [`DatagramError::Body`] where it is empty, shorter than the descriptor it announces, or has more than
    /// [`MAX_PAYLOAD_BYTES`] of payload.
    pub fn decode(body: &'a [u8], audio: bool) -> Result<Self, DatagramError> {
        let refused = Err(DatagramError::Body(body.len()));
        let Some((&first, rest)) = body.split_first() else {
            return refused;
        };
        let described = if audio || first == NO_LEVEL {
            0
        } else {
            usize::from(first)
        };
        let Some((descriptor, payload)) = rest.split_at_checked(described) else {
            return refused;
        };
        if payload.len() > MAX_PAYLOAD_BYTES {
            return refused;
        }
        let level = (audio && first != NO_LEVEL).then_some((AudioLevel(first & 0x7f), first & 0x80 != 0));
        Ok(Self {
            level,
            descriptor,
            payload,
        })
    }
}

/// A NACK datagram for `seqs`, of which there must be one (at most [`MAX_NACK_SEQS`] are taken).
#[must_use]
pub fn encode_nack(header: &Header, seqs: &[MediaSeq]) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    for seq in seqs.iter().take(MAX_NACK_SEQS) {
        bytes.extend_from_slice(&seq.0.to_be_bytes());
    }
    bytes
}

/// The sequence numbers of a NACK body.
///
/// # Errors
/// [`DatagramError::Body`] where it is empty, not a multiple of four, or too long.
pub fn decode_nack(body: &[u8]) -> Result<impl Iterator<Item = MediaSeq> + '_, DatagramError> {
    if body.is_empty() || !body.len().is_multiple_of(4) || body.len() > MAX_NACK_SEQS * 4 {
        return Err(DatagramError::Body(body.len()));
    }
    Ok(body
        .chunks_exact(4)
        .map(|word| MediaSeq(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))))
}

/// How long an allowance holds without being repeated.
pub const ALLOWANCE_LEASE: Duration = Duration::from_secs(2);

/// An allowance for a track: the largest layer that crosses, or none where nothing does.
#[must_use]
pub fn encode_allowance(origin: NodeId, track: TrackAlias, largest: Option<Layer>) -> Vec<u8> {
    let header = Header::plain(Kind::Allowance, origin, track, Layer(0));
    let mut bytes = header.encode().to_vec();
    bytes.push(largest.map_or(0, |layer| layer.0.saturating_add(1)));
    bytes
}

/// The largest layer an allowance says to cross. A number above all layers is for the largest.
///
/// # Errors
/// [`DatagramError::Body`] where it is not one byte.
pub const fn decode_allowance(body: &[u8]) -> Result<Option<Layer>, DatagramError> {
    let [layers] = body else {
        return Err(DatagramError::Body(body.len()));
    };
    Ok(match *layers {
        0 => None,
        layers if layers as usize > MAX_LAYERS => Some(Layer::TOP),
        layers => Some(Layer(layers - 1)),
    })
}

/// Most datagrams of one parity.
pub const MAX_PARITY_MEMBERS: usize = 8;
/// Bytes that name one of them.
const PARITY_MEMBER_BYTES: usize = 14;

/// One of the datagrams a parity is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParityMember {
    /// Where its track is published.
    pub origin: NodeId,
    /// Its track.
    pub track: TrackAlias,
    /// Its number.
    pub seq: MediaSeq,
    /// Its length in bytes, header included.
    pub len: u16,
}

/// The parity of whole datagrams, of which there are one to [`MAX_PARITY_MEMBERS`] (no more are taken): `sum` is their exclusive
/// or, each filled up with zeros to the longest.
#[must_use]
pub fn encode_parity(members: &[ParityMember], sum: &[u8]) -> Vec<u8> {
    let header = Header::plain(Kind::Parity, NodeId(0), TrackAlias(0), Layer(0));
    let members = &members[..members.len().min(MAX_PARITY_MEMBERS)];
    let mut bytes = header.encode().to_vec();
    bytes.push(members.len() as u8);
    for member in members {
        bytes.extend_from_slice(&member.origin.0.to_be_bytes());
        bytes.extend_from_slice(&member.track.0.to_be_bytes());
        bytes.extend_from_slice(&member.seq.0.to_be_bytes());
        bytes.extend_from_slice(&member.len.to_be_bytes());
    }
    bytes.extend_from_slice(sum);
    bytes
}

/// The datagrams a parity is of, and their exclusive or.
///
/// # Errors
/// [`DatagramError::Body`] where there are none or too many of them, or where one is longer than the sum or too short for a header.
pub fn decode_parity(body: &[u8]) -> Result<(impl Iterator<Item = ParityMember> + '_, &[u8]), DatagramError> {
    let refused = DatagramError::Body(body.len());
    let (&count, rest) = body.split_first().ok_or(refused)?;
    let count = usize::from(count);
    if count == 0 || count > MAX_PARITY_MEMBERS {
        return Err(refused);
    }
    let (named, sum) = rest
        .split_at_checked(count * PARITY_MEMBER_BYTES)
        .ok_or(refused)?;
    let word = |at: &[u8]| u32::from_be_bytes([at[0], at[1], at[2], at[3]]);
    let members = named
        .chunks_exact(PARITY_MEMBER_BYTES)
        .map(move |bytes| ParityMember {
            origin: NodeId(word(bytes)),
            track: TrackAlias(word(&bytes[4..])),
            seq: MediaSeq(word(&bytes[8..])),
            len: u16::from_be_bytes([bytes[12], bytes[13]]),
        });
    let fits = |member: ParityMember| (HEADER_BYTES..=sum.len()).contains(&usize::from(member.len));
    if !members.clone().all(fits) {
        return Err(refused);
    }
    Ok((members, sum))
}

/// A datagram of `bytes` (at least a header) that says nothing.
#[must_use]
pub fn encode_padding(sender: NodeId, bytes: usize) -> Vec<u8> {
    let header = Header::plain(Kind::Padding, sender, TrackAlias(0), Layer(0));
    let mut datagram = header.encode().to_vec();
    datagram.resize(bytes.max(HEADER_BYTES), 0);
    datagram
}

/// A probe or its echo.
#[must_use]
pub fn encode_probe(kind: Kind, sender: NodeId, number: u32, stamp: [u8; 8]) -> Vec<u8> {
    let mut header = Header::plain(kind, sender, TrackAlias(0), Layer(0));
    header.seq = MediaSeq(number);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&stamp);
    bytes
}

#[cfg(test)]
mod tests;
