use super::*;
use proptest::prelude::*;

fn header() -> Header {
    Header::media(
        NodeId(0x0102_0304),
        TrackAlias(5),
        Layer(1),
        MediaSeq(6),
        RtpTime(7),
    )
}

fn decode_with(change: impl Fn(&mut [u8; HEADER_BYTES])) -> Result<Header, DatagramError> {
    let mut bytes = header().encode();
    change(&mut bytes);
    Header::decode(&bytes).map(|(header, _)| header)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Media,
        Kind::Clock,
        Kind::KeyframeRequest,
        Kind::Nack,
        Kind::Ping,
        Kind::Pong,
        Kind::Allowance,
        Kind::Padding,
        Kind::Parity,
    ])
}

fn pieces() -> impl Strategy<Value = Piece> {
    prop::sample::select(vec![Piece::Whole, Piece::First, Piece::Second])
}

prop_compose! {
    fn headers()(
        kind in kinds(),
        piece in pieces(),
        layer in 0..MAX_LAYERS as u8,
        flags in any::<(bool, bool, bool)>(),
        (hops, epoch) in any::<(u8, u8)>(),
        (origin, track, seq, time) in any::<(u32, u32, u32, u32)>(),
    ) -> Header {
        Header {
            kind,
            hops,
            marker: flags.0,
            keyframe: flags.1,
            piece: if kind == Kind::Media { piece } else { Piece::Whole },
            layer: Layer(layer),
            audio: flags.2,
            epoch,
            origin: NodeId(origin),
            track: TrackAlias(track),
            seq: MediaSeq(seq),
            time: RtpTime(time),
        }
    }
}

proptest! {
    #[test]
    fn every_header_comes_back_with_its_body(header in headers(), body in prop::collection::vec(any::<u8>(), 0..64)) {
        let datagram = [header.encode().as_slice(), &body].concat();
        prop_assert_eq!(Header::decode(&datagram), Ok((header, body.as_slice())));
    }

    #[test]
    fn random_bytes_are_refused_or_encode_to_themselves(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok((header, body)) = Header::decode(&bytes) {
            prop_assert_eq!([header.encode().as_slice(), body].concat(), bytes);
        }
    }

    #[test]
    fn every_level_comes_back_but_voice_at_silence(level in 0_u8..=127, voice: bool) {
        let body = [encode_level(Some((AudioLevel(level), voice)))];
        let decoded = MediaBody::decode(&body, true).unwrap();
        prop_assert_eq!(decoded.level, Some((AudioLevel(level), voice && level < 127)));
    }

    #[test]
    fn nacks_come_back(seqs in prop::collection::vec(any::<u32>(), 1..=MAX_NACK_SEQS)) {
        let seqs: Vec<_> = seqs.into_iter().map(MediaSeq).collect();
        let datagram = encode_nack(&header(), &seqs);
        prop_assert_eq!(decode_nack(&datagram[HEADER_BYTES..]).unwrap().collect::<Vec<_>>(), seqs);
    }
}

#[test]
fn anything_shorter_than_a_header_is_refused() {
    for len in 0..HEADER_BYTES {
        assert_eq!(
            Header::decode(&header().encode()[..len]),
            Err(DatagramError::Short(len))
        );
    }
}

#[test]
fn another_version_is_refused() {
    assert_eq!(
        decode_with(|bytes| bytes[0] = 0x20),
        Err(DatagramError::Version(2))
    );
    assert_eq!(
        decode_with(|bytes| bytes[0] = 0x00),
        Err(DatagramError::Version(0))
    );
}

#[test]
fn an_unknown_kind_is_refused() {
    for kind in [6, 7].into_iter().chain(11..16) {
        assert_eq!(
            decode_with(|bytes| bytes[0] = 0x10 | kind),
            Err(DatagramError::Kind(kind))
        );
    }
}

#[test]
fn contradictory_flags_are_refused() {
    for flags in [0x80, 0x08, 0x30] {
        assert_eq!(
            decode_with(|bytes| bytes[2] = flags),
            Err(DatagramError::Flags(flags))
        );
    }
}

#[test]
fn only_media_is_split() {
    assert!(decode_with(|bytes| bytes[2] = FLAG_SPLIT).is_ok());
    for kind in 1..=5 {
        let split = decode_with(|bytes| {
            bytes[0] = 0x10 | kind;
            bytes[2] = FLAG_SPLIT;
        });
        assert_eq!(split, Err(DatagramError::Flags(FLAG_SPLIT)));
    }
}

