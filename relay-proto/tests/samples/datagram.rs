//! Examples of every kind of datagram, with every flag set once. Bodies of media and clock are sealed.

use relay_proto::datagram::{
    Header, Kind, ParityMember, Piece, encode_allowance, encode_descriptor_len, encode_level, encode_nack,
    encode_padding, encode_parity, encode_probe,
};
use relay_proto::id::{Epoch, Layer, NodeId, TrackAlias};
use relay_proto::room::SealKey;
use relay_proto::seal::Seal;
use relay_proto::unit::{AudioLevel, MediaSeq, RtpTime};

/// The key the sealed examples are under: bytes 0 to 31.
pub(crate) fn key() -> SealKey {
    SealKey(std::array::from_fn(|at| at as u8))
}

/// Every example with its name.
pub(crate) fn datagrams() -> Vec<(&'static str, Vec<u8>)> {
    let feedback = |kind| Header::plain(kind, NodeId::of("fra"), TrackAlias(4), Layer(2));
    let seqs = [MediaSeq(7), MediaSeq(9), MediaSeq(u32::MAX)];
    let probe = |kind| encode_probe(kind, NodeId::of("syd"), 1_000, *b"stamp 8b");
    vec![
        ("datagram-media-audio", audio()),
        ("datagram-media-video", video(Piece::Whole)),
        ("datagram-media-first-piece", video(Piece::First)),
        ("datagram-media-second-piece", video(Piece::Second)),
        ("datagram-clock", clock()),
        (
            "datagram-keyframe-request",
            feedback(Kind::KeyframeRequest).encode().to_vec(),
        ),
        ("datagram-nack", encode_nack(&feedback(Kind::Nack), &seqs)),
        ("datagram-ping", probe(Kind::Ping)),
        ("datagram-pong", probe(Kind::Pong)),
        ("datagram-media-described", described()),
        (
            "datagram-allowance",
            encode_allowance(NodeId::of("syd"), TrackAlias(4), Some(Layer(0))),
        ),
        ("datagram-parity", parity()),
        ("datagram-padding", encode_padding(NodeId::of("syd"), 32)),
    ]
}

/// The header of the audio example.
pub(crate) fn audio_header() -> Header {
    let mut header = Header::media(
        NodeId::of("fra"),
        TrackAlias(5),
        Layer(0),
        MediaSeq(70_000),
        RtpTime(960),
    );
    header.audio = true;
    header.epoch = Epoch(1_792_000_003).low_byte();
    header
}

/// The plain body of the audio example.
pub(crate) fn audio_body() -> Vec<u8> {
    let mut body = vec![encode_level(Some((AudioLevel(30), true)))];
    body.extend_from_slice(b"opus frame");
    body
}

fn sealed(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut datagram = header.encode().to_vec();
    datagram.extend_from_slice(body);
    Seal::new(&key()).seal(&mut datagram);
    datagram
}

fn audio() -> Vec<u8> {
    sealed(&audio_header(), &audio_body())
}

fn video(piece: Piece) -> Vec<u8> {
    let mut header = Header::media(
        NodeId::of("syd"),
        TrackAlias(4),
        Layer(2),
        MediaSeq(1),
        RtpTime(90_000),
    );
    header.marker = true;
    header.keyframe = true;
    let mut body = vec![encode_level(None)];
    body.extend_from_slice(b"a picture that does not fit one datagram");
    let whole = sealed(&header, &body);
    let (head, sealed_body) = whole.split_at(relay_proto::datagram::HEADER_BYTES);
    let middle = sealed_body.len() / 2;
    header.piece = piece;
    match piece {
        Piece::Whole => [head, sealed_body].concat(),
        Piece::First => [&header.encode(), &sealed_body[..middle]].concat(),
        Piece::Second => [&header.encode(), &sealed_body[middle..]].concat(),
    }
}

/// A packet of AV1 with its dependency descriptor.
fn described() -> Vec<u8> {
    let mut header = Header::media(
        NodeId::of("syd"),
        TrackAlias(6),
        Layer(0),
        MediaSeq(65_537),
        RtpTime(180_000),
    );
    header.marker = true;
    let descriptor = [0xc4, 0x01, 0xf4];
    let len = encode_descriptor_len(descriptor.len()).expect("it is short");
    let mut body = vec![len];
    body.extend_from_slice(&descriptor);
    body.extend_from_slice(b"a frame of one layer");
    sealed(&header, &body)
}

/// The parity of two datagrams of 24 and 22 bytes.
fn parity() -> Vec<u8> {
    let member = |track, len| ParityMember {
        origin: NodeId::of("fra"),
        track: TrackAlias(track),
        seq: MediaSeq(70_000),
        len,
    };
    let sum: [u8; 24] = std::array::from_fn(|at| at as u8);
    encode_parity(&[member(5, 24), member(6, 22)], &sum)
}

fn clock() -> Vec<u8> {
    let mut header = audio_header();
    header.kind = Kind::Clock;
    header.audio = false;
    sealed(&header, &0xe9a1_b2c3_8000_0000_u64.to_be_bytes())
}
