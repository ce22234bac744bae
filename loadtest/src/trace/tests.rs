use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const CAMERAS: [TraceKind; 6] = [
    camera(Codec::Vp8, 0),
    camera(Codec::Vp8, 1),
    camera(Codec::Vp8, 2),
    camera(Codec::H264, 0),
    camera(Codec::H264, 1),
    camera(Codec::H264, 2),
];

const fn camera(codec: Codec, layer: u8) -> TraceKind {
    TraceKind::Camera { codec, layer }
}

fn all() -> impl Iterator<Item = TraceKind> {
    CAMERAS
        .into_iter()
        .chain([TraceKind::Screen, TraceKind::Speech, TraceKind::Silence])
}

const STAMP: Stamp = Stamp {
    sender: 70_000,
    source: 1,
    layer: 2,
    sequence: 12_345,
    sent_at_ns: 1_790_000_000_123_456_789,
};

#[test]
fn every_file_of_the_program_can_be_cut() {
    for kind in all() {
        let trace = Trace::of(kind);
        assert!(trace.frames()[0].keyframe, "{kind:?}");
        let seconds: u32 = trace.frames().iter().map(|frame| frame.duration_ticks).sum();
        if kind != TraceKind::Silence {
            assert_eq!(
                seconds,
                4 * trace.codec().clock_rate_hz(),
                "{kind:?} is four seconds long"
            );
        }
    }
}

#[test]
fn layers_share_their_frame_times_and_grow() {
    for codec in [Codec::Vp8, Codec::H264] {
        let layers: Vec<_> = (0..3).map(|layer| Trace::of(camera(codec, layer))).collect();
        assert!(
            layers
                .windows(2)
                .all(|pair| pair[0].frames().len() == pair[1].frames().len())
        );
        assert!(
            layers
                .windows(2)
                .all(|pair| pair[0].bit_rate_bps() * 2 < pair[1].bit_rate_bps())
        );
        assert_eq!(layers[2].size(), (1280, 720));
    }
}

#[test]
fn pictures_have_one_keyframe_and_equal_payloads() {
    for kind in CAMERAS.into_iter().chain([TraceKind::Screen]) {
        let trace = Trace::of(kind);
        let keyframes = trace.frames().iter().filter(|frame| frame.keyframe).count();
        assert_eq!(keyframes, 1, "{kind:?}");
        for frame in trace.frames() {
            let sizes: Vec<usize> = frame.packets.iter().map(|packet| packet.len()).collect();
            // The parameter sets of H.264 go before in a packet of their own.
            let skip = usize::from(trace.codec() == Codec::H264 && frame.keyframe);
            let (last, equal) = sizes[skip..].split_last().unwrap();
            assert!(equal.iter().all(|size| *size == equal[0]), "{kind:?}: {sizes:?}");
            assert!(sizes.iter().all(|size| *size <= MAX_PAYLOAD_BYTES));
            assert!(equal.is_empty() || *last <= equal[0]);
        }
    }
}

