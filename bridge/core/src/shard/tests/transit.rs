//! Media that goes on from here: once to each node that wants it, never back, and never round.

use super::world::{self, NODE_A, NODE_B, World};
use crate::forward::cache::PacketMeta;
use crate::forward::svc::SvcPosition;
use crate::forward::track::{Picture, TrackIdentity};
use crate::relay::egress;
use crate::shard::ShardCore;
use crate::shard::io::{ShardCommand, ShardFact};
use relay_proto::datagram::{HOPS_OFFSET, Header, INITIAL_HOPS, Kind, decode_nack, encode_nack};
use relay_proto::id::{Epoch, Layer, LayerSet, NodeId, TrackAlias};
use relay_proto::room::{Codec, MediaKind, SealKey};
use relay_proto::seal::Seal;
use relay_proto::unit::{MediaSeq, RtpTime};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ORIGIN: NodeId = NodeId(50);
const CHILDREN: [NodeId; 2] = [NodeId(61), NodeId(62)];
const TRACK: TrackAlias = TrackAlias(4);

fn datagram(layer: u8, seq: u32, keyframe: bool) -> Vec<u8> {
    let identity = TrackIdentity {
        sid: "TR_far".into(),
        alias: TRACK,
        origin: ORIGIN,
        room: 0,
        participant: "PA_far".into(),
        stream_id: String::new(),
        codec: Codec::Vp8,
        picture: Picture::default(),
        redundant: false,
    };
    let meta = PacketMeta {
        seq: MediaSeq(seq),
        time: RtpTime(seq * 3_000),
        marker: true,
        keyframe,
        level: 0xff,
        position: SvcPosition::default(),
    };
    let seal = Seal::new(&SealKey([7; 32]));
    egress::media_datagram(
        &identity,
        Epoch(5),
        Layer(layer),
        &meta,
        (&[], &[seq as u8; 900]),
        &seal,
    )
    .to_vec()
}

/// A shard of a node that hosts nothing, linked with everybody named.
fn passing(node: NodeId, linked: &[NodeId], now: Instant) -> ShardCore {
    let mut shard = world::shard(node);
    for node in linked {
        let (node, via) = (*node, Some(*node));
        shard.handle_command(
            now,
            ShardCommand::SetRoute {
                node,
                via,
                max_datagram_bytes: 1_200,
            },
        );
    }
    shard
}

fn set_child(shard: &mut ShardCore, now: Instant, child: NodeId, layers: u8, goes_on: bool) {
    let (origin, track, layers) = (ORIGIN, TRACK, LayerSet(layers));
    shard.handle_command(
        now,
        ShardCommand::SetChild {
            origin,
            track,
            child,
            layers,
            goes_on,
        },
    );
}

fn set_parent(shard: &mut ShardCore, now: Instant, parent: NodeId, awaited: bool) {
    let (origin, track) = (ORIGIN, TRACK);
    shard.handle_command(
        now,
        ShardCommand::SetParent {
            origin,
            track,
            parent,
            awaited,
        },
    );
}

/// What the shard has for links: to whom, and what.
fn sent(shard: &mut ShardCore) -> Vec<(NodeId, Header, Vec<u8>)> {
    let transmits = std::iter::from_fn(|| shard.poll_relay());
    transmits
        .map(|transmit| {
            (
                transmit.via,
                Header::decode(&transmit.bytes).unwrap().0,
                transmit.bytes.to_vec(),
            )
        })
        .collect()
}

fn two_children() -> (ShardCore, Instant) {
    let now = crate::rtc::testing::instant();
    let mut shard = passing(NodeId(1), &[ORIGIN, CHILDREN[0], CHILDREN[1]], now);
    set_child(&mut shard, now, CHILDREN[0], 0b001, false);
    set_child(&mut shard, now, CHILDREN[1], 0b101, false);
    sent(&mut shard);
    (shard, now)
}

#[test]
fn each_packet_goes_on_once_sealed_as_it_was_to_whoever_wants_its_layer() {
    let (mut shard, now) = two_children();
    for (layer, seq) in [(0, 1), (2, 1), (0, 2), (0, 2), (2, 2)] {
        shard.handle_relay(now, ORIGIN, &mut datagram(layer, seq, seq == 1));
    }
    let media = sent(&mut shard);
    let to = |node| {
        media
            .iter()
            .filter(move |(to, ..)| *to == node)
            .map(|(_, header, _)| (header.layer.0, header.seq.0))
    };
    assert_eq!(to(CHILDREN[0]).collect::<Vec<_>>(), [(0, 1), (0, 2)]);
    assert_eq!(
        to(CHILDREN[1]).collect::<Vec<_>>(),
        [(0, 1), (2, 1), (0, 2), (2, 2)]
    );
    let mut expected = datagram(0, 1, true);
    expected[HOPS_OFFSET] = INITIAL_HOPS - 1;
    assert_eq!(media[0].2, expected);
}

