//! Media: packets of a publisher with keys, odd in header, extensions, payload descriptor and order; and what a link
//! may carry.

use crate::descriptors::descriptor;
use crate::fuzzing::{Random, Tally, throwing};
use crate::world::{NODE, PEER, World, publisher_and_viewer, record};
use bridge_core::rtc::testing::extension;
use bridge_core::shard::io::ShardCommand;
use relay_proto::datagram::{Header, Kind, encode_nack};
use relay_proto::id::{Epoch, Layer, LayerSet, ParticipantSid, TrackAlias};
use relay_proto::room::{Codec, LayerRecord, MediaKind, SealKey, TrackRecord};
use relay_proto::seal::Seal;
use relay_proto::unit::{Bitrate, MediaSeq, RtpTime};

const INPUTS: u64 = 2_000;

/// Payload types of the offer, and others.
const PAYLOAD_TYPES: [u8; 9] = [111, 63, 96, 97, 98, 106, 108, 109, 0];

/// Sequence numbers of the streams a round sends.
struct Streams([u16; 6]);

/// One round of packets of a client.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    let (mut publisher, _viewer) = publisher_and_viewer(&mut world);
    let alias = record("cam", 1, MediaKind::Video).alias;
    world.command(ShardCommand::SetPeerDemand {
        peer: PEER,
        track: alias,
        layers: LayerSet::only(Layer(0)),
    });
    let mut streams = Streams([100; 6]);
    for _ in 0..INPUTS {
        let packet = packet(random, &mut streams);
        throwing(&packet);
        if let Some(sealed) = publisher.media(packet, 0) {
            world.datagram(publisher.address, sealed);
        }
        world.sent.clear();
        if random.once_in(20) {
            world.pass(random.below(30));
        }
    }
    Tally {
        inputs: INPUTS,
        accepted: world.shard.counters().packets_in,
    }
}

fn packet(random: &mut Random, streams: &mut Streams) -> Vec<u8> {
    let stream = random.below(streams.0.len());
    let seq = &mut streams.0[stream];
    *seq = match random.below(30) {
        0 => seq.wrapping_add(random.below(20_000) as u16),
        1 => seq.wrapping_sub(random.below(2_000) as u16),
        _ => seq.wrapping_add(1),
    };
    let payload_type = if random.once_in(6) {
        random.of(&PAYLOAD_TYPES)
    } else if stream == 0 {
        111
    } else {
        96
    };
    let mut first = 0x90;
    if random.once_in(10) {
        first = 0x80 | random.byte() & 0x3f;
    }
    let mut packet = vec![first, payload_type | (random.byte() & 0x80)];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&(random.next() as u32).to_be_bytes());
    packet.extend_from_slice(&(1_000 + stream as u32).to_be_bytes());
    for _ in 0..first & 0x0f {
        packet.extend_from_slice(&[random.byte(); 4]);
    }
    if first & 0x10 != 0 {
        extensions(random, stream, &mut packet);
    }
    payload(random, payload_type, &mut packet);
    if first & 0x20 != 0 {
        packet.push(random.byte());
    }
    if random.once_in(12) {
        random.damage(&mut packet);
    }
    packet
}

fn extensions(random: &mut Random, stream: usize, packet: &mut Vec<u8>) {
    let mut block = Vec::new();
    let two_bytes = random.once_in(8);
    let mut add = |id: u8, data: &[u8]| {
        if two_bytes {
            block.extend_from_slice(&[id, data.len() as u8]);
        } else {
            block.push(id << 4 | (data.len().clamp(1, 16) - 1) as u8);
        }
        block.extend_from_slice(data);
    };
    if stream == 0 {
        add(extension::MID, b"7");
        add(extension::AUDIO_LEVEL, &[random.byte()]);
    } else {
        add(extension::MID, b"8");
        if !random.once_in(5) {
            let rid: &[u8] = random.of(&[b"q" as &[u8], b"h", b"f", b"g"]);
            let id = random.of(&[extension::RID, extension::RID, extension::REPAIRED_RID]);
            add(id, rid);
        }
    }
    if random.once_in(3) {
        add(extension::TRANSPORT_CC, &[random.byte(), random.byte()]);
    }
    if random.once_in(6) {
        let noise = random.noise(20);
        add(random.byte() & 0x0f, &noise);
    }
    block.resize(block.len().next_multiple_of(4), 0);
    let words = if random.once_in(20) {
        u16::from(random.byte())
    } else {
        (block.len() / 4) as u16
    };
    packet.extend_from_slice(if two_bytes { &[0x10, 0x00] } else { &[0xbe, 0xde] });
    packet.extend_from_slice(&words.to_be_bytes());
    packet.extend_from_slice(&block);
}

