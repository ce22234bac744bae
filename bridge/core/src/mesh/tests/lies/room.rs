//! Rooms: people and audiences without end, or from the future.

use super::super::super::config::MeshConfig;
use super::super::super::testing::join_command;
use super::super::refusals::{Scene, somebody};
use crate::mesh::io::MeshOutput;
use crate::shard::io::ShardCommand;
use relay_proto::id::{NodeId, ParticipantSid};
use relay_proto::room::{Audience, AudienceGrant, ParticipantRecord, RoomEvent};
use relay_proto::unit::UnixMillis;

fn scene(change: impl FnOnce(&mut MeshConfig)) -> Scene {
    let mut config = MeshConfig::named("fra");
    change(&mut config);
    Scene::of(config)
}

fn upsert(record: ParticipantRecord) -> RoomEvent {
    RoomEvent::ParticipantUpserted(Box::new(record))
}

fn people(scene: &Scene, home: &str) -> usize {
    let room = &scene.core.rooms[&"r".into()];
    room.roster.homed_on(NodeId::of(home)).count()
}

#[test]
fn a_room_filled_by_one_node_has_room_for_the_people_of_others() {
    let mut scene = scene(|config| config.limits.max_participants_per_room = 40);
    scene.snapshot(5, Vec::new());
    for serial in 1..=1_000 {
        scene.room(5, upsert(somebody("sin", serial, &format!("ghost {serial}"))));
    }
    assert_eq!((people(&scene, "sin"), people(&scene, "fra")), (39, 1));
    assert_eq!(scene.core.view().counters.records_refused, 961);
    // Ours come in, until both have as many.
    for serial in 2..=30 {
        let command = join_command(NodeId::of("fra"), serial, "r", &format!("ours {serial}"));
        scene
            .core
            .handle_command(scene.now, UnixMillis(1_000_000), command);
    }
    assert_eq!((people(&scene, "sin"), people(&scene, "fra")), (20, 20));
    assert_eq!(scene.core.view().counters.participants_evicted, 19);
    // And the liar cannot push them out again.
    for serial in 2_000..2_100 {
        scene.room(5, upsert(somebody("sin", serial, &format!("more {serial}"))));
    }
    assert_eq!((people(&scene, "sin"), people(&scene, "fra")), (20, 20));
}

#[test]
fn what_a_node_has_in_our_memory_is_bounded_and_comes_back_with_its_people() {
    const MAX: usize = 1 << 20;
    let mut scene = scene(|config| config.limits.max_peer_state_bytes = MAX);
    let sin = NodeId::of("sin");
    scene.snapshot(5, Vec::new());
    for serial in 1..=500 {
        let record = ParticipantRecord {
            metadata: "x".repeat(60_000),
            ..somebody("sin", serial, &format!("p{serial}"))
        };
        scene.room(5, upsert(record));
    }
    let held = scene.core.weighed[&sin];
    assert!(held > MAX / 2 && held <= MAX, "{held}");
    assert!(people(&scene, "sin") < 20);
    assert!(scene.core.view().counters.records_refused > 480);
    // The same person again weighs nothing more, and all of it goes with the stream.
    for version in 2..50 {
        let record = ParticipantRecord {
            metadata: "x".repeat(60_000),
            version,
            ..somebody("sin", 1, "p1")
        };
        scene.room(5, upsert(record));
    }
    assert_eq!(scene.core.weighed[&sin], held);
    scene.snapshot(6, vec![somebody("sin", 1, "p1")]);
    assert!(scene.core.weighed[&sin] < 2_000, "{:?}", scene.core.weighed);
    scene.snapshot(7, Vec::new());
    assert_eq!(scene.core.weighed.get(&sin), None);
}

#[test]
fn an_audience_that_is_too_large_is_nobody_and_never_everybody() {
    let mut scene = scene(|config| config.limits.max_audience_bytes = 1_000);
    scene.snapshot(5, vec![somebody("sin", 1, "ben")]);
    scene.outputs();
    let ben: ParticipantSid = format!("PA_{}1", NodeId::of("sin")).into();
    let grants = (0..1_000).map(|n| AudienceGrant {
        viewer: format!("viewer {n}").into(),
        tracks: None,
    });
    scene.room(
        5,
        RoomEvent::AudienceChanged {
            participant: ben.clone(),
            audience: Audience::Only(grants.collect()),
        },
    );
    let told = scene.outputs().into_iter().find_map(|output| match output {
        MeshOutput::ToShard {
            command:
                ShardCommand::SetAudience {
                    participant,
                    audience,
                    ..
                },
            ..
        } => Some((participant, audience)),
        _ => None,
    });
    assert_eq!(told, Some((ben, Audience::Only(Vec::new()))));
}

#[test]
fn audiences_of_nobody_we_know_are_as_many_as_people_at_most() {
    let mut scene = scene(|config| config.limits.max_participants_per_room = 40);
    scene.snapshot(5, Vec::new());
    for serial in 0..1_000 {
        scene.room(
            5,
            RoomEvent::AudienceChanged {
                participant: format!("PA_{serial}").into(),
                audience: Audience::Only(Vec::new()),
            },
        );
    }
    assert_eq!(scene.core.rooms[&"r".into()].audiences.len(), 40);
    scene.snapshot(6, Vec::new());
    assert_eq!(
        scene.core.rooms[&"r".into()].audiences.len(),
        40,
        "until the old stream is dropped"
    );
}

#[test]
fn nobody_joins_in_the_future_to_keep_an_identity_for_ever() {
    let mut scene = scene(|_| {});
    let joined_at = |ms| ParticipantRecord {
        joined_at: UnixMillis(ms),
        ..somebody("sin", ms as u32, "eve")
    };
    scene.snapshot(5, vec![joined_at(u64::MAX), joined_at(3 * 24 * 3_600 * 1_000)]);
    assert_eq!(scene.core.view().counters.records_refused, 2);
    assert_eq!(people(&scene, "sin"), 0);
    // An hour ahead is a wrong clock; who joins here next comes later all the same.
    scene.room(5, upsert(joined_at(1_000_000 + 3_600_000)));
    assert_eq!(people(&scene, "sin"), 1);
    let again = join_command(NodeId::of("fra"), 9, "r", "eve");
    scene.core.handle_command(scene.now, UnixMillis(1_000_000), again);
    assert_eq!(scene.changes().last().map(String::as_str), Some("=eve"));
}
