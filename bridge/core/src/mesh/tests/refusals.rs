//! What a peer may not do, however well-formed its messages are.

use super::super::MeshCore;
use super::super::config::MeshConfig;
use super::super::io::{LinkDirection, LinkId, MeshOutput};
use super::super::testing::join_command;
use super::{beginning, ms};
use crate::shard::io::ShardCommand;
use relay_proto::control::{ControlMessage, Hello, TrackDemand};
use relay_proto::id::{Epoch, LayerSet, NodeId, TrackAlias};
use relay_proto::room::{DataMessage, ParticipantRecord, RoomEvent, RoomMessage, SealKey};
use relay_proto::row::{Row, RowKey, RowValue, RowVersion};
use relay_proto::session::{RoomChange, SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;

pub(super) const LINK: LinkId = LinkId(1);

/// A node called `fra` with `ann` in room `r`, and a hand-made peer `sin` that has said hello.
pub(super) struct Scene {
    pub(super) core: MeshCore,
    pub(super) now: std::time::Instant,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::of(MeshConfig::named("fra"))
    }

    pub(super) fn of(config: MeshConfig) -> Self {
        let now = beginning();
        let core = MeshCore::new(config, [1; 32], now, UnixMillis(1_000_000));
        let mut scene = Self { core, now };
        scene.core.handle_command(
            now,
            UnixMillis(1_000_000),
            join_command(NodeId::of("fra"), 1, "r", "ann"),
        );
        scene.core.handle_link_up(now, LINK, LinkDirection::Accepted);
        scene.hear(ControlMessage::Hello(Hello {
            newest_version: 1,
            oldest_version: 1,
            features: relay_proto::version::Features::OURS,
            name: "sin".into(),
            incarnation: 7,
            software: String::new(),
        }));
        scene.hear(ControlMessage::RowDigest(Vec::new()));
        scene.outputs();
        scene
    }

    pub(super) fn hear(&mut self, message: ControlMessage) {
        self.core.handle_control(self.now, LINK, message);
    }

    pub(super) fn room(&mut self, epoch: u32, event: RoomEvent) {
        self.hear(ControlMessage::Room(RoomMessage {
            room: "r".into(),
            epoch: Epoch(epoch),
            event,
        }));
    }

    pub(super) fn snapshot(&mut self, epoch: u32, participants: Vec<ParticipantRecord>) {
        self.room(
            epoch,
            RoomEvent::Snapshot {
                seal_key: SealKey([2; 32]),
                participants,
            },
        );
    }

    pub(super) fn outputs(&mut self) -> Vec<MeshOutput> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    /// Identities that came and went, with `+` and `-`.
    pub(super) fn changes(&mut self) -> Vec<String> {
        self.outputs()
            .into_iter()
            .filter_map(|output| match output {
                MeshOutput::ToSignaling(SessionFact::RoomChanged { change, .. }) => match change {
                    RoomChange::ParticipantUpserted(record) => Some(format!("+{}", record.identity)),
                    RoomChange::ParticipantLeft { participant, .. } => {
                        Some(format!("-{}", participant.identity))
                    }
                    RoomChange::ParticipantReplaced { participant, .. } => {
                        Some(format!("={}", participant.identity))
                    }
                    RoomChange::SpeakersChanged(_)
                    | RoomChange::AudienceChanged { .. }
                    | RoomChange::QualityChanged { .. } => None,
                },
                _ => None,
            })
            .collect()
    }
}

pub(super) fn somebody(home: &str, serial: u32, identity: &str) -> ParticipantRecord {
    let SessionCommand::OpenSession(open) = join_command(NodeId::of(home), serial, "r", identity) else {
        unreachable!("invariant: a join command opens a session");
    };
    ParticipantRecord {
        version: 1,
        ..open.participant
    }
}

#[test]
fn a_peer_writes_only_participants_homed_on_it() {
    let mut scene = Scene::new();
    scene.snapshot(
        5,
        vec![
            somebody("sin", 1, "ben"),
            somebody("syd", 2, "eve"),
            somebody("fra", 3, "bob"),
        ],
    );
    assert_eq!(scene.changes(), ["+ben"]);
    let mut ann = somebody("sin", 0, "mallory");
    ann.sid = format!("PA_{}1", NodeId::of("fra")).into();
    ann.version = 99;
    scene.room(5, RoomEvent::ParticipantUpserted(Box::new(ann.clone())));
    let cause = relay_proto::room::LeaveCause::ClientLeft;
    scene.room(
        5,
        RoomEvent::ParticipantLeft {
            participant: ann.sid,
            cause,
        },
    );
    assert_eq!(scene.changes(), Vec::<String>::new());
    assert_eq!(scene.core.view().counters.records_refused, 4);
}

