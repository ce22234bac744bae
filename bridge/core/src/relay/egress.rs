//! From a cached packet to the datagrams of a link.

use crate::allocation::Class;
use crate::forward::cache::PacketMeta;
use crate::forward::track::{Clock, TrackIdentity};
use bytes::Bytes;
use relay_proto::datagram::{HEADER_BYTES, Header, Kind, Piece, encode_descriptor_len};
use relay_proto::id::{Epoch, Layer, NodeId};
use relay_proto::room::MediaKind;
use relay_proto::seal::{Seal, TAG_BYTES};
use relay_proto::unit::{MediaSeq, RtpTime};

/// A datagram for the link to `via`.
#[derive(Clone, Debug)]
pub struct RelayTransmit {
    /// The peer to hand it to.
    pub via: NodeId,
    /// Goes on the audio lane.
    pub audio: bool,
    /// What it is of, where it is of a picture.
    pub class: Class,
    /// Header and sealed body.
    pub bytes: Bytes,
}

/// The sealed datagram of one packet: its dependency descriptor (empty, or of AV1) and payload. Cost: one copy
/// and one seal, however many nodes get it.
///
/// Sealing the same packet again (a repair) gives the same bytes.
#[must_use]
pub fn media_datagram(
    track: &TrackIdentity,
    epoch: Epoch,
    layer: Layer,
    meta: &PacketMeta,
    (descriptor, payload): (&[u8], &[u8]),
    seal: &Seal,
) -> Bytes {
    let mut header = Header::media(track.origin, track.alias, layer, meta.seq, meta.time);
    header.marker = meta.marker;
    header.keyframe = meta.keyframe;
    header.audio = track.codec.kind() == MediaKind::Audio;
    header.epoch = epoch.low_byte();
    let mut datagram = Vec::with_capacity(HEADER_BYTES + 1 + descriptor.len() + payload.len() + TAG_BYTES);
    datagram.extend_from_slice(&header.encode());
    if header.audio {
        datagram.push(meta.level);
    } else {
        let len = encode_descriptor_len(descriptor.len());
        datagram.push(len.expect("invariant: no longer descriptor is taken from a client"));
        datagram.extend_from_slice(descriptor);
    }
    datagram.extend_from_slice(payload);
    seal.seal(&mut datagram);
    Bytes::from(datagram)
}

/// The sealed datagram of a sender report. `number` must not repeat in (track, layer) under one key.
#[must_use]
pub fn clock_datagram(
    track: &TrackIdentity,
    epoch: Epoch,
    layer: Layer,
    clock: Clock,
    number: u32,
    seal: &Seal,
) -> Bytes {
    let mut header = Header::media(
        track.origin,
        track.alias,
        layer,
        MediaSeq(number),
        RtpTime(clock.time.0),
    );
    header.kind = Kind::Clock;
    header.audio = track.codec.kind() == MediaKind::Audio;
    header.epoch = epoch.low_byte();
    let mut datagram = header.encode().to_vec();
    datagram.extend_from_slice(&clock.ntp.to_be_bytes());
    seal.seal(&mut datagram);
    Bytes::from(datagram)
}

/// Cuts a sealed datagram in two where it does not fit `max_bytes`; otherwise gives it back alone.
#[must_use]
pub fn fit(datagram: Bytes, max_bytes: usize) -> (Bytes, Option<Bytes>) {
    if datagram.len() <= max_bytes {
        return (datagram, None);
    }
    let Ok((mut header, body)) = Header::decode(&datagram) else {
        return (datagram, None);
    };
    let (first, second) = body.split_at(body.len().div_ceil(2));
    let mut piece = |which, part: &[u8]| {
        header.piece = which;
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(part);
        Bytes::from(bytes)
    };
    (piece(Piece::First, first), Some(piece(Piece::Second, second)))
}