#[test]
fn the_stamp_is_in_the_last_packet_and_at_the_end_of_the_frame() {
    for kind in all() {
        let mut replay = Replay::new(kind);
        for _ in 0..Trace::of(kind).frames().len() {
            let played = replay.advance();
            let payloads: Vec<Vec<u8>> = (0..played.frame.packets.len())
                .map(|index| {
                    let mut payload = played.frame.packets[index].to_vec();
                    played.patch(index, &mut payload, &STAMP);
                    payload
                })
                .collect();
            let (last, before) = payloads.split_last().unwrap();
            assert_eq!(Stamp::read(last), Some(STAMP), "{kind:?}");
            assert!(before.iter().all(|payload| Stamp::read(payload).is_none()));
            let codec = Trace::of(kind).codec();
            assert_eq!(
                depacketise(codec, payloads.iter().map(Vec::as_slice)).and_then(|frame| Stamp::read(&frame)),
                Some(STAMP),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn what_begins_a_frame_is_seen_in_its_payload() {
    for kind in all() {
        let trace = Trace::of(kind);
        for frame in trace.frames() {
            let found: Vec<FrameStart> = frame
                .packets
                .iter()
                .map(|payload| inspect(trace.codec(), payload))
                .collect();
            assert!(found[0].frame_start, "{kind:?}");
            let keyframe = found.iter().any(|start| start.keyframe);
            assert_eq!(keyframe, frame.keyframe, "{kind:?}");
        }
    }
}

#[test]
fn descriptors_of_other_forms_are_understood() {
    let key = 0x10;
    let delta = 0x11;
    for (payload, keyframe) in [
        (&[0x10, key][..], true),
        (&[0x10, delta][..], false),
        (&[0x18, key], true),
        (&[0x90, 0x80, 0x05, key], true),
        (&[0x90, 0xe0, 0x80, 0x05, 0x07, 0x20, key], true),
        (&[0x90, 0xf0, 0x80, 0x05, 0x07, 0x20, delta], false),
    ] {
        let found = inspect(Codec::Vp8, payload);
        assert!(found.frame_start, "{payload:x?}");
        assert_eq!(found.keyframe, keyframe, "{payload:x?}");
    }
    assert!(!inspect(Codec::Vp8, &[0x80, 0x80, 0x05, key]).frame_start);
    assert!(
        !inspect(Codec::Vp8, &[0x11, key]).frame_start,
        "another partition"
    );
}

#[test]
fn forms_of_h264_of_other_senders_are_understood() {
    let found = |payload: &[u8]| {
        let found = inspect(Codec::H264, payload);
        (found.frame_start, found.keyframe)
    };
    let (first, later) = (0x88, 0x40);
    assert_eq!(found(&[0x65, first]), (true, true));
    assert_eq!(found(&[0x41, 0x9a]), (true, false));
    assert_eq!(
        found(&[0x65, later]),
        (false, false),
        "the second slice of a picture"
    );
    assert_eq!(found(&[0x7c, 0x85, first]), (true, true));
    assert_eq!(found(&[0x7c, 0x85, later]), (false, false));
    assert_eq!(
        found(&[0x7c, 0x05, first]),
        (false, false),
        "the middle of a slice"
    );
    assert_eq!(found(&[0x09, 0x10]), (true, false), "a delimiter");
    assert_eq!(found(&[0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 0x42]), (true, true));
    assert_eq!(found(&[0x78, 0, 2, 0x0c, 0x80]), (false, false), "filler");
    assert_eq!(found(&[0x78, 0, 9, 0x67, 0x42]), (false, false), "cut off");
}

#[test]
fn frames_that_cannot_be_packets_are_refused() {
    assert!(packets::cut(Codec::Vp8, &vec![0; 400_000]).is_err());
    let unit = |parameters: usize, slice: usize| {
        let mut unit = [&[0, 0, 1, 0x67][..], &vec![0xff; parameters]].concat();
        unit.extend_from_slice(&[0, 0, 1, 0x65]);
        unit.resize(unit.len() + slice, 0xff);
        packets::cut(Codec::H264, &unit)
    };
    assert!(unit(10, 200_000).is_ok());
    assert!(unit(10, 400_000).is_err());
    assert!(unit(2_000, 100).is_err());
    let mut fast = write_ivf(Trace::of(camera(Codec::Vp8, 0)), &[vec![0; 10]]);
    fast[16..20].copy_from_slice(&100_000_u32.to_le_bytes());
    assert!(matches!(Trace::parse(&fast), Err(TraceError::Container(_))));
}

#[test]
fn times_and_pictures_go_on_across_the_seam_and_a_restart() {
    let now = Instant::now();
    let mut replay = Replay::new(camera(Codec::Vp8, 0));
    let mut expected = 0;
    for step in 0..250 {
        if step == 130 {
            replay.restart_at_keyframe(now);
            replay.restart_at_keyframe(now);
        }
        let played = replay.advance();
        assert_eq!(played.time, expected);
        assert_eq!(
            played.frame.keyframe,
            step == 0 || step == 100 || step == 130 || step == 230
        );
        assert_eq!(played.duration(), Duration::from_millis(40));
        let mut payload = played.frame.packets[0].to_vec();
        played.patch(0, &mut payload, &STAMP);
        assert_eq!(u16::from_be_bytes([payload[2], payload[3]]), 0x8000 | step);
        expected += 3_600;
    }
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_no_start(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Trace::parse(&bytes);
        for codec in [Codec::Vp8, Codec::H264, Codec::Opus] {
            let _ = inspect(codec, &bytes);
            let _ = packets::cut(codec, &bytes);
            let _ = depacketise(codec, [&bytes[..]]);
        }
    }

    #[test]
    fn any_size_of_slice_is_cut_into_equal_payloads(size in 1_usize..20_000) {
        let slice = [&[0x61][..], &vec![0xff; size]].concat();
        let (payloads, _) = packets::cut(Codec::H264, &[&[0, 0, 0, 1], &slice[..]].concat()).unwrap();
        let (last, equal) = payloads.split_last().unwrap();
        prop_assert!(equal.iter().all(|payload| payload.len() == equal[0].len()));
        prop_assert!(equal.is_empty() || last.len() <= equal[0].len());
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        let unit = depacketise(Codec::H264, payloads.iter().map(|payload| &payload[..])).unwrap();
        let (got, behind) = unit[4..].split_at(slice.len());
        prop_assert_eq!(got, &slice[..]);
        let filler = [&[0, 0, 0, 1, 0x0c][..], &[0x80; Stamp::LEN]].concat();
        let (zeros, got) = behind.split_at(behind.len() - filler.len());
        prop_assert_eq!(got, filler);
        prop_assert!(zeros.iter().all(|byte| *byte == 0) && zeros.len() < payloads.len());
    }

    #[test]
    fn any_size_of_picture_is_cut_into_equal_payloads(size in 1_usize..250_000) {
        let frame = vec![0; size];
        let (payloads, _) = packets::cut(Codec::Vp8, &frame).unwrap();
        let (last, equal) = payloads.split_last().unwrap();
        prop_assert!(equal.iter().all(|payload| payload.len() == equal[0].len()));
        prop_assert!(last.len() >= Stamp::LEN + 4, "the stamp is not cut");
        prop_assert!(equal.is_empty() || last.len() <= equal[0].len());
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        let bytes: usize = payloads.iter().map(|payload| payload.len() - 4).sum();
        prop_assert_eq!(bytes, size + Stamp::LEN);
    }
}
