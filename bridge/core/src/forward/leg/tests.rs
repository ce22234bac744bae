mod svc;

use super::*;
use crate::forward::packet::NUMBERED_HEADER_BYTES;
use crate::forward::track::{Incoming, Source, Track, TrackIdentity};
use relay_proto::id::{NodeId, TrackAlias};
use std::time::Duration;

/// Seals nothing, but adds a tag of four bytes that repeats the packet's index; numbers from 1.
#[derive(Default)]
struct PlainSeal {
    numbered: u16,
}

impl SealRtp for PlainSeal {
    fn tag_bytes(&self) -> usize {
        4
    }

    fn transport_cc(&self) -> Option<u8> {
        Some(3)
    }

    fn number(&mut self, _: usize) -> u16 {
        self.numbered += 1;
        self.numbered
    }

    fn pass(&mut self, _: usize) {}

    fn seal_rtp(&mut self, packet: &mut [u8], _: usize, len: usize, _: u32, index: u64) -> usize {
        packet[len..len + 4].copy_from_slice(&(index as u32).to_be_bytes());
        len + 4
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    seq: u16,
    marker: bool,
    time: u32,
    /// Header extensions.
    extensions: Vec<u8>,
    payload: Vec<u8>,
}

/// Length of a header with its extensions.
fn header_bytes(packet: &[u8]) -> usize {
    let words = u16::from_be_bytes([packet[14], packet[15]]);
    let extended = packet[0] & 0x10 != 0;
    if extended { 16 + 4 * usize::from(words) } else { 12 }
}

fn track(codec: Codec) -> Track {
    let identity = TrackIdentity {
        sid: "TR_a".into(),
        alias: TrackAlias(1),
        origin: NodeId(1),
        room: 0,
        participant: "PA_a".into(),
        stream_id: String::new(),
        codec,
        picture: crate::forward::track::Picture::default(),
        redundant: true,
    };
    let mut track = Track::new(
        identity,
        Source::Local {
            session: 0,
            uplink: 0,
        },
        false,
    );
    let parameters = LegParameters {
        red: None,
        descriptor: None,
        pt: 96,
        ssrc: 7,
        rtx: Some((97, 8)),
    };
    track.legs.push(Leg::new(
        5,
        "TR_a".into(),
        codec,
        parameters,
        LayerChoice::new(Layer(2)),
    ));
    track
}

fn feed(track: &mut Track, now: Instant, layer: u8, seq: u32, time: u32, keyframe: bool, payload: &[u8]) {
    let meta = PacketMeta {
        seq: MediaSeq(seq),
        time: RtpTime(time),
        marker: false,
        keyframe,
        level: 0xff,
        position: crate::forward::svc::SvcPosition::default(),
    };
    assert!(
        track.ingest(
            now,
            Incoming {
                layer: Layer(layer),
                meta,
                descriptor: &[],
                payload
            }
        ),
        "packet {seq} refused"
    );
}

/// Everything the leg sends for the current batch, packet by packet, with the padding removed.
fn drain(track: &mut Track, now: Instant) -> Vec<Packet> {
    let mut packets = Vec::new();
    let (mut next, mut buf) = (0, Vec::new());
    let Track {
        legs, layers, fresh, ..
    } = track;
    while let Some(segment) =
        legs[0].write_batch(now, layers, fresh, &mut next, &mut PlainSeal::default(), &mut buf)
    {
        for bytes in buf.chunks(segment) {
            let end = bytes.len() - 4;
            let padding = if bytes[0] & 0x20 != 0 {
                usize::from(bytes[end - 1])
            } else {
                0
            };
            packets.push(Packet {
                seq: u16::from_be_bytes([bytes[2], bytes[3]]),
                marker: bytes[1] & 0x80 != 0,
                time: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                extensions: bytes[12..header_bytes(bytes)].to_vec(),
                payload: bytes[header_bytes(bytes)..end - padding].to_vec(),
            });
        }
    }
    track.fresh.clear();
    packets
}

#[test]
fn a_viewer_gets_every_packet_once_and_in_its_own_numbers() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::Opus);
    for seq in 500..510 {
        feed(&mut track, now, 0, seq, seq * 960, true, &[seq as u8; 80]);
    }
    let packets = drain(&mut track, now);
    assert_eq!(
        packets.iter().map(|packet| packet.seq).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
    assert_eq!(packets[9].payload, [509_u32 as u8; 80]);
    assert!(drain(&mut track, now).is_empty());
}