/// A payload: descriptors of VP8 and units of H.264 as they come, and as they do not.
fn payload(random: &mut Random, payload_type: u8, packet: &mut Vec<u8>) {
    match (payload_type, random.below(6)) {
        (_, 0) => {}
        (96, 1..=3) => {
            // Extended VP8 descriptor: picture id, TL0PICIDX, TID and key index in any combination.
            packet.extend_from_slice(&[0x90 | random.byte() & 0x6f, random.byte()]);
            packet.extend(random.noise(6));
            packet.push(random.byte());
        }
        (106 | 108, 1..=4) => {
            packet.push(random.of(&[7, 24, 28, 0x65, 24]));
            packet.extend(random.noise(40));
        }
        _ => packet.extend(random.noise(1_200)),
    }
    if random.once_in(4) {
        packet.resize(packet.len() + random.below(1_000), 7);
    }
}

/// One round of datagrams of another node, its own key included.
pub(crate) fn relayed_round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    let (mut publisher, _viewer) = publisher_and_viewer(&mut world);
    let seal = Seal::new(&SealKey([2; 32]));
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let record = record("far", 9, kind);
        let codec = Some(if kind == MediaKind::Audio {
            Codec::Opus
        } else {
            random.of(&[Codec::Vp8, Codec::Vp9, Codec::Av1])
        });
        let layers = (0..if kind == MediaKind::Video { 3 } else { 0 }).map(|layer| LayerRecord {
            layer: Layer(layer),
            width: 320 << layer,
            height: 180 << layer,
            bitrate: Bitrate(0),
        });
        world.command(ShardCommand::UpsertRemoteTrack {
            room: "r".into(),
            origin: PEER,
            participant: ParticipantSid("PA_far".into()),
            track: Box::new(TrackRecord {
                sid: format!("TR_far{kind:?}").as_str().into(),
                codec,
                simulcast: false,
                layers: layers.collect(),
                ..record
            }),
        });
    }
    let before = world.shard.counters();
    for number in 0..INPUTS as u32 {
        if random.once_in(10)
            && let Some(packet) = publisher.packet("cam", random.below(3), random.once_in(3), b"picture")
        {
            world.datagram(publisher.address, packet);
        }
        let mut datagram = relayed(random, number, &seal);
        if random.once_in(3) {
            random.damage(&mut datagram);
        }
        throwing(&datagram);
        world.shard.handle_relay(world.now, PEER, &mut datagram);
        world.settle();
        world.sent.clear();
        if random.once_in(40) {
            world.pass(random.below(20));
        }
    }
    let after = world.shard.counters();
    Tally {
        inputs: INPUTS,
        accepted: (after.relay_in - before.relay_in) - (after.relay_refused - before.relay_refused),
    }
}

fn relayed(random: &mut Random, number: u32, seal: &Seal) -> Vec<u8> {
    let alias = TrackAlias(random.of(&[72, 73, 8, 9, 1_000]));
    let layer = Layer(random.of(&[0, 1, 2]));
    if random.once_in(3) {
        let kind = random.of(&[Kind::Nack, Kind::KeyframeRequest]);
        let seqs: Vec<MediaSeq> = (0..1 + random.below(60))
            .map(|_| MediaSeq(0x1_0000 + random.below(2_000) as u32))
            .collect();
        return encode_nack(&Header::plain(kind, NODE, alias, layer), &seqs);
    }
    let origin = if random.once_in(8) { NODE } else { PEER };
    let seq = MediaSeq(0x1_0000 + number + random.below(50) as u32);
    let mut header = Header::media(origin, alias, layer, seq, RtpTime(random.next() as u32));
    header.epoch = Epoch(5).low_byte();
    header.keyframe = random.once_in(3);
    header.audio = random.once_in(2);
    let mut body = Vec::new();
    if random.once_in(2) {
        let descriptor = descriptor(random);
        body.push(descriptor.len() as u8);
        body.extend_from_slice(&descriptor);
    }
    body.extend(random.noise(1_200));
    body.push(random.byte());
    if random.once_in(4) {
        header.kind = Kind::Clock;
        body.truncate(8);
    }
    let mut datagram = [header.encode().as_slice(), &body].concat();
    seal.seal(&mut datagram);
    datagram
}
