//! A scalable stream as libwebrtc sends it, to a viewer that gets a part of it: what arrives can be decoded, its numbers
//! have no holes, every picture ends once, and what is repaired is the same again.

mod encoder;

use super::*;
use crate::allocation::OperatingPoint;
use crate::forward::svc::SvcPosition;
use crate::forward::track::Picture;
use encoder::{Encoder, Frame, Mode, SPATIAL, Sent};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const FRAME: Duration = Duration::from_millis(33);

fn scalable_track(codec: Codec) -> Track {
    let mut track = track(codec);
    track.identity.picture = Picture {
        layers: if codec == Codec::Vp8 { 1 } else { 3 },
        nested: codec != Codec::Vp8,
        ..Picture::default()
    };
    let parameters = LegParameters {
        descriptor: Some(12),
        ..track.legs[0].parameters()
    };
    track.legs[0] = Leg::new(
        5,
        "TR_a".into(),
        codec,
        parameters,
        LayerChoice::new(Layer(2)).among(codec != Codec::Vp8),
    );
    track
}

fn take_in(track: &mut Track, now: Instant, packet: &Sent) {
    let meta = PacketMeta {
        seq: MediaSeq(packet.seq),
        time: RtpTime(packet.frame.0 * 3_000),
        marker: packet.marker,
        keyframe: packet.keyframe,
        level: 0xff,
        position: SvcPosition::default(),
    };
    let layer = Layer(0);
    let payload = &packet.payload;
    let incoming = Incoming {
        layer,
        meta,
        descriptor: &packet.descriptor,
        payload,
    };
    assert!(track.ingest(now, incoming));
}

/// The publisher's number behind a packet of the viewer; none of an empty one.
fn source(packet: &Packet) -> Option<u32> {
    let bytes = packet.payload.get(8..12)?;
    Some(u32::from_be_bytes(bytes.try_into().unwrap()))
}

/// A stream of which everything is remembered.
struct Scene {
    encoder: Encoder,
    track: Track,
    now: Instant,
    sent: BTreeMap<u32, Sent>,
    arrived: BTreeSet<u32>,
    got: Vec<Packet>,
}

impl Scene {
    fn new(mode: Mode) -> Self {
        Self::of(mode, Codec::Vp9)
    }

    fn of(mode: Mode, codec: Codec) -> Self {
        Self {
            encoder: Encoder::new(mode, codec),
            track: scalable_track(codec),
            now: crate::rtc::testing::instant(),
            sent: BTreeMap::new(),
            arrived: BTreeSet::new(),
            got: Vec::new(),
        }
    }

    /// There is room for a layer with its temporal layers up to `temporal`.
    fn allow(&mut self, layer: u8, temporal: u8) {
        let point = OperatingPoint::of_layer(Layer(layer), temporal);
        self.track.legs[0].choice.allow(Some(point), self.now);
        self.track.retarget(self.now);
    }

    fn wish(&mut self, enabled: bool, layer: u8) {
        self.track.legs[0].choice.set_wish(enabled, Layer(layer));
        self.track.retarget(self.now);
    }

    /// The next picture of the publisher, who makes a keyframe when asked.
    fn picture(&mut self, packets: [u8; SPATIAL as usize]) -> Vec<Sent> {
        self.now += FRAME;
        self.track.retarget(self.now);
        let key = self.sent.is_empty() || self.track.layers[0].keyframe.poll(self.now);
        let packets = self.encoder.encode(key, packets);
        self.sent
            .extend(packets.iter().map(|packet| (packet.seq, packet.clone())));
        packets
    }

    fn arrive(&mut self, packets: &[Sent]) {
        for packet in packets {
            take_in(&mut self.track, self.now, packet);
            self.arrived.insert(packet.seq);
        }
        let got = drain(&mut self.track, self.now);
        self.got.extend(got);
        self.track.fresh.clear();
    }

    fn film(&mut self, pictures: u32) {
        for _ in 0..pictures {
            let packets = self.picture([1, 2, 3]);
            self.arrive(&packets);
        }
    }