#[test]
fn packets_of_one_frame_leave_as_equal_segments_whatever_a_byte_more_or_less() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    for (seq, len) in [1_100, 1_101, 1_100, 1_101, 600].into_iter().enumerate() {
        feed(
            &mut track,
            now,
            0,
            100 + seq as u32,
            9_000,
            seq == 0,
            &vec![7; len],
        );
    }
    let (mut next, mut buf) = (0, Vec::new());
    let Track {
        legs, layers, fresh, ..
    } = &mut track;
    let segment = legs[0]
        .write_batch(now, layers, fresh, &mut next, &mut PlainSeal::default(), &mut buf)
        .unwrap();
    assert_eq!(segment, NUMBERED_HEADER_BYTES + 1_101 + 4);
    assert_eq!(next, 5, "one send for the whole frame");
    assert_eq!(buf.len(), 4 * segment + NUMBERED_HEADER_BYTES + 600 + 4);
}

#[test]
fn a_layer_switch_continues_numbers_and_time() {
    let mut now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    feed(&mut track, now, 0, 10, 1_000, true, b"small");
    assert_eq!(drain(&mut track, now).len(), 1);
    now += Duration::from_millis(100);
    feed(&mut track, now, 2, 7_000, 900_000, false, b"large delta");
    assert!(
        drain(&mut track, now).is_empty(),
        "no large picture before its keyframe"
    );
    feed(&mut track, now, 2, 7_001, 900_000, true, b"large key");
    let packets = drain(&mut track, now);
    assert_eq!((packets[0].seq, packets[0].time), (2, 1_000 + 9_000));
    feed(&mut track, now, 0, 11, 10_000, false, b"small again");
    assert!(
        drain(&mut track, now).is_empty(),
        "the small layer has ended for this viewer"
    );
}

#[test]
fn sender_reports_relate_layers_exactly() {
    let mut now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    track.layers[0].clock = Some(Clock {
        ntp: 100 << 32,
        time: RtpTime(1_000),
    });
    track.layers[2].clock = Some(Clock {
        ntp: 101 << 32,
        time: RtpTime(500_000),
    });
    feed(&mut track, now, 0, 10, 1_000, true, b"small");
    drain(&mut track, now);
    now += Duration::from_millis(900);
    feed(&mut track, now, 2, 50, 500_000, true, b"one second later");
    assert_eq!(drain(&mut track, now)[0].time, 1_000 + 90_000);
}

#[test]
fn a_lost_packet_is_found_in_any_layer_it_was_sent_from() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    feed(&mut track, now, 0, 10, 0, true, b"first");
    drain(&mut track, now);
    feed(&mut track, now, 1, 90, 0, true, b"second");
    feed(&mut track, now, 1, 91, 0, false, b"third");
    drain(&mut track, now);
    let mut repair = |seq| {
        let mut buf = Vec::new();
        let Track { legs, layers, .. } = &mut track;
        legs[0]
            .write_retransmission(layers, seq, &mut PlainSeal::default(), &mut buf)
            .then_some(buf)
    };
    let sent = repair(1).unwrap();
    assert_eq!(sent[1] & 0x7f, 97);
    let (number, payload) = (NUMBERED_HEADER_BYTES, NUMBERED_HEADER_BYTES + 2);
    assert_eq!(&sent[number..payload], &1_u16.to_be_bytes());
    assert_eq!(&sent[payload..payload + 5], b"first");
    assert_eq!(&repair(3).unwrap()[payload..payload + 5], b"third");
    assert!(repair(4).is_none());
    assert!(repair(40_000).is_none());
}