#[test]
fn late_messages_of_an_old_epoch_are_dropped() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![somebody("sin", 1, "ben")]);
    scene.snapshot(6, vec![somebody("sin", 2, "bea")]);
    assert_eq!(scene.changes(), ["+ben", "-ben", "+bea"]);
    scene.snapshot(5, vec![somebody("sin", 1, "ben")]);
    scene.room(
        5,
        RoomEvent::ParticipantUpserted(Box::new(somebody("sin", 3, "bob"))),
    );
    scene.room(
        7,
        RoomEvent::ParticipantUpserted(Box::new(somebody("sin", 3, "bob"))),
    );
    assert_eq!(scene.changes(), Vec::<String>::new());
    assert_eq!(scene.core.view().counters.room_messages_ignored, 3);
}

#[test]
fn a_new_snapshot_replaces_what_was_known() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![somebody("sin", 1, "ben"), somebody("sin", 2, "bea")]);
    scene.changes();
    scene.snapshot(5, vec![somebody("sin", 2, "bea"), somebody("sin", 3, "bob")]);
    assert_eq!(scene.changes(), ["-ben", "+bob"]);
}

#[test]
fn an_old_version_of_a_record_changes_nothing() {
    let mut scene = Scene::new();
    let newer = ParticipantRecord {
        version: 4,
        ..somebody("sin", 1, "ben")
    };
    scene.snapshot(5, vec![newer]);
    scene.changes();
    scene.room(
        5,
        RoomEvent::ParticipantUpserted(Box::new(ParticipantRecord {
            version: 3,
            ..somebody("sin", 1, "ben")
        })),
    );
    assert_eq!(scene.changes(), Vec::<String>::new());
}

#[test]
fn messages_about_rooms_not_hosted_here_are_ignored() {
    let mut scene = Scene::new();
    let event = RoomEvent::Snapshot {
        seal_key: SealKey([2; 32]),
        participants: vec![somebody("sin", 1, "ben")],
    };
    scene.hear(ControlMessage::Room(RoomMessage {
        room: "elsewhere".into(),
        epoch: Epoch(1),
        event,
    }));
    assert!(scene.outputs().is_empty());
    assert_eq!(scene.core.view().counters.room_messages_ignored, 1);
}

#[test]
fn data_in_the_name_of_somebody_else_is_refused() {
    let mut scene = Scene::new();
    scene.snapshot(5, vec![somebody("sin", 1, "ben")]);
    scene.outputs();
    let data = |from: String| {
        RoomEvent::DataSent(DataMessage {
            from: from.into(),
            to: Vec::new(),
            reliable: true,
            payload: vec![1],
        })
    };
    scene.room(5, data(format!("PA_{}1", NodeId::of("fra"))));
    assert!(scene.outputs().is_empty());
    assert_eq!(scene.core.view().counters.data_refused, 1);
    scene.room(5, data(format!("PA_{}1", NodeId::of("sin"))));
    let sent = scene.outputs().into_iter().filter(|output| {
        matches!(
            output,
            MeshOutput::ToShard {
                command: ShardCommand::SendData { .. },
                ..
            }
        )
    });
    assert_eq!(sent.count(), 1);
}

#[test]
fn demand_for_another_epoch_or_an_unknown_track_is_ignored() {
    let mut scene = Scene::new();
    let tracks = vec![TrackDemand {
        track: TrackAlias(77),
        layers: LayerSet(1),
    }];
    for epoch in [1_000, 3] {
        let room = "r".into();
        scene.hear(ControlMessage::Demand {
            room,
            epoch: Epoch(epoch),
            tracks: tracks.clone(),
        });
    }
    assert!(scene.outputs().is_empty());
    assert_eq!(scene.core.view().counters.demands_ignored, 2);
}

#[test]
fn rows_in_our_name_are_ignored() {
    let mut scene = Scene::new();
    let row = |incarnation: u64| Row {
        owner: NodeId::of("fra"),
        key: RowKey::Host("r".into()),
        version: RowVersion {
            incarnation,
            counter: 1_000,
        },
        value: RowValue::Gone,
    };
    scene.hear(ControlMessage::Rows(vec![row(u64::MAX), row(1)]));
    let view = scene.core.view();
    assert_eq!(
        view.counters.rows_in_our_name, 1,
        "a former self of ours is no offence"
    );
    assert_eq!(view.rooms.len(), 1);
    assert!(scene.outputs().is_empty());
}

#[test]
fn rows_of_nodes_that_no_path_leads_to_are_not_kept() {
    let mut scene = Scene::new();
    let row = Row {
        owner: NodeId::of("dead"),
        key: RowKey::Host("r".into()),
        version: RowVersion {
            incarnation: 1,
            counter: 1,
        },
        value: RowValue::Gone,
    };
    scene.hear(ControlMessage::Rows(vec![row]));
    assert_eq!(scene.core.view().nodes.len(), 2);
    scene.core.handle_timeout(scene.now + ms(1));
}