    /// The frames of which the viewer has got anything.
    fn frames(&self) -> BTreeSet<Frame> {
        let sources = self.got.iter().filter_map(source);
        sources.map(|seq| self.sent[&seq].frame).collect()
    }

    /// Everything that arrived of each frame the viewer got, and of each frame that one depends on, has gone to it.
    fn check_decodable(&self) {
        let got: BTreeSet<u32> = self.got.iter().filter_map(source).collect();
        let frames = self.frames();
        for packet in self.sent.values() {
            if frames.contains(&packet.frame) && self.arrived.contains(&packet.seq) {
                assert!(got.contains(&packet.seq), "{packet:?} is missing of its frame");
            }
        }
        for frame in &frames {
            for needed in &self.encoder.depends[frame] {
                assert!(frames.contains(needed), "{frame:?} needs {needed:?}");
            }
        }
    }

    /// Picture ids of VP8 follow one another, whatever has been left out.
    fn check_pictures(&self) {
        let ids: Vec<u16> = self
            .got
            .iter()
            .map(|packet| u16::from_be_bytes([packet.payload[2], packet.payload[3]]) & 0x7fff)
            .collect();
        for pair in ids.windows(2) {
            assert!((pair[1].wrapping_sub(pair[0]) & 0x7fff) <= 1, "{pair:?}");
        }
    }

    /// Numbers without repetition, and without holes but for packets that never came here.
    fn check_numbers(&self, may_lack: usize) {
        let mut numbers: Vec<u16> = self.got.iter().map(|packet| packet.seq).collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "a number was used twice");
        let span = usize::from(numbers[count - 1] - numbers[0]) + 1;
        assert!(
            span - count <= may_lack,
            "{} of {span} numbers are open",
            span - count
        );
    }

    /// Of each picture whose last packet has come, exactly that packet has the marker.
    fn check_markers(&self) {
        let mut last: BTreeMap<u32, (u32, usize, bool)> = BTreeMap::new();
        for packet in &self.got {
            let Some(seq) = source(packet) else {
                assert!(!packet.marker);
                continue;
            };
            let (picture, _) = self.sent[&seq].frame;
            let entry = last.entry(picture).or_insert((seq, 0, false));
            entry.1 += usize::from(packet.marker);
            if seq >= entry.0 {
                (entry.0, entry.2) = (seq, packet.marker);
            }
        }
        for (picture, (seq, markers, at_last)) in last {
            assert!(markers <= 1, "picture {picture} ends {markers} times");
            assert_eq!(at_last, self.sent[&seq].ends && markers == 1, "picture {picture}");
        }
    }

    /// What was sent can be had again, and is the same.
    fn check_repairs(&mut self) {
        let newest: Vec<Packet> = self.got.iter().rev().take(100).cloned().collect();
        for packet in newest {
            let mut buf = Vec::new();
            let Track { legs, layers, .. } = &mut self.track;
            if !legs[0].write_retransmission(layers, packet.seq, &mut PlainSeal::default(), &mut buf) {
                continue;
            }
            let end = buf.len() - 4;
            let padding = if buf[0] & 0x20 != 0 {
                usize::from(buf[end - 1])
            } else {
                0
            };
            assert_eq!(buf[header_bytes(&buf) + 2..end - padding], packet.payload);
            assert_eq!(buf[12..header_bytes(&buf)][8..], packet.extensions[8..]);
            assert_eq!(buf[1] & 0x80 != 0, packet.marker);
            assert_eq!(buf[4..8], packet.time.to_be_bytes());
        }
    }
}

#[test]
fn a_small_tile_gets_the_smallest_layer_with_every_picture_ended_and_no_number_missing() {
    let mut scene = Scene::new(Mode::Key);
    scene.film(10);
    scene.wish(true, 0);
    let before = scene.got.len();
    scene.film(20);
    assert!(
        scene.got[before..].iter().all(|packet| packet.marker),
        "one packet is one picture"
    );
    assert_eq!(scene.got.len() - before, 20);
    scene.check_numbers(0);
    scene.check_decodable();
    scene.check_markers();
    scene.check_repairs();
}