#[test]
fn numbers_of_the_transport_go_on_from_packet_to_padding() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    feed(&mut track, now, 0, 10, 0, true, b"first");
    let Track {
        legs, layers, fresh, ..
    } = &mut track;
    let (mut seal, mut buf, mut padding) = (PlainSeal::default(), Vec::new(), Vec::new());
    let number = |bytes: &[u8]| {
        assert_eq!(
            (bytes[0] & 0x10, &bytes[12..17]),
            (0x10, &[0xbe, 0xde, 0, 1, 0x31][..])
        );
        u16::from_be_bytes([bytes[17], bytes[18]])
    };
    assert!(
        legs[0]
            .write_batch(now, layers, fresh, &mut 0, &mut seal, &mut buf)
            .is_some()
    );
    assert_eq!(number(&buf), 1);
    let segment = legs[0].write_padding(600, &mut seal, &mut padding).unwrap();
    let packets: Vec<&[u8]> = padding.chunks(segment).collect();
    assert_eq!(
        packets.iter().map(|packet| number(packet)).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    for packet in packets {
        assert_eq!(
            (packet[0] & 0x20, packet[1] & 0x7f),
            (0x20, 97),
            "an empty retransmission"
        );
        let padding = usize::from(packet[packet.len() - 5]);
        assert_eq!(packet.len(), 20 + padding + 4, "nothing but padding");
        assert_eq!(packet.len(), 200, "no more of it than was asked for");
    }
}

#[test]
fn a_late_packet_takes_the_number_that_was_kept_for_it() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    feed(&mut track, now, 0, 10, 0, true, b"a");
    feed(&mut track, now, 0, 12, 0, false, b"c");
    assert_eq!(drain(&mut track, now).last().unwrap().seq, 3);
    feed(&mut track, now, 0, 11, 0, false, b"b");
    assert_eq!(drain(&mut track, now)[0].seq, 2);
}

#[test]
fn a_packet_from_before_the_viewer_is_not_sent() {
    let now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    feed(&mut track, now, 0, 10, 0, true, b"a");
    drain(&mut track, now);
    feed(&mut track, now, 0, 9, 0, false, b"before");
    assert!(drain(&mut track, now).is_empty());
}

#[test]
fn an_index_is_never_used_for_two_packets() {
    // The seal's nonce is the index: over any mix of layers, lateness and switches it may serve one packet only.
    let mut now = crate::rtc::testing::instant();
    let mut track = track(Codec::H264);
    let mut used = std::collections::BTreeMap::new();
    let mut random = 1_u32;
    let mut next = [100_u32, 200, 300];
    for _ in 0..5_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let layer = (random >> 8) as usize % 3;
        let skip = u32::from(random.is_multiple_of(17));
        next[layer] += 1 + skip;
        now += Duration::from_millis(u64::from(random >> 28) * 40);
        let (seq, payload) = (
            next[layer],
            [layer as u8, (next[layer] >> 8) as u8, next[layer] as u8],
        );
        feed(
            &mut track,
            now,
            layer as u8,
            seq,
            random,
            random.is_multiple_of(5),
            &payload,
        );
        if skip == 1 {
            let late = [layer as u8, ((seq - 1) >> 8) as u8, (seq - 1) as u8];
            feed(&mut track, now, layer as u8, seq - 1, random, false, &late);
        }
        track.retarget(now);
        for packet in drain(&mut track, now) {
            let before = used.insert(packet.seq, packet.payload.clone());
            assert!(
                before.is_none_or(|before| before == packet.payload),
                "index {} twice",
                packet.seq
            );
        }
    }
    assert!(used.len() > 1_000);
}