#[test]
fn what_nobody_was_asked_for_or_has_no_hops_left_goes_nowhere() {
    let (mut shard, now) = two_children();
    shard.handle_relay(now, NodeId(99), &mut datagram(0, 1, true));
    shard.handle_relay(now, CHILDREN[0], &mut datagram(0, 2, true));
    let mut spent = datagram(0, 3, true);
    spent[HOPS_OFFSET] = 0;
    shard.handle_relay(now, ORIGIN, &mut spent);
    assert!(sent(&mut shard).is_empty());
    assert_eq!(
        (shard.counters().relay_refused, shard.counters().transit_expired),
        (2, 1)
    );
    set_child(&mut shard, now, CHILDREN[0], 0, false);
    set_child(&mut shard, now, CHILDREN[1], 0, false);
    assert_eq!(shard.counters().transit_tracks, 0);
}

#[test]
fn who_has_had_it_from_elsewhere_goes_on_with_any_packet_and_others_wait_for_a_keyframe() {
    let (mut shard, now) = two_children();
    set_child(&mut shard, now, CHILDREN[0], 0, false);
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 1, false));
    assert!(
        sent(&mut shard)
            .iter()
            .all(|(_, header, _)| header.kind != Kind::Media)
    );
    set_child(&mut shard, now, CHILDREN[0], 0b001, true);
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 2, false));
    let media = sent(&mut shard)
        .into_iter()
        .filter(|(_, header, _)| header.kind == Kind::Media);
    assert_eq!(media.map(|(to, ..)| to).collect::<Vec<_>>(), [CHILDREN[0]]);
}

#[test]
fn wishes_for_a_keyframe_of_many_are_one_and_go_to_the_parent() {
    let (mut shard, now) = two_children();
    set_parent(&mut shard, now, NodeId(50), false);
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 1, true));
    sent(&mut shard);
    let later = now + Duration::from_secs(1);
    let wish = Header::plain(Kind::KeyframeRequest, ORIGIN, TRACK, Layer(0)).encode();
    for child in [CHILDREN[0], CHILDREN[1], NodeId(99), CHILDREN[0]] {
        shard.handle_relay(later, child, &mut wish.to_vec());
    }
    let wishes: Vec<_> = sent(&mut shard)
        .into_iter()
        .map(|(to, header, _)| (to, header.kind))
        .collect();
    assert_eq!(wishes, [(ORIGIN, Kind::KeyframeRequest)]);
}

#[test]
fn a_lost_packet_comes_from_what_has_passed_or_is_asked_for_once() {
    let (mut shard, now) = two_children();
    for seq in [1, 2, 4] {
        shard.handle_relay(now, ORIGIN, &mut datagram(0, seq, seq == 1));
    }
    let passed = sent(&mut shard);
    let mut nack = encode_nack(
        &Header::plain(Kind::Nack, ORIGIN, TRACK, Layer(0)),
        &[2, 3].map(MediaSeq),
    );
    shard.handle_relay(now, CHILDREN[0], &mut nack.clone());
    shard.handle_relay(now, CHILDREN[1], &mut nack);
    let answers = sent(&mut shard);
    let repaired: Vec<_> = answers
        .iter()
        .filter(|(_, header, _)| header.kind == Kind::Media)
        .collect();
    assert_eq!(repaired.iter().map(|(to, ..)| *to).collect::<Vec<_>>(), CHILDREN);
    let original = passed
        .iter()
        .find(|(_, header, _)| header.seq == MediaSeq(2))
        .unwrap();
    assert!(repaired.iter().all(|(.., bytes)| *bytes == original.2));
    let asked: Vec<_> = answers
        .iter()
        .filter(|(_, header, _)| header.kind == Kind::Nack)
        .collect();
    assert_eq!(asked.len(), 1, "both miss it, the parent is asked once");
    assert_eq!(asked[0].0, ORIGIN);
    let seqs: Vec<_> = decode_nack(&asked[0].2[20..]).unwrap().collect();
    assert_eq!(seqs, [MediaSeq(3)]);
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 3, false));
    assert_eq!(sent(&mut shard).len(), 2, "it goes to all who lack it");
}

#[test]
fn the_first_packet_of_a_new_parent_is_told_once_also_where_it_is_a_duplicate() {
    let (mut shard, now) = two_children();
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 1, true));
    set_parent(&mut shard, now, NodeId(77), true);
    shard.handle_relay(now, ORIGIN, &mut datagram(0, 2, false));
    for _ in 0..2 {
        shard.handle_relay(now, NodeId(77), &mut datagram(0, 2, false));
    }
    let heard: Vec<NodeId> = std::iter::from_fn(|| shard.poll_fact())
        .filter_map(|fact| match fact {
            ShardFact::ParentHeard { parent, .. } => Some(parent),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [NodeId(77)]);
    let media = sent(&mut shard)
        .into_iter()
        .filter(|(_, header, _)| header.kind == Kind::Media)
        .count();
    assert_eq!(media, 4, "two packets to two nodes, though one came three times");
}

