//! Who may receive what, kept to by the viewer's shard; and what a publisher hears of its first viewer.

use super::world::{NODE_A, World};
use crate::shard::io::{ShardCommand, ShardFact};
use relay_proto::id::{Identity, ParticipantSid, TrackSid};
use relay_proto::room::{Audience, AudienceGrant, MediaKind};
use std::time::Duration;

/// Allows only `viewers` to receive the client with this index, on the shard `at`.
fn allow(world: &mut World, at: usize, publisher: usize, viewers: &[(usize, Option<&TrackSid>)]) {
    let grants = viewers.iter().map(|(viewer, track)| AudienceGrant {
        viewer: Identity(format!("person-{}", viewer + 1)),
        tracks: track.map(|track| vec![track.clone()]),
    });
    restrict(world, at, publisher, Audience::Only(grants.collect()));
}

fn restrict(world: &mut World, at: usize, publisher: usize, audience: Audience) {
    let command = ShardCommand::SetAudience {
        room: "r".into(),
        participant: ParticipantSid(format!("PA_{}", publisher + 1)),
        audience,
    };
    world.command(at, command);
}

/// Sends half a second of sound.
fn talk(world: &mut World, index: usize, track: &TrackSid) {
    for _ in 0..25 {
        world.send(index, track, 0, false);
        world.pass(Duration::from_millis(20));
    }
}

/// How much each of `viewers` hears of half a second.
fn hear(world: &mut World, publisher: usize, track: &TrackSid, viewers: &[usize]) -> Vec<u64> {
    let before: Vec<u64> = viewers.iter().map(|viewer| world.heard(*viewer, track)).collect();
    talk(world, publisher, track);
    viewers
        .iter()
        .zip(before)
        .map(|(viewer, before)| world.heard(*viewer, track) - before)
        .collect()
}

#[test]
fn whoever_may_receive_no_more_gets_nothing_from_that_moment_on_and_others_go_on() {
    let mut world = World::new();
    let publisher = world.join(0);
    let (near, kept, far) = (world.join(0), world.join(0), world.join(1));
    let sound = world.publish(publisher, MediaKind::Audio, &[]);
    assert_eq!(
        hear(&mut world, publisher, &sound, &[near, kept, far]),
        [25, 25, 25]
    );
    // The far one's node is told as well; neither client has answered anything yet when the next packet comes.
    for at in [0, 1] {
        allow(&mut world, at, publisher, &[(kept, None)]);
    }
    let crossed = world.media_crossed(NODE_A);
    let before = [near, far].map(|viewer| world.heard(viewer, &sound));
    world.send(publisher, &sound, 0, false);
    assert_eq!([near, far].map(|viewer| world.heard(viewer, &sound)), before);
    assert_eq!(
        hear(&mut world, publisher, &sound, &[near, kept, far]),
        [0, 25, 0]
    );
    assert_eq!(
        world.media_crossed(NODE_A),
        crossed,
        "nobody behind the link may have it"
    );
    for at in [0, 1] {
        restrict(&mut world, at, publisher, Audience::Everybody);
    }
    world.pass(Duration::from_millis(500));
    assert_eq!(
        hear(&mut world, publisher, &sound, &[near, kept, far]),
        [25, 25, 25]
    );
}

#[test]
fn whoever_comes_later_is_bound_as_well_and_grants_may_name_tracks() {
    let mut world = World::new();
    let publisher = world.join(0);
    let sound = world.publish(publisher, MediaKind::Audio, &[]);
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    // The second to come is granted the sound, the third nothing.
    allow(&mut world, 0, publisher, &[(1, Some(&sound))]);
    let (granted, other) = (world.join(0), world.join(0));
    world.pass(Duration::from_millis(500));
    for index in [granted, other] {
        let (at, session) = (0, world.clients[index].1.session);
        // Asking for it does not help.
        let ask = ShardCommand::SetSubscription {
            session,
            tracks: vec![camera.clone(), sound.clone()],
            wanted: true,
        };
        world.command(at, ask);
        world.offer(index);
    }
    world.pass(Duration::from_millis(500));
    assert_eq!(hear(&mut world, publisher, &sound, &[granted, other]), [25, 0]);
    for frame in 0..25 {
        world.send(publisher, &camera, 0, frame == 0);
        world.pass(Duration::from_millis(40));
    }
    assert_eq!(
        (world.heard(granted, &camera), world.heard(other, &camera)),
        (0, 0)
    );
}

#[test]
fn a_track_withdrawn_and_granted_again_at_once_comes_back_as_a_new_stream() {
    let mut world = World::new();
    let publisher = world.join(0);
    let viewer = world.join(0);
    let sound = world.publish(publisher, MediaKind::Audio, &[]);
    talk(&mut world, publisher, &sound);
    let ssrcs = |world: &World| {
        let (_, member) = world.shards[0].members.iter().nth(viewer).unwrap();
        member
            .downlinks
            .iter()
            .map(|section| section.ssrc)
            .collect::<Vec<_>>()
    };
    let before = ssrcs(&world);
    allow(&mut world, 0, publisher, &[]);
    restrict(&mut world, 0, publisher, Audience::Everybody);
    world.pass(Duration::from_secs(1));
    assert_eq!(hear(&mut world, publisher, &sound, &[viewer]), [25]);
    let after = ssrcs(&world);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

#[test]
fn the_first_viewer_on_any_node_is_told_to_the_publisher_once() {
    for viewer_at in [0, 1] {
        let mut world = World::new();
        let publisher = world.join(0);
        let sound = world.publish(publisher, MediaKind::Audio, &[]);
        let told = |world: &World| {
            let is_told = |(_, fact): &&(usize, ShardFact)| match fact {
                ShardFact::TrackSubscribed { session, track } => {
                    assert_eq!(*session, world.clients[publisher].1.session);
                    *track == sound
                }
                _ => false,
            };
            world.facts.iter().filter(is_told).count()
        };
        world.pass(Duration::from_secs(1));
        assert_eq!(told(&world), 0, "nobody is there");
        for _ in 0..2 {
            world.join(viewer_at);
            world.pass(Duration::from_secs(1));
            assert_eq!(told(&world), 1);
        }
    }
}

#[test]
fn a_connection_that_loses_much_is_said_to_be_poor() {
    use relay_proto::room::ConnectionQuality::{Excellent, Poor};
    let mut world = World::new();
    let publisher = world.join(0);
    let sound = world.publish(publisher, MediaKind::Audio, &[]);
    let session = world.clients[publisher].1.session;
    let shown = |world: &World| {
        let of_publisher = world.facts.iter().filter_map(|(_, fact)| match fact {
            ShardFact::QualityChanged { session: of, quality } if *of == session => Some(*quality),
            _ => None,
        });
        of_publisher.collect::<Vec<_>>()
    };
    for _ in 0..20 {
        talk(&mut world, publisher, &sound);
    }
    assert_eq!(shown(&world), [Excellent]);
    for packet in 0..1_000 {
        if packet % 4 == 0 {
            world.clients[publisher]
                .1
                .packet(&format!("cid-{sound}"), 0, false, b"lost");
        } else {
            world.send(publisher, &sound, 0, false);
        }
        world.pass(Duration::from_millis(20));
    }
    assert_eq!(shown(&world).last(), Some(&Poor));
}
