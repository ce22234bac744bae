use super::*;
use crate::forward::cache::PacketMeta;
use crate::forward::layer::LayerChoice;
use crate::forward::leg::{Leg, LegParameters};
use crate::forward::packet::SealRtp;
use crate::forward::track::{Incoming, Picture, Source, TrackIdentity};
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::room::Codec;
use relay_proto::unit::RtpTime;

const LAYER: Layer = Layer(0);
const FRAME: Duration = Duration::from_millis(20);

/// Seals nothing.
struct Plain;

impl SealRtp for Plain {
    fn tag_bytes(&self) -> usize {
        0
    }

    fn transport_cc(&self) -> Option<u8> {
        None
    }

    fn number(&mut self, _: usize) -> u16 {
        0
    }

    fn pass(&mut self, _: usize) {}

    fn seal_rtp(&mut self, _: &mut [u8], _: usize, len: usize, _: u32, _: u64) -> usize {
        len
    }
}

/// A voice with one viewer, 20 ms a packet.
struct Voice {
    track: Track,
    now: Instant,
    seq: u32,
    /// Number and time of what the viewer got.
    got: Vec<(u16, u32)>,
}

impl Voice {
    fn of(source: Source) -> Self {
        let identity = TrackIdentity {
            sid: "TR_voice".into(),
            alias: TrackAlias(1),
            origin: NodeId(1),
            room: 0,
            participant: "PA_a".into(),
            stream_id: String::new(),
            codec: Codec::Opus,
            picture: Picture::default(),
            redundant: true,
        };
        let mut track = Track::new(identity, source, false);
        let parameters = LegParameters {
            descriptor: None,
            pt: 111,
            ssrc: 7,
            rtx: None,
            red: None,
        };
        let choice = LayerChoice::new(LAYER);
        track
            .legs
            .push(Leg::new(0, "TR_voice".into(), Codec::Opus, parameters, choice));
        let now = crate::rtc::testing::instant();
        track.retarget(now);
        Self {
            track,
            now,
            seq: 1_000,
            got: Vec::new(),
        }
    }

    fn local() -> Self {
        Self::of(Source::Local {
            session: 0,
            uplink: 0,
        })
    }

    fn take_in(&mut self) -> MediaSeq {
        self.take_in_from(false, false)
    }

    fn take_in_from(&mut self, link: bool, marker: bool) -> MediaSeq {
        self.seq += 1;
        self.now += FRAME;
        let meta = PacketMeta {
            position: crate::forward::svc::SvcPosition::default(),
            seq: MediaSeq(self.seq),
            time: RtpTime(self.seq * 960),
            marker,
            keyframe: true,
            level: 0xff,
        };
        let incoming = Incoming {
            descriptor: &[],
            layer: LAYER,
            meta,
            payload: b"voice",
        };
        if link {
            self.track.look_for_pause(self.now, &incoming);
        }
        assert!(self.track.ingest(self.now, incoming));
        meta.seq
    }

    fn lose(&mut self) {
        self.seq += 1;
        self.now += FRAME;
    }

    fn forward(&mut self) {
        self.take_in();
        self.write();
    }

    fn withhold(&mut self) {
        self.take_in();
        self.track.withhold();
        self.write();
    }

    /// The first number that goes along.
    fn begin(&mut self, before: Option<u32>) -> u32 {
        let seq = self.take_in();
        let first = self.track.lead_in(self.now, LAYER, seq, before.map(MediaSeq));
        self.write();
        first.0
    }

    fn write(&mut self) {
        let mut next = 0;
        let mut buf = Vec::new();
        let leg = &mut self.track.legs[0];
        let (layers, fresh) = (&self.track.layers, &self.track.fresh);
        while let Some(segment) = leg.write_batch(self.now, layers, fresh, &mut next, &mut Plain, &mut buf) {
            for packet in buf.chunks(segment) {
                let seq = u16::from_be_bytes([packet[2], packet[3]]);
                let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
                self.got.push((seq, time));
            }
        }
        self.track.fresh.clear();
    }

