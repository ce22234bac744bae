//! What a shard does for its clients and for other nodes, seen from outside.

mod allowances;
mod audiences;
mod crowd;
mod hostile;
mod keyframes;
mod loudest;
mod order;
mod pictures;
mod random;
mod repairs;
mod second;
mod siblings;
mod sound;
mod tcp;
mod transit;
mod world;

use super::io::ShardCommand;
use relay_proto::id::{Layer, LayerSet, TrackAlias, TrackSid};
use relay_proto::room::MediaKind;
use std::time::Duration;
use world::{NODE_A, NODE_B, World};

#[test]
fn everybody_hears_everybody_and_a_stream_crosses_a_link_once_for_two_viewers() {
    let mut world = World::new();
    let (speaker, near) = (world.join(0), world.join(0));
    let far = [world.join(1), world.join(1)];
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    for _ in 0..20 {
        world.send(speaker, &voice, 0, true);
    }
    assert_eq!(
        [near, far[0], far[1]].map(|viewer| world.heard(viewer, &voice)),
        [20; 3]
    );
    assert_eq!(world.heard(speaker, &voice), 0, "nobody hears himself");
    assert_eq!(
        world.media_crossed(NODE_A),
        20,
        "one copy per packet, two viewers behind the link"
    );
}

#[test]
fn nothing_crosses_a_link_that_nobody_watches() {
    let mut world = World::new();
    let speaker = world.join(0);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.media_crossed(NODE_A), 0);
    let viewer = world.join(1);
    world.pass(Duration::from_millis(500));
    world.send(speaker, &voice, 0, true);
    assert_eq!((world.heard(viewer, &voice), world.media_crossed(NODE_A)), (1, 1));
}

#[test]
fn a_viewer_gets_the_layer_it_wishes_for_and_the_link_carries_only_that() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &["q", "h", "f"]);
    let send_all = |world: &mut World, rounds: u32| {
        for round in 0..rounds {
            for stream in 0..3 {
                world.send(publisher, &camera, stream, round == 0);
            }
            world.pass(Duration::from_millis(30));
        }
    };
    send_all(&mut world, 3);
    send_all(&mut world, 3);
    let payload =
        |world: &World| String::from_utf8(world.clients[viewer].1.heard[&camera].payload.clone()).unwrap();
    assert!(payload(&world).ends_with("layer 2"), "{}", payload(&world));
    world.wish(viewer, &camera, true, 0);
    send_all(&mut world, 3);
    assert!(payload(&world).ends_with("layer 0"), "{}", payload(&world));
    world.crossed.clear();
    send_all(&mut world, 5);
    assert_eq!(world.media_crossed(NODE_A), 5);
}

#[test]
fn a_hidden_tile_costs_nothing_on_the_link() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &camera, 0, true);
    world.wish(viewer, &camera, false, 2);
    world.crossed.clear();
    world.send(publisher, &camera, 0, true);
    assert_eq!(world.media_crossed(NODE_A), 0);
}

#[test]
fn what_a_link_loses_is_repaired_from_the_origin() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &camera, 0, true);
    world.send(publisher, &camera, 0, true);
    let before = world.heard(viewer, &camera);
    world.lose_next = 2;
    for _ in 0..4 {
        world.send(publisher, &camera, 0, false);
    }
    assert_eq!(world.heard(viewer, &camera), before + 2);
    world.pass(Duration::from_millis(300));
    assert_eq!(world.heard(viewer, &camera), before + 4);
}

#[test]
fn more_tracks_than_sections_are_received_after_the_client_was_asked_for_more() {
    let mut world = World::new();
    let viewer = world.join(0);
    let tracks: Vec<(usize, TrackSid)> = (0..6)
        .map(|at| {
            let publisher = world.join(at % 2);
            (publisher, world.publish(publisher, MediaKind::Audio, &[]))
        })
        .collect();
    world.pass(Duration::from_secs(1));
    for (publisher, track) in &tracks {
        world.send(*publisher, track, 0, true);
        assert_eq!(world.heard(viewer, track), 1, "{track}");
    }
}

#[test]
fn a_muted_track_is_not_forwarded_and_comes_back() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    let session = world.clients[publisher].1.session;
    world.command(
        0,
        ShardCommand::SetTrackMuted {
            session,
            track: voice.clone(),
            muted: true,
        },
    );
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 0);
    world.command(
        0,
        ShardCommand::SetTrackMuted {
            session,
            track: voice.clone(),
            muted: false,
        },
    );
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
}

#[test]
fn a_session_that_closes_leaves_nothing_behind() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    world.send(publisher, &voice, 0, true);
    for index in [publisher, viewer] {
        let session = world.clients[index].1.session;
        world.command(0, ShardCommand::CloseSession { session });
    }
    let counters = world.shards[0].counters();
    assert_eq!((counters.sessions, counters.legs), (0, 0));
    assert_eq!(world.shards[0].poll_timeout(), None, "an empty shard sleeps");
    world.command(0, ShardCommand::CloseRoom { room: "r".into() });
    assert_eq!(world.shards[0].counters().tracks, 0);
}

#[test]
fn an_origin_that_dies_takes_its_tracks_along() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    world.send(publisher, &voice, 0, true);
    world.command(
        1,
        ShardCommand::DropOrigin {
            room: "r".into(),
            origin: NODE_A,
        },
    );
    world.pass(Duration::from_millis(500));
    assert_eq!(world.shards[1].counters().tracks, 0);
    assert_eq!(world.clients[viewer].1.receives().count(), 0);
}

#[test]
fn random_bytes_from_anywhere_change_nothing() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    let mut random = 7_u64;
    for round in 0..20_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut junk: Vec<u8> = (0..(random >> 56) as u8)
            .map(|at| (random >> (at % 56)) as u8 ^ at)
            .collect();
        let from = if round % 2 == 0 {
            world.clients[publisher].1.address
        } else {
            "10.9.9.9:9".parse().unwrap()
        };
        world.shards[0].handle_datagram(world.now, from, &mut junk.clone());
        world.shards[1].handle_relay(world.now, NODE_A, &mut junk);
    }
    world.settle();
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
    assert_eq!(world.shards[0].counters().sessions, 1);
}

#[test]
fn demand_on_a_track_nobody_has_is_ignored() {
    let mut world = World::new();
    let demand = ShardCommand::SetPeerDemand {
        peer: NODE_B,
        track: TrackAlias(99),
        layers: LayerSet::only(Layer(0)),
    };
    world.command(0, demand);
    assert!(world.facts.is_empty());
}