/// A leg of sound whose viewer takes redundant packets (payload type 63).
fn voice() -> Track {
    let mut track = track(Codec::Opus);
    let parameters = LegParameters {
        pt: 111,
        ssrc: 7,
        rtx: None,
        descriptor: None,
        red: Some(63),
    };
    let choice = LayerChoice::new(Layer(0));
    track.legs = vec![Leg::new(5, "TR_a".into(), Codec::Opus, parameters, choice)];
    track
}

/// Feeds one packet and returns what the viewer is sent, sealed.
fn say(track: &mut Track, seq: u32) -> Vec<u8> {
    let now = crate::rtc::testing::instant();
    feed(track, now, 0, seq, seq * 960, true, &[seq as u8; 3]);
    let (mut next, mut buf) = (0, Vec::new());
    let Track {
        legs, layers, fresh, ..
    } = track;
    let segment = legs[0].write_batch(now, layers, fresh, &mut next, &mut PlainSeal::default(), &mut buf);
    assert_eq!(segment, Some(buf.len()), "one packet");
    track.fresh.clear();
    buf
}

/// The frames of a packet, its own first; their payloads are their numbers.
fn frames(packet: &[u8]) -> Vec<u8> {
    let payload = &packet[12..packet.len() - 4];
    match packet[1] & 0x7f {
        63 => {
            let (earlier, own) = red::read(payload, 111).expect("well-formed");
            let repeated = earlier.blocks().iter().map(|block| block.payload[0]);
            std::iter::once(own[0]).chain(repeated).collect()
        }
        111 => vec![payload[0]],
        pt => panic!("payload type {pt}"),
    }
}

#[test]
fn a_packet_repeats_what_had_come_before_it() {
    let mut track = voice();
    assert_eq!(frames(&say(&mut track, 100)), [100]);
    track.legs[0].repeat_earlier(9);
    let sent = |track: &mut Track, seq| frames(&say(track, seq));
    assert_eq!(sent(&mut track, 101), [101, 100]);
    assert_eq!(sent(&mut track, 102), [102, 101, 100]);
    assert_eq!(sent(&mut track, 104), [104], "103 is missing");
    assert_eq!(sent(&mut track, 103), [103, 102, 101], "late");
    assert_eq!(sent(&mut track, 105), [105, 104, 103]);
    track.legs[0].repeat_earlier(0);
    assert_eq!(sent(&mut track, 106), [106]);
}

/// A repair has the number of the original, and so its nonce: any other byte would give the key away.
#[test]
fn a_repair_of_redundant_sound_is_the_same_packet() {
    let mut track = voice();
    let mut sent = Vec::new();
    for (at, seq) in [100, 101, 102, 104, 103, 105, 106, 107, 108, 109]
        .into_iter()
        .enumerate()
    {
        match at {
            2 => track.legs[0].repeat_earlier(2),
            6 => track.legs[0].repeat_earlier(0),
            _ => {}
        }
        sent.push(say(&mut track, seq));
    }
    let again = |track: &mut Track, original: &[u8]| {
        let Track { legs, layers, .. } = track;
        let seq = u16::from_be_bytes([original[2], original[3]]);
        let mut repair = Vec::new();
        legs[0]
            .write_retransmission(layers, seq, &mut PlainSeal::default(), &mut repair)
            .then_some(repair)
    };
    for original in &sent[2..] {
        assert_eq!(again(&mut track, original).as_ref(), Some(original));
    }
    assert_eq!(
        again(&mut track, &sent[1]),
        None,
        "only the last depth is remembered"
    );
    track.legs[0].repeat_earlier(2);
    assert_eq!(again(&mut track, &sent[2]), None);
    assert_eq!(again(&mut track, &sent[9]).as_ref(), Some(&sent[9]));
    // What a packet repeats must be held as long as it is itself.
    for seq in 110..232 {
        say(&mut track, seq);
    }
    assert_eq!(again(&mut track, &sent[5]), None);
}
