//! Two shards of one node: what a sibling publishes is a remote track of the shard's own node.

use super::world::{NODE_A, SIBLINGS, World, record};
use crate::shard::io::ShardCommand;
use relay_proto::room::MediaKind;

#[test]
fn siblings_hear_each_other_and_a_stream_crosses_once_for_two_viewers() {
    let mut world = World::siblings();
    let (speaker, near) = (world.join(0), world.join(0));
    let far = [world.join(1), world.join(1)];
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let answer = world.publish(far[0], MediaKind::Audio, &[]);
    for _ in 0..20 {
        world.send(speaker, &voice, 0, true);
        world.send(far[0], &answer, 0, true);
    }
    assert_eq!(
        [near, far[0], far[1]].map(|viewer| world.heard(viewer, &voice)),
        [20; 3]
    );
    assert_eq!(
        [speaker, near, far[1]].map(|viewer| world.heard(viewer, &answer)),
        [20; 3]
    );
    assert_eq!(SIBLINGS.map(|shard| world.media_crossed(shard)), [20; 2]);
}

#[test]
fn what_a_sibling_takes_back_leaves_the_tracks_of_own_clients() {
    let mut world = World::siblings();
    let (speaker, near, far) = (world.join(0), world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let answer = world.publish(far, MediaKind::Audio, &[]);
    world.send(far, &answer, 0, true);
    let own = ShardCommand::RemoveRemoteTrack {
        room: "r".into(),
        origin: NODE_A,
        track: record(&voice, speaker, MediaKind::Audio).alias,
    };
    world.command(0, own);
    world.command(
        0,
        ShardCommand::DropOrigin {
            room: "r".into(),
            origin: NODE_A,
        },
    );
    world.send(speaker, &voice, 0, true);
    world.send(far, &answer, 0, true);
    assert_eq!([near, far].map(|viewer| world.heard(viewer, &voice)), [1; 2]);
    assert_eq!(world.heard(near, &answer), 1, "the sibling's track is gone");
}