#[test]
fn a_larger_layer_waits_for_a_keyframe_and_a_smaller_one_for_the_next_picture() {
    let mut scene = Scene::new(Mode::Full);
    scene.wish(true, 0);
    scene.film(30);
    scene.wish(true, 2);
    assert!(
        scene.track.layers[0].keyframe.poll(scene.now),
        "somebody asks for it"
    );
    scene.film(3);
    assert_eq!(scene.frames().iter().map(|frame| frame.1).max(), Some(0));
    // Asked again after half a second, the publisher makes it.
    scene.film(30);
    let (newest, _) = *scene.frames().last().unwrap();
    assert!(scene.frames().contains(&(newest, 2)));
    scene.wish(true, 1);
    assert!(
        !scene.track.layers[0]
            .keyframe
            .poll(scene.now + Duration::from_secs(9))
    );
    scene.film(1);
    assert!(scene.frames().contains(&(newest + 1, 1)) && !scene.frames().contains(&(newest + 1, 2)));
    scene.check_numbers(0);
    scene.check_decodable();
    scene.check_markers();
}

#[test]
fn a_missing_packet_has_its_number_kept_and_filled_where_the_viewer_does_not_get_its_layer() {
    let mut scene = Scene::new(Mode::Key);
    scene.wish(true, 0);
    scene.film(5);
    let mut packets = scene.picture([2, 1, 1]);
    let (base, upper) = (packets.remove(1), packets.remove(1));
    scene.arrive(&packets);
    scene.film(1);
    scene.arrive(&[base.clone(), upper]);
    let late = &scene.got[scene.got.len() - 2..];
    assert_eq!((source(&late[0]), source(&late[1])), (Some(base.seq), None));
    assert_eq!(late[1].seq, late[0].seq + 1);
    scene.check_numbers(0);
    scene.check_markers();
    scene.check_repairs();
}

#[test]
fn a_viewer_that_was_switched_off_goes_on_where_it_stopped() {
    let mut scene = Scene::new(Mode::Key);
    scene.film(10);
    scene.wish(false, 2);
    scene.film(40);
    scene.wish(true, 1);
    scene.film(20);
    scene.check_numbers(0);
    scene.check_decodable();
    scene.check_markers();
    let pictures: BTreeSet<u32> = scene.frames().into_iter().map(|frame| frame.0).collect();
    assert!(pictures.len() < 45);
}

#[test]
fn layers_of_av1_are_told_by_its_descriptors_which_the_viewer_gets_too() {
    let mut scene = Scene::of(Mode::Key, Codec::Av1);
    scene.film(10);
    scene.wish(true, 1);
    scene.film(20);
    let (newest, _) = *scene.frames().last().unwrap();
    assert!(scene.frames().contains(&(newest, 1)) && !scene.frames().contains(&(newest, 2)));
    for packet in &scene.got {
        let sent = &scene.sent[&source(packet).unwrap()];
        let mut windows = packet.extensions.windows(sent.descriptor.len());
        assert!(windows.any(|window| window == sent.descriptor), "{packet:?}");
    }
    scene.check_numbers(0);
    scene.check_decodable();
    scene.check_markers();
    scene.check_repairs();
}

#[test]
fn frame_numbers_go_on_where_a_viewer_was_switched_off() {
    let mut scene = Scene::of(Mode::Key, Codec::Av1);
    scene.film(10);
    scene.wish(false, 2);
    scene.film(40);
    let before = scene.got.len();
    scene.wish(true, 2);
    scene.film(20);
    let number = |packet: &Packet| {
        let at = if packet.extensions[0] == 0xbe { 9 } else { 11 };
        u16::from_be_bytes([packet.extensions[at], packet.extensions[at + 1]])
    };
    assert_eq!(number(&scene.got[before]), number(&scene.got[before - 1]) + 1);
    scene.check_decodable();
    scene.check_repairs();
}