#[test]
fn media_bodies_outside_their_bounds_are_refused() {
    assert_eq!(MediaBody::decode(&[], true), Err(DatagramError::Body(0)));
    let longest = vec![NO_LEVEL; MAX_PAYLOAD_BYTES + 1];
    assert_eq!(
        MediaBody::decode(&longest, true).unwrap().payload.len(),
        MAX_PAYLOAD_BYTES
    );
    let over = vec![NO_LEVEL; MAX_PAYLOAD_BYTES + 2];
    assert_eq!(
        MediaBody::decode(&over, true),
        Err(DatagramError::Body(MAX_PAYLOAD_BYTES + 2))
    );
}

#[test]
fn a_picture_may_bring_a_descriptor_and_says_nothing_of_a_level() {
    let body = [encode_descriptor_len(3).unwrap(), 1, 2, 3, 9];
    let decoded = MediaBody::decode(&body, false).unwrap();
    assert_eq!(
        (decoded.level, decoded.descriptor, decoded.payload),
        (None, &[1, 2, 3][..], &[9][..])
    );
    let plain = [encode_descriptor_len(0).unwrap(), 9];
    let decoded = MediaBody::decode(&plain, false).unwrap();
    assert_eq!((decoded.descriptor, decoded.payload), (&[][..], &[9][..]));
    assert_eq!(MediaBody::decode(&body[..3], false), Err(DatagramError::Body(3)));
    assert_eq!(encode_descriptor_len(255), Err(DatagramError::Body(255)));
}

#[test]
fn nack_bodies_outside_their_bounds_are_refused() {
    for len in [0, 1, 3, 5, MAX_NACK_SEQS * 4 + 4] {
        assert_eq!(decode_nack(&vec![0; len]).err(), Some(DatagramError::Body(len)));
    }
}

#[test]
fn a_nack_takes_no_more_than_its_limit() {
    let seqs = vec![MediaSeq(1); MAX_NACK_SEQS + 1];
    assert_eq!(
        encode_nack(&header(), &seqs).len(),
        HEADER_BYTES + MAX_NACK_SEQS * 4
    );
}

#[test]
fn a_probe_carries_its_number_and_stamp() {
    let bytes = encode_probe(Kind::Ping, NodeId(9), 77, [1; 8]);
    let (header, body) = Header::decode(&bytes).unwrap();
    assert_eq!(
        (header.kind, header.origin, header.seq),
        (Kind::Ping, NodeId(9), MediaSeq(77))
    );
    assert_eq!(body, [1; 8]);
}

#[test]
fn an_allowance_says_how_many_layers_cross() {
    for largest in [None, Some(Layer(0)), Some(Layer(2))] {
        let bytes = encode_allowance(NodeId(9), TrackAlias(4), largest);
        let (header, body) = Header::decode(&bytes).unwrap();
        assert_eq!(
            (header.kind, header.origin, header.track),
            (Kind::Allowance, NodeId(9), TrackAlias(4))
        );
        assert_eq!(decode_allowance(body), Ok(largest));
    }
    assert_eq!(decode_allowance(&[200]), Ok(Some(Layer(2))));
    assert_eq!(decode_allowance(&[]), Err(DatagramError::Body(0)));
    assert_eq!(decode_allowance(&[1, 1]), Err(DatagramError::Body(2)));
}

#[test]
fn a_parity_names_its_datagrams_and_lies_are_refused() {
    let member = |seq, len| ParityMember {
        origin: NodeId(9),
        track: TrackAlias(4),
        seq: MediaSeq(seq),
        len,
    };
    let members = [member(1, 40), member(u32::MAX, 20)];
    let bytes = encode_parity(&members, &[7; 40]);
    let (_, body) = Header::decode(&bytes).unwrap();
    let (named, sum) = decode_parity(body).unwrap();
    assert_eq!((named.collect::<Vec<_>>(), sum), (members.to_vec(), &[7; 40][..]));
    let refused = |members: &[ParityMember], sum: &[u8]| {
        let bytes = encode_parity(members, sum);
        decode_parity(&bytes[HEADER_BYTES..]).is_err()
    };
    assert!(refused(&[], &[7; 40]), "of nothing");
    assert!(refused(&[member(1, 41)], &[7; 40]), "longer than the sum");
    assert!(refused(&[member(1, 19)], &[7; 40]), "shorter than a header");
    let mut many = body.to_vec();
    many[0] = MAX_PARITY_MEMBERS as u8 + 1;
    assert!(decode_parity(&many).is_err() && decode_parity(&[]).is_err());
    assert!(decode_parity(&[8, 0, 0]).is_err(), "cut off");
}
