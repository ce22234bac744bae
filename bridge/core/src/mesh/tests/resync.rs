//! What is told again when a link or a stream begins anew.

use super::super::MeshCore;
use super::super::config::MeshConfig;
use super::super::io::{LinkDirection, LinkId, MeshOutput};
use super::super::testing::announce;
use super::beginning;
use super::refusals::{LINK, Scene, somebody};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::control::{ControlMessage, GoodbyeCause, Hello, TrackDemand};
use relay_proto::id::{LayerSet, NodeId, SessionId, TrackAlias};
use relay_proto::room::{Codec, MediaKind, ParticipantRecord};
use relay_proto::row::{Row, RowKey, RowValue, RowVersion};
use relay_proto::session::SessionCommand;
use relay_proto::unit::UnixMillis;

/// `ben` on `sin`, publishing one track.
fn publisher() -> ParticipantRecord {
    let session = SessionId {
        entry: NodeId::of("sin"),
        serial: 1,
    };
    let SessionCommand::AnnounceTrack { track, .. } = announce(session, "TR_1", MediaKind::Audio) else {
        unreachable!("invariant: an announcement announces a track");
    };
    let mut record = somebody("sin", 1, "ben");
    record.tracks = vec![relay_proto::room::TrackRecord {
        alias: TrackAlias(7),
        codec: Some(Codec::Opus),
        ..track.record
    }];
    record
}

fn demands(outputs: &[MeshOutput]) -> Vec<TrackDemand> {
    let of = |output: &MeshOutput| match output {
        MeshOutput::SendControl { message, .. } => match &**message {
            ControlMessage::Demand { tracks, .. } | ControlMessage::TransitDemand { tracks, .. } => {
                tracks.clone()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    outputs.iter().flat_map(of).collect()
}

#[test]
fn the_same_snapshot_again_disturbs_no_media_and_repeats_the_demand() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![publisher()]);
    let (origin, track, layers) = (NodeId::of("sin"), TrackAlias(7), LayerSet(1));
    let wanted = ShardFact::DemandChanged {
        room: "r".into(),
        origin,
        track,
        layers,
    };
    scene.core.handle_shard_fact(scene.now, ShardId(0), wanted);
    assert_eq!(demands(&scene.outputs()), [TrackDemand { track, layers }]);
    scene.snapshot(5, vec![publisher()]);
    let again = scene.outputs();
    assert_eq!(demands(&again), [TrackDemand { track, layers }]);
    assert_eq!(again.len(), 1, "{again:?}");
}

#[test]
fn a_new_epoch_joins_the_origin_anew_and_forgets_what_was_wanted() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![publisher()]);
    scene.outputs();
    scene.snapshot(6, Vec::new());
    let outputs = scene.outputs();
    let joined = outputs.iter().any(|output| {
        matches!(
            output,
            MeshOutput::ToShard {
                command: ShardCommand::JoinOrigin { .. },
                ..
            }
        )
    });
    assert!(joined && demands(&outputs).is_empty(), "{outputs:?}");
}

#[test]
fn a_digest_on_a_link_not_yet_selected_is_answered_once_it_is() {
    // The node with the larger id follows the other's choice of links.
    let (us, peer) = if NodeId::of("fra") > NodeId::of("sin") {
        ("fra", "sin")
    } else {
        ("sin", "fra")
    };
    let now = beginning();
    let mut core = MeshCore::new(MeshConfig::named(us), [1; 32], now, UnixMillis(1_000_000));
    let hello = ControlMessage::Hello(Hello {
        newest_version: 1,
        oldest_version: 1,
        features: relay_proto::version::Features::OURS,
        name: peer.into(),
        incarnation: 7,
        software: String::new(),
    });
    let second = LinkId(2);
    for (link, direction) in [(LINK, LinkDirection::Accepted), (second, LinkDirection::Dialled)] {
        core.handle_link_up(now, link, direction);
        core.handle_control(now, link, hello.clone());
        core.handle_control(now, link, ControlMessage::RowDigest(Vec::new()));
    }
    let answered = |core: &mut MeshCore| {
        let outputs = std::iter::from_fn(|| core.poll_output());
        let rows = outputs.filter_map(|output| match output {
            MeshOutput::SendControl { link, message } if matches!(*message, ControlMessage::Rows(_)) => {
                Some(link)
            }
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(answered(&mut core), [LINK]);
    core.handle_control(now, LINK, ControlMessage::Goodbye(GoodbyeCause::DuplicateLink));
    assert_eq!(answered(&mut core), [second]);
}

#[test]
fn a_room_that_others_call_closed_stays_until_its_linked_host_says_so() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![somebody("sin", 1, "ben")]);
    let closed = Row {
        owner: NodeId::of("sin"),
        key: RowKey::Host("r".into()),
        version: RowVersion {
            incarnation: 7,
            counter: 9,
        },
        value: RowValue::Gone,
    };
    let third = LinkId(3);
    scene
        .core
        .handle_link_up(scene.now, third, LinkDirection::Accepted);
    let hello = Hello {
        newest_version: 1,
        oldest_version: 1,
        features: relay_proto::version::Features::OURS,
        name: "syd".into(),
        incarnation: 8,
        software: String::new(),
    };
    scene
        .core
        .handle_control(scene.now, third, ControlMessage::Hello(hello));
    scene
        .core
        .handle_control(scene.now, third, ControlMessage::RowDigest(Vec::new()));
    scene.changes();
    scene
        .core
        .handle_control(scene.now, third, ControlMessage::Rows(vec![closed.clone()]));
    assert_eq!(scene.changes(), Vec::<String>::new());
    scene.hear(ControlMessage::Rows(vec![closed]));
    assert_eq!(scene.changes(), ["-ben"]);
}