/// Nodes whose views of the tree contradict each other send each other everything.
#[test]
fn whatever_nodes_believe_of_each_other_a_packet_takes_each_link_once_and_ends() {
    let now = crate::rtc::testing::instant();
    let ring = [11, 12, 13, 14].map(NodeId);
    let mut shards: BTreeMap<NodeId, ShardCore> = BTreeMap::new();
    for node in ring {
        let mut shard = passing(node, &[ring.as_slice(), &[ORIGIN]].concat(), now);
        for other in ring.into_iter().filter(|other| *other != node) {
            set_child(&mut shard, now, other, 0b001, true);
            // From everybody in turn: of two parents packets are taken.
            set_parent(&mut shard, now, other, false);
        }
        set_parent(&mut shard, now, ORIGIN, false);
        sent(&mut shard);
        shards.insert(node, shard);
    }
    let mut links: BTreeMap<(NodeId, NodeId, u32), usize> = BTreeMap::new();
    let mut flying: Vec<(NodeId, NodeId, Vec<u8>)> = (1..=20)
        .map(|seq| (ORIGIN, ring[0], datagram(0, seq, seq == 1)))
        .collect();
    while let Some((from, to, mut bytes)) = flying.pop() {
        let Some(shard) = shards.get_mut(&to) else {
            continue;
        };
        shard.handle_relay(now, from, &mut bytes);
        for (next, header, bytes) in sent(shard) {
            if header.kind == Kind::Media {
                assert_ne!(next, from, "back to where it came from");
                *links.entry((to, next, header.seq.0)).or_default() += 1;
                flying.push((to, next, bytes));
            }
        }
    }
    assert!(links.len() >= 20 * 3, "it does go on");
    assert!(links.values().all(|copies| *copies == 1), "{links:?}");
}