#[test]
fn fewer_frames_come_with_the_next_picture_and_more_where_they_can_be_decoded() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let mut scene = Scene::of(Mode::Key, codec);
        scene.film(9);
        scene.wish(true, 0);
        let pictures = |scene: &Scene| {
            let frames: BTreeSet<u32> = scene.frames().into_iter().map(|frame| frame.0).collect();
            frames.len()
        };
        let film = |scene: &mut Scene, temporal| {
            scene.allow(0, temporal);
            scene.film(4);
            let before = pictures(scene);
            scene.film(40);
            pictures(scene) - before
        };
        assert_eq!(film(&mut scene, 1), 20, "{codec:?}");
        assert_eq!(film(&mut scene, 0), 10, "{codec:?}");
        assert_eq!(film(&mut scene, 2), 40, "{codec:?}");
        scene.check_numbers(0);
        scene.check_decodable();
        scene.check_markers();
        scene.check_repairs();
        if codec == Codec::Vp8 {
            scene.check_pictures();
        }
    }
}

#[test]
fn what_was_sent_before_frames_were_left_out_can_still_be_repaired() {
    let mut scene = Scene::of(Mode::Key, Codec::Vp8);
    scene.film(5);
    let packets = scene.picture([3, 0, 0]);
    scene.arrive(&[packets[0].clone(), packets[2].clone()]);
    scene.allow(0, 0);
    scene.film(8);
    // Late, and from before.
    scene.arrive(&packets[1..2]);
    assert_eq!(source(scene.got.last().unwrap()), Some(packets[1].seq));
    scene.check_numbers(0);
    scene.check_markers();
    scene.check_repairs();
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Pictures(u8),
    Wish(bool, u8),
    Allow(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_u8).prop_map(Step::Pictures),
        1 => (any::<bool>(), 0..3_u8).prop_map(|(enabled, layer)| Step::Wish(enabled, layer)),
        2 => (0..3_u8).prop_map(|layer| Step::Wish(true, layer)),
        2 => (0..3_u8, 0..3_u8).prop_map(|(layer, temporal)| Step::Allow(layer, temporal)),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is wished for, lost, late or repaired.
    #[test]
    fn what_a_viewer_gets_can_be_decoded(
        steps in steps(),
        full in any::<bool>(),
        codec in prop_oneof![Just(Codec::Vp8), Just(Codec::Vp9), Just(Codec::Av1)],
        fates in prop::collection::vec((0..100_u8, 1..12_usize, 1..4_u8), 64),
        loss in prop_oneof![Just(0), Just(5), Just(30)],
    ) {
        let mode = if full { Mode::Full } else { Mode::Key };
        let mut scene = Scene::of(mode, codec);
        let mut fates = fates.iter().cycle();
        let (mut late, mut never) = (Vec::new(), 0);
        let mut lost = 0;
        let mut stops = false;
        for step in steps {
            let pictures = match step {
                Step::Wish(enabled, layer) => {
                    stops |= !enabled;
                    scene.wish(enabled, layer);
                    continue;
                }
                Step::Allow(layer, temporal) => {
                    scene.allow(layer, temporal);
                    continue;
                }
                Step::Pictures(pictures) => pictures,
            };
            for _ in 0..pictures {
                let size = fates.next().unwrap().2;
                for packet in scene.picture([size, 2, size]) {
                    let &(chance, delay, size) = fates.next().unwrap();
                    // Of separate streams a keyframe may begin behind packets that have passed by.
                    let safe = packet.keyframe && codec == Codec::Vp8;
                    let chance = if safe { 100 } else { chance };
                    lost += usize::from(chance < loss);
                    if chance >= loss {
                        scene.arrive(&[packet]);
                    } else if size > 1 {
                        late.push((delay, packet));
                    } else {
                        never += 1;
                    }
                    for (delay, _) in &mut late {
                        *delay -= 1;
                    }
                    let due: Vec<Sent> = late.extract_if(.., |(delay, _)| *delay == 0).map(|(_, packet)| packet).collect();
                    scene.arrive(&due);
                }
            }
        }
        if loss == 0 && !scene.got.is_empty() {
            scene.check_decodable();
            if codec == Codec::Vp8 {
                scene.check_pictures();
            }
        }
        if !scene.got.is_empty() {
            // Whoever stops is not told any more what has become of the numbers before.
            scene.check_numbers(if stops { lost } else { never + late.len() });
            scene.check_markers();
            scene.check_repairs();
        }
    }
}