    /// Numbers without a hole; the time of the publisher.
    fn assert_whole(&self, seqs: impl IntoIterator<Item = u32>) {
        let times: Vec<u32> = self.got.iter().map(|(_, time)| *time).collect();
        let expected: Vec<u32> = seqs.into_iter().map(|seq| seq * 960).collect();
        assert_eq!(times, expected);
        for pair in self.got.windows(2) {
            assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "{:?}", self.got);
        }
    }
}

#[test]
fn a_sound_begins_with_the_tenth_of_a_second_before_and_leaves_no_hole_in_the_numbers() {
    let mut voice = Voice::local();
    for _ in 0..10 {
        voice.forward();
    }
    for _ in 0..100 {
        voice.withhold();
    }
    assert_eq!(voice.begin(Some(1_010)), 1_106);
    voice.forward();
    voice.assert_whole((1_001..=1_010).chain(1_106..=1_112));
    assert_eq!(voice.track.legs[0].unsent(), 0);
}

#[test]
fn a_sound_that_was_never_forwarded_begins_with_it_too() {
    let mut voice = Voice::local();
    for _ in 0..3 {
        voice.withhold();
    }
    assert_eq!(voice.begin(None), 1_001);
    voice.assert_whole(1_001..=1_004);
}

#[test]
fn what_was_withheld_for_a_moment_is_sent_in_full_so_that_a_link_has_no_gap() {
    let mut voice = Voice::local();
    voice.forward();
    for _ in 0..12 {
        voice.withhold();
    }
    assert_eq!(voice.begin(Some(1_001)), 1_002);
    voice.assert_whole(1_001..=1_014);
}

#[test]
fn a_packet_lost_on_the_way_here_is_a_hole_that_can_be_filled() {
    let mut voice = Voice::local();
    voice.forward();
    for _ in 0..100 {
        voice.withhold();
    }
    voice.lose();
    assert_eq!(voice.begin(Some(1_001)), 1_098);
    let numbers: Vec<u16> = voice.got.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 7]);
}

#[test]
fn a_publisher_whose_time_stands_still_gets_no_more_than_so_many_packets_in_front() {
    let mut voice = Voice::local();
    for _ in 0..100 {
        voice.withhold();
    }
    for seq in 1_001..=1_100 {
        assert!(voice.track.layers[0].packet(MediaSeq(seq)).is_some());
    }
    // As if all were of the same moment: the span is no bound, the number is.
    let first = voice
        .track
        .earliest_within(LAYER, MediaSeq(1_100), Duration::from_secs(60), 0);
    assert_eq!(first.0, 1_100 - MAX_PACKETS);
}

#[test]
fn a_gap_before_a_marked_packet_after_silence_is_a_pause_on_a_link_and_any_other_is_a_loss() {
    for (lost, marker, is_pause) in [(1, true, false), (13, false, false), (13, true, true)] {
        let mut voice = Voice::of(Source::Remote);
        voice.take_in_from(true, false);
        voice.write();
        for _ in 0..lost {
            voice.lose();
        }
        voice.take_in_from(true, marker);
        voice.write();
        assert_eq!(voice.track.layers[0].nack.is_idle(), is_pause, "{lost} {marker}");
        let numbers: Vec<u16> = voice.got.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(numbers, [1, if is_pause { 2 } else { 2 + lost }]);
    }
}

#[test]
fn only_the_first_packet_after_a_pause_is_marked() {
    let mut voice = Voice::local();
    voice.forward();
    for _ in 0..100 {
        voice.withhold();
    }
    let first = voice.begin(Some(1_001));
    let marked: Vec<u32> = (1_001..=1_102)
        .filter(|seq| voice.track.layers[0].packet(MediaSeq(*seq)).unwrap().0.marker)
        .collect();
    assert_eq!(marked, [first]);
}