#[test]
fn a_node_without_the_key_opens_nothing_of_what_it_passes_on() {
    let mut world = World::new();
    let (speaker, spy) = (world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let before = world.heard(spy, &voice);
    // It lies to its own shard about the key, and has viewers who want to hear.
    world.command(
        1,
        ShardCommand::DropOrigin {
            room: "r".into(),
            origin: NODE_A,
        },
    );
    let join = ShardCommand::JoinOrigin {
        room: "r".into(),
        origin: NODE_A,
        epoch: Epoch(5),
        seal_key: SealKey([0xee; 32]),
    };
    world.command(1, join);
    let mut track = world::record(&voice, speaker, MediaKind::Audio);
    track.codec = Some(Codec::Opus);
    let known = ShardCommand::UpsertRemoteTrack {
        room: "r".into(),
        origin: NODE_A,
        participant: "PA_1".into(),
        track: Box::new(track),
    };
    world.command(1, known);
    let refused = world.shards[1].counters().relay_refused;
    for _ in 0..10 {
        world.send(speaker, &voice, 0, true);
    }
    assert_eq!(world.heard(spy, &voice), before);
    assert!(world.shards[1].counters().relay_refused >= refused + 10);
}

#[test]
fn a_node_with_viewers_of_its_own_sends_on_and_repairs_byte_for_byte() {
    let mut world = World::new();
    let (speaker, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let alias = world::record(&voice, speaker, MediaKind::Audio).alias;
    let now = world.now;
    let child = CHILDREN[0];
    let shard = &mut world.shards[1];
    let route = ShardCommand::SetRoute {
        node: child,
        via: Some(child),
        max_datagram_bytes: 1_200,
    };
    shard.handle_command(now, route);
    let (origin, track, layers) = (NODE_A, alias, LayerSet(1));
    shard.handle_command(
        now,
        ShardCommand::SetChild {
            origin,
            track,
            child,
            layers,
            goes_on: false,
        },
    );
    world.crossed.clear();
    for _ in 0..5 {
        world.send(speaker, &voice, 0, true);
    }
    assert_eq!(world.heard(viewer, &voice), 5);
    let is_media =
        |bytes: &Vec<u8>| Header::decode(bytes).is_ok_and(|(header, _)| header.kind == Kind::Media);
    let of = |from: NodeId| -> Vec<Vec<u8>> {
        let crossed = world
            .crossed
            .iter()
            .filter(|(node, bytes)| *node == from && is_media(bytes));
        crossed.map(|(_, bytes)| bytes.clone()).collect()
    };
    let (first, onward) = (of(NODE_A), of(NODE_B));
    assert_eq!((first.len(), onward.len()), (5, 5));
    for (came, went) in first.iter().zip(&onward) {
        let mut expected = came.clone();
        expected[HOPS_OFFSET] -= 1;
        assert_eq!(*went, expected);
    }
    let seq = Header::decode(&first[2]).unwrap().0.seq;
    let mut nack = encode_nack(&Header::plain(Kind::Nack, NODE_A, alias, Layer(0)), &[seq]);
    world.shards[1].handle_relay(now, child, &mut nack);
    let repair = sent(&mut world.shards[1]);
    assert_eq!(repair.len(), 1);
    assert_eq!((repair[0].0, &repair[0].2), (child, &first[2]));
}

/// A branch has moved under a node whose own people did not want the track: what was lost on the old way it never had.
#[test]
fn what_a_host_never_had_it_gets_for_the_node_behind() {
    let mut world = World::new();
    let speaker = world.join(0);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let track = world::record(&voice, speaker, MediaKind::Audio).alias;
    for _ in 0..3 {
        world.send(speaker, &voice, 0, true);
    }
    assert_eq!(world.media_crossed(NODE_A), 0, "nobody wants it");
    let (child, layers, origin) = (CHILDREN[0], LayerSet(1), NODE_A);
    world.command(
        1,
        ShardCommand::SetRoute {
            node: child,
            via: Some(child),
            max_datagram_bytes: 1_200,
        },
    );
    world.command(
        1,
        ShardCommand::SetChild {
            origin,
            track,
            child,
            layers,
            goes_on: true,
        },
    );
    world.command(
        0,
        ShardCommand::SetPeerDemand {
            peer: NODE_B,
            track,
            layers,
        },
    );
    world.send(speaker, &voice, 0, true);
    let newest = |world: &World| {
        let media = world.crossed.iter().rev().filter(|(from, _)| *from == NODE_B);
        let mut headers = media.filter_map(|(_, bytes)| Header::decode(bytes).ok());
        headers.find_map(|(header, _)| (header.kind == Kind::Media).then_some(header.seq))
    };
    let MediaSeq(first_on_new_way) = newest(&world).unwrap();
    world.crossed.clear();
    let lost = [2, 1].map(|before| MediaSeq(first_on_new_way - before));
    let ask = encode_nack(&Header::plain(Kind::Nack, origin, track, Layer(0)), &lost);
    for mut asks in [ask.clone(), ask] {
        world.shards[1].handle_relay(world.now, child, &mut asks);
    }
    world.settle();
    let kinds = |from: NodeId| -> Vec<(Kind, MediaSeq)> {
        let crossed = world.crossed.iter().filter(|(node, _)| *node == from);
        let headers = crossed.filter_map(|(_, bytes)| Header::decode(bytes).ok());
        headers.map(|(header, _)| (header.kind, header.seq)).collect()
    };
    let repairs = lost.map(|seq| (Kind::Media, seq)).to_vec();
    assert_eq!(kinds(NODE_A), repairs, "they are asked for once");
    let of_host = kinds(NODE_B);
    assert_eq!(of_host[0].0, Kind::Nack);
    assert_eq!(of_host[1..], repairs[..], "and go on");
}

/// Every host of a conference has the keys of its media, so the seal proves no origin among them.
#[test]
fn media_is_taken_from_whom_it_was_asked_of_and_from_no_other_node_that_has_the_key() {
    let meeting = || {
        let mut world = World::new();
        let (speaker, viewer) = (world.join(0), world.join(1));
        let voice = world.publish(speaker, MediaKind::Audio, &[]);
        world.crossed.clear();
        (world, speaker, viewer, voice)
    };
    let (mut honest, speaker, _, voice) = meeting();
    honest.send(speaker, &voice, 0, true);
    let is_media =
        |bytes: &Vec<u8>| Header::decode(bytes).is_ok_and(|(header, _)| header.kind == Kind::Media);
    let sealed = honest.crossed.into_iter().find(|(_, bytes)| is_media(bytes));
    let (_, mut sealed) = sealed.unwrap();
    // In the same meeting somewhere else, a third node brings what only the origin and hosts can seal.
    let (mut world, _, viewer, voice) = meeting();
    let now = world.now;
    let liar = CHILDREN[0];
    world.shards[1].handle_relay(now, liar, &mut sealed.clone());
    world.settle();
    assert_eq!(world.heard(viewer, &voice), 0);
    let counters = world.shards[1].counters();
    assert_eq!((counters.uninvited, counters.relay_refused), (1, 1));
    // From whom it is asked of it counts, and from the one before until that one's place is taken twice.
    world.shards[1].handle_relay(now, NODE_A, &mut sealed);
    world.settle();
    assert_eq!(world.heard(viewer, &voice), 1);
}
