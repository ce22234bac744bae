use super::*;

const RATE: u64 = 40_000_000;

fn datagram(lane: Lane, number: u32) -> Bytes {
    let mut bytes = vec![0; if lane == Lane::Video { 1_100 } else { 180 }];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Bytes::from(bytes)
}

fn number(datagram: &Bytes) -> u32 {
    u32::from_be_bytes(datagram[..4].try_into().unwrap())
}

#[test]
fn audio_is_never_behind_video_and_probes_are_never_behind_audio() {
    let now = Instant::now();
    let mut lanes = Lanes::default();
    for n in 0..50 {
        lanes.push(now, Lane::Video, RATE, datagram(Lane::Video, n));
        lanes.push(now, Lane::Audio, RATE, datagram(Lane::Audio, 1_000 + n));
    }
    lanes.push(now, Lane::Probe, RATE, datagram(Lane::Probe, 9_999));
    let order: Vec<u32> = std::iter::from_fn(|| lanes.pop())
        .map(|departing| departing.bytes)
        .map(|bytes| number(&bytes))
        .collect();
    let expected: Vec<u32> = std::iter::once(9_999).chain(1_000..1_050).chain(0..50).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_full_video_lane_loses_its_oldest_and_counts_it() {
    let mut lanes = Lanes::default();
    let now = Instant::now();
    for n in 0..2_000 {
        lanes.push(now, Lane::Video, RATE, datagram(Lane::Video, n));
    }
    let kept: Vec<u32> = std::iter::from_fn(|| lanes.pop())
        .map(|departing| departing.bytes)
        .map(|bytes| number(&bytes))
        .collect();
    let most = 1_250_000 / 1_100;
    assert_eq!(kept, ((2_000 - most)..2_000).collect::<Vec<_>>());
    assert_eq!(
        lanes.dropped(),
        Dropped {
            video: u64::from(2_000 - most),
            ..Dropped::default()
        }
    );
}

#[test]
fn where_it_is_known_what_waits_the_largest_layer_ends_and_nothing_else_is_lost() {
    let mut lanes = Lanes::default();
    let now = Instant::now();
    let picture = |track: u32, layer: u8, seq: u32| {
        let mut header = Header::media(
            relay_proto::id::NodeId(1),
            relay_proto::id::TrackAlias(track),
            Layer(layer),
            relay_proto::unit::MediaSeq(seq),
            relay_proto::unit::RtpTime(seq),
        );
        header.keyframe = seq == 0;
        let mut bytes = header.encode().to_vec();
        bytes.resize(1_100, 0);
        Bytes::from(bytes)
    };
    // Less than the least that a lane holds, but for the last packets.
    for seq in 0..25 {
        lanes.push_picture(now, Class::Screen, 1_000_000, picture(1, 2, seq));
        lanes.push_picture(now, Class::Other, 1_000_000, picture(2, 0, seq));
        lanes.push_picture(now, Class::Other, 1_000_000, picture(2, 1, seq));
    }
    let mut left = BTreeMap::new();
    while let Some(Departing { bytes: datagram, .. }) = lanes.pop() {
        let (header, _) = Header::decode(&datagram).unwrap();
        *left.entry((header.track.0, header.layer.0)).or_insert(0) += 1;
    }
    assert_eq!(left, BTreeMap::from([((1, 2), 25), ((2, 0), 25)]));
    assert!(lanes.dropped().video > 15, "{:?}", lanes.dropped());
    assert_eq!(lanes.allocator().totals().tracks, 1);
}

#[test]
fn a_slow_link_still_holds_a_large_frame() {
    let mut lanes = Lanes::default();
    for n in 0..50 {
        lanes.push(Instant::now(), Lane::Video, 1_000_000, datagram(Lane::Video, n));
    }
    assert_eq!(lanes.dropped().total(), 0);
}

#[test]
fn audio_that_waited_too_long_is_dropped() {
    let mut lanes = Lanes::default();
    let now = Instant::now();
    lanes.push(now, Lane::Audio, RATE, datagram(Lane::Audio, 1));
    lanes.push(
        now + Duration::from_millis(150),
        Lane::Audio,
        RATE,
        datagram(Lane::Audio, 2),
    );
    lanes.expire(now + Duration::from_millis(250));
    assert_eq!(lanes.pop().map(|departing| number(&departing.bytes)), Some(2));
    assert_eq!(lanes.dropped().audio, 1);
}

#[test]
fn every_lane_is_bounded() {
    let mut lanes = Lanes::default();
    let now = Instant::now();
    for n in 0..20_000 {
        for lane in [Lane::Probe, Lane::Audio, Lane::Video] {
            lanes.push(now, lane, RATE, datagram(lane, n));
        }
    }
    let mut bytes = 0;
    while let Some(Departing { bytes: datagram, .. }) = lanes.pop() {
        bytes += datagram.len();
    }
    assert!(
        bytes < MAX_AUDIO_BYTES + 1_250_000 + MAX_PROBES * 200 + 4_000,
        "{bytes}"
    );
    assert_eq!(lanes.next(), None);
}
