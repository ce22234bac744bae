//! Keyframes cost everybody quality: they are asked for while somebody waits for one, and only then.

use super::world::{NODE_A, World};
use crate::shard::ShardCore;
use crate::shard::io::ShardCommand;
use crate::shard::testing::SimClient;
use relay_proto::id::SessionId;
use relay_proto::room::MediaKind;
use std::time::Duration;

impl World {
    fn requests(&self) -> u64 {
        let of = |shard: &ShardCore| shard.counters().keyframe_requests;
        self.shards.iter().map(of).sum()
    }
}

#[test]
fn a_keyframe_nobody_waits_for_any_more_is_not_asked_for_again() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    for _ in 0..3 {
        world.send(publisher, &camera, 0, false);
    }
    world.pass(Duration::from_secs(2));
    world.wish(viewer, &camera, false, 2);
    world.pass(Duration::from_millis(200));
    let before = world.requests();
    assert!(before > 2, "somebody has waited");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.requests(), before);
}

#[test]
fn a_client_that_is_not_connected_yet_costs_no_keyframes_and_gets_one_once_it_is() {
    let mut world = World::new();
    let publisher = world.join(0);
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    let session = SessionId {
        entry: NODE_A,
        serial: 9,
    };
    let open = ShardCommand::OpenSession {
        session,
        room: "r".into(),
        participant: "PA_late".into(),
        identity: "late".into(),
        can_publish: true,
        can_subscribe: true,
        auto_subscribe: true,
    };
    world.command(0, open);
    let viewer = world.clients.len();
    world
        .clients
        .push((0, SimClient::new(session, "10.0.0.9:5000".parse().unwrap())));
    world.offer(viewer);
    for round in 0..40 {
        world.send(publisher, &camera, 0, round == 0);
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(world.requests(), 0);
    assert!(world.shards[0].install_keys(world.now, &world.clients[viewer].1));
    world.settle();
    assert_eq!(world.requests(), 1);
    world.send(publisher, &camera, 0, true);
    assert_eq!(world.heard(viewer, &camera), 1);
}

#[test]
fn a_viewer_of_a_still_picture_does_not_wait_for_it_to_move() {
    let mut world = World::new();
    let publisher = world.join(0);
    let screen = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &screen, 0, true);
    for at in [0, 1] {
        world.pass(Duration::from_secs(5));
        let before = world.requests();
        world.join(at);
        world.pass(Duration::from_millis(200));
        assert_eq!(world.requests(), before + 1, "viewer on node {at}");
        world.send(publisher, &screen, 0, true);
    }
}

#[test]
fn a_smaller_layer_over_a_link_is_switched_to_without_a_pause() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &["q", "h", "f"]);
    for round in 0..4 {
        for stream in [0, 2] {
            world.send(publisher, &camera, stream, round < 3);
        }
    }
    let before = world.heard(viewer, &camera);
    world.wish(viewer, &camera, true, 0);
    world.send(publisher, &camera, 2, false);
    assert_eq!(
        world.heard(viewer, &camera),
        before + 1,
        "the old layer until the new one's keyframe"
    );
    world.send(publisher, &camera, 0, true);
    world.send(publisher, &camera, 2, false);
    assert_eq!(world.heard(viewer, &camera), before + 2, "then the new one alone");
}

#[test]
fn a_layer_its_last_viewer_has_left_crosses_the_link_no_more() {
    let mut world = World::new();
    let (publisher, first, second) = (world.join(0), world.join(1), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &["q", "h", "f"]);
    world.wish(first, &camera, true, 0);
    for _ in 0..3 {
        for stream in [0, 2] {
            world.send(publisher, &camera, stream, true);
        }
    }
    world.crossed.clear();
    world.send(publisher, &camera, 0, false);
    world.send(publisher, &camera, 2, false);
    assert_eq!(world.media_crossed(NODE_A), 2);
    for (gone, left) in [(first, 1), (second, 0)] {
        world.wish(gone, &camera, false, 2);
        world.crossed.clear();
        world.send(publisher, &camera, 0, false);
        world.send(publisher, &camera, 2, false);
        assert_eq!(world.media_crossed(NODE_A), left);
    }
}

#[test]
fn a_wish_for_a_layer_that_cannot_exist_is_one_for_the_largest() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.wish(viewer, &camera, true, 200);
    world.send(publisher, &camera, 0, true);
    world.send(publisher, &camera, 0, true);
    assert_eq!(world.heard(viewer, &camera), 2);
}
