//! Codecs that not every peer knows.

use super::super::io::{LinkDirection, LinkId, MeshOutput};
use super::super::testing::announce;
use super::refusals::{LINK, Scene};
use crate::shard::io::{ShardFact, ShardId};
use relay_proto::control::{ControlMessage, Hello};
use relay_proto::id::{Epoch, NodeId, SessionId};
use relay_proto::room::{Codec, MediaKind, RoomEvent};
use relay_proto::row::{HostFacts, Row, RowKey, RowValue, RowVersion};
use relay_proto::unit::UnixMillis;
use relay_proto::version::Features;

/// A peer that does not know VP9 and AV1.
const OLD: LinkId = LinkId(3);

fn hosts(node: &str) -> ControlMessage {
    let facts = HostFacts {
        room: "r".into(),
        epoch: Epoch(5),
        participants: 1,
    };
    ControlMessage::Rows(vec![Row {
        owner: NodeId::of(node),
        key: RowKey::Host("r".into()),
        version: RowVersion {
            incarnation: 7,
            counter: 9,
        },
        value: RowValue::Host(facts),
    }])
}

/// The codecs of `ann`'s tracks in the last message of the room on a link.
fn told(outputs: &[MeshOutput], to: LinkId) -> Option<Vec<Codec>> {
    let records = outputs.iter().filter_map(|output| match output {
        MeshOutput::SendControl { link, message } if *link == to => match &**message {
            ControlMessage::Room(room) => match &room.event {
                RoomEvent::Snapshot { participants, .. } => participants.first().cloned(),
                RoomEvent::ParticipantUpserted(record) => Some((**record).clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let last = records.last()?;
    Some(last.tracks.iter().filter_map(|track| track.codec).collect())
}

#[test]
fn a_peer_that_does_not_know_a_codec_is_not_told_of_tracks_in_it() {
    let mut scene = Scene::new();
    scene.core.handle_link_up(scene.now, OLD, LinkDirection::Accepted);
    let hello = Hello {
        newest_version: 1,
        oldest_version: 1,
        features: Features(Features::OURS.0 & !Features::CODECS.0),
        name: "syd".into(),
        incarnation: 7,
        software: String::new(),
    };
    for message in [
        ControlMessage::Hello(hello),
        ControlMessage::RowDigest(Vec::new()),
        hosts("syd"),
    ] {
        scene.core.handle_control(scene.now, OLD, message);
    }
    scene.hear(hosts("sin"));
    let session = SessionId {
        entry: NodeId::of("fra"),
        serial: 1,
    };
    for (sid, codec) in [("TR_1", Codec::Vp8), ("TR_2", Codec::Vp9), ("TR_3", Codec::Av1)] {
        let announced = announce(session, sid, MediaKind::Video);
        scene
            .core
            .handle_command(scene.now, UnixMillis(1_000_000), announced);
        let bound = ShardFact::TrackBound {
            session,
            track: sid.into(),
            codec,
            simulcast: false,
        };
        scene.core.handle_shard_fact(scene.now, ShardId(0), bound);
    }
    let outputs = scene.outputs();
    assert_eq!(
        told(&outputs, LINK),
        Some(vec![Codec::Vp8, Codec::Vp9, Codec::Av1])
    );
    assert_eq!(told(&outputs, OLD), Some(vec![Codec::Vp8]));
    // Nor in the snapshot of a stream that begins later.
    let again = ControlMessage::Rows(vec![Row {
        owner: NodeId::of("syd"),
        key: RowKey::Host("r".into()),
        version: RowVersion {
            incarnation: 7,
            counter: 10,
        },
        value: RowValue::Host(HostFacts {
            room: "r".into(),
            epoch: Epoch(6),
            participants: 1,
        }),
    }]);
    scene.core.handle_control(scene.now, OLD, again);
    assert_eq!(told(&scene.outputs(), OLD), Some(vec![Codec::Vp8]));
}

#[test]
fn av1_takes_peers_that_know_its_descriptors() {
    assert!(Features::OURS.has(Codec::Av1.needed()));
    let before = Features(Features::OURS.0 & !Features::DESCRIPTORS.0);
    assert!(!before.has(Codec::Av1.needed()) && before.has(Codec::Vp9.needed()));
}
