use super::*;
use crate::forward::cache::PacketMeta;
use crate::forward::track::{Clock, TrackIdentity};
use bytes::Bytes;
use relay_proto::datagram::Header;
use relay_proto::id::{Epoch, Layer, NodeId, TrackAlias};
use relay_proto::room::{Codec, SealKey};
use relay_proto::seal::Seal;
use relay_proto::unit::{MediaSeq, RtpTime};

const KEY: SealKey = SealKey([9; 32]);

fn identity() -> TrackIdentity {
    TrackIdentity {
        sid: "TR_a".into(),
        alias: TrackAlias(4),
        origin: NodeId(2),
        room: 0,
        participant: "PA_a".into(),
        stream_id: String::new(),
        codec: Codec::Vp8,
        picture: crate::forward::track::Picture::default(),
        redundant: false,
    }
}

fn meta(seq: u32) -> PacketMeta {
    PacketMeta {
        seq: MediaSeq(seq),
        time: RtpTime(8),
        marker: true,
        keyframe: true,
        level: 0xff,
        position: crate::forward::svc::SvcPosition::default(),
    }
}

fn datagram(seq: u32, payload: &[u8]) -> Bytes {
    egress::media_datagram(
        &identity(),
        Epoch(300),
        Layer(1),
        &meta(seq),
        (&[], payload),
        &Seal::new(&KEY),
    )
}

fn origin() -> ingress::Origin {
    ingress::Origin::new(Epoch(300), Seal::new(&KEY))
}

fn header_of(bytes: &[u8]) -> Header {
    Header::decode(bytes).unwrap().0
}

fn receive(
    origin: &mut ingress::Origin,
    bytes: &[u8],
) -> Result<Option<(PacketMeta, Vec<u8>)>, ingress::IngressError> {
    let mut bytes = bytes.to_vec();
    let mut joined = Vec::new();
    let header = header_of(&bytes);
    let Some(body) = origin.open(&header, &mut bytes, &mut joined)? else {
        return Ok(None);
    };
    let (incoming, _) = ingress::packet(&header, body)?;
    Ok(Some((incoming.meta, incoming.payload.to_vec())))
}

#[test]
fn a_packet_crosses_a_link_unchanged() {
    let (received, payload) = receive(&mut origin(), &datagram(70_000, b"picture"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (received, payload.as_slice()),
        (meta(70_000), b"picture".as_slice())
    );
}

#[test]
fn a_dependency_descriptor_crosses_with_its_packet_and_in_a_repair_again() {
    let seal = Seal::new(&KEY);
    let packet = || {
        let parts: (&[u8], &[u8]) = (&[0xc4, 1, 2], b"frame");
        egress::media_datagram(&identity(), Epoch(300), Layer(0), &meta(9), parts, &seal)
    };
    let mut bytes = packet().to_vec();
    assert_eq!(bytes, packet());
    let header = header_of(&bytes);
    let (mut origin, mut joined) = (origin(), Vec::new());
    let body = origin.open(&header, &mut bytes, &mut joined).unwrap().unwrap();
    let (incoming, media) = ingress::packet(&header, body).unwrap();
    assert_eq!(
        (incoming.descriptor, incoming.payload),
        (&[0xc4, 1, 2][..], &b"frame"[..])
    );
    assert_eq!(media.level, None);
}

#[test]
fn a_packet_too_large_for_the_path_crosses_in_two_pieces_in_any_order() {
    let payload = vec![5; 1_200];
    let whole = datagram(1, &payload);
    let (first, second) = egress::fit(whole.clone(), 900);
    let second = second.unwrap();
    assert!(first.len() <= 900 && second.len() <= 900);
    for order in [[&first, &second], [&second, &first]] {
        let mut origin = origin();
        assert_eq!(receive(&mut origin, order[0]), Ok(None));
        assert_eq!(receive(&mut origin, order[1]).unwrap().unwrap().1, payload);
    }
    assert_eq!(egress::fit(whole.clone(), 1_400), (whole, None));
}

#[test]
fn half_packets_without_their_other_half_are_bounded() {
    let mut origin = origin();
    for seq in 0..10_000 {
        let (first, _) = egress::fit(datagram(seq, &[1; 1_000]), 600);
        assert_eq!(receive(&mut origin, &first), Ok(None));
    }
    let (_, second) = egress::fit(datagram(0, &[1; 1_000]), 600);
    assert_eq!(
        receive(&mut origin, &second.unwrap()),
        Ok(None),
        "the oldest halves are gone"
    );
}

#[test]
fn a_datagram_of_an_older_epoch_is_dropped() {
    let mut newer = ingress::Origin::new(Epoch(301), Seal::new(&KEY));
    assert_eq!(
        receive(&mut newer, &datagram(1, b"late")),
        Err(ingress::IngressError::Stale)
    );
}

#[test]
fn an_epoch_that_looks_alike_is_stopped_by_its_seal() {
    let mut far = ingress::Origin::new(Epoch(300 + 256), Seal::new(&SealKey([1; 32])));
    assert!(matches!(
        receive(&mut far, &datagram(1, b"late")),
        Err(ingress::IngressError::Seal(_))
    ));
}

#[test]
fn a_repair_is_byte_for_byte_the_original() {
    assert_eq!(datagram(5, b"again"), datagram(5, b"again"));
}

#[test]
fn a_sender_report_crosses_a_link_sealed() {
    let clock = Clock {
        ntp: 0x0123_4567_89ab_cdef,
        time: RtpTime(77),
    };
    let datagram = egress::clock_datagram(&identity(), Epoch(300), Layer(0), clock, 1, &Seal::new(&KEY));
    assert!(
        !datagram
            .windows(8)
            .any(|window| window == clock.ntp.to_be_bytes())
    );
    let mut bytes = datagram.to_vec();
    let header = Header::decode(&bytes).unwrap().0;
    let body = origin()
        .open(&header, &mut bytes, &mut Vec::new())
        .unwrap()
        .unwrap()
        .to_vec();
    assert_eq!(
        (body.as_slice(), header.time),
        (clock.ntp.to_be_bytes().as_slice(), clock.time)
    );
}
